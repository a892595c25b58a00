/* How the story names messages. Pure; costs nothing while nobody listens. */
#ifndef GEMEL_TESTS_SIM_TELL_H
#define GEMEL_TESTS_SIM_TELL_H

#include "common/wire/gemel.pb-c.h"
#include "tests/sim/world.h"

/* The message came: the fact of the step. */
void tell_received(struct world *world, const Gemel__Envelope *message);
/* The message goes: a decision, but for pings, pongs and quiet heartbeats. */
void tell_sent(struct world *world, const struct node *to, const Gemel__Envelope *message);

#endif
