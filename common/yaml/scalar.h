/* The values that settings and layouts are written in: yes or no, numbers, durations, times of day. Pure.
 * All of them read a whole NUL-terminated string (borrowed) and return 0, -EINVAL when it is something else, or -ERANGE
 * when it does not fit. */
#ifndef GEMEL_YAML_SCALAR_H
#define GEMEL_YAML_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

/* The unit of a duration; also what a bare number of a key counts. */
enum scalar_unit {
    UNIT_NS,
    UNIT_US,
    UNIT_MS,
    UNIT_S,
    UNIT_M,
    UNIT_H,
    UNIT_D
};

/* true, false, yes, no, on, off. */
int scalar_bool(const char *text, bool *value);

/* Decimal digits, an optional '-' before them, '_' between them. */
int scalar_integer(const char *text, int64_t *value);

/* A number and its unit (250ms, 30s, 15m; also ns, us, h, d), or a bare number of `bare`, as nanoseconds. */
int scalar_duration(const char *text, enum scalar_unit bare, int64_t *nanoseconds);

/* HH:MM:SS or HH:MM:SS.mmm, as milliseconds since midnight. */
int scalar_time_of_day(const char *text, int64_t *milliseconds);

#endif
