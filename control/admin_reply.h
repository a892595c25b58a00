/* Builds AdminReplies: sentences and tables, everything in an arena. Shell. */
#ifndef GEMEL_CONTROL_ADMIN_REPLY_H
#define GEMEL_CONTROL_ADMIN_REPLY_H

#include "common/base/arena.h"
#include "common/wire/gemel.pb-c.h"

enum {
    ADMIN_DONE = 0,
    ADMIN_FAILED = 1,
    ADMIN_USAGE = 2,
    ADMIN_NO_LEADER = 4,
    ADMIN_TIMEOUT = 5,
    ADMIN_REFUSED = 6,
    ADMIN_COLUMNS_MAX = 24
};

/* An empty reply that says done. */
Gemel__AdminReply *admin_reply_create(struct arena *arena);
/* A reply with a sentence for people, or with one that says what went wrong. */
Gemel__AdminReply *admin_reply_done(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
Gemel__AdminReply *admin_reply_failed(struct arena *arena, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a table with room for `row_max` rows; `columns` are names separated by blanks, at most ADMIN_COLUMNS_MAX. At
 * most one table a reply. */
Gemel__Table *admin_reply_table(struct arena *arena, Gemel__AdminReply *reply, const char *name, const char *columns,
                                size_t row_max);
/* Adds a row with one cell for each column, given as strings (borrowed until the reply is sent). */
void admin_reply_row(struct arena *arena, Gemel__Table *table, const char *const *cells);

/* A date for people, "" for 0; a number. */
char *admin_date(struct arena *arena, uint64_t wall_ns);
char *admin_number(struct arena *arena, uint64_t number);

#endif
