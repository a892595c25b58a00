/* The seeded generator of a simulated world: the only source of randomness, so that a seed is a story. Pure.
 * Source: splitmix64 (Steele, Lea, Flood 2014). */
#ifndef GEMEL_TESTS_SIM_CHANCE_H
#define GEMEL_TESTS_SIM_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

struct chance {
    uint64_t state;
};

void chance_init(struct chance *chance, uint64_t seed);

/* 64 random bits. */
uint64_t chance_next(struct chance *chance);

/* A number from 0 to `count` - 1; `count` is above 0. */
uint64_t chance_below(struct chance *chance, uint64_t count);

/* A number from `low` to `high`, both included. */
int64_t chance_between(struct chance *chance, int64_t low, int64_t high);

/* True `per_mille` times of a thousand. */
bool chance_hits(struct chance *chance, unsigned per_mille);

#endif
