/* What keys a map of a layout may have, as data: one table drives the reading, the checks and the words of the
 * mistakes. Pure. Values go into the layout_text, layout_number, layout_texts and layout_pairs at `offset` of a target.
 */
#ifndef GEMEL_LAYOUT_LOAD_SCHEMA_H
#define GEMEL_LAYOUT_LOAD_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/layout/model/layout.h"
#include "common/yaml/scalar.h"
#include "common/yaml/tree.h"

/* Reads one file. */
struct reader {
    const char *file; /* as messages show it; lives as long as the layout */
    struct arena *arena;
    struct error_list *mistakes;
    struct error_list *warnings;
    size_t mistake_count;
};

enum schema_kind {
    SCHEMA_TEXT,        /* layout_text; not empty */
    SCHEMA_NAME,        /* layout_text; letters, digits, '_', '-'; shorter than `max` bytes */
    SCHEMA_FLAG,        /* layout_number 0, 1 */
    SCHEMA_INTEGER,     /* layout_number from min to max */
    SCHEMA_DURATION,    /* layout_number in ms from min to max; a bare number counts `unit` */
    SCHEMA_TIME_OF_DAY, /* layout_number, ms since midnight */
    SCHEMA_CHOICE,      /* layout_number, the position in `choices` */
    SCHEMA_TASKSET,     /* layout_text such as 0-3,7 */
    SCHEMA_TEXTS,       /* layout_texts; a single text is a list of one */
    SCHEMA_PAIRS,       /* layout_pairs; a map of texts */
    SCHEMA_SUB,         /* `read` does it */
    SCHEMA_LATER,       /* documented, not carried out by this version: a warning */
    SCHEMA_OBSOLETE     /* of the original, without a meaning here: a warning that says `instead` */
};

enum {
    SCHEMA_NOWHERE = -1 /* an offset: the value is an option only */
};

struct schema_key {
    const char *name;
    enum schema_kind kind;
    ptrdiff_t offset; /* in the target; SCHEMA_NOWHERE: none */
    int64_t min;
    int64_t max;
    enum scalar_unit unit;
    const char *const *choices; /* NULL-ended */
    void (*read)(struct reader *reader, const struct tree_node *node, void *target);
    bool required;
    bool option;          /* travels in GEMEL_OPTIONS */
    const char *fallback; /* of an option that was not given; NULL: it is left out */
    const char *instead;
};

struct schema {
    const char *what; /* "a pipeline" */
    const struct schema_key *keys;
    size_t key_count;
};

/* Reads the map `node` by the keys of one or two schemas (`more` may be NULL) into `target`, which holds the defaults.
 * Options that were given or have a fallback are returned in *options (NULL allowed). Mistakes are added and the rest
 * is read all the same. */
void schema_read(struct reader *reader, const struct schema *schema, const struct schema *more,
                 const struct tree_node *node, void *target, struct layout_pairs *options);

/* Adds a mistake at a node, a place: `sentence, got 'x'`. */
void reader_refuse(struct reader *reader, const struct tree_node *node, const char *sentence);
void reader_refuse_at(struct reader *reader, struct layout_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void reader_warn_at(struct reader *reader, struct layout_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct layout_place reader_place(const struct reader *reader, unsigned line, unsigned column);

/* Pieces for `read` callbacks; false after a mistake. `key` is for the words. */
bool reader_take_text(struct reader *reader, const char *key, const struct tree_node *node, struct layout_text *text);
bool reader_take_integer(struct reader *reader, const char *key, const struct tree_node *node, int64_t min, int64_t max,
                         struct layout_number *number);
bool reader_take_texts(struct reader *reader, const char *key, const struct tree_node *node,
                       struct layout_texts *texts);
bool reader_take_pairs(struct reader *reader, const char *key, const struct tree_node *node,
                       struct layout_pairs *pairs);

#endif
