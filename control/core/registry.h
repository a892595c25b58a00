/* What is observed, and what follows from it: the processes that all daemons report, what the process manager is told,
 * the orders for daemons, the endpoints that they hand on, the routes of the gateways. Pure.
 *
 * Nothing of it is logged or stored: daemons report anew to whoever leads. Both controls observe; only one that was
 * told that it leads (its first entry is committed) gives orders, publishes routes and endpoints, and proposes
 * operations. Peers are numbers that the shell gives to connections; which messages a peer may send is the shell's
 * business (roles). The committed state is borrowed and read; it is never changed here.
 *
 * Liveness: every peer is pinged each ping_ms and judged by what it sends; silent for silent_ms it is as good as gone
 * until it speaks again: its reports stay, marked as not fresh. */
#ifndef GEMEL_CONTROL_CORE_REGISTRY_H
#define GEMEL_CONTROL_CORE_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/wire/gemel.pb-c.h"
#include "control/core/state.h"

enum {
    REGISTRY_PEERS_MAX = 4096,       /* daemons, process managers, gateways connected to one control */
    REGISTRY_ORDERS_EVERY_MS = 1000, /* orders are repeated while what is reported differs from them */
    REGISTRY_PLAN_EVERY_MS = 20,     /* between two plan inputs: changes that come together are told together */
    REGISTRY_PROPOSE_EVERY_MS = 1000 /* a proposal that was not committed is repeated */
};

struct registry_config {
    char host[HOST_NAME_BYTES];
    uint32_t ping_ms;
    uint32_t silent_ms;
    uint32_t missing_timeout_ms;    /* how long hosts that have not reported hold up the plan after a leader change */
    char hosts[2][HOST_NAME_BYTES]; /* the configured hosts; empty: none */
};

enum registry_event_type {
    REGISTRY_EVENT_TICK,
    REGISTRY_EVENT_ROLE,
    REGISTRY_EVENT_MESSAGE,
    REGISTRY_EVENT_PEER_GONE,
    REGISTRY_EVENT_STATE_CHANGED,
    REGISTRY_EVENT_COMMAND /* one is about to go to the process manager: it must see first what was applied before */
};

struct registry_event {
    enum registry_event_type type;
    int64_t now_ms;
    int64_t wall_ns;
    union {
        struct {
            bool leading;
            uint64_t epoch; /* of this control's leadership, else 0 */
        } role;
        struct {
            uint64_t peer;                   /* not 0; never reused for another connection */
            const Gemel__Envelope *envelope; /* borrowed */
        } message;
        uint64_t gone; /* PEER_GONE */
    };
};

enum registry_action_type {
    REGISTRY_ACTION_SEND,
    REGISTRY_ACTION_PROPOSE,
    REGISTRY_ACTION_STALE_EPOCH,
    REGISTRY_ACTION_LOG
};

struct registry_action {
    enum registry_action_type type;
    union {
        struct {
            uint64_t peer;
            Gemel__Envelope *envelope; /* body and epoch; the shell fills in the rest */
        } send;
        Gemel__Op *propose; /* to the pair; nobody waits for an answer, it is repeated when it does not come true */
        uint64_t epoch_now; /* STALE_EPOCH: somebody has seen this epoch: to the pair */
        struct {
            int level; /* 0 info, 1 warning, 2 error */
            const char *sentence;
        } log;
    };
};

struct registry_actions {
    struct arena arena;
    struct registry_action *items;
    size_t count;
    size_t capacity;
};

void registry_actions_init(struct registry_actions *actions);
void registry_actions_reset(struct registry_actions *actions);
void registry_actions_fini(struct registry_actions *actions);

struct registry_core;

/* `state` is borrowed and must outlive the registry. Returns 0. */
int registry_create(struct registry_core **core, const struct registry_config *config, const struct state *state);
void registry_destroy(struct registry_core **core);

/* Returns 0; -EINVAL for an event that makes no sense; -EBADMSG for a message that nobody sends to a control. */
int registry_step(struct registry_core *core, const struct registry_event *event, struct registry_actions *actions);
int64_t registry_next_wakeup_ms(const struct registry_core *core);

/* ---- what the shell's tables and commands read */

/* Every observed process by name, in the arena. */
const Gemel__ProcessReport **registry_processes(const struct registry_core *core, struct arena *arena, size_t *count);
/* The newest report about a process (the highest writer token); NULL: nobody has reported it. */
const Gemel__ProcessReport *registry_find_process(const struct registry_core *core, const char *process);
/* Has the daemon of `host` sent a full report, and is it not silent? */
bool registry_host_is_fresh(const struct registry_core *core, const char *host);
/* The process manager of this host; 0: none is connected. */
uint64_t registry_procmgr(const struct registry_core *core);

/* What a failover of `pipeline` to `instance` asks for. `process` is TYPE.N or NULL for all of them. Returned in the
 * arena: one operation a route, also where it is published so already. Returns 0; -ENOENT when the pipeline has no
 * routable process there; -EAGAIN (refused by a rule, `force` overrides) when a target is not ready, hung or stale,
 * with the reason. */
int registry_plan_failover(const struct registry_core *core, const char *pipeline, const char *process,
                           uint32_t instance, bool force, const char *why, struct arena *arena,
                           Gemel__OpRoute ***routes, size_t *count, struct error *error);

#endif
