/* The state machine of one supervised process. Pure; owned by daemon_core.
 *
 *   stopped --> starting --> ready --> stopping --> stopped
 *                  |           |          |
 *                  +-----------+----------+--> back-off --> starting        failed: as stopped, until cleared
 *
 * Wanted (`process_want`) and run are apart: orders say what is wanted, level-triggered; facts move the state; the
 * machine starts or stops until both agree. A run is named by its writer token; facts about another run are refused. */
#ifndef GEMEL_DAEMON_CORE_PROCESS_MACHINE_H
#define GEMEL_DAEMON_CORE_PROCESS_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bounds.h"
#include "common/base/map.h"
#include "common/base/token.h"
#include "common/wire/gemel.pb-c.h"
#include "daemon/core/daemon_core.h"
#include "daemon/core/restart.h"

/* Name, operator's word, states that may follow. The order is that of ProcessState in gemel.proto. */
#define PROCESS_STATES(X)                                                                                              \
    X(STOPPED, "stopped", TO(STARTING) | TO(BACKOFF) | TO(FAILED))                                                     \
    X(STARTING, "starting", TO(READY) | TO(STOPPING) | TO(BACKOFF) | TO(STOPPED) | TO(FAILED))                         \
    X(READY, "ready", TO(STOPPING) | TO(BACKOFF) | TO(STOPPED) | TO(FAILED))                                           \
    X(STOPPING, "stopping", TO(STOPPED) | TO(BACKOFF) | TO(FAILED))                                                    \
    X(BACKOFF, "back-off", TO(STARTING) | TO(STOPPED))                                                                 \
    X(FAILED, "failed", TO(STARTING) | TO(STOPPED) | TO(BACKOFF))

enum process_state {
#define X(name, word, edges) PROCESS_STATE_##name,
    PROCESS_STATES(X)
#undef X
};

enum {
    PROCESS_STARTUP_TIMEOUT_MS = 60000, /* when the spec names none */
    PROCESS_STOP_TIMEOUT_MS = 10000,
    PROCESS_KILL_AGAIN_MS = 1000, /* a process that outlives SIGKILL (in the kernel) gets it again */
    PROCESS_TOKEN_WAIT_MS = 50,   /* until token numbers are reserved */
    PROCESS_PING_MS = 100,
    PROCESS_STATUS_BYTES = 512 /* of STATUS=, X_GEMEL_STALE= that is kept */
};

enum process_kind {
    PROCESS_KIND_PIPELINE, /* named by orders, reported */
    PROCESS_KIND_PROCMGR,
    PROCESS_KIND_CONTROL /* may run without having been started here */
};

/* Who ends a run that is STOPPING. */
enum process_ending {
    PROCESS_ENDING_NOT,
    PROCESS_ENDING_ORDER, /* it is not wanted, or wanted with another token: its exit is no failure */
    PROCESS_ENDING_FAULT, /* hung, or not ready in time: its exit is a failure, the state's why tells it */
    PROCESS_ENDING_SELF   /* it said STOPPING=1: its exit is judged by the policy */
};

/* What all machines of a core share; owned by the core. */
struct process_shared {
    const char *host;
    uint64_t start_next;  /* token number of the next start */
    uint64_t start_end;   /* not reserved from here on */
    uint64_t start_asked; /* the reservation that is on its way ends here */
    uint64_t random;      /* state of the jitter's generator */
    uint32_t ping_interval_ms;
    bool ending; /* the daemon stops every process: nothing starts */
};

struct process {
    char name[PROCESS_NAME_BYTES];
    enum process_kind kind;
    struct process_shared *shared; /* borrowed */

    /* what is wanted */
    bool wanted;
    bool parked; /* ended for good under its policy; starts again when cleared */
    uint64_t placement;
    uint64_t clear_failed;
    Gemel__ProcessSpec *spec; /* owned; NULL: only a stop is known */
    uint8_t *spec_bytes;      /* the same packed, to see a change; owned */
    size_t spec_size;
    char *order_why; /* owned, never NULL, as all strings below */

    /* state; only enter() writes it */
    enum process_state state;
    int64_t since_ms;
    uint64_t since_wall_ns;
    char *why;

    /* the run: valid from STARTING to the exit; token stays until the next one */
    struct token token;
    uint64_t revision;
    int32_t pid; /* 0: none, or its SPAWN is on its way */
    bool spawning;
    bool unattended; /* adopted */
    bool linked;
    bool was_ready;
    bool said_stopping;
    bool hung;
    enum process_ending ending;
    bool killed; /* SIGKILL went out */
    char *endpoint;
    char *status;
    char *stale;
    uint64_t lag_rows;
    int64_t started_ms;

    /* the last exit */
    bool exited;
    bool exit_unknown;
    int32_t exit_code;
    int32_t exit_signal;
    struct token exit_token;
    char *last_words; /* goes into one report, then "" */

    struct restart_history history;
    uint32_t restarts; /* since the last start by an order */

    /* deadlines, monotonic; INT64_MAX: none */
    int64_t deadline_ms; /* of the state: start-up, SIGKILL, back-off */
    int64_t forget_ms;   /* ready for long enough to forget failures */
    int64_t probe_ms;    /* next try of the port */
    int64_t ping_ms;     /* next ping */
    int64_t heard_ms;    /* last pong */
    int64_t watchdog_ms; /* WATCHDOG=1 is due */

    uint64_t sequence; /* of changes */
    bool changed;      /* a report is due */
    UT_hash_handle hh;
};

/* One step's surroundings. */
struct process_step {
    struct daemon_actions *actions;
    int64_t now_ms;
    uint64_t wall_ns;
};

/* Makes a stopped process that is not wanted. Release with process_destroy. */
struct process *process_create(const char *name, enum process_kind kind, struct process_shared *shared);
void process_destroy(struct process **process);

const char *process_state_name(enum process_state state);
/* Is there a run (or one on its way)? */
bool process_is_running(const struct process *process);

/* Replaces the spec (copied). Used at the next start. Returns whether it differs. */
bool process_set_spec(struct process *process, const Gemel__ProcessSpec *spec);

/* What the daemon's store and /proc say at its start. Without a spec (the order did not reach the disk) a living run is
 * kept, but not started again before an order tells how. */
void process_adopt(struct process *process, const struct daemon_adopt *adopt, const struct process_step *step);

/* What an order says. Strings and the spec are borrowed. */
struct process_order {
    bool run;
    uint64_t placement;             /* 0 for the daemon's own */
    uint64_t clear_failed;          /* higher than the known one: forget failures, start what is failed or parked */
    const Gemel__ProcessSpec *spec; /* NULL: keep the known one */
    const char *why;
};

/* Takes an order. A higher placement restarts a run with a lower one, because that is no writer any more.
 * Returns 0; -EINVAL when it shall run and has no spec. */
int process_want(struct process *process, const struct process_order *order, const struct process_step *step);

/* The daemon ends all: stop without touching what is wanted. */
void process_end(struct process *process, const struct process_step *step);

/* Facts. Each returns 0, or -EINVAL when it is about another run or makes no sense in this state. */
int process_spawned(struct process *process, struct token token, int32_t pid, const struct process_step *step);
int process_spawn_failed(struct process *process, struct token token, const char *sentence,
                         const struct process_step *step);
int process_exited(struct process *process, const struct daemon_exit *exit, const struct process_step *step);
int process_said_last_words(struct process *process, struct token token, const char *text);
int process_notified(struct process *process, const struct daemon_notify *notify, const struct process_step *step);
int process_port_opened(struct process *process, const struct process_step *step);
int process_linked(struct process *process, int32_t pid, struct token token, const struct process_step *step);
int process_unlinked(struct process *process);
int process_ponged(struct process *process, const struct process_step *step);
/* The control said that it ends on purpose. */
int process_announced_stop(struct process *process, const struct process_step *step);

/* Does what is due. */
void process_tick(struct process *process, const struct process_step *step);
/* When something is due next; INT64_MAX: never. */
int64_t process_next_ms(const struct process *process);
/* The daemon itself was late by `late_ms`: silence in that time proves nothing. */
void process_forgive(struct process *process, int64_t late_ms);

/* Fills a report in the arena. */
Gemel__ProcessReport *process_report(const struct process *process, struct arena *arena, int64_t now_ms);

#endif
