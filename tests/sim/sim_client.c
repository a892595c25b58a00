#include "tests/sim/sim_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/process_id.h"
#include "common/base/text.h"
#include "tests/sim/cluster.h"
#include "tests/sim/post.h"

enum {
    US_PER_MS = 1000,
    QUERIES = 3, /* asked at a time */
    PING_US = 100 * US_PER_MS,
    SILENCE_US = 700 * US_PER_MS, /* a gateway that says nothing for this long is left */
    REDIAL_US = 50 * US_PER_MS,
    PAUSE_MAX_US = 20 * US_PER_MS, /* between an answer and the next question */
    TIMEOUT_MS = 3000,
    GRACE_US = 1500 * US_PER_MS, /* what an answer may take after its deadline: the way back */
    NOWHERE = -1
};

struct gateway_link {
    struct channel *channel; /* NULL: none; not up before its on_up */
    bool up;
    int64_t heard_us;
};

struct query {
    bool open;
    char target[64];
    uint64_t number; /* of the question: its payload */
    int at;          /* gateway that has it; NOWHERE: waits for one */
    uint64_t request_id;
    int64_t asked_us; /* this time */
};

struct client {
    struct gateway_link gateways[SIDES];
    struct query queries[QUERIES];
    uint64_t next_request;
    uint64_t next_number;
};

static void run_dial(struct world *world, struct node *node, void *data)
{
    struct client *client = node->state;
    int gateway = *(const int *)data;
    if (client->gateways[gateway].channel == NULL)
        client->gateways[gateway].channel =
            network_dial(world, node, world->cluster->gateways[gateway], CHANNEL_LINK, (uint64_t)gateway);
}

static void dial_after(struct world *world, struct node *node, int gateway, int64_t delay_us)
{
    world_after(world, delay_us, node, run_dial, memory_copy(&gateway, sizeof gateway));
}

static void send_query(struct world *world, struct node *node, struct query *query)
{
    struct client *client = node->state;
    int first = (int)(query->number % SIDES);
    query->at = NOWHERE;
    for (int i = 0; i < SIDES && query->at == NOWHERE; i++)
        if (client->gateways[(first + i) % SIDES].up)
            query->at = (first + i) % SIDES;
    if (query->at == NOWHERE)
        return;
    uint8_t body[FRAME_ROUTE_BYTES + sizeof query->target + sizeof query->number];
    size_t head = FRAME_ROUTE_BYTES + strlen(query->target);
    frame_route_encode(body, query->target, TIMEOUT_MS);
    memcpy(body + head, &query->number, sizeof query->number);
    query->request_id = ++client->next_request;
    query->asked_us = world->now_us;
    (void)post_frame(world, client->gateways[query->at].channel, node, FRAME_QUERY, query->request_id, body,
                     head + sizeof query->number);
}

static void run_ask(struct world *world, struct node *node, void *data)
{
    struct client *client = node->state;
    struct query *query = &client->queries[*(const size_t *)data];
    const char *type = chance_hits(&world->chance, 500) ? "rdb" : "idb";
    *query = (struct query){.open = true, .number = ++client->next_number, .at = NOWHERE};
    snprintf(query->target, sizeof query->target, "DemoPipeline.%s.0", type);
    send_query(world, node, query);
}

static void ask_after(struct world *world, struct node *node, const struct query *query, int64_t delay_us)
{
    size_t position = (size_t)(query - ((struct client *)node->state)->queries);
    world_after(world, delay_us, node, run_ask, memory_copy(&position, sizeof position));
}

/* A gateway is lost: what it had is asked at the other one. */
static void leave_gateway(struct world *world, struct node *node, int gateway)
{
    struct client *client = node->state;
    client->gateways[gateway] = (struct gateway_link){0};
    dial_after(world, node, gateway, REDIAL_US);
    for (size_t i = 0; i < QUERIES; i++)
        if (client->queries[i].open && client->queries[i].at == gateway)
            send_query(world, node, &client->queries[i]);
}

/* ---- time */

static void check_link(struct world *world, struct node *node, int gateway)
{
    struct client *client = node->state;
    struct gateway_link *link = &client->gateways[gateway];
    if (!link->up)
        return;
    if (world->now_us - link->heard_us > SILENCE_US) {
        network_close(world, link->channel, node);
        leave_gateway(world, node, gateway);
        return;
    }
    (void)post_frame(world, link->channel, node, FRAME_PING, 1, NULL, 0);
}

static void run_tick(struct world *world, struct node *node, void *data)
{
    (void)data;
    struct client *client = node->state;
    for (int gateway = 0; gateway < SIDES; gateway++)
        check_link(world, node, gateway);
    for (size_t i = 0; i < QUERIES; i++) {
        struct query *query = &client->queries[i];
        if (query->open && query->at == NOWHERE)
            send_query(world, node, query);
        else if (query->open && world->now_us - query->asked_us > TIMEOUT_MS * US_PER_MS + GRACE_US)
            judge_fail(world, "%s gave neither answer nor error for query %" PRIu64 " for %" PRId64 " ms",
                       world->cluster->gateways[query->at]->name, query->number,
                       (world->now_us - query->asked_us) / US_PER_MS);
    }
    world_after(world, PING_US, node, run_tick, NULL);
}

/* ---- the actor */

static void start_client(struct world *world, struct node *node)
{
    struct client *client = memory_alloc(sizeof *client);
    node->state = client;
    for (int gateway = 0; gateway < SIDES; gateway++)
        dial_after(world, node, gateway, 1);
    for (size_t i = 0; i < QUERIES; i++)
        ask_after(world, node, &client->queries[i], chance_between(&world->chance, 1, PAUSE_MAX_US));
    world_after(world, PING_US, node, run_tick, NULL);
}

static void stop_client(struct world *world, struct node *node)
{
    (void)world;
    memory_free(node->state);
}

static void on_up(struct world *world, struct node *node, struct channel *channel)
{
    struct client *client = node->state;
    struct gateway_link *link = &client->gateways[channel->dialler_tag];
    if (link->channel != channel)
        return;
    link->up = true;
    link->heard_us = world->now_us;
}

static void on_down(struct world *world, struct node *node, struct channel *channel)
{
    struct client *client = node->state;
    if (client->gateways[channel->dialler_tag].channel == channel)
        leave_gateway(world, node, (int)channel->dialler_tag);
}

/* Is the answer of a process of the route that was asked, and to this question? */
static void check_answer(struct world *world, const struct query *query, const uint8_t *body, size_t size)
{
    struct frame_route route;
    struct process_id id;
    char source[PROCESS_NAME_BYTES];
    char target[PROCESS_NAME_BYTES + 16];
    int result = frame_route_decode(body, size, &route);
    ASSERT(result == 0 && route.name_bytes < sizeof source);
    snprintf(source, sizeof source, "%.*s", (int)route.name_bytes, route.name);
    result = process_id_parse(source, &id);
    ASSERT(result == 0);
    snprintf(target, sizeof target, "%s.%s.%u", id.pipeline, id.type, id.index);
    if (strcmp(target, query->target) != 0 || route.payload_bytes != sizeof query->number ||
        memcmp(route.payload, &query->number, sizeof query->number) != 0)
        judge_fail(world, "query %" PRIu64 " to %s got a wrong answer, from %s", query->number, query->target, source);
}

static void take_end(struct world *world, struct node *node, int gateway, const struct frame_header *header,
                     const uint8_t *body)
{
    struct client *client = node->state;
    for (size_t i = 0; i < QUERIES; i++) {
        struct query *query = &client->queries[i];
        if (!query->open || query->at != gateway || query->request_id != header->request_id)
            continue;
        query->open = false;
        if (header->type == FRAME_ANSWER) {
            judge_counts(world)->answered++;
            check_answer(world, query, body, header->body_bytes);
        } else {
            judge_on_query_failed(world, world->cluster->gateways[gateway], query->target, query->asked_us);
        }
        ask_after(world, node, query, chance_between(&world->chance, 1, PAUSE_MAX_US));
        return;
    }
    judge_fail(world, "%s gave a second end to request %" PRIu64, world->cluster->gateways[gateway]->name,
               header->request_id);
}

static void on_bytes(struct world *world, struct node *node, struct channel *channel, const uint8_t *bytes, size_t size)
{
    struct client *client = node->state;
    struct gateway_link *link = &client->gateways[channel->dialler_tag];
    if (link->channel != channel)
        return;
    struct frame_header header;
    const uint8_t *body = NULL;
    post_read_frame(bytes, size, &header, &body);
    link->heard_us = world->now_us;
    if (header.type == FRAME_ANSWER || header.type == FRAME_FAILURE)
        take_end(world, node, (int)channel->dialler_tag, &header, body);
}

static void on_wakeup(struct world *world, struct node *node)
{
    (void)world;
    (void)node;
}

const struct actor sim_client_actor = {
    .kind = "client",
    .start = start_client,
    .stop = stop_client,
    .on_up = on_up,
    .on_down = on_down,
    .on_bytes = on_bytes,
    .on_wakeup = on_wakeup,
};
