#include <errno.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/loop/clock.h"
#include "gateway/relay_state.h"

/* ---- clients ---- */

void relay_free_client(struct client *client)
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
    relay_push(relay,
               &(struct gateway_event){.type = GATEWAY_EVENT_CLIENT_CLOSED, .client = {.client = client->number}});
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

void relay_send_to_client(struct relay *relay, uint32_t number, enum frame_type type, uint64_t request_id,
                          const ProtobufCMessage *message)
{
    struct client *client = client_at(relay, number);
    if (client->link != NULL)
        after_send(relay, client, link_send_message(client->link, type, request_id, message));
}

void relay_pass_answer(struct relay *relay, const struct gateway_action *action)
{
    struct client *client = client_at(relay, action->request.client);
    relay_release(relay, action->request.slot);
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
        if (relay->client_count % RELAY_TABLE_STEP == 0)
            relay->clients =
                memory_resize(relay->clients, (relay->client_count + RELAY_TABLE_STEP) * sizeof(struct client *));
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
    if (log_allowed(&relay->strange_limit, clock_now_ms(), RELAY_LOG_EVERY_MS, &dropped))
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
    relay_step_once(client->relay, &event);
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
        relay_step_once(client->relay,
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
    relay_step_once(client->relay, &event);
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
        relay_step_once(
            relay, &(struct gateway_event){.type = GATEWAY_EVENT_CANCEL,
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

const struct link_handlers relay_client_handlers = {
    .on_open = on_client_open,
    .on_frame = on_client_frame,
    .on_close = on_client_close,
};
