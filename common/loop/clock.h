/* Clocks, for shells only: cores get now_ms in their events. */
#ifndef GEMEL_LOOP_CLOCK_H
#define GEMEL_LOOP_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds, microseconds of CLOCK_BOOTTIME: monotonic, goes on while the machine sleeps. */
int64_t clock_now_ms(void);
int64_t clock_now_us(void);

/* Nanoseconds since 1970, UTC. */
int64_t clock_wall_ns(void);

/* Writes `2026-11-21T21:10:02.123456Z` (28 bytes with NUL) for a date. */
void clock_format(int64_t wall_ns, char *target, size_t size);

#endif
