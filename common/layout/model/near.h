/* "did you mean": the known name that is nearest to a wrong one, within an edit distance of 2. Pure. */
#ifndef GEMEL_LAYOUT_MODEL_NEAR_H
#define GEMEL_LAYOUT_MODEL_NEAR_H

#include <stddef.h>

enum {
    NEAR_DISTANCE_MAX = 2,
    NEAR_HINT_BYTES = 160
};

struct near {
    const char *wrong; /* borrowed */
    const char *best;  /* borrowed from the offers; NULL: none is near */
    size_t distance;
};

void near_init(struct near *near, const char *wrong);

/* Considers one known name (borrowed while `near` is used). Among equals the first one offered wins. */
void near_offer(struct near *near, const char *name);

/* Writes ` (did you mean 'x'?)`, or nothing when no name is near. Returns `hint`. */
const char *near_hint(const struct near *near, char hint[NEAR_HINT_BYTES]);

#endif
