#include "gateway/parent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bounds.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/loop/notify.h"
#include "common/net/link.h"

enum {
    DIAL_AGAIN_MS = 200
};

struct parent {
    uv_loop_t *loop;
    uv_timer_t redial;
    uv_timer_t heartbeat;
    unsigned handle_count;
    struct link *link; /* to the daemon; NULL: none */
    char address[ADDRESS_BYTES];
    char name[PROCESS_NAME_BYTES];
    struct link_self self;
    struct notify notify;
};

/* ---- environment ---- */

void parent_find_place(struct parent_place *place)
{
    *place = (struct parent_place){
        .process = getenv("GEMEL_PROCESS"),
        .host = getenv("GEMEL_HOST"),
        .port = getenv("GEMEL_PORT"),
        .data = getenv("GEMEL_DATA"),
    };
    const char *token = getenv("GEMEL_TOKEN");
    if (token == NULL || token_parse(token, &place->token) != 0)
        place->token = (struct token){0};
}

bool parent_option(const char *name, char *value, size_t size)
{
    const char *line = getenv("GEMEL_OPTIONS");
    size_t name_bytes = strlen(name);
    while (line != NULL && *line != '\0') {
        size_t line_bytes = strcspn(line, "\n");
        if (line_bytes > name_bytes && memcmp(line, name, name_bytes) == 0 && line[name_bytes] == '=') {
            size_t value_bytes = line_bytes - name_bytes - 1;
            if (value_bytes >= size)
                return false;
            memcpy(value, line + name_bytes + 1, value_bytes);
            value[value_bytes] = '\0';
            return true;
        }
        line += line_bytes + (line[line_bytes] == '\n' ? 1 : 0);
    }
    return false;
}

/* ---- what it tells ---- */

void parent_ready(struct parent *parent, const char *endpoint)
{
    struct notify *notify = &parent->notify;
    text_copy(notify->endpoint, sizeof notify->endpoint, endpoint);
    snprintf(notify->status, sizeof notify->status, "serving on %s", endpoint);
    notify->ready = true;
    notify_send_state(notify);
}

void parent_stopping(struct parent *parent)
{
    parent->notify.stopping = true;
    notify_send_state(&parent->notify);
}

static void on_heartbeat(uv_timer_t *timer)
{
    struct parent *parent = timer->data;
    notify_beat(&parent->notify);
}

/* ---- the daemon's socket ---- */

static void dial(struct parent *parent);

static void on_redial(uv_timer_t *timer)
{
    dial(timer->data);
}

static void on_open(void *owner, struct link *link)
{
    struct parent *parent = owner;
    (void)link;
    /* A daemon that was restarted has not heard what was told to the one before. */
    notify_send_state(&parent->notify);
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
    struct parent *parent = owner;
    (void)link;
    (void)reason;
    (void)why;
    parent->link = NULL;
    uv_timer_start(&parent->redial, on_redial, DIAL_AGAIN_MS, 0);
}

static const struct link_handlers handlers = {.on_open = on_open, .on_frame = on_frame, .on_close = on_close};

static void dial(struct parent *parent)
{
    struct error error;
    if (link_connect(&parent->link, parent->loop, parent->address, &parent->self, &handlers, parent, &error) != 0)
        parent->link = NULL; /* an address that can never be dialled */
}

void parent_create(struct parent **parent, uv_loop_t *loop, const struct parent_place *place, uint64_t incarnation)
{
    struct parent *made = memory_alloc(sizeof *made);
    made->loop = loop;
    text_copy(made->name, sizeof made->name, place->process != NULL ? place->process : "");
    made->self = (struct link_self){
        .kind = GEMEL__LINK_KIND__LINK_PROCESS,
        .name = made->name,
        .token = place->token,
        .incarnation = incarnation,
    };
    notify_init_here(&made->notify);
    uv_timer_init(loop, &made->redial);
    uv_timer_init(loop, &made->heartbeat);
    made->handle_count = 2;
    made->redial.data = made;
    made->heartbeat.data = made;
    uv_timer_start(&made->heartbeat, on_heartbeat, made->notify.beat_ms, made->notify.beat_ms);
    const char *address = getenv("GEMEL_DAEMON");
    if (place->process != NULL && address != NULL && text_copy(made->address, sizeof made->address, address))
        dial(made);
    *parent = made;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct parent *parent = handle->data;
    if (--parent->handle_count == 0)
        memory_free(parent);
}

void parent_destroy(struct parent **parent)
{
    struct parent *self = *parent;
    if (self == NULL)
        return;
    if (self->link != NULL)
        link_close(self->link);
    notify_fini(&self->notify);
    uv_close((uv_handle_t *)&self->redial, on_handle_closed);
    uv_close((uv_handle_t *)&self->heartbeat, on_handle_closed);
    *parent = NULL;
}
