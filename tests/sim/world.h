/* The simulated world: a virtual clock, a queue of events in a fixed order, hosts and the programs on them. Pure.
 *
 * Time is virtual microseconds; each host's monotonic clock starts elsewhere, so that comparing clocks of two hosts is
 * a mistake that shows. Events of equal time run in the order in which they were made.
 * A node is one program on a host. It has lives: each start is a new one, and what was meant for an earlier life is
 * dropped. A hung node (SIGSTOP) runs nothing; what comes meanwhile waits in order until it goes on or is killed. */
#ifndef GEMEL_TESTS_SIM_WORLD_H
#define GEMEL_TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/chance.h"
#include "tests/sim/story.h"

enum {
    HOSTS_COUNT = 3, /* A, B, and the clients' */
    HOST_A = 0,
    HOST_B = 1,
    HOST_CLIENTS = 2,
    NODES_MAX = 128,
    NODE_NAME_BYTES = 64
};

struct world;
struct node;
struct channel;

/* What a kind of program does; `state` is its own. */
struct actor {
    const char *kind;
    void (*start)(struct world *world, struct node *node);
    /* The program is gone (killed, power cut, or its own end): releases its memory, tells nobody. */
    void (*stop)(struct world *world, struct node *node);
    void (*on_up)(struct world *world, struct node *node, struct channel *channel);
    void (*on_down)(struct world *world, struct node *node, struct channel *channel);
    void (*on_bytes)(struct world *world, struct node *node, struct channel *channel, const uint8_t *bytes,
                     size_t size);
    void (*on_wakeup)(struct world *world, struct node *node);
};

struct host {
    const char *name;
    bool powered;
    uint64_t boot;               /* rises with each power-on */
    int64_t monotonic_offset_us; /* of its clock against the world's */
    int64_t wall_offset_ns;      /* jumps */
};

struct node {
    char name[NODE_NAME_BYTES]; /* "control@a", a process name */
    int host;
    const struct actor *actor;
    void *state; /* owned by the actor while alive */
    bool alive;
    bool hung;
    bool wanted;        /* the host's init starts it, at power-on and when it died */
    int32_t signal;     /* that ended the last life; 0: it ended itself */
    int32_t code;       /* with which it ended itself */
    bool died_of_power; /* nobody was told of its end */
    uint64_t life;      /* rises with each start */
    uint64_t wakeup;    /* number of the last wake-up that was asked for; earlier ones are void */
    int64_t wakeup_at_us;
    size_t slot;
};

/* `data` is owned by the world, which releases it (memory_free) after the event ran or was dropped. */
typedef void (*event_run)(struct world *world, struct node *node, void *data);

struct event {
    int64_t at_us;
    uint64_t sequence;
    struct node *node; /* NULL: the world's own */
    uint64_t life;
    event_run run;
    void *data;
};

struct event_queue {
    struct event *items; /* a heap by (at_us, sequence) */
    size_t count;
    size_t capacity;
};

struct network;
struct judge;
struct cluster;

struct world {
    struct chance chance;
    int64_t now_us;
    uint64_t next_sequence;
    struct event_queue queue;
    struct event_queue waiting; /* events of hung nodes, in order; not a heap */
    struct host hosts[HOSTS_COUNT];
    struct node *nodes[NODES_MAX];
    size_t node_count;
    struct story story;
    struct network *network;
    struct judge *judge;
    struct cluster *cluster;
    void (*on_death)(struct world *world, struct node *node); /* after a node's end; NULL: nobody cares */
    void (*on_power)(struct world *world, int host);          /* it has power again; NULL: nobody cares */
    int64_t fault_at_us;                                      /* when the last fault began or ended */
    uint64_t event_count;                                     /* run so far */
    uint64_t standstill_count;                                /* of them, since the clock last moved */
};

void world_init(struct world *world, uint64_t seed, enum story_mode mode);
void world_fini(struct world *world);

/* Adds a program that does not run yet. Borrowed until world_fini. */
struct node *world_add_node(struct world *world, const char *name, int host, const struct actor *actor);
/* By name; NULL when there is none. */
struct node *world_find_node(const struct world *world, const char *name);

/* Runs `run` after `delay_us`; dropped when `node` (NULL: the world) has ended its present life by then. */
void world_after(struct world *world, int64_t delay_us, struct node *node, event_run run, void *data);

/* Runs the next event. False when the queue is empty or its next event is later than `until_us`; the clock is then
 * there. */
bool world_step(struct world *world, int64_t until_us);

/* The node's own clocks. */
int64_t node_now_ms(const struct world *world, const struct node *node);
uint64_t node_wall_ns(const struct world *world, const struct node *node);

/* The node wants on_wakeup at a point of its own clock; INT64_MAX: never. The last call counts. */
void node_wake_at(struct world *world, struct node *node, int64_t at_ms);

/* Life and death. A node starts only on a host with power and only when it is not alive. */
void node_start(struct world *world, struct node *node);
void node_kill(struct world *world, struct node *node, int32_t signal);
void node_exit(struct world *world, struct node *node, int32_t code);
void node_hang(struct world *world, struct node *node);
void node_resume(struct world *world, struct node *node);

void host_power_off(struct world *world, int host);
void host_power_on(struct world *world, int host);

#endif
