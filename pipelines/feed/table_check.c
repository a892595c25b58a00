#include "pipelines/feed/table_check.h"

#include <errno.h>
#include <string.h>

#include "common/wire/rows.h"

const struct gemel_table *table_find(const struct gemel_table *tables, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(tables[i].name, name) == 0)
            return &tables[i];
    return NULL;
}

int table_check_batch(const struct gemel_table *tables, size_t count, const Gemel__Batch *batch, struct error *error)
{
    const struct gemel_table *table = table_find(tables, count, batch->table);
    if (table == NULL)
        return error_set(error, -EINVAL, "table %.64s does not feed this pipeline; check its taxonomy", batch->table);
    if (batch->column_count != table->column_count)
        return error_set(error, -EINVAL, "table %s has %zu columns, the batch %u", table->name, table->column_count,
                         batch->column_count);
    if (rows_check(batch->rows.data, batch->rows.len, batch->row_count, batch->column_count) != 0)
        return error_set(error, -EINVAL, "the rows of a batch for table %s are malformed", table->name);
    return 0;
}
