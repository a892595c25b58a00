/* Dates as text. Pure: UTC, the proleptic Gregorian calendar, no leap seconds. */
#ifndef GEMEL_BASE_DATE_H
#define GEMEL_BASE_DATE_H

#include <stddef.h>
#include <stdint.h>

enum {
    DATE_TEXT_BYTES = 28 /* of date_format, with NUL */
};

/* Writes `2026-11-21T21:10:02.123456Z` for nanoseconds since 1970; cut when `size` is below DATE_TEXT_BYTES. */
void date_format(int64_t wall_ns, char *target, size_t size);

#endif
