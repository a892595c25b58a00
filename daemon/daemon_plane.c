#include "daemon/daemon_plane.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/loop/clock.h"
#include "common/net/plane.h"

enum {
    CONTROLS_MAX = 2,
    SUBSCRIBER_FIRST = CONTROLS_MAX + 1
};

struct control {
    struct daemon_plane *plane;
    uint64_t number; /* of the peer */
    struct dealer *dealer;
    char address[ADDRESS_BYTES];
    bool is_behind; /* something could not be sent */
};

struct subscriber {
    bool used;
    bool is_behind;
    struct plane_peer peer;
    int64_t heard_ms;
    char name[PROCESS_NAME_BYTES];
};

struct daemon_plane {
    struct plane *plane;
    struct router *router;
    struct daemon_plane_handlers handlers;
    void *owner;
    struct control controls[CONTROLS_MAX];
    size_t control_count;
    struct subscriber subscribers[DAEMON_SUBSCRIBERS_MAX];
};

/* ---- out */

static void drop_subscriber(struct subscriber *subscriber, const char *why)
{
    log_info("Subscriber is gone [ Name: %s ] [ Why: %s ]", subscriber->name, why);
    *subscriber = (struct subscriber){0};
}

static void send_to_subscriber(struct daemon_plane *plane, struct subscriber *subscriber, Gemel__Envelope *envelope)
{
    if (!subscriber->used)
        return;
    int result = router_send(plane->router, &subscriber->peer, envelope);
    if (result == -EHOSTUNREACH)
        drop_subscriber(subscriber, "its connection is closed");
    else if (result != 0)
        subscriber->is_behind = true;
}

static void send_to_control(struct control *control, Gemel__Envelope *envelope)
{
    if (control->dealer == NULL || !dealer_is_up(control->dealer))
        return; /* it gets a full report when it comes up */
    if (dealer_send(control->dealer, envelope) != 0)
        control->is_behind = true;
}

void daemon_plane_send(struct daemon_plane *plane, uint64_t peer, Gemel__Envelope *envelope)
{
    for (size_t i = 0; i < plane->control_count; i++)
        if (peer == 0 || peer == plane->controls[i].number)
            send_to_control(&plane->controls[i], envelope);
    for (size_t i = 0; i < DAEMON_SUBSCRIBERS_MAX; i++)
        if (peer == 0 || peer == SUBSCRIBER_FIRST + i)
            send_to_subscriber(plane, &plane->subscribers[i], envelope);
}

static Gemel__Envelope pong_to(const Gemel__Envelope *message, Gemel__Pong *pong)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    gemel__pong__init(pong);
    pong->sent_ms = message->ping->sent_ms;
    envelope.request_id = message->request_id;
    envelope.body_case = GEMEL__ENVELOPE__BODY_PONG;
    envelope.pong = pong;
    return envelope;
}

/* ---- requests of people */

static void answer_admin(struct daemon_plane *plane, const Gemel__Envelope *message, bool may_change,
                         struct arena *arena, Gemel__AdminReply *reply, Gemel__Envelope *envelope)
{
    gemel__admin_reply__init(reply);
    gemel__envelope__init(envelope);
    plane->handlers.on_admin(plane->owner, message->admin_request, may_change, arena, reply);
    envelope->request_id = message->request_id;
    envelope->body_case = GEMEL__ENVELOPE__BODY_ADMIN_REPLY;
    envelope->admin_reply = reply;
}

/* ---- in, from controls */

static void on_control_message(void *owner, const Gemel__Envelope *message)
{
    struct control *control = owner;
    struct daemon_plane *plane = control->plane;
    Gemel__Envelope envelope;
    if (message->body_case == GEMEL__ENVELOPE__BODY_PING) {
        Gemel__Pong pong;
        envelope = pong_to(message, &pong);
        dealer_send(control->dealer, &envelope);
        if (control->is_behind) {
            control->is_behind = false;
            plane->handlers.on_peer(plane->owner, control->number);
        }
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_ORDERS) {
        plane->handlers.on_orders(plane->owner, control->number, message->epoch, message->orders);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_REGISTRY) {
        plane->handlers.on_registry(plane->owner, message->registry);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_ADMIN_REQUEST) {
        struct arena arena;
        Gemel__AdminReply reply;
        arena_init(&arena);
        answer_admin(plane, message, true, &arena, &reply, &envelope);
        dealer_send(control->dealer, &envelope);
        arena_fini(&arena);
    }
}

static void on_control_up(void *owner)
{
    struct control *control = owner;
    log_info("Control is connected [ Control: %s ]", control->address);
    control->is_behind = false;
    control->plane->handlers.on_peer(control->plane->owner, control->number);
}

static void on_control_down(void *owner, const char *why)
{
    const struct control *control = owner;
    log_warn("Control is not connected [ Control: %s ] [ Why: %s ]", control->address, why);
}

static const struct dealer_handlers control_handlers = {
    .on_message = on_control_message, .on_up = on_control_up, .on_down = on_control_down};

/* ---- in, from gateways and commands */

static struct subscriber *find_subscriber(struct daemon_plane *plane, const struct plane_peer *from)
{
    for (size_t i = 0; i < DAEMON_SUBSCRIBERS_MAX; i++) {
        struct subscriber *subscriber = &plane->subscribers[i];
        if (subscriber->used && subscriber->peer.routing_bytes == from->routing_bytes &&
            memcmp(subscriber->peer.routing, from->routing, from->routing_bytes) == 0)
            return subscriber;
    }
    return NULL;
}

static struct subscriber *free_subscriber(struct daemon_plane *plane)
{
    struct subscriber *oldest = &plane->subscribers[0];
    for (size_t i = 0; i < DAEMON_SUBSCRIBERS_MAX; i++) {
        struct subscriber *subscriber = &plane->subscribers[i];
        if (!subscriber->used)
            return subscriber;
        if (subscriber->heard_ms < oldest->heard_ms)
            oldest = subscriber;
    }
    return clock_now_ms() - oldest->heard_ms > DAEMON_SUBSCRIBER_SILENT_MS ? oldest : NULL;
}

static void subscribe(struct daemon_plane *plane, const struct plane_peer *from, const Gemel__Subscribe *message)
{
    struct subscriber *subscriber = find_subscriber(plane, from);
    if (subscriber == NULL)
        subscriber = free_subscriber(plane);
    if (subscriber == NULL) {
        log_warn("Too many subscribers [ Refused: %s ]", message->process);
        return;
    }
    *subscriber = (struct subscriber){.used = true, .peer = *from, .heard_ms = clock_now_ms()};
    text_copy(subscriber->name, sizeof subscriber->name, message->process);
    log_info("Subscriber wants reports [ Name: %s ]", subscriber->name);
    plane->handlers.on_peer(plane->owner, SUBSCRIBER_FIRST + (uint64_t)(subscriber - plane->subscribers));
}

static void on_ping(struct daemon_plane *plane, const struct plane_peer *from, const Gemel__Envelope *message)
{
    Gemel__Pong pong;
    Gemel__Envelope envelope = pong_to(message, &pong);
    router_send(plane->router, from, &envelope);
    struct subscriber *subscriber = find_subscriber(plane, from);
    if (subscriber == NULL)
        return;
    subscriber->heard_ms = clock_now_ms();
    if (!subscriber->is_behind)
        return;
    subscriber->is_behind = false;
    plane->handlers.on_peer(plane->owner, SUBSCRIBER_FIRST + (uint64_t)(subscriber - plane->subscribers));
}

static void on_message(void *owner, const struct plane_peer *from, const Gemel__Envelope *message)
{
    struct daemon_plane *plane = owner;
    bool may_change = from->role == KEY_ROLE_OPERATE || from->role == KEY_ROLE_ADMIN || from->role == KEY_ROLE_NODE;
    if (message->body_case == GEMEL__ENVELOPE__BODY_PING) {
        on_ping(plane, from, message);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_SUBSCRIBE && from->role != KEY_ROLE_PUBLISH) {
        subscribe(plane, from, message->subscribe);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_ADMIN_REQUEST && from->role != KEY_ROLE_PUBLISH) {
        struct arena arena;
        Gemel__AdminReply reply;
        Gemel__Envelope envelope;
        arena_init(&arena);
        answer_admin(plane, message, may_change, &arena, &reply, &envelope);
        router_send(plane->router, from, &envelope);
        arena_fini(&arena);
    }
}

/* ---- making */

static int dial_controls(struct daemon_plane *plane, const struct settings *settings, struct error *error)
{
    int result = 0;
    for (size_t i = 0; i < settings->control_count && i < CONTROLS_MAX && result == 0; i++) {
        struct control *control = &plane->controls[i];
        control->plane = plane;
        control->number = i + 1;
        settings_control_address(settings, (unsigned)i + 1, control->address);
        result = dealer_create(&control->dealer, plane->plane, control->address, &control_handlers, control, error);
        plane->control_count++;
    }
    return result;
}

int daemon_plane_create(struct daemon_plane **plane, uv_loop_t *loop, const struct settings *settings,
                        const struct keys *keys, const struct daemon_plane_handlers *handlers, void *owner,
                        struct error *error)
{
    struct daemon_plane *self = memory_alloc(sizeof *self);
    char sender[HOST_NAME_BYTES + 8];
    char address[ADDRESS_BYTES];
    self->handlers = *handlers;
    self->owner = owner;
    snprintf(sender, sizeof sender, "daemon@%s", settings->host);
    settings_daemon_address_of(settings, settings->host, address);
    int result = plane_create(&self->plane, loop, keys, settings->host, sender, error);
    if (result == 0)
        result = router_create(&self->router, self->plane, address, on_message, self, error);
    if (result == 0)
        result = dial_controls(self, settings, error);
    if (result != 0) {
        daemon_plane_destroy(&self);
        return result;
    }
    *plane = self;
    return 0;
}

void daemon_plane_destroy(struct daemon_plane **plane)
{
    struct daemon_plane *self = *plane;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->control_count; i++)
        dealer_destroy(&self->controls[i].dealer);
    router_destroy(&self->router);
    plane_destroy(&self->plane);
    memory_free(self);
    *plane = NULL;
}

const char *daemon_plane_controls(const struct daemon_plane *plane, struct arena *arena)
{
    const char *all = "";
    for (size_t i = 0; i < plane->control_count; i++)
        all = arena_printf(arena, "%s%s%s %s", all, i > 0 ? ", " : "", plane->controls[i].address,
                           dealer_is_up(plane->controls[i].dealer) ? "up" : "down");
    return all;
}
