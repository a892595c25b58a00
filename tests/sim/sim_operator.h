/* The operator: gives a command every now and then to either control, and waits for its answer or gives up. Pure. */
#ifndef GEMEL_TESTS_SIM_SIM_OPERATOR_H
#define GEMEL_TESTS_SIM_SIM_OPERATOR_H

#include "tests/sim/world.h"

extern const struct actor sim_operator_actor;

#endif
