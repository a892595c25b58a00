#include "tests/sim/sim_peers.h"

#include <stddef.h>

#include "common/base/assert.h"

uint64_t peers_number(struct peers *peers, const struct address *address)
{
    struct peer *unused = NULL;
    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct peer *peer = &peers->items[i];
        if (peer->number == 0)
            unused = unused != NULL ? unused : peer;
        else if (peer->address.channel == address->channel && peer->address.generation == address->generation)
            return peer->number;
    }
    ASSERT(unused != NULL);
    *unused = (struct peer){.number = ++peers->last_number, .address = *address};
    return unused->number;
}

struct peer *peers_find(struct peers *peers, uint64_t number)
{
    for (size_t i = 0; i < PEERS_MAX; i++)
        if (number != 0 && peers->items[i].number == number)
            return &peers->items[i];
    return NULL;
}

void peers_forget(struct peers *peers, uint64_t number)
{
    struct peer *peer = peers_find(peers, number);
    if (peer != NULL)
        *peer = (struct peer){0};
}
