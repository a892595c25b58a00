/* The inside of the control's shell, shared by its parts and by nobody else.
 *
 *   control.c           life, time, the pair's and the registry's actions
 *   control_router.c    who may send what, and where messages go
 *   control_requests.c  commands that wait for somebody: a leader, a process manager, the log
 *   control_admin.c     the commands, by verb
 *   control_config.c    configuration revisions */
#ifndef GEMEL_CONTROL_CONTROL_PARTS_H
#define GEMEL_CONTROL_CONTROL_PARTS_H

#include "common/layout/model/settings.h"
#include "common/log/log.h"
#include "common/net/keys.h"
#include "common/net/plane.h"
#include "control/admin_reply.h"
#include "control/control.h"
#include "control/control_peers.h"
#include "control/control_store.h"
#include "control/core/pair.h"
#include "control/core/registry.h"
#include "control/core/state.h"
#include "control/daemon_watch.h"

enum {
    CONTROL_REQUESTS_MAX = 1000,    /* commands that wait; more are refused */
    CONTROL_REQUEST_MS = 30 * 1000, /* a command without any answer ends after this; each part of one starts it anew */
    CONTROL_HELD_MAX = 100,         /* of these, held until somebody can take them: a few impatient operators */
    CONTROL_HELD_EVERY_MS = 100,    /* held ones are tried again, also when nothing is known to have changed */
    CONTROL_HELD_PROCMGR_MS = 2000, /* a process manager that was just started says hello within this */
    CONTROL_HELD_LEADER_MS = 1000,  /* beyond lease and margin, within which a follower takes over */
    CONTROL_HELD_TOTAL_MS = 8000,   /* for all reasons together: below what askers wait for an answer, 10 s */
    CONTROL_PROPOSALS_QUEUE_MAX = 20000 /* proposals of the registry within one turn: one a process, twice */
};

/* Something for the pair that came up while it, or the registry, was being carried out. */
struct deferred {
    struct deferred *next;
    uint8_t *op; /* NULL: a stale epoch */
    size_t op_bytes;
    uint64_t tag;
    uint64_t epoch_now;
};

/* What a command is held for. */
enum awaited {
    AWAITED_NONE,
    AWAITED_LEADER,
    AWAITED_PROCMGR
};

/* Who asked a command, and how long it has been waiting. */
struct asker {
    struct plane_peer peer;
    uint64_t request_id;
    bool passed_on; /* by the peer control: it is not passed back */
    int64_t asked_ms;
    enum awaited awaited;
    int64_t awaited_since_ms;
};

struct request;

struct control {
    struct program *program; /* borrowed */
    struct settings settings;
    char address[ADDRESS_BYTES];
    struct keys *keys;
    struct plane *plane;
    struct router *router;
    struct dealer *dealer; /* to the peer control; NULL: there is none */
    struct control_peers *peers;
    struct daemon_watch *watch;
    struct control_store *store;
    struct pair_config pair_config;
    struct pair_core *pair;
    struct state *state;
    struct state_changes changes;
    struct registry_core *registry;
    struct request *requests;
    size_t request_count;
    uint64_t last_request;
    size_t held_count;     /* of the requests */
    int64_t held_again_ms; /* when held ones are tried again */
    uv_timer_t timer;
    bool timer_is_open;
    struct deferred *deferred_first;
    struct deferred **deferred_last;
    size_t deferred_count;
    unsigned depth; /* of handlers under way: what is deferred runs when the outermost ends */
    bool leading;
    char leader[HOST_NAME_BYTES]; /* empty: nobody */
    int64_t started_wall_ns;
};

/* ---- control.c */
/* Every handler of a fact runs between these two. */
void control_enter(struct control *control);
void control_leave(struct control *control);
void control_step_pair(struct control *control, struct pair_event *event);
void control_step_registry(struct control *control, struct registry_event *event);
/* Proposes an operation (borrowed) when this turn ends; `tag` is a request's number, 0: nobody waits. */
void control_propose(struct control *control, const Gemel__Op *op, uint64_t tag);
void control_peer_gone(struct control *control, uint64_t peer);

/* ---- control_router.c */
void control_on_router_message(void *owner, const struct plane_peer *from, const Gemel__Envelope *message);
extern const struct dealer_handlers control_dealer_handlers;

/* ---- control_requests.c */
void control_reply(struct control *control, const struct asker *asker, Gemel__AdminReply *reply);
/* Keeps a command (copied) until somebody can take it: it goes through control_admin_run again when the role, the
 * leader or the process manager changes. It is answered when that does not come in time. */
void control_request_hold(struct control *control, const struct asker *asker, const Gemel__AdminRequest *request,
                          enum awaited awaited);
/* Passes a command on to the leader, or to the process manager of this host, or holds it until these are reached. One
 * that was passed on and lost is handed to the next one that comes; at the leader only when it is `repeatable`. What
 * the process manager decides is: it says what is wanted, and nothing of a lost answer was logged. */
void control_request_forward(struct control *control, const struct asker *asker, const Gemel__AdminRequest *request,
                             bool repeatable);
void control_request_to_procmgr(struct control *control, const struct asker *asker, const Gemel__AdminRequest *request);
/* Proposes `count` operations and answers with `reply` (copied) when all are acknowledged; `revision` adds the number
 * of the newest revision to the sentence. */
void control_request_log(struct control *control, const struct asker *asker, const Gemel__Op *const *ops, size_t count,
                         const Gemel__AdminReply *reply, bool revision);
void control_request_on_acknowledged(struct control *control, uint64_t tag, bool solo);
void control_request_on_refused(struct control *control, uint64_t tag, int code, const char *sentence);
void control_request_on_reply(struct control *control, uint64_t request_id, const Gemel__AdminReply *reply);
/* Takes back what waits at the process manager, or at the leader, when these are not what they were. */
void control_request_role_changed(struct control *control);
void control_request_leader_up(struct control *control);
void control_request_leader_lost(struct control *control);
void control_request_procmgr_came(struct control *control);
void control_request_peer_gone(struct control *control, uint64_t peer);
void control_request_tick(struct control *control, int64_t now_ms);
int64_t control_request_next_ms(const struct control *control);
void control_request_clear(struct control *control);

/* ---- control_admin.c */
void control_admin_request(struct control *control, const struct plane_peer *from, const Gemel__Envelope *envelope);
/* Carries out a command that was checked: here, or where it belongs. */
void control_admin_run(struct control *control, const struct asker *asker, const Gemel__AdminRequest *request);

/* ---- control_config.c */
void control_config_apply(struct control *control, const struct asker *asker, const Gemel__AdminRequest *request);
void control_config_rollback(struct control *control, const struct asker *asker, const Gemel__AdminRequest *request);
Gemel__AdminReply *control_config_show(struct control *control, const Gemel__AdminRequest *request,
                                       struct arena *arena);
Gemel__AdminReply *control_config_history(struct control *control, struct arena *arena);
/* The first leader takes the layouts of its home as revision 1, when they load without mistakes. */
void control_config_first(struct control *control);

#endif
