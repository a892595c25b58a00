/* Rows for `publish`: made up, or read from text, by the types of a table's columns. Pure but for what it is given.
 *
 * Types as in the layout: timestamp date symbol string char boolean byte short int long real float guid. */
#ifndef GEMEL_CLI_ROW_MAKER_H
#define GEMEL_CLI_ROW_MAKER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "worker/gemel.h"

/* Fills a cell with a made-up value of the column's type. `seed` differs from cell to cell; the same seed gives the
 * same value. `wall_ns` is the stamp of the row, for a timestamp or date. Texts live in the arena. */
struct gemel_value row_maker_generate(const struct gemel_column *column, uint64_t seed, int64_t wall_ns,
                                      struct arena *arena);

/* Reads `text` (borrowed as long as the value) as the column's type; an empty one is null. Timestamps are nanoseconds
 * since 1970 or `2026-11-21T21:10:02.123456789Z`, dates `2026-11-21` or days since 1970.
 * Returns 0, or -EINVAL with a sentence. */
int row_maker_read(const struct gemel_column *column, const char *text, struct gemel_value *value, struct error *error);

#endif
