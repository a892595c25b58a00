/* The data plane of a gateway, or of a local forwarder: clients on one side, processes (or gateways) on the other, the
 * core between them. Shell; everything runs on the loop's thread.
 *
 * It owns the core, the links and the bodies of queries that may have to be sent again. What the core wants done on the
 * control plane goes to the outlet. Bodies pass through as they came, with their checksums. */
#ifndef GEMEL_GATEWAY_RELAY_H
#define GEMEL_GATEWAY_RELAY_H

#include <stdint.h>
#include <uv.h>

#include "common/base/error.h"
#include "common/base/token.h"
#include "gateway/core/gateway_core.h"

enum {
    RELAY_CLIENT_QUEUE_BYTES_MAX = 32 * 1024 * 1024, /* a client that takes its answers slower is closed: two of the
                                                      * largest answers */
    RELAY_BODY_KEPT_BYTES = 4096                     /* the buffer of an ended query is kept up to this size */
};

struct relay;

struct relay_config {
    const char *listen;   /* host:port of the clients */
    const char *name;     /* in HELLOs */
    struct token token;   /* in HELLOs */
    uint64_t incarnation; /* in HELLOs */
    const struct gateway_config *core;
    /* Actions that are not of the data plane: SUBSCRIBE, PING_DAEMON, HELLO, REPORT, STALE_EPOCH, SAVE_EPOCH, and
     * ADMIN_REPLY to a control. Must not call relay_step. NULL: a forwarder has none. */
    void (*on_action)(void *owner, const struct gateway_action *action);
    void *owner;
};

/* Listens and starts the core. Strings are copied. Returns 0 or a negative errno with a sentence. */
int relay_create(struct relay **relay, uv_loop_t *loop, const struct relay_config *config, struct error *error);
/* Closes every link. */
void relay_destroy(struct relay **relay);

/* A fact from the control plane; now_ms is filled in here. */
void relay_step(struct relay *relay, struct gateway_event *event);

/* host:port as bound (borrowed). */
const char *relay_address(const struct relay *relay);

#endif
