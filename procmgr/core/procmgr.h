/* The process manager's decisions: a plan from (layout, wanted, observed), and the operator's commands about pipelines.
 * Pure. It keeps no state but the last input, so that two of them given the same input say the same.
 *
 * Rules (cluster.md, the process manager): levels from depends-on and the built-in types, within an instance of a
 * pipeline and across hosts; a process is run only when what it depends on is ready; at most start_parallel of a host
 * start at the same time; stops go in reverse order. A process that runs is never held back by what it depends on.
 * What waits is named in the plan's sentences. */
#ifndef GEMEL_PROCMGR_CORE_PROCMGR_H
#define GEMEL_PROCMGR_CORE_PROCMGR_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/bounds.h"
#include "common/layout/model/layout.h"
#include "common/wire/gemel.pb-c.h"

struct procmgr_core;

struct procmgr_config {
    char host[HOST_NAME_BYTES]; /* this one */
    uint32_t start_parallel;    /* processes of one host that start at the same time; 0 means 8 */
    uint32_t hang_timeout_ms;   /* settings: of programs that answer the daemon's ping */
    uint32_t query_timeout_ms;  /* settings: of a query where the layout says nothing; 0: none */
    uint16_t gateway_port;      /* settings: of the first gateway of a host whose layout names none */
};

enum procmgr_event_type {
    PROCMGR_EVENT_INPUT,   /* replaces the one before */
    PROCMGR_EVENT_REQUEST, /* an operator's command */
    PROCMGR_EVENT_TICK     /* procmgr_next_wakeup_ms is reached */
};

struct procmgr_event {
    enum procmgr_event_type type;
    int64_t now_ms;
    union {
        struct {
            const Gemel__PlanInput *message; /* borrowed for the call */
            const struct layout
                *layout; /* of message->revision; borrowed until the next INPUT or the end; NULL: none */
        } input;
        struct {
            uint64_t id;
            const Gemel__AdminRequest *message; /* borrowed for the call */
        } request;
    };
};

enum procmgr_action_type {
    PROCMGR_ACTION_PLAN,   /* to the control */
    PROCMGR_ACTION_REPLY,  /* to the control, for request_id */
    PROCMGR_ACTION_STATUS, /* STATUS= of the notify protocol: "leading" or "standby" */
    PROCMGR_ACTION_LOG
};

enum procmgr_level {
    PROCMGR_LOG_INFO,
    PROCMGR_LOG_WARN,
    PROCMGR_LOG_ERROR
};

struct procmgr_action {
    enum procmgr_action_type type;
    union {
        Gemel__Plan *plan;
        struct {
            uint64_t id;
            Gemel__AdminReply *message;
        } reply;
        const char *status;
        struct {
            enum procmgr_level level;
            const char *sentence;
        } log;
    };
};

/* What a step wants done, in order. Owned by the caller; its messages live in the arena until the reset, and borrow
 * from the last input and its layout: they are carried out before the next event. */
struct procmgr_actions {
    struct arena arena;
    size_t count;
    size_t capacity;
    struct procmgr_action *items;
};

void procmgr_actions_init(struct procmgr_actions *actions);
void procmgr_actions_reset(struct procmgr_actions *actions);
void procmgr_actions_fini(struct procmgr_actions *actions);

/* Makes one (release with procmgr_destroy); it is a standby until an input says otherwise. */
void procmgr_create(struct procmgr_core **core, const struct procmgr_config *config);
void procmgr_destroy(struct procmgr_core **core);

/* Takes one event and appends what follows to `actions`. Returns 0, or -EINVAL for an event without its message. */
int procmgr_step(struct procmgr_core *core, const struct procmgr_event *event, struct procmgr_actions *actions);

/* When the next TICK is due; INT64_MAX: never. */
int64_t procmgr_next_wakeup_ms(const struct procmgr_core *core);

#endif
