/* What the parts of the relay share. Private to relay*.c. */
#ifndef GEMEL_GATEWAY_RELAY_STATE_H
#define GEMEL_GATEWAY_RELAY_STATE_H

#include "common/log/log.h"
#include "common/net/link.h"
#include "gateway/core/gateway_core.h"
#include "gateway/relay.h"

enum {
    RELAY_LOG_EVERY_MS = 10000, /* lines about strangers, at most */
    RELAY_TABLE_STEP = 64       /* tables of clients and upstreams grow by this */
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

/* A step's actions that can wait until this turn's frames are with the kernel. */
struct deferred {
    struct gateway_actions actions;
    struct deferred *next;
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
    struct deferred *deferred; /* oldest first */
    struct deferred **deferred_end;
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

/* ---- relay.c ---- */

/* One event: steps the core and carries out what it wants, but for what waits for the end of the turn. */
void relay_step_once(struct relay *relay, struct gateway_event *event);
/* Carrying out actions must not step the core: what comes of it waits here for the next relay_step. */
void relay_push(struct relay *relay, const struct gateway_event *event);

/* ---- relay_clients.c ---- */

extern const struct link_handlers relay_client_handlers;

/* The core has heard of its end: the number may be given again. */
void relay_free_client(struct client *client);
void relay_send_to_client(struct relay *relay, uint32_t number, enum frame_type type, uint64_t request_id,
                          const ProtobufCMessage *message);
/* Passes the frame that is being handled on to the client of an ANSWER. */
void relay_pass_answer(struct relay *relay, const struct gateway_action *action);

/* ---- relay_upstreams.c ---- */

/* Keeps the frame that is being handled under the slot. */
void relay_hold(struct relay *relay, uint32_t slot);
/* The query of the slot has ended. */
void relay_release(struct relay *relay, uint32_t slot);
void relay_connect(struct relay *relay, const struct gateway_action *action);
void relay_forward(struct relay *relay, const struct gateway_action *action);
void relay_close_upstream(struct relay *relay, const struct gateway_action *action);
/* A frame without body: PING, CANCEL. */
void relay_send_upstream(struct relay *relay, const struct gateway_action *action, enum frame_type type);

#endif
