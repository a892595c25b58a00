#include "pipelines/sql/sql_answer.h"

#include <errno.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/wire/rows.h"
#include "common/wire/wire.h"
#include "pipelines/sql/sql_schema.h"

enum {
    STEPS_PER_LOOK = 2000 /* of SQLite's machine, about 20 us, between two looks at is_over */
};

static int on_progress(void *data)
{
    const struct sql_limits *limits = data;
    return limits->is_over(limits->owner) ? 1 : 0;
}

int sql_connection_init(struct sql_connection *connection, sqlite3 *database, bool with_marks, struct error *error)
{
    *connection = (struct sql_connection){.database = database};
    int result = SQLITE_OK;
    sql_rules_apply(&connection->rules, database);
    connection->rules.ours = true;
    if (with_marks)
        result = sqlite3_prepare_v3(database, "SELECT publisher, sequence FROM " SQL_MARKS_TABLE, -1,
                                    SQLITE_PREPARE_PERSISTENT, &connection->marks, NULL);
    connection->rules.ours = false;
    if (result == SQLITE_OK)
        return 0;
    error_set(error, -EIO, "cannot read the marks: %s", sqlite3_errmsg(database));
    sql_connection_fini(connection);
    return -EIO;
}

void sql_connection_fini(struct sql_connection *connection)
{
    sqlite3_finalize(connection->marks);
    sqlite3_close(connection->database);
    *connection = (struct sql_connection){0};
}

static int execute_ours(struct sql_connection *connection, const char *sql)
{
    connection->rules.ours = true;
    int result = sqlite3_exec(connection->database, sql, NULL, NULL, NULL);
    connection->rules.ours = false;
    return result == SQLITE_OK ? 0 : -EIO;
}

/* Reads the marks first: this fixes the state that the query then sees. */
static void read_marks(struct sql_connection *connection, struct arena *arena, Gemel__SqlAnswer *answer)
{
    size_t capacity = 0;
    if (connection->marks == NULL)
        return;
    connection->rules.ours = true; /* SQLite may have to prepare it again */
    while (sqlite3_step(connection->marks) == SQLITE_ROW) {
        if (answer->n_marks == capacity) {
            size_t grown = capacity > 0 ? capacity * 2 : 8;
            Gemel__Mark **items = arena_alloc(arena, grown * sizeof *items);
            if (capacity > 0)
                memcpy(items, answer->marks, capacity * sizeof *items);
            answer->marks = items;
            capacity = grown;
        }
        Gemel__Mark *mark = arena_alloc(arena, sizeof *mark);
        gemel__mark__init(mark);
        mark->publisher = arena_strdup(arena, (const char *)sqlite3_column_text(connection->marks, 0));
        mark->sequence = (uint64_t)sqlite3_column_int64(connection->marks, 1);
        answer->marks[answer->n_marks++] = mark;
    }
    sqlite3_reset(connection->marks);
    connection->rules.ours = false;
}

static void read_cell(sqlite3_stmt *statement, int column, struct rows_cell *cell)
{
    *cell = (struct rows_cell){0};
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        cell->kind = ROWS_INTEGER;
        cell->integer = sqlite3_column_int64(statement, column);
        break;
    case SQLITE_FLOAT:
        cell->kind = ROWS_REAL;
        cell->real = sqlite3_column_double(statement, column);
        break;
    case SQLITE_TEXT:
        cell->kind = ROWS_TEXT;
        cell->bytes = sqlite3_column_text(statement, column);
        cell->size = (size_t)sqlite3_column_bytes(statement, column);
        break;
    case SQLITE_BLOB:
        cell->kind = ROWS_BLOB;
        cell->bytes = sqlite3_column_blob(statement, column);
        cell->size = (size_t)sqlite3_column_bytes(statement, column);
        break;
    default:
        cell->kind = ROWS_NULL;
    }
}

static int write_row(sqlite3_stmt *statement, int columns, struct rows_writer *rows)
{
    int result = 0;
    for (int column = 0; result == 0 && column < columns; column++) {
        struct rows_cell cell;
        read_cell(statement, column, &cell);
        result = rows_write(rows, &cell);
    }
    return result;
}

static int explain_step(sqlite3 *database, int result, struct error *error)
{
    if (result == SQLITE_INTERRUPT)
        return error_set(error, -ECANCELED, "the query ran out of its time, or nobody waited for it any more");
    if (result == SQLITE_TOOBIG || result == SQLITE_NOMEM)
        return error_set(error, -EMSGSIZE, "the query needs more than a process may: %s", sqlite3_errmsg(database));
    return error_set(error, result == SQLITE_ERROR ? -EINVAL : -EIO, "%s", sqlite3_errmsg(database));
}

static int run(sqlite3 *database, sqlite3_stmt *statement, uint32_t row_limit, Gemel__SqlAnswer *answer,
               struct rows_writer *rows, struct error *error)
{
    int columns = sqlite3_column_count(statement);
    int result = SQLITE_ROW;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        if (answer->row_count == row_limit) {
            answer->truncated = true;
            return 0;
        }
        if (write_row(statement, columns, rows) != 0)
            return error_set(error, -EMSGSIZE, "the answer is over %d MiB; select less, or add a LIMIT",
                             SQL_ANSWER_BYTES_MAX / 1024 / 1024);
        answer->row_count++;
    }
    return result == SQLITE_DONE ? 0 : explain_step(database, result, error);
}

static void read_columns(sqlite3_stmt *statement, struct arena *arena, Gemel__SqlAnswer *answer)
{
    int count = sqlite3_column_count(statement);
    answer->columns = arena_alloc(arena, (size_t)count * sizeof answer->columns[0] + 1);
    for (int i = 0; i < count; i++)
        answer->columns[i] = arena_strdup(arena, sqlite3_column_name(statement, i));
    answer->n_columns = (size_t)count;
}

/* Within the transaction. */
static int answer_now(struct sql_connection *connection, const char *sql, uint32_t row_limit, uint8_t **packed,
                      size_t *size, struct error *error)
{
    struct arena arena;
    struct rows_writer rows;
    sqlite3_stmt *statement = NULL;
    Gemel__SqlAnswer answer = GEMEL__SQL_ANSWER__INIT;
    arena_init(&arena);
    rows_writer_init(&rows, SQL_ANSWER_BYTES_MAX);
    read_marks(connection, &arena, &answer);
    int result = sql_rules_prepare(&connection->rules, connection->database, sql, &statement, error);
    if (result == 0 && sqlite3_column_count(statement) > ROWS_COLUMNS_MAX)
        result = error_set(error, -EMSGSIZE, "an answer has at most %d columns", ROWS_COLUMNS_MAX);
    if (result == 0) {
        read_columns(statement, &arena, &answer);
        result = run(connection->database, statement, row_limit, &answer, &rows, error);
    }
    if (result == 0) {
        answer.rows.data = rows.bytes;
        answer.rows.len = rows.size;
        *packed = wire_pack(&answer.base, size);
    }
    sqlite3_finalize(statement);
    rows_writer_fini(&rows);
    arena_fini(&arena);
    return result;
}

int sql_answer(struct sql_connection *connection, const char *sql, const struct sql_limits *limits, uint8_t **answer,
               size_t *size, struct error *error)
{
    uint32_t row_limit =
        limits->row_limit > 0 && limits->row_limit < SQL_ROWS_MAX ? limits->row_limit : (uint32_t)SQL_ROWS_MAX;
    if (execute_ours(connection, "BEGIN") != 0)
        return error_set(error, -EIO, "cannot begin to read: %s", sqlite3_errmsg(connection->database));
    if (limits->is_over != NULL)
        sqlite3_progress_handler(connection->database, STEPS_PER_LOOK, on_progress, (void *)(uintptr_t)limits);
    int result = answer_now(connection, sql, row_limit, answer, size, error);
    sqlite3_progress_handler(connection->database, 0, NULL, NULL);
    execute_ours(connection, "ROLLBACK");
    return result;
}
