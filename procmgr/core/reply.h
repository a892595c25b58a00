/* Building AdminReplies and their tables in an arena. Pure. */
#ifndef GEMEL_PROCMGR_CORE_REPLY_H
#define GEMEL_PROCMGR_CORE_REPLY_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/wire/gemel.pb-c.h"

enum reply_exit {
    REPLY_DONE = 0,
    REPLY_FAILED = 1,
    REPLY_USAGE = 2,
    REPLY_DEGRADED = 3,
    REPLY_NO_LEADER = 4
};

/* An empty reply with room for `table_max` tables and `wanted_max` operations. */
Gemel__AdminReply *reply_make(struct arena *arena, size_t table_max, size_t wanted_max);

/* A reply that is one error sentence. */
Gemel__AdminReply *reply_error(struct arena *arena, enum reply_exit exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends a table with a NULL-ended list of columns (static strings) and room for `row_max` rows. */
Gemel__Table *reply_add_table(Gemel__AdminReply *reply, struct arena *arena, const char *name,
                              const char *const *columns, size_t row_max);

/* Appends a row; `cells` (borrowed strings that live as long as the arena) has one for each column. */
void reply_add_row(Gemel__Table *table, struct arena *arena, const char *const *cells);

/* Generated structs have `char *` for strings that nobody writes. NULL gives the empty string. */
char *reply_text(const char *text);

#endif
