/* What SQL may do here: read, and nothing else. Belongs to one connection and its thread; pure but for SQLite.
 *
 * Three walls, each of them enough: the connection is opened read-only, SQLite's authorizer refuses everything but
 * reading, and a statement that SQLite does not call read-only is not run. */
#ifndef GEMEL_PIPELINES_SQL_SQL_RULES_H
#define GEMEL_PIPELINES_SQL_SQL_RULES_H

#include <sqlite3.h>
#include <stdbool.h>

#include "common/base/error.h"

struct sql_rules {
    bool ours;         /* our own statements are being prepared: everything is allowed */
    char refused[128]; /* what the last statement wanted and may not, such as "INSERT"; "" none */
};

/* Puts the rules on the connection. `rules` stays in place as long as the connection. */
void sql_rules_apply(struct sql_rules *rules, sqlite3 *database);

/* Prepares one statement of a stranger. Returned in *statement (release with sqlite3_finalize). Returns 0; -EINVAL with
 * a sentence for wrong SQL, none or several statements; -EPERM for one that wants more than reading. */
int sql_rules_prepare(struct sql_rules *rules, sqlite3 *database, const char *sql, sqlite3_stmt **statement,
                      struct error *error);

#endif
