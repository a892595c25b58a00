/* What each process shall do now. Pure and deterministic: equal pictures make equal plans. */
#ifndef GEMEL_PROCMGR_CORE_PLAN_H
#define GEMEL_PROCMGR_CORE_PLAN_H

#include <stdint.h>

#include "common/base/arena.h"
#include "common/wire/gemel.pb-c.h"
#include "procmgr/core/picture.h"
#include "procmgr/core/procmgr.h"

enum {
    PLAN_START_PARALLEL = 8,  /* processes of a host that start at the same time, when the config says 0 */
    PLAN_SENTENCES_MAX = 100, /* what one screen and a reader bear; the rest is counted in the last one */
    PLAN_SENTENCE_BYTES = 512
};

/* Returns the plan in the arena, borrowing from the picture. `missing_wait_ms` is what remains of the time that hosts
 * have to report after a change of leaders. */
Gemel__Plan *plan_make(const struct picture *picture, const struct procmgr_config *config, int64_t missing_wait_ms,
                       struct arena *arena);

#endif
