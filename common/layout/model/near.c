#include "common/layout/model/near.h"

#include <stdio.h>
#include <string.h>

#include "common/base/text.h"

void near_init(struct near *near, const char *wrong)
{
    *near = (struct near){.wrong = wrong, .distance = NEAR_DISTANCE_MAX + 1};
}

void near_offer(struct near *near, const char *name)
{
    size_t distance = text_distance(near->wrong, name);
    /* A name that shares no letter is not a near miss, however short it is. */
    if (distance >= strlen(name) || distance >= near->distance)
        return;
    near->best = name;
    near->distance = distance;
}

const char *near_hint(const struct near *near, char hint[NEAR_HINT_BYTES])
{
    hint[0] = '\0';
    if (near->best != NULL)
        snprintf(hint, NEAR_HINT_BYTES, " (did you mean '%s'?)", near->best);
    return hint;
}
