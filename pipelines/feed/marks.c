#include "pipelines/feed/marks.h"

#include <errno.h>
#include <string.h>

#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/text.h"

struct mark {
    char publisher[PUBLISHER_NAME_BYTES];
    uint64_t sequence;
    UT_hash_handle hh;
};

static struct mark *find(const struct marks *marks, const char *publisher)
{
    struct mark *mark = NULL;
    HASH_FIND_STR(marks->items, publisher, mark);
    return mark;
}

void marks_fini(struct marks *marks)
{
    struct mark *mark = NULL;
    struct mark *next = NULL;
    HASH_ITER (hh, marks->items, mark, next) {
        HASH_DEL(marks->items, mark);
        memory_free(mark);
    }
}

void marks_copy(struct marks *target, const struct marks *source)
{
    marks_fini(target);
    for (const struct mark *mark = source->items; mark != NULL; mark = mark->hh.next)
        marks_set(target, mark->publisher, mark->sequence);
}

uint64_t marks_get(const struct marks *marks, const char *publisher)
{
    const struct mark *mark = find(marks, publisher);
    return mark != NULL ? mark->sequence : 0;
}

int marks_set(struct marks *marks, const char *publisher, uint64_t sequence)
{
    struct mark *mark = find(marks, publisher);
    if (mark == NULL) {
        size_t length = strlen(publisher);
        if (length == 0 || length >= PUBLISHER_NAME_BYTES)
            return -EINVAL;
        if (HASH_COUNT(marks->items) >= MARKS_MAX)
            return -ENOSPC;
        mark = memory_alloc(sizeof *mark);
        memcpy(mark->publisher, publisher, length);
        HASH_ADD_STR(marks->items, publisher, mark);
    }
    mark->sequence = sequence;
    return 0;
}

void marks_raise(struct marks *marks, Gemel__Mark *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (items[i]->sequence > marks_get(marks, items[i]->publisher))
            marks_set(marks, items[i]->publisher, items[i]->sequence);
}

bool marks_cover(const struct marks *marks, Gemel__Mark *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (items[i]->sequence > marks_get(marks, items[i]->publisher))
            return false;
    return true;
}

bool marks_include(const struct marks *marks, const struct marks *below)
{
    return marks_distance(below, marks) == 0;
}

uint64_t marks_distance(const struct marks *marks, const struct marks *below)
{
    uint64_t distance = 0;
    for (const struct mark *mark = marks->items; mark != NULL; mark = mark->hh.next) {
        uint64_t have = marks_get(below, mark->publisher);
        distance += mark->sequence > have ? mark->sequence - have : 0;
    }
    return distance;
}

uint64_t marks_total(const struct marks *marks)
{
    uint64_t total = 0;
    for (const struct mark *mark = marks->items; mark != NULL; mark = mark->hh.next)
        total += mark->sequence;
    return total;
}

Gemel__Mark **marks_export(const struct marks *marks, struct arena *arena, size_t *count)
{
    Gemel__Mark **exported = arena_alloc(arena, (HASH_COUNT(marks->items) + 1) * sizeof *exported);
    *count = 0;
    for (struct mark *mark = marks->items; mark != NULL; mark = mark->hh.next) {
        Gemel__Mark *item = arena_alloc(arena, sizeof *item);
        gemel__mark__init(item);
        item->publisher = mark->publisher;
        item->sequence = mark->sequence;
        exported[(*count)++] = item;
    }
    return exported;
}
