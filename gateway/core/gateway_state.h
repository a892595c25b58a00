/* What the parts of the gateway's core share. Private to gateway/core.
 *
 * How a step goes: the handler of the event changes facts (links, reports, health) and *touches* the processes that it
 * changed; then gateway_settle reviews the routes of all that was touched, sends the queries of lost processes
 * elsewhere, and tells watchers and controls. So a batch of bad news is known whole before anybody is chosen. */
#ifndef GEMEL_GATEWAY_CORE_GATEWAY_STATE_H
#define GEMEL_GATEWAY_CORE_GATEWAY_STATE_H

#include "gateway/core/gateway_core.h"
#include "gateway/core/health.h"
#include "gateway/core/quarantine.h"
#include "gateway/core/request.h"
#include "gateway/core/route.h"

struct gateway_host {
    char name[HOST_NAME_BYTES];
    bool up;       /* its daemon is connected */
    bool reported; /* a full report came since the start */
    uint64_t incarnation;
    struct health health;
};

struct gateway_client {
    bool open;
    uint32_t watch_count;
    struct request_list requests;
};

struct gateway_watch {
    uint32_t client;
    uint64_t request_id;
    char pattern[PROCESS_NAME_BYTES];
};

struct gateway_core {
    char name[PROCESS_NAME_BYTES];
    bool is_forwarder;
    int64_t ping_interval_ms;
    int64_t hang_timeout_ms;
    int64_t query_timeout_ms;
    struct route_rules rules;
    uint32_t queue_max;
    uint64_t epoch_seen;
    int64_t started_ms; /* first event; -1: none yet */
    bool settled;       /* every daemon has reported, or was waited for long enough */
    int64_t now_ms;     /* of the event */
    int64_t alarm_ms;   /* next TICK, deadlines of queries apart */

    size_t host_count;
    struct gateway_host *hosts;
    size_t control_count;
    bool control_up[GATEWAY_CONTROLS_MAX];

    struct candidate **processes; /* by number; never freed while the core lives */
    struct candidate *process_map;
    uint32_t process_count;
    uint32_t *touched; /* numbers, process_count of them fit */
    uint32_t touched_count;

    struct route **routes; /* by number */
    struct route *route_map;
    uint32_t route_count;
    bool report_due;
    bool directory_changed;

    struct gateway_client *clients; /* GATEWAY_CLIENTS_MAX */
    struct gateway_watch *watches;
    uint32_t watch_count;
    uint32_t watch_capacity;

    struct requests *requests;
    uint64_t waiting_bytes;
    uint32_t waiting_count;
    struct quarantine quarantine;
    struct gateway_counters counters;
};

/* ---- gateway_core.c ---- */

struct gateway_action *gateway_add(struct gateway_actions *actions, enum gateway_action_type type);
void gateway_log(struct gateway_actions *actions, enum gateway_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A TICK is wanted at `at_ms`. */
void gateway_set_alarm(struct gateway_core *core, int64_t at_ms);
/* Facts about the process changed: gateway_settle looks at it. */
void gateway_touch(struct gateway_core *core, struct candidate *candidate);
/* The process of that name, made when it is new; NULL over the bound. `name` must be well-formed. */
struct candidate *gateway_add_process(struct gateway_core *core, const char *name);
struct candidate *gateway_find_process(const struct gateway_core *core, const char *name);

/* ---- gateway_links.c: links to processes, pings, silence ---- */

/* Dials when the process is said to be ready and nothing is in use or under way. */
void gateway_dial(struct gateway_core *core, struct candidate *candidate, struct gateway_actions *actions);
/* Forgets the back-off: something has changed for the better. */
void gateway_dial_soon(struct gateway_core *core, struct candidate *candidate);
/* The link is given up (`close`: and must be closed); its queries stay in `running` until gateway_settle. */
void gateway_drop_link(struct gateway_core *core, struct candidate *candidate, bool close, bool by_silence,
                       const char *why, struct gateway_actions *actions);
int gateway_on_link(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions);
int gateway_on_daemon(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions);
void gateway_tick_links(struct gateway_core *core, struct gateway_actions *actions);

/* ---- gateway_directory.c: reports of the daemons, look-ups ---- */

void gateway_take_reports(struct gateway_core *core, uint32_t host, const Gemel__ProcessReports *reports,
                          struct gateway_actions *actions);
int gateway_on_lookup(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions);
void gateway_tell_watchers(struct gateway_core *core, struct gateway_actions *actions);
void gateway_forget_watches(struct gateway_core *core, uint32_t client);

/* ---- gateway_routes.c: primaries ---- */

struct route *gateway_find_route(const struct gateway_core *core, const char *name, size_t name_bytes);
/* Finds or makes; NULL over the bound. */
struct route *gateway_add_route(struct gateway_core *core, const char *pipeline, const char *type, uint32_t index);
void gateway_attach(struct gateway_core *core, struct candidate *candidate, struct route *route);
/* Asks the rules and does what they say: moves, leaves, logs, sends what waits. */
void gateway_review_route(struct gateway_core *core, struct route *route, struct gateway_actions *actions);
/* The operator wants `instance` (a candidate that is there). A target that is not fit is waited for. */
void gateway_order_route(struct gateway_core *core, struct route *route, uint32_t instance, bool forced,
                         struct gateway_actions *actions);
int gateway_on_control(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions);
void gateway_report_due(struct gateway_core *core, struct gateway_actions *actions);
/* Why nobody serves the route, for sentences. */
const char *gateway_explain_route(const struct route *route, struct gateway_actions *actions);

/* ---- gateway_requests.c: queries ---- */

int gateway_on_client(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions);
void gateway_on_answer(struct gateway_core *core, struct candidate *candidate, uint64_t request_id, bool full,
                       struct gateway_actions *actions);
/* Sends what waits for the route to its primary. */
void gateway_send_waiting(struct gateway_core *core, struct route *route, struct gateway_actions *actions);
/* The process is lost: its queries are repeated or end. */
void gateway_move_queries(struct gateway_core *core, struct candidate *candidate, struct gateway_actions *actions);
void gateway_tick_requests(struct gateway_core *core, struct gateway_actions *actions);
/* No process serves these targets: ends what waits for them. */
void gateway_fail_unknown(struct gateway_core *core, struct gateway_actions *actions);

/* ---- gateway_admin.c ---- */

int gateway_on_admin(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions);

#endif
