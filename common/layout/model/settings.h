/* The settings of one host, etc/settings.conf, as a value. Pure. common/layout/load/settings_load.h fills it.
 * Durations are in milliseconds; names of hosts are as configured, so that they can be looked up when they are dialled.
 */
#ifndef GEMEL_LAYOUT_MODEL_SETTINGS_H
#define GEMEL_LAYOUT_MODEL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bounds.h"
#include "common/base/error.h"

enum {
    SETTINGS_HOSTS_MAX = 4, /* two controls and two sides, when all differ */
    SETTINGS_DOS_SERVERS_MAX = 8,
    SETTINGS_PATH_BYTES = 1024
};

/* What a control does alone when no arbiter tells it whether its peer lives (cluster.md, the arbiter). */
enum settings_peer_loss {
    PEER_LOSS_PROMOTE, /* the follower leads after the lease */
    PEER_LOSS_FREEZE   /* it waits for an operator */
};

enum settings_security {
    SECURITY_ON,  /* CURVE on the control plane */
    SECURITY_NONE /* only while every address is loopback */
};

struct settings_address {
    char host[HOST_NAME_BYTES]; /* name or number; empty: none */
    uint16_t port;
};

struct settings {
    char file[ERROR_FILE_BYTES]; /* where it was read */

    /* Which host this is. */
    char host[HOST_NAME_BYTES];      /* one of `hosts`; every bind is on its address, its key has its name */
    unsigned node;                   /* 1 primary control, 2 secondary control, 0 no control runs here */
    bool clustering;                 /* there is a peer */
    char peer_host[HOST_NAME_BYTES]; /* of the other control; empty without clustering or when node is 0 */

    /* All hosts. */
    struct settings_address controls[2];             /* [0] primary, [1] secondary (empty host without clustering) */
    size_t control_count;                            /* 1 or 2 */
    char hosts[SETTINGS_HOSTS_MAX][HOST_NAME_BYTES]; /* each once: primary, secondary, A, B */
    size_t host_count;
    char host_a[HOST_NAME_BYTES]; /* side A; the primary control's host unless said otherwise */
    char host_b[HOST_NAME_BYTES]; /* side B; the secondary control's; empty without one */

    char arbiter[ADDRESS_BYTES]; /* "none" */
    enum settings_peer_loss peer_loss;

    uint16_t control_port; /* of this host's control when its address names none */
    uint16_t daemon_port;
    uint16_t console_port;
    uint16_t gateway_port; /* of a gateway whose layout names none */

    int64_t heartbeat_ms; /* heartbeat < suspect < lease; margin < lease */
    int64_t suspect_ms;
    int64_t lease_ms;
    int64_t lease_margin_ms;
    int64_t missing_timeout_ms;
    int64_t discovery_time_ms;
    int64_t ping_interval_ms; /* < hang_timeout */
    int64_t hang_timeout_ms;  /* at least 100 */
    int64_t query_timeout_ms; /* 0: none */

    struct settings_address dos_servers[SETTINGS_DOS_SERVERS_MAX];
    size_t dos_server_count;
    unsigned dos_copies; /* 0: all */
    int64_t dos_degrade_after_ms;

    char keys[SETTINGS_PATH_BYTES]; /* folder; below the home folder unless absolute */
    enum settings_security security;
};

/* Fills in the defaults of config.md; hosts are empty. */
void settings_init(struct settings *settings);

/* Is `host` (borrowed) one of the configured hosts? */
bool settings_has_host(const struct settings *settings, const char *host);

/* Writes `host:port`, or `[host]:port` when the host is an IPv6 number. */
void settings_address_format(const struct settings_address *address, char text[ADDRESS_BYTES]);

/* Writes the address of the control of node 1 or 2. */
void settings_control_address(const struct settings *settings, unsigned node, char text[ADDRESS_BYTES]);

/* Writes the address of the control, daemon on `host`; for a host without a control, the primary's. */
void settings_control_address_of(const struct settings *settings, const char *host, char text[ADDRESS_BYTES]);
void settings_daemon_address_of(const struct settings *settings, const char *host, char text[ADDRESS_BYTES]);

/* Adds what works but is unwise, such as DOS servers that share one host, to `warnings`. */
void settings_warn(const struct settings *settings, struct error_list *warnings);

#endif
