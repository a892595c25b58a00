#include "common/net/link.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/net/endpoint.h"
#include "common/net/link_state.h"

enum {
    CLOSE_FLUSH_MS = 1000
};

/* ---- life-cycle */

void link_enter(struct link *link, enum link_state state)
{
    static const unsigned successors[] = {
#define X(name, words, next) [LINK_##name] = (next),
        LINK_STATES(X)
#undef X
    };
    ASSERT((successors[link->state] & 1u << state) != 0);
    link->state = state;
}

bool link_is_connected(const struct link *link)
{
    return link->state == LINK_GREETING || link->state == LINK_OPEN || link->state == LINK_DRAINING;
}

void link_release(struct link *link)
{
    if (--link->references > 0)
        return;
    memory_free(link->in.data);
    memory_free(link->out.data);
    memory_free(link->writing.data);
    wire_free((ProtobufCMessage *)link->peer);
    memory_free(link);
}

static void on_handle_closed(uv_handle_t *handle)
{
    link_release(handle->data);
}

void link_leave_server(struct link *link)
{
    if (link->server == NULL)
        return;
    DL_DELETE(link->server->links, link);
    link->server->link_count--;
    if (!link->handed_out)
        link->server->refused++;
    link->server = NULL;
}

void link_close_now(struct link *link)
{
    link_enter(link, LINK_CLOSED);
    link_leave_server(link);
    if (link->resolve.data != NULL)
        uv_cancel((uv_req_t *)&link->resolve);
    uv_close(&link->socket.handle, on_handle_closed);
    uv_close((uv_handle_t *)&link->timer, on_handle_closed);
    uv_close((uv_handle_t *)&link->turn, on_handle_closed);
}

/* Ends the link for a reason that its owner did not choose. */
void link_fail(struct link *link, int reason, const char *why)
{
    if (link->state == LINK_CLOSED)
        return;
    bool tell = link->handed_out && link->state != LINK_DRAINING;
    link_close_now(link);
    if (tell)
        link->handlers.on_close(link->owner, link, reason, why);
}

void link_fail_errno(struct link *link, int reason)
{
    char why[256];
    snprintf(why, sizeof why, "%s", uv_strerror(reason));
    link_fail(link, reason, why);
}

static void on_timer(uv_timer_t *timer)
{
    struct link *link = timer->data;
    if (link->state == LINK_CONNECTING)
        link_fail(link, -ETIMEDOUT, "no connection in time");
    else
        link_fail(link, -ETIMEDOUT, "the peer sent no hello in time");
}

/* ---- making links */

void link_ignore_broken_pipe(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

uint8_t *link_pack_hello(const struct link_self *self, size_t *size)
{
    Gemel__LinkHello hello = GEMEL__LINK_HELLO__INIT;
    hello.protocol = 1;
    hello.kind = self->kind;
    hello.name = (char *)(uintptr_t)self->name;
    hello.placement = self->token.placement;
    hello.start = self->token.start;
    hello.incarnation = self->incarnation;
    hello.pid = (int32_t)getpid();
    return wire_pack(&hello.base, size);
}

/* A link in CONNECTING, its hello waiting in `out`. */
struct link *link_create(uv_loop_t *loop, bool is_unix, const uint8_t *hello, size_t hello_bytes,
                         const struct link_handlers *handlers, void *owner)
{
    struct link *link = memory_alloc(sizeof *link);
    link->loop = loop;
    link->is_unix = is_unix;
    link->handlers = *handlers;
    link->owner = owner;
    link->references = 3;
    if (is_unix)
        uv_pipe_init(loop, &link->socket.pipe, 0);
    else
        uv_tcp_init(loop, &link->socket.tcp);
    uv_timer_init(loop, &link->timer);
    uv_idle_init(loop, &link->turn);
    link->socket.handle.data = link->timer.data = link->turn.data = link;
    uv_timer_start(&link->timer, on_timer, LINK_HELLO_MS, 0);
    struct frame_header header = {
        .type = FRAME_HELLO, .body_bytes = (uint32_t)hello_bytes, .body_crc32c = crc32c(hello, hello_bytes)};
    int result = link_send_frame(link, &header, hello);
    ASSERT(result == 0);
    return link;
}

static void read_peer_pid(struct link *link)
{
    struct ucred credentials = {0};
    socklen_t size = sizeof credentials;
    uv_os_fd_t fd = -1;
    if (!link->is_unix || uv_fileno(&link->socket.handle, &fd) != 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0)
        link->peer_pid = credentials.pid;
}

/* The connection stands: both sides say hello. */
void link_greet(struct link *link)
{
    link_enter(link, LINK_GREETING);
    if (!link->is_unix)
        uv_tcp_nodelay(&link->socket.tcp, 1);
    read_peer_pid(link);
    int result = link->paused ? 0 : link_start_reading(link);
    if (result != 0)
        link_fail_errno(link, result);
    else
        link_flush(link);
}

/* ---- dialling */

static void on_connect(uv_connect_t *request, int status)
{
    struct link *link = request->data;
    if (link->state != LINK_CLOSED) {
        if (status != 0)
            link_fail_errno(link, status);
        else
            link_greet(link);
    }
    link_release(link);
}

static int dial_address(struct link *link, const struct sockaddr *address)
{
    link->connect.data = link;
    int result = uv_tcp_connect(&link->connect, &link->socket.tcp, address, on_connect);
    if (result == 0)
        link->references++;
    return result;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct link *link = request->data;
    link->resolve.data = NULL;
    struct error error = {0};
    if (link->state != LINK_CLOSED) {
        int result = status;
        if (result != 0)
            error_set(&error, result = -EHOSTUNREACH, "cannot find the address of %s: %s", link->address,
                      uv_strerror(status));
        if (result == 0)
            result = endpoint_check_loopback(link->address, found->ai_addr, &error);
        if (result == 0)
            result = dial_address(link, found->ai_addr);
        if (result != 0)
            link_fail(link, result, error.code != 0 ? error.sentence : uv_strerror(result));
    }
    uv_freeaddrinfo(found);
    link_release(link);
}

static int resolve(struct link *link, const struct endpoint *endpoint)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    link->resolve.data = link;
    int result = uv_getaddrinfo(link->loop, &link->resolve, on_resolved, endpoint->host, endpoint->port, &hints);
    if (result == 0)
        link->references++;
    else
        link->resolve.data = NULL;
    return result;
}

static int dial(struct link *link, const struct endpoint *endpoint)
{
    if (endpoint->is_unix) {
        link->connect.data = link;
        link->references++;
        uv_pipe_connect(&link->connect, &link->socket.pipe, endpoint->path, on_connect);
        return 0;
    }
    if (endpoint->is_numeric)
        return dial_address(link, (const struct sockaddr *)&endpoint->address);
    return resolve(link, endpoint);
}

int link_connect(struct link **link, uv_loop_t *loop, const char *address, const struct link_self *self,
                 const struct link_handlers *handlers, void *owner, struct error *error)
{
    struct endpoint endpoint;
    int result = endpoint_parse(address, &endpoint, error);
    if (result == 0 && endpoint.is_numeric)
        result = endpoint_check_loopback(address, (const struct sockaddr *)&endpoint.address, error);
    if (result != 0)
        return result;
    link_ignore_broken_pipe();
    size_t hello_bytes = 0;
    uint8_t *hello = link_pack_hello(self, &hello_bytes);
    struct link *made = link_create(loop, endpoint.is_unix, hello, hello_bytes, handlers, owner);
    memory_free(hello);
    made->handed_out = true;
    text_copy(made->address, sizeof made->address, address);
    result = dial(made, &endpoint);
    if (result != 0) {
        link_close_now(made);
        return error_set(error, result, "cannot dial %s: %s", address, uv_strerror(result));
    }
    *link = made;
    return 0;
}

/* ---- the owner's side */

static void on_close_deadline(uv_timer_t *timer)
{
    struct link *link = timer->data;
    if (link->state != LINK_CLOSED)
        link_close_now(link);
}

void link_close(struct link *link)
{
    if (link->state == LINK_CLOSED || link->state == LINK_DRAINING)
        return;
    if (link->state == LINK_CONNECTING || link->pending_error != 0) {
        link_close_now(link);
        return;
    }
    link_enter(link, LINK_DRAINING);
    uv_timer_start(&link->timer, on_close_deadline, CLOSE_FLUSH_MS, 0);
    if (link->paused)
        link_start_reading(link);
    link_schedule_turn(link);
}

void link_pause(struct link *link)
{
    link->paused = true;
    if (link->state == LINK_OPEN || link->state == LINK_GREETING)
        uv_read_stop(&link->socket.stream);
}

void link_resume(struct link *link)
{
    if (!link->paused)
        return;
    link->paused = false;
    if (link->state != LINK_OPEN && link->state != LINK_GREETING)
        return;
    int result = link_start_reading(link);
    if (result != 0)
        link->pending_error = result;
    link_schedule_turn(link);
}

const Gemel__LinkHello *link_peer(const struct link *link)
{
    return link->peer;
}

const char *link_peer_address(const struct link *link)
{
    return link->address;
}

int32_t link_peer_pid(const struct link *link)
{
    return link->peer_pid;
}

void link_set_owner(struct link *link, void *owner)
{
    link->owner = owner;
}

void *link_owner(const struct link *link)
{
    return link->owner;
}
