/* The inside of the registry, shared by its parts and by nobody else. Pure.
 *
 *   registry_core.c     events in, peers and their liveness
 *   registry_observe.c  what daemons report
 *   registry_order.c    what follows from it: plan inputs, placements, orders, endpoints, routes */
#ifndef GEMEL_CONTROL_CORE_REGISTRY_PARTS_H
#define GEMEL_CONTROL_CORE_REGISTRY_PARTS_H

#include "common/base/map.h"
#include "control/core/registry.h"

enum registry_kind {
    REGISTRY_KIND_UNKNOWN,
    REGISTRY_KIND_DAEMON,
    REGISTRY_KIND_PROCMGR,
    REGISTRY_KIND_GATEWAY
};

struct registry_peer {
    uint64_t id;
    enum registry_kind kind;
    char name[PROCESS_NAME_BYTES + HOST_NAME_BYTES]; /* its sender, for people */
    char host[HOST_NAME_BYTES];                      /* of a daemon or process manager */
    int64_t heard_ms;
    int64_t ping_at_ms;
    bool silent;
    /* daemon */
    bool reported; /* a full report has come over this connection */
    bool orders_due;
    int64_t orders_sent_ms;
    uint64_t entries_sent; /* registry entries up to this version; 0: none yet */
    /* process manager */
    uint64_t revision_known; /* its files were sent, or it said so */
    /* gateway */
    bool routes_due;
    UT_hash_handle hh;
};

struct observed {
    char process[PROCESS_NAME_BYTES];
    Gemel__ProcessReport *report; /* owned */
    uint64_t daemon_incarnation;
    uint64_t entry_version; /* of what other hosts hear about it */
    UT_hash_handle hh;
};

/* An operation that was proposed and has not come true yet. */
struct proposed {
    char key[STATE_KEY_BYTES + HOST_NAME_BYTES];
    int64_t again_at_ms;
    UT_hash_handle hh;
};

struct registry_core {
    struct registry_config config;
    const struct state *state; /* borrowed */
    struct registry_peer *peers;
    struct observed *observed;
    struct proposed *proposed;
    uint64_t entry_version;

    bool leading;
    uint64_t epoch;
    int64_t leading_since_ms;

    uint64_t input_sequence;
    uint64_t input_sequence_leading; /* plans of inputs from here on may be acted upon */
    bool input_due;
    int64_t input_sent_ms;
    Gemel__Plan *plan;         /* owned; NULL: none in this leadership */
    bool place_due;            /* the plan or the placements have changed */
    int64_t place_again_at_ms; /* placements that were proposed and did not come true; INT64_MAX: none */
    uint64_t routes_version;

    /* of this step */
    int64_t now_ms;
    int64_t wall_ns;
    struct registry_actions *actions;
};

/* ---- registry_core.c */
struct registry_action *registry_act(struct registry_core *core, enum registry_action_type type);
void registry_say(struct registry_core *core, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));
Gemel__Envelope *registry_compose(struct registry_core *core, const struct registry_peer *peer,
                                  Gemel__Envelope__BodyCase body);
/* Proposes `op` unless the same was proposed just now; `key` names what it is about. */
void registry_propose(struct registry_core *core, const char *key, Gemel__Op *op);
Gemel__Op *registry_compose_op(struct registry_core *core, Gemel__Op__BodyCase body);
struct registry_peer *registry_find_daemon(const struct registry_core *core, const char *host);

/* ---- registry_observe.c */
int registry_observe_reports(struct registry_core *core, struct registry_peer *peer, uint64_t incarnation,
                             const Gemel__ProcessReports *reports);
struct observed *registry_observe_find(const struct registry_core *core, const char *process);
void registry_observe_clear(struct registry_core *core);

/* ---- registry_order.c */
void registry_order_take_plan(struct registry_core *core, const Gemel__Plan *plan);
void registry_order_forget_plan(struct registry_core *core);
void registry_order_take_route_report(struct registry_core *core, const Gemel__RouteReport *report);
/* Sends whatever has become due. */
void registry_order_advance(struct registry_core *core);
/* When something will be due without a further event; INT64_MAX: never. */
int64_t registry_order_wakeup_ms(const struct registry_core *core);

#endif
