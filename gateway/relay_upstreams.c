#include <errno.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/loop/clock.h"
#include "gateway/relay_state.h"

enum {
    HELD_FIRST = 256 /* slots of a new table; it doubles */
};

/* ---- bodies ---- */

static struct held *held_at(struct relay *relay, uint32_t slot)
{
    if (slot >= relay->held_count) {
        uint32_t count = relay->held_count == 0 ? HELD_FIRST : relay->held_count;
        while (count <= slot)
            count *= 2;
        relay->held = memory_resize(relay->held, count * sizeof *relay->held);
        memset(relay->held + relay->held_count, 0, (count - relay->held_count) * sizeof *relay->held);
        relay->held_count = count;
    }
    return &relay->held[slot];
}

/* Keeps the frame that is being handled. */
void relay_hold(struct relay *relay, uint32_t slot)
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

void relay_release(struct relay *relay, uint32_t slot)
{
    if (slot >= relay->held_count || relay->held[slot].capacity <= RELAY_BODY_KEPT_BYTES)
        return;
    memory_free(relay->held[slot].body);
    relay->held[slot] = (struct held){0};
}

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
        relay_step_once(relay, &event);
    } else if (header->type == FRAME_PONG) {
        event.type = GATEWAY_EVENT_LINK_PONG;
        relay_step_once(relay, &event);
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
        if (relay->upstream_count % RELAY_TABLE_STEP == 0)
            relay->upstreams =
                memory_resize(relay->upstreams, (relay->upstream_count + RELAY_TABLE_STEP) * sizeof(struct upstream *));
        relay->upstreams[relay->upstream_count++] = upstream;
    }
    return relay->upstreams[process];
}

void relay_connect(struct relay *relay, const struct gateway_action *action)
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
    if (log_allowed(&relay->strange_limit, clock_now_ms(), RELAY_LOG_EVERY_MS, &dropped))
        log_error("Process cannot be dialled [ Process: %s ] [ Reason: %s ]", action->link.name, error.sentence);
    struct gateway_event event = link_event(upstream, GATEWAY_EVENT_LINK_CLOSED);
    event.link.why = uv_strerror(result);
    relay_push(relay, &event);
}

void relay_forward(struct relay *relay, const struct gateway_action *action)
{
    struct upstream *upstream = upstream_at(relay, action->link.process);
    const uint8_t *body;
    struct frame_header header;
    if (action->link.first) {
        header = *relay->incoming;
        body = relay->incoming_body;
        if (header.idempotent || header.type == FRAME_LOOKUP)
            relay_hold(relay, action->link.slot);
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
    relay_push(relay, &event);
}

void relay_close_upstream(struct relay *relay, const struct gateway_action *action)
{
    struct upstream *upstream = upstream_at(relay, action->link.process);
    if (upstream->link != NULL)
        link_close(upstream->link);
    upstream->link = NULL;
}

void relay_send_upstream(struct relay *relay, const struct gateway_action *action, enum frame_type type)
{
    struct upstream *upstream = upstream_at(relay, action->link.process);
    if (upstream->link != NULL)
        link_send(upstream->link, type, action->link.request_id, NULL, 0);
}
