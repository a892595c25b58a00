/* The control pair: discovery, election, the replicated operation log, shrink and grow, rejoin. Pure.
 *
 * One event in, a list of actions out; the shell carries them out in order. Clock: now_ms, monotonic, from the events;
 * wall_ns (UTC) only to be put into operations. Sources: the rules of docs/control-pair.md;
 * replication is that of Raft's log (Ongaro, "In Search of an Understandable Consensus Algorithm", 5.3) for two
 * nodes, with an in-sync set instead of a majority (as Kafka's ISR).
 *
 * Rules of the store. STORE_* actions carry a sequence, rising by one; the shell does them in that order and answers
 * STORED when everything up to a sequence is fsynced. When one fails, nothing of it and none of those after it that
 * were already given is done; the shell answers STORE_FAILED once, with the sequence of the first, and then goes on
 * with what is given after that. What was not stored is then cut from memory, its proposals are refused, and a leader
 * steps down: it does not try to lead again before `lease`, so that a peer with a working disk can.
 *
 * The leader replicates only what is fsynced here, so that a refusal because of a full disk is final.
 *
 * The in-sync record. With an arbiter it is the arbiter's; the actions ARBITER_READ and ARBITER_APPEND and the events
 * with their results are its interface. Without one (PAIR_ARBITER_NONE) it is a part of this node's own meta row, and a
 * stored STORE_META is the won append. */
#ifndef GEMEL_CONTROL_CORE_PAIR_H
#define GEMEL_CONTROL_CORE_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/bounds.h"
#include "common/wire/gemel.pb-c.h"
#include "control/core/oplog.h"

enum {
    PAIR_CLUSTER_ID_BYTES = 40,
    PAIR_WHY_BYTES = 200,
    PAIR_PROPOSALS_MAX = 1000,           /* waiting for their acknowledgement; more are refused with -EAGAIN */
    PAIR_WRITES_MAX = 4096,              /* store actions under way; above it appends of the peer wait */
    PAIR_APPEND_ENTRIES_MAX = 256,       /* entries of one PairAppend */
    PAIR_APPEND_BYTES_MAX = 1024 * 1024, /* and their bytes, unless one alone is longer */
    PAIR_WINDOW_ENTRIES_MAX = 1024,      /* sent to the follower and not confirmed */
    PAIR_NOT_FOUND_EVERY_MS = 60 * 1000, /* between two warnings that the peer is not found */
    PAIR_NEAR_ENTRIES = 64,              /* a follower that lacks at most these is let in: solo acknowledgements stop */
    PAIR_RETIRED_MAX = 8 /* former incarnations of the peer that are remembered, to drop late messages */
};

/* name, operator's word */
#define PAIR_STATES(X)                                                                                                 \
    X(PAIR_IDLE, "starting")      /* before START */                                                                   \
    X(PAIR_FOLLOWING, "follower") /* of a leader, or of nobody */                                                      \
    X(PAIR_CLAIMING, "follower")  /* the record that makes it the leader is being written */                           \
    X(PAIR_LEADING, "leader")     /* its epoch is won; acts once its first entry is committed */

enum pair_state {
#define X(name, word) name,
    PAIR_STATES(X)
#undef X
};

enum pair_policy {
    PAIR_PROMOTE,
    PAIR_FREEZE
};

enum pair_arbiter {
    PAIR_ARBITER_NONE
};

/* Who has everything that was acknowledged. */
enum pair_members {
    PAIR_BOTH,
    PAIR_SELF_ALONE, /* this node may acknowledge alone while it leads */
    PAIR_PEER_ALONE  /* this node is behind its leader */
};

struct pair_record {
    uint64_t epoch; /* of the leader that wrote it, or was followed when it was written */
    enum pair_members members;
};

struct pair_config {
    char host[HOST_NAME_BYTES];
    char peer[ADDRESS_BYTES]; /* as configured, for people: bbb.host.com:2001 */
    char peer_host[HOST_NAME_BYTES];
    uint8_t node;   /* 1: the configured primary, 2: the secondary */
    bool clustered; /* false: alone by configuration, leads at once */
    enum pair_policy policy;
    enum pair_arbiter arbiter;
    uint32_t heartbeat_ms;
    uint32_t suspect_ms;
    uint32_t lease_ms;
    uint32_t margin_ms;
    uint32_t discovery_ms;
    uint64_t incarnation;                       /* random, once per start of the program; not 0 */
    char new_cluster_id[PAIR_CLUSTER_ID_BYTES]; /* random; taken by the configured primary's first leadership */
};

/* What must outlive the process besides the log. */
struct pair_meta {
    char cluster_id[PAIR_CLUSTER_ID_BYTES]; /* empty: none yet */
    uint64_t epoch_seen;                    /* highest that was won by anybody, as far as known here */
    struct pair_record record;              /* an empty store: {0, PAIR_BOTH} */
};

enum pair_event_type {
    PAIR_EVENT_START,
    PAIR_EVENT_TICK,
    PAIR_EVENT_PEER_MESSAGE,
    PAIR_EVENT_PEER_UP,
    PAIR_EVENT_PEER_DOWN,
    PAIR_EVENT_PROPOSE,
    PAIR_EVENT_STORED,
    PAIR_EVENT_STORE_FAILED,
    PAIR_EVENT_STALE_EPOCH,
    PAIR_EVENT_STOP, /* the program is about to end on purpose: a leader lets its peer lead at once */
    PAIR_EVENT_ARBITER_READ_DONE,
    PAIR_EVENT_ARBITER_APPENDED
};

struct pair_event {
    enum pair_event_type type;
    int64_t now_ms;
    int64_t wall_ns;
    union {
        /* START: what the store holds; the log is whole and checked by the shell; applied_index of the state tables. */
        struct {
            const struct pair_meta *meta;
            const Gemel__LogEntry *const *entries; /* from index 1 */
            size_t entry_count;
            uint64_t applied_index;
        } start;
        const Gemel__Envelope *message; /* PEER_MESSAGE, from the authenticated peer control; borrowed */
        const char *peer_error;         /* PEER_DOWN: of the link, for people; borrowed */
        struct {
            const uint8_t *op; /* a packed Op, copied */
            size_t op_bytes;
            uint64_t tag; /* comes back in REFUSED or ACKNOWLEDGED */
        } propose;
        uint64_t stored; /* STORED: everything up to this sequence is fsynced */
        struct {
            uint64_t sequence; /* of the first that failed */
            int code;          /* negative errno */
        } store_failed;
        uint64_t epoch_now; /* STALE_EPOCH: a daemon, gateway or process manager has seen this one */
        struct {
            int result; /* 0, -EAGAIN another version was there, other negative errno: not reached */
            uint64_t version;
            struct pair_record record;
        } arbiter;
    };
};

enum pair_action_type {
    PAIR_ACTION_SEND,
    PAIR_ACTION_STORE_APPEND,
    PAIR_ACTION_STORE_TRUNCATE,
    PAIR_ACTION_STORE_META,
    PAIR_ACTION_COMMITTED,
    PAIR_ACTION_LEADING,
    PAIR_ACTION_FOLLOWING,
    PAIR_ACTION_ACKNOWLEDGED,
    PAIR_ACTION_REFUSED,
    PAIR_ACTION_LOG,
    PAIR_ACTION_ARBITER_READ,
    PAIR_ACTION_ARBITER_APPEND
};

enum pair_level {
    PAIR_INFO,
    PAIR_WARN,
    PAIR_ERROR
};

struct pair_action {
    enum pair_action_type type;
    union {
        Gemel__Envelope *send; /* to the peer control; protocol, cluster id, sender, incarnation, epoch are filled in */
        struct {
            uint64_t sequence;
            Gemel__LogEntry **entries;
            size_t entry_count;
        } store_append;
        struct {
            uint64_t sequence;
            uint64_t keep;     /* delete every entry above this index */
            bool diverged;     /* copy them to the table `diverged` first */
            bool acknowledged; /* they may have been acknowledged here, alone */
            bool reset_state;  /* some were applied: empty the state tables; COMMITTED starts again at 1 */
        } store_truncate;
        struct {
            uint64_t sequence;
            struct pair_meta meta;
        } store_meta;
        /* COMMITTED: apply these, publish, answer; indexes rise without gaps. Entries live in the arena. */
        struct {
            Gemel__LogEntry **entries;
            size_t entry_count;
        } committed;
        /* LEADING: its first entry is committed, act from now on. FOLLOWING: stop acting at once. */
        struct {
            uint64_t epoch;
            const char *leader; /* host; empty: nobody */
            const char *why;
        } role;
        struct {
            uint64_t tag;
            uint64_t index;
            bool solo; /* one host only */
        } acknowledged;
        struct {
            uint64_t tag;
            /* -ENOTCONN: does not lead; -EAGAIN: too many; -ENOSPC, -EIO, ...: cannot be stored: in these cases it did
             * not and will not happen. -EINPROGRESS: leadership was lost meanwhile, it may still happen. */
            int code;
            const char *sentence;
        } refused;
        struct {
            enum pair_level level;
            const char *sentence;
        } log;
        struct {
            uint64_t version; /* ARBITER_APPEND: refused when another is there */
            struct pair_record record;
        } arbiter;
    };
};

struct pair_actions {
    struct arena arena;
    struct pair_action *items;
    size_t count;
    size_t capacity;
};

void pair_actions_init(struct pair_actions *actions);
void pair_actions_reset(struct pair_actions *actions);
void pair_actions_fini(struct pair_actions *actions);

struct pair_core;

/* Returns 0, or -EINVAL for a configuration that makes no sense (lease below suspect, node not 1 or 2). */
int pair_create(struct pair_core **core, const struct pair_config *config);
void pair_destroy(struct pair_core **core);

/* Adds what is to be done to `actions` (the caller resets it). Returns 0; -EINVAL for an event that makes no sense
 * (START twice, anything before START, STORED of what was never given); -EBADMSG for a message that cannot come from a
 * sane peer: it was dropped and nothing changed. */
int pair_step(struct pair_core *core, const struct pair_event *event, struct pair_actions *actions);

/* When a TICK is due; INT64_MAX: never. */
int64_t pair_next_wakeup_ms(const struct pair_core *core);

enum pair_peer_state {
    PAIR_PEER_UNSEEN,
    PAIR_PEER_CATCHING_UP,
    PAIR_PEER_IN_SYNC
};

struct pair_status {
    enum pair_state state;
    bool acting;                  /* leads, and its first entry is committed */
    bool solo;                    /* leads and acknowledges alone, though a peer is configured */
    uint64_t epoch;               /* highest seen; its counter is shown to people */
    char leader[HOST_NAME_BYTES]; /* empty: nobody known */
    enum pair_peer_state peer;
    uint64_t lag; /* entries that the follower (this one, or the peer) does not have yet */
    struct pair_record record;
    struct oplog_position last; /* in memory */
    uint64_t stored_index;      /* fsynced here */
    uint64_t commit_index;
    int64_t since_ms;         /* of the state */
    char why[PAIR_WHY_BYTES]; /* of the state */
    char cluster_id[PAIR_CLUSTER_ID_BYTES];
};

void pair_get_status(const struct pair_core *core, struct pair_status *status);
/* The log, borrowed, for checks. */
const struct oplog *pair_get_log(const struct pair_core *core);

/* "follower", "leader"; "unseen", "catching up", "in sync". */
const char *pair_state_word(enum pair_state state);
const char *pair_peer_state_word(enum pair_peer_state state);
/* The promise that this control runs under, in one sentence. */
const char *pair_promise(const struct pair_config *config);

#endif
