#include "worker/gateways.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/memory.h"
#include "common/net/endpoint.h"

enum {
    REDIAL_FIRST_MS = 20,
    REDIAL_MAX_MS = 1000,
    PING_MS = 100,
    HANG_MS = 1000 /* a gateway that answered pings before and is silent for so long does not work */
};

struct gateway {
    struct gateways *all;
    char address[ADDRESS_BYTES];
    struct link *link; /* NULL: none */
    bool open;         /* its hello is here */
    bool pongs;        /* it answers pings on this link */
    uint64_t heard_ms;
    uint64_t redial_ms;
    uv_timer_t timer; /* dials again */
};

struct gateways {
    uv_loop_t *loop;
    struct gateway items[GATEWAYS_MAX];
    size_t count;
    struct gateway *active; /* NULL: none */
    const struct gateways_handlers *handlers;
    void *owner;
    char name[PROCESS_NAME_BYTES];
    uint64_t incarnation;
    uv_timer_t ping;
    char last_error[512];
    unsigned handles; /* that are not closed yet, while destroying */
};

static void dial(struct gateway *gateway);

static void on_redial(uv_timer_t *timer)
{
    dial(timer->data);
}

static void dial_later(struct gateway *gateway)
{
    uv_timer_start(&gateway->timer, on_redial, gateway->redial_ms, 0);
    gateway->redial_ms = gateway->redial_ms * 2 < REDIAL_MAX_MS ? gateway->redial_ms * 2 : REDIAL_MAX_MS;
}

static void activate(struct gateways *gateways, struct gateway *gateway)
{
    gateways->active = gateway;
    gateway->heard_ms = uv_now(gateways->loop);
    gateways->handlers->on_active(gateways->owner, gateway->link);
}

/* The link in use is gone: goes on with the next open one. */
static void choose_again(struct gateways *gateways)
{
    size_t from = (size_t)(gateways->active - gateways->items);
    gateways->active = NULL;
    gateways->handlers->on_lost(gateways->owner, gateways->last_error);
    for (size_t i = 1; i <= gateways->count; i++) {
        struct gateway *next = &gateways->items[(from + i) % gateways->count];
        if (next->open) {
            activate(gateways, next);
            return;
        }
    }
}

static void lose(struct gateway *gateway, const char *why)
{
    struct gateways *gateways = gateway->all;
    snprintf(gateways->last_error, sizeof gateways->last_error, "%s: %s", gateway->address, why);
    gateway->link = NULL;
    gateway->open = gateway->pongs = false;
    dial_later(gateway);
    if (gateways->active == gateway)
        choose_again(gateways);
}

static void on_open(void *owner, struct link *link)
{
    struct gateway *gateway = owner;
    gateway->open = true;
    link_send(link, FRAME_PING, 0, NULL, 0); /* who answers once is judged by its silence later */
    gateway->redial_ms = REDIAL_FIRST_MS;
    if (gateway->all->active == NULL)
        activate(gateway->all, gateway);
}

static void on_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct gateway *gateway = owner;
    struct gateways *gateways = gateway->all;
    gateway->heard_ms = uv_now(gateways->loop);
    if (header->type == FRAME_PING)
        link_send(link, FRAME_PONG, header->request_id, NULL, 0);
    else if (header->type == FRAME_PONG)
        gateway->pongs = true;
    else if (gateways->active == gateway)
        gateways->handlers->on_frame(gateways->owner, header, body);
}

static void on_close(void *owner, struct link *link, int reason, const char *why)
{
    (void)link;
    (void)reason;
    lose(owner, why);
}

static void on_drained(void *owner, struct link *link)
{
    const struct gateway *gateway = owner;
    const struct gateways *gateways = gateway->all;
    (void)link;
    if (gateways->active == gateway && gateways->handlers->on_drained != NULL)
        gateways->handlers->on_drained(gateways->owner);
}

static void dial(struct gateway *gateway)
{
    static const struct link_handlers handlers = {
        .on_open = on_open, .on_frame = on_frame, .on_close = on_close, .on_drained = on_drained};
    struct gateways *gateways = gateway->all;
    struct error error = {0};
    struct link_self self = {
        .kind = GEMEL__LINK_KIND__LINK_CLIENT, .name = gateways->name, .incarnation = gateways->incarnation};
    int result = link_connect(&gateway->link, gateways->loop, gateway->address, &self, &handlers, gateway, &error);
    if (result != 0)
        lose(gateway, error.sentence);
}

static void on_ping(uv_timer_t *timer)
{
    struct gateways *gateways = timer->data;
    const struct gateway *active = gateways->active;
    if (active == NULL)
        return;
    if (active->pongs && uv_now(gateways->loop) - active->heard_ms > HANG_MS)
        gateways_leave(gateways, "silent for 1 s");
    else
        link_send(active->link, FRAME_PING, 0, NULL, 0);
}

static int add_address(struct gateways *gateways, const char *address, size_t length, struct error *error)
{
    struct gateway *gateway = &gateways->items[gateways->count];
    if (length == 0 || length >= sizeof gateway->address || gateways->count == GATEWAYS_MAX)
        return error_set(error, -EINVAL, "gateways are 1 to %d host:port, separated by commas, got '%s'", GATEWAYS_MAX,
                         address);
    memcpy(gateway->address, address, length);
    gateway->address[length] = '\0';
    struct endpoint endpoint;
    int result = endpoint_parse(gateway->address, &endpoint, error);
    if (result == 0 && endpoint.is_numeric)
        result = endpoint_check_loopback(gateway->address, (const struct sockaddr *)&endpoint.address, error);
    if (result != 0)
        return result;
    gateway->all = gateways;
    gateway->redial_ms = REDIAL_FIRST_MS;
    gateways->count++;
    return 0;
}

static int add_addresses(struct gateways *gateways, const char *addresses, struct error *error)
{
    int result = 0;
    for (const char *at = addresses; result == 0 && at != NULL;) {
        at += strspn(at, " ");
        size_t length = strcspn(at, ", ");
        result = add_address(gateways, at, length, error);
        at = strchr(at, ',');
        at = at != NULL ? at + 1 : NULL;
    }
    return result;
}

int gateways_create(struct gateways **gateways, uv_loop_t *loop, const char *addresses, const char *name,
                    const struct gateways_handlers *handlers, void *owner, struct error *error)
{
    struct gateways *made = memory_alloc(sizeof *made);
    *made = (struct gateways){.loop = loop, .handlers = handlers, .owner = owner};
    text_copy(made->name, sizeof made->name, name);
    text_copy(made->last_error, sizeof made->last_error, "not connected yet");
    int result = add_addresses(made, addresses, error);
    if (result != 0) {
        memory_free(made);
        return result;
    }
    if (getrandom(&made->incarnation, sizeof made->incarnation, 0) != (ssize_t)sizeof made->incarnation)
        made->incarnation = uv_hrtime();
    uv_timer_init(loop, &made->ping);
    made->ping.data = made;
    for (size_t i = 0; i < made->count; i++) {
        uv_timer_init(loop, &made->items[i].timer);
        made->items[i].timer.data = &made->items[i];
        dial(&made->items[i]);
    }
    *gateways = made;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct gateways *gateways = handle->data;
    if (--gateways->handles == 0)
        memory_free(gateways);
}

void gateways_destroy(struct gateways **gateways)
{
    struct gateways *closing = *gateways;
    if (closing == NULL)
        return;
    *gateways = NULL;
    closing->handles = (unsigned)closing->count + 1;
    closing->active = NULL;
    for (size_t i = 0; i < closing->count; i++) {
        struct gateway *gateway = &closing->items[i];
        if (gateway->link != NULL)
            link_close(gateway->link);
        gateway->timer.data = closing;
        uv_close((uv_handle_t *)&gateway->timer, on_timer_closed);
    }
    uv_close((uv_handle_t *)&closing->ping, on_timer_closed);
}

struct link *gateways_active(const struct gateways *gateways)
{
    return gateways->active != NULL ? gateways->active->link : NULL;
}

void gateways_leave(struct gateways *gateways, const char *why)
{
    struct gateway *left = gateways->active;
    if (left == NULL)
        return;
    link_close(left->link);
    lose(left, why);
}

void gateways_expect(struct gateways *gateways, bool waiting)
{
    if (!waiting) {
        uv_timer_stop(&gateways->ping);
    } else if (!uv_is_active((const uv_handle_t *)&gateways->ping)) {
        if (gateways->active != NULL)
            gateways->active->heard_ms = uv_now(gateways->loop);
        uv_timer_start(&gateways->ping, on_ping, PING_MS, PING_MS);
    }
}

const char *gateways_last_error(const struct gateways *gateways)
{
    return gateways->last_error;
}
