/* A process manager in the simulated world: a child of its daemon, told by the control of its host. Pure.
 * Nodes "procmgr@a" and "procmgr@b". Every revision is the layout of sim_layout.h. */
#ifndef GEMEL_TESTS_SIM_SIM_PROCMGR_H
#define GEMEL_TESTS_SIM_SIM_PROCMGR_H

#include "tests/sim/world.h"

extern const struct actor sim_procmgr_actor;

#endif
