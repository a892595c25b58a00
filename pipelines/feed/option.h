/* Options of the layout with a type. Shell only. What is malformed is logged once and the default is used: the check of
 * the layout has named it before, with its place. */
#ifndef GEMEL_PIPELINES_FEED_OPTION_H
#define GEMEL_PIPELINES_FEED_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/gemel.h"

/* true, yes, on, 1 and false, no, off, 0. */
bool option_flag(const struct gemel_worker *worker, const char *name, bool otherwise);
/* A number of at least 0, `_` between digits allowed. */
uint64_t option_number(const struct gemel_worker *worker, const char *name, uint64_t otherwise);
/* A duration in milliseconds: `250ms`, `30s`, `15m`, `1h`; a bare number counts `bare_unit_ms` milliseconds. */
uint64_t option_duration_ms(const struct gemel_worker *worker, const char *name, uint64_t otherwise_ms,
                            uint64_t bare_unit_ms);

#endif
