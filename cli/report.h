/* The result of a command, whoever made it: an AdminReply that is built or gathered here and printed once. Pure.
 * The report owns all its memory until report_fini; strings given to it are copied. */
#ifndef GEMEL_CLI_REPORT_H
#define GEMEL_CLI_REPORT_H

#include <stddef.h>

#include "cli/command_table.h"
#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/wire/gemel.pb-c.h"

struct report {
    struct arena arena;
    Gemel__AdminReply reply;
};

void report_init(struct report *report);
void report_fini(struct report *report);
/* Forgets everything, for the next round of a command that watches. */
void report_reset(struct report *report);

/* Appends a line to the message. */
void report_message(struct report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends lines of any length, such as a log. */
void report_lines(struct report *report, const char *lines);

/* Sets exit code and error, one sentence; the first one stays. Returns the code. */
int report_fail(struct report *report, enum cli_exit code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Raises the exit code from DONE; another one stays. */
void report_set_exit(struct report *report, enum cli_exit code);

/* Starts a table; `columns` ends with NULL. Returned as borrowed until report_fini. */
Gemel__Table *report_table(struct report *report, const char *name, const char *title, const char *const *columns);

/* Adds a row with a cell for each column; a cell NULL is empty. */
void report_row(struct report *report, Gemel__Table *table, const char *const *cells);

/* Formats a cell. */
const char *report_cell(struct report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes over message, error, exit code and tables of a reply (borrowed, copied), behind what is there. */
void report_take(struct report *report, const Gemel__AdminReply *reply);

/* The table of that name in a reply; NULL when there is none. */
const Gemel__Table *report_find_table(const Gemel__AdminReply *reply, const char *name);

/* A cell by its column; "" when the table has no such column or the row is short. */
const char *report_get(const Gemel__Table *table, size_t row, const char *column);

/* Starts a table with those of the table's columns that are named (ends with NULL; NULL: all) and has no rows yet. */
Gemel__Table *report_table_like(struct report *report, const Gemel__Table *like, const char *name, const char *title,
                                const char *const *columns);
/* Adds a row of another table, by the names of columns. */
void report_copy_row(struct report *report, Gemel__Table *into, const Gemel__Table *from, size_t row);

/* The full name of the process that a row is about: its column processName, else process. */
const char *report_process(const Gemel__Table *table, size_t row);

#endif
