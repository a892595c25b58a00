/* Routes as text, and the marks that a client has seen. Internal to libgemel. */
#ifndef GEMEL_WORKER_TARGET_H
#define GEMEL_WORKER_TARGET_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/bounds.h"
#include "common/wire/wire.h"

/* Makes the route that a query for `target` takes: `Pipeline` means Pipeline.rdb.0, `Pipeline.type.index` itself.
 * Returns 0 or -EINVAL. */
int target_route(const char *target, char route[PROCESS_NAME_BYTES]);

/* How far each publisher of each pipeline was in the answers so far. Starts as zeroes. */
struct seen_marks {
    struct seen_mark *items; /* hash by pipeline and publisher */
};

void seen_marks_fini(struct seen_marks *marks);
/* Takes the marks of an answer of the route's pipeline. */
void seen_marks_add(struct seen_marks *marks, const char *route, Gemel__Mark *const *items, size_t count);
/* The marks of the route's pipeline in memory of the arena, their number in *count. */
Gemel__Mark **seen_marks_of(const struct seen_marks *marks, const char *route, struct arena *arena, size_t *count);

#endif
