#include <errno.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/text.h"
#include "common/base/token.h"
#include "common/wire/wire.h"
#include "control/core/pair_parts.h"

/* ---- claim */

void pair_lead_claim(struct pair_core *core, const char *why)
{
    /* Who claims with the peer there and in sync goes on with both: that asks for more than rule 5 does. */
    bool with_peer = core->config.clustered && core->meta.record.members == PAIR_BOTH &&
                     (core->config.policy == PAIR_FREEZE || !pair_is_silent(core, core->config.suspect_ms));
    if (core->meta.cluster_id[0] == '\0')
        text_copy(core->meta.cluster_id, sizeof core->meta.cluster_id, core->config.new_cluster_id);
    core->claim.epoch = epoch_next(core->meta.epoch_seen, core->config.node);
    core->claim.members = with_peer ? PAIR_BOTH : PAIR_SELF_ALONE;
    text_copy(core->claim_why, sizeof core->claim_why, why);
    core->following = false;
    pair_enter(core, PAIR_CLAIMING, why);
    struct pair_meta meta = core->meta;
    meta.epoch_seen = core->claim.epoch;
    meta.record = core->claim;
    pair_store_meta(core, PAIR_WRITE_CLAIM, &meta);
}

static uint64_t append_lead(struct pair_core *core)
{
    struct arena *arena = &core->actions->arena;
    Gemel__OpLead lead;
    gemel__op_lead__init(&lead);
    lead.host = core->config.host;
    lead.why = core->claim_why;
    Gemel__Op op;
    gemel__op__init(&op);
    op.wall_ns = (uint64_t)core->wall_ns;
    op.author = arena_printf(arena, "control@%s", core->config.host);
    op.body_case = GEMEL__OP__BODY_LEAD;
    op.lead = &lead;
    size_t size = 0;
    const uint8_t *bytes = wire_pack_arena(arena, &op.base, &size);
    return oplog_append(core->log, core->meta.epoch_seen, bytes, size);
}

void pair_lead_on_claimed(struct pair_core *core)
{
    if (core->state != PAIR_CLAIMING)
        return; /* given up meanwhile: a fact written after it says so */
    pair_enter(core, PAIR_LEADING, core->claim_why);
    core->meta.epoch_seen = core->claim.epoch;
    core->meta.record = core->claim;
    core->yields = core->peer.yields = false;
    core->acting = core->record_writing = false;
    core->growth = PAIR_GROW_NONE;
    core->match_index = 0;
    core->insist_index = UINT64_MAX;
    core->progress_ms = core->now_ms;
    core->lead_index = append_lead(core);
    pair_store_append(core, core->lead_index, core->lead_index);
    if (!core->config.clustered)
        return;
    pair_lead_on_position(core, core->peer.last, false);
    pair_lead_heartbeat(core);
}

void pair_lead_refuse_above(struct pair_core *core, uint64_t index, int code, const char *sentence)
{
    size_t kept = 0;
    while (kept < core->proposal_count && core->proposals[kept].index <= index)
        kept++;
    for (size_t i = kept; i < core->proposal_count; i++) {
        struct pair_action *action = pair_act(core, PAIR_ACTION_REFUSED);
        action->refused.tag = core->proposals[i].tag;
        action->refused.code = code;
        action->refused.sentence = arena_strdup(&core->actions->arena, sentence);
    }
    core->proposal_count = kept;
}

void pair_lead_step_down(struct pair_core *core, const char *why)
{
    pair_lead_refuse_above(core, 0, -EINPROGRESS,
                           "the leader changed meanwhile: ask for the status, it may have been done");
    pair_enter(core, PAIR_FOLLOWING, why);
    core->acting = core->record_writing = false;
    core->growth = PAIR_GROW_NONE;
    core->lead_alone_at_ms = core->now_ms + core->config.lease_ms;
    if (core->lead_alone_at_ms < core->unfit_until_ms)
        core->lead_alone_at_ms = core->unfit_until_ms;
    pair_say(core, PAIR_WARN, "Leadership ended here [ Epoch: %llu ] [ Why: %s ]",
             (unsigned long long)epoch_counter(core->meta.epoch_seen), core->why);
    pair_tell_following(core, "");
    pair_meet_send_hello(core, NULL);
}

void pair_lead_let_go(struct pair_core *core)
{
    if (core->state != PAIR_LEADING || !core->config.clustered)
        return;
    core->unfit_until_ms = core->now_ms + core->config.lease_ms;
    pair_lead_step_down(core, "this control stops");
}

/* ---- propose */

static int refuse(struct pair_core *core, uint64_t tag, int code, const char *sentence)
{
    struct pair_action *action = pair_act(core, PAIR_ACTION_REFUSED);
    action->refused.tag = tag;
    action->refused.code = code;
    action->refused.sentence = arena_strdup(&core->actions->arena, sentence);
    return 0;
}

int pair_lead_on_propose(struct pair_core *core, const uint8_t *op, size_t op_bytes, uint64_t tag)
{
    if (op_bytes == 0 || op_bytes > MESSAGE_BYTES_MAX / 2)
        return -EINVAL;
    if (core->state != PAIR_LEADING)
        return refuse(core, tag, -ENOTCONN, "this control does not lead");
    if (core->proposal_count == PAIR_PROPOSALS_MAX)
        return refuse(core, tag, -EAGAIN, "too many operations are waiting: try again");
    uint64_t index = oplog_append(core->log, core->meta.epoch_seen, op, op_bytes);
    core->proposals[core->proposal_count++] = (struct pair_proposal){.tag = tag, .index = index};
    if (core->match_index >= core->stored_index)
        core->progress_ms = core->now_ms;
    pair_store_append(core, index, index);
    return 0;
}

/* ---- replicate */

static void send_append(struct pair_core *core)
{
    struct arena *arena = &core->actions->arena;
    Gemel__PairAppend *append = arena_alloc(arena, sizeof *append);
    gemel__pair_append__init(append);
    uint64_t previous = core->next_index - 1;
    size_t count = 0;
    size_t bytes = 0;
    while (previous + count < core->stored_index && count < PAIR_APPEND_ENTRIES_MAX) {
        bytes += oplog_entry(core->log, previous + count + 1).op_bytes;
        if (count > 0 && bytes > PAIR_APPEND_BYTES_MAX)
            break;
        count++;
    }
    append->prev = oplog_position_message(oplog_at(core->log, previous), arena);
    append->entries = arena_alloc(arena, (count + 1) * sizeof *append->entries);
    append->n_entries = count;
    for (size_t i = 0; i < count; i++)
        append->entries[i] = oplog_message(core->log, previous + 1 + i, arena);
    append->commit_index = core->commit_index;
    append->insist = core->insist_index == previous;
    core->sent_ms = core->now_ms;
    if (!core->probing)
        core->next_index = previous + count + 1;
    pair_compose(core, GEMEL__ENVELOPE__BODY_PAIR_APPEND, core->meta.epoch_seen)->pair_append = append;
}

static void replicate(struct pair_core *core)
{
    while (!core->probing && core->next_index <= core->stored_index &&
           core->next_index - core->match_index <= PAIR_WINDOW_ENTRIES_MAX &&
           !pair_is_silent(core, core->config.suspect_ms))
        send_append(core);
}

static void probe_from(struct pair_core *core, uint64_t common)
{
    core->probing = true;
    core->next_index = (common < core->stored_index ? common : core->stored_index) + 1;
    if (core->next_index <= core->match_index)
        core->next_index = core->match_index + 1;
    send_append(core);
}

static void take_match(struct pair_core *core, struct oplog_position position)
{
    if (position.index > core->stored_index || !oplog_has(core->log, &position))
        return;
    if (position.index > core->match_index) {
        core->match_index = position.index;
        core->progress_ms = core->now_ms;
    }
    if (core->probing && core->match_index + 1 >= core->next_index) {
        core->probing = false;
        core->insist_index = UINT64_MAX;
        core->next_index = core->match_index + 1;
    }
    if (core->next_index <= core->match_index)
        core->next_index = core->match_index + 1;
}

void pair_lead_on_position(struct pair_core *core, struct oplog_position position, bool restarted)
{
    bool lost_entries = position.index < core->match_index;
    if (restarted || lost_entries)
        core->match_index = 0;
    if (!restarted && !core->probing && core->match_index > 0)
        return;
    core->probing = true;
    core->next_index = core->stored_index + 1;
    take_match(core, position);
    probe_from(core, core->match_index > 0 ? core->match_index : position.index);
}

/* The peer has operations after the common point `common` that it acknowledged alone. A side with none of its own
 * yields; else this side's epoch is the higher one and its operations stand. */
static void on_divergence(struct pair_core *core, uint64_t common)
{
    if (common > core->stored_index || pair_peer_is_unfit(core))
        return;
    uint64_t safe = pair_may_act_alone(core) ? core->stored_index : core->commit_index;
    if (safe > common && oplog_operations_between(core->log, common, safe) > 0) {
        core->insist_index = common;
        probe_from(core, common);
        return;
    }
    core->yields = true;
    pair_lead_step_down(core, "the peer has operations that this host lacks, and this host has none of its own");
}

int pair_lead_on_reply(struct pair_core *core, const Gemel__PairAppendReply *reply)
{
    if (reply->last == NULL || reply->heartbeat_sequence > core->heartbeat_sequence)
        return -EBADMSG;
    if (!reply->ok) {
        if (reply->tail_operations > 0)
            on_divergence(core, reply->retry_from);
        else if (core->probing || reply->retry_from + 1 < core->next_index)
            probe_from(core, reply->retry_from);
        return 0;
    }
    take_match(core, oplog_position_from(reply->last));
    return 0;
}

void pair_lead_heartbeat(struct pair_core *core)
{
    struct arena *arena = &core->actions->arena;
    Gemel__PairHeartbeat *heartbeat = arena_alloc(arena, sizeof *heartbeat);
    gemel__pair_heartbeat__init(heartbeat);
    heartbeat->sequence = ++core->heartbeat_sequence;
    heartbeat->commit_index = core->commit_index;
    heartbeat->last = oplog_position_message(oplog_at(core->log, core->stored_index), arena);
    heartbeat->follower_in_sync = pair_follower_is_in_sync(core);
    core->heartbeat_at_ms = core->now_ms + core->config.heartbeat_ms;
    pair_compose(core, GEMEL__ENVELOPE__BODY_PAIR_HEARTBEAT, core->meta.epoch_seen)->pair_heartbeat = heartbeat;
    if (pair_is_silent(core, core->config.suspect_ms))
        return;
    /* What is on its way for two heartbeats without an answer was lost. */
    int64_t patience_ms = 2 * (int64_t)core->config.heartbeat_ms;
    bool is_stuck = core->match_index + 1 < core->next_index && core->now_ms - core->sent_ms >= patience_ms &&
                    core->now_ms - core->progress_ms >= patience_ms;
    if (core->probing)
        send_append(core);
    else if (is_stuck)
        probe_from(core, core->match_index);
}

/* ---- the in-sync record */

static void write_record(struct pair_core *core, enum pair_write_kind kind, enum pair_members members)
{
    struct pair_meta meta = core->meta;
    meta.record.epoch = core->meta.epoch_seen;
    meta.record.members = members;
    core->record_writing = true;
    pair_store_meta(core, kind, &meta);
}

void pair_lead_on_record(struct pair_core *core, enum pair_members members)
{
    if (core->state != PAIR_LEADING || !core->record_writing)
        return;
    core->record_writing = false;
    core->growth = PAIR_GROW_NONE;
    core->meta.record = (struct pair_record){.epoch = core->meta.epoch_seen, .members = members};
    if (members == PAIR_BOTH) {
        pair_say(core, PAIR_INFO, "Peer control is in sync again [ Peer: %s ] [ Index: %llu ]", core->config.peer,
                 (unsigned long long)core->match_index);
        pair_lead_heartbeat(core);
    }
}

/* Nothing that is confirmed by the follower for `suspect`, though there is something to confirm. */
static bool is_stalled(const struct pair_core *core)
{
    return core->match_index < core->stored_index && core->now_ms - core->progress_ms >= core->config.suspect_ms;
}

static bool is_lost(const struct pair_core *core, int64_t for_ms)
{
    return pair_is_silent(core, for_ms) && core->now_ms - core->since_ms >= for_ms;
}

static void shrink(struct pair_core *core)
{
    if (core->config.policy == PAIR_FREEZE) {
        if (is_lost(core, core->config.lease_ms))
            pair_lead_step_down(core, "the follower was silent for the lease, and peer-loss is freeze");
        return;
    }
    bool lost = is_lost(core, core->config.suspect_ms);
    if (!lost && !is_stalled(core))
        return;
    if (core->growth == PAIR_GROW_WAITING) {
        core->growth = PAIR_GROW_NONE;
    } else if (core->meta.record.members == PAIR_BOTH && !core->record_writing) {
        pair_say(core, PAIR_WARN, "Peer control is %s, this host acts alone [ Peer: %s ]",
                 lost ? "silent" : "not keeping up", core->config.peer);
        write_record(core, PAIR_WRITE_SHRINK, PAIR_SELF_ALONE);
    }
}

static void grow(struct pair_core *core)
{
    if (core->meta.record.members == PAIR_BOTH || core->record_writing || core->probing ||
        core->match_index < core->lead_index || pair_is_silent(core, core->config.suspect_ms) || is_stalled(core))
        return;
    if (core->growth == PAIR_GROW_NONE && core->commit_index <= core->match_index + PAIR_NEAR_ENTRIES)
        core->growth = PAIR_GROW_WAITING;
    if (core->growth == PAIR_GROW_WAITING && core->commit_index <= core->match_index) {
        core->growth = PAIR_GROW_WRITING;
        write_record(core, PAIR_WRITE_GROW, PAIR_BOTH);
    }
}

/* ---- commit */

static bool acts_alone(const struct pair_core *core)
{
    if (!core->config.clustered)
        return true;
    return pair_may_act_alone(core) && core->growth == PAIR_GROW_NONE;
}

static void acknowledge(struct pair_core *core)
{
    size_t count = 0;
    while (count < core->proposal_count && core->proposals[count].index <= core->commit_index) {
        struct pair_action *action = pair_act(core, PAIR_ACTION_ACKNOWLEDGED);
        action->acknowledged.tag = core->proposals[count].tag;
        action->acknowledged.index = core->proposals[count].index;
        action->acknowledged.solo = core->config.clustered && core->proposals[count].index > core->match_index;
        count++;
    }
    core->proposal_count -= count;
    memmove(core->proposals, core->proposals + count, core->proposal_count * sizeof *core->proposals);
}

void pair_lead_advance(struct pair_core *core)
{
    if (core->config.clustered) {
        replicate(core);
        grow(core);
        shrink(core);
        if (core->state != PAIR_LEADING)
            return;
    }
    uint64_t safe = core->stored_index;
    if (!acts_alone(core) && core->match_index < safe)
        safe = core->match_index;
    /* What former leaders left counts only together with an entry of this epoch. */
    if (safe < core->lead_index || safe <= core->commit_index)
        return;
    pair_commit(core, safe);
    if (!core->acting) {
        core->acting = true;
        pair_say(core, PAIR_INFO, "Leading [ Epoch: %llu ] [ Why: %s ]",
                 (unsigned long long)epoch_counter(core->meta.epoch_seen), core->why);
        struct pair_action *action = pair_act(core, PAIR_ACTION_LEADING);
        action->role.epoch = core->meta.epoch_seen;
        action->role.leader = arena_strdup(&core->actions->arena, core->config.host);
        action->role.why = arena_strdup(&core->actions->arena, core->why);
    }
    acknowledge(core);
}
