#include "tests/sim/judge.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/memory.h"
#include "tests/sim/judge_state.h"

void judge_create(struct judge **judge)
{
    *judge = memory_alloc(sizeof **judge);
}

void judge_destroy(struct judge **judge)
{
    if (*judge == NULL)
        return;
    struct judged_epoch *epoch, *next_epoch;
    HASH_ITER (hh, (*judge)->epochs, epoch, next_epoch) {
        HASH_DEL((*judge)->epochs, epoch);
        memory_free(epoch);
    }
    struct judged_entry *entry, *next_entry;
    HASH_ITER (hh, (*judge)->entries, entry, next_entry) {
        HASH_DEL((*judge)->entries, entry);
        memory_free(entry);
    }
    memory_free(*judge);
    *judge = NULL;
}

void judge_fail(struct world *world, const char *format, ...)
{
    struct judge *judge = world->judge;
    if (judge->failure[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(judge->failure, sizeof judge->failure, format, arguments);
    va_end(arguments);
}

const char *judge_failure(const struct world *world)
{
    return world->judge->failure[0] != '\0' ? world->judge->failure : NULL;
}

struct judge_counts *judge_counts(struct world *world)
{
    return &world->judge->counts;
}
