/* Tries whether a TCP port accepts connections, without waiting. Shell only, loop's thread. */
#ifndef GEMEL_DAEMON_PROBE_H
#define GEMEL_DAEMON_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

/* Connects to `port` of `host` (copied) and hangs up. Calls `on_done` exactly once, later, unless a negative errno is
 * returned; `name` is copied and given back. */
int probe_start(uv_loop_t *loop, const struct sockaddr *host, uint32_t port, const char *name,
                void (*on_done)(void *owner, const char *name, bool is_open), void *owner);

#endif
