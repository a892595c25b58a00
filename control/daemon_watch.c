#include "control/daemon_watch.h"

#include "common/base/bounds.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/net/link.h"

struct daemon_watch {
    uv_loop_t *loop;
    uv_timer_t retry;
    char address[ADDRESS_BYTES];
    char name[HOST_NAME_BYTES + 16];
    uint64_t incarnation;
    struct link *link; /* NULL: none */
    bool is_open;
};

static void retry_later(struct daemon_watch *self);

static void on_open(void *owner, struct link *link)
{
    struct daemon_watch *self = owner;
    (void)link;
    self->is_open = true;
    log_info("Watched by the daemon of this host");
}

static void on_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    (void)owner;
    (void)body;
    if (header->type == FRAME_PING)
        link_send(link, FRAME_PONG, header->request_id, NULL, 0);
}

static void on_close(void *owner, struct link *link, int reason, const char *why)
{
    struct daemon_watch *self = owner;
    (void)link;
    (void)reason;
    if (self->is_open)
        log_warn("Daemon of this host is away, nobody watches this control [ Reason: %s ]", why);
    self->is_open = false;
    self->link = NULL;
    retry_later(self);
}

static const struct link_handlers handlers = {.on_open = on_open, .on_frame = on_frame, .on_close = on_close};

static void dial(struct daemon_watch *self)
{
    struct link_self who = {
        .kind = GEMEL__LINK_KIND__LINK_CONTROL, .name = self->name, .incarnation = self->incarnation};
    struct error error = {0};
    if (link_connect(&self->link, self->loop, self->address, &who, &handlers, self, &error) != 0) {
        self->link = NULL;
        retry_later(self);
    }
}

static void on_retry(uv_timer_t *timer)
{
    dial(timer->data);
}

static void retry_later(struct daemon_watch *self)
{
    uv_timer_start(&self->retry, on_retry, DAEMON_WATCH_RETRY_MS, 0);
}

void daemon_watch_create(struct daemon_watch **watch, uv_loop_t *loop, const char *address, const char *name,
                         uint64_t incarnation)
{
    struct daemon_watch *self = memory_alloc(sizeof *self);
    self->loop = loop;
    self->incarnation = incarnation;
    text_copy(self->address, sizeof self->address, address);
    text_copy(self->name, sizeof self->name, name);
    uv_timer_init(loop, &self->retry);
    self->retry.data = self;
    dial(self);
    *watch = self;
}

void daemon_watch_say_stopping(struct daemon_watch *watch)
{
    if (!watch->is_open)
        return;
    Gemel__AdminRequest request = GEMEL__ADMIN_REQUEST__INIT;
    request.verb = (char[]){"control.stopping"};
    if (link_send_message(watch->link, FRAME_ADMIN, 0, &request.base) != 0)
        log_warn("Daemon of this host could not be told that this control stops, it may start it again");
}

static void on_timer_closed(uv_handle_t *handle)
{
    memory_free(handle->data);
}

void daemon_watch_destroy(struct daemon_watch **watch)
{
    if (*watch == NULL)
        return;
    if ((*watch)->link != NULL)
        link_close((*watch)->link);
    uv_close((uv_handle_t *)&(*watch)->retry, on_timer_closed);
    *watch = NULL;
}
