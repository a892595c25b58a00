#include "tests/sim/sim_control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/memory.h"
#include "common/base/token.h"
#include "tests/sim/judge.h"
#include "tests/sim/post.h"
#include "tests/sim/sim_control_state.h"
#include "tests/sim/tell.h"

static void drain_work(struct world *world, struct control *control);

void sim_control_add_work(struct control *control, struct work work)
{
    ASSERT(control->work_count < WORK_MAX);
    control->work[(control->work_first + control->work_count++) % WORK_MAX] = work;
}

static struct pair_event pair_event(const struct world *world, const struct control *control, enum pair_event_type type)
{
    return (struct pair_event){
        .type = type,
        .now_ms = node_now_ms(world, control->node),
        .wall_ns = (int64_t)node_wall_ns(world, control->node),
    };
}

/* ---- the store */

static void step_pair(struct world *world, struct control *control, const struct pair_event *event);

static void on_job_done(struct world *world, struct node *node, const void *data, int result)
{
    struct control *control = node->state;
    const struct control_job *job = data;
    if (job->kind == CONTROL_JOB_ROWS) {
        control->rows_broken = control->rows_broken || result != 0;
        return;
    }
    struct pair_event event = pair_event(world, control, result == 0 ? PAIR_EVENT_STORED : PAIR_EVENT_STORE_FAILED);
    if (result == 0) {
        event.stored = job->sequence;
    } else {
        if (job->sequence <= control->failed_through)
            return; /* told with the first of them */
        control->failed_through = control->given_through;
        event.store_failed.sequence = job->sequence;
        event.store_failed.code = result;
    }
    story_fact(&world->story, "%s %" PRIu64, result == 0 ? "stored" : "store failed", job->sequence);
    step_pair(world, control, &event);
}

static void submit_pair_job(struct world *world, struct control *control, const struct pair_action *action)
{
    struct disk_job job = control_job_of_pair(action, on_job_done);
    struct control_job *content = job.data;
    control->given_through = content->sequence;
    if (content->reset_state) {
        state_clear(control->state);
        control->applied_index = 0;
        control->rows_broken = false;
        sim_control_add_work(control, (struct work){.kind = WORK_STATE_CHANGED});
    }
    if (world->cluster->tooth == TOOTH_DROPPED_DIVERGENCE)
        content->diverged = false;
    disk_submit(world, control->disk, control->node, &job);
}

static void apply_committed(struct world *world, struct control *control, const struct pair_action *action)
{
    for (size_t i = 0; i < action->committed.entry_count; i++) {
        const Gemel__LogEntry *entry = action->committed.entries[i];
        judge_on_committed(world, control->node, entry, control->applied_index);
        control->applied_index = entry->index;
        (void)state_apply(control->state, entry, &control->changes);
    }
    if (!control->rows_broken) {
        struct disk_job job = control_job_of_rows(&control->changes, control->applied_index, on_job_done);
        disk_submit(world, control->disk, control->node, &job);
    }
    state_changes_reset(&control->changes);
    sim_control_add_work(control, (struct work){.kind = WORK_STATE_CHANGED});
}

/* ---- the pair */

static void tell_store(struct world *world, const struct pair_action *action)
{
    if (action->type == PAIR_ACTION_STORE_APPEND)
        story_decision(&world->story, "store %zu entries (%" PRIu64 ")", action->store_append.entry_count,
                       action->store_append.sequence);
    else if (action->type == PAIR_ACTION_STORE_TRUNCATE)
        story_decision(&world->story, "cut the log above %" PRIu64 "%s%s (%" PRIu64 ")", action->store_truncate.keep,
                       action->store_truncate.diverged ? ", keep the rest as diverged" : "",
                       action->store_truncate.reset_state ? ", reset the state" : "", action->store_truncate.sequence);
    else
        story_decision(&world->story, "store meta: epoch %" PRIx64 ", members %d (%" PRIu64 ")",
                       action->store_meta.meta.epoch_seen, (int)action->store_meta.meta.record.members,
                       action->store_meta.sequence);
}

/* A tooth: another operation under a checksum that fits, which no network does by itself. */
static void forge_append(struct world *world, Gemel__PairAppend *append)
{
    if (append->n_entries == 0 || !chance_hits(&world->chance, 20))
        return;
    Gemel__LogEntry *entry = append->entries[append->n_entries - 1];
    entry->op.data[entry->op.len - 1] ^= 1;
    entry->crc32c = crc32c(entry->op.data, entry->op.len);
}

static void carry_out_pair(struct world *world, struct control *control, const struct pair_action *action)
{
    switch (action->type) {
    case PAIR_ACTION_SEND:
        if (world->cluster->tooth == TOOTH_FORGED_LOG && action->send->body_case == GEMEL__ENVELOPE__BODY_PAIR_APPEND)
            forge_append(world, action->send->pair_append);
        tell_sent(world, control->to_peer->listener, action->send);
        (void)post_envelope(world, control->to_peer, control->node, action->send);
        break;
    case PAIR_ACTION_STORE_APPEND:
    case PAIR_ACTION_STORE_TRUNCATE:
    case PAIR_ACTION_STORE_META:
        tell_store(world, action);
        submit_pair_job(world, control, action);
        break;
    case PAIR_ACTION_COMMITTED:
        story_decision(&world->story, "commit up to %" PRIu64,
                       action->committed.entries[action->committed.entry_count - 1]->index);
        apply_committed(world, control, action);
        break;
    case PAIR_ACTION_LEADING:
        story_decision(&world->story, "LEADS in epoch %" PRIx64 ": %s", action->role.epoch, action->role.why);
        sim_control_add_work(control, (struct work){.kind = WORK_ROLE, .leading = true, .number = action->role.epoch});
        break;
    case PAIR_ACTION_FOLLOWING:
        story_decision(&world->story, "FOLLOWS '%s': %s", action->role.leader, action->role.why);
        sim_control_add_work(control, (struct work){.kind = WORK_ROLE});
        break;
    case PAIR_ACTION_ACKNOWLEDGED:
        story_decision(&world->story, "acknowledge %" PRIu64 "%s", action->acknowledged.index,
                       action->acknowledged.solo ? " (one host only)" : "");
        judge_on_acknowledged(world, control->node, sim_control_log(control->node), action->acknowledged.index,
                              action->acknowledged.solo);
        sim_command_on_acknowledged(world, control, action->acknowledged.tag);
        break;
    case PAIR_ACTION_REFUSED:
        story_decision(&world->story, "refuse: %s", action->refused.sentence);
        sim_command_on_refused(world, control, action->refused.tag);
        break;
    case PAIR_ACTION_LOG:
        story_decision(&world->story, "say '%s'", action->log.sentence);
        break;
    case PAIR_ACTION_ARBITER_READ:
    case PAIR_ACTION_ARBITER_APPEND:
        judge_fail(world, "a pair without an arbiter asked for one");
        break;
    }
}

/* Who has won an epoch leads in it, before it acts. */
static void watch_leader(struct world *world, const struct control *control)
{
    struct pair_status status;
    pair_get_status(control->pair, &status);
    if (status.state == PAIR_LEADING)
        judge_on_leading(world, control->node, status.epoch);
}

static void step_pair(struct world *world, struct control *control, const struct pair_event *event)
{
    int result = pair_step(control->pair, event, &control->pair_actions);
    watch_leader(world, control);
    if (result == -EINVAL)
        judge_fail(world, "%s: the pair says that event %d makes no sense", control->node->name, (int)event->type);
    for (size_t i = 0; i < control->pair_actions.count; i++)
        carry_out_pair(world, control, &control->pair_actions.items[i]);
    pair_actions_reset(&control->pair_actions);
    story_end(&world->story, world->now_us, control->node->name);
    drain_work(world, control);
}

/* ---- the registry */

static void send_to_peer(struct world *world, struct control *control, uint64_t number, Gemel__Envelope *envelope)
{
    struct peer *peer = peers_find(&control->peers, number);
    if (peer != NULL)
        tell_sent(world, peer->address.channel->dialler, envelope);
    if (peer != NULL && post_answer(world, &peer->address, control->node, envelope) == 0)
        return;
    sim_control_add_work(control, (struct work){.kind = WORK_GONE, .number = number});
    peers_forget(&control->peers, number);
}

static void step_registry(struct world *world, struct control *control, struct registry_event *event)
{
    event->now_ms = node_now_ms(world, control->node);
    event->wall_ns = (int64_t)node_wall_ns(world, control->node);
    int result = registry_step(control->registry, event, &control->registry_actions);
    if (result == -EINVAL && event->type != REGISTRY_EVENT_MESSAGE && event->type != REGISTRY_EVENT_PEER_GONE)
        judge_fail(world, "%s: the registry says that event %d makes no sense", control->node->name, (int)event->type);
    for (size_t i = 0; i < control->registry_actions.count; i++) {
        struct registry_action *action = &control->registry_actions.items[i];
        switch (action->type) {
        case REGISTRY_ACTION_SEND:
            send_to_peer(world, control, action->send.peer, action->send.envelope);
            break;
        case REGISTRY_ACTION_PROPOSE:
            sim_command_propose(world, control, action->propose, 0);
            break;
        case REGISTRY_ACTION_STALE_EPOCH:
            sim_control_add_work(control, (struct work){.kind = WORK_STALE, .number = action->epoch_now});
            break;
        case REGISTRY_ACTION_LOG:
            story_decision(&world->story, "say '%s'", action->log.sentence);
            break;
        }
    }
    registry_actions_reset(&control->registry_actions);
    story_end(&world->story, world->now_us, control->node->name);
    drain_work(world, control);
}

static void do_work(struct world *world, struct control *control, const struct work *work)
{
    struct registry_event registry = {0};
    struct pair_event pair = pair_event(world, control, PAIR_EVENT_PROPOSE);
    switch (work->kind) {
    case WORK_ROLE:
        story_fact(&world->story, "role");
        registry.type = REGISTRY_EVENT_ROLE;
        registry.role.leading = work->leading;
        registry.role.epoch = work->number;
        step_registry(world, control, &registry);
        break;
    case WORK_STATE_CHANGED:
        story_fact(&world->story, "state changed");
        registry.type = REGISTRY_EVENT_STATE_CHANGED;
        step_registry(world, control, &registry);
        break;
    case WORK_GONE:
        story_fact(&world->story, "peer %" PRIu64 " gone", work->number);
        registry.type = REGISTRY_EVENT_PEER_GONE;
        registry.gone = work->number;
        step_registry(world, control, &registry);
        break;
    case WORK_PROPOSE:
        story_fact(&world->story, "proposal");
        pair.propose.op = work->op;
        pair.propose.op_bytes = work->op_bytes;
        pair.propose.tag = work->number;
        step_pair(world, control, &pair);
        break;
    case WORK_STALE:
        story_fact(&world->story, "somebody has seen epoch %" PRIx64, work->number);
        pair.type = PAIR_EVENT_STALE_EPOCH;
        pair.epoch_now = work->number;
        step_pair(world, control, &pair);
        break;
    }
    memory_free(work->op);
}

static void drain_work(struct world *world, struct control *control)
{
    if (control->draining)
        return;
    control->draining = true;
    while (control->work_count > 0) {
        struct work work = control->work[control->work_first];
        control->work_first = (control->work_first + 1) % WORK_MAX;
        control->work_count--;
        do_work(world, control, &work);
    }
    control->draining = false;
    int64_t pair_at_ms = pair_next_wakeup_ms(control->pair);
    int64_t registry_at_ms = registry_next_wakeup_ms(control->registry);
    node_wake_at(world, control->node, pair_at_ms < registry_at_ms ? pair_at_ms : registry_at_ms);
}

/* ---- the actor */

static void create_cores(struct world *world, struct control *control, const struct node *node)
{
    struct pair_config pair = {
        .node = world->cluster->tooth == TOOTH_TWO_LEADERS ? 1 : (uint8_t)(node->host + 1),
        .clustered = true,
        .policy = PAIR_PROMOTE,
        .heartbeat_ms = 100,
        .suspect_ms = 1000,
        .lease_ms = 3000,
        .margin_ms = 500,
        .discovery_ms = 5000,
        .incarnation = post_incarnation(node),
    };
    const char *other = world->hosts[node->host == HOST_A ? HOST_B : HOST_A].name;
    snprintf(pair.host, sizeof pair.host, "%s", world->hosts[node->host].name);
    snprintf(pair.peer_host, sizeof pair.peer_host, "%s", other);
    snprintf(pair.peer, sizeof pair.peer, "%s:2001", other);
    snprintf(pair.new_cluster_id, sizeof pair.new_cluster_id, "cluster-%" PRIu64, pair.incarnation);
    int result = pair_create(&control->pair, &pair);
    ASSERT(result == 0);
    struct registry_config registry = {.ping_ms = 100, .silent_ms = 300, .missing_timeout_ms = 10000};
    snprintf(registry.host, sizeof registry.host, "%s", world->hosts[node->host].name);
    for (int host = 0; host < SIDES; host++)
        snprintf(registry.hosts[host], sizeof registry.hosts[host], "%s", world->hosts[host].name);
    result = registry_create(&control->registry, &registry, control->state);
    ASSERT(result == 0);
}

static void start_pair(struct world *world, struct control *control)
{
    const struct control_image *image = &world->cluster->control_images[control->node->host];
    struct arena arena;
    arena_init(&arena);
    const Gemel__LogEntry **entries = arena_alloc(&arena, (image->log.count + 1) * sizeof *entries);
    for (size_t i = 0; i < image->log.count; i++) {
        ProtobufCMessage *entry = NULL;
        int result = wire_unpack_arena(&arena, &gemel__log_entry__descriptor, image->log.items[i].bytes,
                                       image->log.items[i].size, &entry);
        ASSERT(result == 0);
        entries[i] = (const Gemel__LogEntry *)entry;
    }
    struct pair_event event = pair_event(world, control, PAIR_EVENT_START);
    event.start.meta = &image->meta;
    event.start.entries = entries;
    event.start.entry_count = image->log.count;
    event.start.applied_index = image->applied_index;
    control->applied_index = image->applied_index;
    story_fact(&world->story, "start with %zu entries, %" PRIu64 " applied, epoch %" PRIx64, image->log.count,
               image->applied_index, image->meta.epoch_seen);
    step_pair(world, control, &event);
    arena_fini(&arena);
}

static void start_control(struct world *world, struct node *node)
{
    struct cluster *cluster = world->cluster;
    struct control *control = memory_alloc(sizeof *control);
    node->state = control;
    control->node = node;
    control->disk = cluster->control_disks[node->host];
    pair_actions_init(&control->pair_actions);
    registry_actions_init(&control->registry_actions);
    state_changes_init(&control->changes);
    state_create(&control->state);
    control_image_load_state(&cluster->control_images[node->host], control->state);
    create_cores(world, control, node);
    control->to_peer =
        network_dial(world, node, cluster->controls[node->host == HOST_A ? HOST_B : HOST_A], CHANNEL_PLANE, 0);
    local_link_start(world, node, &control->daemon, GEMEL__LINK_KIND__LINK_CONTROL, "control", (struct token){0});
    start_pair(world, control);
}

static void stop_control(struct world *world, struct node *node)
{
    struct control *control = node->state;
    disk_abandon(world, control->disk);
    pair_destroy(&control->pair);
    registry_destroy(&control->registry);
    state_destroy(&control->state);
    pair_actions_fini(&control->pair_actions);
    registry_actions_fini(&control->registry_actions);
    state_changes_fini(&control->changes);
    memory_free(control);
}

static void on_up(struct world *world, struct node *node, struct channel *channel)
{
    struct control *control = node->state;
    if (local_link_on_up(world, node, &control->daemon, channel) || channel != control->to_peer)
        return;
    struct pair_event event = pair_event(world, control, PAIR_EVENT_PEER_UP);
    story_fact(&world->story, "peer connected");
    step_pair(world, control, &event);
}

static void on_down(struct world *world, struct node *node, struct channel *channel)
{
    struct control *control = node->state;
    if (local_link_on_down(world, node, &control->daemon, channel) || channel != control->to_peer)
        return;
    struct pair_event event = pair_event(world, control, PAIR_EVENT_PEER_DOWN);
    event.peer_error = "connection lost";
    story_fact(&world->story, "peer disconnected");
    step_pair(world, control, &event);
}

static void on_envelope(struct world *world, struct control *control, struct channel *channel,
                        const Gemel__Envelope *message)
{
    struct address address = {.channel = channel, .generation = channel->generation};
    tell_received(world, message);
    if (strncmp(message->sender, "control@", 8) == 0) {
        struct pair_event event = pair_event(world, control, PAIR_EVENT_PEER_MESSAGE);
        event.message = message;
        step_pair(world, control, &event);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_ADMIN_REQUEST) {
        sim_command_on_request(world, control, &address, message);
        drain_work(world, control);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_ADMIN_REPLY) {
        sim_command_on_reply(world, control, message);
        drain_work(world, control);
    } else {
        struct registry_event event = {.type = REGISTRY_EVENT_MESSAGE};
        event.message.peer = peers_number(&control->peers, &address);
        event.message.envelope = message;
        step_registry(world, control, &event);
    }
}

static void on_bytes(struct world *world, struct node *node, struct channel *channel, const uint8_t *bytes, size_t size)
{
    struct control *control = node->state;
    if (local_link_on_bytes(world, node, &control->daemon, channel, bytes, size))
        return;
    Gemel__Envelope *message = post_open(bytes, size);
    on_envelope(world, control, channel, message);
    post_free(message);
}

static void on_wakeup(struct world *world, struct node *node)
{
    struct control *control = node->state;
    int64_t now_ms = node_now_ms(world, node);
    if (pair_next_wakeup_ms(control->pair) <= now_ms) {
        struct pair_event event = pair_event(world, control, PAIR_EVENT_TICK);
        story_fact(&world->story, "tick");
        step_pair(world, control, &event);
    }
    if (registry_next_wakeup_ms(control->registry) <= now_ms) {
        struct registry_event event = {.type = REGISTRY_EVENT_TICK};
        story_fact(&world->story, "tick");
        step_registry(world, control, &event);
    }
    drain_work(world, control);
}

const struct actor sim_control_actor = {
    .kind = "control",
    .start = start_control,
    .stop = stop_control,
    .on_up = on_up,
    .on_down = on_down,
    .on_bytes = on_bytes,
    .on_wakeup = on_wakeup,
};

void sim_control_status(const struct node *node, struct pair_status *status)
{
    const struct control *control = node->state;
    pair_get_status(control->pair, status);
}

const struct oplog *sim_control_log(const struct node *node)
{
    const struct control *control = node->state;
    return pair_get_log(control->pair);
}
