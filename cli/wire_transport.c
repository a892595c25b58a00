#include "cli/wire_transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/net/link.h"
#include "common/net/plane.h"

enum {
    DRAIN_MS = 500, /* for closing handles at the end */
    LATE_MS = 50    /* a timer that fires later than this says that the program was not run */
};

struct wire_transport {
    uv_loop_t loop;
    struct site *site;
    struct plane *plane; /* NULL until the first call over it */
    uint64_t incarnation;
    uint64_t last_request_id;
    size_t pending;
};

/* A call under way. */
struct flight {
    struct wire_transport *wire;
    struct call *call;
    struct dealer *dealer;
    struct link *link;
    uv_timer_t timer;
    uint64_t request_id;
    bool sent;      /* a dealer that connects again must not repeat the order */
    int64_t due_ms; /* of the loop's clock */
    bool extended;
    bool done;
};

static void finish(struct flight *flight, int result, const char *why)
{
    if (flight->done)
        return;
    flight->done = true;
    flight->call->result = result;
    if (result != 0)
        (void)error_set(&flight->call->error, result, "%s", why);
    flight->wire->pending--;
}

static void take_reply(struct flight *flight, const Gemel__AdminReply *reply)
{
    if (flight->done)
        return;
    call_take_part(flight->call, reply);
    if (!reply->more)
        finish(flight, 0, "");
}

/* ------------------------------------------------------------------------------------------ the control plane */

static void on_plane_message(void *owner, const Gemel__Envelope *message)
{
    struct flight *flight = owner;
    if (message->body_case == GEMEL__ENVELOPE__BODY_ADMIN_REPLY && message->request_id == flight->request_id)
        take_reply(flight, message->admin_reply);
}

static void on_plane_up(void *owner)
{
    struct flight *flight = owner;
    if (flight->sent)
        return;
    flight->sent = true;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.request_id = flight->request_id;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REQUEST;
    envelope.admin_request = flight->call->request;
    const int result = dealer_send(flight->dealer, &envelope);
    if (result != 0)
        finish(flight, result, strerror(-result));
}

static void on_plane_down(void *owner, const char *why)
{
    finish(owner, -ECONNREFUSED, why);
}

static int ensure_plane(struct wire_transport *wire, struct error *error)
{
    if (wire->plane != NULL)
        return 0;
    if (wire->site->keys == NULL) {
        const int result = site_load_keys(wire->site, error);
        if (result != 0)
            return result;
    }
    return plane_create(&wire->plane, &wire->loop, wire->site->keys, site_key_name(wire->site), wire->site->sender,
                        error);
}

static int start_on_plane(struct flight *flight, struct error *error)
{
    static const struct dealer_handlers handlers = {
        .on_message = on_plane_message, .on_up = on_plane_up, .on_down = on_plane_down};
    const int result = ensure_plane(flight->wire, error);
    if (result != 0)
        return result;
    return dealer_create(&flight->dealer, flight->wire->plane, flight->call->address, &handlers, flight, error);
}

/* ------------------------------------------------------------------------------------------------- gateways */

static void on_link_open(void *owner, struct link *link)
{
    struct flight *flight = owner;
    (void)text_copy(flight->call->peer, sizeof flight->call->peer, link_peer(link)->name);
    const int result = link_send_message(link, FRAME_ADMIN, flight->request_id, &flight->call->request->base);
    if (result != 0)
        finish(flight, result, strerror(-result));
}

static void on_link_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    (void)link;
    struct flight *flight = owner;
    if (header->request_id != flight->request_id)
        return;
    const bool failure = header->type == FRAME_FAILURE;
    if (!failure && header->type != FRAME_ADMIN_REPLY)
        return;
    ProtobufCMessage *message = NULL;
    if (wire_unpack(failure ? &gemel__failure__descriptor : &gemel__admin_reply__descriptor, body, header->body_bytes,
                    &message) != 0) {
        finish(flight, -EBADMSG, "its answer makes no sense");
        return;
    }
    if (failure)
        finish(flight, -EIO, ((const Gemel__Failure *)message)->sentence);
    else
        take_reply(flight, (const Gemel__AdminReply *)message);
    wire_free(message);
}

static void on_link_close(void *owner, struct link *link, int reason, const char *why)
{
    (void)link;
    struct flight *flight = owner;
    flight->link = NULL;
    finish(flight, reason != 0 ? reason : -ECONNRESET, why);
}

static int start_on_link(struct flight *flight, struct error *error)
{
    static const struct link_handlers handlers = {
        .on_open = on_link_open, .on_frame = on_link_frame, .on_close = on_link_close};
    const struct link_self self = {.kind = GEMEL__LINK_KIND__LINK_CLIENT,
                                   .name = flight->wire->site->sender,
                                   .incarnation = flight->wire->incarnation};
    return link_connect(&flight->link, &flight->wire->loop, flight->call->address, &self, &handlers, flight, error);
}

/* ---------------------------------------------------------------------------------------------------- calls */

/* A wake-up that is late says that this program did not run, not that nobody answered: the answers may lie unread. */
static void on_timeout(uv_timer_t *timer)
{
    struct flight *flight = timer->data;
    if (!flight->extended && (int64_t)uv_now(timer->loop) - flight->due_ms > LATE_MS) {
        flight->extended = true;
        (void)uv_timer_start(timer, on_timeout, (uint64_t)flight->call->timeout_ms, 0);
        return;
    }
    finish(timer->data, -ETIMEDOUT, "no answer in time");
}

static void start(struct flight *flight)
{
    struct error error = {0};
    int result = 0;
    switch (flight->call->via) {
    case CALL_PLANE:
        result = start_on_plane(flight, &error);
        break;
    case CALL_LINK:
        result = start_on_link(flight, &error);
        break;
    }
    if (result != 0)
        finish(flight, result, error.sentence);
}

static void run_calls(void *owner, struct call *calls, size_t count)
{
    struct wire_transport *wire = owner;
    struct flight *flights = memory_alloc_array(count, sizeof *flights);
    wire->pending = count;
    for (size_t i = 0; i < count; i++) {
        flights[i] = (struct flight){.wire = wire, .call = &calls[i], .request_id = ++wire->last_request_id};
        (void)uv_timer_init(&wire->loop, &flights[i].timer);
        flights[i].timer.data = &flights[i];
        start(&flights[i]);
    }
    /* From here on: to load keys and to make sockets took its time. */
    uv_update_time(&wire->loop);
    for (size_t i = 0; i < count; i++) {
        flights[i].due_ms = (int64_t)uv_now(&wire->loop) + calls[i].timeout_ms;
        (void)uv_timer_start(&flights[i].timer, on_timeout, (uint64_t)calls[i].timeout_ms, 0);
    }
    while (wire->pending > 0)
        (void)uv_run(&wire->loop, UV_RUN_ONCE);
    for (size_t i = 0; i < count; i++) {
        dealer_destroy(&flights[i].dealer);
        if (flights[i].link != NULL)
            link_close(flights[i].link);
        uv_close((uv_handle_t *)&flights[i].timer, NULL);
    }
    /* The timers are closed in one turn; they live in `flights`. */
    (void)uv_run(&wire->loop, UV_RUN_NOWAIT);
    memory_free(flights);
}

void wire_transport_create(struct wire_transport **wire, struct site *site)
{
    struct wire_transport *made = memory_alloc(sizeof *made);
    made->site = site;
    ASSERT(uv_loop_init(&made->loop) == 0);
    ASSERT(getrandom(&made->incarnation, sizeof made->incarnation, 0) == (ssize_t)sizeof made->incarnation);
    *wire = made;
}

static void on_drained(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

void wire_transport_destroy(struct wire_transport **wire)
{
    struct wire_transport *old = *wire;
    if (old == NULL)
        return;
    plane_destroy(&old->plane);
    uv_timer_t limit;
    (void)uv_timer_init(&old->loop, &limit);
    (void)uv_timer_start(&limit, on_drained, DRAIN_MS, 0);
    uv_unref((uv_handle_t *)&limit);
    (void)uv_run(&old->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&limit, NULL);
    (void)uv_run(&old->loop, UV_RUN_NOWAIT);
    /* A link that still flushes after this time keeps the loop's memory: the program ends now anyway. */
    if (uv_loop_close(&old->loop) == 0)
        memory_free(old);
    *wire = NULL;
}

struct transport wire_transport_interface(struct wire_transport *wire)
{
    return (struct transport){.run = run_calls, .owner = wire};
}
