/* An arena: memory that lives until it is reset, for the actions of one step and the messages in them. Pure.
 * Pointers stay valid until arena_reset or arena_fini. */
#ifndef GEMEL_BASE_ARENA_H
#define GEMEL_BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used_bytes;          /* since the last reset */
};

/* Starts an empty arena; no memory is taken yet. */
void arena_init(struct arena *arena);

/* Releases everything. */
void arena_fini(struct arena *arena);

/* Forgets everything and keeps one block for reuse. */
void arena_reset(struct arena *arena);

/* Returns `size` zeroed bytes, aligned for any type. Never NULL. */
void *arena_alloc(struct arena *arena, size_t size);

/* Returns a copy of `length` bytes (borrowed) with a NUL behind them. */
void *arena_copy(struct arena *arena, const void *source, size_t length);

/* Returns a copy of the string (borrowed). */
char *arena_strdup(struct arena *arena, const char *source);

/* Returns formatted text. */
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
