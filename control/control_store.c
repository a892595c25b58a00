#include "control/control_store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/loop/clock.h"
#include "common/store/store.h"
#include "common/wire/wire.h"

enum {
    HASH_BYTES = 16
};

static const char *const migrations[] = {
    "CREATE TABLE oplog(\"index\" INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, prev_hash BLOB NOT NULL,"
    " op BLOB NOT NULL, crc32c INTEGER NOT NULL);"
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE state(kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY(kind, key))"
    " WITHOUT ROWID;"
    "CREATE TABLE diverged(number INTEGER PRIMARY KEY, \"index\" INTEGER NOT NULL, epoch INTEGER NOT NULL,"
    " prev_hash BLOB NOT NULL, op BLOB NOT NULL, crc32c INTEGER NOT NULL, acknowledged INTEGER NOT NULL,"
    " set_aside_ns INTEGER NOT NULL);",
};

struct control_store {
    struct store *store;
    struct state *state; /* borrowed */
    const struct control_store_handlers *handlers;
    void *owner;
    uint64_t given;     /* sequence of the newest write of the pair */
    uint64_t applied;   /* index of the newest write of tables */
    bool repair_due;    /* the owner knows of the failure, or nothing was written yet: the next write follows nothing */
    bool tables_behind; /* a write of tables failed */
};

enum job_kind {
    JOB_PAIR,  /* a STORE_* action */
    JOB_APPLY, /* rows that changed */
    JOB_TABLES /* all rows anew */
};

/* A unit of work; owns a copy of what it writes. */
struct job {
    struct control_store *store;
    struct arena arena;
    enum job_kind kind;
    bool repair;
    uint64_t after;         /* the write of the pair that must have been done */
    uint64_t after_applied; /* JOB_APPLY: the tables that must have been written */
    struct pair_action action;
    uint64_t sequence;
    struct state_change *changes;
    size_t change_count;
    uint64_t applied_index;
    int64_t wall_ns;
};

/* ---- on the store's thread */

static int run_bound(sqlite3 *database, sqlite3_stmt *statement, const char *what, struct error *error)
{
    int result = sqlite3_step(statement) == SQLITE_DONE ? 0 : store_error(database, what, error);
    sqlite3_finalize(statement);
    return result;
}

static int prepare(sqlite3 *database, const char *sql, sqlite3_stmt **statement, struct error *error)
{
    return sqlite3_prepare_v2(database, sql, -1, statement, NULL) == SQLITE_OK ? 0 : store_error(database, sql, error);
}

static int put_meta_number(sqlite3 *database, const char *key, uint64_t value, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result = prepare(database, "INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)", &statement, error);
    if (result != 0)
        return result;
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)value);
    return run_bound(database, statement, key, error);
}

static int put_meta(sqlite3 *database, const struct pair_meta *meta, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result =
        prepare(database, "INSERT OR REPLACE INTO meta(key, value) VALUES('cluster_id', ?)", &statement, error);
    if (result != 0)
        return result;
    sqlite3_bind_text(statement, 1, meta->cluster_id, -1, SQLITE_STATIC);
    result = run_bound(database, statement, "cluster_id", error);
    if (result == 0)
        result = put_meta_number(database, "epoch_seen", meta->epoch_seen, error);
    if (result == 0)
        result = put_meta_number(database, "record_epoch", meta->record.epoch, error);
    if (result == 0)
        result = put_meta_number(database, "record_members", (uint64_t)meta->record.members, error);
    return result;
}

static void put_hash(uint8_t hash[HASH_BYTES], const Gemel__LogEntry *entry)
{
    memcpy(hash, &entry->prev_hash_low, 8);
    memcpy(hash + 8, &entry->prev_hash_high, 8);
}

static int append(sqlite3 *database, const struct job *job, struct error *error)
{
    for (size_t i = 0; i < job->action.store_append.entry_count; i++) {
        const Gemel__LogEntry *entry = job->action.store_append.entries[i];
        uint8_t hash[HASH_BYTES];
        put_hash(hash, entry);
        sqlite3_stmt *statement = NULL;
        int result = prepare(database, "INSERT INTO oplog VALUES(?, ?, ?, ?, ?)", &statement, error);
        if (result != 0)
            return result;
        sqlite3_bind_int64(statement, 1, (sqlite3_int64)entry->index);
        sqlite3_bind_int64(statement, 2, (sqlite3_int64)entry->epoch);
        sqlite3_bind_blob(statement, 3, hash, HASH_BYTES, SQLITE_STATIC);
        sqlite3_bind_blob(statement, 4, entry->op.data, (int)entry->op.len, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 5, entry->crc32c);
        result = run_bound(database, statement, "append to the operation log", error);
        if (result != 0)
            return result;
    }
    return 0;
}

static int truncate_log(sqlite3 *database, const struct job *job, struct error *error)
{
    char sql[512];
    unsigned long long keep = job->action.store_truncate.keep;
    int result = 0;
    if (job->action.store_truncate.diverged) {
        snprintf(sql, sizeof sql,
                 "INSERT INTO diverged(\"index\", epoch, prev_hash, op, crc32c, acknowledged, set_aside_ns)"
                 " SELECT \"index\", epoch, prev_hash, op, crc32c, %d, %lld FROM oplog WHERE \"index\" > %llu",
                 job->action.store_truncate.acknowledged ? 1 : 0, (long long)job->wall_ns, keep);
        result = store_exec(database, sql, error);
    }
    snprintf(sql, sizeof sql, "DELETE FROM oplog WHERE \"index\" > %llu", keep);
    if (result == 0)
        result = store_exec(database, sql, error);
    if (result == 0 && job->action.store_truncate.reset_state) {
        result = store_exec(database, "DELETE FROM state", error);
        if (result == 0)
            result = put_meta_number(database, "applied_index", 0, error);
    }
    return result;
}

static int put_rows(sqlite3 *database, const struct job *job, struct error *error)
{
    for (size_t i = 0; i < job->change_count; i++) {
        const struct state_change *change = &job->changes[i];
        sqlite3_stmt *statement = NULL;
        int result = prepare(database,
                             change->value == NULL ? "DELETE FROM state WHERE kind = ? AND key = ?"
                                                   : "INSERT OR REPLACE INTO state(kind, key, value) VALUES(?, ?, ?)",
                             &statement, error);
        if (result != 0)
            return result;
        sqlite3_bind_text(statement, 1, state_kind_word(change->kind), -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 2, change->key, -1, SQLITE_STATIC);
        if (change->value != NULL)
            sqlite3_bind_blob(statement, 3, change->value, (int)change->value_bytes, SQLITE_STATIC);
        result = run_bound(database, statement, "write a row of state", error);
        if (result != 0)
            return result;
    }
    return put_meta_number(database, "applied_index", job->applied_index, error);
}

static int do_pair_action(sqlite3 *database, const struct job *job, struct error *error)
{
    if (job->action.type == PAIR_ACTION_STORE_APPEND)
        return append(database, job, error);
    if (job->action.type == PAIR_ACTION_STORE_TRUNCATE)
        return truncate_log(database, job, error);
    ASSERT(job->action.type == PAIR_ACTION_STORE_META);
    return put_meta(database, &job->action.store_meta.meta, error);
}

static uint64_t get_meta_number(sqlite3 *database, const char *key)
{
    sqlite3_stmt *statement = NULL;
    uint64_t number = 0;
    if (sqlite3_prepare_v2(database, "SELECT value FROM meta WHERE key = ?", -1, &statement, NULL) != SQLITE_OK)
        return 0;
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW)
        number = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

/* The order of writes is kept by the database itself: each names the one that it follows. A flag would not do, because
 * a COMMIT can fail after its job has said 0. */
static int do_job(sqlite3 *database, void *data, struct error *error)
{
    const struct job *job = data;
    if (!job->repair && get_meta_number(database, "sequence") != job->after)
        return error_set(error, -ECANCELED, "skipped after a failed write");
    if (job->kind == JOB_APPLY && get_meta_number(database, "applied_index") != job->after_applied)
        return error_set(error, -ECANCELED, "skipped after a failed write of tables");
    int result = 0;
    if (job->kind == JOB_PAIR)
        result = do_pair_action(database, job, error);
    else if (job->kind == JOB_TABLES)
        result = store_exec(database, "DELETE FROM state", error);
    if (result == 0)
        result = job->kind == JOB_PAIR ? put_meta_number(database, "sequence", job->sequence, error)
                                       : put_rows(database, job, error);
    return result;
}

/* ---- on the loop's thread */

static void release_job(struct job *job)
{
    arena_fini(&job->arena);
    memory_free(job);
}

static void on_done(void *data, int result, const struct error *error)
{
    struct job *job = data;
    struct control_store *self = job->store;
    enum job_kind kind = job->kind;
    uint64_t sequence = job->sequence;
    release_job(job);
    if (kind != JOB_PAIR) {
        if (result != 0) {
            self->tables_behind = true;
            if (result != -ECANCELED)
                log_warn("Tables cannot be written, they follow later [ Error: %s ]", error->sentence);
        }
        return;
    }
    if (result == 0) {
        self->handlers->on_stored(self->owner, sequence);
    } else if (result != -ECANCELED) {
        self->repair_due = true;
        self->handlers->on_failed(self->owner, sequence, result, error->sentence);
    }
}

static struct job *make_job(struct control_store *self, enum job_kind kind)
{
    struct job *job = memory_alloc(sizeof *job);
    job->store = self;
    job->kind = kind;
    job->wall_ns = clock_wall_ns();
    arena_init(&job->arena);
    return job;
}

static void submit(struct control_store *self, struct job *job)
{
    int result = store_submit(self->store, do_job, on_done, job);
    if (result == 0)
        return;
    struct error error = {0};
    error_set(&error, result, "the store takes no more work");
    on_done(job, result, &error);
}

static Gemel__LogEntry *copy_entry(struct arena *arena, const Gemel__LogEntry *entry)
{
    Gemel__LogEntry *copy = arena_copy(arena, entry, sizeof *entry);
    copy->op.data = arena_copy(arena, entry->op.data, entry->op.len);
    return copy;
}

void control_store_write(struct control_store *self, const struct pair_action *action)
{
    struct job *job = make_job(self, JOB_PAIR);
    job->action = *action;
    job->repair = self->repair_due;
    job->after = self->given;
    self->repair_due = false;
    if (action->type == PAIR_ACTION_STORE_APPEND) {
        size_t count = action->store_append.entry_count;
        job->sequence = action->store_append.sequence;
        job->action.store_append.entries = arena_alloc(&job->arena, count * sizeof(Gemel__LogEntry *));
        for (size_t i = 0; i < count; i++)
            job->action.store_append.entries[i] = copy_entry(&job->arena, action->store_append.entries[i]);
    } else if (action->type == PAIR_ACTION_STORE_TRUNCATE) {
        job->sequence = action->store_truncate.sequence;
        if (action->store_truncate.reset_state)
            self->applied = 0;
    } else {
        job->sequence = action->store_meta.sequence;
    }
    self->given = job->sequence;
    submit(self, job);
}

static void add_row(struct job *job, enum state_kind kind, const struct state_row *row)
{
    struct state_change *change = &job->changes[job->change_count++];
    change->kind = kind;
    change->key = arena_strdup(&job->arena, row->key);
    change->value = wire_pack_arena(&job->arena, row->message, &change->value_bytes);
}

/* All rows as they are now. */
static void fill_tables(struct job *job, const struct state *state)
{
    size_t count = 0;
    for (int kind = 0; kind < STATE_KIND_COUNT; kind++)
        count += state_count(state, (enum state_kind)kind);
    job->changes = arena_alloc(&job->arena, (count + 1) * sizeof *job->changes);
    for (int kind = 0; kind < STATE_KIND_COUNT; kind++)
        for (const struct state_row *row = state_first(state, (enum state_kind)kind); row != NULL;
             row = state_next(row))
            add_row(job, (enum state_kind)kind, row);
}

void control_store_apply(struct control_store *self, const struct state_changes *changes, uint64_t applied_index)
{
    struct job *job = make_job(self, self->tables_behind ? JOB_TABLES : JOB_APPLY);
    job->after = self->given;
    job->after_applied = self->applied;
    job->applied_index = applied_index;
    job->repair = self->repair_due && self->given == 0; /* nothing was written yet by this control */
    self->applied = applied_index;
    if (job->kind == JOB_TABLES) {
        fill_tables(job, self->state);
        self->tables_behind = false;
    } else {
        job->changes = arena_alloc(&job->arena, (changes->count + 1) * sizeof *job->changes);
        job->change_count = changes->count;
        for (size_t i = 0; i < changes->count; i++) {
            const struct state_change *change = &changes->items[i];
            job->changes[i] = *change;
            job->changes[i].key = arena_strdup(&job->arena, change->key);
            if (change->value != NULL)
                job->changes[i].value = arena_copy(&job->arena, change->value, change->value_bytes);
        }
    }
    submit(self, job);
}

/* ---- start */

struct load {
    struct state *state;
    struct control_stored *stored;
};

static int load_meta(sqlite3 *database, struct control_stored *stored, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result = prepare(database, "SELECT key, value FROM meta", &statement, error);
    if (result != 0)
        return result;
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(statement, 0);
        uint64_t number = (uint64_t)sqlite3_column_int64(statement, 1);
        if (strcmp(key, "cluster_id") == 0)
            text_copy(stored->meta.cluster_id, sizeof stored->meta.cluster_id,
                      (const char *)sqlite3_column_text(statement, 1));
        else if (strcmp(key, "epoch_seen") == 0)
            stored->meta.epoch_seen = number;
        else if (strcmp(key, "record_epoch") == 0)
            stored->meta.record.epoch = number;
        else if (strcmp(key, "record_members") == 0)
            stored->meta.record.members = (enum pair_members)number;
        else if (strcmp(key, "applied_index") == 0)
            stored->applied_index = number;
    }
    sqlite3_finalize(statement);
    return 0;
}

static Gemel__LogEntry *load_entry(sqlite3_stmt *statement, struct arena *arena)
{
    Gemel__LogEntry *entry = arena_alloc(arena, sizeof *entry);
    gemel__log_entry__init(entry);
    entry->index = (uint64_t)sqlite3_column_int64(statement, 0);
    entry->epoch = (uint64_t)sqlite3_column_int64(statement, 1);
    if (sqlite3_column_bytes(statement, 2) == HASH_BYTES) {
        const uint8_t *hash = sqlite3_column_blob(statement, 2);
        memcpy(&entry->prev_hash_low, hash, 8);
        memcpy(&entry->prev_hash_high, hash + 8, 8);
    }
    entry->op.len = (size_t)sqlite3_column_bytes(statement, 3);
    entry->op.data = arena_copy(arena, sqlite3_column_blob(statement, 3), entry->op.len);
    entry->crc32c = (uint32_t)sqlite3_column_int64(statement, 4);
    return entry;
}

static int load_log(sqlite3 *database, struct control_stored *stored, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result = prepare(database, "SELECT * FROM oplog ORDER BY \"index\"", &statement, error);
    if (result != 0)
        return result;
    size_t capacity = 0;
    while (result == 0 && sqlite3_step(statement) == SQLITE_ROW) {
        if (stored->entry_count == capacity) {
            capacity = capacity == 0 ? 256 : capacity * 2;
            const Gemel__LogEntry **grown = arena_alloc(&stored->arena, capacity * sizeof *grown);
            if (stored->entry_count > 0)
                memcpy(grown, stored->entries, stored->entry_count * sizeof *grown);
            stored->entries = grown;
        }
        Gemel__LogEntry *entry = load_entry(statement, &stored->arena);
        stored->entries[stored->entry_count++] = entry;
        if (entry->index != stored->entry_count || entry->crc32c != crc32c(entry->op.data, entry->op.len))
            result = error_set(error, -EUCLEAN,
                               "entry %llu of the operation log is damaged: move control.db away, and this control "
                               "takes everything from its peer",
                               (unsigned long long)stored->entry_count);
    }
    sqlite3_finalize(statement);
    return result;
}

static int load_state(sqlite3 *database, struct state *state, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result = prepare(database, "SELECT kind, key, value FROM state", &statement, error);
    if (result != 0)
        return result;
    while (result == 0 && sqlite3_step(statement) == SQLITE_ROW) {
        const char *kind = (const char *)sqlite3_column_text(statement, 0);
        const char *key = (const char *)sqlite3_column_text(statement, 1);
        if (state_load(state, kind, key, sqlite3_column_blob(statement, 2),
                       (size_t)sqlite3_column_bytes(statement, 2)) != 0)
            result = error_set(error, -EUCLEAN, "row %s of state is damaged: it is made anew from the log", key);
    }
    sqlite3_finalize(statement);
    return result;
}

static int load(sqlite3 *database, void *data, struct error *error)
{
    struct load *self = data;
    int result = load_meta(database, self->stored, error);
    if (result == 0)
        result = load_log(database, self->stored, error);
    if (result == 0 && load_state(database, self->state, error) != 0) {
        state_clear(self->state); /* the log is the truth: apply it from its beginning */
        self->stored->applied_index = 0;
    }
    return result;
}

int control_store_open(struct control_store **store, uv_loop_t *loop, const char *path, struct state *state,
                       struct control_stored *stored, const struct control_store_handlers *handlers, void *owner,
                       struct error *error)
{
    struct control_store *self = memory_alloc(sizeof *self);
    self->state = state;
    self->handlers = handlers;
    self->owner = owner;
    *stored = (struct control_stored){0};
    arena_init(&stored->arena);
    struct load job = {.state = state, .stored = stored};
    int result = store_open(&self->store, loop, path, migrations, COUNT_OF(migrations), true, error);
    if (result == 0)
        result = store_run(self->store, load, &job, error);
    if (result != 0) {
        control_stored_fini(stored);
        control_store_close(&self);
        return result;
    }
    self->tables_behind = stored->applied_index == 0;
    self->applied = stored->applied_index;
    self->repair_due = true;
    *store = self;
    return 0;
}

void control_stored_fini(struct control_stored *stored)
{
    arena_fini(&stored->arena);
    *stored = (struct control_stored){0};
}

void control_store_close(struct control_store **store)
{
    if (*store == NULL)
        return;
    store_close(&(*store)->store);
    memory_free(*store);
    *store = NULL;
}
