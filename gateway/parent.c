#include "gateway/parent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/bounds.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/net/link.h"

enum {
    DIAL_AGAIN_MS = 200,
    NOTIFY_BYTES = 512
};

struct parent {
    uv_loop_t *loop;
    uv_timer_t redial;
    uv_timer_t watchdog;
    unsigned handle_count;
    struct link *link; /* to the daemon; NULL: none */
    char address[ADDRESS_BYTES];
    char name[PROCESS_NAME_BYTES];
    struct link_self self;
    int notify_fd; /* -1: nobody wants to know */
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

/* ---- notify ---- */

static int open_notify_socket(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || path[0] == '\0' || strlen(path) >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, strlen(path));
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, length) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* A datagram that cannot be sent is lost: the daemon has its own timeouts. */
static void notify(struct parent *parent, const char *text)
{
    if (parent->notify_fd >= 0)
        (void)!send(parent->notify_fd, text, strlen(text), MSG_NOSIGNAL);
}

void parent_ready(struct parent *parent, const char *endpoint)
{
    char text[NOTIFY_BYTES];
    snprintf(text, sizeof text, "READY=1\nX_GEMEL_ENDPOINT=%s\nSTATUS=serving on %s", endpoint, endpoint);
    notify(parent, text);
}

void parent_stopping(struct parent *parent)
{
    notify(parent, "STOPPING=1");
}

static void on_watchdog(uv_timer_t *timer)
{
    notify(timer->data, "WATCHDOG=1");
}

static void start_watchdog(struct parent *parent)
{
    const char *text = getenv("WATCHDOG_USEC");
    unsigned long long us = text != NULL ? strtoull(text, NULL, 10) : 0;
    if (us >= 2000)
        uv_timer_start(&parent->watchdog, on_watchdog, 0, us / 2000);
}

/* ---- the daemon's socket ---- */

static void dial(struct parent *parent);

static void on_redial(uv_timer_t *timer)
{
    dial(timer->data);
}

static void on_open(void *owner, struct link *link)
{
    (void)owner;
    (void)link;
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
    made->notify_fd = open_notify_socket();
    uv_timer_init(loop, &made->redial);
    uv_timer_init(loop, &made->watchdog);
    made->handle_count = 2;
    made->redial.data = made;
    made->watchdog.data = made;
    start_watchdog(made);
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
    if (self->notify_fd >= 0)
        close(self->notify_fd);
    uv_close((uv_handle_t *)&self->redial, on_handle_closed);
    uv_close((uv_handle_t *)&self->watchdog, on_handle_closed);
    *parent = NULL;
}
