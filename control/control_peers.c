#include "control/control_peers.h"

#include <string.h>

#include "common/base/map.h"
#include "common/base/memory.h"
#include "control/core/registry.h"

struct entry {
    uint64_t number;
    struct plane_peer peer;
    UT_hash_handle hh;         /* by number */
    UT_hash_handle by_routing; /* by peer.routing */
};

struct control_peers {
    struct entry *by_number;
    struct entry *by_routing;
    uint64_t last;
};

void control_peers_create(struct control_peers **peers)
{
    *peers = memory_alloc(sizeof **peers);
}

static void drop(struct control_peers *peers, struct entry *entry)
{
    HASH_DELETE(hh, peers->by_number, entry);
    HASH_DELETE(by_routing, peers->by_routing, entry);
    memory_free(entry);
}

void control_peers_destroy(struct control_peers **peers)
{
    if (*peers == NULL)
        return;
    while ((*peers)->by_number != NULL)
        drop(*peers, (*peers)->by_number);
    memory_free(*peers);
    *peers = NULL;
}

static struct entry *find_entry(const struct control_peers *peers, const struct plane_peer *peer)
{
    struct entry *entry = NULL;
    HASH_FIND(by_routing, peers->by_routing, peer->routing, peer->routing_bytes, entry);
    return entry;
}

uint64_t control_peers_find(const struct control_peers *peers, const struct plane_peer *peer)
{
    const struct entry *entry = find_entry(peers, peer);
    return entry != NULL ? entry->number : 0;
}

uint64_t control_peers_number(struct control_peers *peers, const struct plane_peer *peer)
{
    struct entry *entry = find_entry(peers, peer);
    if (entry != NULL)
        return entry->number;
    if (HASH_COUNT(peers->by_number) == REGISTRY_PEERS_MAX)
        return 0;
    entry = memory_alloc(sizeof *entry);
    entry->number = ++peers->last;
    entry->peer = *peer;
    HASH_ADD(hh, peers->by_number, number, sizeof entry->number, entry);
    HASH_ADD_KEYPTR(by_routing, peers->by_routing, entry->peer.routing, entry->peer.routing_bytes, entry);
    return entry->number;
}

const struct plane_peer *control_peers_get(const struct control_peers *peers, uint64_t number)
{
    struct entry *entry = NULL;
    HASH_FIND(hh, peers->by_number, &number, sizeof number, entry);
    return entry != NULL ? &entry->peer : NULL;
}

void control_peers_forget(struct control_peers *peers, uint64_t number)
{
    struct entry *entry = NULL;
    HASH_FIND(hh, peers->by_number, &number, sizeof number, entry);
    if (entry != NULL)
        drop(peers, entry);
}
