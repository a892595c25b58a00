#include "tests/sim/sim_gateway.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "gateway/core/gateway_core.h"
#include "tests/sim/cluster.h"
#include "tests/sim/local_link.h"
#include "tests/sim/post.h"
#include "tests/sim/sim_process.h"
#include "tests/sim/tell.h"

enum {
    US_PER_MS = 1000,
    READY_MIN_US = 5 * US_PER_MS,
    READY_MAX_US = 100 * US_PER_MS,
    UPSTREAMS_MAX = 64,
    CLIENTS_MAX = 16,
    SLOTS_MAX = 4096
};

struct upstream {
    struct channel *channel; /* NULL: none */
    uint32_t dial;
};

struct held {
    uint8_t *bytes; /* a whole frame; NULL: none */
    size_t size;
};

struct gateway {
    struct node *node;
    struct gateway_core *core;
    struct gateway_actions actions;
    struct local_link daemon;
    struct channel *controls[SIDES];
    struct channel *daemons[SIDES];
    struct upstream upstreams[UPSTREAMS_MAX];
    struct channel *clients[CLIENTS_MAX];
    struct held held[SLOTS_MAX];
    const uint8_t *incoming; /* the frame of this step */
    size_t incoming_size;
};

static void step(struct world *world, struct gateway *gateway, struct gateway_event *event);

/* ---- bodies */

static void release(struct gateway *gateway, uint32_t slot)
{
    if (slot == GATEWAY_NO_SLOT)
        return;
    ASSERT(slot < SLOTS_MAX);
    memory_free(gateway->held[slot].bytes);
    gateway->held[slot] = (struct held){0};
}

static void hold(struct gateway *gateway, uint32_t slot)
{
    release(gateway, slot);
    gateway->held[slot].bytes = memory_copy(gateway->incoming, gateway->incoming_size);
    gateway->held[slot].size = gateway->incoming_size;
}

/* Sends a frame under another request id. */
static void pass_frame(struct world *world, struct gateway *gateway, struct channel *channel, const uint8_t *bytes,
                       size_t size, uint64_t request_id)
{
    struct frame_header header;
    const uint8_t *body = NULL;
    post_read_frame(bytes, size, &header, &body);
    (void)post_frame(world, channel, gateway->node, header.type, request_id, body, header.body_bytes);
}

/* ---- actions */

static void connect_upstream(struct world *world, struct gateway *gateway, const struct gateway_action *action)
{
    ASSERT(action->link.process < UPSTREAMS_MAX);
    struct upstream *upstream = &gateway->upstreams[action->link.process];
    if (upstream->channel != NULL)
        network_close(world, upstream->channel, gateway->node);
    upstream->dial = action->link.link;
    upstream->channel = NULL;
    struct node *target = process_find_address(world, action->link.address);
    if (target != NULL)
        upstream->channel =
            network_dial(world, gateway->node, target, CHANNEL_LINK, (uint64_t)action->link.process + 1);
}

static void forward(struct world *world, struct gateway *gateway, const struct gateway_action *action)
{
    const struct upstream *upstream = &gateway->upstreams[action->link.process];
    if (action->link.first)
        hold(gateway, action->link.slot);
    const struct held *held = &gateway->held[action->link.slot];
    ASSERT(held->bytes != NULL);
    if (upstream->channel != NULL)
        pass_frame(world, gateway, upstream->channel, held->bytes, held->size, action->link.request_id);
}

static void close_upstream(struct world *world, struct gateway *gateway, const struct gateway_action *action)
{
    struct upstream *upstream = &gateway->upstreams[action->link.process];
    if (upstream->channel != NULL)
        network_close(world, upstream->channel, gateway->node);
    upstream->channel = NULL;
}

static void answer_client(struct world *world, struct gateway *gateway, const struct gateway_action *action)
{
    release(gateway, action->request.slot);
    struct channel *client = gateway->clients[action->request.client];
    if (client == NULL)
        return;
    enum tooth tooth = world->cluster->tooth;
    if (tooth == TOOTH_LOST_ANSWERS && chance_hits(&world->chance, 10))
        return;
    if (tooth == TOOTH_FAILED_QUERIES && chance_hits(&world->chance, 10)) {
        Gemel__Failure failure = GEMEL__FAILURE__INIT;
        (void)post_frame_message(world, client, gateway->node, FRAME_FAILURE, action->request.request_id,
                                 &failure.base);
        return;
    }
    pass_frame(world, gateway, client, gateway->incoming, gateway->incoming_size, action->request.request_id);
    if (tooth == TOOTH_DOUBLE_ANSWERS && chance_hits(&world->chance, 10))
        pass_frame(world, gateway, client, gateway->incoming, gateway->incoming_size, action->request.request_id);
}

static void fail_client(struct world *world, struct gateway *gateway, const struct gateway_action *action)
{
    release(gateway, action->request.slot);
    story_decision(&world->story, "FAIL a query: %s", action->request.failure->sentence);
    struct channel *client = gateway->clients[action->request.client];
    if (client != NULL)
        (void)post_frame_message(world, client, gateway->node, FRAME_FAILURE, action->request.request_id,
                                 &action->request.failure->base);
}

/* The messages to daemons and controls. */
static void send_plane(struct world *world, struct gateway *gateway, const struct gateway_action *action)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    Gemel__Subscribe subscribe = GEMEL__SUBSCRIBE__INIT;
    Gemel__Ping ping = GEMEL__PING__INIT;
    Gemel__GatewayHello hello = GEMEL__GATEWAY_HELLO__INIT;
    Gemel__StaleEpoch stale = GEMEL__STALE_EPOCH__INIT;
    struct channel *to = NULL;
    if (action->type == GATEWAY_ACTION_SUBSCRIBE) {
        to = gateway->daemons[action->host];
        subscribe.process = gateway->node->name;
        envelope.body_case = GEMEL__ENVELOPE__BODY_SUBSCRIBE;
        envelope.subscribe = &subscribe;
    } else if (action->type == GATEWAY_ACTION_PING_DAEMON) {
        to = gateway->daemons[action->host];
        envelope.body_case = GEMEL__ENVELOPE__BODY_PING;
        envelope.ping = &ping;
    } else if (action->type == GATEWAY_ACTION_HELLO) {
        to = gateway->controls[action->control.control];
        hello.process = gateway->node->name;
        hello.route_version = action->control.route_version;
        envelope.body_case = GEMEL__ENVELOPE__BODY_GATEWAY_HELLO;
        envelope.gateway_hello = &hello;
    } else if (action->type == GATEWAY_ACTION_REPORT) {
        to = gateway->controls[action->control.control];
        envelope.body_case = GEMEL__ENVELOPE__BODY_ROUTE_REPORT;
        envelope.route_report = (Gemel__RouteReport *)(uintptr_t)action->control.report;
    } else {
        to = gateway->controls[action->control.control];
        stale.epoch_now = action->control.epoch;
        envelope.body_case = GEMEL__ENVELOPE__BODY_STALE_EPOCH;
        envelope.stale_epoch = &stale;
    }
    tell_sent(world, to->listener, &envelope);
    (void)post_envelope(world, to, gateway->node, &envelope);
}

static void carry_out(struct world *world, struct gateway *gateway, const struct gateway_action *action)
{
    switch (action->type) {
    case GATEWAY_ACTION_CONNECT:
        story_decision(&world->story, "dial %s", action->link.name);
        connect_upstream(world, gateway, action);
        break;
    case GATEWAY_ACTION_CLOSE:
        close_upstream(world, gateway, action);
        break;
    case GATEWAY_ACTION_PING:
    case GATEWAY_ACTION_CANCEL:
        if (gateway->upstreams[action->link.process].channel != NULL)
            (void)post_frame(world, gateway->upstreams[action->link.process].channel, gateway->node,
                             action->type == GATEWAY_ACTION_PING ? FRAME_PING : FRAME_CANCEL, action->link.request_id,
                             NULL, 0);
        break;
    case GATEWAY_ACTION_FORWARD:
        forward(world, gateway, action);
        break;
    case GATEWAY_ACTION_HOLD:
        hold(gateway, action->request.slot);
        break;
    case GATEWAY_ACTION_ANSWER:
        answer_client(world, gateway, action);
        break;
    case GATEWAY_ACTION_FAIL:
        fail_client(world, gateway, action);
        break;
    case GATEWAY_ACTION_RELEASE:
        release(gateway, action->request.slot);
        break;
    case GATEWAY_ACTION_LOOKUP_REPLY:
    case GATEWAY_ACTION_ADMIN_REPLY:
        break;
    case GATEWAY_ACTION_SUBSCRIBE:
    case GATEWAY_ACTION_PING_DAEMON:
    case GATEWAY_ACTION_HELLO:
    case GATEWAY_ACTION_REPORT:
    case GATEWAY_ACTION_STALE_EPOCH:
        send_plane(world, gateway, action);
        break;
    case GATEWAY_ACTION_SAVE_EPOCH:
        world->cluster->gateway_epochs[gateway->node->slot] = action->control.epoch;
        break;
    case GATEWAY_ACTION_LOG:
        story_decision(&world->story, "say '%s'", action->log.sentence);
        break;
    }
}

static void step(struct world *world, struct gateway *gateway, struct gateway_event *event)
{
    event->now_ms = node_now_ms(world, gateway->node);
    int result = gateway_core_step(gateway->core, event, &gateway->actions);
    if (result != 0)
        judge_fail(world, "%s: the gateway says that event %d makes no sense", gateway->node->name, (int)event->type);
    for (size_t i = 0; i < gateway->actions.count; i++)
        carry_out(world, gateway, &gateway->actions.items[i]);
    gateway_actions_reset(&gateway->actions);
    story_end(&world->story, world->now_us, gateway->node->name);
    node_wake_at(world, gateway->node, gateway_core_next_wakeup_ms(gateway->core));
}

/* ---- life */

static void run_ready(struct world *world, struct node *node, void *data)
{
    (void)data;
    char address[PROCESS_ADDRESS_BYTES];
    process_address(world, node, address);
    process_say_ready(world, node, address);
}

static void start_gateway(struct world *world, struct node *node)
{
    struct cluster *cluster = world->cluster;
    struct gateway *gateway = memory_alloc(sizeof *gateway);
    node->state = gateway;
    gateway->node = node;
    cluster->started_us[node->slot] = world->now_us;
    gateway_actions_init(&gateway->actions);
    const char *hosts[SIDES] = {world->hosts[HOST_A].name, world->hosts[HOST_B].name};
    struct gateway_config config = {
        .name = node->name,
        .host_count = SIDES,
        .hosts = hosts,
        .control_count = SIDES,
        .startup_timeout_ms = GATEWAY_STARTUP_MS,
        .epoch_seen = cluster->gateway_epochs[node->slot],
        .requests_max = SLOTS_MAX,
    };
    int result = gateway_core_create(&gateway->core, &config);
    ASSERT(result == 0);
    for (int host = 0; host < SIDES; host++) {
        gateway->controls[host] = network_dial(world, node, cluster->controls[host], CHANNEL_PLANE, (uint64_t)host);
        gateway->daemons[host] = network_dial(world, node, cluster->daemons[host], CHANNEL_PLANE, (uint64_t)host);
    }
    local_link_start(world, node, &gateway->daemon, GEMEL__LINK_KIND__LINK_GATEWAY, node->name,
                     cluster->tokens[node->slot]);
    world_after(world, chance_between(&world->chance, READY_MIN_US, READY_MAX_US), node, run_ready, NULL);
    node_wake_at(world, node, gateway_core_next_wakeup_ms(gateway->core));
}

static void stop_gateway(struct world *world, struct node *node)
{
    (void)world;
    struct gateway *gateway = node->state;
    for (uint32_t slot = 0; slot < SLOTS_MAX; slot++)
        memory_free(gateway->held[slot].bytes);
    gateway_core_destroy(&gateway->core);
    gateway_actions_fini(&gateway->actions);
    memory_free(gateway);
}

/* ---- connections */

static void on_plane_state(struct world *world, struct gateway *gateway, const struct channel *channel, bool up)
{
    struct gateway_event event = {0};
    uint32_t number = (uint32_t)channel->dialler_tag;
    bool is_control = channel == gateway->controls[number];
    story_fact(&world->story, "%s is %s", channel->listener->name, up ? "connected" : "not connected");
    if (is_control) {
        event.type = up ? GATEWAY_EVENT_CONTROL_UP : GATEWAY_EVENT_CONTROL_DOWN;
        event.control.control = number;
    } else {
        event.type = up ? GATEWAY_EVENT_DAEMON_UP : GATEWAY_EVENT_DAEMON_DOWN;
        event.daemon.host = number;
    }
    step(world, gateway, &event);
}

static void accept_client(struct world *world, struct gateway *gateway, struct channel *channel)
{
    for (uint32_t client = 0; client < CLIENTS_MAX; client++) {
        if (gateway->clients[client] != NULL)
            continue;
        gateway->clients[client] = channel;
        channel_set_tag(channel, gateway->node, client);
        struct gateway_event event = {.type = GATEWAY_EVENT_CLIENT_OPEN, .client = {.client = client}};
        step(world, gateway, &event);
        return;
    }
    network_close(world, channel, gateway->node);
}

static void on_up(struct world *world, struct node *node, struct channel *channel)
{
    struct gateway *gateway = node->state;
    if (local_link_on_up(world, node, &gateway->daemon, channel))
        return;
    if (channel->kind == CHANNEL_PLANE)
        on_plane_state(world, gateway, channel, true);
    else if (channel->listener == node)
        accept_client(world, gateway, channel);
}

static void on_down(struct world *world, struct node *node, struct channel *channel)
{
    struct gateway *gateway = node->state;
    struct gateway_event event = {0};
    if (local_link_on_down(world, node, &gateway->daemon, channel))
        return;
    if (channel->kind == CHANNEL_PLANE) {
        on_plane_state(world, gateway, channel, false);
        return;
    }
    if (channel->listener == node) {
        event.type = GATEWAY_EVENT_CLIENT_CLOSED;
        event.client.client = (uint32_t)channel->listener_tag;
        gateway->clients[channel->listener_tag] = NULL;
        story_fact(&world->story, "client is gone");
        step(world, gateway, &event);
        return;
    }
    uint32_t process = (uint32_t)channel->dialler_tag - 1;
    if (gateway->upstreams[process].channel != channel)
        return;
    if (world->cluster->tooth == TOOTH_DEAF_GATEWAY)
        return;
    gateway->upstreams[process].channel = NULL;
    event.type = GATEWAY_EVENT_LINK_CLOSED;
    event.link.process = process;
    event.link.link = gateway->upstreams[process].dial;
    event.link.why = "connection closed by the process";
    story_fact(&world->story, "link to %s closed", channel->listener->name);
    step(world, gateway, &event);
}

/* ---- frames */

static void on_client_frame(struct world *world, struct gateway *gateway, struct channel *channel,
                            const struct frame_header *header, const uint8_t *body)
{
    uint32_t client = (uint32_t)channel->listener_tag;
    if (header->type == FRAME_PING) {
        (void)post_frame(world, channel, gateway->node, FRAME_PONG, header->request_id, NULL, 0);
        return;
    }
    struct frame_route route = {0};
    if (header->type != FRAME_QUERY || frame_route_decode(body, header->body_bytes, &route) != 0)
        return;
    struct gateway_event event = {.type = GATEWAY_EVENT_QUERY};
    event.query.client = client;
    event.query.request_id = header->request_id;
    event.query.target = route.name;
    event.query.target_bytes = route.name_bytes;
    event.query.timeout_ms = route.timeout_ms;
    event.query.body_bytes = header->body_bytes;
    event.query.fingerprint = (uint64_t)header->body_bytes << 32 | header->body_crc32c;
    event.query.idempotent = header->idempotent;
    story_fact(&world->story, "query %" PRIu64, header->request_id);
    step(world, gateway, &event);
}

static void on_upstream_frame(struct world *world, struct gateway *gateway, struct channel *channel,
                              const struct frame_header *header, const uint8_t *body)
{
    uint32_t process = (uint32_t)channel->dialler_tag - 1;
    const struct upstream *upstream = &gateway->upstreams[process];
    if (upstream->channel != channel)
        return;
    struct gateway_event event = {.link = {.process = process, .link = upstream->dial}};
    event.link.request_id = header->request_id;
    ProtobufCMessage *hello = NULL;
    if (header->type == FRAME_HELLO) {
        int result = wire_unpack(&gemel__link_hello__descriptor, body, header->body_bytes, &hello);
        ASSERT(result == 0);
        const Gemel__LinkHello *peer = (const Gemel__LinkHello *)hello;
        event.type = GATEWAY_EVENT_LINK_OPEN;
        event.link.peer = peer->name;
        event.link.token = (struct token){.placement = peer->placement, .start = peer->start};
        story_fact(&world->story, "link to %s open", channel->listener->name);
    } else if (header->type == FRAME_PONG) {
        event.type = GATEWAY_EVENT_LINK_PONG;
        story_fact(&world->story, "pong of %s", channel->listener->name);
    } else {
        event.type = GATEWAY_EVENT_LINK_ANSWER;
        story_fact(&world->story, "answer of %s", channel->listener->name);
    }
    step(world, gateway, &event);
    wire_free(hello);
}

static void on_envelope(struct world *world, struct gateway *gateway, const struct channel *channel,
                        const Gemel__Envelope *message)
{
    struct gateway_event event = {0};
    uint32_t number = (uint32_t)channel->dialler_tag;
    tell_received(world, message);
    if (message->body_case == GEMEL__ENVELOPE__BODY_PING) {
        Gemel__Pong pong = GEMEL__PONG__INIT;
        Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
        pong.sent_ms = message->ping->sent_ms;
        envelope.body_case = GEMEL__ENVELOPE__BODY_PONG;
        envelope.pong = &pong;
        (void)post_envelope(world, (struct channel *)(uintptr_t)channel, gateway->node, &envelope);
        return;
    }
    if (message->body_case == GEMEL__ENVELOPE__BODY_ROUTES) {
        event.type = GATEWAY_EVENT_ROUTES;
        event.control.control = number;
        event.control.epoch = message->epoch;
        event.control.routes = message->routes;
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_PONG ||
               message->body_case == GEMEL__ENVELOPE__BODY_PROCESS_REPORTS) {
        bool is_pong = message->body_case == GEMEL__ENVELOPE__BODY_PONG;
        event.type = is_pong ? GATEWAY_EVENT_DAEMON_PONG : GATEWAY_EVENT_DAEMON_REPORTS;
        event.daemon.host = number;
        event.daemon.incarnation = message->incarnation;
        event.daemon.reports = is_pong ? NULL : message->process_reports;
        if (!is_pong && world->cluster->tooth == TOOTH_DEAF_GATEWAY && !message->process_reports->full)
            return;
    } else {
        return;
    }
    step(world, gateway, &event);
}

static void on_bytes(struct world *world, struct node *node, struct channel *channel, const uint8_t *bytes, size_t size)
{
    struct gateway *gateway = node->state;
    if (local_link_on_bytes(world, node, &gateway->daemon, channel, bytes, size))
        return;
    if (channel->kind == CHANNEL_PLANE) {
        Gemel__Envelope *message = post_open(bytes, size);
        on_envelope(world, gateway, channel, message);
        post_free(message);
        return;
    }
    struct frame_header header;
    const uint8_t *body = NULL;
    post_read_frame(bytes, size, &header, &body);
    gateway->incoming = bytes;
    gateway->incoming_size = size;
    if (channel->listener == node)
        on_client_frame(world, gateway, channel, &header, body);
    else
        on_upstream_frame(world, gateway, channel, &header, body);
    gateway->incoming = NULL;
}

static void on_wakeup(struct world *world, struct node *node)
{
    struct gateway_event event = {.type = GATEWAY_EVENT_TICK};
    story_fact(&world->story, "tick");
    step(world, node->state, &event);
}

const struct actor sim_gateway_actor = {
    .kind = "gateway",
    .start = start_gateway,
    .stop = stop_gateway,
    .on_up = on_up,
    .on_down = on_down,
    .on_bytes = on_bytes,
    .on_wakeup = on_wakeup,
};

uint32_t sim_gateway_primary(const struct node *node, const char *route)
{
    return gateway_core_primary(((const struct gateway *)node->state)->core, route);
}

bool sim_gateway_is_registered(const struct node *node, const char *process)
{
    return gateway_core_is_registered(((const struct gateway *)node->state)->core, process);
}
