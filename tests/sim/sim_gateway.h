/* A gateway in the simulated world: the core behind links and control-plane connections of the simulator's own. Pure.
 */
#ifndef GEMEL_TESTS_SIM_SIM_GATEWAY_H
#define GEMEL_TESTS_SIM_SIM_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/world.h"

enum {
    GATEWAY_STARTUP_MS = 1500 /* how long it waits for instance 0, or the published one; shorter than a query waits */
};

extern const struct actor sim_gateway_actor;

/* Of a living gateway: the primary instance of a route (UINT32_MAX: none); does it hold a ready link to a process? */
uint32_t sim_gateway_primary(const struct node *node, const char *route);
bool sim_gateway_is_registered(const struct node *node, const char *process);

#endif
