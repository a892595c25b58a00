/* A YAML document as a tree whose nodes know their places. Pure: from memory to memory, by libyaml's events.
 *
 * Refused with a place: what is not YAML, tabs as indentation, double keys, keys that are not scalars, tags, several
 * documents, aliases that are unknown, that contain themselves or pass a cap, depth past 32, files past 1 MiB.
 * The tree owns its nodes and strings; an alias and its anchor share one node. */
#ifndef GEMEL_YAML_TREE_H
#define GEMEL_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/error.h"

enum {
    TREE_DEPTH_MAX = 32,
    TREE_ALIASES_MAX = 100,
    TREE_KEYS_MAX = 5000,   /* of one map: each new one is compared with those before it */
    TREE_NODES_MAX = 200000 /* with every alias written out: what a walk over the tree visits */
};

enum tree_kind {
    TREE_SCALAR,
    TREE_LIST,
    TREE_MAP
};

struct tree_entry {
    const char *key; /* NULL in a list */
    unsigned line;   /* of the key, in a list of the value; from 1 */
    unsigned column;
    const struct tree_node *value;
};

struct tree_node {
    enum tree_kind kind;
    unsigned line; /* from 1 */
    unsigned column;
    const char *text; /* of a scalar, NUL-terminated; else NULL */
    bool plain;       /* a scalar without quotes */
    size_t count;     /* entries of a list or map */
    const struct tree_entry *entries;
    size_t size; /* nodes below and including this one, aliases written out */
};

struct tree {
    struct arena arena;
    const struct tree_node *root;
};

/* Parses `length` bytes (borrowed). `file` is for messages. Returns 0 and fills *tree (release with tree_fini) when all
 * of it was read: mistakes may have been added even so (a double key, whose value is left out; a tag; a NUL byte), so
 * that what is wrong beside them can be named in the same run. Returns -EINVAL with at least one mistake added when
 * not. */
int tree_parse(struct tree *tree, const char *file, const char *bytes, size_t length, struct error_list *mistakes);
void tree_fini(struct tree *tree);

/* The value of a key of a map; NULL when absent or when `map` is none. */
const struct tree_node *tree_find(const struct tree_node *map, const char *key);

/* Is it an empty plain scalar, `key:` with nothing behind it, or `~` or `null`? */
bool tree_is_null(const struct tree_node *node);

/* What a message shows of the node: its text, or `a list`, `a map`, `nothing`. */
const char *tree_show(const struct tree_node *node);

#endif
