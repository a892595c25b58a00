/* A small world around one gateway core, for tests: two hosts with a daemon and a process each, clients that count what
 * they get, a virtual clock. It checks all the time that no query is answered twice or starts on a third process. */
#ifndef GEMEL_TESTS_UNIT_GATEWAY_WORLD_H
#define GEMEL_TESTS_UNIT_GATEWAY_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/text.h"
#include "gateway/core/gateway_core.h"

enum {
    HOSTS = 2,
    QUERIES_MAX = 20000,
    LOG_BYTES = 64 * 1024
};

enum fate {
    NOT_ASKED,
    PENDING,
    ANSWERED,
    FAILED
};

struct process {
    const char *name;
    const char *endpoint;
    uint64_t start;
    bool up;   /* its port accepts and it answers */
    bool mute; /* hung: accepts nothing, answers nothing */
    bool linked;
    uint32_t number; /* by the core; UINT32_MAX: not dialled yet */
    uint32_t link;
    uint64_t todo[QUERIES_MAX]; /* upstream ids that it has and has not answered */
    uint32_t todo_count;
    uint32_t received;
};

struct query {
    enum fate fate;
    int sends;
    bool released; /* its slot */
    int code;
    char sentence[512];
};

struct world {
    struct gateway_core *core;
    struct gateway_actions actions;
    int64_t now_ms;
    struct process processes[HOSTS];
    bool daemon_mute[HOSTS];
    uint32_t slot_query[GATEWAY_REQUESTS_MAX]; /* query of a slot */
    struct query *queries;
    uint32_t query_count;
    uint32_t last_query;
    struct text log;
    char *reply; /* cells of the last AdminReply, one row a line */
    int reply_code;
    Gemel__RouteSeen seen; /* last report */
    uint32_t reports;
    uint32_t stale_epochs;
    uint64_t saved_epoch;
    uint32_t lookups;
    uint32_t lookup_entries;
    uint32_t pings;
};

/* One event; carries out what the core wants and answers its pings. */
void world_step(struct world *w, struct gateway_event *event);
/* A full report of a host, with its one process. */
void world_report(struct world *w, int host, Gemel__ProcessState state, const char *why, const char *stale);
/* Links that were dialled open or are refused. */
void world_settle_links(struct world *w);
/* Ticks as the core asks for them. */
void world_run_until(struct world *w, int64_t until_ms);
/* A new run that is reported as ready. */
void world_start_process(struct world *w, int host);
/* Its connection closes; the daemon has not said so yet. */
void world_kill_process(struct world *w, int host);
/* Returns the number of the query. */
uint32_t world_ask_target(struct world *w, uint32_t client, const char *target, bool idempotent, uint32_t timeout_ms);
/* To P.rdb.0, idempotent, by client 0. */
uint32_t world_ask(struct world *w);
/* All that the process of the host has. */
void world_answer_all(struct world *w, int host);
void world_open_client(struct world *w, uint32_t client);
/* `arguments`: name, value, ..., NULL; NULL: none. */
void world_admin(struct world *w, const char *verb, const char *const *arguments);
/* A route of the leader for P.rdb.0. */
void world_publish(struct world *w, uint32_t instance, uint64_t version, uint64_t epoch);
/* Client 0 is open, daemons and control are connected, nothing is reported yet. */
void world_create_bare(struct world *w);
/* Both instances are registered, 0 is primary; released with world_destroy. */
struct world *world_create(void);
void world_destroy(struct world *w);

#endif
