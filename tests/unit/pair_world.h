/* Two pair cores joined by hand: a virtual clock, a network that loses, delays and doubles, disks that keep what was
 * fsynced and lose what was not. For test_pair.c and test_pair_random.c. */
#ifndef GEMEL_TESTS_UNIT_PAIR_WORLD_H
#define GEMEL_TESTS_UNIT_PAIR_WORLD_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/token.h"
#include "common/wire/wire.h"
#include "control/core/pair.h"
#include "tests/unit/testing.h"

enum {
    WORLD_MESSAGES_MAX = 20000,
    WORLD_WRITES_MAX = 5000,
    WORLD_ACKS_MAX = 20000,
    WORLD_LEADS_MAX = 2000,
    WORLD_DIVERGED_MAX = 5000
};

struct world_message {
    int64_t at_ms;
    uint64_t order;
    int to;
    uint8_t *bytes;
    size_t size;
};

struct world_write {
    struct pair_action action; /* entries are owned */
    int64_t at_ms;
    uint64_t sequence;
};

struct world_node {
    struct pair_core *core; /* NULL: down */
    struct pair_config config;
    /* the disk */
    struct pair_meta meta;
    struct oplog *disk;
    struct world_write writes[WORLD_WRITES_MAX];
    size_t write_count;
    bool disk_full;
    int64_t fsync_ms;
    uint64_t diverged[WORLD_DIVERGED_MAX]; /* operation numbers set aside as acknowledged */
    size_t diverged_count;
    /* the shell */
    uint64_t applied; /* given by COMMITTED */
    bool acting;
    bool reset_due;
};

struct world_ack {
    uint64_t operation;
    bool solo;
};

struct world_lead {
    uint64_t epoch;
    int node;
};

struct world {
    int64_t now_ms;
    uint64_t order;
    uint64_t random;
    struct world_node nodes[2];
    struct world_message messages[WORLD_MESSAGES_MAX];
    size_t message_count;
    bool cut[2]; /* messages to this node are lost */
    unsigned loss_percent, double_percent;
    int64_t delay_max_ms;
    uint64_t next_operation;
    struct world_ack acks[WORLD_ACKS_MAX];
    size_t ack_count;
    size_t refused_count;
    int refused_code;
    struct world_lead leads[WORLD_LEADS_MAX];
    size_t lead_count;
    char last_log[1024];
    size_t found_count; /* "Peer control found" */
    char found[2][1024];
    uint64_t incarnations;
    bool story;
};

static inline uint64_t world_random(struct world *world, uint64_t below)
{
    world->random += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = world->random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

static inline void world_release_write(struct world_write *write)
{
    if (write->action.type != PAIR_ACTION_STORE_APPEND)
        return;
    for (size_t i = 0; i < write->action.store_append.entry_count; i++)
        wire_free(&write->action.store_append.entries[i]->base);
    memory_free(write->action.store_append.entries);
}

/* ---- the disk */

static inline uint64_t world_operation_of(struct oplog_entry entry)
{
    uint64_t operation = 0;
    if (entry.op_bytes == sizeof operation)
        memcpy(&operation, entry.op, sizeof operation);
    return operation;
}

static inline bool world_has(const struct world *world, int number, uint64_t operation)
{
    const struct oplog *log = world->nodes[number].disk;
    for (uint64_t i = 1; i <= oplog_last_index(log); i++)
        if (!oplog_is_lead(log, i) && world_operation_of(oplog_entry(log, i)) == operation)
            return true;
    return false;
}

static inline void world_perform(struct world_node *node, const struct world_write *write)
{
    const struct pair_action *action = &write->action;
    if (action->type == PAIR_ACTION_STORE_META) {
        node->meta = action->store_meta.meta;
    } else if (action->type == PAIR_ACTION_STORE_TRUNCATE) {
        uint64_t keep = action->store_truncate.keep;
        for (uint64_t i = keep + 1; action->store_truncate.acknowledged && i <= oplog_last_index(node->disk); i++)
            if (!oplog_is_lead(node->disk, i))
                node->diverged[node->diverged_count++] = world_operation_of(oplog_entry(node->disk, i));
        oplog_truncate(node->disk, keep);
    } else {
        for (size_t i = 0; i < action->store_append.entry_count; i++)
            assert_int_equal(oplog_accept(node->disk, action->store_append.entries[i]), 0);
    }
}

static inline void world_step(struct world *world, int number, struct pair_event *event);

/* Rule 4: a leader's record says both only when the follower has everything that the leader has acknowledged. */
static inline void world_check_growth(struct world *world, int number, enum pair_members before)
{
    if (!world->nodes[number].acting || before == PAIR_BOTH || world->nodes[number].meta.record.members != PAIR_BOTH)
        return;
    for (size_t i = 0; i < world->ack_count; i++)
        if (world_has(world, number, world->acks[i].operation))
            assert_true(world_has(world, 1 - number, world->acks[i].operation));
}

static inline void world_finish_write(struct world *world, int number)
{
    struct world_node *node = &world->nodes[number];
    struct pair_event event = {.type = PAIR_EVENT_STORED, .stored = node->writes[0].sequence};
    if (node->disk_full) {
        event = (struct pair_event){.type = PAIR_EVENT_STORE_FAILED,
                                    .store_failed = {.sequence = node->writes[0].sequence, .code = -ENOSPC}};
        for (size_t i = 0; i < node->write_count; i++)
            world_release_write(&node->writes[i]);
        node->write_count = 0;
    } else {
        enum pair_members before = node->meta.record.members;
        world_perform(node, &node->writes[0]);
        world_check_growth(world, number, before);
        world_release_write(&node->writes[0]);
        node->write_count--;
        memmove(node->writes, node->writes + 1, node->write_count * sizeof *node->writes);
    }
    world_step(world, number, &event);
}

/* ---- actions */

static inline void world_send(struct world *world, int from, const Gemel__Envelope *envelope)
{
    int to = 1 - from;
    /* Rule 1: an answer in an epoch is given only when that epoch is persisted. */
    if (envelope->body_case == GEMEL__ENVELOPE__BODY_PAIR_APPEND_REPLY)
        assert_true(world->nodes[from].meta.epoch_seen >= envelope->epoch);
    unsigned copies = world_random(world, 100) < world->double_percent ? 2 : 1;
    for (unsigned i = 0; i < copies; i++) {
        if (world_random(world, 100) < world->loss_percent)
            continue;
        assert_true(world->message_count < WORLD_MESSAGES_MAX);
        struct world_message *message = &world->messages[world->message_count++];
        int64_t delay_ms = 1;
        if (world->delay_max_ms > 0)
            delay_ms += (int64_t)world_random(world, (uint64_t)world->delay_max_ms);
        *message = (struct world_message){.at_ms = world->now_ms + delay_ms, .order = world->order++, .to = to};
        message->bytes = wire_pack(&envelope->base, &message->size);
    }
}

static inline void world_keep_write(struct world *world, struct world_node *node, const struct pair_action *action,
                                    uint64_t sequence)
{
    assert_true(node->write_count < WORLD_WRITES_MAX);
    struct world_write *write = &node->writes[node->write_count++];
    *write = (struct world_write){.action = *action, .sequence = sequence};
    int64_t after_ms = node->write_count > 1 ? node->writes[node->write_count - 2].at_ms : world->now_ms;
    write->at_ms = after_ms + node->fsync_ms;
    if (action->type != PAIR_ACTION_STORE_APPEND)
        return;
    size_t count = action->store_append.entry_count;
    write->action.store_append.entries = memory_alloc_array(count, sizeof(Gemel__LogEntry *));
    for (size_t i = 0; i < count; i++) {
        size_t size = 0;
        uint8_t *bytes = wire_pack(&action->store_append.entries[i]->base, &size);
        ProtobufCMessage *copy = NULL;
        assert_int_equal(wire_unpack(&gemel__log_entry__descriptor, bytes, size, &copy), 0);
        write->action.store_append.entries[i] = (Gemel__LogEntry *)copy;
        memory_free(bytes);
    }
}

static inline void world_take_lead(struct world *world, int number, uint64_t epoch)
{
    for (size_t i = 0; i < world->lead_count; i++)
        if (world->leads[i].epoch == epoch)
            fail_msg("epoch %llu was led twice", (unsigned long long)epoch);
    assert_true(world->lead_count < WORLD_LEADS_MAX);
    world->leads[world->lead_count++] = (struct world_lead){.epoch = epoch, .node = number};
}

static inline void world_take_log(struct world *world, int number, const char *sentence)
{
    snprintf(world->last_log, sizeof world->last_log, "%s", sentence);
    if (strncmp(sentence, "Peer control found", 18) == 0) {
        world->found_count++;
        snprintf(world->found[number], sizeof world->found[number], "%s", sentence);
    }
    if (world->story)
        printf("%8lld %c %s\n", (long long)world->now_ms, 'A' + number, sentence);
}

static inline void world_act(struct world *world, int number, const struct pair_action *action)
{
    struct world_node *node = &world->nodes[number];
    switch (action->type) {
    case PAIR_ACTION_SEND:
        world_send(world, number, action->send);
        break;
    case PAIR_ACTION_STORE_APPEND:
        world_keep_write(world, node, action, action->store_append.sequence);
        break;
    case PAIR_ACTION_STORE_TRUNCATE:
        world_keep_write(world, node, action, action->store_truncate.sequence);
        if (action->store_truncate.reset_state)
            node->applied = 0;
        break;
    case PAIR_ACTION_STORE_META:
        world_keep_write(world, node, action, action->store_meta.sequence);
        break;
    case PAIR_ACTION_COMMITTED:
        assert_int_equal(action->committed.entries[0]->index, node->applied + 1);
        node->applied += action->committed.entry_count;
        break;
    case PAIR_ACTION_LEADING:
        /* A leader acts only once its first entry is committed. */
        assert_int_equal(oplog_at(pair_get_log(node->core), node->applied).epoch, action->role.epoch);
        world_take_lead(world, number, action->role.epoch);
        node->acting = true;
        break;
    case PAIR_ACTION_FOLLOWING:
        node->acting = false;
        break;
    case PAIR_ACTION_ACKNOWLEDGED:
        assert_true(world->ack_count < WORLD_ACKS_MAX);
        /* Rules 2 and 3: fsynced here, and there, unless the record on the disk says alone. */
        assert_true(world_has(world, number, action->acknowledged.tag));
        if (node->config.clustered && node->meta.record.members != PAIR_SELF_ALONE)
            assert_true(world_has(world, 1 - number, action->acknowledged.tag));
        world->acks[world->ack_count++] =
            (struct world_ack){.operation = action->acknowledged.tag, .solo = action->acknowledged.solo};
        break;
    case PAIR_ACTION_REFUSED:
        world->refused_count++;
        world->refused_code = action->refused.code;
        break;
    case PAIR_ACTION_LOG:
        world_take_log(world, number, action->log.sentence);
        break;
    case PAIR_ACTION_ARBITER_READ:
    case PAIR_ACTION_ARBITER_APPEND:
        fail_msg("asked an arbiter that is not configured");
    }
}

static inline void world_step(struct world *world, int number, struct pair_event *event)
{
    struct world_node *node = &world->nodes[number];
    if (node->core == NULL)
        return;
    event->now_ms = world->now_ms;
    event->wall_ns = world->now_ms * 1000000;
    struct pair_actions actions;
    pair_actions_init(&actions);
    int result = pair_step(node->core, event, &actions);
    if (result != 0)
        fail_msg("event %d of %c: %s", (int)event->type, 'A' + number, strerror(-result));
    for (size_t i = 0; i < actions.count; i++)
        world_act(world, number, &actions.items[i]);
    pair_actions_fini(&actions);
}

/* ---- life */

static inline void world_init(struct world *world, uint64_t seed)
{
    memset(world, 0, sizeof *world);
    world->random = seed;
    world->now_ms = 1000;
    for (int i = 0; i < 2; i++) {
        struct world_node *node = &world->nodes[i];
        node->fsync_ms = 1;
        oplog_create(&node->disk);
        node->config = (struct pair_config){.node = (uint8_t)(i + 1),
                                            .clustered = true,
                                            .policy = PAIR_PROMOTE,
                                            .heartbeat_ms = 100,
                                            .suspect_ms = 1000,
                                            .lease_ms = 3000,
                                            .margin_ms = 500,
                                            .discovery_ms = 5000};
        snprintf(node->config.host, sizeof node->config.host, "%s", i == 0 ? "aaa" : "bbb");
        snprintf(node->config.peer_host, sizeof node->config.peer_host, "%s", i == 0 ? "bbb" : "aaa");
        snprintf(node->config.peer, sizeof node->config.peer, "%s:2001", i == 0 ? "bbb" : "aaa");
    }
}

static inline void world_start(struct world *world, int number)
{
    struct world_node *node = &world->nodes[number];
    assert_null(node->core);
    node->config.incarnation = ++world->incarnations;
    snprintf(node->config.new_cluster_id, sizeof node->config.new_cluster_id, "id-%llu",
             (unsigned long long)world->incarnations);
    assert_int_equal(pair_create(&node->core, &node->config), 0);
    struct arena arena;
    arena_init(&arena);
    size_t count = oplog_last_index(node->disk);
    const Gemel__LogEntry **entries = arena_alloc(&arena, (count + 1) * sizeof *entries);
    for (size_t i = 0; i < count; i++)
        entries[i] = oplog_message(node->disk, i + 1, &arena);
    struct pair_event event = {
        .type = PAIR_EVENT_START,
        .start = {.meta = &node->meta, .entries = entries, .entry_count = count, .applied_index = node->applied}};
    world_step(world, number, &event);
    arena_fini(&arena);
}

/* The program dies: of the writes under way, some prefix has reached the disk. */
static inline void world_crash(struct world *world, int number)
{
    struct world_node *node = &world->nodes[number];
    if (node->core == NULL)
        return;
    size_t done = node->disk_full ? 0 : (size_t)world_random(world, node->write_count + 1);
    for (size_t i = 0; i < node->write_count; i++) {
        if (i < done)
            world_perform(node, &node->writes[i]);
        world_release_write(&node->writes[i]);
    }
    node->write_count = 0;
    node->acting = false;
    if (node->applied > oplog_last_index(node->disk))
        node->applied = 0; /* the truncation that reset the tables is in the same transaction */
    node->applied = world_random(world, node->applied + 1);
    pair_destroy(&node->core);
}

static inline void world_fini(struct world *world)
{
    for (int i = 0; i < 2; i++) {
        world_crash(world, i);
        oplog_destroy(&world->nodes[i].disk);
    }
    for (size_t i = 0; i < world->message_count; i++)
        memory_free(world->messages[i].bytes);
}

/* ---- time */

static inline void world_deliver(struct world *world, size_t position)
{
    struct world_message message = world->messages[position];
    world->messages[position] = world->messages[--world->message_count];
    if (!world->cut[message.to] && world->nodes[message.to].core != NULL) {
        ProtobufCMessage *envelope = NULL;
        assert_int_equal(wire_unpack(&gemel__envelope__descriptor, message.bytes, message.size, &envelope), 0);
        struct pair_event event = {.type = PAIR_EVENT_PEER_MESSAGE, .message = (const Gemel__Envelope *)envelope};
        world_step(world, message.to, &event);
        wire_free(envelope);
    }
    memory_free(message.bytes);
}

/* Does the one thing that is due first and not after `until_ms`. Returns false when there is none. */
static inline bool world_turn(struct world *world, int64_t until_ms)
{
    int64_t at_ms = INT64_MAX;
    size_t message = SIZE_MAX;
    for (size_t i = 0; i < world->message_count; i++) {
        const struct world_message *one = &world->messages[i];
        if (one->at_ms < at_ms ||
            (one->at_ms == at_ms && message != SIZE_MAX && one->order < world->messages[message].order)) {
            at_ms = one->at_ms;
            message = i;
        }
    }
    int writer = -1, waker = -1;
    for (int i = 0; i < 2; i++) {
        const struct world_node *node = &world->nodes[i];
        if (node->core != NULL && node->write_count > 0 && node->writes[0].at_ms < at_ms) {
            at_ms = node->writes[0].at_ms;
            writer = i;
        }
        if (node->core != NULL && pair_next_wakeup_ms(node->core) < at_ms) {
            at_ms = pair_next_wakeup_ms(node->core);
            waker = i;
            writer = -1;
        }
    }
    if (at_ms > until_ms)
        return false;
    if (world->now_ms < at_ms)
        world->now_ms = at_ms;
    if (writer >= 0) {
        world_finish_write(world, writer);
    } else if (waker >= 0) {
        struct pair_event event = {.type = PAIR_EVENT_TICK};
        world_step(world, waker, &event);
    } else {
        world_deliver(world, message);
    }
    return true;
}

static inline void world_run(struct world *world, int64_t for_ms)
{
    int64_t until_ms = world->now_ms + for_ms;
    unsigned turns = 0;
    while (world_turn(world, until_ms))
        if (++turns > 1000000)
            fail_msg("the world does not come to rest");
    world->now_ms = until_ms;
}

static inline uint64_t world_propose(struct world *world, int number)
{
    uint64_t operation = ++world->next_operation;
    struct pair_event event = {
        .type = PAIR_EVENT_PROPOSE,
        .propose = {.op = (const uint8_t *)&operation, .op_bytes = sizeof operation, .tag = operation}};
    world_step(world, number, &event);
    return operation;
}

/* ---- questions */

static inline struct pair_status world_status(struct world *world, int number)
{
    struct pair_status status = {0};
    pair_get_status(world->nodes[number].core, &status);
    return status;
}

/* The node that acts as leader; -1: none, or both. */
static inline int world_leader(const struct world *world)
{
    if (world->nodes[0].acting == world->nodes[1].acting)
        return -1;
    return world->nodes[0].acting ? 0 : 1;
}

static inline bool world_is_acknowledged(const struct world *world, uint64_t operation)
{
    for (size_t i = 0; i < world->ack_count; i++)
        if (world->acks[i].operation == operation)
            return true;
    return false;
}

static inline bool world_was_set_aside(const struct world *world, uint64_t operation)
{
    for (int i = 0; i < 2; i++)
        for (size_t j = 0; j < world->nodes[i].diverged_count; j++)
            if (world->nodes[i].diverged[j] == operation)
                return true;
    return false;
}

static inline void world_assert_healed(struct world *world)
{
    int leader = world_leader(world);
    if (leader < 0)
        fail_msg("%s", world->nodes[0].acting ? "both lead" : "nobody leads");
    struct pair_status one = world_status(world, leader), other = world_status(world, 1 - leader);
    assert_int_equal(one.peer, PAIR_PEER_IN_SYNC);
    assert_int_equal(other.peer, PAIR_PEER_IN_SYNC);
    assert_memory_equal(&one.last, &other.last, sizeof one.last);
    assert_int_equal(one.commit_index, one.last.index);
    assert_int_equal(other.commit_index, one.last.index);
    struct oplog_position a = oplog_last(world->nodes[0].disk), b = oplog_last(world->nodes[1].disk);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(one.record.members, PAIR_BOTH);
    assert_int_equal(other.record.members, PAIR_BOTH);
    assert_string_equal(one.cluster_id, other.cluster_id);
}

#endif
