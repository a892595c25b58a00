/* Memory that is there or ends the program. Pure.
 *
 * Every table and queue has a bound (bounds.h), so that what a peer sends cannot exhaust the heap. What remains is a
 * machine without memory: there a program of ours ends at once and its watcher starts it again, which is better than
 * a hundred error paths that nobody can test. */
#ifndef GEMEL_BASE_MEMORY_H
#define GEMEL_BASE_MEMORY_H

#include <stddef.h>

/* Returns `size` zeroed bytes (release with memory_free). Never NULL; size 0 gives a unique pointer. */
void *memory_alloc(size_t size);

/* Returns `count * size` zeroed bytes (release with memory_free); an overflow is a broken promise. */
void *memory_alloc_array(size_t count, size_t size);

/* Grows or shrinks `block` (taken) to `size` bytes; what is added is not zeroed. */
void *memory_resize(void *block, size_t size);

/* Returns a copy of `length` bytes of `source` (borrowed), with a NUL behind them (release with memory_free). */
void *memory_copy(const void *source, size_t length);

/* Returns a copy of the string `source` (borrowed; release with memory_free). */
char *memory_strdup(const char *source);

/* Releases `block`; NULL is allowed. */
void memory_free(void *block);

#endif
