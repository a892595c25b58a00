/* The one hash table and the one list of the project: uthash and utlist, with an allocation that does not end the
 * program inside the macro. Keys that are strings: HASH_FIND_STR, HASH_ADD_STR, HASH_ADD_KEYPTR. */
#ifndef GEMEL_BASE_MAP_H
#define GEMEL_BASE_MAP_H

#define HASH_NONFATAL_OOM 1

#include <uthash.h>
#include <utlist.h>

#endif
