/* The numbers that a listener gives to connections of its control-plane socket. Pure.
 * A number is never used again; a connection that broke and came back has another one. */
#ifndef GEMEL_TESTS_SIM_SIM_PEERS_H
#define GEMEL_TESTS_SIM_SIM_PEERS_H

#include <stdint.h>

#include "tests/sim/network.h"

enum {
    PEERS_MAX = 64
};

struct peer {
    uint64_t number; /* 0: free */
    struct address address;
};

struct peers {
    struct peer items[PEERS_MAX];
    uint64_t last_number;
};

/* The number of a connection: the one that it has, or a new one. */
uint64_t peers_number(struct peers *peers, const struct address *address);
/* NULL when unknown. */
struct peer *peers_find(struct peers *peers, uint64_t number);
void peers_forget(struct peers *peers, uint64_t number);

#endif
