/* Numbers for the connections of the control's router: the registry knows peers by number, never by socket. Shell.
 * A number is never given twice. */
#ifndef GEMEL_CONTROL_CONTROL_PEERS_H
#define GEMEL_CONTROL_CONTROL_PEERS_H

#include <stdint.h>

#include "common/net/plane.h"

struct control_peers;

void control_peers_create(struct control_peers **peers);
void control_peers_destroy(struct control_peers **peers);

/* The number of a connection, a new one when it is not known yet; 0 when there are REGISTRY_PEERS_MAX of them. */
uint64_t control_peers_number(struct control_peers *peers, const struct plane_peer *peer);
/* The number of a known connection; 0: unknown. */
uint64_t control_peers_find(const struct control_peers *peers, const struct plane_peer *peer);
/* The connection of a number, borrowed; NULL: gone. */
const struct plane_peer *control_peers_get(const struct control_peers *peers, uint64_t number);
void control_peers_forget(struct control_peers *peers, uint64_t number);

#endif
