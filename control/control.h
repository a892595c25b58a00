/* gemel-control's shell: it turns sockets, disk and time into events for the pair and the registry and carries their
 * actions out. It decides nothing. Loop's thread. */
#ifndef GEMEL_CONTROL_CONTROL_H
#define GEMEL_CONTROL_CONTROL_H

#include "common/base/error.h"
#include "common/loop/program.h"

struct control;

/* Reads the settings and keys of the program's home, opens the store, binds, dials the peer and starts. `program` is
 * borrowed. Returned in *control (release with control_destroy). Returns 0 or a negative errno with a sentence. */
int control_create(struct control **control, struct program *program, struct error *error);
/* NULL inside is allowed. */
void control_destroy(struct control **control);
/* Tells the daemon that the end is wanted, and ends the program. */
void control_stop(struct control *control);

#endif
