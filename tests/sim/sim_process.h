/* A supervised process in the simulated world: starts, says that it is ready, answers queries and pings, ends. Pure.
 *
 * Each start draws its character: how long it takes to be ready, whether it ends at once, whether it ignores SIGTERM.
 * What a process finds in its environment, and what any supervised program tells its daemon, is here too. */
#ifndef GEMEL_TESTS_SIM_SIM_PROCESS_H
#define GEMEL_TESTS_SIM_SIM_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/token.h"
#include "tests/sim/world.h"

enum {
    PROCESS_ADDRESS_BYTES = 40,
    SIGNAL_KILL = 9,
    SIGNAL_TERM = 15
};

extern const struct actor sim_process_actor;

/* host:port where a node serves. */
void process_address(const struct world *world, const struct node *node, char address[PROCESS_ADDRESS_BYTES]);
/* The node that serves there; NULL: none. */
struct node *process_find_address(const struct world *world, const char *address);

/* Does it serve: alive, not hung, past its start? */
bool sim_process_is_serving(const struct node *node);

/* A signal from the daemon to any supervised program. */
void process_signal(struct world *world, struct node *node, int32_t signal);

/* Tells the daemon of the node's host READY=1 and where it serves (NULL: nowhere). */
void process_say_ready(struct world *world, struct node *node, const char *address);

#endif
