#include "tests/sim/sim_daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/wire/wire.h"
#include "tests/sim/cluster.h"
#include "tests/sim/daemon_image.h"
#include "tests/sim/local_link.h"
#include "tests/sim/post.h"
#include "tests/sim/sim_peers.h"
#include "tests/sim/sim_process.h"
#include "tests/sim/tell.h"

enum {
    WATCHED_MAX = 64,
    SPAWN_MIN_US = 300,
    SPAWN_MAX_US = 900,
    EXIT_FACT_MAX_US = 300,
    LAST_WORDS_US = 1000,
    PROBE_US = 200,
    LINKS_HERE_MAX = 256
};

/* A program that this life of the daemon watches by pidfd. */
struct watched {
    struct node *node; /* NULL: free */
    uint64_t life;
    bool is_child; /* of this life of the daemon */
    struct token token;
    char process[DAEMON_KEPT_BYTES];
};

struct local {
    struct channel *channel; /* NULL: free */
    char process[DAEMON_KEPT_BYTES];
};

struct daemon {
    struct node *node;
    struct daemon_core *core;
    struct daemon_actions actions;
    struct daemon_image *image;
    struct disk *disk;
    struct channel *controls[SIDES];
    struct peers peers;
    struct watched watched[WATCHED_MAX];
    struct local links[LINKS_HERE_MAX];
};

static void step(struct world *world, struct daemon *daemon, struct daemon_event *event);

struct node *sim_daemon_find_program(const struct world *world, int host, const char *process)
{
    char name[NODE_NAME_BYTES];
    if (strchr(process, '.') != NULL)
        snprintf(name, sizeof name, "%s", process);
    else
        snprintf(name, sizeof name, "%s@%s", process, world->hosts[host].name);
    struct node *node = world_find_node(world, name);
    return node != NULL && node->host == host ? node : NULL;
}

/* ---- watching programs */

static void watch(struct daemon *daemon, struct node *node, uint64_t life, const char *process, struct token token,
                  bool is_child)
{
    struct watched *unused = NULL;
    for (size_t i = 0; i < WATCHED_MAX; i++) {
        struct watched *one = &daemon->watched[i];
        if (one->node == node && one->life == life)
            return;
        if (one->node == NULL && unused == NULL)
            unused = one;
    }
    ASSERT(unused != NULL);
    *unused = (struct watched){.node = node, .life = life, .is_child = is_child, .token = token};
    text_copy(unused->process, sizeof unused->process, process);
}

struct exit_fact {
    char process[DAEMON_KEPT_BYTES];
    struct token token;
    struct daemon_exit exited;
};

static void run_last_words(struct world *world, struct node *node, void *data)
{
    const struct exit_fact *fact = data;
    struct daemon_event event = {.type = DAEMON_EVENT_LAST_WORDS, .process = fact->process};
    event.last_words.token = fact->token;
    event.last_words.text = "";
    story_fact(&world->story, "last words of %s", fact->process);
    step(world, node->state, &event);
}

static void run_exit_fact(struct world *world, struct node *node, void *data)
{
    const struct exit_fact *fact = data;
    struct daemon_event event = {.type = DAEMON_EVENT_EXITED, .process = fact->process, .exited = fact->exited};
    story_fact(&world->story, "%s exited: %s %d", fact->process, fact->exited.signal != 0 ? "signal" : "code",
               (int)(fact->exited.signal != 0 ? fact->exited.signal : fact->exited.code));
    struct kept_run *run = daemon_image_run(((struct daemon *)node->state)->image, fact->process);
    if (token_compare(run->token, fact->token) == 0)
        run->token = (struct token){0}; /* its end is known */
    step(world, node->state, &event);
    world_after(world, LAST_WORDS_US, node, run_last_words, memory_copy(fact, sizeof *fact));
}

/* The pidfd is readable: once for each run that is watched. */
static bool tell_exit(struct world *world, struct daemon *daemon, const struct node *dead, uint64_t life)
{
    for (size_t i = 0; i < WATCHED_MAX; i++) {
        struct watched *one = &daemon->watched[i];
        if (one->node != dead || one->life != life)
            continue;
        struct exit_fact fact = {.token = one->token};
        text_copy(fact.process, sizeof fact.process, one->process);
        fact.exited.pid = local_pid_of(dead, life);
        fact.exited.unknown = !one->is_child;
        fact.exited.code = one->is_child ? dead->code : 0;
        fact.exited.signal = one->is_child ? dead->signal : 0;
        world_after(world, chance_between(&world->chance, 20, EXIT_FACT_MAX_US), daemon->node, run_exit_fact,
                    memory_copy(&fact, sizeof fact));
        *one = (struct watched){0};
        return true;
    }
    return false;
}

bool sim_daemon_on_death(struct world *world, const struct node *dead)
{
    return dead->host < SIDES && world->cluster->daemons[dead->host]->alive &&
           tell_exit(world, world->cluster->daemons[dead->host]->state, dead, dead->life);
}

/* ---- the spawner */

struct spawning {
    char process[DAEMON_KEPT_BYTES];
    struct token token;
    struct node *child; /* cloned already; NULL: not yet */
    uint64_t child_life;
};

/* NULL when it cannot be started: another one of this name runs. */
static struct node *clone_child(struct world *world, struct daemon *daemon, const char *process, struct token token)
{
    struct node *child = sim_daemon_find_program(world, daemon->node->host, process);
    if (child == NULL) {
        judge_fail(world, "%s starts %s, which is not placed there", daemon->node->name, process);
        return NULL;
    }
    if (strchr(process, '.') != NULL)
        judge_on_spawn(world, child, token);
    if (child->alive)
        return NULL;
    world->cluster->tokens[child->slot] = token;
    node_start(world, child);
    return child;
}

static void run_spawned(struct world *world, struct node *node, void *data)
{
    struct daemon *daemon = node->state;
    struct spawning *spawning = data;
    struct node *child = spawning->child;
    if (child == NULL) {
        child = clone_child(world, daemon, spawning->process, spawning->token);
        spawning->child_life = child != NULL ? child->life : 0;
    }
    struct daemon_event event = {.type = child != NULL ? DAEMON_EVENT_SPAWNED : DAEMON_EVENT_SPAWN_FAILED,
                                 .process = spawning->process};
    story_fact(&world->story, "%s %s", spawning->process, child != NULL ? "spawned" : "could not be spawned");
    if (child == NULL) {
        event.spawn_failed.token = spawning->token;
        event.spawn_failed.sentence = "another copy of it runs";
        step(world, daemon, &event);
        return;
    }
    bool is_there = child->alive && child->life == spawning->child_life;
    event.spawned.token = spawning->token;
    event.spawned.pid = local_pid_of(child, spawning->child_life);
    watch(daemon, child, spawning->child_life, spawning->process, spawning->token, true);
    step(world, daemon, &event);
    if (!is_there)
        (void)tell_exit(world, daemon, child, spawning->child_life);
}

/* The intent is recorded first. Whether the child is there already when the daemon dies just now, is chance. */
static void start_spawn(struct world *world, struct daemon *daemon, const struct daemon_action *action)
{
    struct kept_run *run = daemon_image_run(daemon->image, action->process);
    *run = (struct kept_run){.boot = world->hosts[daemon->node->host].boot, .token = action->spawn.token};
    text_copy(run->process, sizeof run->process, action->process);
    struct spawning *spawning = memory_alloc(sizeof *spawning);
    spawning->token = action->spawn.token;
    text_copy(spawning->process, sizeof spawning->process, action->process);
    if (chance_hits(&world->chance, 500)) {
        spawning->child = clone_child(world, daemon, action->process, action->spawn.token);
        spawning->child_life = spawning->child != NULL ? spawning->child->life : 0;
    }
    world_after(world, chance_between(&world->chance, SPAWN_MIN_US, SPAWN_MAX_US), daemon->node, run_spawned, spawning);
}

static void kill_program(struct world *world, const struct daemon *daemon, const struct daemon_action *action)
{
    for (size_t i = 0; i < world->node_count; i++) {
        struct node *node = world->nodes[i];
        if (node->alive && node->host == daemon->node->host && local_pid(node) == action->kill.pid) {
            process_signal(world, node, action->kill.signal);
            return;
        }
    }
}

/* ---- what programs say */

void sim_daemon_run_notice(struct world *world, struct node *node, void *data)
{
    struct daemon *daemon = node->state;
    const struct sim_notice *notice = data;
    for (size_t i = 0; i < WATCHED_MAX; i++) {
        const struct watched *one = &daemon->watched[i];
        if (one->node == NULL || local_pid_of(one->node, one->life) != notice->pid)
            continue;
        struct daemon_event event = {.type = DAEMON_EVENT_NOTIFY, .process = one->process};
        event.notify.ready = notice->ready;
        event.notify.endpoint = notice->endpoint;
        event.notify.stale = "";
        story_fact(&world->story, "%s says READY=1 at '%s'", one->process, notice->endpoint);
        step(world, daemon, &event);
        return;
    }
}

struct probe {
    char process[DAEMON_KEPT_BYTES];
};

static void run_probe(struct world *world, struct node *node, void *data)
{
    const struct probe *probe = data;
    const struct node *child = sim_daemon_find_program(world, node->host, probe->process);
    if (child == NULL || !child->alive || child->actor != &sim_process_actor || !sim_process_is_serving(child))
        return;
    struct daemon_event event = {.type = DAEMON_EVENT_PORT_OPEN, .process = probe->process};
    story_fact(&world->story, "port of %s is open", probe->process);
    step(world, node->state, &event);
}

/* ---- actions */

static void send_to(struct world *world, struct daemon *daemon, uint64_t number, Gemel__Envelope *envelope)
{
    struct peer *peer = peers_find(&daemon->peers, number);
    if (peer == NULL)
        return;
    struct node *to = channel_peer(peer->address.channel, daemon->node);
    tell_sent(world, to, envelope);
    if (post_answer(world, &peer->address, daemon->node, envelope) != 0)
        peers_forget(&daemon->peers, number);
}

static void send_reports(struct world *world, struct daemon *daemon, uint64_t number, Gemel__ProcessReports *reports)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.body_case = GEMEL__ENVELOPE__BODY_PROCESS_REPORTS;
    envelope.process_reports = reports;
    if (number != 0) {
        send_to(world, daemon, number, &envelope);
        return;
    }
    for (size_t i = 0; i < PEERS_MAX; i++)
        if (daemon->peers.items[i].number != 0)
            send_to(world, daemon, daemon->peers.items[i].number, &envelope);
}

static void on_job_done(struct world *world, struct node *node, const void *data, int result)
{
    const struct daemon_job *job = data;
    if (result != 0 || job->kind == DAEMON_JOB_ORDER)
        return;
    struct daemon_event event = {.type = DAEMON_EVENT_EPOCH_STORED, .epoch = job->number};
    if (job->kind == DAEMON_JOB_STARTS) {
        event.type = DAEMON_EVENT_STARTS_RESERVED;
        event.starts_end = job->number;
    }
    story_fact(&world->story, "%s stored", job->kind == DAEMON_JOB_STARTS ? "token numbers" : "epoch");
    step(world, node->state, &event);
}

static void record_run(struct daemon *daemon, const struct daemon_action *action)
{
    struct kept_run *run = daemon_image_run(daemon->image, action->process);
    if (token_compare(run->token, action->record.token) != 0)
        return;
    run->ready = action->record.ready;
    run->stopping = action->record.stopping;
    run->restarts = action->record.restarts;
    text_copy(run->endpoint, sizeof run->endpoint, action->record.endpoint);
    text_copy(run->status, sizeof run->status, action->record.status);
    text_copy(run->stale, sizeof run->stale, action->record.stale);
}

static void ping(struct world *world, struct daemon *daemon, const char *process)
{
    for (size_t i = 0; i < LINKS_HERE_MAX; i++)
        if (daemon->links[i].channel != NULL && strcmp(daemon->links[i].process, process) == 0)
            (void)post_frame(world, daemon->links[i].channel, daemon->node, FRAME_PING, 1, NULL, 0);
}

static void send_hello(struct world *world, struct daemon *daemon, const struct daemon_action *action)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.body_case = GEMEL__ENVELOPE__BODY_DAEMON_HELLO;
    envelope.daemon_hello = action->hello.hello;
    send_to(world, daemon, action->hello.peer, &envelope);
}

static void send_stale(struct world *world, struct daemon *daemon, const struct daemon_action *action)
{
    Gemel__StaleEpoch stale = GEMEL__STALE_EPOCH__INIT;
    stale.epoch_now = action->stale.epoch_now;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.body_case = GEMEL__ENVELOPE__BODY_STALE_EPOCH;
    envelope.stale_epoch = &stale;
    send_to(world, daemon, action->stale.peer, &envelope);
}

static void carry_out(struct world *world, struct daemon *daemon, const struct daemon_action *action)
{
    struct disk_job job;
    struct probe probe = {{0}};
    switch (action->type) {
    case DAEMON_ACTION_SPAWN:
        story_decision(&world->story, "SPAWN %s, token %" PRIu64 "-%" PRIu64, action->process,
                       action->spawn.token.placement, action->spawn.token.start);
        start_spawn(world, daemon, action);
        break;
    case DAEMON_ACTION_KILL:
        story_decision(&world->story, "KILL %s with %d", action->process, (int)action->kill.signal);
        kill_program(world, daemon, action);
        break;
    case DAEMON_ACTION_PROBE_PORT:
        text_copy(probe.process, sizeof probe.process, action->process);
        world_after(world, PROBE_US, daemon->node, run_probe, memory_copy(&probe, sizeof probe));
        break;
    case DAEMON_ACTION_PING:
        ping(world, daemon, action->process);
        break;
    case DAEMON_ACTION_RECORD_RUN:
        record_run(daemon, action);
        break;
    case DAEMON_ACTION_STORE_ORDER:
    case DAEMON_ACTION_STORE_EPOCH:
    case DAEMON_ACTION_RESERVE_STARTS:
        story_decision(&world->story, "store");
        job = daemon_job_of(action, on_job_done);
        disk_submit(world, daemon->disk, daemon->node, &job);
        break;
    case DAEMON_ACTION_SEND_HELLO:
        send_hello(world, daemon, action);
        break;
    case DAEMON_ACTION_SEND_REPORTS:
        send_reports(world, daemon, action->reports.peer, action->reports.reports);
        break;
    case DAEMON_ACTION_SEND_STALE_EPOCH:
        send_stale(world, daemon, action);
        break;
    case DAEMON_ACTION_LOOKUP_REPLY:
        break;
    case DAEMON_ACTION_LOG:
        story_decision(&world->story, "say '%s'", action->log.sentence);
        break;
    case DAEMON_ACTION_EXIT:
        judge_fail(world, "%s wants to end, and nobody asked it to", daemon->node->name);
        break;
    }
}

static int step_core(struct world *world, struct daemon *daemon, struct daemon_event *event)
{
    event->now_ms = node_now_ms(world, daemon->node);
    event->wall_ns = node_wall_ns(world, daemon->node);
    int result = daemon_core_step(daemon->core, event, &daemon->actions);
    for (size_t i = 0; i < daemon->actions.count; i++)
        carry_out(world, daemon, &daemon->actions.items[i]);
    return result;
}

static void end_step(struct world *world, struct daemon *daemon)
{
    daemon_actions_reset(&daemon->actions);
    story_end(&world->story, world->now_us, daemon->node->name);
    node_wake_at(world, daemon->node, daemon_core_next_wakeup_ms(daemon->core));
}

static void step(struct world *world, struct daemon *daemon, struct daemon_event *event)
{
    (void)step_core(world, daemon, event);
    end_step(world, daemon);
}

/* ---- the actor */

static void adopt(struct world *world, struct daemon *daemon, const char *process)
{
    const struct kept_run *run = daemon_image_run(daemon->image, process);
    struct node *child = sim_daemon_find_program(world, daemon->node->host, process);
    struct daemon_event event = {.type = DAEMON_EVENT_ADOPT, .process = process};
    struct daemon_adopt *facts = &event.adopt;
    ProtobufCMessage *spec = NULL;
    facts->token = run->token;
    if (run->boot == world->hosts[daemon->node->host].boot && token_compare(run->token, (struct token){0}) != 0)
        facts->run = child != NULL && child->alive ? DAEMON_RUN_ALIVE : DAEMON_RUN_DEAD;
    if (facts->run == DAEMON_RUN_ALIVE) {
        facts->pid = local_pid(child);
        watch(daemon, child, child->life, process, run->token, false);
    }
    facts->ready = run->ready;
    facts->stopping = run->stopping;
    facts->endpoint = run->endpoint;
    facts->status = run->status;
    facts->stale = run->stale;
    facts->restarts = run->restarts;
    for (size_t i = 0; i < DAEMON_KEPT_MAX; i++) {
        const struct kept_order *order = &daemon->image->orders[i];
        if (strcmp(order->process, process) != 0)
            continue;
        if (order->spec != NULL)
            (void)wire_unpack(&gemel__process_spec__descriptor, order->spec, order->spec_bytes, &spec);
        facts->spec = (const Gemel__ProcessSpec *)spec;
        facts->placement = order->placement;
        facts->clear_failed = order->clear_failed;
        facts->wanted = order->wanted;
        facts->parked = order->parked;
        facts->failed = order->failed;
        facts->why = order->why;
    }
    story_fact(&world->story, "adopt %s: run %d", process, (int)facts->run);
    step(world, daemon, &event);
    wire_free(spec);
}

static void adopt_all(struct world *world, struct daemon *daemon)
{
    if (world->cluster->tooth == TOOTH_LOST_CHILDREN)
        return;
    for (size_t i = 0; i < DAEMON_KEPT_MAX; i++)
        if (daemon->image->orders[i].process[0] != '\0')
            (void)daemon_image_run(daemon->image, daemon->image->orders[i].process);
    for (size_t i = 0; i < DAEMON_KEPT_MAX; i++)
        if (daemon->image->runs[i].process[0] != '\0')
            adopt(world, daemon, daemon->image->runs[i].process);
}

static void make_spec(Gemel__ProcessSpec *spec, const char *process)
{
    gemel__process_spec__init(spec);
    spec->process = (char *)(uintptr_t)process;
    spec->readiness = GEMEL__READINESS__READINESS_NOTIFY;
    spec->startup_timeout_ms = 10000;
    spec->restart = GEMEL__RESTART__RESTART_ALWAYS;
    spec->stop_signal = SIGNAL_TERM;
    spec->stop_timeout_ms = 1000;
    spec->hang_timeout_ms = 1000;
}

static void start_daemon(struct world *world, struct node *node)
{
    struct cluster *cluster = world->cluster;
    struct daemon *daemon = memory_alloc(sizeof *daemon);
    node->state = daemon;
    daemon->node = node;
    daemon->image = &cluster->daemon_images[node->host];
    daemon->disk = cluster->daemon_disks[node->host];
    daemon_actions_init(&daemon->actions);
    char boot[32];
    snprintf(boot, sizeof boot, "boot-%" PRIu64, world->hosts[node->host].boot);
    Gemel__ProcessSpec control;
    Gemel__ProcessSpec procmgr;
    make_spec(&control, DAEMON_CONTROL);
    make_spec(&procmgr, DAEMON_PROCMGR);
    uint64_t first_start = daemon->image->starts_end > 0 ? daemon->image->starts_end : 1;
    bool forgets = cluster->tooth == TOOTH_OLD_TOKENS;
    struct daemon_core_config config = {
        .host = world->hosts[node->host].name,
        .boot_id = boot,
        .version = "sim",
        .seed = chance_next(&world->chance),
        .epoch_seen = daemon->image->epoch,
        .start_next = forgets ? 1 : first_start,
        .start_end = forgets ? DAEMON_STARTS_BLOCK : first_start,
        .control_spec = cluster->daemons_start_controls ? &control : NULL,
        .procmgr_spec = &procmgr,
    };
    daemon_core_create(&daemon->core, &config);
    adopt_all(world, daemon);
    struct daemon_event event = {.type = DAEMON_EVENT_PROCMGR_START};
    story_fact(&world->story, "process-manager --start");
    step(world, daemon, &event);
    for (int host = 0; host < SIDES; host++)
        daemon->controls[host] = network_dial(world, node, cluster->controls[host], CHANNEL_PLANE, 0);
}

static void stop_daemon(struct world *world, struct node *node)
{
    struct daemon *daemon = node->state;
    disk_abandon(world, daemon->disk);
    daemon_core_destroy(&daemon->core);
    daemon_actions_fini(&daemon->actions);
    memory_free(daemon);
}

static void tell_peer_up(struct world *world, struct daemon *daemon, struct channel *channel)
{
    struct address address = {.channel = channel, .generation = channel->generation};
    struct daemon_event event = {.type = DAEMON_EVENT_PEER_UP};
    event.peer = peers_number(&daemon->peers, &address);
    story_fact(&world->story, "%s wants reports", channel_peer(channel, daemon->node)->name);
    step(world, daemon, &event);
}

static void on_up(struct world *world, struct node *node, struct channel *channel)
{
    if (channel->dialler == node)
        tell_peer_up(world, node->state, channel);
}

static void on_down(struct world *world, struct node *node, struct channel *channel)
{
    struct daemon *daemon = node->state;
    if (channel->kind == CHANNEL_PLANE)
        return;
    for (size_t i = 0; i < LINKS_HERE_MAX; i++) {
        struct local *link = &daemon->links[i];
        if (link->channel != channel)
            continue;
        struct daemon_event event = {.type = DAEMON_EVENT_UNLINKED, .process = link->process};
        link->channel = NULL;
        story_fact(&world->story, "link of %s closed", link->process);
        step(world, daemon, &event);
        return;
    }
}

static struct local *find_link(struct daemon *daemon, const struct channel *channel)
{
    for (size_t i = 0; i < LINKS_HERE_MAX; i++)
        if (daemon->links[i].channel == channel)
            return &daemon->links[i];
    return NULL;
}

static void on_link_hello(struct world *world, struct daemon *daemon, struct channel *channel,
                          const Gemel__LinkHello *hello)
{
    struct local *link = find_link(daemon, NULL);
    ASSERT(link != NULL);
    link->channel = channel;
    text_copy(link->process, sizeof link->process, hello->name);
    struct node *program = channel->dialler;
    if (strcmp(hello->name, DAEMON_CONTROL) == 0)
        watch(daemon, program, channel->dialler_life, hello->name, (struct token){0}, false);
    struct daemon_event event = {.type = DAEMON_EVENT_LINKED, .process = link->process};
    event.linked.pid = hello->pid;
    event.linked.token = (struct token){.placement = hello->placement, .start = hello->start};
    story_fact(&world->story, "%s linked, pid %d", hello->name, (int)hello->pid);
    step(world, daemon, &event);
}

static void on_frame(struct world *world, struct daemon *daemon, struct channel *channel, const uint8_t *bytes,
                     size_t size)
{
    struct frame_header header;
    const uint8_t *body = NULL;
    post_read_frame(bytes, size, &header, &body);
    struct local *link = find_link(daemon, channel);
    if (header.type == FRAME_HELLO && link == NULL) {
        ProtobufCMessage *hello = NULL;
        int result = wire_unpack(&gemel__link_hello__descriptor, body, header.body_bytes, &hello);
        ASSERT(result == 0);
        on_link_hello(world, daemon, channel, (const Gemel__LinkHello *)hello);
        wire_free(hello);
    } else if (header.type == FRAME_PONG && link != NULL) {
        struct daemon_event event = {.type = DAEMON_EVENT_PONG, .process = link->process};
        story_fact(&world->story, "pong of %s", link->process);
        step(world, daemon, &event);
    }
}

/* Does this action change anything but what the daemon says? */
static bool is_effect(const struct daemon_action *action)
{
    return action->type == DAEMON_ACTION_SPAWN || action->type == DAEMON_ACTION_KILL ||
           action->type == DAEMON_ACTION_STORE_ORDER || action->type == DAEMON_ACTION_STORE_EPOCH;
}

static void take_orders(struct world *world, struct daemon *daemon, const Gemel__Envelope *message,
                        const struct address *address)
{
    struct daemon_event event = {.type = DAEMON_EVENT_ORDERS};
    event.orders.peer = peers_number(&daemon->peers, address);
    event.orders.epoch = message->epoch;
    if (world->cluster->tooth == TOOTH_STALE_ORDERS && message->epoch < daemon_core_epoch(daemon->core))
        event.orders.epoch = daemon_core_epoch(daemon->core);
    event.orders.orders = message->orders;
    (void)step_core(world, daemon, &event);
    bool has_effect = false;
    for (size_t i = 0; i < daemon->actions.count; i++)
        has_effect = has_effect || is_effect(&daemon->actions.items[i]);
    judge_on_orders(world, daemon->node, message->epoch, has_effect);
    end_step(world, daemon);
}

static void on_envelope(struct world *world, struct daemon *daemon, struct channel *channel,
                        const Gemel__Envelope *message)
{
    struct address address = {.channel = channel, .generation = channel->generation};
    tell_received(world, message);
    if (message->body_case == GEMEL__ENVELOPE__BODY_ORDERS) {
        take_orders(world, daemon, message, &address);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_REGISTRY) {
        struct daemon_event event = {.type = DAEMON_EVENT_REGISTRY, .registry = message->registry};
        step(world, daemon, &event);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_SUBSCRIBE) {
        tell_peer_up(world, daemon, channel);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_PING) {
        Gemel__Pong pong = GEMEL__PONG__INIT;
        pong.sent_ms = message->ping->sent_ms;
        Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
        envelope.body_case = GEMEL__ENVELOPE__BODY_PONG;
        envelope.pong = &pong;
        (void)post_answer(world, &address, daemon->node, &envelope);
    }
}

static void on_bytes(struct world *world, struct node *node, struct channel *channel, const uint8_t *bytes, size_t size)
{
    if (channel->kind == CHANNEL_LINK) {
        on_frame(world, node->state, channel, bytes, size);
        return;
    }
    Gemel__Envelope *message = post_open(bytes, size);
    on_envelope(world, node->state, channel, message);
    post_free(message);
}

static void on_wakeup(struct world *world, struct node *node)
{
    struct daemon_event event = {.type = DAEMON_EVENT_TICK};
    story_fact(&world->story, "tick");
    step(world, node->state, &event);
}

const struct actor sim_daemon_actor = {
    .kind = "daemon",
    .start = start_daemon,
    .stop = stop_daemon,
    .on_up = on_up,
    .on_down = on_down,
    .on_bytes = on_bytes,
    .on_wakeup = on_wakeup,
};
