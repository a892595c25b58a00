#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/process_id.h"
#include "common/base/text.h"
#include "control/core/registry.h"
#include "control/core/registry_parts.h"

/* ---- actions */

void registry_actions_init(struct registry_actions *actions)
{
    *actions = (struct registry_actions){0};
    arena_init(&actions->arena);
}

void registry_actions_reset(struct registry_actions *actions)
{
    actions->count = 0;
    arena_reset(&actions->arena);
}

void registry_actions_fini(struct registry_actions *actions)
{
    arena_fini(&actions->arena);
    memory_free(actions->items);
    *actions = (struct registry_actions){0};
}

struct registry_action *registry_act(struct registry_core *core, enum registry_action_type type)
{
    struct registry_actions *actions = core->actions;
    if (actions->count == actions->capacity) {
        actions->capacity = actions->capacity == 0 ? 16 : actions->capacity * 2;
        actions->items = memory_resize(actions->items, actions->capacity * sizeof *actions->items);
    }
    struct registry_action *action = &actions->items[actions->count++];
    memset(action, 0, sizeof *action);
    action->type = type;
    return action;
}

void registry_say(struct registry_core *core, int level, const char *format, ...)
{
    char sentence[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    struct registry_action *action = registry_act(core, REGISTRY_ACTION_LOG);
    action->log.level = level;
    action->log.sentence = arena_strdup(&core->actions->arena, sentence);
}

Gemel__Envelope *registry_compose(struct registry_core *core, const struct registry_peer *peer,
                                  Gemel__Envelope__BodyCase body)
{
    Gemel__Envelope *envelope = arena_alloc(&core->actions->arena, sizeof *envelope);
    gemel__envelope__init(envelope);
    envelope->epoch = core->leading ? core->epoch : 0;
    envelope->body_case = body;
    struct registry_action *action = registry_act(core, REGISTRY_ACTION_SEND);
    action->send.peer = peer->id;
    action->send.envelope = envelope;
    return envelope;
}

Gemel__Op *registry_compose_op(struct registry_core *core, Gemel__Op__BodyCase body)
{
    Gemel__Op *op = arena_alloc(&core->actions->arena, sizeof *op);
    gemel__op__init(op);
    op->wall_ns = (uint64_t)core->wall_ns;
    op->author = arena_printf(&core->actions->arena, "control@%s", core->config.host);
    op->body_case = body;
    return op;
}

void registry_propose(struct registry_core *core, const char *key, Gemel__Op *op)
{
    struct proposed *proposed = NULL;
    HASH_FIND_STR(core->proposed, key, proposed);
    if (proposed != NULL && core->now_ms < proposed->again_at_ms)
        return;
    if (proposed == NULL) {
        proposed = memory_alloc(sizeof *proposed);
        text_copy(proposed->key, sizeof proposed->key, key);
        HASH_ADD_STR(core->proposed, key, proposed);
    }
    proposed->again_at_ms = core->now_ms + REGISTRY_PROPOSE_EVERY_MS;
    registry_act(core, REGISTRY_ACTION_PROPOSE)->propose = op;
}

static void forget_proposed(struct registry_core *core, bool all)
{
    struct proposed *one = NULL, *next = NULL;
    HASH_ITER (hh, core->proposed, one, next) {
        if (!all && core->now_ms < one->again_at_ms)
            continue;
        HASH_DEL(core->proposed, one);
        memory_free(one);
    }
}

/* ---- peers */

static struct registry_peer *find_peer(const struct registry_core *core, uint64_t id)
{
    struct registry_peer *peer = NULL;
    HASH_FIND(hh, core->peers, &id, sizeof id, peer);
    return peer;
}

struct registry_peer *registry_find_daemon(const struct registry_core *core, const char *host)
{
    for (struct registry_peer *peer = core->peers; peer != NULL; peer = peer->hh.next)
        if (peer->kind == REGISTRY_KIND_DAEMON && strcmp(peer->host, host) == 0)
            return peer;
    return NULL;
}

static void drop_peer(struct registry_core *core, struct registry_peer *peer)
{
    if (peer->kind == REGISTRY_KIND_DAEMON)
        core->input_due = true;
    HASH_DEL(core->peers, peer);
    memory_free(peer);
}

static struct registry_peer *add_peer(struct registry_core *core, uint64_t id, const char *sender)
{
    if (HASH_COUNT(core->peers) == REGISTRY_PEERS_MAX)
        return NULL;
    struct registry_peer *peer = memory_alloc(sizeof *peer);
    peer->id = id;
    peer->ping_at_ms = core->now_ms;
    peer->orders_sent_ms = INT64_MIN;
    text_copy(peer->name, sizeof peer->name, sender);
    HASH_ADD(hh, core->peers, id, sizeof peer->id, peer);
    return peer;
}

/* A connection says what it is; an older one of the same program is over. */
static void take_kind(struct registry_core *core, struct registry_peer *peer, enum registry_kind kind, const char *host)
{
    struct registry_peer *one = NULL, *next = NULL;
    HASH_ITER (hh, core->peers, one, next) {
        if (one != peer && one->kind == kind && strcmp(one->host, host) == 0 && strcmp(one->name, peer->name) == 0)
            drop_peer(core, one);
    }
    peer->kind = kind;
    text_copy(peer->host, sizeof peer->host, host);
}

static void on_daemon_hello(struct registry_core *core, struct registry_peer *peer, const Gemel__DaemonHello *hello)
{
    take_kind(core, peer, REGISTRY_KIND_DAEMON, hello->host);
    peer->reported = false;
    peer->orders_due = true;
    peer->entries_sent = 0;
    core->input_due = true;
    registry_say(core, 0, "Daemon connected [ Host: %s ] [ Version: %s ]", hello->host, hello->version);
    if (core->leading && hello->epoch_seen > core->epoch)
        registry_act(core, REGISTRY_ACTION_STALE_EPOCH)->epoch_now = hello->epoch_seen;
}

static void on_procmgr_hello(struct registry_core *core, struct registry_peer *peer, const Gemel__ProcmgrHello *hello)
{
    take_kind(core, peer, REGISTRY_KIND_PROCMGR, hello->host);
    peer->revision_known = hello->revision_known;
    core->input_due = true;
    core->input_sent_ms = INT64_MIN;
    registry_say(core, 0, "Process manager connected [ Host: %s ]", hello->host);
}

static int on_message(struct registry_core *core, uint64_t id, const Gemel__Envelope *envelope)
{
    struct registry_peer *peer = find_peer(core, id);
    if (peer == NULL)
        peer = add_peer(core, id, envelope->sender);
    if (peer == NULL)
        return 0; /* more peers than a cluster has: the shell's bound on connections is met first */
    peer->heard_ms = core->now_ms;
    if (peer->silent) {
        peer->silent = false;
        core->input_due = true;
        registry_say(core, 0, "Peer is heard again [ Peer: %s ]", peer->name);
    }
    if (envelope->body_case == GEMEL__ENVELOPE__BODY_PONG)
        return 0;
    if (envelope->body_case == GEMEL__ENVELOPE__BODY_PING) {
        Gemel__Pong *pong = arena_alloc(&core->actions->arena, sizeof *pong);
        gemel__pong__init(pong);
        pong->sent_ms = envelope->ping->sent_ms;
        registry_compose(core, peer, GEMEL__ENVELOPE__BODY_PONG)->pong = pong;
    } else if (envelope->body_case == GEMEL__ENVELOPE__BODY_STALE_EPOCH) {
        if (core->leading && envelope->stale_epoch->epoch_now > core->epoch)
            registry_act(core, REGISTRY_ACTION_STALE_EPOCH)->epoch_now = envelope->stale_epoch->epoch_now;
    } else if (envelope->body_case == GEMEL__ENVELOPE__BODY_DAEMON_HELLO) {
        on_daemon_hello(core, peer, envelope->daemon_hello);
    } else if (envelope->body_case == GEMEL__ENVELOPE__BODY_PROCESS_REPORTS) {
        return registry_observe_reports(core, peer, envelope->incarnation, envelope->process_reports);
    } else if (envelope->body_case == GEMEL__ENVELOPE__BODY_PROCMGR_HELLO) {
        on_procmgr_hello(core, peer, envelope->procmgr_hello);
    } else if (envelope->body_case == GEMEL__ENVELOPE__BODY_PLAN) {
        if (peer->kind == REGISTRY_KIND_PROCMGR)
            registry_order_take_plan(core, envelope->plan);
    } else if (envelope->body_case == GEMEL__ENVELOPE__BODY_GATEWAY_HELLO) {
        take_kind(core, peer, REGISTRY_KIND_GATEWAY, "");
        peer->routes_due = true;
    } else if (envelope->body_case == GEMEL__ENVELOPE__BODY_ROUTE_REPORT) {
        registry_order_take_route_report(core, envelope->route_report);
    } else {
        return -EBADMSG;
    }
    return 0;
}

/* ---- life, events */

int registry_create(struct registry_core **core, const struct registry_config *config, const struct state *state)
{
    struct registry_core *made = memory_alloc(sizeof *made);
    made->config = *config;
    made->state = state;
    made->input_sent_ms = INT64_MIN;
    *core = made;
    return 0;
}

void registry_destroy(struct registry_core **core)
{
    if (*core == NULL)
        return;
    while ((*core)->peers != NULL)
        drop_peer(*core, (*core)->peers);
    forget_proposed(*core, true);
    registry_observe_clear(*core);
    registry_order_forget_plan(*core);
    memory_free(*core);
    *core = NULL;
}

static void on_role(struct registry_core *core, bool leading, uint64_t epoch)
{
    core->leading = leading;
    core->epoch = leading ? epoch : 0;
    core->leading_since_ms = core->now_ms;
    core->input_due = true;
    core->input_sent_ms = INT64_MIN;
    core->input_sequence_leading = core->input_sequence + 1;
    registry_order_forget_plan(core);
    forget_proposed(core, true);
    for (struct registry_peer *peer = core->peers; peer != NULL; peer = peer->hh.next) {
        peer->orders_due = peer->routes_due = leading;
        peer->entries_sent = 0;
    }
}

static void on_state_changed(struct registry_core *core)
{
    core->input_due = core->place_due = true;
    if (core->routes_version == state_route_version(core->state))
        return;
    core->routes_version = state_route_version(core->state);
    for (struct registry_peer *peer = core->peers; peer != NULL; peer = peer->hh.next)
        peer->routes_due = peer->kind == REGISTRY_KIND_GATEWAY;
}

static void on_tick(struct registry_core *core)
{
    forget_proposed(core, false);
    for (struct registry_peer *peer = core->peers; peer != NULL; peer = peer->hh.next) {
        if (peer->kind == REGISTRY_KIND_UNKNOWN)
            continue;
        if (!peer->silent && core->now_ms - peer->heard_ms >= core->config.silent_ms) {
            peer->silent = true;
            core->input_due = true;
            registry_say(core, 1, "Peer is silent [ Peer: %s ] [ Silent: %u ms ]", peer->name, core->config.silent_ms);
        }
        if (core->now_ms < peer->ping_at_ms)
            continue;
        peer->ping_at_ms = core->now_ms + core->config.ping_ms;
        Gemel__Ping *ping = arena_alloc(&core->actions->arena, sizeof *ping);
        gemel__ping__init(ping);
        ping->sent_ms = (uint64_t)core->now_ms;
        registry_compose(core, peer, GEMEL__ENVELOPE__BODY_PING)->ping = ping;
    }
}

static int take_event(struct registry_core *core, const struct registry_event *event)
{
    struct registry_peer *gone = NULL;
    switch (event->type) {
    case REGISTRY_EVENT_TICK:
        on_tick(core);
        return 0;
    case REGISTRY_EVENT_ROLE:
        on_role(core, event->role.leading, event->role.epoch);
        return 0;
    case REGISTRY_EVENT_MESSAGE:
        if (event->message.peer == 0)
            return -EINVAL;
        return on_message(core, event->message.peer, event->message.envelope);
    case REGISTRY_EVENT_PEER_GONE:
        gone = find_peer(core, event->gone);
        if (gone != NULL)
            drop_peer(core, gone);
        return 0;
    case REGISTRY_EVENT_COMMAND:
        core->input_sent_ms = INT64_MIN; /* what is due goes now */
        return 0;
    case REGISTRY_EVENT_STATE_CHANGED:
        on_state_changed(core);
        return 0;
    }
    return -EINVAL;
}

int registry_step(struct registry_core *core, const struct registry_event *event, struct registry_actions *actions)
{
    core->now_ms = event->now_ms;
    core->wall_ns = event->wall_ns;
    core->actions = actions;
    int result = take_event(core, event);
    registry_order_advance(core);
    core->actions = NULL;
    return result;
}

int64_t registry_next_wakeup_ms(const struct registry_core *core)
{
    int64_t at_ms = registry_order_wakeup_ms(core);
    for (const struct registry_peer *peer = core->peers; peer != NULL; peer = peer->hh.next)
        if (peer->kind != REGISTRY_KIND_UNKNOWN && peer->ping_at_ms < at_ms)
            at_ms = peer->ping_at_ms;
    return at_ms;
}

/* ---- questions */

bool registry_host_is_fresh(const struct registry_core *core, const char *host)
{
    const struct registry_peer *daemon = registry_find_daemon(core, host);
    return daemon != NULL && daemon->reported && !daemon->silent;
}

uint64_t registry_procmgr(const struct registry_core *core)
{
    for (const struct registry_peer *peer = core->peers; peer != NULL; peer = peer->hh.next)
        if (peer->kind == REGISTRY_KIND_PROCMGR && strcmp(peer->host, core->config.host) == 0)
            return peer->id;
    return 0;
}
