/* A daemon in the simulated world: the core behind a spawner, a notify socket and a store of the simulator's own. Pure.
 * Nodes "daemon@a" and "daemon@b". */
#ifndef GEMEL_TESTS_SIM_SIM_DAEMON_H
#define GEMEL_TESTS_SIM_SIM_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/daemon_core.h"
#include "tests/sim/world.h"

extern const struct actor sim_daemon_actor;

/* A datagram of the notify protocol. */
struct sim_notice {
    bool ready;
    int32_t pid; /* of the sender */
    char endpoint[64];
};

/* Event: the datagram (struct sim_notice) has come to the daemon. */
void sim_daemon_run_notice(struct world *world, struct node *node, void *data);

/* A program has died: the daemon of its host will know, if it watches it; says whether it does. */
bool sim_daemon_on_death(struct world *world, const struct node *dead);

/* The program that a daemon calls `process`: a process name, "control", "procmgr". NULL: none here. */
struct node *sim_daemon_find_program(const struct world *world, int host, const char *process);

#endif
