/* One query on one connection: runs it within its limits and packs the answer. Shell only, any thread, one at a time
 * for each connection. */
#ifndef GEMEL_PIPELINES_SQL_SQL_ANSWER_H
#define GEMEL_PIPELINES_SQL_SQL_ANSWER_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "pipelines/sql/sql_rules.h"

enum {
    SQL_ANSWER_BYTES_MAX = 14 * 1024 * 1024, /* of rows, so that the frame is below its bound */
    SQL_ROWS_MAX = 5 * 1000 * 1000
};

struct sql_connection {
    sqlite3 *database; /* read-only */
    struct sql_rules rules;
    sqlite3_stmt *marks; /* NULL: the database has no marks */
};

struct sql_limits {
    uint32_t row_limit; /* above it the answer is cut and says so; 0: SQL_ROWS_MAX */
    /* Asked every few microseconds: shall the query end now? */
    bool (*is_over)(void *owner);
    void *owner;
};

/* Puts rules on an open database (taken) and makes a connection of it. `with_marks`: it has SQL_MARKS_TABLE.
 * Returns 0 or -EIO with a sentence; then the database is closed. */
int sql_connection_init(struct sql_connection *connection, sqlite3 *database, bool with_marks, struct error *error);
void sql_connection_fini(struct sql_connection *connection);

/* Runs `sql`. Returned in *answer, a packed SqlAnswer (release with memory_free); its marks are those of the state that
 * the query saw. Returns 0; -EINVAL, -EPERM as sql_rules_prepare; -ECANCELED when is_over said so; -EMSGSIZE for an
 * answer over SQL_ANSWER_BYTES_MAX; -EIO. */
int sql_answer(struct sql_connection *connection, const char *sql, const struct sql_limits *limits, uint8_t **answer,
               size_t *size, struct error *error);

#endif
