#include "tests/sim/sim_process.h"

#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"
#include "tests/sim/cluster.h"
#include "tests/sim/local_link.h"
#include "tests/sim/post.h"
#include "tests/sim/sim_daemon.h"

enum {
    US_PER_MS = 1000,
    START_MIN_US = 5 * US_PER_MS,
    START_MAX_US = 400 * US_PER_MS,
    SLOW_START_MAX_US = 4000 * US_PER_MS,
    END_MAX_US = 100 * US_PER_MS,
    QUERY_MIN_US = 100,
    QUERY_MAX_US = 3 * US_PER_MS,
    LONG_QUERY_MAX_US = 800 * US_PER_MS,
    NOTIFY_MAX_US = 100,
    SLOW_PER_MILLE = 100,
    STILLBORN_PER_MILLE = 40,
    STUBBORN_PER_MILLE = 150,
    LONG_QUERY_PER_MILLE = 5
};

struct process {
    struct local_link daemon;
    bool serving;
    bool is_stubborn; /* ignores SIGTERM */
};

/* ---- addresses */

void process_address(const struct world *world, const struct node *node, char address[PROCESS_ADDRESS_BYTES])
{
    snprintf(address, PROCESS_ADDRESS_BYTES, "%s:%d", world->hosts[node->host].name, world->cluster->ports[node->slot]);
}

struct node *process_find_address(const struct world *world, const char *address)
{
    for (size_t i = 0; i < world->node_count; i++) {
        char own[PROCESS_ADDRESS_BYTES];
        if (world->cluster->ports[i] == 0)
            continue;
        process_address(world, world->nodes[i], own);
        if (strcmp(own, address) == 0)
            return world->nodes[i];
    }
    return NULL;
}

bool sim_process_is_serving(const struct node *node)
{
    const struct process *process = node->state;
    return node->alive && !node->hung && process->serving;
}

/* ---- words to the daemon */

void process_say_ready(struct world *world, struct node *node, const char *address)
{
    struct sim_notice notice = {.ready = true, .pid = local_pid(node)};
    snprintf(notice.endpoint, sizeof notice.endpoint, "%s", address != NULL ? address : "");
    struct node *daemon = world->cluster->daemons[node->host];
    /* A datagram to a socket that nobody reads is gone. */
    if (daemon->alive)
        world_after(world, chance_between(&world->chance, 10, NOTIFY_MAX_US), daemon, sim_daemon_run_notice,
                    memory_copy(&notice, sizeof notice));
}

static void run_ready(struct world *world, struct node *node, void *data)
{
    (void)data;
    struct process *process = node->state;
    char address[PROCESS_ADDRESS_BYTES];
    process->serving = true;
    process_address(world, node, address);
    process_say_ready(world, node, address);
}

static void run_exit(struct world *world, struct node *node, void *data)
{
    node_exit(world, node, *(const int32_t *)data);
}

static void exit_after(struct world *world, struct node *node, int64_t delay_us, int32_t code)
{
    world_after(world, delay_us, node, run_exit, memory_copy(&code, sizeof code));
}

void process_signal(struct world *world, struct node *node, int32_t signal)
{
    if (!node->alive)
        return;
    if (signal == SIGNAL_KILL) {
        node_kill(world, node, signal);
        return;
    }
    bool is_stubborn = node->actor == &sim_process_actor && ((const struct process *)node->state)->is_stubborn;
    if (!is_stubborn)
        exit_after(world, node, chance_between(&world->chance, US_PER_MS, END_MAX_US), 0);
}

/* ---- life */

static void start_process(struct world *world, struct node *node)
{
    struct process *process = memory_alloc(sizeof *process);
    node->state = process;
    process->is_stubborn = chance_hits(&world->chance, STUBBORN_PER_MILLE);
    local_link_start(world, node, &process->daemon, GEMEL__LINK_KIND__LINK_PROCESS, world->cluster->names[node->slot],
                     world->cluster->tokens[node->slot]);
    bool has_faults = world->fault_at_us > 0; /* before the first fault every program is healthy */
    if (has_faults && chance_hits(&world->chance, STILLBORN_PER_MILLE)) {
        exit_after(world, node, chance_between(&world->chance, 1, START_MIN_US), 1);
        return;
    }
    int64_t most_us = chance_hits(&world->chance, SLOW_PER_MILLE) ? SLOW_START_MAX_US : START_MAX_US;
    world_after(world, chance_between(&world->chance, START_MIN_US, most_us), node, run_ready, NULL);
}

static void stop_process(struct world *world, struct node *node)
{
    (void)world;
    memory_free(node->state);
}

static void on_up(struct world *world, struct node *node, struct channel *channel)
{
    struct process *process = node->state;
    if (local_link_on_up(world, node, &process->daemon, channel))
        return;
    Gemel__LinkHello hello = GEMEL__LINK_HELLO__INIT;
    hello.protocol = 1;
    hello.kind = GEMEL__LINK_KIND__LINK_PROCESS;
    hello.name = (char *)(uintptr_t)world->cluster->names[node->slot];
    hello.placement = world->cluster->tokens[node->slot].placement;
    hello.start = world->cluster->tokens[node->slot].start;
    hello.incarnation = post_incarnation(node);
    hello.pid = local_pid(node);
    post_frame_message(world, channel, node, FRAME_HELLO, 0, &hello.base);
}

static void on_down(struct world *world, struct node *node, struct channel *channel)
{
    struct process *process = node->state;
    (void)local_link_on_down(world, node, &process->daemon, channel);
}

/* ---- queries */

struct running_query {
    struct channel *channel;
    uint64_t request_id;
    size_t payload_bytes;
    uint8_t payload[];
};

static void run_answer(struct world *world, struct node *node, void *data)
{
    const struct running_query *query = data;
    const char *name = world->cluster->names[node->slot];
    size_t head = FRAME_ROUTE_BYTES + strlen(name);
    uint8_t *body = memory_alloc(head + query->payload_bytes);
    frame_route_encode(body, name, 0);
    memcpy(body + head, query->payload, query->payload_bytes);
    (void)post_frame(world, query->channel, node, FRAME_ANSWER, query->request_id, body, head + query->payload_bytes);
    memory_free(body);
}

static void take_query(struct world *world, struct node *node, struct channel *channel,
                       const struct frame_header *header, const uint8_t *body)
{
    struct frame_route route;
    if (frame_route_decode(body, header->body_bytes, &route) != 0)
        return;
    struct running_query *query = memory_alloc(sizeof *query + route.payload_bytes);
    query->channel = channel;
    query->request_id = header->request_id;
    query->payload_bytes = route.payload_bytes;
    memcpy(query->payload, route.payload, route.payload_bytes);
    bool is_long = chance_hits(&world->chance, LONG_QUERY_PER_MILLE);
    world_after(world, chance_between(&world->chance, QUERY_MIN_US, is_long ? LONG_QUERY_MAX_US : QUERY_MAX_US), node,
                run_answer, query);
}

static void on_bytes(struct world *world, struct node *node, struct channel *channel, const uint8_t *bytes, size_t size)
{
    struct process *process = node->state;
    if (local_link_on_bytes(world, node, &process->daemon, channel, bytes, size))
        return;
    struct frame_header header;
    const uint8_t *body = NULL;
    post_read_frame(bytes, size, &header, &body);
    if (header.type == FRAME_PING)
        (void)post_frame(world, channel, node, FRAME_PONG, header.request_id, NULL, 0);
    else if (header.type == FRAME_QUERY)
        take_query(world, node, channel, &header, body);
}

static void on_wakeup(struct world *world, struct node *node)
{
    (void)world;
    (void)node;
}

const struct actor sim_process_actor = {
    .kind = "process",
    .start = start_process,
    .stop = stop_process,
    .on_up = on_up,
    .on_down = on_down,
    .on_bytes = on_bytes,
    .on_wakeup = on_wakeup,
};
