#include <errno.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/token.h"
#include "control/core/pair_parts.h"

void pair_commit(struct pair_core *core, uint64_t index)
{
    if (index > core->commit_index)
        core->commit_index = index;
    if (core->applied_index >= core->commit_index)
        return;
    struct arena *arena = &core->actions->arena;
    size_t count = (size_t)(core->commit_index - core->applied_index);
    struct pair_action *action = pair_act(core, PAIR_ACTION_COMMITTED);
    action->committed.entries = arena_alloc(arena, count * sizeof *action->committed.entries);
    action->committed.entry_count = count;
    for (size_t i = 0; i < count; i++)
        action->committed.entries[i] = oplog_message(core->log, core->applied_index + 1 + i, arena);
    core->applied_index = core->commit_index;
}

/* ---- whom to follow */

void pair_follow_lose(struct pair_core *core, const char *why)
{
    core->following = core->in_sync = false;
    core->lead_alone_at_ms = core->now_ms + core->config.lease_ms;
    core->hello_at_ms = core->now_ms;
    pair_enter(core, PAIR_FOLLOWING, why);
    pair_tell_following(core, "");
}

static void follow(struct pair_core *core, uint64_t epoch)
{
    if (core->state == PAIR_LEADING)
        pair_lead_step_down(core, "the peer leads in a newer epoch");
    core->following = true;
    core->in_sync = core->yields = false;
    core->verified_index = 0;
    core->leader_commit = core->leader_last = core->heartbeat_seen = 0;
    if (epoch > core->meta.epoch_seen) {
        core->meta.epoch_seen = epoch;
        pair_store_fact(core);
    }
    pair_enter(core, PAIR_FOLLOWING, "the peer leads");
    pair_say(core, PAIR_INFO, "Following [ Leader: %s ] [ Epoch: %llu ]", core->config.peer_host,
             (unsigned long long)epoch_counter(epoch));
    pair_tell_following(core, core->config.peer_host);
}

bool pair_follow_accepts(struct pair_core *core, uint64_t epoch)
{
    if (epoch == 0 || epoch_node(epoch) == core->config.node)
        return false;
    if (epoch < core->meta.epoch_seen) {
        Gemel__StaleEpoch *stale = arena_alloc(&core->actions->arena, sizeof *stale);
        gemel__stale_epoch__init(stale);
        stale->epoch_now = core->meta.epoch_seen;
        pair_compose(core, GEMEL__ENVELOPE__BODY_STALE_EPOCH, core->meta.epoch_seen)->stale_epoch = stale;
        return false;
    }
    /* A claim under way is decided by the store: its epoch may be won before this message is read. */
    if (core->state == PAIR_CLAIMING && epoch < core->claim.epoch)
        return false;
    if (epoch > core->meta.epoch_seen || !core->following)
        follow(core, epoch);
    if (core->meta_dirty)
        pair_store_fact(core);
    core->lead_alone_at_ms = core->now_ms + core->config.lease_ms;
    return true;
}

/* ---- answers */

static void reply(struct pair_core *core, bool ok, uint64_t retry_from, uint64_t tail_operations, uint64_t heartbeat)
{
    if (!pair_store_facts_are_stored(core)) {
        core->reply_due = true; /* the epoch is not persisted yet: nothing is promised in it */
        return;
    }
    struct arena *arena = &core->actions->arena;
    Gemel__PairAppendReply *answer = arena_alloc(arena, sizeof *answer);
    gemel__pair_append_reply__init(answer);
    answer->ok = ok;
    answer->last = oplog_position_message(oplog_at(core->log, core->stored_index), arena);
    answer->retry_from = retry_from;
    answer->tail_operations = tail_operations;
    answer->heartbeat_sequence = heartbeat;
    pair_compose(core, GEMEL__ENVELOPE__BODY_PAIR_APPEND_REPLY, core->meta.epoch_seen)->pair_append_reply = answer;
}

/* ---- entries */

/* Cuts the log above the common point `keep`, unless its operations may have been acknowledged here, alone, and the
 * leader does not insist: then it is the leader who looks first whether it has any of its own. */
static bool cut_tail(struct pair_core *core, uint64_t keep, bool insist)
{
    uint64_t last = oplog_last_index(core->log);
    uint64_t operations = oplog_operations_between(core->log, keep, last);
    bool acknowledged = operations > 0 && pair_may_act_alone(core);
    if (acknowledged && !insist) {
        reply(core, false, keep, operations, 0);
        return false;
    }
    if (operations > 0)
        pair_say(core, acknowledged ? PAIR_ERROR : PAIR_WARN,
                 "Operations of this host are not the leader's and were set aside [ From: %llu ] [ To: %llu ] "
                 "[ Acknowledged: %s ]",
                 (unsigned long long)keep + 1, (unsigned long long)last, acknowledged ? "yes, alone" : "no");
    pair_store_truncate(core, keep, operations > 0, acknowledged);
    return true;
}

enum taken {
    TAKEN_KNOWN,
    TAKEN_NEW,
    TAKEN_REFUSED
};

/* One entry whose predecessor is common. */
static int take_entry(struct pair_core *core, const Gemel__LogEntry *entry, bool insist, enum taken *taken)
{
    if (entry->epoch > core->meta.epoch_seen)
        return -EBADMSG;
    if (entry->index <= oplog_last_index(core->log)) {
        struct oplog_entry own = oplog_entry(core->log, entry->index);
        bool is_same = own.op_bytes == entry->op.len && memcmp(own.op, entry->op.data, own.op_bytes) == 0;
        if (own.epoch == entry->epoch && is_same) {
            *taken = TAKEN_KNOWN;
            return 0;
        }
        /* Rule 6: within one epoch a log never differs and is never shortened. */
        if (own.epoch == entry->epoch)
            return -EBADMSG;
        if (!cut_tail(core, entry->index - 1, insist)) {
            *taken = TAKEN_REFUSED;
            return 0;
        }
    }
    int result = oplog_accept(core->log, entry);
    if (result == 0)
        *taken = TAKEN_NEW;
    return result;
}

/* Takes the entries after a common point; what is new goes to the store. */
static int take_entries(struct pair_core *core, const Gemel__PairAppend *append)
{
    uint64_t at = append->prev->index;
    uint64_t first_new = 0;
    int result = 0;
    enum taken taken = TAKEN_KNOWN;
    for (size_t i = 0; i < append->n_entries; i++) {
        result = append->entries[i]->index == at + 1 ? take_entry(core, append->entries[i], append->insist, &taken)
                                                     : -EBADMSG;
        if (result != 0 || taken == TAKEN_REFUSED)
            break;
        at++;
        if (taken == TAKEN_NEW && first_new == 0)
            first_new = at;
    }
    if (at > core->verified_index)
        core->verified_index = at;
    if (first_new != 0)
        pair_store_append(core, first_new, at);
    else if (result == 0 && taken == TAKEN_KNOWN)
        core->reply_due = true;
    return result;
}

int pair_follow_on_append(struct pair_core *core, const Gemel__Envelope *envelope)
{
    const Gemel__PairAppend *append = envelope->pair_append;
    if (append->prev == NULL)
        return -EBADMSG;
    if (!pair_follow_accepts(core, envelope->epoch) || core->write_count >= PAIR_WRITES_MAX)
        return 0;
    struct oplog_position previous = oplog_position_from(append->prev);
    uint64_t last = oplog_last_index(core->log);
    if (previous.index > last) {
        reply(core, false, last, 0, 0);
        return 0;
    }
    if (!oplog_has(core->log, &previous)) {
        uint64_t common = oplog_before_epoch_of(core->log, previous.index);
        reply(core, false, common < previous.index ? common : previous.index - 1, 0, 0);
        return 0;
    }
    int result = take_entries(core, append);
    if (append->commit_index > core->leader_commit)
        core->leader_commit = append->commit_index;
    return result;
}

int pair_follow_on_heartbeat(struct pair_core *core, const Gemel__Envelope *envelope)
{
    const Gemel__PairHeartbeat *heartbeat = envelope->pair_heartbeat;
    if (heartbeat->last == NULL)
        return -EBADMSG;
    if (!pair_follow_accepts(core, envelope->epoch))
        return 0;
    if (heartbeat->sequence <= core->heartbeat_seen)
        return 0; /* late */
    core->heartbeat_seen = heartbeat->sequence;
    struct oplog_position last = oplog_position_from(heartbeat->last);
    if (oplog_has(core->log, &last) && last.index > core->verified_index)
        core->verified_index = last.index;
    if (heartbeat->commit_index > core->leader_commit)
        core->leader_commit = heartbeat->commit_index;
    if (last.index > core->leader_last)
        core->leader_last = last.index;
    core->in_sync = heartbeat->follower_in_sync;
    reply(core, true, 0, 0, heartbeat->sequence);
    return 0;
}

/* This node's own record: alone only as long as its log may hold something that the leader's lacks. */
static void update_record(struct pair_core *core)
{
    if (core->verified_index < oplog_last_index(core->log))
        return;
    enum pair_members members = core->in_sync ? PAIR_BOTH : PAIR_PEER_ALONE;
    if (core->meta.record.members == members || core->verified_index == 0)
        return;
    core->meta.record = (struct pair_record){.epoch = core->meta.epoch_seen, .members = members};
    pair_store_fact(core);
}

void pair_follow_advance(struct pair_core *core)
{
    update_record(core);
    if (core->reply_due && pair_store_facts_are_stored(core)) {
        core->reply_due = false;
        reply(core, true, 0, 0, 0);
    }
    uint64_t safe = core->leader_commit;
    if (safe > core->verified_index)
        safe = core->verified_index;
    if (safe > core->stored_index)
        safe = core->stored_index;
    if (safe > core->commit_index || core->applied_index < core->commit_index)
        pair_commit(core, safe);
}
