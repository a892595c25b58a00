/* Two questions a dealer asks while nobody answers: which address has this name, and why does the connection fail
 * (libzmq does not tell). Both run beside the loop and answer once, from the loop. Shell only. */
#ifndef GEMEL_NET_DIAL_H
#define GEMEL_NET_DIAL_H

#include <uv.h>

struct dial_lookup;
struct dial_probe;

/* Looks up `host` and `port` in the thread pool. `on_done` gets an address, or NULL and the reason (both borrowed for
 * the call); the lookup is over then. Returned in *lookup (given up with dial_lookup_cancel). Returns 0 or a negative
 * errno. */
int dial_lookup_start(struct dial_lookup **lookup, uv_loop_t *loop, const char *host, const char *port,
                      void (*on_done)(void *owner, const struct sockaddr *address, const char *why), void *owner);
/* Ends a lookup silently; NULL inside is allowed. */
void dial_lookup_cancel(struct dial_lookup **lookup);

/* Connects once by TCP and hangs up at once. `why` is "" when it was accepted; the probe is over then. Returned in
 * *probe (given up with dial_probe_cancel). Returns 0 or a negative errno. */
int dial_probe_start(struct dial_probe **probe, uv_loop_t *loop, const struct sockaddr *address,
                     void (*on_done)(void *owner, const char *why), void *owner);
/* Ends a probe silently; NULL inside is allowed. */
void dial_probe_cancel(struct dial_probe **probe);

#endif
