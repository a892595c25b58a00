/* The full name of a process, `Pipeline.instance.type.index`, such as DemoPipeline.0.rdb.0. Pure. */
#ifndef GEMEL_BASE_PROCESS_ID_H
#define GEMEL_BASE_PROCESS_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bounds.h"

struct process_id {
    char pipeline[PIPELINE_NAME_BYTES]; /* letters, digits, '_', '-'; not empty */
    uint32_t instance;                  /* which copy of the pipeline, from 0 */
    char type[TYPE_NAME_BYTES];         /* tp, rdb, ... or a name of the layout; letters, digits, '_', '-' */
    uint32_t index;                     /* which process of that type within the instance, from 0 */
};

/* Is `name` (borrowed) a name for a pipeline or type: 1 to size-1 letters, digits, '_' or '-', the first a letter? */
bool process_id_is_name(const char *name, size_t size);

/* Reads a full name. Returns 0, or -EINVAL when it is not `Pipeline.instance.type.index`. */
int process_id_parse(const char *name, struct process_id *id);

/* Writes the full name into `name` of PROCESS_NAME_BYTES. */
void process_id_format(const struct process_id *id, char name[PROCESS_NAME_BYTES]);

/* Order by pipeline, instance, type, index. */
int process_id_compare(const struct process_id *one, const struct process_id *other);

#endif
