/* The tables of a pipeline as SQL. Pure. Texts are appended to the caller's. */
#ifndef GEMEL_PIPELINES_SQL_SQL_SCHEMA_H
#define GEMEL_PIPELINES_SQL_SQL_SCHEMA_H

#include "common/base/text.h"
#include "worker/gemel.h"

/* Where the marks stand, in the same file and transaction as the rows. */
#define SQL_MARKS_TABLE "gemel_marks"

/* A name as SQL, in quotes. */
void sql_schema_quote(struct text *text, const char *name);
/* `CREATE TABLE "T"("time" INTEGER, ...);`. Timestamps, dates, booleans and whole numbers are INTEGER, real and float
 * REAL, the rest TEXT. */
void sql_schema_create_table(struct text *text, const struct gemel_table *table);
/* An index for each column with an attribute. Uniqueness is the publisher's promise and not enforced: a doubled value
 * must not stop the feed. */
void sql_schema_create_indexes(struct text *text, const struct gemel_table *table);
void sql_schema_create_marks(struct text *text);
/* `INSERT INTO "T" VALUES(?,?,...)`. */
void sql_schema_insert(struct text *text, const struct gemel_table *table);
/* The columns, quoted, separated by commas. */
void sql_schema_columns(struct text *text, const struct gemel_table *table);

#endif
