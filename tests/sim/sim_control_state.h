/* The inside of a simulated control, shared by its parts. Pure.
 *
 *   sim_control.c   the cores, the store, connections
 *   sim_command.c   operators' commands */
#ifndef GEMEL_TESTS_SIM_SIM_CONTROL_STATE_H
#define GEMEL_TESTS_SIM_SIM_CONTROL_STATE_H

#include "control/core/pair.h"
#include "control/core/registry.h"
#include "control/core/state.h"
#include "tests/sim/cluster.h"
#include "tests/sim/local_link.h"
#include "tests/sim/sim_peers.h"

enum {
    WORK_MAX = 256,
    WAITS_MAX = 256
};

/* A step of one core can ask for a step of the other; what is asked for waits here until the step is carried out. */
enum work_kind {
    WORK_ROLE,
    WORK_STATE_CHANGED,
    WORK_PROPOSE,
    WORK_STALE,
    WORK_GONE
};

struct work {
    enum work_kind kind;
    bool leading;
    uint64_t number; /* epoch, tag, peer */
    uint8_t *op;     /* PROPOSE; owned */
    size_t op_bytes;
};

/* An operator's command under way. */
struct wait {
    uint64_t tag; /* 0: free */
    struct address origin;
    uint64_t request_id;
    size_t acknowledgements; /* still missing */
    bool failed;
};

struct control {
    struct node *node;
    struct pair_core *pair;
    struct registry_core *registry;
    struct state *state;
    struct disk *disk;
    struct channel *to_peer;
    struct local_link daemon;
    struct pair_actions pair_actions;
    struct registry_actions registry_actions;
    struct state_changes changes;
    uint64_t applied_index;
    uint64_t given_through;  /* sequence of the last job of the pair */
    uint64_t failed_through; /* jobs up to this one failed, and the pair knows */
    bool rows_broken;        /* a write of rows failed: none until the tables start anew */
    struct work work[WORK_MAX];
    size_t work_first;
    size_t work_count;
    bool draining;
    struct peers peers;
    struct wait waits[WAITS_MAX];
    uint64_t next_tag;
};

/* Asks for a step of a core after this one. */
void sim_control_add_work(struct control *control, struct work work);

/* Asks the pair for an operation; a tag of 0: nobody waits. */
void sim_command_propose(struct world *world, struct control *control, Gemel__Op *op, uint64_t tag);

/* Messages of operators and of the process manager; what became of an operation. */
void sim_command_on_request(struct world *world, struct control *control, const struct address *origin,
                            const Gemel__Envelope *message);
void sim_command_on_reply(struct world *world, struct control *control, const Gemel__Envelope *message);
void sim_command_on_acknowledged(struct world *world, struct control *control, uint64_t tag);
void sim_command_on_refused(struct world *world, struct control *control, uint64_t tag);

#endif
