/* The gateway's decisions: which process is primary for each route, where each query goes, what is repeated, refused or
 * given up. Pure: no clock, socket or file. The shell gives facts as events and carries the actions out in order.
 *
 * A *route* is (pipeline, type, index), `Pipeline.type.index`; its candidates are the processes of that name in each
 * instance. A *process* is named by a small number that the core hands out with its first CONNECT, and each dial by a
 * `link` number: events of a link that was left meanwhile are ignored. A *client* is named by a small number of the
 * shell's (below GATEWAY_CLIENTS_MAX), free again after CLIENT_CLOSED. A *slot* names a query that the core holds; the
 * shell keeps the body under it from the HOLD or first FORWARD of a query until ANSWER, FAIL or RELEASE name the slot.
 *
 * With `upstreams` in its configuration the core is a forwarder: one route, its candidates are the gateways given,
 * the first live one serves every target. Times are monotonic milliseconds but for *_wall_ns. */
#ifndef GEMEL_GATEWAY_CORE_GATEWAY_CORE_H
#define GEMEL_GATEWAY_CORE_GATEWAY_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/bounds.h"
#include "common/base/token.h"
#include "common/wire/gemel.pb-c.h"

enum {
    GATEWAY_CLIENTS_MAX = 10000,        /* as many links as one server accepts */
    GATEWAY_CONTROLS_MAX = 2,           /* the pair */
    GATEWAY_ROUTES_MAX = 10000,         /* one for each process name at most */
    GATEWAY_WATCHES_MAX = 10000,        /* look-ups that are answered again on change */
    GATEWAY_REQUESTS_MAX = 65536,       /* queries held at a time: waiting and running */
    GATEWAY_CLIENT_REQUESTS_MAX = 8192, /* of one client */
    GATEWAY_QUEUE_MAX = 10000,          /* queries that wait for a primary */
    GATEWAY_QUEUE_BYTES_MAX = 64 * 1024 * 1024,
    GATEWAY_HELD_BYTES_MAX = 512 * 1024 * 1024, /* bodies kept for a repeat, all queries */

    GATEWAY_DIAL_FIRST_MS = 10, /* back-off of links to processes that are said to be ready */
    GATEWAY_DIAL_LAST_MS = 200,
    GATEWAY_DIAL_TIMEOUT_MS = 1000, /* a dial without HELLO is given up and tried again */
    GATEWAY_SETTLE_MS = 5000        /* a target that no daemon has named until then does not exist */
};

#define GATEWAY_NO_SLOT UINT32_MAX

struct gateway_core;

struct gateway_upstream {
    const char *name;    /* of the gateway, for logs and sentences */
    const char *address; /* host:port */
};

/* Strings and arrays are borrowed for gateway_core_create. A time or bound of 0 means the default named. */
struct gateway_config {
    const char *name;         /* this gateway's full process name */
    size_t host_count;        /* daemons, by position; at most HOSTS_MAX */
    const char *const *hosts; /* their host names */
    size_t control_count;     /* at most GATEWAY_CONTROLS_MAX */
    size_t upstream_count;    /* above 0: a forwarder */
    const struct gateway_upstream *upstreams;
    int64_t ping_interval_ms;   /* 100 */
    int64_t hang_timeout_ms;    /* 1000 */
    int64_t query_timeout_ms;   /* 30000; of a query without one of its own; -1: none */
    int64_t startup_timeout_ms; /* 30000; how long instance 0, or the published one, is waited for */
    int64_t quarantine_ms;      /* 60000; -1: none */
    uint64_t max_lag_rows;      /* 0: no bound */
    uint64_t epoch_seen;        /* highest epoch of a leader that was saved */
    uint32_t queue_max;         /* GATEWAY_QUEUE_MAX */
    uint32_t requests_max;      /* GATEWAY_REQUESTS_MAX */
};

enum gateway_event_type {
    GATEWAY_EVENT_TICK,           /* gateway_core_next_wakeup_ms has come */
    GATEWAY_EVENT_DAEMON_UP,      /* daemon.host: connected */
    GATEWAY_EVENT_DAEMON_DOWN,    /* daemon.host */
    GATEWAY_EVENT_DAEMON_REPORTS, /* daemon.host, incarnation, reports */
    GATEWAY_EVENT_DAEMON_PONG,    /* daemon.host, incarnation */
    GATEWAY_EVENT_CONTROL_UP,     /* control.control: connected */
    GATEWAY_EVENT_CONTROL_DOWN,   /* control.control */
    GATEWAY_EVENT_ROUTES,         /* control.control, epoch, routes */
    GATEWAY_EVENT_LINK_OPEN,      /* link: the peer's HELLO is here */
    GATEWAY_EVENT_LINK_CLOSED,    /* link: closed by the peer, or the dial failed */
    GATEWAY_EVENT_LINK_PONG,      /* link */
    GATEWAY_EVENT_LINK_ANSWER,    /* link, request_id: an answer or failure from a process */
    GATEWAY_EVENT_LINK_FULL,      /* link, request_id: a FORWARD could not be taken (-EAGAIN) */
    GATEWAY_EVENT_CLIENT_OPEN,    /* client.client */
    GATEWAY_EVENT_CLIENT_CLOSED,  /* client.client */
    GATEWAY_EVENT_QUERY,          /* query */
    GATEWAY_EVENT_CANCEL,         /* client.client, request_id */
    GATEWAY_EVENT_LOOKUP,         /* lookup */
    GATEWAY_EVENT_ADMIN           /* admin */
};

/* Who asked an AdminRequest: a client's link, or a control. */
struct gateway_origin {
    bool is_control;
    uint32_t id; /* client, or control position */
    uint64_t request_id;
};

struct gateway_event {
    enum gateway_event_type type;
    int64_t now_ms;
    union {
        struct {
            uint32_t host;
            uint64_t incarnation; /* of the daemon; another one means it must be asked again for reports */
            const Gemel__ProcessReports *reports;
        } daemon;
        struct {
            uint32_t control;
            uint64_t epoch; /* of the envelope */
            const Gemel__Routes *routes;
        } control;
        struct {
            uint32_t process;
            uint32_t link;
            uint64_t request_id;
            const char *peer;       /* LINK_OPEN: the name in its HELLO */
            struct token token;     /* LINK_OPEN: of its HELLO; zeroes: it has none */
            bool blocks_while_busy; /* LINK_OPEN: it answers no ping while it runs a query */
            const char *why;        /* LINK_CLOSED */
        } link;
        struct {
            uint32_t client;
            uint64_t request_id;
        } client;
        struct {
            uint32_t client;
            uint64_t request_id;
            const char *target; /* not NUL-terminated */
            size_t target_bytes;
            uint32_t timeout_ms;  /* 0: the default */
            uint32_t body_bytes;  /* that the shell would hold */
            uint64_t fingerprint; /* equal for equal bodies */
            bool idempotent;
        } query;
        struct {
            uint32_t client;
            uint64_t request_id;
            const Gemel__Lookup *lookup;
        } lookup;
        struct {
            struct gateway_origin origin;
            const Gemel__AdminRequest *request;
            int64_t wall_ns; /* now, for the dates in tables */
        } admin;
    };
};

enum gateway_action_type {
    GATEWAY_ACTION_CONNECT,      /* link: dial link.address */
    GATEWAY_ACTION_CLOSE,        /* link: close silently */
    GATEWAY_ACTION_PING,         /* link */
    GATEWAY_ACTION_FORWARD,      /* link, request_id, slot, first */
    GATEWAY_ACTION_CANCEL,       /* link, request_id */
    GATEWAY_ACTION_HOLD,         /* request.slot: keep the body of the query that this event brought */
    GATEWAY_ACTION_ANSWER,       /* request: pass the frame of this event on to the client; release the slot */
    GATEWAY_ACTION_FAIL,         /* request: send request.failure to the client; release the slot unless NO_SLOT */
    GATEWAY_ACTION_RELEASE,      /* request.slot: the client is gone */
    GATEWAY_ACTION_LOOKUP_REPLY, /* lookup */
    GATEWAY_ACTION_ADMIN_REPLY,  /* admin */
    GATEWAY_ACTION_SUBSCRIBE,    /* host: ask its daemon for reports */
    GATEWAY_ACTION_PING_DAEMON,  /* host */
    GATEWAY_ACTION_HELLO,        /* control: GatewayHello with control.route_version */
    GATEWAY_ACTION_REPORT,       /* control: control.report */
    GATEWAY_ACTION_STALE_EPOCH,  /* control: answer with control.epoch */
    GATEWAY_ACTION_SAVE_EPOCH,   /* control.epoch: the highest seen, to be given back by the next start */
    GATEWAY_ACTION_LOG           /* log */
};

enum gateway_log_level {
    GATEWAY_LOG_INFO,
    GATEWAY_LOG_WARN,
    GATEWAY_LOG_ERROR
};

struct gateway_action {
    enum gateway_action_type type;
    union {
        struct {
            uint32_t process;
            uint32_t link;
            uint64_t request_id; /* of the upstream hop: slot and generation */
            uint32_t slot;
            bool first;          /* the body is the one that this event brought; else it is held */
            const char *name;    /* CONNECT: of the process */
            const char *address; /* CONNECT */
        } link;
        struct {
            uint32_t client;
            uint32_t slot;
            uint64_t request_id; /* the client's own */
            uint64_t epoch;      /* ANSWER: the route's version */
            const Gemel__Failure *failure;
        } request;
        struct {
            uint32_t client;
            uint64_t request_id;
            const Gemel__LookupReply *reply;
        } lookup;
        struct {
            struct gateway_origin origin;
            const Gemel__AdminReply *reply;
        } admin;
        uint32_t host;
        struct {
            uint32_t control;
            uint64_t route_version;
            uint64_t epoch;
            const Gemel__RouteReport *report;
        } control;
        struct {
            enum gateway_log_level level;
            const char *sentence;
        } log;
    };
};

/* What a step wants done; messages and strings live in the arena until gateway_actions_reset. */
struct gateway_actions {
    struct arena arena;
    size_t count;
    size_t capacity;
    struct gateway_action *items;
};

void gateway_actions_init(struct gateway_actions *actions);
void gateway_actions_reset(struct gateway_actions *actions);
void gateway_actions_fini(struct gateway_actions *actions);

/* What operators and tests count; all since the start but for the last four. */
struct gateway_counters {
    uint64_t queries;
    uint64_t answered;
    uint64_t failed;
    uint64_t repeated;
    uint64_t cancelled;
    uint64_t refused;      /* of the failed: full, in quarantine, unknown */
    uint64_t late_answers; /* dropped */
    uint64_t failovers;
    uint32_t waiting; /* now */
    uint32_t running;
    uint32_t quarantined;
    uint32_t links; /* registered processes */
};

/* Returns 0, or -EINVAL for a configuration over a bound. Returned in *core (release with gateway_core_destroy). */
int gateway_core_create(struct gateway_core **core, const struct gateway_config *config);
void gateway_core_destroy(struct gateway_core **core);

/* One event in, actions appended. Returns 0; -EINVAL for an event that makes no sense (unknown host, control or client,
 * a query from a closed client); nothing changed then. */
int gateway_core_step(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions);

/* When the next TICK is due. Cheap: may be called after every step. */
int64_t gateway_core_next_wakeup_ms(const struct gateway_core *core);

void gateway_core_count(const struct gateway_core *core, struct gateway_counters *counters);

/* The primary instance of a route, `Pipeline.type.index`; UINT32_MAX: none or unknown. For tests and simulation. */
uint32_t gateway_core_primary(const struct gateway_core *core, const char *route);

/* Does the core hold a live link to the ready process `name`? For tests and simulation. */
bool gateway_core_is_registered(const struct gateway_core *core, const char *name);

#endif
