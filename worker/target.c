#include "worker/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/process_id.h"
#include "common/base/text.h"

enum {
    SEEN_MAX = 100000, /* publishers that one client can follow; above it answers are not held back for new ones */
    KEY_BYTES = PIPELINE_NAME_BYTES + 256
};

struct seen_mark {
    char key[KEY_BYTES]; /* pipeline '/' publisher */
    size_t pipeline_bytes;
    uint64_t sequence;
    UT_hash_handle hh;
};

int target_route(const char *target, char route[PROCESS_NAME_BYTES])
{
    char full[PROCESS_NAME_BYTES + 16];
    struct process_id id;
    const char *dot = strchr(target, '.');
    int written = 0;
    /* A route is a process name without the instance: put one in and let the one parser judge. */
    if (dot == NULL)
        written = snprintf(full, sizeof full, "%s.0.rdb.0", target);
    else
        written = snprintf(full, sizeof full, "%.*s.0%s", (int)(dot - target), target, dot);
    if (written < 0 || (size_t)written >= sizeof full || process_id_parse(full, &id) != 0)
        return -EINVAL;
    snprintf(route, PROCESS_NAME_BYTES, "%s.%s.%u", id.pipeline, id.type, id.index);
    return 0;
}

void seen_marks_fini(struct seen_marks *marks)
{
    struct seen_mark *mark = NULL;
    struct seen_mark *next = NULL;
    HASH_ITER (hh, marks->items, mark, next) {
        HASH_DEL(marks->items, mark);
        memory_free(mark);
    }
}

static void add_mark(struct seen_marks *marks, const char *route, const Gemel__Mark *item)
{
    char key[KEY_BYTES];
    size_t pipeline_bytes = strcspn(route, ".");
    int written = snprintf(key, sizeof key, "%.*s/%s", (int)pipeline_bytes, route, item->publisher);
    if (written < 0 || (size_t)written >= sizeof key)
        return;
    struct seen_mark *mark = NULL;
    HASH_FIND_STR(marks->items, key, mark);
    if (mark == NULL) {
        if (HASH_COUNT(marks->items) >= SEEN_MAX)
            return;
        mark = memory_alloc(sizeof *mark);
        text_copy(mark->key, sizeof mark->key, key);
        mark->pipeline_bytes = pipeline_bytes;
        HASH_ADD_STR(marks->items, key, mark);
    }
    if (item->sequence > mark->sequence)
        mark->sequence = item->sequence;
}

void seen_marks_add(struct seen_marks *marks, const char *route, Gemel__Mark *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_mark(marks, route, items[i]);
}

Gemel__Mark **seen_marks_of(const struct seen_marks *marks, const char *route, struct arena *arena, size_t *count)
{
    size_t pipeline_bytes = strcspn(route, ".");
    Gemel__Mark **found = arena_alloc(arena, (HASH_COUNT(marks->items) + 1) * sizeof *found);
    *count = 0;
    for (struct seen_mark *mark = marks->items; mark != NULL; mark = mark->hh.next) {
        if (mark->pipeline_bytes != pipeline_bytes || memcmp(mark->key, route, pipeline_bytes) != 0)
            continue;
        Gemel__Mark *item = arena_alloc(arena, sizeof *item);
        gemel__mark__init(item);
        item->publisher = mark->key + pipeline_bytes + 1;
        item->sequence = mark->sequence;
        found[(*count)++] = item;
    }
    return found;
}
