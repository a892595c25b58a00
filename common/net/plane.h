/* The control plane: ZeroMQ sockets with CURVE in a libuv loop. Shell only; everything runs on the loop's thread.
 *
 * A `plane` is a ZeroMQ context with its ZAP handler, started before any bind: only keys of the folder get in, and the
 * caller's name and role come with each message. A `router` answers on one address; a `dealer` dials one address, for
 * ever, with back-off inside ZeroMQ. Messages are Envelopes (gemel.proto), checked by wire_unpack; what is oversized,
 * malformed or unauthorised is dropped, counted and named in the log, rate-limited.
 * A connection proves only the link: liveness is Ping and Pong, answered by the loop that does the work.
 *
 * A callback may destroy its router or dealer. Closing is asynchronous: x_destroy closes the sockets at once and calls
 * nobody any more; the memory goes in a later turn of the loop, so the loop must run until its handles are closed
 * (program_finish does). Order: routers and dealers, then the plane, then the loop, then the keys. */
#ifndef GEMEL_NET_PLANE_H
#define GEMEL_NET_PLANE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/net/keys.h"
#include "common/wire/wire.h"

enum {
    PLANE_PROTOCOL = 1,    /* Envelope.protocol; another one is refused */
    PLANE_LINGER_MS = 250, /* what is still queued at the end of a program may take this long */
    PLANE_ROUTING_BYTES = 32
};

struct plane;

/* `keys` is borrowed and must outlive the plane; `self` names the key in it whose secret this program uses;
 * `sender` (copied) and a random incarnation are stamped on every message that leaves. */
int plane_create(struct plane **plane, uv_loop_t *loop, const struct keys *keys, const char *self, const char *sender,
                 struct error *error);
/* After every router and dealer of it is destroyed. Waits up to PLANE_LINGER_MS for messages that peers have not taken.
 */
void plane_destroy(struct plane **plane);

uint64_t plane_incarnation(const struct plane *plane);
/* Stamped on every message from now on; copied. */
void plane_set_cluster_id(struct plane *plane, const char *cluster_id);
/* What was refused: malformed or oversized messages, messages of another cluster or protocol, keys that are not in the
 * folder, connections that failed in their handshake. (A message far over MESSAGE_BYTES_MAX costs its sender the
 * connection within libzmq, and is not counted.) */
uint64_t plane_refused_count(const struct plane *plane);

/* Who sent a message; a value, good for answering while the peer stays connected. */
struct plane_peer {
    uint8_t routing[PLANE_ROUTING_BYTES];
    uint8_t routing_bytes;
    enum key_role role;
    char user[HOST_NAME_BYTES]; /* name of its key */
};

struct router;
typedef void (*router_on_message)(void *owner, const struct plane_peer *from, const Gemel__Envelope *message);

/* Binds host:port; the host is a number or a name of this machine (asks the resolver: at start-up only), port 0 is any.
 * -EADDRINUSE with a sentence that names the address. */
int router_create(struct router **router, struct plane *plane, const char *address, router_on_message on_message,
                  void *owner, struct error *error);
/* What was bound, `127.0.0.1:41522` (borrowed). */
const char *router_address(const struct router *router);
void router_destroy(struct router **router);
/* `message` is borrowed; sender, incarnation, cluster id and protocol are filled in for the wire and given back as they
 * were. Returns 0; -EHOSTUNREACH when the peer is gone; -EAGAIN when its queue is full (MESSAGE_QUEUE_MAX); -EMSGSIZE
 * when it is over MESSAGE_BYTES_MAX. Nothing but 0 has queued anything. */
int router_send(struct router *router, const struct plane_peer *to, Gemel__Envelope *message);

struct dealer;
struct dealer_handlers {
    void (*on_message)(void *owner,
                       const Gemel__Envelope *message); /* borrowed for the call; between up and down only */
    void (*on_up)(void *owner);                         /* handshake done */
    /* Once after each on_up, when all that came before was handed over; and, while not up, once for each new reason
     * such as "connection refused", "key not accepted by ...". Dials again by itself, after 20 ms doubling to 1 s. */
    void (*on_down)(void *owner, const char *why);
};

/* `handlers` is borrowed until dealer_destroy. Dials host:port; names are looked up in the thread pool, again while
 * nothing answers. The server's key is the one named after the host: -ENOENT with a sentence when it is not in the
 * folder. The first callback comes from the loop.
 */
int dealer_create(struct dealer **dealer, struct plane *plane, const char *address,
                  const struct dealer_handlers *handlers, void *owner, struct error *error);
void dealer_destroy(struct dealer **dealer);
/* As router_send; -EHOSTUNREACH while not connected. */
int dealer_send(struct dealer *dealer, Gemel__Envelope *message);
bool dealer_is_up(const struct dealer *dealer);
/* The last reason of on_down, or "" (borrowed until the next call). */
const char *dealer_last_error(const struct dealer *dealer);

#endif
