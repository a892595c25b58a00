/* The one hash table and the one list of the project: uthash and utlist, on the project's one heap (memory.h).
 * Keys that are strings: HASH_FIND_STR, HASH_ADD_STR, HASH_ADD_KEYPTR. */
#ifndef GEMEL_BASE_MAP_H
#define GEMEL_BASE_MAP_H

#include "common/base/assert.h"
#include "common/base/memory.h"

#define uthash_malloc(size)      memory_alloc(size)
#define uthash_free(block, size) memory_free(block)
#define uthash_fatal(sentence)   assert_failed(__FILE__, __LINE__, sentence)

#include <uthash.h>
#include <utlist.h>

#endif
