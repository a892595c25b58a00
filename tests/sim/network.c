#include "tests/sim/network.h"

#include <errno.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"

enum {
    TICK_US = 50 * 1000,
    HANDSHAKE_US = 2000,
    SILENCE_US = 1000 * 1000, /* the transport's own heartbeat gives up after this */
    LINK_DIAL_TIMEOUT_US = 1000 * 1000,
    REDIAL_US = 100 * 1000,
    LOCAL_DELAY_US = 100, /* at most */
    CROSS_DELAY_US = 500
};

struct parcel {
    struct channel *channel;
    uint64_t generation;
    bool to_listener;
    size_t size;
    uint8_t bytes[];
};

struct network {
    struct channel **channels; /* every one that ever was; owned */
    size_t count;
    size_t capacity;
    struct channel **live; /* those that have not ended, in order */
    size_t live_count;
    bool cut[HOSTS_COUNT][HOSTS_COUNT];
    struct event_queue held; /* parcels before a cut, in order; not a heap; `data` is the parcel */
    int64_t late_us;
    unsigned doubling_per_mille;
    struct network_counts counts;
};

void network_create(struct network **network)
{
    *network = memory_alloc(sizeof **network);
}

static void release_held(struct event_queue *held)
{
    for (size_t i = 0; i < held->count; i++)
        memory_free(held->items[i].data);
    memory_free(held->items);
}

void network_destroy(struct network **network)
{
    if (*network == NULL)
        return;
    for (size_t i = 0; i < (*network)->count; i++)
        memory_free((*network)->channels[i]);
    memory_free((*network)->channels);
    memory_free((*network)->live);
    release_held(&(*network)->held);
    memory_free(*network);
    *network = NULL;
}

/* ---- who reaches whom */

bool channel_is_up(const struct channel *channel, const struct node *node)
{
    return channel->state == CHANNEL_UP &&
           (node == channel->dialler ? node->life == channel->dialler_life : node->life == channel->listener_life);
}

struct node *channel_peer(const struct channel *channel, const struct node *node)
{
    return node == channel->dialler ? channel->listener : channel->dialler;
}

uint64_t channel_tag(const struct channel *channel, const struct node *node)
{
    return node == channel->dialler ? channel->dialler_tag : channel->listener_tag;
}

void channel_set_tag(struct channel *channel, const struct node *node, uint64_t tag)
{
    if (node == channel->dialler)
        channel->dialler_tag = tag;
    else
        channel->listener_tag = tag;
}

bool network_is_cut(const struct world *world, int from_host, int to_host)
{
    return world->network->cut[from_host][to_host];
}

static bool is_way_open(const struct world *world, const struct channel *channel)
{
    int one = channel->dialler->host;
    int other = channel->listener->host;
    return !network_is_cut(world, one, other) && !network_is_cut(world, other, one);
}

static bool ends_alive(const struct channel *channel)
{
    return channel->dialler->alive && channel->dialler->life == channel->dialler_life && channel->listener->alive &&
           channel->listener->life == channel->listener_life;
}

static int64_t draw_delay_us(struct world *world, const struct channel *channel)
{
    if (channel->dialler->host == channel->listener->host)
        return chance_between(&world->chance, 5, LOCAL_DELAY_US);
    int64_t delay_us = chance_between(&world->chance, 50, CROSS_DELAY_US);
    if (world->network->late_us > 0)
        delay_us += chance_between(&world->chance, 0, world->network->late_us);
    return delay_us;
}

/* ---- going up and down; what an end hears, it hears in order with the bytes */

struct notice {
    struct channel *channel;
    uint64_t generation;
    bool up;
};

static void run_notice(struct world *world, struct node *node, void *data)
{
    struct notice *notice = data;
    struct channel *channel = notice->channel;
    bool to_listener = node == channel->listener;
    if (channel->kind == CHANNEL_LINK) {
        if (channel->side_closed[to_listener])
            return;
        if (!notice->up)
            channel->side_closed[to_listener] = true;
    } else if (notice->up && channel->generation != notice->generation) {
        return; /* it broke again meanwhile; the next notice tells */
    }
    if (notice->up)
        node->actor->on_up(world, node, channel);
    else
        node->actor->on_down(world, node, channel);
}

static void tell_end(struct world *world, struct channel *channel, bool listener, bool up, int64_t delay_us)
{
    struct node *node = listener ? channel->listener : channel->dialler;
    uint64_t life = listener ? channel->listener_life : channel->dialler_life;
    if (!node->alive || node->life != life)
        return;
    int64_t at_us = world->now_us + delay_us;
    if (at_us < channel->last_arrival_us[listener])
        at_us = channel->last_arrival_us[listener];
    channel->last_arrival_us[listener] = at_us;
    struct notice *notice = memory_alloc(sizeof *notice);
    *notice = (struct notice){.channel = channel, .generation = channel->generation, .up = up};
    world_after(world, at_us - world->now_us, node, run_notice, notice);
}

static void bring_up(struct world *world, struct channel *channel)
{
    channel->state = CHANNEL_UP;
    channel->generation++;
    channel->listener_life = channel->listener->life;
    channel->silent_since_us = -1;
    tell_end(world, channel, false, true, HANDSHAKE_US);
    if (channel->kind == CHANNEL_LINK)
        tell_end(world, channel, true, true, HANDSHAKE_US / 2);
}

static void break_plane(struct world *world, struct channel *channel)
{
    if (channel->state != CHANNEL_UP)
        return;
    channel->state = CHANNEL_DOWN;
    channel->generation++;
    channel->dial_after_us = world->now_us + chance_between(&world->chance, REDIAL_US / 10, REDIAL_US);
    tell_end(world, channel, false, false, 0);
}

/* A link ends for the ends that can hear it. */
static void end_link(struct world *world, struct channel *channel, int64_t delay_us)
{
    channel->state = CHANNEL_ENDED;
    tell_end(world, channel, false, false, delay_us);
    tell_end(world, channel, true, false, delay_us);
}

static void tick_plane(struct world *world, struct channel *channel)
{
    if (!channel->dialler->alive || channel->dialler->life != channel->dialler_life) {
        channel->state = CHANNEL_ENDED;
        channel->generation++;
        return;
    }
    if (channel->state == CHANNEL_DOWN) {
        bool ready = channel->listener->alive && !channel->listener->hung && !channel->dialler->hung;
        if (ready && is_way_open(world, channel) && world->now_us >= channel->dial_after_us)
            bring_up(world, channel);
        return;
    }
    bool reach =
        ends_alive(channel) && is_way_open(world, channel) && !channel->listener->hung && !channel->dialler->hung;
    if (reach)
        channel->silent_since_us = -1;
    else if (channel->silent_since_us < 0)
        channel->silent_since_us = world->now_us;
    else if (world->now_us - channel->silent_since_us >= SILENCE_US)
        break_plane(world, channel);
}

static bool end_is_gone(const struct node *node, uint64_t life)
{
    return !node->alive || node->life != life;
}

/* A link whose peer is gone closes as soon as that host can say so (FIN, or the RST of a host that was started anew).
 */
static void tick_link(struct world *world, struct channel *channel)
{
    bool dialler_gone = end_is_gone(channel->dialler, channel->dialler_life);
    bool listener_gone = end_is_gone(channel->listener, channel->listener_life);
    if (dialler_gone && listener_gone) {
        channel->state = CHANNEL_ENDED;
        return;
    }
    bool dialler_left = dialler_gone || channel->side_closed[false];
    bool listener_left = listener_gone || channel->side_closed[true];
    if (!dialler_left && !listener_left)
        return;
    int host = dialler_left ? channel->dialler->host : channel->listener->host;
    if (world->hosts[host].powered && is_way_open(world, channel))
        end_link(world, channel, draw_delay_us(world, channel));
}

static void run_tick(struct world *world, struct node *node, void *data)
{
    (void)node;
    (void)data;
    struct network *network = world->network;
    size_t kept = 0;
    for (size_t i = 0; i < network->live_count; i++) {
        struct channel *channel = network->live[i];
        if (channel->state != CHANNEL_ENDED && channel->kind == CHANNEL_PLANE)
            tick_plane(world, channel);
        else if (channel->state == CHANNEL_UP)
            tick_link(world, channel);
        if (channel->state != CHANNEL_ENDED)
            network->live[kept++] = channel;
    }
    network->live_count = kept;
    world_after(world, TICK_US, NULL, run_tick, NULL);
}

void network_start(struct world *world)
{
    world_after(world, TICK_US, NULL, run_tick, NULL);
}

/* ---- dialling, sending, closing */

struct dialling {
    struct channel *channel;
};

static void run_link_dial(struct world *world, struct node *node, void *data)
{
    (void)node;
    struct channel *channel = ((struct dialling *)data)->channel;
    if (channel->side_closed[false] || channel->state == CHANNEL_ENDED)
        return;
    if (channel->listener->alive && is_way_open(world, channel)) {
        bring_up(world, channel);
        return;
    }
    bool refused = world->hosts[channel->listener->host].powered && is_way_open(world, channel);
    channel->state = CHANNEL_ENDED;
    tell_end(world, channel, false, false, refused ? 0 : LINK_DIAL_TIMEOUT_US);
}

struct channel *network_dial(struct world *world, struct node *dialler, struct node *listener, enum channel_kind kind,
                             uint64_t tag)
{
    struct network *network = world->network;
    struct channel *channel = memory_alloc(sizeof *channel);
    *channel = (struct channel){
        .kind = kind,
        .state = CHANNEL_DOWN,
        .dialler = dialler,
        .listener = listener,
        .dialler_life = dialler->life,
        .dialler_tag = tag,
        .silent_since_us = -1,
        .id = (uint32_t)network->count,
    };
    if (network->count == network->capacity) {
        network->capacity = network->capacity > 0 ? 2 * network->capacity : 64;
        network->channels = memory_resize(network->channels, network->capacity * sizeof(struct channel *));
        network->live = memory_resize(network->live, network->capacity * sizeof(struct channel *));
    }
    network->channels[network->count++] = channel;
    network->live[network->live_count++] = channel;
    if (kind == CHANNEL_LINK) {
        struct dialling *dialling = memory_alloc(sizeof *dialling);
        dialling->channel = channel;
        world_after(world, draw_delay_us(world, channel), dialler, run_link_dial, dialling);
    }
    return channel;
}

static void run_parcel(struct world *world, struct node *node, void *data)
{
    struct parcel *parcel = data;
    struct channel *channel = parcel->channel;
    bool live = channel->kind == CHANNEL_LINK ? !channel->side_closed[parcel->to_listener]
                                              : channel->generation == parcel->generation;
    if (!live) {
        world->network->counts.lost++;
        return;
    }
    node->actor->on_bytes(world, node, channel, parcel->bytes, parcel->size);
}

/* Arrives at the end's host: goes in, or waits before a cut. */
static void schedule_parcel(struct world *world, struct parcel *parcel, int64_t delay_us)
{
    struct channel *channel = parcel->channel;
    struct node *to = parcel->to_listener ? channel->listener : channel->dialler;
    uint64_t life = parcel->to_listener ? channel->listener_life : channel->dialler_life;
    if (!to->alive || to->life != life) {
        world->network->counts.lost++;
        memory_free(parcel);
        return;
    }
    int64_t at_us = world->now_us + delay_us;
    if (at_us < channel->last_arrival_us[parcel->to_listener])
        at_us = channel->last_arrival_us[parcel->to_listener];
    channel->last_arrival_us[parcel->to_listener] = at_us;
    world_after(world, at_us - world->now_us, to, run_parcel, parcel);
}

static void hold_parcel(struct world *world, struct parcel *parcel)
{
    struct event_queue *held = &world->network->held;
    if (held->count == held->capacity) {
        held->capacity = held->capacity > 0 ? 2 * held->capacity : 64;
        held->items = memory_resize(held->items, held->capacity * sizeof *held->items);
    }
    held->items[held->count++] = (struct event){.data = parcel};
    world->network->counts.held++;
}

static struct parcel *make_parcel(const struct channel *channel, bool to_listener, const uint8_t *bytes, size_t size)
{
    struct parcel *parcel = memory_alloc(sizeof *parcel + size);
    parcel->channel = (struct channel *)(uintptr_t)channel;
    parcel->generation = channel->generation;
    parcel->to_listener = to_listener;
    parcel->size = size;
    if (size > 0)
        memcpy(parcel->bytes, bytes, size);
    return parcel;
}

int network_send(struct world *world, struct channel *channel, struct node *from, const uint8_t *bytes, size_t size)
{
    struct network *network = world->network;
    bool to_listener = from == channel->dialler;
    if (!channel_is_up(channel, from) || channel->side_closed[!to_listener])
        return -EHOSTUNREACH;
    network->counts.sent++;
    struct node *to = channel_peer(channel, from);
    if (network_is_cut(world, from->host, to->host)) {
        hold_parcel(world, make_parcel(channel, to_listener, bytes, size));
        return 0;
    }
    int64_t delay_us = draw_delay_us(world, channel);
    schedule_parcel(world, make_parcel(channel, to_listener, bytes, size), delay_us);
    if (channel->kind == CHANNEL_PLANE && network->doubling_per_mille > 0 &&
        chance_hits(&world->chance, network->doubling_per_mille)) {
        network->counts.doubled++;
        schedule_parcel(world, make_parcel(channel, to_listener, bytes, size), delay_us);
    }
    return 0;
}

int network_answer(struct world *world, const struct address *to, struct node *from, const uint8_t *bytes, size_t size)
{
    if (to->channel == NULL || to->channel->generation != to->generation)
        return -EHOSTUNREACH;
    return network_send(world, to->channel, from, bytes, size);
}

void network_close(struct world *world, struct channel *channel, struct node *from)
{
    bool from_listener = from == channel->listener;
    channel->side_closed[from_listener] = true;
    if (channel->kind != CHANNEL_LINK || channel->state != CHANNEL_UP) {
        channel->state = CHANNEL_ENDED;
        return;
    }
    if (is_way_open(world, channel)) {
        channel->state = CHANNEL_ENDED;
        tell_end(world, channel, !from_listener, false, draw_delay_us(world, channel));
    }
}

void network_on_death(struct world *world, struct node *node)
{
    struct network *network = world->network;
    if (!world->hosts[node->host].powered)
        return; /* nobody is left to say so */
    for (size_t i = 0; i < network->live_count; i++) {
        struct channel *channel = network->live[i];
        bool mine = (channel->dialler == node && channel->dialler_life == node->life) ||
                    (channel->listener == node && channel->listener_life == node->life);
        if (!mine || channel->state != CHANNEL_UP || !is_way_open(world, channel))
            continue;
        if (channel->kind == CHANNEL_LINK)
            end_link(world, channel, draw_delay_us(world, channel));
        else
            break_plane(world, channel);
    }
}

/* ---- faults */

void network_set_cut(struct world *world, int from_host, int to_host, bool cut)
{
    struct network *network = world->network;
    network->cut[from_host][to_host] = cut;
    if (cut)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < network->held.count; i++) {
        struct parcel *parcel = network->held.items[i].data;
        struct node *to = parcel->to_listener ? parcel->channel->listener : parcel->channel->dialler;
        struct node *from = channel_peer(parcel->channel, to);
        if (from->host != from_host || to->host != to_host)
            network->held.items[kept++] = network->held.items[i];
        else
            schedule_parcel(world, parcel, draw_delay_us(world, parcel->channel));
    }
    network->held.count = kept;
}

void network_break(struct world *world, int one_host, int other_host)
{
    struct network *network = world->network;
    for (size_t i = 0; i < network->live_count; i++) {
        struct channel *channel = network->live[i];
        int from = channel->dialler->host;
        int to = channel->listener->host;
        bool between = (from == one_host && to == other_host) || (from == other_host && to == one_host);
        if (between && channel->kind == CHANNEL_PLANE)
            break_plane(world, channel);
    }
}

void network_set_late(struct world *world, int64_t late_us)
{
    world->network->late_us = late_us;
}

int64_t network_late_us(const struct world *world)
{
    return world->network->late_us;
}

void network_set_doubling(struct world *world, unsigned per_mille)
{
    world->network->doubling_per_mille = per_mille;
}

struct network_counts network_counts(const struct world *world)
{
    return world->network->counts;
}
