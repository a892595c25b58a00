/* A control in the simulated world: the pair, the state and the registry behind a shell of the simulator's own. Pure.
 *
 * Two nodes, "control@a" and "control@b". Answers the operator's commands: `sim.note` (an operation that only notes a
 * text), route.set, and what it hands to its process manager. */
#ifndef GEMEL_TESTS_SIM_SIM_CONTROL_H
#define GEMEL_TESTS_SIM_SIM_CONTROL_H

#include "control/core/pair.h"
#include "tests/sim/cluster.h"
#include "tests/sim/world.h"

extern const struct actor sim_control_actor;

/* The pair of a living control. */
void sim_control_status(const struct node *node, struct pair_status *status);
const struct oplog *sim_control_log(const struct node *node);

#endif
