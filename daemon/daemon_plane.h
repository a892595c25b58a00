/* The daemon on the control plane: a router on its port (gateways subscribe, the command asks) and a dealer to each
 * control. Shell only. A peer is a number: a control's is its node, a subscriber's is above them. */
#ifndef GEMEL_DAEMON_DAEMON_PLANE_H
#define GEMEL_DAEMON_DAEMON_PLANE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/layout/model/settings.h"
#include "common/net/keys.h"
#include "common/wire/wire.h"

enum {
    DAEMON_SUBSCRIBERS_MAX = 256,       /* gateways of one cluster, and their successors that nobody has missed yet */
    DAEMON_SUBSCRIBER_SILENT_MS = 10000 /* without a ping: gone */
};

struct daemon_plane;

/* Messages are borrowed for the call. */
struct daemon_plane_handlers {
    void (*on_peer)(void *owner, uint64_t peer); /* it wants hello and full report */
    void (*on_orders)(void *owner, uint64_t peer, uint64_t epoch, const Gemel__Orders *orders);
    void (*on_registry)(void *owner, const Gemel__Registry *registry);
    /* Fills the reply, whose parts live in the arena. `may_change`: the caller's role allows more than looking. */
    void (*on_admin)(void *owner, const Gemel__AdminRequest *request, bool may_change, struct arena *arena,
                     Gemel__AdminReply *reply);
};

int daemon_plane_create(struct daemon_plane **plane, uv_loop_t *loop, const struct settings *settings,
                        const struct keys *keys, const struct daemon_plane_handlers *handlers, void *owner,
                        struct error *error);
void daemon_plane_destroy(struct daemon_plane **plane);

/* Sends to one peer, or (0) to all that are up. A peer whose queue is full gets everything again later (on_peer). */
void daemon_plane_send(struct daemon_plane *plane, uint64_t peer, Gemel__Envelope *envelope);

/* Which controls are connected, for people: "127.0.0.1:2001 up, 127.0.0.2:2001 down". In the arena. */
const char *daemon_plane_controls(const struct daemon_plane *plane, struct arena *arena);

#endif
