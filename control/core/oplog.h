/* The operation log in memory: entries with a rolling hash. Pure.
 *
 * Entry i has hash_i = XXH3-128(hash_(i-1), i, epoch, XXH3-128(op)), all little-endian: two logs with the same hash at
 * an index are the same up to it. What an operation means is not looked at. An entry is a *lead* when its epoch differs
 * from that of the entry before it: the first operation of every leadership, and the only one that nobody asked for.
 *
 * The log owns its entries. Operations are bounded by MESSAGE_BYTES_MAX; the count by what the store holds, until logs
 * are cut behind snapshots. */
#ifndef GEMEL_CONTROL_CORE_OPLOG_H
#define GEMEL_CONTROL_CORE_OPLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/wire/gemel.pb-c.h"

struct oplog;

/* Where a log stands. */
struct oplog_position {
    uint64_t index; /* 0: before the first entry */
    uint64_t epoch;
    uint64_t hash_low; /* rolling hash including this entry */
    uint64_t hash_high;
};

struct oplog_entry {
    uint64_t index;
    uint64_t epoch;
    const uint8_t *op; /* borrowed until the entry is cut */
    size_t op_bytes;
};

void oplog_create(struct oplog **log);
void oplog_destroy(struct oplog **log);

/* Appends an operation (copied) in `epoch`, which must not be below the last entry's. Returns its index. */
uint64_t oplog_append(struct oplog *log, uint64_t epoch, const uint8_t *op, size_t op_bytes);

/* Appends an entry that came from elsewhere (copied). Returns 0; -EBADMSG when its index is not the next one, its epoch
 * falls, or its checksum or previous hash is wrong. */
int oplog_accept(struct oplog *log, const Gemel__LogEntry *entry);

/* Forgets everything above `keep`. */
void oplog_truncate(struct oplog *log, uint64_t keep);

uint64_t oplog_last_index(const struct oplog *log);
struct oplog_position oplog_last(const struct oplog *log);
/* The position at `index`, which must be in the log or 0. */
struct oplog_position oplog_at(const struct oplog *log, uint64_t index);
struct oplog_entry oplog_entry(const struct oplog *log, uint64_t index);
/* Is `position` in this log, with the same epoch and hash? Index 0 always is. */
bool oplog_has(const struct oplog *log, const struct oplog_position *position);
bool oplog_is_lead(const struct oplog *log, uint64_t index);
/* Entries above `from` up to `to` that are not leads. */
uint64_t oplog_operations_between(const struct oplog *log, uint64_t from, uint64_t to);
/* The highest index below `index` whose entry has another epoch than the one at `index`; 0: none. */
uint64_t oplog_before_epoch_of(const struct oplog *log, uint64_t index);

/* The entry as a message; everything in the arena, the operation too. */
Gemel__LogEntry *oplog_message(const struct oplog *log, uint64_t index, struct arena *arena);

/* Order of (epoch, index): below 0, 0, above 0. */
int oplog_compare(const struct oplog_position *one, const struct oplog_position *other);
struct oplog_position oplog_position_from(const Gemel__LogPosition *message); /* NULL: index 0 */
Gemel__LogPosition *oplog_position_message(struct oplog_position position, struct arena *arena);

#endif
