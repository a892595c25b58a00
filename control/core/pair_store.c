#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "control/core/pair_parts.h"

static struct pair_write *push_write(struct pair_core *core, enum pair_write_kind kind)
{
    if (core->write_count == core->write_capacity) {
        core->write_capacity = core->write_capacity == 0 ? 16 : core->write_capacity * 2;
        core->writes = memory_resize(core->writes, core->write_capacity * sizeof *core->writes);
    }
    struct pair_write *write = &core->writes[core->write_count++];
    *write = (struct pair_write){.sequence = ++core->sequence, .kind = kind};
    return write;
}

static void give_truncate(struct pair_core *core, const struct pair_write *wanted)
{
    struct pair_write *write = push_write(core, PAIR_WRITE_TRUNCATE);
    write->last_index = wanted->last_index;
    write->diverged = wanted->diverged;
    write->acknowledged = wanted->acknowledged;
    write->reset_state = wanted->reset_state;
    if (wanted->reset_state)
        core->applied_index = 0; /* COMMITTED starts again at 1 */
    struct pair_action *action = pair_act(core, PAIR_ACTION_STORE_TRUNCATE);
    action->store_truncate.sequence = write->sequence;
    action->store_truncate.keep = wanted->last_index;
    action->store_truncate.diverged = wanted->diverged;
    action->store_truncate.acknowledged = wanted->acknowledged;
    action->store_truncate.reset_state = wanted->reset_state;
}

/* A truncation that failed stands before everything else: memory is cut already, and a record that no longer says
 * `alone` must not reach the disk before the tail that it spoke of is set aside. */
static void pay_owed(struct pair_core *core)
{
    if (core->owed.last_index == UINT64_MAX)
        return;
    struct pair_write owed = core->owed;
    core->owed = (struct pair_write){.last_index = UINT64_MAX};
    give_truncate(core, &owed);
}

void pair_store_append(struct pair_core *core, uint64_t first, uint64_t last)
{
    pay_owed(core);
    push_write(core, PAIR_WRITE_APPEND)->last_index = last;
    size_t count = (size_t)(last - first + 1);
    struct arena *arena = &core->actions->arena;
    struct pair_action *action = pair_act(core, PAIR_ACTION_STORE_APPEND);
    action->store_append.sequence = core->sequence;
    action->store_append.entries = arena_alloc(arena, count * sizeof *action->store_append.entries);
    action->store_append.entry_count = count;
    for (size_t i = 0; i < count; i++)
        action->store_append.entries[i] = oplog_message(core->log, first + i, arena);
}

void pair_store_truncate(struct pair_core *core, uint64_t keep, bool diverged, bool acknowledged)
{
    pay_owed(core);
    struct pair_write wanted = {.last_index = keep,
                                .diverged = diverged,
                                .acknowledged = acknowledged,
                                .reset_state = core->applied_index > keep};
    oplog_truncate(core->log, keep);
    for (size_t i = 0; i < core->write_count; i++)
        if (core->writes[i].kind == PAIR_WRITE_APPEND && core->writes[i].last_index > keep)
            core->writes[i].last_index = keep;
    if (core->stored_index > keep)
        core->stored_index = keep;
    if (core->commit_index > keep)
        core->commit_index = keep;
    if (core->verified_index > keep)
        core->verified_index = keep;
    give_truncate(core, &wanted);
}

void pair_store_meta(struct pair_core *core, enum pair_write_kind kind, const struct pair_meta *meta)
{
    pay_owed(core);
    push_write(core, kind);
    struct pair_action *action = pair_act(core, PAIR_ACTION_STORE_META);
    action->store_meta.sequence = core->sequence;
    action->store_meta.meta = *meta;
}

void pair_store_fact(struct pair_core *core)
{
    struct pair_meta meta = core->meta;
    /* A claim that is under way may be won by the write before this one: its epoch must not be forgotten. */
    if (core->state == PAIR_CLAIMING && meta.epoch_seen < core->claim.epoch) {
        meta.epoch_seen = core->claim.epoch;
        meta.record = core->claim;
    }
    core->meta_dirty = false;
    pair_store_meta(core, PAIR_WRITE_FACT, &meta);
}

bool pair_store_facts_are_stored(const struct pair_core *core)
{
    for (size_t i = 0; i < core->write_count; i++)
        if (core->writes[i].kind == PAIR_WRITE_FACT)
            return false;
    return !core->meta_dirty;
}

static void take_done(struct pair_core *core, const struct pair_write *write)
{
    switch (write->kind) {
    case PAIR_WRITE_APPEND:
        if (write->last_index > core->stored_index) {
            core->stored_index = write->last_index;
            core->reply_due = true;
        }
        break;
    case PAIR_WRITE_TRUNCATE:
    case PAIR_WRITE_FACT:
        break;
    case PAIR_WRITE_CLAIM:
        pair_lead_on_claimed(core);
        break;
    case PAIR_WRITE_SHRINK:
        pair_lead_on_record(core, PAIR_SELF_ALONE);
        break;
    case PAIR_WRITE_GROW:
        pair_lead_on_record(core, PAIR_BOTH);
        break;
    }
}

int pair_store_on_stored(struct pair_core *core, uint64_t sequence)
{
    if (sequence > core->sequence)
        return -EINVAL;
    if (core->store_failing && core->write_count > 0 && core->writes[0].sequence <= sequence) {
        core->store_failing = false;
        pair_say(core, PAIR_INFO, "The store can be written again");
    }
    while (core->write_count > 0 && core->writes[0].sequence <= sequence) {
        struct pair_write done = core->writes[0];
        core->write_count--;
        memmove(core->writes, core->writes + 1, core->write_count * sizeof *core->writes);
        take_done(core, &done);
    }
    return 0;
}

/* Remembers what a failed write leaves to be done. */
static void take_failed(struct pair_core *core, const struct pair_write *write)
{
    if (write->kind == PAIR_WRITE_FACT) {
        core->meta_dirty = true;
    } else if (write->kind == PAIR_WRITE_TRUNCATE) {
        if (write->last_index < core->owed.last_index)
            core->owed.last_index = write->last_index;
        core->owed.diverged |= write->diverged;
        core->owed.acknowledged |= write->acknowledged;
        core->owed.reset_state |= write->reset_state;
    }
}

int pair_store_on_failed(struct pair_core *core, uint64_t sequence, int code)
{
    size_t kept = 0;
    while (kept < core->write_count && core->writes[kept].sequence < sequence)
        kept++;
    if (kept == core->write_count)
        return -EINVAL;
    if (!core->store_failing)
        pair_say(core, PAIR_ERROR, "The store cannot be written: nothing is acknowledged here [ Error: %s ]",
                 strerror(-code));
    core->store_failing = true;
    for (size_t i = kept; i < core->write_count; i++)
        take_failed(core, &core->writes[i]);
    core->write_count = kept;

    /* What is not stored, and not on its way there either, was never shown to anybody. */
    uint64_t keep = core->stored_index;
    for (size_t i = 0; i < kept; i++)
        if (core->writes[i].kind == PAIR_WRITE_APPEND && core->writes[i].last_index > keep)
            keep = core->writes[i].last_index;
    pair_lead_refuse_above(core, keep, code, "the leader's store cannot be written: free its disk and try again");
    oplog_truncate(core->log, keep);
    if (core->verified_index > keep)
        core->verified_index = keep;
    core->unfit_until_ms = core->now_ms + core->config.lease_ms;
    if (core->lead_alone_at_ms < core->unfit_until_ms)
        core->lead_alone_at_ms = core->unfit_until_ms;
    if (core->state == PAIR_LEADING)
        pair_lead_step_down(core, "its store cannot be written");
    if (core->state == PAIR_CLAIMING) {
        pair_enter(core, PAIR_FOLLOWING, "its store cannot be written");
        pair_tell_following(core, "");
    }
    return 0;
}
