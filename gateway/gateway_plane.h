/* The control plane of a gateway: a dealer to the daemon of every host and to both controls. Turns their messages into
 * events of the core, and the core's actions into messages. Shell; everything runs on the loop's thread. */
#ifndef GEMEL_GATEWAY_GATEWAY_PLANE_H
#define GEMEL_GATEWAY_GATEWAY_PLANE_H

#include <uv.h>

#include "common/base/error.h"
#include "common/layout/model/settings.h"
#include "common/net/keys.h"
#include "gateway/core/gateway_core.h"
#include "gateway/relay.h"

struct gateway_plane;

struct gateway_plane_config {
    const struct settings *settings; /* hosts in the order of the core's; copied */
    const struct keys *keys;         /* borrowed until destroyed */
    const char *name;                /* this gateway's full process name; copied */
    const char *epoch_file;          /* where the highest epoch is kept; NULL: nowhere; copied */
    struct relay *relay;             /* gets the events; borrowed until destroyed */
};

/* The highest epoch that `path` keeps; 0: none. */
uint64_t gateway_plane_read_epoch(const char *path);

/* Dials everybody. Returns 0 or a negative errno with a sentence. */
int gateway_plane_create(struct gateway_plane **plane, uv_loop_t *loop, const struct gateway_plane_config *config,
                         struct error *error);
void gateway_plane_destroy(struct gateway_plane **plane);

/* Carries out what the relay hands on. */
void gateway_plane_carry_out(struct gateway_plane *plane, const struct gateway_action *action);

#endif
