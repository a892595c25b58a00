/* Aligned tables: title, header, dashes, cells, one space between columns. Pure. */
#ifndef GEMEL_CLI_TABLE_PRINT_H
#define GEMEL_CLI_TABLE_PRINT_H

#include "common/base/text.h"
#include "common/wire/gemel.pb-c.h"

enum {
    TABLE_COLUMNS_MAX = 256 /* what is over it is not shown */
};

/* How a terminal wants its tables; NULL or zeroes: as wide as they are, dates whole. */
struct table_view {
    size_t width;   /* columns; where a table is wider, its last column follows below each row; 0: any width */
    char today[11]; /* "2026-11-21": dates of that day are shown as HH:MM:SS, others without fractions; "": whole */
};

/* Appends one table. Cells are made safe for a terminal; short rows get empty cells; no line ends in spaces.
 * Of a table without rows only the title is shown, or the header when it has none. */
void table_print(struct text *text, const Gemel__Table *table, const struct table_view *view);

/* Appends message and tables of a reply, with an empty line between two of them; one without rows and title is left
 * out unless it is the only one. The error is not for this stream. */
void table_print_reply(struct text *text, const Gemel__AdminReply *reply, const struct table_view *view);

#endif
