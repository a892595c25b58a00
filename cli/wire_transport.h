/* The transport over the real wire: CURVE to controls and daemons, frames to gateways, in a loop of its own. Shell. */
#ifndef GEMEL_CLI_WIRE_TRANSPORT_H
#define GEMEL_CLI_WIRE_TRANSPORT_H

#include "cli/site.h"
#include "cli/transport.h"

struct wire_transport;

/* `site` (borrowed) has its settings; keys are read when the first call needs them: gateways are asked without. */
void wire_transport_create(struct wire_transport **wire, struct site *site);
void wire_transport_destroy(struct wire_transport **wire);

/* The interface; good until wire_transport_destroy. */
struct transport wire_transport_interface(struct wire_transport *wire);

#endif
