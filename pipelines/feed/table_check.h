/* The tables that feed a pipeline, and whether a batch fits one. Pure; the tables are borrowed from the worker. */
#ifndef GEMEL_PIPELINES_FEED_TABLE_CHECK_H
#define GEMEL_PIPELINES_FEED_TABLE_CHECK_H

#include "common/base/error.h"
#include "common/wire/wire.h"
#include "worker/gemel.h"

/* NULL when there is none of that name. */
const struct gemel_table *table_find(const struct gemel_table *tables, size_t count, const char *name);

/* Does the batch have a known table, its number of columns, and rows as it says? Returns 0, or -EINVAL with a sentence.
 */
int table_check_batch(const struct gemel_table *tables, size_t count, const Gemel__Batch *batch, struct error *error);

#endif
