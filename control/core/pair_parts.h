/* The inside of the pair, shared by its parts and by nobody else. Pure.
 *
 *   pair.c         events in, time, status
 *   pair_store.c   what was given to the store and what it answered
 *   pair_meet.c    hellos: who the peer is, and who leads when nobody does
 *   pair_lead.c    claim, propose, replicate, commit, shrink, grow
 *   pair_follow.c  appends and heartbeats of the leader, divergence
 *
 * `actions` is borrowed for one step. Points in time are on the clock of the events. */
#ifndef GEMEL_CONTROL_CORE_PAIR_PARTS_H
#define GEMEL_CONTROL_CORE_PAIR_PARTS_H

#include "control/core/pair.h"

enum pair_write_kind {
    PAIR_WRITE_APPEND,
    PAIR_WRITE_TRUNCATE,
    PAIR_WRITE_FACT,  /* meta: something learned */
    PAIR_WRITE_CLAIM, /* meta: the record that makes this node the leader */
    PAIR_WRITE_SHRINK,
    PAIR_WRITE_GROW
};

/* A store action under way. */
struct pair_write {
    uint64_t sequence;
    enum pair_write_kind kind;
    uint64_t last_index;                      /* append: fsynced up to here when done; truncate: what is kept */
    bool diverged, acknowledged, reset_state; /* truncate */
};

struct pair_proposal {
    uint64_t tag;
    uint64_t index;
};

/* A former incarnation of the peer: what it says is late, unless it answers a hello that was sent after it was retired.
 */
struct pair_retired {
    uint64_t incarnation;
    uint64_t hello_sequence;
};

struct pair_peer {
    uint64_t incarnation; /* 0: never met */
    struct pair_retired retired[PAIR_RETIRED_MAX];
    size_t retired_next;
    int64_t heard_ms;        /* INT64_MIN: never */
    uint64_t hello_sequence; /* of its newest hello */
    bool answered;           /* this incarnation has answered a hello of ours */
    bool leads;              /* by its newest hello */
    bool has_leader;         /* by its newest hello, it follows somebody */
    int64_t unfit_until_ms;  /* it said that it cannot write its store: believed for a lease */
    bool yields;
    struct oplog_position last; /* fsynced there, by its newest hello */
    bool announce_due;          /* "Peer control found" is to be said once it is known who leads */
    int64_t met_ms;
    char error[PAIR_WHY_BYTES]; /* of the link */
};

enum pair_growth {
    PAIR_GROW_NONE,
    PAIR_GROW_WAITING, /* no solo acknowledgements any more; the follower's last entries are on their way */
    PAIR_GROW_WRITING
};

struct pair_core {
    struct pair_config config;
    enum pair_state state;
    int64_t since_ms;
    char why[PAIR_WHY_BYTES];
    struct oplog *log;
    struct pair_meta meta;
    uint64_t stored_index; /* fsynced here */
    uint64_t commit_index;
    uint64_t applied_index; /* given out by COMMITTED */

    /* of this step */
    int64_t now_ms;
    int64_t wall_ns;
    struct pair_actions *actions;

    /* time */
    int64_t wakeup_ms;        /* when this core wanted to be woken, to notice that it was asleep */
    int64_t lead_alone_at_ms; /* under promote: a follower that hears no leader until then claims */
    int64_t hello_at_ms;
    int64_t heartbeat_at_ms;
    int64_t warn_at_ms;

    /* store */
    uint64_t sequence; /* of the newest store action */
    struct pair_write *writes;
    size_t write_count;
    size_t write_capacity;
    struct pair_write owed; /* a truncation that failed; last_index UINT64_MAX: none */
    bool meta_dirty;        /* a fact could not be written */
    bool store_failing;
    int64_t unfit_until_ms; /* INT64_MIN: fit */

    struct pair_peer peer;
    uint64_t hello_sequence;
    bool yields;

    /* claiming, leading */
    struct pair_record claim;
    char claim_why[PAIR_WHY_BYTES];
    uint64_t lead_index; /* its first entry */
    bool acting;
    bool record_writing; /* shrink or grow under way */
    enum pair_growth growth;
    struct pair_proposal *proposals;
    size_t proposal_count;
    uint64_t heartbeat_sequence;
    uint64_t match_index;  /* fsynced by the follower, in this epoch */
    uint64_t next_index;   /* to be sent */
    bool probing;          /* where the logs agree is not known: one append at a time */
    int64_t sent_ms;       /* of the newest append */
    int64_t progress_ms;   /* of the newest confirmation, or when there began to be something to confirm */
    uint64_t insist_index; /* cut the peer's tail after this common point; UINT64_MAX: none */

    /* following */
    bool following;          /* the peer leads in meta.epoch_seen */
    uint64_t verified_index; /* up to here the log is the leader's */
    uint64_t leader_commit;
    uint64_t leader_last;
    uint64_t heartbeat_seen; /* sequence of the leader's newest one */
    bool in_sync;            /* the leader says so */
    bool reply_due;
};

/* ---- pair.c */
struct pair_action *pair_act(struct pair_core *core, enum pair_action_type type);
void pair_say(struct pair_core *core, enum pair_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The only writer of the state. */
void pair_enter(struct pair_core *core, enum pair_state state, const char *why);
/* Tells the shell that this control follows `leader` (empty: nobody), because of the state's why. */
void pair_tell_following(struct pair_core *core, const char *leader);
/* A message to the peer with everything but its body. */
Gemel__Envelope *pair_compose(struct pair_core *core, Gemel__Envelope__BodyCase body, uint64_t epoch);
bool pair_is_silent(const struct pair_core *core, int64_t for_ms);
bool pair_is_unfit(const struct pair_core *core);
bool pair_peer_is_unfit(const struct pair_core *core);
bool pair_follower_is_in_sync(const struct pair_core *core);
/* By policy and record: what is fsynced here may have been acknowledged without the peer. */
bool pair_may_act_alone(const struct pair_core *core);

/* ---- pair_store.c */
void pair_store_append(struct pair_core *core, uint64_t first, uint64_t last);
/* Cuts the log above `keep`, in memory at once. */
void pair_store_truncate(struct pair_core *core, uint64_t keep, bool diverged, bool acknowledged);
void pair_store_meta(struct pair_core *core, enum pair_write_kind kind, const struct pair_meta *meta);
/* Writes what is known in memory. */
void pair_store_fact(struct pair_core *core);
/* Is everything that was learned fsynced? Only then may it be answered for. */
bool pair_store_facts_are_stored(const struct pair_core *core);
int pair_store_on_stored(struct pair_core *core, uint64_t sequence);
int pair_store_on_failed(struct pair_core *core, uint64_t sequence, int code);

/* ---- pair_meet.c */
/* `answered` is the hello that this one replies to; NULL: none. */
void pair_meet_send_hello(struct pair_core *core, const Gemel__Envelope *answered);
int pair_meet_on_hello(struct pair_core *core, const Gemel__Envelope *envelope);
/* Is this message from the incarnation of the peer that is known to live? */
bool pair_meet_is_current(struct pair_core *core, const Gemel__Envelope *envelope);
/* Somebody has seen `epoch`: a leader below it steps down. */
/* An empty store takes its peer's cluster; one that has an id keeps it. */
void pair_meet_adopt_cluster(struct pair_core *core, const char *cluster_id);
void pair_meet_learn_epoch(struct pair_core *core, uint64_t epoch);
/* Says who was found, once that is known. */
void pair_meet_announce(struct pair_core *core);
void pair_meet_warn(struct pair_core *core);

/* ---- pair_lead.c */
void pair_lead_claim(struct pair_core *core, const char *why);
void pair_lead_on_claimed(struct pair_core *core);
void pair_lead_on_record(struct pair_core *core, enum pair_members members);
void pair_lead_step_down(struct pair_core *core, const char *why);
/* Steps down and does not try again for a lease, so that the peer leads. */
void pair_lead_let_go(struct pair_core *core);
/* Refuses the proposals above `index`. */
void pair_lead_refuse_above(struct pair_core *core, uint64_t index, int code, const char *sentence);
int pair_lead_on_propose(struct pair_core *core, const uint8_t *op, size_t op_bytes, uint64_t tag);
int pair_lead_on_reply(struct pair_core *core, const Gemel__PairAppendReply *reply);
/* The follower stands at `position`, and nothing is known to be on its way to it. */
void pair_lead_on_position(struct pair_core *core, struct oplog_position position, bool restarted);
void pair_lead_heartbeat(struct pair_core *core);
/* Sends, grows, shrinks, commits, acknowledges: whatever the last event made possible. */
void pair_lead_advance(struct pair_core *core);

/* ---- pair_follow.c */
/* A message of a leader in `epoch`: follow it, or tell it that its epoch is over. Is it to be taken further? */
bool pair_follow_accepts(struct pair_core *core, uint64_t epoch);
void pair_follow_lose(struct pair_core *core, const char *why);
int pair_follow_on_append(struct pair_core *core, const Gemel__Envelope *envelope);
int pair_follow_on_heartbeat(struct pair_core *core, const Gemel__Envelope *envelope);
void pair_follow_advance(struct pair_core *core);
/* Gives out what is committed and not applied yet. */
void pair_commit(struct pair_core *core, uint64_t index);

#endif
