/* SQLite on a thread of its own: one thread and one connection a database, a bounded queue, completions on the loop.
 * Shell only. WAL, synchronous=FULL, foreign keys on, busy timeout 5 s; each job is one transaction. */
#ifndef GEMEL_STORE_STORE_H
#define GEMEL_STORE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>
#include <uv.h>

#include "common/base/error.h"

enum {
    STORE_QUEUE_MAX = 10000 /* jobs waiting; above it store_submit says -EAGAIN */
};

struct store;

/* Runs on the store's thread inside a transaction; commits when it returns 0, else rolls back. `data` belongs to the
 * caller until `done`. It may fill `error`. */
typedef int (*store_job)(sqlite3 *database, void *data, struct error *error);
/* Runs on the loop's thread. `result` is 0 or a negative errno (-ENOSPC full disk, -EIO, what the job returned). */
typedef void (*store_done)(void *data, int result, const struct error *error);

/* Opens or makes the file. `migrations` are SQL scripts; user_version says how many have run. A file with more of them
 * is refused. `synchronous_full` false means NORMAL: safe against our own crash, not against a power cut. */
int store_open(struct store **store, uv_loop_t *loop, const char *path, const char *const *migrations,
               size_t migration_count, int synchronous_full, struct error *error);
/* Finishes what is queued, then closes. */
void store_close(struct store **store);

/* Queues a job; jobs run in order. 0 or -EAGAIN. `done` may be NULL. */
int store_submit(struct store *store, store_job job, store_done done, void *data);
/* Runs a job now and waits for it: for start-up only. */
int store_run(struct store *store, store_job job, void *data, struct error *error);
/* Waiting jobs, for status. */
size_t store_queued(const struct store *store);

#endif
