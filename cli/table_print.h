/* Aligned tables: title, header, dashes, cells, one space between columns. Pure. */
#ifndef GEMEL_CLI_TABLE_PRINT_H
#define GEMEL_CLI_TABLE_PRINT_H

#include "common/base/text.h"
#include "common/wire/gemel.pb-c.h"

enum {
    TABLE_COLUMNS_MAX = 256 /* what is over it is not shown */
};

/* Appends one table. Cells are made safe for a terminal; short rows get empty cells; no line ends in spaces.
 * Of a table without rows only the title is shown, or the header when it has none. */
void table_print(struct text *text, const Gemel__Table *table);

/* Appends message and tables of a reply, with an empty line between two of them; one without rows and title is left
 * out unless it is the only one. The error is not for this stream. */
void table_print_reply(struct text *text, const Gemel__AdminReply *reply);

#endif
