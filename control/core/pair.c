#include "control/core/pair.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/base/token.h"
#include "control/core/pair_parts.h"

enum {
    PROTOCOL = 1
};

/* ---- actions */

void pair_actions_init(struct pair_actions *actions)
{
    *actions = (struct pair_actions){0};
    arena_init(&actions->arena);
}

void pair_actions_reset(struct pair_actions *actions)
{
    actions->count = 0;
    arena_reset(&actions->arena);
}

void pair_actions_fini(struct pair_actions *actions)
{
    arena_fini(&actions->arena);
    memory_free(actions->items);
    *actions = (struct pair_actions){0};
}

struct pair_action *pair_act(struct pair_core *core, enum pair_action_type type)
{
    struct pair_actions *actions = core->actions;
    if (actions->count == actions->capacity) {
        actions->capacity = actions->capacity == 0 ? 16 : actions->capacity * 2;
        actions->items = memory_resize(actions->items, actions->capacity * sizeof *actions->items);
    }
    struct pair_action *action = &actions->items[actions->count++];
    memset(action, 0, sizeof *action);
    action->type = type;
    return action;
}

void pair_say(struct pair_core *core, enum pair_level level, const char *format, ...)
{
    char sentence[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    struct pair_action *action = pair_act(core, PAIR_ACTION_LOG);
    action->log.level = level;
    action->log.sentence = arena_strdup(&core->actions->arena, sentence);
}

/* ---- state */

static bool may_enter(enum pair_state from, enum pair_state to)
{
    switch (from) {
    case PAIR_IDLE:
        return to == PAIR_FOLLOWING;
    case PAIR_FOLLOWING:
        return to == PAIR_FOLLOWING || to == PAIR_CLAIMING;
    case PAIR_CLAIMING:
        return to == PAIR_FOLLOWING || to == PAIR_LEADING;
    case PAIR_LEADING:
        return to == PAIR_FOLLOWING;
    }
    return false;
}

void pair_enter(struct pair_core *core, enum pair_state state, const char *why)
{
    ASSERT(may_enter(core->state, state));
    core->state = state;
    core->since_ms = core->now_ms;
    text_copy(core->why, sizeof core->why, why);
}

const char *pair_state_word(enum pair_state state)
{
    switch (state) {
#define X(name, word)                                                                                                  \
    case name:                                                                                                         \
        return word;
        PAIR_STATES(X)
#undef X
    }
    return "?";
}

const char *pair_peer_state_word(enum pair_peer_state state)
{
    switch (state) {
    case PAIR_PEER_UNSEEN:
        return "unseen";
    case PAIR_PEER_CATCHING_UP:
        return "catching up";
    case PAIR_PEER_IN_SYNC:
        return "in sync";
    }
    return "?";
}

const char *pair_promise(const struct pair_config *config)
{
    if (!config->clustered)
        return "one control: what is acknowledged is on this host's disk";
    if (config->policy == PAIR_FREEZE)
        return "no arbiter, freeze: what is acknowledged is on both hosts' disks, alone nothing is";
    return "no arbiter, promote: what is acknowledged is on both hosts' disks, or was answered with 'one host only'";
}

/* ---- life */

int pair_create(struct pair_core **core, const struct pair_config *config)
{
    if (config->node < 1 || config->node > 2 || config->incarnation == 0 || config->heartbeat_ms == 0 ||
        config->suspect_ms < config->heartbeat_ms || config->lease_ms < config->suspect_ms)
        return -EINVAL;
    struct pair_core *made = memory_alloc(sizeof *made);
    made->config = *config;
    made->state = PAIR_IDLE;
    oplog_create(&made->log);
    made->proposals = memory_alloc_array(PAIR_PROPOSALS_MAX, sizeof *made->proposals);
    made->owed.last_index = UINT64_MAX;
    made->insist_index = UINT64_MAX;
    made->unfit_until_ms = INT64_MIN;
    made->peer.heard_ms = made->peer.unfit_until_ms = INT64_MIN;
    made->wakeup_ms = INT64_MAX;
    *core = made;
    return 0;
}

void pair_destroy(struct pair_core **core)
{
    if (*core == NULL)
        return;
    oplog_destroy(&(*core)->log);
    memory_free((*core)->proposals);
    memory_free((*core)->writes);
    memory_free(*core);
    *core = NULL;
}

/* ---- questions */

bool pair_is_silent(const struct pair_core *core, int64_t for_ms)
{
    return core->peer.heard_ms == INT64_MIN || core->now_ms - core->peer.heard_ms >= for_ms;
}

bool pair_is_unfit(const struct pair_core *core)
{
    return core->now_ms < core->unfit_until_ms;
}

bool pair_peer_is_unfit(const struct pair_core *core)
{
    return core->now_ms < core->peer.unfit_until_ms;
}

bool pair_may_act_alone(const struct pair_core *core)
{
    return core->config.policy == PAIR_PROMOTE && core->meta.record.members == PAIR_SELF_ALONE;
}

bool pair_follower_is_in_sync(const struct pair_core *core)
{
    return core->config.clustered && core->meta.record.members == PAIR_BOTH && core->growth == PAIR_GROW_NONE;
}

Gemel__Envelope *pair_compose(struct pair_core *core, Gemel__Envelope__BodyCase body, uint64_t epoch)
{
    struct arena *arena = &core->actions->arena;
    Gemel__Envelope *envelope = arena_alloc(arena, sizeof *envelope);
    gemel__envelope__init(envelope);
    envelope->protocol = PROTOCOL;
    envelope->cluster_id = arena_strdup(arena, core->meta.cluster_id);
    envelope->sender = arena_printf(arena, "control@%s", core->config.host);
    envelope->incarnation = core->config.incarnation;
    envelope->epoch = epoch;
    envelope->body_case = body;
    pair_act(core, PAIR_ACTION_SEND)->send = envelope;
    return envelope;
}

void pair_tell_following(struct pair_core *core, const char *leader)
{
    struct pair_action *action = pair_act(core, PAIR_ACTION_FOLLOWING);
    action->role.epoch = core->meta.epoch_seen;
    action->role.leader = arena_strdup(&core->actions->arena, leader);
    action->role.why = arena_strdup(&core->actions->arena, core->why);
}

/* ---- events */

static int on_start(struct pair_core *core, const struct pair_event *event)
{
    if (core->state != PAIR_IDLE)
        return -EINVAL;
    for (size_t i = 0; i < event->start.entry_count; i++) {
        if (oplog_accept(core->log, event->start.entries[i]) != 0) {
            oplog_truncate(core->log, 0);
            return -EBADMSG;
        }
    }
    struct oplog_position last = oplog_last(core->log);
    if (event->start.applied_index > last.index) {
        oplog_truncate(core->log, 0);
        return -EBADMSG;
    }
    core->meta = *event->start.meta;
    if (core->meta.epoch_seen < last.epoch)
        core->meta.epoch_seen = last.epoch;
    core->stored_index = last.index;
    core->applied_index = core->commit_index = event->start.applied_index;
    core->lead_alone_at_ms = core->now_ms + core->config.discovery_ms;
    core->warn_at_ms = core->now_ms + core->config.discovery_ms;
    core->hello_at_ms = core->now_ms;
    pair_enter(core, PAIR_FOLLOWING, "started");
    pair_tell_following(core, "");
    if (!core->config.clustered)
        pair_lead_claim(core, "the only configured control");
    return 0;
}

/* Messages that only the known incarnation of the peer may send. */
static int on_peer_message(struct pair_core *core, const Gemel__Envelope *envelope)
{
    if (envelope->protocol != PROTOCOL || envelope->incarnation == 0 || !core->config.clustered ||
        envelope->incarnation == core->config.incarnation)
        return -EBADMSG;
    if (envelope->body_case == GEMEL__ENVELOPE__BODY_PAIR_HELLO)
        return pair_meet_on_hello(core, envelope);
    if (!pair_meet_is_current(core, envelope))
        return 0;
    core->peer.heard_ms = core->now_ms;
    pair_meet_adopt_cluster(core, envelope->cluster_id);
    if (envelope->body_case == GEMEL__ENVELOPE__BODY_PAIR_HEARTBEAT)
        return pair_follow_on_heartbeat(core, envelope);
    if (envelope->body_case == GEMEL__ENVELOPE__BODY_PAIR_APPEND)
        return pair_follow_on_append(core, envelope);
    if (envelope->body_case == GEMEL__ENVELOPE__BODY_STALE_EPOCH) {
        pair_meet_learn_epoch(core, envelope->stale_epoch->epoch_now);
        return 0;
    }
    if (envelope->body_case == GEMEL__ENVELOPE__BODY_PAIR_APPEND_REPLY) {
        if (core->state != PAIR_LEADING || envelope->epoch != core->meta.epoch_seen)
            return 0;
        return pair_lead_on_reply(core, envelope->pair_append_reply);
    }
    return -EBADMSG;
}

/* A cluster is made once, by the configured primary. A secondary whose store is empty must not make another one while
 * the primary, which may hold the real one, is merely away: the two would refuse each other for ever. */
static bool may_lead_alone(const struct pair_core *core)
{
    return core->config.policy == PAIR_PROMOTE && (core->meta.cluster_id[0] != '\0' || core->config.node == 1);
}

static void on_tick(struct pair_core *core)
{
    if (!core->config.clustered)
        return;
    if (core->state == PAIR_LEADING && core->now_ms >= core->heartbeat_at_ms)
        pair_lead_heartbeat(core);
    if (core->state == PAIR_FOLLOWING && may_lead_alone(core) && core->now_ms >= core->lead_alone_at_ms) {
        char why[PAIR_WHY_BYTES];
        if (core->following)
            snprintf(why, sizeof why, "the leader %s was silent for %u ms", core->config.peer_host,
                     core->config.lease_ms);
        else
            snprintf(why, sizeof why, "nobody leads, and %s does not claim it", core->config.peer_host);
        pair_lead_claim(core, why);
    }
    bool alone = core->state != PAIR_LEADING && (!core->following || pair_is_silent(core, core->config.suspect_ms));
    if (alone && core->now_ms >= core->hello_at_ms)
        pair_meet_send_hello(core, NULL);
    if (core->now_ms >= core->warn_at_ms)
        pair_meet_warn(core);
}

/* A program that was not run for a while (stopped, swapped, a sleeping machine) must not take its own silence for the
 * peer's: deadlines move by what it missed. */
static void forgive_late_wakeup(struct pair_core *core)
{
    if (core->state == PAIR_IDLE || core->wakeup_ms == INT64_MAX || core->now_ms < core->wakeup_ms)
        return;
    int64_t late_ms = core->now_ms - core->wakeup_ms;
    if (late_ms < core->config.suspect_ms / 2)
        return;
    if (core->peer.heard_ms != INT64_MIN)
        core->peer.heard_ms += late_ms;
    core->progress_ms += late_ms;
    core->lead_alone_at_ms += late_ms;
}

static int take_event(struct pair_core *core, const struct pair_event *event)
{
    switch (event->type) {
    case PAIR_EVENT_START:
        return on_start(core, event);
    case PAIR_EVENT_TICK:
        on_tick(core);
        return 0;
    case PAIR_EVENT_PEER_MESSAGE:
        return on_peer_message(core, event->message);
    case PAIR_EVENT_PEER_UP:
        if (core->config.clustered)
            pair_meet_send_hello(core, NULL);
        return 0;
    case PAIR_EVENT_PEER_DOWN:
        text_copy(core->peer.error, sizeof core->peer.error, event->peer_error == NULL ? "" : event->peer_error);
        return 0;
    case PAIR_EVENT_PROPOSE:
        return pair_lead_on_propose(core, event->propose.op, event->propose.op_bytes, event->propose.tag);
    case PAIR_EVENT_STORED:
        return pair_store_on_stored(core, event->stored);
    case PAIR_EVENT_STORE_FAILED:
        return pair_store_on_failed(core, event->store_failed.sequence, event->store_failed.code);
    case PAIR_EVENT_STALE_EPOCH:
        pair_meet_learn_epoch(core, event->epoch_now);
        return 0;
    case PAIR_EVENT_STOP:
        pair_lead_let_go(core);
        return 0;
    case PAIR_EVENT_ARBITER_READ_DONE:
    case PAIR_EVENT_ARBITER_APPENDED:
        return -EINVAL; /* nothing was asked of an arbiter: none is configured */
    }
    return -EINVAL;
}

int pair_step(struct pair_core *core, const struct pair_event *event, struct pair_actions *actions)
{
    if (core->state == PAIR_IDLE && event->type != PAIR_EVENT_START)
        return -EINVAL;
    core->now_ms = event->now_ms;
    core->wall_ns = event->wall_ns;
    core->actions = actions;
    forgive_late_wakeup(core);
    int result = take_event(core, event);
    if (core->state == PAIR_LEADING)
        pair_lead_advance(core);
    if (core->state == PAIR_FOLLOWING && core->following)
        pair_follow_advance(core);
    if (core->state != PAIR_IDLE && core->config.clustered)
        pair_meet_announce(core);
    core->actions = NULL;
    core->wakeup_ms = pair_next_wakeup_ms(core);
    if (core->wakeup_ms < core->now_ms)
        core->wakeup_ms = core->now_ms;
    return result;
}

static int64_t earlier(int64_t one_ms, int64_t other_ms)
{
    return one_ms < other_ms ? one_ms : other_ms;
}

int64_t pair_next_wakeup_ms(const struct pair_core *core)
{
    if (core->state == PAIR_IDLE || !core->config.clustered)
        return INT64_MAX;
    int64_t at_ms = core->warn_at_ms;
    if (core->state == PAIR_LEADING)
        return earlier(at_ms, core->heartbeat_at_ms);
    int64_t hello_at_ms = core->hello_at_ms;
    if (core->following && core->peer.heard_ms != INT64_MIN) {
        int64_t suspect_at_ms = core->peer.heard_ms + core->config.suspect_ms;
        hello_at_ms = hello_at_ms > suspect_at_ms ? hello_at_ms : suspect_at_ms;
    }
    at_ms = earlier(at_ms, hello_at_ms);
    if (core->state == PAIR_FOLLOWING && may_lead_alone(core))
        at_ms = earlier(at_ms, core->lead_alone_at_ms);
    return at_ms;
}

/* ---- status */

static enum pair_peer_state peer_state(const struct pair_core *core)
{
    if (!core->config.clustered || pair_is_silent(core, core->config.suspect_ms))
        return PAIR_PEER_UNSEEN;
    bool in_sync = core->state == PAIR_LEADING ? pair_follower_is_in_sync(core) : core->following && core->in_sync;
    return in_sync ? PAIR_PEER_IN_SYNC : PAIR_PEER_CATCHING_UP;
}

void pair_get_status(const struct pair_core *core, struct pair_status *status)
{
    *status = (struct pair_status){.state = core->state,
                                   .acting = core->acting,
                                   .epoch = core->meta.epoch_seen,
                                   .peer = peer_state(core),
                                   .record = core->meta.record,
                                   .last = oplog_last(core->log),
                                   .stored_index = core->stored_index,
                                   .commit_index = core->commit_index,
                                   .since_ms = core->since_ms};
    text_copy(status->why, sizeof status->why, core->why);
    text_copy(status->cluster_id, sizeof status->cluster_id, core->meta.cluster_id);
    if (core->state == PAIR_LEADING) {
        text_copy(status->leader, sizeof status->leader, core->config.host);
        status->solo = core->config.clustered && core->meta.record.members == PAIR_SELF_ALONE;
        status->lag = core->config.clustered ? status->last.index - core->match_index : 0;
    } else if (core->following) {
        text_copy(status->leader, sizeof status->leader, core->config.peer_host);
        status->lag = core->leader_last > core->stored_index ? core->leader_last - core->stored_index : 0;
    }
}

const struct oplog *pair_get_log(const struct pair_core *core)
{
    return core->log;
}
