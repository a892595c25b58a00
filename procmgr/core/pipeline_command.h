/* The operator's commands about pipelines and service classes. Pure: a request and a picture give a reply, with the
 * operations to log before it is passed on.
 *
 *   pipeline.start {pipeline, instance?, process?}   nothing runs: starts all, exit 0. All run: `already running: 12 of
 *       12`, exit 0. All are asked for and on their way: `already starting: 3 of 12 ready`, exit 0. Partly running:
 *       starts nothing, names what is down, exit 3.
 *   pipeline.force-start {same}    starts what does not run, also what has failed, and clears its back-off.
 *   pipeline.stop {same}           stops what runs or is asked for; exit 0 also when nothing is.
 *   pipeline.status {pipeline?, instance?, process?}   tables `processes` and `summary`; exit 3 when something that is
 *       asked for is not ready, else 0.
 *   pipeline.list                  table `pipelines`.
 *   service-class.start|stop|status {template}   the same for pipelines of type service.
 *   procmgr.status                 table `procmgr`, and what the plan waits for.
 * `process` is TYPE.N, or TYPE for all of them. What is not known is exit 1 with the nearest name; a missing or
 * malformed argument is exit 2. */
#ifndef GEMEL_PROCMGR_CORE_PIPELINE_COMMAND_H
#define GEMEL_PROCMGR_CORE_PIPELINE_COMMAND_H

#include "common/base/arena.h"
#include "common/wire/gemel.pb-c.h"
#include "procmgr/core/picture.h"
#include "procmgr/core/procmgr.h"

/* Returns the reply in the arena. `plan` (borrowed) holds the sentences of the last one, for procmgr.status;
 * NULL: none. */
Gemel__AdminReply *pipeline_command_answer(const struct picture *picture, const struct procmgr_config *config,
                                           const Gemel__Plan *plan, const Gemel__AdminRequest *request,
                                           struct arena *arena);

#endif
