#include "daemon/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "common/base/bounds.h"
#include "common/base/memory.h"
#include "common/base/text.h"

enum {
    PROBE_TIMEOUT_MS = 1000 /* a host that drops packets: the next try has its own socket */
};

struct probe {
    uv_tcp_t socket;
    uv_timer_t timer;
    uv_connect_t request;
    unsigned open_handles;
    char name[PROCESS_NAME_BYTES];
    void (*on_done)(void *owner, const char *name, bool is_open);
    void *owner;
};

static void on_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;
    if (--probe->open_handles == 0)
        memory_free(probe);
}

static void finish(struct probe *probe, bool is_open)
{
    if (uv_is_closing((uv_handle_t *)&probe->socket))
        return; /* the time was over, and this is the cancelled connect */
    uv_close((uv_handle_t *)&probe->socket, on_closed);
    uv_close((uv_handle_t *)&probe->timer, on_closed);
    probe->on_done(probe->owner, probe->name, is_open);
}

static void on_connected(uv_connect_t *request, int status)
{
    finish(request->handle->data, status == 0);
}

static void on_timeout(uv_timer_t *timer)
{
    finish(timer->data, false);
}

int probe_start(uv_loop_t *loop, const struct sockaddr *host, uint32_t port, const char *name,
                void (*on_done)(void *owner, const char *name, bool is_open), void *owner)
{
    struct sockaddr_storage address = {0};
    if (port > UINT16_MAX)
        return -EINVAL;
    if (host->sa_family == AF_INET6) {
        memcpy(&address, host, sizeof(struct sockaddr_in6));
        ((struct sockaddr_in6 *)&address)->sin6_port = htons((uint16_t)port);
    } else {
        memcpy(&address, host, sizeof(struct sockaddr_in));
        ((struct sockaddr_in *)&address)->sin_port = htons((uint16_t)port);
    }
    struct probe *probe = memory_alloc(sizeof *probe);
    probe->on_done = on_done;
    probe->owner = owner;
    text_copy(probe->name, sizeof probe->name, name);
    uv_tcp_init(loop, &probe->socket);
    uv_timer_init(loop, &probe->timer);
    probe->socket.data = probe->timer.data = probe;
    probe->open_handles = 2;
    int result = uv_tcp_connect(&probe->request, &probe->socket, (const struct sockaddr *)&address, on_connected);
    if (result != 0) {
        uv_close((uv_handle_t *)&probe->socket, on_closed);
        uv_close((uv_handle_t *)&probe->timer, on_closed);
        return result;
    }
    uv_timer_start(&probe->timer, on_timeout, PROBE_TIMEOUT_MS, 0);
    return 0;
}
