/* What plane.c shares with router.c and dealer.c, and with nobody else. */
#ifndef GEMEL_NET_PLANE_INTERNAL_H
#define GEMEL_NET_PLANE_INTERNAL_H

#include <zmq.h>

#include "common/log/log.h"
#include "common/net/plane.h"
#include "common/net/zsocket.h"

enum {
    PLANE_SENDER_BYTES = HOST_NAME_BYTES + 32,
    PLANE_TURN_BUDGET = 64, /* messages of one turn; then the rest of the loop has its turn */
    PLANE_REFUSED_LOG_MS = 10000
};

struct plane {
    uv_loop_t *loop;
    void *context;
    const struct keys *keys; /* borrowed */
    const struct key *self;  /* borrowed from keys */
    char sender[PLANE_SENDER_BYTES];
    char *cluster_id;
    uint64_t incarnation;
    struct zsocket *zap;
    uint64_t refused;
    uint64_t monitors_made;
    struct log_limit refused_limit;
    int users; /* routers and dealers */
};

/* Opens a socket of `type` with the options that all have. Returns NULL and errno when libzmq has no more of them. */
void *plane_open_socket(struct plane *plane, int type);

/* Counts something refused and names it in the log. */
void plane_refuse(struct plane *plane, const char *from, const char *why);

/* Unpacks and checks one message; a bad one is refused. Returns NULL then (release with wire_free). */
Gemel__Envelope *plane_unpack(struct plane *plane, zmq_msg_t *message, const char *from);

/* Stamps, packs and sends; `to` NULL: a dealer's socket. Returns as router_send. */
int plane_send(struct plane *plane, struct zsocket *zsocket, const struct plane_peer *to, Gemel__Envelope *message);

/* Reads the frames of one message up to `max` (the caller closes them all with plane_close_frames); more are read,
 * thrown away and counted in the result. Returns the number of frames; 0: nothing is there. */
size_t plane_receive(void *socket, zmq_msg_t *frames, size_t max);
void plane_close_frames(zmq_msg_t *frames, size_t max);

#endif
