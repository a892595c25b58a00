#include "tests/sim/local_link.h"

#include <stdio.h>

#include "common/base/memory.h"
#include "tests/sim/post.h"

enum {
    REDIAL_US = 50 * 1000,
    PIDS_OF_A_NODE = 10000
};

int32_t local_pid(const struct node *node)
{
    return local_pid_of(node, node->life);
}

int32_t local_pid_of(const struct node *node, uint64_t life)
{
    return (int32_t)((node->slot + 1) * PIDS_OF_A_NODE + life);
}

static void dial(struct world *world, struct node *node, struct local_link *link)
{
    char name[NODE_NAME_BYTES];
    snprintf(name, sizeof name, "daemon@%s", world->hosts[node->host].name);
    struct node *daemon = world_find_node(world, name);
    if (daemon != NULL)
        link->channel = network_dial(world, node, daemon, CHANNEL_LINK, 0);
}

struct redial {
    struct local_link *link;
};

static void run_redial(struct world *world, struct node *node, void *data)
{
    dial(world, node, ((struct redial *)data)->link);
}

void local_link_start(struct world *world, struct node *node, struct local_link *link, Gemel__LinkKind kind,
                      const char *name, struct token token)
{
    *link = (struct local_link){.kind = kind, .name = name, .token = token};
    dial(world, node, link);
}

bool local_link_on_up(struct world *world, struct node *node, struct local_link *link, struct channel *channel)
{
    if (channel != link->channel)
        return false;
    Gemel__LinkHello hello = GEMEL__LINK_HELLO__INIT;
    hello.protocol = 1;
    hello.kind = link->kind;
    hello.name = (char *)(uintptr_t)link->name;
    hello.placement = link->token.placement;
    hello.start = link->token.start;
    hello.incarnation = post_incarnation(node);
    hello.pid = local_pid(node);
    post_frame_message(world, channel, node, FRAME_HELLO, 0, &hello.base);
    return true;
}

bool local_link_on_down(struct world *world, struct node *node, struct local_link *link, struct channel *channel)
{
    if (channel != link->channel)
        return false;
    link->channel = NULL;
    struct redial *redial = memory_alloc(sizeof *redial);
    redial->link = link;
    world_after(world, REDIAL_US, node, run_redial, redial);
    return true;
}

bool local_link_on_bytes(struct world *world, struct node *node, struct local_link *link, struct channel *channel,
                         const uint8_t *bytes, size_t size)
{
    if (channel != link->channel)
        return false;
    struct frame_header header;
    const uint8_t *body = NULL;
    post_read_frame(bytes, size, &header, &body);
    if (header.type == FRAME_PING)
        post_frame(world, channel, node, FRAME_PONG, header.request_id, NULL, 0);
    return true;
}
