#include "gateway/relay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/loop/clock.h"
#include "common/net/link.h"

enum {
    REFUSED_LOG_EVERY_MS = 10000,
    PENDING_MAX = 64 /* first size of the list of facts that carrying out actions has brought */
};

/* A client's link; its position is the number that the core knows. */
struct client {
    struct relay *relay;
    uint32_t number;
    uint32_t next_free;
    struct link *link; /* NULL: free */
};

/* The link to a process; its position is the number that the core gave. */
struct upstream {
    struct relay *relay;
    uint32_t process;
    uint32_t dial;     /* number of the dial, by the core */
    struct link *link; /* NULL: none */
};

/* The query of a slot, as it came. */
struct held {
    uint8_t *body;
    uint32_t capacity;
    struct frame_header header;
};

struct relay {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_prepare_t prepare;
    unsigned handle_count; /* of these that are not closed */
    int64_t armed_ms;      /* when the timer fires; INT64_MAX: it is stopped */
    struct link_server *server;
    struct link_self self;
    char name[PROCESS_NAME_BYTES];
    bool is_forwarder;
    void (*on_action)(void *owner, const struct gateway_action *action);
    void *owner;

    struct gateway_core *core;
    struct gateway_actions actions;
    struct gateway_event *pending; /* facts that come of carrying out actions, for the next step */
    size_t pending_count;
    size_t pending_capacity;

    const struct frame_header *incoming; /* the frame that is being handled; NULL: none */
    const uint8_t *incoming_body;

    struct client **clients;
    uint32_t client_count;
    uint32_t client_free; /* UINT32_MAX: none */
    struct upstream **upstreams;
    uint32_t upstream_count;
    struct held *held;
    uint32_t held_count;
    struct log_limit strange_limit;
    struct log_limit refused_limit;
    uint64_t refused_seen; /* of the server's count */
};

static void step_once(struct relay *relay, struct gateway_event *event);

/* Carrying out actions must not step the core: what comes of it waits here. */
static void push(struct relay *relay, const struct gateway_event *event)
{
    if (relay->pending_count == relay->pending_capacity) {
        relay->pending_capacity = relay->pending_capacity == 0 ? PENDING_MAX : relay->pending_capacity * 2;
        relay->pending = memory_resize(relay->pending, relay->pending_capacity * sizeof *relay->pending);
    }
    relay->pending[relay->pending_count++] = *event;
}

/* ---- bodies ---- */

static struct held *held_at(struct relay *relay, uint32_t slot)
{
    if (slot >= relay->held_count) {
        uint32_t count = relay->held_count == 0 ? 256 : relay->held_count;
        while (count <= slot)
            count *= 2;
        relay->held = memory_resize(relay->held, count * sizeof *relay->held);
        memset(relay->held + relay->held_count, 0, (count - relay->held_count) * sizeof *relay->held);
        relay->held_count = count;
    }
    return &relay->held[slot];
}

/* Keeps the frame that is being handled. */
static void hold(struct relay *relay, uint32_t slot)
{
    struct held *held = held_at(relay, slot);
    held->header = *relay->incoming;
    if (held->capacity < held->header.body_bytes) {
        held->body = memory_resize(held->body, held->header.body_bytes);
        held->capacity = held->header.body_bytes;
    }
    if (held->header.body_bytes > 0)
        memcpy(held->body, relay->incoming_body, held->header.body_bytes);
}

static void release(struct relay *relay, uint32_t slot)
{
    if (slot >= relay->held_count || relay->held[slot].capacity <= RELAY_BODY_KEPT_BYTES)
        return;
    memory_free(relay->held[slot].body);
    relay->held[slot] = (struct held){0};
}

/* ---- clients ---- */

static void free_client(struct client *client)
{
    client->link = NULL;
    client->next_free = client->relay->client_free;
    client->relay->client_free = client->number;
}

/* The client is closed by us: its answers do not go out. */
static void drop_client(struct relay *relay, struct client *client, const char *why)
{
    log_warn("Client is closed [ Client: %s ] [ Reason: %s ]", link_peer_address(client->link), why);
    link_close(client->link);
    client->link = NULL; /* its number is free only when the core has heard of it */
    push(relay, &(struct gateway_event){.type = GATEWAY_EVENT_CLIENT_CLOSED, .client = {.client = client->number}});
}

static void after_send(struct relay *relay, struct client *client, int result)
{
    if (result == -EAGAIN || (result == 0 && link_queued_bytes(client->link) > RELAY_CLIENT_QUEUE_BYTES_MAX))
        drop_client(relay, client, "it does not take its answers");
}

static struct client *client_at(struct relay *relay, uint32_t number)
{
    ASSERT(number < relay->client_count);
    return relay->clients[number];
}

static void send_to_client(struct relay *relay, uint32_t number, enum frame_type type, uint64_t request_id,
                           const ProtobufCMessage *message)
{
    struct client *client = client_at(relay, number);
    if (client->link != NULL)
        after_send(relay, client, link_send_message(client->link, type, request_id, message));
}

static void pass_answer(struct relay *relay, const struct gateway_action *action)
{
    struct client *client = client_at(relay, action->request.client);
    release(relay, action->request.slot);
    if (client->link == NULL)
        return;
    struct frame_header header = *relay->incoming;
    header.request_id = action->request.request_id;
    if (!relay->is_forwarder)
        header.epoch = action->request.epoch;
    after_send(relay, client, link_send_frame(client->link, &header, relay->incoming_body));
}

static void on_client_open(void *owner, struct link *link)
{
    struct relay *relay = owner;
    struct client *client;
    if (relay->client_free != UINT32_MAX) {
        client = relay->clients[relay->client_free];
        relay->client_free = client->next_free;
    } else if (relay->client_count < GATEWAY_CLIENTS_MAX) {
        client = memory_alloc(sizeof *client);
        *client = (struct client){.relay = relay, .number = relay->client_count};
        if (relay->client_count % 64 == 0)
            relay->clients = memory_resize(relay->clients, (relay->client_count + 64) * sizeof(struct client *));
        relay->clients[relay->client_count++] = client;
    } else {
        link_close(link);
        return;
    }
    client->link = link;
    link_set_owner(link, client);
    relay_step(relay, &(struct gateway_event){.type = GATEWAY_EVENT_CLIENT_OPEN, .client = {.client = client->number}});
}

static void on_client_close(void *owner, struct link *link, int reason, const char *why)
{
    struct client *client = owner;
    struct relay *relay = client->relay;
    if (reason != 0)
        log_info("Client link has ended [ Client: %s ] [ Reason: %s ]", link_peer_address(link), why);
    client->link = NULL;
    relay_step(relay,
               &(struct gateway_event){.type = GATEWAY_EVENT_CLIENT_CLOSED, .client = {.client = client->number}});
}

/* ---- frames of clients ---- */

static void refuse_frame(struct client *client, const struct frame_header *header, int code, const char *sentence)
{
    struct relay *relay = client->relay;
    uint64_t dropped;
    if (log_allowed(&relay->strange_limit, clock_now_ms(), REFUSED_LOG_EVERY_MS, &dropped))
        log_warn("Frame is refused [ Client: %s ] [ Type: %d ] [ Reason: %s ] [ Before: %llu ]",
                 link_peer_address(client->link), (int)header->type, sentence, (unsigned long long)dropped);
    Gemel__Failure failure = GEMEL__FAILURE__INIT;
    failure.code = code;
    failure.sentence = (char *)sentence;
    after_send(relay, client, link_send_message(client->link, FRAME_FAILURE, header->request_id, &failure.base));
}

static void take_query(struct client *client, const struct frame_header *header, const uint8_t *body)
{
    struct frame_route route = {0};
    /* A forwarder sends look-ups and commands on as they are; only queries have a route in front. */
    if (header->type == FRAME_QUERY && frame_route_decode(body, header->body_bytes, &route) != 0) {
        refuse_frame(client, header, -EBADMSG, "the query has no proper target in front of its payload");
        return;
    }
    struct gateway_event event = {
        .type = GATEWAY_EVENT_QUERY,
        .query =
            {
                .client = client->number,
                .request_id = header->request_id,
                .target = route.name != NULL ? route.name : "",
                .target_bytes = route.name_bytes,
                .timeout_ms = route.timeout_ms,
                .body_bytes = header->body_bytes,
                .fingerprint = (uint64_t)header->body_bytes << 32 | header->body_crc32c,
                .idempotent = header->idempotent || header->type == FRAME_LOOKUP,
            },
    };
    step_once(client->relay, &event);
}

static void take_lookup(struct client *client, const struct frame_header *header, const uint8_t *body)
{
    ProtobufCMessage *message;
    if (wire_unpack(&gemel__lookup__descriptor, body, header->body_bytes, &message) != 0) {
        refuse_frame(client, header, -EBADMSG, "the look-up is malformed");
        return;
    }
    const Gemel__Lookup *lookup = (const Gemel__Lookup *)message;
    if (client->relay->is_forwarder && lookup->watch)
        refuse_frame(client, header, -ENOTSUP, "a forwarder watches no look-ups; ask a gateway");
    else if (client->relay->is_forwarder)
        take_query(client, header, body);
    else
        step_once(client->relay,
                  &(struct gateway_event){
                      .type = GATEWAY_EVENT_LOOKUP,
                      .lookup = {.client = client->number, .request_id = header->request_id, .lookup = lookup}});
    wire_free(message);
}

static void take_admin(struct client *client, const struct frame_header *header, const uint8_t *body)
{
    if (client->relay->is_forwarder) {
        take_query(client, header, body);
        return;
    }
    ProtobufCMessage *message;
    if (wire_unpack(&gemel__admin_request__descriptor, body, header->body_bytes, &message) != 0) {
        refuse_frame(client, header, -EBADMSG, "the command is malformed");
        return;
    }
    struct gateway_event event = {
        .type = GATEWAY_EVENT_ADMIN,
        .admin =
            {
                .origin = {.id = client->number, .request_id = header->request_id},
                .request = (const Gemel__AdminRequest *)message,
                .wall_ns = clock_wall_ns(),
            },
    };
    step_once(client->relay, &event);
    wire_free(message);
}

static void on_client_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct client *client = owner;
    struct relay *relay = client->relay;
    if (client->link == NULL)
        return;
    relay->incoming = header;
    relay->incoming_body = body;
    switch (header->type) {
    case FRAME_QUERY:
        take_query(client, header, body);
        break;
    case FRAME_CANCEL:
        step_once(relay,
                  &(struct gateway_event){.type = GATEWAY_EVENT_CANCEL,
                                          .client = {.client = client->number, .request_id = header->request_id}});
        break;
    case FRAME_LOOKUP:
        take_lookup(client, header, body);
        break;
    case FRAME_ADMIN:
        take_admin(client, header, body);
        break;
    case FRAME_PING:
        after_send(relay, client, link_send(link, FRAME_PONG, header->request_id, NULL, 0));
        break;
    case FRAME_PONG:
        break;
    case FRAME_HELLO:
    case FRAME_ANSWER:
    case FRAME_FAILURE:
    case FRAME_LOOKUP_REPLY:
    case FRAME_ADMIN_REPLY:
    case FRAME_PUBLISH:
    case FRAME_PUBLISHED:
    case FRAME_SUBSCRIBE:
    case FRAME_BATCH:
    case FRAME_CAUGHT_UP:
        refuse_frame(client, header, -EPROTO, "a gateway takes queries, cancels, look-ups and commands");
        break;
    }
    relay->incoming = NULL;
    relay_step(relay, NULL);
}

static const struct link_handlers client_handlers = {
    .on_open = on_client_open,
    .on_frame = on_client_frame,
    .on_close = on_client_close,
};

/* ---- upstream ---- */

static struct gateway_event link_event(const struct upstream *upstream, enum gateway_event_type type)
{
    return (struct gateway_event){.type = type, .link = {.process = upstream->process, .link = upstream->dial}};
}

static void on_upstream_open(void *owner, struct link *link)
{
    struct upstream *upstream = owner;
    const Gemel__LinkHello *peer = link_peer(link);
    struct gateway_event event = link_event(upstream, GATEWAY_EVENT_LINK_OPEN);
    event.link.peer = peer->name;
    event.link.token = (struct token){.placement = peer->placement, .start = peer->start};
    event.link.blocks_while_busy = peer->blocks_while_busy;
    relay_step(upstream->relay, &event);
}

static void on_upstream_close(void *owner, struct link *link, int reason, const char *why)
{
    struct upstream *upstream = owner;
    (void)link;
    upstream->link = NULL;
    struct gateway_event event = link_event(upstream, GATEWAY_EVENT_LINK_CLOSED);
    event.link.why = reason == 0 ? "connection closed by the process" : why;
    relay_step(upstream->relay, &event);
}

static void on_upstream_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct upstream *upstream = owner;
    struct relay *relay = upstream->relay;
    if (upstream->link == NULL)
        return;
    bool reply = header->type == FRAME_ANSWER || header->type == FRAME_FAILURE;
    reply = reply || (relay->is_forwarder && (header->type == FRAME_LOOKUP_REPLY || header->type == FRAME_ADMIN_REPLY));
    struct gateway_event event = link_event(upstream, GATEWAY_EVENT_LINK_ANSWER);
    event.link.request_id = header->request_id;
    relay->incoming = header;
    relay->incoming_body = body;
    if (reply) {
        step_once(relay, &event);
    } else if (header->type == FRAME_PONG) {
        event.type = GATEWAY_EVENT_LINK_PONG;
        step_once(relay, &event);
    } else if (header->type == FRAME_PING) {
        link_send(link, FRAME_PONG, header->request_id, NULL, 0);
    }
    relay->incoming = NULL;
    relay_step(relay, NULL);
}

static const struct link_handlers upstream_handlers = {
    .on_open = on_upstream_open,
    .on_frame = on_upstream_frame,
    .on_close = on_upstream_close,
};

static struct upstream *upstream_at(struct relay *relay, uint32_t process)
{
    while (relay->upstream_count <= process) {
        struct upstream *upstream = memory_alloc(sizeof *upstream);
        *upstream = (struct upstream){.relay = relay, .process = relay->upstream_count};
        if (relay->upstream_count % 64 == 0)
            relay->upstreams =
                memory_resize(relay->upstreams, (relay->upstream_count + 64) * sizeof(struct upstream *));
        relay->upstreams[relay->upstream_count++] = upstream;
    }
    return relay->upstreams[process];
}

static void connect_upstream(struct relay *relay, const struct gateway_action *action)
{
    struct upstream *upstream = upstream_at(relay, action->link.process);
    struct error error;
    upstream->dial = action->link.link;
    if (upstream->link != NULL)
        link_close(upstream->link);
    upstream->link = NULL;
    int result = link_connect(&upstream->link, relay->loop, action->link.address, &relay->self, &upstream_handlers,
                              upstream, &error);
    if (result == 0)
        return;
    uint64_t dropped;
    if (log_allowed(&relay->strange_limit, clock_now_ms(), REFUSED_LOG_EVERY_MS, &dropped))
        log_error("Process cannot be dialled [ Process: %s ] [ Reason: %s ]", action->link.name, error.sentence);
    struct gateway_event event = link_event(upstream, GATEWAY_EVENT_LINK_CLOSED);
    event.link.why = uv_strerror(result);
    push(relay, &event);
}

static void forward(struct relay *relay, const struct gateway_action *action)
{
    struct upstream *upstream = upstream_at(relay, action->link.process);
    const uint8_t *body;
    struct frame_header header;
    if (action->link.first) {
        header = *relay->incoming;
        body = relay->incoming_body;
        if (header.idempotent || header.type == FRAME_LOOKUP)
            hold(relay, action->link.slot);
    } else {
        const struct held *held = held_at(relay, action->link.slot);
        header = held->header;
        body = held->body;
    }
    header.request_id = action->link.request_id;
    /* A link that is closing says so by itself, and the core sends the query elsewhere then. */
    if (upstream->link == NULL || link_send_frame(upstream->link, &header, body) != -EAGAIN)
        return;
    struct gateway_event event = link_event(upstream, GATEWAY_EVENT_LINK_FULL);
    event.link.request_id = action->link.request_id;
    push(relay, &event);
}

static void close_upstream(struct relay *relay, const struct gateway_action *action)
{
    struct upstream *upstream = upstream_at(relay, action->link.process);
    if (upstream->link != NULL)
        link_close(upstream->link);
    upstream->link = NULL;
}

static void send_upstream(struct relay *relay, const struct gateway_action *action, enum frame_type type)
{
    struct upstream *upstream = upstream_at(relay, action->link.process);
    if (upstream->link != NULL)
        link_send(upstream->link, type, action->link.request_id, NULL, 0);
}

/* ---- actions ---- */

static void log_sentence(const struct gateway_action *action)
{
    switch (action->log.level) {
    case GATEWAY_LOG_INFO:
        log_info("%s", action->log.sentence);
        break;
    case GATEWAY_LOG_WARN:
        log_warn("%s", action->log.sentence);
        break;
    case GATEWAY_LOG_ERROR:
        log_error("%s", action->log.sentence);
        break;
    }
}

static void reply_admin(struct relay *relay, const struct gateway_action *action)
{
    if (action->admin.origin.is_control)
        relay->on_action(relay->owner, action);
    else
        send_to_client(relay, action->admin.origin.id, FRAME_ADMIN_REPLY, action->admin.origin.request_id,
                       &action->admin.reply->base);
}

static void carry_out(struct relay *relay, const struct gateway_action *action)
{
    switch (action->type) {
    case GATEWAY_ACTION_CONNECT:
        connect_upstream(relay, action);
        break;
    case GATEWAY_ACTION_CLOSE:
        close_upstream(relay, action);
        break;
    case GATEWAY_ACTION_PING:
        send_upstream(relay, action, FRAME_PING);
        break;
    case GATEWAY_ACTION_FORWARD:
        forward(relay, action);
        break;
    case GATEWAY_ACTION_CANCEL:
        send_upstream(relay, action, FRAME_CANCEL);
        break;
    case GATEWAY_ACTION_HOLD:
        hold(relay, action->request.slot);
        break;
    case GATEWAY_ACTION_ANSWER:
        pass_answer(relay, action);
        break;
    case GATEWAY_ACTION_FAIL:
        release(relay, action->request.slot);
        send_to_client(relay, action->request.client, FRAME_FAILURE, action->request.request_id,
                       &action->request.failure->base);
        break;
    case GATEWAY_ACTION_RELEASE:
        release(relay, action->request.slot);
        break;
    case GATEWAY_ACTION_LOOKUP_REPLY:
        send_to_client(relay, action->lookup.client, FRAME_LOOKUP_REPLY, action->lookup.request_id,
                       &action->lookup.reply->base);
        break;
    case GATEWAY_ACTION_ADMIN_REPLY:
        reply_admin(relay, action);
        break;
    case GATEWAY_ACTION_SUBSCRIBE:
    case GATEWAY_ACTION_PING_DAEMON:
    case GATEWAY_ACTION_HELLO:
    case GATEWAY_ACTION_REPORT:
    case GATEWAY_ACTION_STALE_EPOCH:
    case GATEWAY_ACTION_SAVE_EPOCH:
        if (relay->on_action != NULL)
            relay->on_action(relay->owner, action);
        break;
    case GATEWAY_ACTION_LOG:
        log_sentence(action);
        break;
    }
}

static void step_once(struct relay *relay, struct gateway_event *event)
{
    event->now_ms = clock_now_ms();
    int result = gateway_core_step(relay->core, event, &relay->actions);
    if (result != 0)
        log_error("Event makes no sense to the gateway [ Event: %d ] [ Error: %s ]", (int)event->type,
                  uv_strerror(result));
    for (size_t i = 0; i < relay->actions.count; i++)
        carry_out(relay, &relay->actions.items[i]);
    gateway_actions_reset(&relay->actions);
    if (event->type == GATEWAY_EVENT_CLIENT_CLOSED && result == 0)
        free_client(relay->clients[event->client.client]);
}

/* With NULL: only what is pending. */
void relay_step(struct relay *relay, struct gateway_event *event)
{
    if (event != NULL)
        step_once(relay, event);
    for (size_t i = 0; i < relay->pending_count; i++) {
        struct gateway_event next = relay->pending[i];
        step_once(relay, &next);
    }
    relay->pending_count = 0;
}

/* ---- time ---- */

/* Garbage, silence and too many connections are closed by the server itself: here they are named. */
static void log_refused(struct relay *relay)
{
    uint64_t count = link_server_refused_count(relay->server);
    uint64_t dropped;
    if (count == relay->refused_seen ||
        !log_allowed(&relay->refused_limit, clock_now_ms(), REFUSED_LOG_EVERY_MS, &dropped))
        return;
    log_warn("Connections were refused before a valid hello [ New: %llu ] [ All: %llu ]",
             (unsigned long long)(count - relay->refused_seen), (unsigned long long)count);
    relay->refused_seen = count;
}

static void on_timer(uv_timer_t *timer)
{
    struct relay *relay = timer->data;
    relay->armed_ms = INT64_MAX;
    log_refused(relay);
    relay_step(relay, &(struct gateway_event){.type = GATEWAY_EVENT_TICK});
}

/* Before the loop sleeps: when shall it wake up? */
static void on_prepare(uv_prepare_t *prepare)
{
    struct relay *relay = prepare->data;
    int64_t wakeup_ms = gateway_core_next_wakeup_ms(relay->core);
    if (wakeup_ms == relay->armed_ms)
        return;
    relay->armed_ms = wakeup_ms;
    if (wakeup_ms == INT64_MAX) {
        uv_timer_stop(&relay->timer);
        return;
    }
    int64_t now_ms = clock_now_ms();
    uv_update_time(relay->loop);
    uv_timer_start(&relay->timer, on_timer, wakeup_ms > now_ms ? (uint64_t)(wakeup_ms - now_ms) : 0, 0);
}

/* ---- create and destroy ---- */

/* Both handles live in the relay: the last one to close releases it. */
static void on_handle_closed(uv_handle_t *handle)
{
    struct relay *relay = handle->data;
    if (--relay->handle_count == 0)
        memory_free(relay);
}

int relay_create(struct relay **relay, uv_loop_t *loop, const struct relay_config *config, struct error *error)
{
    struct relay *made = memory_alloc(sizeof *made);
    made->loop = loop;
    made->armed_ms = INT64_MAX;
    made->client_free = UINT32_MAX;
    made->is_forwarder = config->core->upstream_count > 0;
    made->on_action = config->on_action;
    made->owner = config->owner;
    text_copy(made->name, sizeof made->name, config->name);
    made->self = (struct link_self){
        .kind = GEMEL__LINK_KIND__LINK_GATEWAY,
        .name = made->name,
        .token = config->token,
        .incarnation = config->incarnation,
    };
    int result = gateway_core_create(&made->core, config->core);
    if (result != 0) {
        error_set(error, result, "the gateway's configuration is over a bound: more than %d hosts", HOSTS_MAX);
        memory_free(made);
        return result;
    }
    result = link_listen(&made->server, loop, config->listen, &made->self, &client_handlers, made, error);
    if (result != 0) {
        gateway_core_destroy(&made->core);
        memory_free(made);
        return result;
    }
    gateway_actions_init(&made->actions);
    uv_timer_init(loop, &made->timer);
    uv_prepare_init(loop, &made->prepare);
    made->handle_count = 2;
    made->timer.data = made;
    made->prepare.data = made;
    uv_prepare_start(&made->prepare, on_prepare);
    *relay = made;
    return 0;
}

static void free_tables(struct relay *relay)
{
    for (uint32_t i = 0; i < relay->client_count; i++)
        memory_free(relay->clients[i]);
    for (uint32_t i = 0; i < relay->upstream_count; i++) {
        if (relay->upstreams[i]->link != NULL)
            link_close(relay->upstreams[i]->link);
        memory_free(relay->upstreams[i]);
    }
    for (uint32_t i = 0; i < relay->held_count; i++)
        memory_free(relay->held[i].body);
    memory_free(relay->clients);
    memory_free(relay->upstreams);
    memory_free(relay->held);
    memory_free(relay->pending);
}

void relay_destroy(struct relay **relay)
{
    struct relay *self = *relay;
    if (self == NULL)
        return;
    link_server_destroy(&self->server);
    free_tables(self);
    gateway_actions_fini(&self->actions);
    gateway_core_destroy(&self->core);
    uv_close((uv_handle_t *)&self->timer, on_handle_closed);
    uv_close((uv_handle_t *)&self->prepare, on_handle_closed);
    *relay = NULL;
}

const char *relay_address(const struct relay *relay)
{
    return link_server_address(relay->server);
}
