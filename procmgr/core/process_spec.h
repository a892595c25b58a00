/* A process of the layout as a daemon needs it: complete, so that a daemon needs no layout. Pure. */
#ifndef GEMEL_PROCMGR_CORE_PROCESS_SPEC_H
#define GEMEL_PROCMGR_CORE_PROCESS_SPEC_H

#include <stdint.h>

#include "common/base/arena.h"
#include "common/layout/model/layout.h"
#include "common/wire/gemel.pb-c.h"
#include "procmgr/core/procmgr.h"

/* The port where a gateway serves: its layout's; without one the settings' for the first gateway of its host; else 0.
 */
uint16_t process_spec_gateway_port(const struct layout *layout, const struct layout_process *process,
                                   const struct procmgr_config *config);

/* GEMEL_GATEWAYS: the addresses of all gateways of the layout, comma separated; in the arena. */
char *process_spec_gateways(const struct layout *layout, const struct procmgr_config *config, struct arena *arena);

/* What all specs of one plan share; borrowed. */
struct process_spec_context {
    const struct layout *layout;
    const struct procmgr_config *config;
    const char *gateways;
    uint64_t revision;
};

/* Returns the spec in the arena; its strings are the layout's, the context's or the arena's. */
Gemel__ProcessSpec *process_spec_make(const struct process_spec_context *context, const struct layout_process *process,
                                      struct arena *arena);

#endif
