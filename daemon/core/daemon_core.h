/* What a daemon decides for the processes of its host. Pure: no clock, no file, no socket.
 *
 * The core owns a state machine a process (process_machine.h), the highest epoch seen, the numbers of writer tokens,
 * what is known of other hosts' endpoints. The shell turns facts into events, carries the actions out in order, and
 * gives their results back as events. It may do so after the whole list: a SPAWNED or SPAWN_FAILED follows its SPAWN,
 * in any order with other events.
 *
 * Two processes are the daemon's own and never reported: "control", watched once its link came, and "procmgr", wanted
 * by PROCMGR_START. All others are what Orders name, `Pipeline.instance.type.index`.
 *
 * Memory: what an event points to is borrowed for the step; what an action points to lives in the arena of the action
 * list. now_ms is monotonic, wall_ns a date in UTC. */
#ifndef GEMEL_DAEMON_CORE_DAEMON_CORE_H
#define GEMEL_DAEMON_CORE_DAEMON_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/token.h"
#include "common/wire/gemel.pb-c.h"

#define DAEMON_CONTROL "control"
#define DAEMON_PROCMGR "procmgr"

enum {
    DAEMON_STARTS_BLOCK = 1000, /* token numbers reserved by one durable write */
    DAEMON_WATCHES_MAX = 10000, /* look-ups that are answered again when something changes */
    DAEMON_PROBE_MS = 20        /* between two tries of a port that tells readiness */
};

struct daemon_core;

struct daemon_core_config {
    const char *host;                       /* this host's name in orders and reports */
    const char *boot_id;                    /* of this boot of the machine */
    const char *version;                    /* of this program */
    uint64_t seed;                          /* of the jitter */
    uint64_t epoch_seen;                    /* highest that was persisted; 0: none */
    uint64_t start_next;                    /* the first token number that is free */
    uint64_t start_end;                     /* the first one that is not reserved durably; below start_next: none is */
    uint32_t ping_interval_ms;              /* between pings of a linked process; 0: 100 */
    const Gemel__ProcessSpec *control_spec; /* how to start a control again; NULL: never. Copied */
    const Gemel__ProcessSpec *procmgr_spec; /* NULL: no process manager here. Copied */
};

enum daemon_event_type {
    DAEMON_EVENT_TICK,            /* daemon_core_next_wakeup_ms is due */
    DAEMON_EVENT_ADOPT,           /* at start, once a process, before anything else: what the store and /proc say */
    DAEMON_EVENT_ORDERS,          /* from an authenticated control */
    DAEMON_EVENT_EPOCH_STORED,    /* of STORE_EPOCH, durable now */
    DAEMON_EVENT_STARTS_RESERVED, /* of RESERVE_STARTS, durable now */
    DAEMON_EVENT_SPAWNED,         /* of SPAWN */
    DAEMON_EVENT_SPAWN_FAILED,    /* of SPAWN */
    DAEMON_EVENT_EXITED,          /* its main process is gone, and what was left of its group was killed */
    DAEMON_EVENT_LAST_WORDS,      /* what the run wrote at its end, some time after EXITED */
    DAEMON_EVENT_NOTIFY,          /* a datagram of the notify protocol, sender checked */
    DAEMON_EVENT_PORT_OPEN,       /* of PROBE_PORT; a closed port is no event */
    DAEMON_EVENT_LINKED,          /* it connected to run/daemon.sock; of "control": its pid comes with it */
    DAEMON_EVENT_UNLINKED,
    DAEMON_EVENT_PONG,             /* of PING */
    DAEMON_EVENT_CONTROL_STOPPING, /* the control said that it ends on purpose */
    DAEMON_EVENT_PEER_UP,          /* a control is reachable, or somebody subscribed: wants hello and full report */
    DAEMON_EVENT_REGISTRY,         /* from a control: where processes of other hosts are */
    DAEMON_EVENT_LOOKUP,           /* from a link of run/daemon.sock */
    DAEMON_EVENT_LOOKUP_CLOSED,    /* that link is gone: its watches go */
    DAEMON_EVENT_PROCMGR_START,
    DAEMON_EVENT_PROCMGR_STOP,
    DAEMON_EVENT_STOP_KEEP, /* end, leave the processes running */
    DAEMON_EVENT_STOP_ALL   /* stop every process, then end */
};

enum daemon_run {
    DAEMON_RUN_NONE,  /* nothing of it ran in this boot */
    DAEMON_RUN_ALIVE, /* the right start time, boot id and token */
    DAEMON_RUN_DEAD   /* it ran in this boot and ended while no daemon was there */
};

/* What is kept about a process across restarts of the daemon. Strings may be NULL for empty. */
struct daemon_adopt {
    const Gemel__ProcessSpec *spec; /* NULL: only a stop is known */
    uint64_t placement;
    uint64_t clear_failed;
    bool wanted;     /* what the orders said last */
    bool parked;     /* ended for good under its policy: waits for clear_failed */
    bool failed;     /* parked by a failure */
    const char *why; /* it is not wanted, or is parked */
    enum daemon_run run;
    struct token token; /* of the run */
    int32_t pid;        /* ALIVE */
    bool ready;         /* it had said so, or its port was open */
    bool stopping;      /* it had said STOPPING=1 */
    const char *endpoint;
    const char *status;
    const char *stale;
    uint32_t restarts;
};

/* What one datagram said; absent strings are NULL. */
struct daemon_notify {
    bool ready;
    bool stopping;
    bool watchdog;
    bool watchdog_trigger; /* WATCHDOG=trigger: treat me as hung */
    int64_t extend_us;     /* 0: absent */
    const char *status;
    const char *endpoint; /* X_GEMEL_ENDPOINT */
    const char *stale;    /* X_GEMEL_STALE; "": fit */
    bool has_lag;
    uint64_t lag_rows; /* X_GEMEL_LAG */
};

struct daemon_exit {
    int32_t pid;
    bool unknown; /* it was not a child of this daemon: no status */
    int32_t code;
    int32_t signal; /* 0: none */
};

struct daemon_event {
    enum daemon_event_type type;
    int64_t now_ms;
    uint64_t wall_ns;
    const char *process; /* of events about one process */
    union {
        struct daemon_adopt adopt;
        struct {
            uint64_t peer; /* to answer, a number of the shell's */
            uint64_t epoch;
            const Gemel__Orders *orders;
        } orders;
        uint64_t epoch;      /* EPOCH_STORED */
        uint64_t starts_end; /* STARTS_RESERVED */
        struct {
            struct token token; /* of the SPAWN */
            int32_t pid;
        } spawned;
        struct {
            struct token token;
            const char *sentence; /* "cannot execute /x/y: no such file or directory" */
        } spawn_failed;
        struct daemon_exit exited;
        struct {
            struct token token;
            const char *text; /* at most 64 KiB */
        } last_words;
        struct daemon_notify notify;
        struct {
            int32_t pid;        /* of the peer of the link */
            struct token token; /* that it named; zeroes: none */
        } linked;
        uint64_t peer; /* PEER_UP */
        const Gemel__Registry *registry;
        struct {
            uint64_t link; /* a number of the shell's */
            uint64_t request_id;
            const Gemel__Lookup *lookup;
        } lookup;
        uint64_t link; /* LOOKUP_CLOSED */
    };
};

enum daemon_action_type {
    DAEMON_ACTION_SPAWN,          /* record the intent (name, token), then start it */
    DAEMON_ACTION_KILL,           /* `signal` to the main process, or to all of its group and cgroup */
    DAEMON_ACTION_PROBE_PORT,     /* try to connect; PORT_OPEN when it worked */
    DAEMON_ACTION_PING,           /* on its link */
    DAEMON_ACTION_RECORD_RUN,     /* keep for adoption: ready, stopping, endpoint, status, stale, restarts */
    DAEMON_ACTION_STORE_ORDER,    /* keep what is wanted of a process */
    DAEMON_ACTION_STORE_EPOCH,    /* durably, then EPOCH_STORED */
    DAEMON_ACTION_RESERVE_STARTS, /* durably, then STARTS_RESERVED */
    DAEMON_ACTION_SEND_HELLO,     /* to one peer */
    DAEMON_ACTION_SEND_REPORTS,   /* to one peer, or (peer 0) to every one that is up */
    DAEMON_ACTION_SEND_STALE_EPOCH,
    DAEMON_ACTION_LOOKUP_REPLY,
    DAEMON_ACTION_LOG,
    DAEMON_ACTION_EXIT /* the program ends */
};

enum daemon_log_level {
    DAEMON_LOG_INFO,
    DAEMON_LOG_WARN,
    DAEMON_LOG_ERROR
};

struct daemon_action {
    enum daemon_action_type type;
    const char *process; /* of actions about one process */
    union {
        struct {
            struct token token;
            const Gemel__ProcessSpec *spec;
            struct token predecessor; /* of the run before, whose leftovers are killed first; zeroes: none */
        } spawn;
        struct {
            int32_t pid;
            int32_t signal;
            bool whole; /* group and cgroup */
        } kill;
        struct {
            uint32_t port;
        } probe;
        struct {
            struct token token;
            bool ready;
            bool stopping;
            const char *endpoint; /* never NULL */
            const char *status;
            const char *stale;
            uint32_t restarts;
        } record;
        struct {
            const Gemel__ProcessSpec *spec; /* NULL: only a stop is known */
            uint64_t placement;
            uint64_t clear_failed;
            bool wanted;
            bool parked;
            bool failed;
            const char *why; /* never NULL */
        } order;
        uint64_t epoch;      /* STORE_EPOCH */
        uint64_t starts_end; /* RESERVE_STARTS: keep that all numbers below it may be given out */
        struct {
            uint64_t peer;
            Gemel__DaemonHello *hello;
        } hello;
        struct {
            uint64_t peer; /* 0: all */
            Gemel__ProcessReports *reports;
        } reports;
        struct {
            uint64_t peer;
            uint64_t epoch_now;
        } stale;
        struct {
            uint64_t link;
            uint64_t request_id;
            Gemel__LookupReply *reply;
        } lookup;
        struct {
            enum daemon_log_level level;
            const char *sentence;
        } log;
        struct {
            int code;
        } exit;
    };
};

struct daemon_actions {
    struct arena arena;
    struct daemon_action *items;
    size_t count;
    size_t capacity;
};

void daemon_actions_init(struct daemon_actions *actions);
void daemon_actions_reset(struct daemon_actions *actions);
void daemon_actions_fini(struct daemon_actions *actions);

/* Makes a core with no process. Returned in *core (release with daemon_core_destroy). */
void daemon_core_create(struct daemon_core **core, const struct daemon_core_config *config);
void daemon_core_destroy(struct daemon_core **core);

/* Takes one event; appends to `actions`. Returns 0; -EINVAL for an event that makes no sense (wrong or unknown process,
 * an order without a spec, a pid of another run); -ESTALE for orders below the highest epoch (answered by an action);
 * -ENOSPC when a table is full. What it appended is to be carried out in any case. */
int daemon_core_step(struct daemon_core *core, const struct daemon_event *event, struct daemon_actions *actions);

/* When the next TICK is due; INT64_MAX: never. */
int64_t daemon_core_next_wakeup_ms(const struct daemon_core *core);

/* A full report, in the arena: what SEND_REPORTS to a new peer holds. `own` gives the daemon's own processes instead.
 */
Gemel__ProcessReports *daemon_core_reports(const struct daemon_core *core, struct arena *arena, int64_t now_ms,
                                           bool own);

/* The highest epoch that was seen and persisted. */
uint64_t daemon_core_epoch(const struct daemon_core *core);

#endif
