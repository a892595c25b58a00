#include "daemon/daemon_store.h"

#include <errno.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/bounds.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/store/store.h"
#include "common/wire/wire.h"

enum {
    RETRY_MS = 1000
};

static const char *const migrations[] = {
    "CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE orders (process TEXT PRIMARY KEY, spec BLOB, placement INTEGER NOT NULL, clear_failed INTEGER NOT "
    "NULL, wanted INTEGER NOT NULL, parked INTEGER NOT NULL, failed INTEGER NOT NULL, why TEXT NOT NULL) WITHOUT "
    "ROWID;",
};

enum mark {
    MARK_EPOCH,
    MARK_STARTS
};

static const char *const mark_names[] = {[MARK_EPOCH] = "epoch", [MARK_STARTS] = "starts_end"};

struct daemon_store {
    struct store *store;
    struct daemon_store_handlers handlers;
    void *owner;
    uv_timer_t retry;
    struct mark_job *failed; /* to be tried again */
};

struct mark_job {
    struct daemon_store *store;
    enum mark mark;
    uint64_t value;
    struct mark_job *next;
};

struct order_job {
    char *process;
    char *why;
    uint8_t *spec; /* NULL: none */
    size_t spec_size;
    uint64_t placement;
    uint64_t clear_failed;
    bool wanted;
    bool parked;
    bool failed;
};

struct load_job {
    struct arena *arena;
    struct daemon_stored *stored;
    uint64_t starts;
    uint64_t first_start;
};

static int sql_failed(sqlite3 *database, struct error *error)
{
    return error_set(error, -EIO, "%s", sqlite3_errmsg(database));
}

/* ---- marks */

static int write_mark(sqlite3 *database, enum mark mark, uint64_t value, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(database, "INSERT OR REPLACE INTO marks VALUES (?1, ?2)", -1, &statement, NULL);
    if (result == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, mark_names[mark], -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, (sqlite3_int64)value);
        result = sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    return result == SQLITE_DONE ? 0 : sql_failed(database, error);
}

static int run_mark(sqlite3 *database, void *data, struct error *error)
{
    const struct mark_job *job = data;
    return write_mark(database, job->mark, job->value, error);
}

static void on_mark_done(void *data, int result, const struct error *error)
{
    struct mark_job *job = data;
    struct daemon_store *store = job->store;
    if (result != 0) {
        log_error("Cannot write to daemon.db, trying again [ Mark: %s ] [ Why: %s ]", mark_names[job->mark],
                  error->sentence);
        LL_APPEND(store->failed, job);
        return;
    }
    enum mark mark = job->mark;
    uint64_t value = job->value;
    memory_free(job);
    if (mark == MARK_EPOCH)
        store->handlers.on_epoch(store->owner, value);
    else
        store->handlers.on_starts(store->owner, value);
}

static void submit_mark(struct mark_job *job)
{
    if (store_submit(job->store->store, run_mark, on_mark_done, job) != 0)
        LL_APPEND(job->store->failed, job);
}

static void on_retry(uv_timer_t *timer)
{
    struct daemon_store *store = timer->data;
    struct mark_job *again = store->failed;
    store->failed = NULL;
    while (again != NULL) {
        struct mark_job *job = again;
        again = again->next;
        job->next = NULL;
        submit_mark(job);
    }
}

static void put_mark(struct daemon_store *store, enum mark mark, uint64_t value)
{
    struct mark_job *job = memory_alloc(sizeof *job);
    *job = (struct mark_job){.store = store, .mark = mark, .value = value};
    submit_mark(job);
}

void daemon_store_put_epoch(struct daemon_store *store, uint64_t epoch)
{
    put_mark(store, MARK_EPOCH, epoch);
}

void daemon_store_put_starts(struct daemon_store *store, uint64_t end)
{
    put_mark(store, MARK_STARTS, end);
}

/* ---- orders */

static int run_order(sqlite3 *database, void *data, struct error *error)
{
    const struct order_job *job = data;
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(database, "INSERT OR REPLACE INTO orders VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                                    -1, &statement, NULL);
    if (result == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, job->process, -1, SQLITE_STATIC);
        if (job->spec != NULL)
            sqlite3_bind_blob64(statement, 2, job->spec, job->spec_size, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 3, (sqlite3_int64)job->placement);
        sqlite3_bind_int64(statement, 4, (sqlite3_int64)job->clear_failed);
        sqlite3_bind_int(statement, 5, job->wanted);
        sqlite3_bind_int(statement, 6, job->parked);
        sqlite3_bind_int(statement, 7, job->failed);
        sqlite3_bind_text(statement, 8, job->why, -1, SQLITE_STATIC);
        result = sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    return result == SQLITE_DONE ? 0 : sql_failed(database, error);
}

static void on_order_done(void *data, int result, const struct error *error)
{
    struct order_job *job = data;
    if (result != 0)
        log_error("An order is not on disk: a restart of this daemon would not know it [ Process: %s ] [ Why: %s ]",
                  job->process, error->sentence);
    memory_free(job->process);
    memory_free(job->why);
    memory_free(job->spec);
    memory_free(job);
}

void daemon_store_put_order(struct daemon_store *store, const struct daemon_action *action)
{
    struct order_job *job = memory_alloc(sizeof *job);
    job->process = memory_strdup(action->process);
    job->why = memory_strdup(action->order.why);
    if (action->order.spec != NULL)
        job->spec = wire_pack(&action->order.spec->base, &job->spec_size);
    job->placement = action->order.placement;
    job->clear_failed = action->order.clear_failed;
    job->wanted = action->order.wanted;
    job->parked = action->order.parked;
    job->failed = action->order.failed;
    if (store_submit(store->store, run_order, on_order_done, job) != 0) {
        struct error error;
        error_set(&error, -EAGAIN, "too many writes wait for the disk");
        on_order_done(job, -EAGAIN, &error);
    }
}

/* ---- start */

static void read_order(sqlite3_stmt *row, struct arena *arena, struct daemon_stored_order *order)
{
    const void *spec = sqlite3_column_blob(row, 1);
    ProtobufCMessage *message = NULL;
    if (spec != NULL && wire_unpack_arena(arena, &gemel__process_spec__descriptor, spec,
                                          (size_t)sqlite3_column_bytes(row, 1), &message) == 0)
        order->order.spec = (const Gemel__ProcessSpec *)message;
    order->process = arena_strdup(arena, (const char *)sqlite3_column_text(row, 0));
    order->order.placement = (uint64_t)sqlite3_column_int64(row, 2);
    order->order.clear_failed = (uint64_t)sqlite3_column_int64(row, 3);
    order->order.wanted = sqlite3_column_int(row, 4) != 0;
    order->order.parked = sqlite3_column_int(row, 5) != 0;
    order->order.failed = sqlite3_column_int(row, 6) != 0;
    order->order.why = arena_strdup(arena, (const char *)sqlite3_column_text(row, 7));
}

static int read_orders(sqlite3 *database, const struct load_job *job, struct error *error)
{
    struct daemon_stored *stored = job->stored;
    sqlite3_stmt *row = NULL;
    stored->orders = arena_alloc(job->arena, (PROCESSES_MAX + 1) * sizeof *stored->orders);
    int result = sqlite3_prepare_v2(database,
                                    "SELECT process, spec, placement, clear_failed, wanted, parked, failed, why FROM "
                                    "orders ORDER BY process LIMIT ?1",
                                    -1, &row, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_bind_int(row, 1, PROCESSES_MAX);
    while (result == SQLITE_OK || result == SQLITE_ROW) {
        result = sqlite3_step(row);
        if (result == SQLITE_ROW)
            read_order(row, job->arena, &stored->orders[stored->count++]);
    }
    sqlite3_finalize(row);
    return result == SQLITE_DONE ? 0 : sql_failed(database, error);
}

static int read_mark(sqlite3 *database, enum mark mark, uint64_t *value, struct error *error)
{
    sqlite3_stmt *row = NULL;
    int result = sqlite3_prepare_v2(database, "SELECT value FROM marks WHERE name = ?1", -1, &row, NULL);
    if (result == SQLITE_OK) {
        sqlite3_bind_text(row, 1, mark_names[mark], -1, SQLITE_STATIC);
        result = sqlite3_step(row);
        if (result == SQLITE_ROW)
            *value = (uint64_t)sqlite3_column_int64(row, 0);
    }
    sqlite3_finalize(row);
    return result == SQLITE_ROW || result == SQLITE_DONE ? 0 : sql_failed(database, error);
}

static int run_load(sqlite3 *database, void *data, struct error *error)
{
    const struct load_job *job = data;
    job->stored->starts_end = job->first_start;
    int result = read_mark(database, MARK_EPOCH, &job->stored->epoch, error);
    if (result == 0)
        result = read_mark(database, MARK_STARTS, &job->stored->starts_end, error);
    if (result == 0)
        result = write_mark(database, MARK_STARTS, job->stored->starts_end + job->starts, error);
    return result == 0 ? read_orders(database, job, error) : result;
}

int daemon_store_load(struct daemon_store *store, uint64_t starts, uint64_t first_start, struct arena *arena,
                      struct daemon_stored *stored, struct error *error)
{
    *stored = (struct daemon_stored){0};
    struct load_job job = {.arena = arena, .stored = stored, .starts = starts, .first_start = first_start};
    return store_run(store->store, run_load, &job, error);
}

int daemon_store_open(struct daemon_store **store, uv_loop_t *loop, const char *path,
                      const struct daemon_store_handlers *handlers, void *owner, struct error *error)
{
    struct daemon_store *self = memory_alloc(sizeof *self);
    self->handlers = *handlers;
    self->owner = owner;
    int result = store_open(&self->store, loop, path, migrations, COUNT_OF(migrations), true, error);
    if (result != 0) {
        memory_free(self);
        return result;
    }
    uv_timer_init(loop, &self->retry);
    self->retry.data = self;
    uv_timer_start(&self->retry, on_retry, RETRY_MS, RETRY_MS);
    *store = self;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    memory_free(handle->data);
}

void daemon_store_close(struct daemon_store **store)
{
    struct daemon_store *self = *store;
    if (self == NULL)
        return;
    store_close(&self->store); /* tells the owner what became of what was queued */
    struct mark_job *job = NULL;
    struct mark_job *next = NULL;
    LL_FOREACH_SAFE (self->failed, job, next) {
        memory_free(job);
    }
    uv_close((uv_handle_t *)&self->retry, on_closed);
    *store = NULL;
}
