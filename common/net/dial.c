#include "common/net/dial.h"

#include <sys/socket.h>

#include "common/base/memory.h"

struct dial_lookup {
    uv_getaddrinfo_t request;
    void (*on_done)(void *owner, const struct sockaddr *address, const char *why); /* NULL: cancelled */
    void *owner;
};

struct dial_probe {
    uv_tcp_t tcp;
    uv_connect_t request;
    void (*on_done)(void *owner, const char *why); /* NULL: cancelled */
    void *owner;
};

/* ---- names */

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct dial_lookup *lookup = request->data;
    if (lookup->on_done != NULL) {
        const struct sockaddr *address = status == 0 && list != NULL ? list->ai_addr : NULL;
        lookup->on_done(lookup->owner, address, status != 0 ? uv_strerror(status) : "no address");
    }
    uv_freeaddrinfo(list);
    memory_free(lookup);
}

int dial_lookup_start(struct dial_lookup **lookup, uv_loop_t *loop, const char *host, const char *port,
                      void (*on_done)(void *owner, const struct sockaddr *address, const char *why), void *owner)
{
    struct dial_lookup *made = memory_alloc(sizeof *made);
    made->on_done = on_done;
    made->owner = owner;
    made->request.data = made;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int result = uv_getaddrinfo(loop, &made->request, on_looked_up, host, port, &hints);
    if (result != 0) {
        memory_free(made);
        return result;
    }
    *lookup = made;
    return 0;
}

void dial_lookup_cancel(struct dial_lookup **lookup)
{
    if (*lookup == NULL)
        return;
    (*lookup)->on_done = NULL;
    uv_cancel((uv_req_t *)&(*lookup)->request);
    *lookup = NULL;
}

/* ---- probes */

static void on_probe_closed(uv_handle_t *handle)
{
    memory_free(handle->data);
}

static void on_probed(uv_connect_t *request, int status)
{
    struct dial_probe *probe = request->data;
    /* A cancelled probe is closing already; its callback comes with UV_ECANCELED before the handle's last one. */
    if (probe->on_done == NULL)
        return;
    void (*on_done)(void *owner, const char *why) = probe->on_done;
    void *owner = probe->owner;
    uv_close((uv_handle_t *)&probe->tcp, on_probe_closed);
    on_done(owner, status == 0 ? "" : uv_strerror(status));
}

int dial_probe_start(struct dial_probe **probe, uv_loop_t *loop, const struct sockaddr *address,
                     void (*on_done)(void *owner, const char *why), void *owner)
{
    struct dial_probe *made = memory_alloc(sizeof *made);
    made->on_done = on_done;
    made->owner = owner;
    int result = uv_tcp_init(loop, &made->tcp);
    if (result != 0) {
        memory_free(made);
        return result;
    }
    made->tcp.data = made;
    made->request.data = made;
    result = uv_tcp_connect(&made->request, &made->tcp, address, on_probed);
    if (result != 0) {
        uv_close((uv_handle_t *)&made->tcp, on_probe_closed);
        return result;
    }
    *probe = made;
    return 0;
}

void dial_probe_cancel(struct dial_probe **probe)
{
    if (*probe == NULL)
        return;
    (*probe)->on_done = NULL;
    uv_close((uv_handle_t *)&(*probe)->tcp, on_probe_closed);
    *probe = NULL;
}
