#include "common/base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"

enum {
    ARENA_BLOCK_BYTES = 16 * 1024
};

struct arena_block {
    struct arena_block *next;
    size_t capacity;
    size_t used;
    alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena){0};
}

void arena_fini(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        memory_free(block);
        block = next;
    }
    *arena = (struct arena){0};
}

void arena_reset(struct arena *arena)
{
    struct arena_block *kept = NULL;
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        if (kept == NULL && block->capacity == ARENA_BLOCK_BYTES) {
            kept = block;
            memset(kept->bytes, 0, kept->used);
            kept->used = 0;
            kept->next = NULL;
        } else {
            memory_free(block);
        }
        block = next;
    }
    arena->blocks = kept;
    arena->used_bytes = 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t aligned = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    ASSERT(aligned >= size);
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->capacity - block->used < aligned) {
        size_t capacity = aligned > ARENA_BLOCK_BYTES ? aligned : ARENA_BLOCK_BYTES;
        block = memory_alloc(sizeof *block + capacity);
        block->capacity = capacity;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *result = block->bytes + block->used;
    block->used += aligned;
    arena->used_bytes += aligned;
    return result;
}

void *arena_copy(struct arena *arena, const void *source, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);
    if (length > 0)
        memcpy(copy, source, length);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *source)
{
    return arena_copy(arena, source, strlen(source));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int needed = vsnprintf(NULL, 0, format, arguments);
    ASSERT(needed >= 0);
    char *result = arena_alloc(arena, (size_t)needed + 1);
    vsnprintf(result, (size_t)needed + 1, format, again);
    va_end(again);
    va_end(arguments);
    return result;
}
