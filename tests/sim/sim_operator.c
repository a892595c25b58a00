#include "tests/sim/sim_operator.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"
#include "tests/sim/cluster.h"
#include "tests/sim/post.h"
#include "tests/sim/tell.h"

enum {
    US_PER_MS = 1000,
    PAUSE_MIN_US = 20 * US_PER_MS,
    PAUSE_MAX_US = 700 * US_PER_MS,
    PLAY_FROM_US = 8000 * US_PER_MS, /* until then it starts everything */
    CALM_FROM_US = 60000 * US_PER_MS /* from then on too */
};

/* What the operator has before it. */
struct desk {
    struct channel *controls[SIDES];
    uint64_t next_request;
    bool is_configured; /* a revision was acknowledged */
};

static void schedule_command(struct world *world, struct node *node);

static void add_argument(Gemel__AdminRequest *request, Gemel__Argument *argument, const char *name, const char *value)
{
    gemel__argument__init(argument);
    argument->name = (char *)(uintptr_t)name;
    argument->value = (char *)(uintptr_t)value;
    request->arguments[request->n_arguments++] = argument;
}

static void send_request(struct world *world, struct node *node, struct channel *control, Gemel__AdminRequest *request)
{
    struct desk *desk = node->state;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    request->author = (char *)(uintptr_t) "operator";
    envelope.request_id = ++desk->next_request;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REQUEST;
    envelope.admin_request = request;
    story_line(&world->story, world->now_us, node->name, "asks %s: %s %s", control->listener->name, request->verb,
               request->n_arguments > 0 ? request->arguments[0]->value : "");
    (void)post_envelope(world, control, node, &envelope);
}

static void give_command(struct world *world, struct node *node, struct channel *control, const char *verb,
                         const char *name, const char *value)
{
    Gemel__Argument *arguments[1];
    Gemel__Argument storage;
    Gemel__AdminRequest request = GEMEL__ADMIN_REQUEST__INIT;
    request.verb = (char *)(uintptr_t)verb;
    request.arguments = arguments;
    if (name != NULL)
        add_argument(&request, &storage, name, value);
    send_request(world, node, control, &request);
}

static void give_failover(struct world *world, struct node *node, struct channel *control, const char *instance)
{
    Gemel__Argument *arguments[2];
    Gemel__Argument storage[2];
    Gemel__AdminRequest request = GEMEL__ADMIN_REQUEST__INIT;
    request.verb = (char *)(uintptr_t) "route.set";
    request.arguments = arguments;
    add_argument(&request, &storage[0], "to-instance", instance);
    add_argument(&request, &storage[1], "pipeline", "DemoPipeline");
    send_request(world, node, control, &request);
}

/* The configuration first, then the pipelines; after that whatever comes to mind, and at last everything up again. */
static void draw_command(struct world *world, struct node *node, struct channel *control)
{
    struct desk *desk = node->state;
    static const char *const pipelines[] = {"DemoPipeline", "DefaultEntrypoint"};
    const char *pipeline = pipelines[chance_below(&world->chance, 2)];
    char text[32];
    snprintf(text, sizeof text, "note %" PRIu64, desk->next_request);
    uint64_t drawn = chance_below(&world->chance, 100);
    if (world->cluster->pair_only)
        give_command(world, node, control, "sim.note", "text", text);
    else if (!desk->is_configured || chance_hits(&world->chance, 30)) /* it may have been set aside as diverged */
        give_command(world, node, control, "config.apply", NULL, NULL);
    else if (world->now_us > CALM_FROM_US || world->now_us < PLAY_FROM_US)
        give_command(world, node, control, "pipeline.force-start", "pipeline", pipeline);
    else if (drawn < 10)
        give_command(world, node, control, "pipeline.start", "pipeline", pipeline);
    else if (drawn < 40)
        give_command(world, node, control, "pipeline.force-start", "pipeline", pipeline);
    else if (drawn < 44)
        give_command(world, node, control, "pipeline.stop", "pipeline", pipeline);
    else if (drawn < 60)
        give_failover(world, node, control, chance_hits(&world->chance, 500) ? "1" : "0");
    else
        give_command(world, node, control, "sim.note", "text", text);
}

static void run_command(struct world *world, struct node *node, void *data)
{
    (void)data;
    struct desk *desk = node->state;
    draw_command(world, node, desk->controls[chance_below(&world->chance, SIDES)]);
    schedule_command(world, node);
}

static void schedule_command(struct world *world, struct node *node)
{
    world_after(world, chance_between(&world->chance, PAUSE_MIN_US, PAUSE_MAX_US), node, run_command, NULL);
}

static void start_operator(struct world *world, struct node *node)
{
    struct desk *desk = memory_alloc(sizeof *desk);
    node->state = desk;
    for (int host = 0; host < SIDES; host++)
        desk->controls[host] = network_dial(world, node, world->cluster->controls[host], CHANNEL_PLANE, (uint64_t)host);
    schedule_command(world, node);
}

static void stop_operator(struct world *world, struct node *node)
{
    (void)world;
    memory_free(node->state);
}

static void on_channel(struct world *world, struct node *node, struct channel *channel)
{
    (void)world;
    (void)node;
    (void)channel;
}

static void on_bytes(struct world *world, struct node *node, struct channel *channel, const uint8_t *bytes, size_t size)
{
    (void)channel;
    struct desk *desk = node->state;
    Gemel__Envelope *message = post_open(bytes, size);
    if (message->body_case != GEMEL__ENVELOPE__BODY_ADMIN_REPLY) {
        post_free(message);
        return;
    }
    /* The first thing that is ever done here is the configuration. */
    desk->is_configured = desk->is_configured || message->admin_reply->exit_code == 0;
    story_line(&world->story, world->now_us, node->name, "is answered %d by %s", (int)message->admin_reply->exit_code,
               message->sender);
    post_free(message);
}

static void on_wakeup(struct world *world, struct node *node)
{
    (void)world;
    (void)node;
}

const struct actor sim_operator_actor = {
    .kind = "operator",
    .start = start_operator,
    .stop = stop_operator,
    .on_up = on_channel,
    .on_down = on_channel,
    .on_bytes = on_bytes,
    .on_wakeup = on_wakeup,
};
