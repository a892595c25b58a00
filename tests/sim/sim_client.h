/* A client that asks without pause, as libgemel does: links to both gateways, the same query again at the other one
 * when a gateway is lost. Pure. */
#ifndef GEMEL_TESTS_SIM_SIM_CLIENT_H
#define GEMEL_TESTS_SIM_SIM_CLIENT_H

#include "tests/sim/world.h"

extern const struct actor sim_client_actor;

#endif
