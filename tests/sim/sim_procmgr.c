#include "tests/sim/sim_procmgr.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/memory.h"
#include "procmgr/core/procmgr.h"
#include "tests/sim/cluster.h"
#include "tests/sim/local_link.h"
#include "tests/sim/post.h"
#include "tests/sim/sim_layout.h"
#include "tests/sim/sim_process.h"
#include "tests/sim/tell.h"

enum {
    READY_MAX_US = 50 * 1000
};

struct manager {
    struct node *node;
    struct procmgr_core *core;
    struct procmgr_actions actions;
    struct layout *layout;
    struct local_link daemon;
    struct channel *control;
};

static void send_to_control(struct world *world, struct manager *manager, Gemel__Envelope *envelope)
{
    tell_sent(world, manager->control->listener, envelope);
    (void)post_envelope(world, manager->control, manager->node, envelope);
}

static void carry_out(struct world *world, struct manager *manager, const struct procmgr_action *action)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    switch (action->type) {
    case PROCMGR_ACTION_PLAN:
        envelope.body_case = GEMEL__ENVELOPE__BODY_PLAN;
        envelope.plan = action->plan;
        send_to_control(world, manager, &envelope);
        break;
    case PROCMGR_ACTION_REPLY:
        envelope.request_id = action->reply.id;
        envelope.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REPLY;
        envelope.admin_reply = action->reply.message;
        story_decision(&world->story, "reply %d: %s%s", (int)action->reply.message->exit_code,
                       action->reply.message->message, action->reply.message->error);
        send_to_control(world, manager, &envelope);
        break;
    case PROCMGR_ACTION_STATUS:
        break;
    case PROCMGR_ACTION_LOG:
        story_decision(&world->story, "say '%s'", action->log.sentence);
        break;
    }
}

static void step(struct world *world, struct manager *manager, struct procmgr_event *event)
{
    event->now_ms = node_now_ms(world, manager->node);
    int result = procmgr_step(manager->core, event, &manager->actions);
    if (result != 0)
        judge_fail(world, "%s says that event %d makes no sense", manager->node->name, (int)event->type);
    for (size_t i = 0; i < manager->actions.count; i++)
        carry_out(world, manager, &manager->actions.items[i]);
    procmgr_actions_reset(&manager->actions);
    story_end(&world->story, world->now_us, manager->node->name);
    node_wake_at(world, manager->node, procmgr_next_wakeup_ms(manager->core));
}

static void run_ready(struct world *world, struct node *node, void *data)
{
    (void)data;
    process_say_ready(world, node, NULL);
}

static void start_manager(struct world *world, struct node *node)
{
    struct manager *manager = memory_alloc(sizeof *manager);
    node->state = manager;
    manager->node = node;
    manager->layout = sim_layout_make();
    procmgr_actions_init(&manager->actions);
    struct procmgr_config config = {.hang_timeout_ms = 1000, .query_timeout_ms = 30000, .gateway_port = 5010};
    snprintf(config.host, sizeof config.host, "%s", world->hosts[node->host].name);
    procmgr_create(&manager->core, &config);
    manager->control = network_dial(world, node, world->cluster->controls[node->host], CHANNEL_PLANE, 0);
    local_link_start(world, node, &manager->daemon, GEMEL__LINK_KIND__LINK_PROCESS, DAEMON_PROCMGR,
                     world->cluster->tokens[node->slot]);
    world_after(world, chance_between(&world->chance, 1, READY_MAX_US), node, run_ready, NULL);
}

static void stop_manager(struct world *world, struct node *node)
{
    (void)world;
    struct manager *manager = node->state;
    procmgr_destroy(&manager->core);
    procmgr_actions_fini(&manager->actions);
    layout_destroy(&manager->layout);
    memory_free(manager);
}

static void on_up(struct world *world, struct node *node, struct channel *channel)
{
    struct manager *manager = node->state;
    if (local_link_on_up(world, node, &manager->daemon, channel) || channel != manager->control)
        return;
    Gemel__ProcmgrHello hello = GEMEL__PROCMGR_HELLO__INIT;
    hello.host = (char *)(uintptr_t)world->hosts[node->host].name;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.body_case = GEMEL__ENVELOPE__BODY_PROCMGR_HELLO;
    envelope.procmgr_hello = &hello;
    send_to_control(world, manager, &envelope);
}

static void on_down(struct world *world, struct node *node, struct channel *channel)
{
    struct manager *manager = node->state;
    (void)local_link_on_down(world, node, &manager->daemon, channel);
}

static void on_envelope(struct world *world, struct manager *manager, const Gemel__Envelope *message)
{
    struct procmgr_event event = {0};
    tell_received(world, message);
    if (message->body_case == GEMEL__ENVELOPE__BODY_PLAN_INPUT) {
        event.type = PROCMGR_EVENT_INPUT;
        event.input.message = message->plan_input;
        event.input.layout = message->plan_input->revision > 0 ? manager->layout : NULL;
        step(world, manager, &event);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_ADMIN_REQUEST) {
        event.type = PROCMGR_EVENT_REQUEST;
        event.request.id = message->request_id;
        event.request.message = message->admin_request;
        step(world, manager, &event);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_PING) {
        Gemel__Pong pong = GEMEL__PONG__INIT;
        Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
        pong.sent_ms = message->ping->sent_ms;
        envelope.body_case = GEMEL__ENVELOPE__BODY_PONG;
        envelope.pong = &pong;
        send_to_control(world, manager, &envelope);
    }
}

static void on_bytes(struct world *world, struct node *node, struct channel *channel, const uint8_t *bytes, size_t size)
{
    struct manager *manager = node->state;
    if (local_link_on_bytes(world, node, &manager->daemon, channel, bytes, size))
        return;
    Gemel__Envelope *message = post_open(bytes, size);
    on_envelope(world, manager, message);
    post_free(message);
}

static void on_wakeup(struct world *world, struct node *node)
{
    struct procmgr_event event = {.type = PROCMGR_EVENT_TICK};
    story_fact(&world->story, "tick");
    step(world, node->state, &event);
}

const struct actor sim_procmgr_actor = {
    .kind = "procmgr",
    .start = start_manager,
    .stop = stop_manager,
    .on_up = on_up,
    .on_down = on_down,
    .on_bytes = on_bytes,
    .on_wakeup = on_wakeup,
};
