/* The writer of rdb's tables: a thread that puts batches into a SQLite file, rows and marks in one transaction, as many
 * batches in one as have come meanwhile. Functions on the loop's thread. */
#ifndef GEMEL_PIPELINES_RDB_APPLY_H
#define GEMEL_PIPELINES_RDB_APPLY_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/error.h"
#include "common/wire/wire.h"
#include "pipelines/feed/marks.h"
#include "worker/gemel.h"

enum {
    APPLY_QUEUE_BYTES_MAX = 64 * 1024 * 1024 /* rows that wait for the writer; above it the feed is paused */
};

struct apply;

struct apply_options {
    const char *path;                 /* made anew: what was there is deleted */
    const struct gemel_table *tables; /* borrowed for good */
    size_t table_count;
    /* In the loop, after a commit: everything up to these marks can be seen by queries. */
    void (*on_applied)(void *owner);
    /* In the loop: the writer has passed the marker of this number. */
    void (*on_marker)(void *owner, uint64_t marker);
    /* In the loop, once: rows cannot be written any more. */
    void (*on_broken)(void *owner, const char *why);
    void *owner;
};

/* Makes the file with its tables. Returns 0 or a negative errno with a sentence. */
int apply_create(struct apply **apply, uv_loop_t *loop, const struct apply_options *options, struct error *error);
/* What waits is dropped. The loop runs once more afterwards. NULL inside is allowed. */
void apply_destroy(struct apply **apply);

/* Queues a batch (taken) that fits its table, or one of 0 rows, of which only the mark is kept. */
void apply_batch(struct apply *apply, Gemel__Batch *batch);
/* Queues a marker: on_marker comes when everything before it can be seen. */
void apply_marker(struct apply *apply, uint64_t marker);

/* What queries can see (borrowed until the next turn of the loop). */
const struct marks *apply_marks(const struct apply *apply);
uint64_t apply_rows(const struct apply *apply);
/* Rows, and bytes, that wait. */
uint64_t apply_waiting_rows(const struct apply *apply);
size_t apply_waiting_bytes(const struct apply *apply);

#endif
