#include "gateway/relay.h"

#include <errno.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/loop/clock.h"
#include "gateway/relay_state.h"

enum {
    PENDING_MAX = 64 /* first size of the list of facts that carrying out actions has brought */
};

void relay_push(struct relay *relay, const struct gateway_event *event)
{
    if (relay->pending_count == relay->pending_capacity) {
        relay->pending_capacity = relay->pending_capacity == 0 ? PENDING_MAX : relay->pending_capacity * 2;
        relay->pending = memory_resize(relay->pending, relay->pending_capacity * sizeof *relay->pending);
    }
    relay->pending[relay->pending_count++] = *event;
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
        relay_send_to_client(relay, action->admin.origin.id, FRAME_ADMIN_REPLY, action->admin.origin.request_id,
                             &action->admin.reply->base);
}

static void carry_out(struct relay *relay, const struct gateway_action *action)
{
    switch (action->type) {
    case GATEWAY_ACTION_CONNECT:
        relay_connect(relay, action);
        break;
    case GATEWAY_ACTION_CLOSE:
        relay_close_upstream(relay, action);
        break;
    case GATEWAY_ACTION_PING:
        relay_send_upstream(relay, action, FRAME_PING);
        break;
    case GATEWAY_ACTION_FORWARD:
        relay_forward(relay, action);
        break;
    case GATEWAY_ACTION_CANCEL:
        relay_send_upstream(relay, action, FRAME_CANCEL);
        break;
    case GATEWAY_ACTION_HOLD:
        relay_hold(relay, action->request.slot);
        break;
    case GATEWAY_ACTION_ANSWER:
        relay_pass_answer(relay, action);
        break;
    case GATEWAY_ACTION_FAIL:
        relay_release(relay, action->request.slot);
        relay_send_to_client(relay, action->request.client, FRAME_FAILURE, action->request.request_id,
                             &action->request.failure->base);
        break;
    case GATEWAY_ACTION_RELEASE:
        relay_release(relay, action->request.slot);
        break;
    case GATEWAY_ACTION_LOOKUP_REPLY:
        relay_send_to_client(relay, action->lookup.client, FRAME_LOOKUP_REPLY, action->lookup.request_id,
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

/* Log lines and messages to daemons and controls wake other programs up, and so are kept behind the frames of the same
 * turn: nobody whose query is sent again shall wait for a line about it. */
static bool can_wait(enum gateway_action_type type)
{
    return type == GATEWAY_ACTION_LOG || type == GATEWAY_ACTION_REPORT || type == GATEWAY_ACTION_SAVE_EPOCH ||
           type == GATEWAY_ACTION_STALE_EPOCH;
}

/* Keeps the actions with their arena, and starts anew. */
static void defer(struct relay *relay)
{
    struct deferred *deferred = memory_alloc(sizeof *deferred);
    deferred->actions = relay->actions;
    gateway_actions_init(&relay->actions);
    *relay->deferred_end = deferred;
    relay->deferred_end = &deferred->next;
}

static void carry_out_deferred(struct relay *relay)
{
    while (relay->deferred != NULL) {
        struct deferred *deferred = relay->deferred;
        for (size_t i = 0; i < deferred->actions.count; i++)
            if (can_wait(deferred->actions.items[i].type))
                carry_out(relay, &deferred->actions.items[i]);
        relay->deferred = deferred->next;
        gateway_actions_fini(&deferred->actions);
        memory_free(deferred);
    }
    relay->deferred_end = &relay->deferred;
}

void relay_step_once(struct relay *relay, struct gateway_event *event)
{
    event->now_ms = clock_now_ms();
    int result = gateway_core_step(relay->core, event, &relay->actions);
    if (result != 0)
        log_error("Event makes no sense to the gateway [ Event: %d ] [ Error: %s ]", (int)event->type,
                  uv_strerror(result));
    bool any_waits = false;
    for (size_t i = 0; i < relay->actions.count; i++) {
        if (can_wait(relay->actions.items[i].type))
            any_waits = true;
        else
            carry_out(relay, &relay->actions.items[i]);
    }
    if (any_waits)
        defer(relay);
    else
        gateway_actions_reset(&relay->actions);
    if (event->type == GATEWAY_EVENT_CLIENT_CLOSED && result == 0)
        relay_free_client(relay->clients[event->client.client]);
}

/* With NULL: only what is pending. */
void relay_step(struct relay *relay, struct gateway_event *event)
{
    if (event != NULL)
        relay_step_once(relay, event);
    for (size_t i = 0; i < relay->pending_count; i++) {
        struct gateway_event next = relay->pending[i];
        relay_step_once(relay, &next);
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
        !log_allowed(&relay->refused_limit, clock_now_ms(), RELAY_LOG_EVERY_MS, &dropped))
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

/* Before the loop sleeps, and after the links have written what was gathered in this turn (they do so as idle handles,
 * which run before prepare handles). When shall it wake up? */
static void on_prepare(uv_prepare_t *prepare)
{
    struct relay *relay = prepare->data;
    if (relay->deferred != NULL)
        carry_out_deferred(relay);
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
    made->deferred_end = &made->deferred;
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
    result = link_listen(&made->server, loop, config->listen, &made->self, &relay_client_handlers, made, error);
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
    carry_out_deferred(self);
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
