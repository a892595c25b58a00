#include "pipelines/rdb/apply.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/wire/rows.h"
#include "pipelines/feed/table_check.h"
#include "pipelines/sql/sql_schema.h"

enum {
    TRANSACTION_ROWS_MAX = 20000, /* so that a replay shows its progress and the write-ahead log stays small */
    LOG_PAGES = 1000,             /* of the write-ahead log, before it is copied into the file */
    LOG_PAGES_MAX = 16 * 1024,    /* 64 MiB: readers that overlap for ever are waited for, so that it starts anew */
    READERS_WAIT_MS = 100
};

/* A batch or a marker on its way. */
struct item {
    Gemel__Batch *batch; /* NULL: a marker */
    uint64_t marker;
    struct item *next;
};

struct apply {
    uv_async_t wake;
    struct apply_options options;
    pthread_t thread;
    sqlite3 *database;      /* the thread's, but for apply_create */
    sqlite3_stmt **inserts; /* one a table */
    sqlite3_stmt *set_mark;
    struct marks marks; /* the loop's view */
    bool told_broken;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    struct item *first;
    struct item **last;
    uint64_t waiting_rows;
    size_t waiting_bytes;
    uint64_t rows;          /* applied */
    struct item *committed; /* batches without rows, and markers: for the loop, in order */
    struct item **committed_last;
    bool stopping;
    char broken[256]; /* why; "": it works */
};

/* ---- on the thread */

static int bind_cell(sqlite3_stmt *statement, int position, const struct rows_cell *cell)
{
    switch (cell->kind) {
    case ROWS_NULL:
        return sqlite3_bind_null(statement, position);
    case ROWS_INTEGER:
        return sqlite3_bind_int64(statement, position, cell->integer);
    case ROWS_REAL:
        return sqlite3_bind_double(statement, position, cell->real);
    case ROWS_TEXT:
        return sqlite3_bind_text(statement, position, (const char *)cell->bytes, (int)cell->size, SQLITE_STATIC);
    case ROWS_BLOB:
        return sqlite3_bind_blob(statement, position, cell->bytes, (int)cell->size, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

static int insert_rows(sqlite3_stmt *insert, const Gemel__Batch *batch)
{
    struct rows_reader reader = {.at = batch->rows.data, .left = batch->rows.len};
    int result = SQLITE_OK;
    for (uint32_t row = 0; result == SQLITE_OK && row < batch->row_count; row++) {
        for (uint32_t column = 0; result == SQLITE_OK && column < batch->column_count; column++) {
            struct rows_cell cell = {0};
            rows_read(&reader, &cell); /* was checked */
            result = bind_cell(insert, (int)column + 1, &cell);
        }
        if (result == SQLITE_OK && sqlite3_step(insert) != SQLITE_DONE)
            result = sqlite3_errcode(sqlite3_db_handle(insert));
        sqlite3_reset(insert);
    }
    return result;
}

static int set_mark(struct apply *apply, const Gemel__Batch *batch)
{
    sqlite3_bind_text(apply->set_mark, 1, batch->publisher, -1, SQLITE_STATIC);
    sqlite3_bind_int64(apply->set_mark, 2, (sqlite3_int64)batch->sequence);
    int result = sqlite3_step(apply->set_mark) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(apply->database);
    sqlite3_reset(apply->set_mark);
    return result;
}

static int write_batch(struct apply *apply, const Gemel__Batch *batch)
{
    const struct gemel_table *table = table_find(apply->options.tables, apply->options.table_count, batch->table);
    int result = SQLITE_OK;
    ASSERT(table != NULL || batch->row_count == 0); /* was checked before it was queued */
    if (table != NULL)
        result = insert_rows(apply->inserts[table - apply->options.tables], batch);
    return result == SQLITE_OK ? set_mark(apply, batch) : result;
}

static int execute(sqlite3 *database, const char *sql)
{
    return sqlite3_exec(database, sql, NULL, NULL, NULL);
}

/* Writes items up to the bound of one transaction. Returns SQLite's result and the number of rows; *end is the first
 * item that is not in it. */
static int write_items(struct apply *apply, struct item *items, struct item **end, uint64_t *rows)
{
    struct item *item = items;
    int result = execute(apply->database, "BEGIN IMMEDIATE");
    for (*rows = 0; result == SQLITE_OK && item != NULL && *rows < TRANSACTION_ROWS_MAX; item = item->next) {
        if (item->batch == NULL)
            continue;
        result = write_batch(apply, item->batch);
        *rows += item->batch->row_count;
    }
    if (result == SQLITE_OK)
        result = execute(apply->database, "COMMIT");
    *end = item;
    return result;
}

/* Hands [items, end) to the loop: what it needs of them are the marks. */
static void hand_over(struct apply *apply, struct item *items, const struct item *end, uint64_t rows, size_t bytes)
{
    struct item **last = &items;
    while (*last != end)
        last = &(*last)->next;
    pthread_mutex_lock(&apply->mutex);
    if (last != &items) {
        *last = NULL;
        *apply->committed_last = items;
        apply->committed_last = last;
    }
    apply->rows += rows;
    apply->waiting_rows -= rows;
    apply->waiting_bytes -= bytes;
    pthread_mutex_unlock(&apply->mutex);
    uv_async_send(&apply->wake);
}

static size_t bytes_of(const struct item *items, const struct item *end)
{
    size_t bytes = 0;
    for (; items != end; items = items->next)
        bytes += items->batch != NULL ? items->batch->rows.len : 0;
    return bytes;
}

static void release_items(struct item *items)
{
    while (items != NULL) {
        struct item *next = items->next;
        if (items->batch != NULL)
            wire_free(&items->batch->base);
        memory_free(items);
        items = next;
    }
}

static void break_down(struct apply *apply, int result)
{
    pthread_mutex_lock(&apply->mutex);
    snprintf(apply->broken, sizeof apply->broken, "%s: %s", sqlite3_errstr(result), sqlite3_errmsg(apply->database));
    pthread_mutex_unlock(&apply->mutex);
    execute(apply->database, "ROLLBACK");
    uv_async_send(&apply->wake);
}

/* Writes all of `items`. Returns false when that is not possible any more. */
static bool write_all(struct apply *apply, struct item *items)
{
    while (items != NULL) {
        struct item *end = NULL;
        uint64_t rows = 0;
        int result = write_items(apply, items, &end, &rows);
        if (result != SQLITE_OK) {
            break_down(apply, result);
            release_items(items);
            return false;
        }
        hand_over(apply, items, end, rows, bytes_of(items, end));
        items = end;
    }
    return true;
}

static void *apply_thread(void *data)
{
    struct apply *apply = data;
    bool works = true;
    pthread_mutex_lock(&apply->mutex);
    while (!apply->stopping) {
        struct item *items = apply->first;
        if (items == NULL || !works) {
            pthread_cond_wait(&apply->changed, &apply->mutex);
            continue;
        }
        apply->first = NULL;
        apply->last = &apply->first;
        pthread_mutex_unlock(&apply->mutex);
        works = write_all(apply, items);
        pthread_mutex_lock(&apply->mutex);
    }
    pthread_mutex_unlock(&apply->mutex);
    return NULL;
}

/* ---- in the loop */

static void on_wake(uv_async_t *wake)
{
    struct apply *apply = wake->data;
    pthread_mutex_lock(&apply->mutex);
    struct item *items = apply->committed;
    apply->committed = NULL;
    apply->committed_last = &apply->committed;
    bool broken = apply->broken[0] != '\0';
    pthread_mutex_unlock(&apply->mutex);
    const struct item *item = NULL;
    LL_FOREACH (items, item)
        if (item->batch != NULL)
            marks_set(&apply->marks, item->batch->publisher, item->batch->sequence);
    if (items != NULL)
        apply->options.on_applied(apply->options.owner);
    LL_FOREACH (items, item)
        if (item->batch == NULL)
            apply->options.on_marker(apply->options.owner, item->marker);
    release_items(items);
    if (broken && !apply->told_broken) {
        apply->told_broken = true;
        apply->options.on_broken(apply->options.owner, apply->broken);
    }
}

static void push(struct apply *apply, struct item *item)
{
    pthread_mutex_lock(&apply->mutex);
    *apply->last = item;
    apply->last = &item->next;
    if (item->batch != NULL) {
        apply->waiting_rows += item->batch->row_count;
        apply->waiting_bytes += item->batch->rows.len;
    }
    pthread_cond_signal(&apply->changed);
    pthread_mutex_unlock(&apply->mutex);
}

void apply_batch(struct apply *apply, Gemel__Batch *batch)
{
    struct item *item = memory_alloc(sizeof *item);
    item->batch = batch;
    push(apply, item);
}

void apply_marker(struct apply *apply, uint64_t marker)
{
    struct item *item = memory_alloc(sizeof *item);
    item->marker = marker;
    push(apply, item);
}

const struct marks *apply_marks(const struct apply *apply)
{
    return &apply->marks;
}

static uint64_t read_counter(const struct apply *apply, const uint64_t *counter)
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&apply->mutex;
    pthread_mutex_lock(mutex);
    uint64_t value = *counter;
    pthread_mutex_unlock(mutex);
    return value;
}

uint64_t apply_rows(const struct apply *apply)
{
    return read_counter(apply, &apply->rows);
}

uint64_t apply_waiting_rows(const struct apply *apply)
{
    return read_counter(apply, &apply->waiting_rows);
}

size_t apply_waiting_bytes(const struct apply *apply)
{
    _Static_assert(sizeof(size_t) == sizeof(uint64_t), "one reader serves both");
    return read_counter(apply, &apply->waiting_bytes);
}

/* ---- making it */

/* Readers that overlap would keep the log growing for ever: from a size on the writer waits for them a little. */
static int on_log(void *data, sqlite3 *database, const char *name, int pages)
{
    (void)data;
    if (pages >= LOG_PAGES)
        sqlite3_wal_checkpoint_v2(
            database, name, pages >= LOG_PAGES_MAX ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return SQLITE_OK; /* a reader in the way is no failure of the commit */
}

static void remove_files(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char name[1024];
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

static int make_tables(struct apply *apply)
{
    struct text sql;
    text_init(&sql, 16 * 1024 * 1024);
    /* The file does not outlive the process: nothing is synced. */
    text_append_string(&sql, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;\n");
    for (size_t i = 0; i < apply->options.table_count; i++) {
        sql_schema_create_table(&sql, &apply->options.tables[i]);
        sql_schema_create_indexes(&sql, &apply->options.tables[i]);
    }
    sql_schema_create_marks(&sql);
    int result = execute(apply->database, sql.data);
    text_fini(&sql);
    sqlite3_busy_timeout(apply->database, READERS_WAIT_MS);
    sqlite3_wal_hook(apply->database, on_log, NULL);
    return result;
}

static int prepare(struct apply *apply)
{
    static const char set_mark[] =
        "INSERT INTO " SQL_MARKS_TABLE " VALUES(?,?) ON CONFLICT(publisher) DO UPDATE SET sequence = excluded.sequence";
    struct text sql;
    int result = sqlite3_prepare_v3(apply->database, set_mark, -1, SQLITE_PREPARE_PERSISTENT, &apply->set_mark, NULL);
    apply->inserts = memory_alloc_array(apply->options.table_count, sizeof apply->inserts[0]);
    text_init(&sql, 1024 * 1024);
    for (size_t i = 0; result == SQLITE_OK && i < apply->options.table_count; i++) {
        text_clear(&sql);
        sql_schema_insert(&sql, &apply->options.tables[i]);
        result = sqlite3_prepare_v3(apply->database, sql.data, -1, SQLITE_PREPARE_PERSISTENT, &apply->inserts[i], NULL);
    }
    text_fini(&sql);
    return result;
}

static void close_database(struct apply *apply)
{
    for (size_t i = 0; apply->inserts != NULL && i < apply->options.table_count; i++)
        sqlite3_finalize(apply->inserts[i]);
    memory_free(apply->inserts);
    sqlite3_finalize(apply->set_mark);
    sqlite3_close(apply->database);
}

int apply_create(struct apply **apply, uv_loop_t *loop, const struct apply_options *options, struct error *error)
{
    struct apply *made = memory_alloc(sizeof *made);
    made->options = *options;
    made->last = &made->first;
    made->committed_last = &made->committed;
    remove_files(options->path);
    int result = sqlite3_open(options->path, &made->database);
    if (result == SQLITE_OK)
        result = make_tables(made);
    if (result == SQLITE_OK)
        result = prepare(made);
    if (result != SQLITE_OK) {
        error_set(error, -EIO, "cannot make the tables in %s: %s", options->path, sqlite3_errmsg(made->database));
        close_database(made);
        memory_free(made);
        return -EIO;
    }
    uv_async_init(loop, &made->wake, on_wake);
    made->wake.data = made;
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->changed, NULL);
    result = pthread_create(&made->thread, NULL, apply_thread, made);
    ASSERT(result == 0);
    *apply = made;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    memory_free(handle->data);
}

void apply_destroy(struct apply **apply)
{
    struct apply *closing = *apply;
    if (closing == NULL)
        return;
    *apply = NULL;
    pthread_mutex_lock(&closing->mutex);
    closing->stopping = true;
    pthread_cond_signal(&closing->changed);
    pthread_mutex_unlock(&closing->mutex);
    pthread_join(closing->thread, NULL);
    pthread_mutex_destroy(&closing->mutex);
    pthread_cond_destroy(&closing->changed);
    release_items(closing->first);
    release_items(closing->committed);
    close_database(closing);
    marks_fini(&closing->marks);
    uv_close((uv_handle_t *)&closing->wake, on_closed);
}
