#include "common/base/memory.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"

void *memory_alloc(size_t size)
{
    void *block = calloc(1, size > 0 ? size : 1);
    ASSERT(block != NULL);
    return block;
}

void *memory_alloc_array(size_t count, size_t size)
{
    void *block = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
    ASSERT(block != NULL);
    return block;
}

void *memory_resize(void *block, size_t size)
{
    void *moved = realloc(block, size > 0 ? size : 1);
    ASSERT(moved != NULL);
    return moved;
}

void *memory_copy(const void *source, size_t length)
{
    char *copy = memory_alloc(length + 1);
    if (length > 0)
        memcpy(copy, source, length);
    return copy;
}

char *memory_strdup(const char *source)
{
    return memory_copy(source, strlen(source));
}

void memory_free(void *block)
{
    free(block);
}
