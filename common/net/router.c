#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/net/endpoint.h"
#include "common/net/plane_internal.h"

enum {
    BACKLOG = 1024,
    FRAMES = 2, /* routing id, message */
    MONITOR_EVENTS =
        ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_DISCONNECTED
};

struct router {
    struct plane *plane;
    struct zsocket *data; /* NULL: destroyed */
    struct zsocket *monitor;
    router_on_message on_message;
    void *owner;
    int open_sockets;
    char address[ADDRESS_BYTES];

    uint64_t handshakes;           /* that succeeded */
    uint64_t refused_keys;         /* whose connection has not ended yet */
    uint64_t *handshakes_at_start; /* by descriptor of libzmq's connections: `handshakes` when it was accepted */
    size_t descriptors;            /* entries there */
};

/* ---- receiving */

/* Fills in who it was. Returns false when the message did not come through the check of keys, or its routing id is not
 * one that libzmq gave. */
static bool read_peer(const struct plane *plane, zmq_msg_t *frames, struct plane_peer *peer)
{
    size_t routing_bytes = zmq_msg_size(&frames[0]);
    const char *user = zmq_msg_gets(&frames[1], "User-Id");
    const struct key *key = user != NULL ? keys_find(plane->keys, user) : NULL;
    if (key == NULL || routing_bytes == 0 || routing_bytes > sizeof peer->routing)
        return false;
    *peer = (struct plane_peer){.routing_bytes = (uint8_t)routing_bytes, .role = key->role};
    memcpy(peer->routing, zmq_msg_data(&frames[0]), routing_bytes);
    text_copy(peer->user, sizeof peer->user, key->name);
    return true;
}

/* Handles one message. Returns false when there is none. */
static bool take_message(struct router *router)
{
    zmq_msg_t frames[FRAMES];
    size_t count = plane_receive(zsocket_socket(router->data), frames, FRAMES);
    struct plane_peer peer;
    if (count > 0 && (count != FRAMES || !read_peer(router->plane, frames, &peer))) {
        plane_refuse(router->plane, "an authorised peer", "not a message of ours");
    } else if (count > 0) {
        Gemel__Envelope *message = plane_unpack(router->plane, &frames[1], peer.user);
        if (message != NULL)
            router->on_message(router->owner, &peer, message);
        wire_free((ProtobufCMessage *)message);
    }
    plane_close_frames(frames, FRAMES);
    return count > 0;
}

static bool router_turn(void *owner)
{
    struct router *router = owner;
    for (int done = 0; done < PLANE_TURN_BUDGET; done++) {
        if (!take_message(router))
            return false;
        if (router->data == NULL)
            return false;
    }
    return true;
}

static void note_accepted(struct router *router, uint32_t fd)
{
    if (fd >= router->descriptors) {
        size_t wanted = (size_t)fd + 64;
        router->handshakes_at_start =
            memory_resize(router->handshakes_at_start, wanted * sizeof *router->handshakes_at_start);
        router->descriptors = wanted;
    }
    router->handshakes_at_start[fd] = router->handshakes;
}

/* libzmq tells a failed handshake not in every case, and never of which connection. But one that ends before any
 * handshake has succeeded since it began was certainly never one of ours. (One that others overtook is not counted.)
 * Refused keys were counted where they were refused. */
static void note_disconnected(struct router *router, uint32_t fd)
{
    if (fd >= router->descriptors || router->handshakes_at_start[fd] != router->handshakes)
        return;
    if (router->refused_keys > 0)
        router->refused_keys--;
    else
        plane_refuse(router->plane, "a connection", "it does not speak our protocol");
}

static bool monitor_turn(void *owner)
{
    struct router *router = owner;
    for (int done = 0; done < PLANE_TURN_BUDGET; done++) {
        uint16_t event = 0;
        uint32_t value = 0;
        if (zsocket_monitor_read(zsocket_socket(router->monitor), &event, &value) != 0)
            return false;
        if (event == ZMQ_EVENT_ACCEPTED)
            note_accepted(router, value);
        else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            router->handshakes++;
        else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
            router->refused_keys++;
        else if (event == ZMQ_EVENT_DISCONNECTED)
            note_disconnected(router, value);
    }
    return true;
}

/* ---- life */

/* Finds the numeric address to bind: libzmq takes no names there. */
static int resolve(const char *address, struct sockaddr_storage *found, struct error *error)
{
    struct endpoint endpoint;
    int result = endpoint_parse(address, &endpoint, error);
    if (result == 0 && endpoint.is_unix)
        result = error_set(error, -EINVAL, "the control plane needs host:port, got '%s'", address);
    if (result != 0)
        return result;
    if (endpoint.is_numeric) {
        *found = endpoint.address;
        return 0;
    }
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int failure = getaddrinfo(endpoint.host, endpoint.port, &hints, &list);
    if (failure != 0)
        return error_set(error, -EADDRNOTAVAIL, "cannot find the address of this host, '%s': %s", endpoint.host,
                         gai_strerror(failure));
    memcpy(found, list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    return 0;
}

static int bind_socket(struct router *router, void *socket, const char *address, struct error *error)
{
    struct sockaddr_storage found = {0};
    int result = resolve(address, &found, error);
    if (result != 0)
        return result;
    char numeric[ADDRESS_BYTES];
    endpoint_format((struct sockaddr *)&found, numeric, sizeof numeric);
    char url[ADDRESS_BYTES + 8];
    snprintf(url, sizeof url, "tcp://%s", numeric);
    int yes = 1;
    int backlog = BACKLOG;
    ASSERT(zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof yes) == 0);
    ASSERT(zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "gemel", 5) == 0);
    ASSERT(zmq_setsockopt(socket, ZMQ_ROUTER_MANDATORY, &yes, sizeof yes) == 0);
    ASSERT(zmq_setsockopt(socket, ZMQ_BACKLOG, &backlog, sizeof backlog) == 0);
    if (found.ss_family == AF_INET6)
        ASSERT(zmq_setsockopt(socket, ZMQ_IPV6, &yes, sizeof yes) == 0);
    if (zmq_bind(socket, url) != 0) {
        result = -zmq_errno();
        return error_set(error, result, "cannot listen on %s: %s", address, zmq_strerror(-result));
    }
    char bound[ADDRESS_BYTES + 8] = "";
    size_t bound_bytes = sizeof bound;
    ASSERT(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &bound_bytes) == 0);
    text_copy(router->address, sizeof router->address, strncmp(bound, "tcp://", 6) == 0 ? bound + 6 : bound);
    return 0;
}

static void on_socket_closed(void *owner)
{
    struct router *router = owner;
    if (--router->open_sockets > 0)
        return;
    memory_free(router->handshakes_at_start);
    memory_free(router);
}

int router_create(struct router **router, struct plane *plane, const char *address, router_on_message on_message,
                  void *owner, struct error *error)
{
    struct router *made = memory_alloc(sizeof *made);
    *made = (struct router){.plane = plane, .on_message = on_message, .owner = owner};
    void *pair = NULL;
    void *socket = plane_open_socket(plane, ZMQ_ROUTER);
    int result = socket == NULL ? -zmq_errno() : 0;
    if (result == 0)
        result = zsocket_monitor_open(plane->context, socket, MONITOR_EVENTS, plane->monitors_made++, &pair);
    if (result == 0)
        result = bind_socket(made, socket, address, error);
    else
        error_set(error, result, "cannot open a ZeroMQ socket: %s", zmq_strerror(-result));
    if (result != 0) {
        if (pair != NULL) {
            zsocket_monitor_stop(socket);
            zmq_close(pair);
        }
        if (socket != NULL)
            zmq_close(socket);
        memory_free(made);
        return result;
    }
    /* The loop's handles of a new descriptor cannot fail but for a broken epoll. */
    ASSERT(zsocket_create(&made->monitor, plane->loop, pair, monitor_turn, made) == 0);
    ASSERT(zsocket_create(&made->data, plane->loop, socket, router_turn, made) == 0);
    made->open_sockets = 2;
    plane->users++;
    *router = made;
    return 0;
}

void router_destroy(struct router **router)
{
    if (*router == NULL)
        return;
    struct router *gone = *router;
    *router = NULL;
    zsocket_monitor_stop(zsocket_socket(gone->data));
    zsocket_destroy(&gone->monitor, on_socket_closed, gone);
    zsocket_destroy(&gone->data, on_socket_closed, gone);
    gone->plane->users--;
}

const char *router_address(const struct router *router)
{
    return router->address;
}

int router_send(struct router *router, const struct plane_peer *to, Gemel__Envelope *message)
{
    return plane_send(router->plane, router->data, to, message);
}
