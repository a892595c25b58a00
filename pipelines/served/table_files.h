/* SQLite files of a folder, read-only, as one database: each table of the pipeline is all rows that the files have of
 * it, and is there and empty when none has any. Shell only; one database belongs to one thread at a time. */
#ifndef GEMEL_PIPELINES_SERVED_TABLE_FILES_H
#define GEMEL_PIPELINES_SERVED_TABLE_FILES_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "worker/gemel.h"

/* Opens the files NAME.db of `folder`. What is no database, or has a table with other columns, is left out, and so are
 * the first ones by name above SQLite's number of attached files; *left_out (may be NULL) takes how many. Returns 0
 * with the database (release with sqlite3_close), or a negative errno with a sentence. */
int table_files_open(const char *folder, const struct gemel_table *tables, size_t table_count, sqlite3 **database,
                     size_t *left_out, struct error *error);

/* A number that changes when files come, go or are replaced. */
uint64_t table_files_stamp(const char *folder);

#endif
