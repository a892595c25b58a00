#include "common/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/map.h"
#include "common/base/memory.h"

enum {
    BUSY_TIMEOUT_MS = 5000,
    TELL_BUDGET = 256 /* completions of one turn; then the rest of the loop has its turn */
};

/* One job on its way: waiting, running, finished. While it runs it belongs to the thread, else to `lock`. */
struct entry {
    store_job job;
    store_done done;
    void *data;
    bool is_waited_for; /* by store_run, which owns the entry; else it is told by the loop and released */
    bool is_finished;
    int result;
    struct error error;
    struct entry *next;
    struct entry *prev;
};

/* `lock` guards the lists, `queued` and `is_closing`. The database is the thread's alone from its start to its end. */
struct store {
    sqlite3 *database;
    uv_thread_t thread;
    uv_async_t completions;
    uv_mutex_t lock;
    uv_cond_t wake;   /* the thread: something to do */
    uv_cond_t waited; /* store_run: its job has run */
    struct entry *waiting;
    struct entry *finished;
    size_t queued; /* submitted and not told yet */
    bool is_closing;
    bool is_telling; /* the loop's thread is within a `done` */
};

/* ---- errors */

static int code_of(sqlite3 *database, int primary)
{
    switch (primary) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN: {
        int system = sqlite3_system_errno(database);
        return system == ENOSPC || system == EDQUOT       ? -ENOSPC
               : system > 0 && primary == SQLITE_CANTOPEN ? -system
                                                          : -EIO;
    }
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_CONSTRAINT:
        return -EEXIST;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return -EROFS;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EUCLEAN;
    case SQLITE_NOMEM:
        return -ENOMEM;
    default:
        return -EINVAL;
    }
}

int store_error(sqlite3 *database, const char *what, struct error *error)
{
    int code = code_of(database, sqlite3_errcode(database) & 0xff);
    return error_set(error, code, "%s: %s", what, sqlite3_errmsg(database));
}

int store_exec(sqlite3 *database, const char *sql, struct error *error)
{
    if (sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    char what[80];
    snprintf(what, sizeof what, "cannot run '%.60s'", sql);
    return store_error(database, what, error);
}

/* ---- jobs, on the store's thread */

/* SQLite rolls back by itself after some failures; a second ROLLBACK would then be an error. */
static void roll_back(sqlite3 *database)
{
    if (sqlite3_get_autocommit(database) == 0)
        sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
}

static int run_job(sqlite3 *database, store_job job, void *data, struct error *error)
{
    int result = store_exec(database, "BEGIN IMMEDIATE", error);
    if (result != 0)
        return result;
    result = job(database, data, error);
    ASSERT(result <= 0);
    if (result == 0)
        result = store_exec(database, "COMMIT", error);
    if (result != 0)
        roll_back(database);
    return result;
}

static void run_entries(void *owner)
{
    struct store *store = owner;
    uv_mutex_lock(&store->lock);
    while (store->waiting != NULL || !store->is_closing) {
        struct entry *entry = store->waiting;
        if (entry == NULL) {
            uv_cond_wait(&store->wake, &store->lock);
            continue;
        }
        DL_DELETE(store->waiting, entry);
        uv_mutex_unlock(&store->lock);
        entry->result = run_job(store->database, entry->job, entry->data, &entry->error);
        uv_mutex_lock(&store->lock);
        entry->is_finished = true;
        if (entry->is_waited_for) {
            uv_cond_signal(&store->waited);
        } else {
            DL_APPEND(store->finished, entry);
            uv_async_send(&store->completions);
        }
    }
    uv_mutex_unlock(&store->lock);
}

/* ---- completions, on the loop's thread */

/* Tells of one job that has finished. Returns false when there is none. */
static bool tell_one(struct store *store)
{
    uv_mutex_lock(&store->lock);
    struct entry *entry = store->finished;
    if (entry != NULL) {
        DL_DELETE(store->finished, entry);
        store->queued--;
    }
    uv_mutex_unlock(&store->lock);
    if (entry == NULL)
        return false;
    store->is_telling = true;
    if (entry->done != NULL)
        entry->done(entry->data, entry->result, &entry->error);
    store->is_telling = false;
    memory_free(entry);
    return true;
}

static void on_completions(uv_async_t *completions)
{
    struct store *store = completions->data;
    for (int told = 0; told < TELL_BUDGET; told++)
        if (!tell_one(store))
            return;
    uv_async_send(completions);
}

/* ---- opening */

static int read_number(sqlite3 *database, const char *sql, int *number, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result = 0;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        *number = sqlite3_column_int(statement, 0);
    else
        result = store_error(database, sql, error);
    sqlite3_finalize(statement);
    return result;
}

/* Switches to the write-ahead log; SQLite answers with the mode that it took. */
static int set_wal(sqlite3 *database, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result = 0;
    if (sqlite3_prepare_v2(database, "PRAGMA journal_mode=WAL", -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        result = store_error(database, "cannot switch to the write-ahead log", error);
    else if (strcmp((const char *)sqlite3_column_text(statement, 0), "wal") != 0)
        result = error_set(error, -ENOTSUP, "its file system cannot hold a write-ahead log");
    sqlite3_finalize(statement);
    return result;
}

static int run_migration(sqlite3 *database, const char *script, int version, struct error *error)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA user_version=%d", version);
    int result = store_exec(database, "BEGIN IMMEDIATE", error);
    if (result == 0)
        result = store_exec(database, script, error);
    if (result == 0)
        result = store_exec(database, sql, error);
    if (result == 0)
        result = store_exec(database, "COMMIT", error);
    if (result != 0)
        roll_back(database);
    return result;
}

static int migrate(sqlite3 *database, const char *const *migrations, size_t migration_count, struct error *error)
{
    int version = 0;
    int result = read_number(database, "PRAGMA user_version", &version, error);
    if (result != 0)
        return result;
    if (version < 0 || (size_t)version > migration_count)
        return error_set(error, -EPROTO,
                         "it was made by a newer version (schema %d, this one knows %zu): install that version again",
                         version, migration_count);
    for (size_t i = (size_t)version; i < migration_count && result == 0; i++)
        result = run_migration(database, migrations[i], (int)i + 1, error);
    return result;
}

static int open_database(sqlite3 **database, const char *path, bool synchronous_full, struct error *error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, database, flags, NULL) != SQLITE_OK)
        return store_error(*database, "cannot open it", error);
    sqlite3_busy_timeout(*database, BUSY_TIMEOUT_MS);
    int result = set_wal(*database, error);
    if (result == 0)
        result =
            store_exec(*database, synchronous_full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", error);
    if (result == 0)
        result = store_exec(*database, "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF", error);
    return result;
}

static void start_thread(struct store *store, uv_loop_t *loop)
{
    ASSERT(uv_mutex_init(&store->lock) == 0);
    ASSERT(uv_cond_init(&store->wake) == 0);
    ASSERT(uv_cond_init(&store->waited) == 0);
    ASSERT(uv_async_init(loop, &store->completions, on_completions) == 0);
    store->completions.data = store;
    ASSERT(uv_thread_create(&store->thread, run_entries, store) == 0);
}

int store_open(struct store **store, uv_loop_t *loop, const char *path, const char *const *migrations,
               size_t migration_count, bool synchronous_full, struct error *error)
{
    struct error detail = {0};
    sqlite3 *database = NULL;
    int result = open_database(&database, path, synchronous_full, &detail);
    if (result == 0)
        result = migrate(database, migrations, migration_count, &detail);
    if (result != 0) {
        sqlite3_close(database);
        return error_set(error, result, "cannot use the database '%s': %s", path, detail.sentence);
    }
    struct store *made = memory_alloc(sizeof *made);
    made->database = database;
    start_thread(made, loop);
    *store = made;
    return 0;
}

/* ---- closing */

static void on_closed(uv_handle_t *handle)
{
    struct store *store = handle->data;
    uv_cond_destroy(&store->waited);
    uv_cond_destroy(&store->wake);
    uv_mutex_destroy(&store->lock);
    memory_free(store);
}

void store_close(struct store **store)
{
    if (*store == NULL)
        return;
    struct store *gone = *store;
    ASSERT(!gone->is_telling);
    uv_mutex_lock(&gone->lock);
    gone->is_closing = true;
    uv_cond_signal(&gone->wake);
    uv_mutex_unlock(&gone->lock);
    ASSERT(uv_thread_join(&gone->thread) == 0);
    while (tell_one(gone))
        continue;
    ASSERT(sqlite3_close(gone->database) == SQLITE_OK);
    *store = NULL;
    uv_close((uv_handle_t *)&gone->completions, on_closed);
}

/* ---- submitting */

/* Takes the entry into the queue, without a bound. */
static void append_locked(struct store *store, struct entry *entry)
{
    DL_APPEND(store->waiting, entry);
    uv_cond_signal(&store->wake);
}

int store_submit(struct store *store, store_job job, store_done done, void *data)
{
    int result = 0;
    uv_mutex_lock(&store->lock);
    if (store->is_closing) {
        result = -ESHUTDOWN;
    } else if (store->queued == STORE_QUEUE_MAX) {
        result = -EAGAIN;
    } else {
        struct entry *entry = memory_alloc(sizeof *entry);
        *entry = (struct entry){.job = job, .done = done, .data = data};
        store->queued++;
        append_locked(store, entry);
    }
    uv_mutex_unlock(&store->lock);
    return result;
}

int store_run(struct store *store, store_job job, void *data, struct error *error)
{
    struct entry entry = {.job = job, .data = data, .is_waited_for = true};
    uv_mutex_lock(&store->lock);
    ASSERT(!store->is_closing);
    append_locked(store, &entry);
    while (!entry.is_finished)
        uv_cond_wait(&store->waited, &store->lock);
    uv_mutex_unlock(&store->lock);
    if (entry.result != 0 && error != NULL)
        *error = entry.error;
    return entry.result;
}

size_t store_queued(const struct store *store)
{
    /* The count belongs to the lock, the promise of not changing the store to the caller. */
    struct store *locked = (struct store *)(uintptr_t)store;
    uv_mutex_lock(&locked->lock);
    size_t queued = locked->queued;
    uv_mutex_unlock(&locked->lock);
    return queued;
}
