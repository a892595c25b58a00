#include "bench/histogram.h"

/* Values below HISTOGRAM_STEPS have a bucket each; then as many buckets for each doubling. */
static uint32_t bucket_of(uint64_t us)
{
    uint32_t shift = 0;
    while (us >> shift >= 2 * HISTOGRAM_STEPS)
        shift++;
    uint32_t bucket = us < HISTOGRAM_STEPS ? (uint32_t)us : (uint32_t)(us >> shift) + shift * HISTOGRAM_STEPS;
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t value_of(uint32_t bucket)
{
    if (bucket < 2 * HISTOGRAM_STEPS)
        return bucket;
    uint32_t shift = bucket / HISTOGRAM_STEPS - 1;
    return (uint64_t)(bucket - shift * HISTOGRAM_STEPS) << shift;
}

void histogram_add(struct histogram *histogram, uint64_t us)
{
    histogram->count++;
    histogram->buckets[bucket_of(us)]++;
}

uint64_t histogram_at(const struct histogram *histogram, double part)
{
    uint64_t wanted = (uint64_t)(part * (double)histogram->count);
    uint64_t seen = 0;
    for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen > wanted || (seen == histogram->count && seen > 0))
            return value_of(bucket);
    }
    return 0;
}
