/* Listening and accepting. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/net/endpoint.h"
#include "common/net/link_state.h"

enum {
    BACKLOG = 1024
};

static void name_accepted(struct link *link)
{
    if (link->is_unix) {
        snprintf(link->address, sizeof link->address, "unix pid %d", (int)link->peer_pid);
        return;
    }
    struct sockaddr_storage address;
    int size = sizeof address;
    if (uv_tcp_getpeername(&link->socket.tcp, (struct sockaddr *)&address, &size) == 0)
        endpoint_format((const struct sockaddr *)&address, link->address, sizeof link->address);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct link_server *server = stream->data;
    if (status != 0)
        return;
    struct link *link = link_create(server->loop, server->is_unix, server->hello, server->hello_bytes,
                                    &server->handlers, server->owner);
    link->server = server;
    DL_APPEND(server->links, link);
    server->link_count++;
    if (uv_accept(stream, &link->socket.stream) != 0 || server->link_count > LINKS_MAX) {
        link_close_now(link);
        return;
    }
    link_greet(link);
    name_accepted(link);
}

/* The address to bind, when it is a name. Runs at start, so that waiting for the resolver is no harm. */
static int resolve_now(uv_loop_t *loop, const char *text, struct endpoint *endpoint, struct error *error)
{
    uv_getaddrinfo_t request;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int result = uv_getaddrinfo(loop, &request, NULL, endpoint->host, endpoint->port, &hints);
    if (result != 0)
        return error_set(error, result, "cannot find the address of %s: %s", text, uv_strerror(result));
    memcpy(&endpoint->address, request.addrinfo->ai_addr, request.addrinfo->ai_addrlen);
    uv_freeaddrinfo(request.addrinfo);
    return 0;
}

static void remove_left_over(const char *path)
{
    struct stat status;
    if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
        unlink(path);
}

static int bind_server(struct link_server *server, const struct endpoint *endpoint)
{
    if (endpoint->is_unix) {
        remove_left_over(endpoint->path);
        return uv_pipe_bind(&server->socket.pipe, endpoint->path);
    }
    return uv_tcp_bind(&server->socket.tcp, (const struct sockaddr *)&endpoint->address, 0);
}

static void name_server(struct link_server *server)
{
    struct sockaddr_storage address;
    int size = sizeof address;
    if (!server->is_unix && uv_tcp_getsockname(&server->socket.tcp, (struct sockaddr *)&address, &size) == 0)
        endpoint_format((const struct sockaddr *)&address, server->address, sizeof server->address);
}

static void on_server_closed(uv_handle_t *handle)
{
    struct link_server *server = handle->data;
    memory_free(server->hello);
    memory_free(server);
}

int link_listen(struct link_server **server, uv_loop_t *loop, const char *address, const struct link_self *self,
                const struct link_handlers *handlers, void *owner, struct error *error)
{
    struct endpoint endpoint;
    int result = endpoint_parse(address, &endpoint, error);
    if (result == 0 && !endpoint.is_unix && !endpoint.is_numeric)
        result = resolve_now(loop, address, &endpoint, error);
    if (result == 0 && !endpoint.is_unix)
        result = endpoint_check_loopback(address, (const struct sockaddr *)&endpoint.address, error);
    if (result != 0)
        return result;
    link_ignore_broken_pipe();
    struct link_server *made = memory_alloc(sizeof *made);
    *made = (struct link_server){.loop = loop, .is_unix = endpoint.is_unix, .handlers = *handlers, .owner = owner};
    made->hello = link_pack_hello(self, &made->hello_bytes);
    text_copy(made->address, sizeof made->address, address);
    if (made->is_unix)
        uv_pipe_init(loop, &made->socket.pipe, 0);
    else
        uv_tcp_init(loop, &made->socket.tcp);
    made->socket.handle.data = made;
    result = bind_server(made, &endpoint);
    if (result == 0)
        result = uv_listen(&made->socket.stream, BACKLOG, on_connection);
    if (result != 0) {
        uv_close(&made->socket.handle, on_server_closed);
        return error_set(error, result, "cannot listen on %s: %s", address, uv_strerror(result));
    }
    name_server(made);
    *server = made;
    return 0;
}

const char *link_server_address(const struct link_server *server)
{
    return server->address;
}

uint64_t link_server_refused_count(const struct link_server *server)
{
    return server->refused;
}

void link_server_destroy(struct link_server **server)
{
    if (*server == NULL)
        return;
    struct link *link = NULL;
    struct link *next = NULL;
    DL_FOREACH_SAFE ((*server)->links, link, next) {
        link_leave_server(link);
        link_close(link);
    }
    uv_close(&(*server)->socket.handle, on_server_closed);
    *server = NULL;
}
