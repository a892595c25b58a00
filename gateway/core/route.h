/* Which instance is primary for a route: the rules, apart from what is done about them. Pure.
 *
 * A route is (pipeline, type, index); its candidates are the processes of that name, one an instance. The rules
 * (design: cluster, the gateway): at first instance 0, or the published one, is waited for; then the primary stays
 * until it is left for a reason; never back by itself; among several the least lag, then the lowest instance; the last
 * one is never thrown out for mere lag. Times are monotonic milliseconds. */
#ifndef GEMEL_GATEWAY_CORE_ROUTE_H
#define GEMEL_GATEWAY_CORE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bounds.h"
#include "common/base/map.h"
#include "common/base/process_id.h"
#include "common/base/token.h"
#include "common/wire/gemel.pb-c.h"
#include "gateway/core/health.h"
#include "gateway/core/request.h"

#define ROUTE_NONE UINT32_MAX

enum {
    ROUTE_NAME_BYTES = PROCESS_NAME_BYTES,
    ROUTE_WHY_BYTES = 256 /* reasons for people; longer ones are cut */
};

/* name, operator's word */
#define CANDIDATE_LINKS(X)                                                                                             \
    X(CANDIDATE_LINK_NONE, "not connected") /* -> dialing */                                                           \
    X(CANDIDATE_LINK_DIALING, "connecting") /* -> live, none */                                                        \
    X(CANDIDATE_LINK_LIVE, "connected")     /* -> none */

#define CANDIDATE_LINK_NAME(name, word) name,
enum candidate_link {
    CANDIDATE_LINKS(CANDIDATE_LINK_NAME)
};
#undef CANDIDATE_LINK_NAME

/* A process as the gateway sees it: what its daemon reports, and the link. */
struct candidate {
    uint32_t number; /* position in the core's table */
    char name[PROCESS_NAME_BYTES];
    struct process_id id; /* zeroes for a forwarder's upstream but for the instance */
    uint32_t route;       /* ROUTE_NONE: not routable */

    /* as reported */
    bool known;    /* in the last full report of its host */
    uint32_t host; /* position of the daemon that reports it */
    struct token token;
    Gemel__ProcessState state;
    char endpoint[ADDRESS_BYTES]; /* empty: none */
    bool routable;                /* and exposed to gateways */
    bool hung_reported;           /* by its daemon */
    char stale[ROUTE_WHY_BYTES];  /* empty: fit */
    char why[ROUTE_WHY_BYTES];    /* of the state */
    uint64_t lag_rows;

    /* the link */
    enum candidate_link link_state; /* written by the core's enter_link() alone */
    uint32_t link;                  /* number of the dial that is in use */
    struct token link_token;        /* of the peer's HELLO; zeroes: it gave none */
    bool blocks_while_busy;
    int64_t link_at_ms;    /* when link_state was entered */
    int64_t dial_at_ms;    /* NONE: the next try */
    int64_t dial_delay_ms; /* back-off */
    struct health health;
    char left_why[ROUTE_WHY_BYTES]; /* why the last link ended; empty: it never did */
    bool left_by_silence;           /* hung or its host silent: fit again when a link opens */
    struct request_list running;    /* queries sent to it */
    bool touched;                   /* on the core's list of what this event changed */
    UT_hash_handle hh;              /* in the core's map by name */
};

/* A ready process whose link is live and belongs to the run that was reported. */
bool candidate_is_registered(const struct candidate *candidate);

enum candidate_obstacle {
    CANDIDATE_FIT,
    CANDIDATE_GONE,   /* no link, or not ready */
    CANDIDATE_SILENT, /* hung, or its host is silent */
    CANDIDATE_STALE   /* says so itself */
};

/* What keeps it from being a primary, with words in `why` ("hung 1000 ms", "stale: tp down"). With `forced` staleness
 * does not count. */
enum candidate_obstacle candidate_obstacle(const struct candidate *candidate, bool forced, char why[ROUTE_WHY_BYTES]);

/* Is it said to be down, so that nobody need wait for it? */
bool candidate_is_down(const struct candidate *candidate);

/* name, operator's word */
#define ROUTE_STATES(X)                                                                                                \
    X(ROUTE_WAITING, "waiting") /* for the preferred instance -> served */                                             \
    X(ROUTE_SERVED, "served")   /* has a primary -> served (moved), vacant, waiting (operator) */                      \
    X(ROUTE_VACANT, "vacant")   /* nobody qualifies -> served, waiting (operator, all stopped) */

#define ROUTE_STATE_NAME(name, word) name,
enum route_state {
    ROUTE_STATES(ROUTE_STATE_NAME)
};
#undef ROUTE_STATE_NAME

struct route {
    uint32_t number;
    char name[ROUTE_NAME_BYTES]; /* Pipeline.type.index: the target of a query */
    char pipeline[PIPELINE_NAME_BYTES];
    char type[TYPE_NAME_BYTES];
    uint32_t index;
    struct candidate *candidates[INSTANCES_MAX]; /* borrowed; NULL: no such instance */
    uint32_t candidate_end;                      /* instances below this may be there */
    struct request_list waiting;                 /* queries without a primary */

    enum route_state state; /* written by route_enter alone */
    int64_t state_at_ms;
    uint32_t primary;          /* instance; ROUTE_NONE unless served */
    uint32_t last_primary;     /* ROUTE_NONE: never had one */
    uint32_t preferred;        /* waiting: for whom */
    int64_t wait_since_ms;     /* waiting: since another one would do; INT64_MAX: nobody is there yet */
    bool forced;               /* the primary was chosen by force: its staleness does not count */
    bool confirmed;            /* the cause of the last move was confirmed by a daemon, a process or the operator */
    bool loss_open;            /* the old primary was lost, and nobody has confirmed it */
    struct token left_token;   /* of the last primary when it was left */
    bool report_due;           /* to the controls, at the end of this step */
    char why[ROUTE_WHY_BYTES]; /* of the last move or of the vacancy */

    bool published; /* the leader said which instance is primary */
    uint32_t published_instance;
    bool published_forced; /* its staleness does not count */
    uint64_t published_version;
    uint64_t published_epoch;
    int64_t published_until_ms; /* not taken yet: tried until then */
    uint64_t taken_version;     /* highest published version that was taken or declined */
    uint64_t taken_epoch;
    UT_hash_handle hh; /* in the core's map by name */
};

enum route_verdict {
    ROUTE_KEEP,
    ROUTE_MOVE,  /* to decision.instance; also from waiting or vacant */
    ROUTE_LEAVE, /* the primary goes and nobody qualifies */
    ROUTE_AWAIT  /* vacant, and all was stopped by order: wait for decision.instance as at first */
};

struct route_decision {
    enum route_verdict verdict;
    uint32_t instance;
    enum candidate_obstacle obstacle; /* of the old primary; FIT: it is left for another reason, or there was none */
    bool forced;                      /* what was published by force */
    char why[ROUTE_WHY_BYTES];
};

struct route_rules {
    int64_t startup_timeout_ms; /* the preferred instance is waited for so long */
    int64_t unknown_timeout_ms; /* and so long when no daemon speaks of it */
    uint64_t max_lag_rows;      /* 0: no bound */
};

/* Starts a route as waiting for instance 0. */
void route_init(struct route *route, const char *pipeline, const char *type, uint32_t index, int64_t now_ms);

/* What shall become of the primary now. Changes nothing but the waiting time of a waiting route. */
void route_decide(struct route *route, const struct route_rules *rules, int64_t now_ms,
                  struct route_decision *decision);

/* Enters a state; `primary` only with ROUTE_SERVED. */
void route_enter(struct route *route, enum route_state state, uint32_t primary, int64_t now_ms);

/* Takes note of a published route; `forced`: by the operator, its staleness does not count. Returns true when it is
 * news. */
bool route_publish(struct route *route, uint32_t instance, bool forced, uint64_t version, uint64_t epoch,
                   int64_t until_ms);

/* The published primary has not been taken or declined yet. */
bool route_is_publication_pending(const struct route *route, int64_t now_ms);

/* The primary differs from what was published (from instance 0 when nothing was). */
bool route_is_local(const struct route *route);

/* The best of those without obstacle, but `except`: fresh before lagging, then least lag, then lowest instance.
 * ROUTE_NONE: nobody. */
uint32_t route_best(const struct route *route, const struct route_rules *rules, uint32_t except);

/* When route_decide must be asked again without an event; INT64_MAX: never. */
int64_t route_wakeup_ms(const struct route *route, const struct route_rules *rules);

const char *route_state_name(enum route_state state);

#endif
