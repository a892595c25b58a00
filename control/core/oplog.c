#include "control/core/oplog.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/assert.h"
#include "common/base/bounds.h"
#include "common/base/crc32c.h"
#include "common/base/memory.h"

struct record {
    uint64_t epoch;
    uint64_t hash_low;
    uint64_t hash_high;
    uint8_t *op;
    size_t op_bytes;
};

struct oplog {
    struct record *records; /* of index 1, 2, ... */
    size_t count;
    size_t capacity;
};

void oplog_create(struct oplog **log)
{
    *log = memory_alloc(sizeof **log);
}

void oplog_destroy(struct oplog **log)
{
    if (*log == NULL)
        return;
    oplog_truncate(*log, 0);
    memory_free((*log)->records);
    memory_free(*log);
    *log = NULL;
}

static void put_u64(uint8_t *target, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        target[i] = (uint8_t)(value >> (8 * i));
}

static struct oplog_position next_position(struct oplog_position previous, uint64_t epoch, const uint8_t *op,
                                           size_t op_bytes)
{
    uint8_t block[48];
    XXH128_hash_t of_op = XXH3_128bits(op, op_bytes);
    put_u64(block, previous.hash_low);
    put_u64(block + 8, previous.hash_high);
    put_u64(block + 16, previous.index + 1);
    put_u64(block + 24, epoch);
    put_u64(block + 32, of_op.low64);
    put_u64(block + 40, of_op.high64);
    XXH128_hash_t hash = XXH3_128bits(block, sizeof block);
    return (struct oplog_position){
        .index = previous.index + 1, .epoch = epoch, .hash_low = hash.low64, .hash_high = hash.high64};
}

uint64_t oplog_append(struct oplog *log, uint64_t epoch, const uint8_t *op, size_t op_bytes)
{
    struct oplog_position last = oplog_last(log);
    ASSERT(epoch >= last.epoch);
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 64 : log->capacity * 2;
        log->records = memory_resize(log->records, log->capacity * sizeof *log->records);
    }
    struct oplog_position position = next_position(last, epoch, op, op_bytes);
    log->records[log->count++] = (struct record){.epoch = epoch,
                                                 .hash_low = position.hash_low,
                                                 .hash_high = position.hash_high,
                                                 .op = memory_copy(op, op_bytes),
                                                 .op_bytes = op_bytes};
    return position.index;
}

int oplog_accept(struct oplog *log, const Gemel__LogEntry *entry)
{
    struct oplog_position last = oplog_last(log);
    if (entry->index != last.index + 1 || entry->epoch < last.epoch || entry->prev_hash_low != last.hash_low ||
        entry->prev_hash_high != last.hash_high || entry->op.len > MESSAGE_BYTES_MAX ||
        entry->crc32c != crc32c(entry->op.data, entry->op.len))
        return -EBADMSG;
    oplog_append(log, entry->epoch, entry->op.data, entry->op.len);
    return 0;
}

void oplog_truncate(struct oplog *log, uint64_t keep)
{
    while (log->count > keep)
        memory_free(log->records[--log->count].op);
}

uint64_t oplog_last_index(const struct oplog *log)
{
    return log->count;
}

struct oplog_position oplog_last(const struct oplog *log)
{
    return oplog_at(log, log->count);
}

struct oplog_position oplog_at(const struct oplog *log, uint64_t index)
{
    ASSERT(index <= log->count);
    if (index == 0)
        return (struct oplog_position){0};
    const struct record *record = &log->records[index - 1];
    return (struct oplog_position){
        .index = index, .epoch = record->epoch, .hash_low = record->hash_low, .hash_high = record->hash_high};
}

struct oplog_entry oplog_entry(const struct oplog *log, uint64_t index)
{
    ASSERT(index >= 1 && index <= log->count);
    const struct record *record = &log->records[index - 1];
    return (struct oplog_entry){.index = index, .epoch = record->epoch, .op = record->op, .op_bytes = record->op_bytes};
}

bool oplog_has(const struct oplog *log, const struct oplog_position *position)
{
    if (position->index > log->count)
        return false;
    struct oplog_position here = oplog_at(log, position->index);
    return here.epoch == position->epoch && here.hash_low == position->hash_low &&
           here.hash_high == position->hash_high;
}

bool oplog_is_lead(const struct oplog *log, uint64_t index)
{
    ASSERT(index >= 1);
    return oplog_at(log, index - 1).epoch != oplog_at(log, index).epoch;
}

uint64_t oplog_operations_between(const struct oplog *log, uint64_t from, uint64_t to)
{
    uint64_t operations = 0;
    for (uint64_t index = from + 1; index <= to; index++)
        operations += oplog_is_lead(log, index) ? 0 : 1;
    return operations;
}

uint64_t oplog_before_epoch_of(const struct oplog *log, uint64_t index)
{
    uint64_t epoch = oplog_at(log, index).epoch;
    while (index > 0 && oplog_at(log, index).epoch == epoch)
        index--;
    return index;
}

Gemel__LogEntry *oplog_message(const struct oplog *log, uint64_t index, struct arena *arena)
{
    struct oplog_entry entry = oplog_entry(log, index);
    struct oplog_position previous = oplog_at(log, index - 1);
    Gemel__LogEntry *message = arena_alloc(arena, sizeof *message);
    gemel__log_entry__init(message);
    message->index = index;
    message->epoch = entry.epoch;
    message->prev_hash_low = previous.hash_low;
    message->prev_hash_high = previous.hash_high;
    message->op.data = arena_copy(arena, entry.op, entry.op_bytes);
    message->op.len = entry.op_bytes;
    message->crc32c = crc32c(entry.op, entry.op_bytes);
    return message;
}

int oplog_compare(const struct oplog_position *one, const struct oplog_position *other)
{
    if (one->epoch != other->epoch)
        return one->epoch < other->epoch ? -1 : 1;
    if (one->index != other->index)
        return one->index < other->index ? -1 : 1;
    return 0;
}

struct oplog_position oplog_position_from(const Gemel__LogPosition *message)
{
    if (message == NULL)
        return (struct oplog_position){0};
    return (struct oplog_position){.index = message->index,
                                   .epoch = message->epoch,
                                   .hash_low = message->hash_low,
                                   .hash_high = message->hash_high};
}

Gemel__LogPosition *oplog_position_message(struct oplog_position position, struct arena *arena)
{
    Gemel__LogPosition *message = arena_alloc(arena, sizeof *message);
    gemel__log_position__init(message);
    message->index = position.index;
    message->epoch = position.epoch;
    message->hash_low = position.hash_low;
    message->hash_high = position.hash_high;
    return message;
}
