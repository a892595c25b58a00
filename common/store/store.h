/* SQLite on a thread of its own: one thread and one connection a database, a bounded queue, completions on the loop.
 * Shell only. WAL, synchronous=FULL, foreign keys on, busy timeout 5 s; each job is one transaction.
 *
 * A job whose result is 0 is on disk when `done` hears of it. Life of what a job works on:
 *
 *     loop's thread                    store's thread
 *     store_submit(job, done, data)
 *                                      BEGIN, job(database, data), COMMIT        `data` is the store's
 *     done(data, result)                                                         `data` is the caller's again
 *
 * Neither the database nor its statements may be kept beyond the job: statements are prepared and finalized within it.
 */
#ifndef GEMEL_STORE_STORE_H
#define GEMEL_STORE_STORE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/error.h"

enum {
    STORE_QUEUE_MAX = 10000 /* jobs waiting; above it store_submit says -EAGAIN */
};

struct store;

/* Runs on the store's thread inside a transaction; commits when it returns 0, else rolls back. `data` belongs to the
 * caller until `done`. Returns 0 or a negative errno, with `error` (never NULL) filled in; store_error does both. It
 * must not end the transaction itself. */
typedef int (*store_job)(sqlite3 *database, void *data, struct error *error);
/* Runs on the loop's thread. `result` is 0 or a negative errno (-ENOSPC full disk, -EIO, what the job returned);
 * `error` (borrowed) says it in words when it is not 0. */
typedef void (*store_done)(void *data, int result, const struct error *error);

/* Opens or makes the file; waits for the disk, so at start-up only. `migrations` (borrowed for the call) are SQL
 * scripts, each run once in its own transaction; user_version says how many have run. A file with more of them is
 * refused (-EPROTO). `synchronous_full` false means NORMAL: safe against our own crash, not against a power cut.
 * Returned in *store (release with store_close). Returns 0, or a negative errno with a sentence that names the file. */
int store_open(struct store **store, uv_loop_t *loop, const char *path, const char *const *migrations,
               size_t migration_count, bool synchronous_full, struct error *error);
/* Finishes what is queued, calls each `done` that is due, closes the file. Waits for the disk. The memory goes in the
 * next turn of the loop. A `done` that submits more meets -ESHUTDOWN. Not from within a `done`. NULL inside is allowed.
 */
void store_close(struct store **store);

/* Queues a job; jobs run in order. 0; -EAGAIN when STORE_QUEUE_MAX wait; -ESHUTDOWN while it closes. `done` may be
 * NULL. Jobs that wait for their `done` count as waiting. */
int store_submit(struct store *store, store_job job, store_done done, void *data);
/* Runs a job after those that wait, and waits for it: for start-up only. Returns what `done` would get. */
int store_run(struct store *store, store_job job, void *data, struct error *error);
/* Waiting jobs, for status. */
size_t store_queued(const struct store *store);

/* ---- for jobs */

/* Fills `error` with what the database says about its last failure, `what` (borrowed) first; returns the negative
 * errno: -ENOSPC full, -EIO, -EBUSY, -EEXIST a constraint, -EROFS, -EUCLEAN not a database or damaged, -EINVAL the
 * rest. */
int store_error(sqlite3 *database, const char *what, struct error *error);
/* Runs SQL statements without results. Returns as store_error. */
int store_exec(sqlite3 *database, const char *sql, struct error *error);

#endif
