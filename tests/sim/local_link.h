/* The link of a program to the daemon of its host (run/daemon.sock): HELLO with pid and token, an answer to each ping.
 * Pure. Dials again for ever. */
#ifndef GEMEL_TESTS_SIM_LOCAL_LINK_H
#define GEMEL_TESTS_SIM_LOCAL_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/token.h"
#include "common/wire/gemel.pb-c.h"
#include "tests/sim/network.h"

struct local_link {
    struct channel *channel; /* NULL: none */
    Gemel__LinkKind kind;
    const char *name; /* borrowed from the node */
    struct token token;
};

/* The process number of a node's present life, of one of its lives. */
int32_t local_pid(const struct node *node);
int32_t local_pid_of(const struct node *node, uint64_t life);

/* Dials the daemon of the node's host; `name` is what the daemon calls it. */
void local_link_start(struct world *world, struct node *node, struct local_link *link, Gemel__LinkKind kind,
                      const char *name, struct token token);

/* Handlers: false when the channel is not this link's. */
bool local_link_on_up(struct world *world, struct node *node, struct local_link *link, struct channel *channel);
bool local_link_on_down(struct world *world, struct node *node, struct local_link *link, struct channel *channel);
bool local_link_on_bytes(struct world *world, struct node *node, struct local_link *link, struct channel *channel,
                         const uint8_t *bytes, size_t size);

#endif
