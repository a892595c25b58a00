/* What the files say, before it is checked against each other: the readers' output and the checks' input. Pure.
 * Everything lives in the reader's arena. */
#ifndef GEMEL_LAYOUT_LOAD_DRAFT_H
#define GEMEL_LAYOUT_LOAD_DRAFT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/layout/load/schema.h"
#include "common/layout/model/layout.h"

/* One line of proc-layout: `all: S`, `rdb: S` or `tp.0: S`. */
struct draft_selector {
    const char *type; /* NULL: all */
    int64_t number;   /* -1: every process of the type */
    struct layout_place place;
    struct layout_text server;
};

struct draft_item {
    struct draft_selector *selectors;
    size_t count;
    struct layout_place place;
};

enum draft_numbers {
    DRAFT_NUMBERS_PROCESSES, /* tp.1 is the second tp of this instance */
    DRAFT_NUMBERS_INSTANCES  /* tp.1 is the tp of instance 1 */
};

struct draft_pipeline {
    struct layout_pipeline pipeline;
    struct layout_type *types;
    size_t type_count;
    struct layout_place types_place;
    struct draft_item *items;
    size_t item_count;
    struct layout_number numbers; /* enum draft_numbers */
};

struct draft {
    struct layout_system system; /* place.line 0: no file */
    bool system_given;           /* there was a file, good or bad */
    struct draft_pipeline *pipelines;
    size_t pipeline_count;
    struct layout_table *tables;
    size_t table_count;
    struct layout_workflow *workflows;
    size_t workflow_count;
};

/* Each reads the value of the file's one key (`system:`, `pipeline:`, ...) and fills the draft with what is good. */
void draft_read_system(struct reader *reader, const struct tree_node *node, struct layout_system *system);
void draft_read_pipeline(struct reader *reader, const struct tree_node *node, struct draft_pipeline *draft);
void draft_read_table(struct reader *reader, const struct tree_node *node, struct layout_table *table);
void draft_read_workflow(struct reader *reader, const struct tree_node *node, struct layout_workflow *workflow);

/* Checks what the files say against each other and fills in what follows: types' levels and requirements, the
 * pipelines' instances and processes, in `layout`, whose arena holds the draft. Mistakes go to the reader. */
void draft_check(struct reader *reader, struct draft *draft, struct layout *layout);

#endif
