/* A vector of marks: publisher -> last contiguous sequence. Pure; starts as zeroes and owns its memory. */
#ifndef GEMEL_PIPELINES_FEED_MARKS_H
#define GEMEL_PIPELINES_FEED_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/wire/wire.h"

enum {
    MARKS_MAX = 100000,        /* publishers that one pipeline can know; more are refused */
    PUBLISHER_NAME_BYTES = 128 /* a process name, or a client's own of that length */
};

struct marks {
    struct mark *items; /* hash by publisher */
};

void marks_fini(struct marks *marks);
/* Makes `target` (zeroes, or in use) equal to `source`. */
void marks_copy(struct marks *target, const struct marks *source);

/* The publisher's mark; 0: nothing of it. */
uint64_t marks_get(const struct marks *marks, const char *publisher);
/* Returns 0; -EINVAL for an empty or too long name; -ENOSPC for a publisher above MARKS_MAX. */
int marks_set(struct marks *marks, const char *publisher, uint64_t sequence);
/* Takes each of `items` that is higher. What cannot be kept is left out. */
void marks_raise(struct marks *marks, Gemel__Mark *const *items, size_t count);

/* Is every item at or below our mark of its publisher? */
bool marks_cover(const struct marks *marks, Gemel__Mark *const *items, size_t count);
/* Is every mark of `below` at or below ours? */
bool marks_include(const struct marks *marks, const struct marks *below);
/* Batches that `marks` has above `below`. */
uint64_t marks_distance(const struct marks *marks, const struct marks *below);
/* Batches in all. */
uint64_t marks_total(const struct marks *marks);

/* The marks as messages in memory of the arena; their number in *count. */
Gemel__Mark **marks_export(const struct marks *marks, struct arena *arena, size_t *count);

#endif
