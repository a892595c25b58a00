/* The order in which the types of a pipeline start and the tasks of a workflow run, and the cycles that prevent one.
 * Pure. */
#ifndef GEMEL_LAYOUT_LOAD_DRAFT_ORDER_H
#define GEMEL_LAYOUT_LOAD_DRAFT_ORDER_H

#include "common/layout/load/draft.h"

/* Fills in requirements and levels of the pipeline's types, from depends-on and the built-in order: tp, then rdb and
 * ipdb, then idb, hdb and epdb, then gw. A cycle is a mistake at one of its depends-on. */
void draft_order_types(struct reader *reader, struct draft_pipeline *draft);

/* Checks that `needs` names other tasks of the workflow, without a cycle. */
void draft_order_tasks(struct reader *reader, const struct layout_workflow *workflow);

#endif
