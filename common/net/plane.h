/* The control plane: ZeroMQ sockets with CURVE in a libuv loop. Shell only; everything runs on the loop's thread.
 *
 * A `plane` is a ZeroMQ context with its ZAP handler, started before any bind: only keys of the folder get in, and the
 * caller's name and role come with each message. A `router` answers on one address; a `dealer` dials one address, for
 * ever, with back-off inside ZeroMQ. Messages are Envelopes (gemel.proto), checked by wire_unpack; what is oversized,
 * malformed or unauthorised is dropped, counted and named in the log, rate-limited.
 * A connection proves only the link: liveness is Ping and Pong, answered by the loop that does the work. */
#ifndef GEMEL_NET_PLANE_H
#define GEMEL_NET_PLANE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/net/keys.h"
#include "common/wire/wire.h"

struct plane;

/* `keys` is borrowed and must outlive the plane; `self` names the key in it whose secret this program uses;
 * `sender` (copied) and a random incarnation are stamped on every message that leaves. */
int plane_create(struct plane **plane, uv_loop_t *loop, const struct keys *keys, const char *self, const char *sender,
                 struct error *error);
/* After every router and dealer of it is destroyed. */
void plane_destroy(struct plane **plane);

uint64_t plane_incarnation(const struct plane *plane);
/* Stamped on every message from now on; copied. */
void plane_set_cluster_id(struct plane *plane, const char *cluster_id);
/* Messages that were refused: malformed, oversized, unauthorised, from another cluster. */
uint64_t plane_refused_count(const struct plane *plane);

/* Who sent a message; a value, good for answering while the peer stays connected. */
struct plane_peer {
    uint8_t routing[32];
    uint8_t routing_bytes;
    enum key_role role;
    char user[HOST_NAME_BYTES]; /* name of its key */
};

struct router;
typedef void (*router_on_message)(void *owner, const struct plane_peer *from, const Gemel__Envelope *message);

/* Binds tcp://host:port. `message` is borrowed for the call. -EADDRINUSE with a sentence that names the address. */
int router_create(struct router **router, struct plane *plane, const char *address, router_on_message on_message,
                  void *owner, struct error *error);
void router_destroy(struct router **router);
/* `message` is borrowed; sender, incarnation, cluster id and protocol are filled in here. Returns 0; -EHOSTUNREACH when the
 * peer is gone; -EAGAIN when its queue is full (counted). */
int router_send(struct router *router, const struct plane_peer *to, Gemel__Envelope *message);

struct dealer;
struct dealer_handlers {
    void (*on_message)(void *owner, const Gemel__Envelope *message); /* borrowed for the call */
    void (*on_up)(void *owner);                                      /* handshake done */
    void (*on_down)(void *owner, const char *why);                   /* closed, refused, timed out; dials again itself */
};

/* Dials host:port; the server's key is the one named after the host. */
int dealer_create(struct dealer **dealer, struct plane *plane, const char *address,
                  const struct dealer_handlers *handlers, void *owner, struct error *error);
void dealer_destroy(struct dealer **dealer);
/* As router_send; -EHOSTUNREACH while not connected. */
int dealer_send(struct dealer *dealer, Gemel__Envelope *message);
bool dealer_is_up(const struct dealer *dealer);
/* The last reason of on_down, or "" (borrowed until the next call). */
const char *dealer_last_error(const struct dealer *dealer);

#endif
