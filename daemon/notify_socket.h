/* systemd's notify protocol (sd_notify(3)): lines of KEY=VALUE in a datagram; ours are X_GEMEL_ENDPOINT=host:port,
 * X_GEMEL_STALE=why (empty: fit), X_GEMEL_LAG=rows. Reading is pure; the socket is shell. */
#ifndef GEMEL_DAEMON_NOTIFY_SOCKET_H
#define GEMEL_DAEMON_NOTIFY_SOCKET_H

#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

#include "common/base/error.h"
#include "daemon/core/daemon_core.h"

enum {
    NOTIFY_BYTES_MAX = 8192, /* of one datagram; a longer one is dropped */
    NOTIFY_DATAGRAMS_A_TURN = 64
};

/* Reads one datagram. `text` is taken apart in place (NULs are written into it) and must outlive *notify, whose strings
 * point into it. `text[size]` must be writable. Unknown keys and malformed lines are passed over, as the protocol asks.
 */
void notify_parse(char *text, size_t size, struct daemon_notify *notify);

struct notify_socket;

/* `pid` is the sender, told by the kernel. */
typedef void (*notify_on_message)(void *owner, pid_t pid, const struct daemon_notify *notify);

/* Binds a datagram socket at `path` (borrowed; a socket that is there is replaced). Returned in *socket (release with
 * notify_socket_destroy). Returns 0 or a negative errno with a sentence. */
int notify_socket_create(struct notify_socket **socket, uv_loop_t *loop, const char *path, notify_on_message on_message,
                         void *owner, struct error *error);
void notify_socket_destroy(struct notify_socket **socket);

#endif
