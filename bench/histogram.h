/* Durations in microseconds, counted in buckets that are at most 1/64 of their value wide. Pure; a value. */
#ifndef GEMEL_BENCH_HISTOGRAM_H
#define GEMEL_BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_STEPS = 64, /* a power of two: buckets for each doubling */
    HISTOGRAM_BUCKETS = HISTOGRAM_STEPS * 40
};

struct histogram {
    uint64_t count;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t us);

/* The duration that `part` (0 to 1) of them did not exceed; 0: there are none. */
uint64_t histogram_at(const struct histogram *histogram, double part);

#endif
