#include "tests/sim/chance.h"

#include "common/base/assert.h"

void chance_init(struct chance *chance, uint64_t seed)
{
    chance->state = seed;
    (void)chance_next(chance);
}

uint64_t chance_next(struct chance *chance)
{
    chance->state += 0x9e3779b97f4a7c15U;
    uint64_t mixed = chance->state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31);
}

uint64_t chance_below(struct chance *chance, uint64_t count)
{
    ASSERT(count > 0);
    return chance_next(chance) % count;
}

int64_t chance_between(struct chance *chance, int64_t low, int64_t high)
{
    ASSERT(low <= high);
    return low + (int64_t)chance_below(chance, (uint64_t)(high - low) + 1);
}

bool chance_hits(struct chance *chance, unsigned per_mille)
{
    return chance_below(chance, 1000) < per_mille;
}
