#include <string.h>

#include "common/loop/clock.h"
#include "control/control_parts.h"

/* Refused messages are counted and named, at most one line a second. */
static void refuse(const struct plane_peer *from, const Gemel__Envelope *message, const char *why)
{
    static struct log_limit limit;
    uint64_t dropped = 0;
    if (log_allowed(&limit, clock_now_ms(), 1000, &dropped))
        log_warn("A message was refused [ User: %s ] [ Sender: %s ] [ Body: %d ] [ Reason: %s ] [ Others: %llu ]",
                 from->user, message->sender, (int)message->body_case, why, (unsigned long long)dropped);
}

static bool is_from_peer_control(const struct control *self, const struct plane_peer *from,
                                 const Gemel__Envelope *message)
{
    return self->dealer != NULL && from->role == KEY_ROLE_NODE && strcmp(from->user, self->settings.peer_host) == 0 &&
           strncmp(message->sender, "control@", 8) == 0 && strcmp(message->sender + 8, self->settings.peer_host) == 0;
}

static bool is_pair_body(Gemel__Envelope__BodyCase body)
{
    return body == GEMEL__ENVELOPE__BODY_PAIR_HELLO || body == GEMEL__ENVELOPE__BODY_PAIR_HEARTBEAT ||
           body == GEMEL__ENVELOPE__BODY_PAIR_APPEND || body == GEMEL__ENVELOPE__BODY_PAIR_APPEND_REPLY;
}

/* A host's key speaks for that host only. */
static bool claims_own_host(const struct plane_peer *from, const Gemel__Envelope *message)
{
    if (message->body_case == GEMEL__ENVELOPE__BODY_DAEMON_HELLO)
        return strcmp(message->daemon_hello->host, from->user) == 0;
    if (message->body_case == GEMEL__ENVELOPE__BODY_PROCMGR_HELLO)
        return strcmp(message->procmgr_hello->host, from->user) == 0;
    return true;
}

static void give_registry(struct control *self, const struct plane_peer *from, const Gemel__Envelope *message)
{
    uint64_t number = control_peers_number(self->peers, from);
    if (number == 0) {
        refuse(from, message, "too many connections");
        return;
    }
    control_step_registry(self, &(struct registry_event){.type = REGISTRY_EVENT_MESSAGE,
                                                         .message = {.peer = number, .envelope = message}});
    if (message->body_case == GEMEL__ENVELOPE__BODY_PROCMGR_HELLO &&
        strcmp(message->procmgr_hello->host, self->settings.host) == 0)
        control_request_procmgr_came(self);
}

static void on_ping(struct control *self, const struct plane_peer *from, const Gemel__Envelope *message)
{
    if (control_peers_find(self->peers, from) != 0) {
        give_registry(self, from, message); /* it is a sign of life there, and answered there */
        return;
    }
    Gemel__Pong pong = GEMEL__PONG__INIT;
    pong.sent_ms = message->ping->sent_ms;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.body_case = GEMEL__ENVELOPE__BODY_PONG;
    envelope.pong = &pong;
    router_send(self->router, from, &envelope);
}

static void take_message(struct control *self, const struct plane_peer *from, const Gemel__Envelope *message)
{
    bool from_peer = is_from_peer_control(self, from, message);
    if (is_pair_body(message->body_case) || (from_peer && message->body_case == GEMEL__ENVELOPE__BODY_STALE_EPOCH)) {
        if (from_peer)
            control_step_pair(self, &(struct pair_event){.type = PAIR_EVENT_PEER_MESSAGE, .message = message});
        else
            refuse(from, message, "only the peer control may send it");
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_ADMIN_REQUEST) {
        control_admin_request(self, from, message);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_PING) {
        on_ping(self, from, message);
    } else if (from->role != KEY_ROLE_NODE) {
        refuse(from, message, "only a node may send it");
    } else if (!claims_own_host(from, message)) {
        refuse(from, message, "it speaks for another host than its key");
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_ADMIN_REPLY) {
        control_request_on_reply(self, message->request_id, message->admin_reply);
    } else {
        give_registry(self, from, message);
    }
}

void control_on_router_message(void *owner, const struct plane_peer *from, const Gemel__Envelope *message)
{
    struct control *self = owner;
    control_enter(self);
    take_message(self, from, message);
    control_leave(self);
}

/* ---- the connection to the peer: answers to what was passed on; the pair's messages come in over the router */

static void on_dealer_message(void *owner, const Gemel__Envelope *message)
{
    struct control *self = owner;
    if (message->body_case != GEMEL__ENVELOPE__BODY_ADMIN_REPLY)
        return;
    control_enter(self);
    control_request_on_reply(self, message->request_id, message->admin_reply);
    control_leave(self);
}

static void on_dealer_up(void *owner)
{
    struct control *self = owner;
    control_enter(self);
    control_step_pair(self, &(struct pair_event){.type = PAIR_EVENT_PEER_UP});
    control_request_leader_up(self);
    control_leave(self);
}

static void on_dealer_down(void *owner, const char *why)
{
    struct control *self = owner;
    control_enter(self);
    control_step_pair(self, &(struct pair_event){.type = PAIR_EVENT_PEER_DOWN, .peer_error = why});
    control_request_leader_lost(self);
    control_leave(self);
}

const struct dealer_handlers control_dealer_handlers = {
    .on_message = on_dealer_message, .on_up = on_dealer_up, .on_down = on_dealer_down};
