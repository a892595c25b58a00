/* The simulated network: channels between nodes that behave as their transport does. Pure.
 *
 * CHANNEL_PLANE is a ZeroMQ connection: order is kept, it is dialled again for ever, and what was under way when it
 * broke is lost. Only the dialler hears that it is up or down; the listener's send fails.
 * CHANNEL_LINK is a TCP stream: order is kept, dialled once, both ends hear when it closes; when a host is gone or the
 * way is cut nobody hears anything.
 * A dead program's kernel says so at once; a host without power says nothing. What is sent into a cut waits, and comes
 * late if the way is open again before the connection broke. Faults add delay and doubles. */
#ifndef GEMEL_TESTS_SIM_NETWORK_H
#define GEMEL_TESTS_SIM_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/world.h"

enum channel_kind {
    CHANNEL_PLANE,
    CHANNEL_LINK
};

enum channel_state {
    CHANNEL_DOWN,
    CHANNEL_UP,
    CHANNEL_ENDED /* for good: its dialler's life is over, or a link has closed */
};

/* Open to read; written by the network alone but for the tags. */
struct channel {
    enum channel_kind kind;
    enum channel_state state;
    struct node *dialler;
    struct node *listener;
    uint64_t dialler_life;
    uint64_t listener_life; /* of the connection, while up */
    uint64_t generation;    /* rises whenever it goes up or down */
    uint64_t dialler_tag;   /* what each end knows it by */
    uint64_t listener_tag;
    int64_t last_arrival_us[2]; /* towards the dialler, the listener: order is kept */
    int64_t silent_since_us;    /* first tick at which the ends could not reach each other; -1: they can */
    int64_t dial_after_us;
    bool side_closed[2]; /* a link's end that has closed or was told */
    uint32_t id;
};

struct network_counts {
    uint64_t sent;
    uint64_t lost;
    uint64_t doubled;
    uint64_t held;
};

void network_create(struct network **network);
void network_destroy(struct network **network);

/* Starts the heart of the network; once, before anything dials. */
void network_start(struct world *world);

/* Dials `listener` from `dialler`, which is alive. For a plane on_up comes now and then; for a link on_up, or on_down
 * when nobody listens there. The channel lives as long as the world. */
struct channel *network_dial(struct world *world, struct node *dialler, struct node *listener, enum channel_kind kind,
                             uint64_t tag);

/* Sends bytes (copied) from one end. Returns 0, or -EHOSTUNREACH when the channel is not up. */
int network_send(struct world *world, struct channel *channel, struct node *from, const uint8_t *bytes, size_t size);

/* Where a router answers: good for one connection. */
struct address {
    struct channel *channel; /* NULL: nobody */
    uint64_t generation;
};

/* As network_send; also -EHOSTUNREACH when the connection is another one by now. */
int network_answer(struct world *world, const struct address *to, struct node *from, const uint8_t *bytes, size_t size);

/* One end closes it; it hears nothing more of it. */
void network_close(struct world *world, struct channel *channel, struct node *from);

/* Is it up, for this life of `node`? */
bool channel_is_up(const struct channel *channel, const struct node *node);
struct node *channel_peer(const struct channel *channel, const struct node *node);
uint64_t channel_tag(const struct channel *channel, const struct node *node);
void channel_set_tag(struct channel *channel, const struct node *node, uint64_t tag);

/* What world.c tells. */
void network_on_death(struct world *world, struct node *node);

/* Faults. A cut works in one direction between hosts. */
void network_set_cut(struct world *world, int from_host, int to_host, bool cut);
bool network_is_cut(const struct world *world, int from_host, int to_host);
/* Breaks every control-plane connection between two hosts once; they dial again. */
void network_break(struct world *world, int one_host, int other_host);
/* Up to `late_us` more for each message between hosts; 0: none. */
void network_set_late(struct world *world, int64_t late_us);
int64_t network_late_us(const struct world *world);
/* So many of a thousand messages of the control plane arrive twice. */
void network_set_doubling(struct world *world, unsigned per_mille);

struct network_counts network_counts(const struct world *world);

#endif
