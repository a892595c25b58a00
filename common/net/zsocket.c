#include "common/net/zsocket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "common/base/assert.h"
#include "common/base/memory.h"

enum {
    EVENT_FRAME_BYTES = 6, /* u16 event, u32 value, both in the machine's order */
    HANDLES = 2
};

struct zsocket {
    void *socket; /* NULL: destroyed */
    uv_poll_t poll;
    uv_idle_t again;
    zsocket_turn turn;
    void *owner;
    int open_handles;
    void (*on_closed)(void *owner);
    void *closed_owner;
};

static void run_turn(struct zsocket *zsocket);

static void on_idle(uv_idle_t *idle)
{
    run_turn(idle->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run_turn(poll->data);
}

static void run_turn(struct zsocket *zsocket)
{
    bool more = zsocket->turn(zsocket->owner);
    if (zsocket->socket == NULL)
        return;
    if (more)
        uv_idle_start(&zsocket->again, on_idle);
    else
        uv_idle_stop(&zsocket->again);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct zsocket *zsocket = handle->data;
    if (--zsocket->open_handles > 0)
        return;
    if (zsocket->on_closed != NULL)
        zsocket->on_closed(zsocket->closed_owner);
    memory_free(zsocket);
}

int zsocket_create(struct zsocket **zsocket, uv_loop_t *loop, void *socket, zsocket_turn turn, void *owner)
{
    int fd = -1;
    size_t fd_bytes = sizeof fd;
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &fd_bytes) != 0) {
        int result = -zmq_errno();
        zmq_close(socket);
        return result;
    }
    struct zsocket *made = memory_alloc(sizeof *made);
    *made = (struct zsocket){.socket = socket, .turn = turn, .owner = owner, .open_handles = HANDLES};
    int result = uv_poll_init(loop, &made->poll, fd);
    if (result != 0) {
        zmq_close(socket);
        memory_free(made);
        return result;
    }
    ASSERT(uv_idle_init(loop, &made->again) == 0);
    made->poll.data = made;
    made->again.data = made;
    result = uv_poll_start(&made->poll, UV_READABLE, on_readable);
    if (result != 0) {
        zsocket_destroy(&made, NULL, NULL);
        return result;
    }
    /* What arrived before now has signalled already, and may have been swallowed. */
    zsocket_wake(made);
    *zsocket = made;
    return 0;
}

void zsocket_destroy(struct zsocket **zsocket, void (*on_closed)(void *owner), void *owner)
{
    struct zsocket *gone = *zsocket;
    *zsocket = NULL;
    gone->on_closed = on_closed;
    gone->closed_owner = owner;
    /* The loop forgets the descriptor within uv_close; only then may libzmq close it. */
    uv_close((uv_handle_t *)&gone->poll, on_handle_closed);
    uv_close((uv_handle_t *)&gone->again, on_handle_closed);
    zmq_close(gone->socket);
    gone->socket = NULL;
}

void *zsocket_socket(const struct zsocket *zsocket)
{
    return zsocket->socket;
}

int zsocket_events(struct zsocket *zsocket)
{
    int events = 0;
    size_t events_bytes = sizeof events;
    if (zmq_getsockopt(zsocket->socket, ZMQ_EVENTS, &events, &events_bytes) != 0)
        return 0;
    if ((events & ZMQ_POLLIN) != 0)
        zsocket_wake(zsocket);
    return events;
}

void zsocket_wake(struct zsocket *zsocket)
{
    uv_idle_start(&zsocket->again, on_idle);
}

int zsocket_monitor_open(void *context, void *socket, int events, uint64_t number, void **pair)
{
    char address[64];
    snprintf(address, sizeof address, "inproc://gemel.monitor.%llu", (unsigned long long)number);
    void *made = zmq_socket(context, ZMQ_PAIR);
    if (made == NULL)
        return -zmq_errno();
    /* Without a bound: at a bound libzmq's I/O thread would wait for this loop. What queues is some bytes a connection.
     */
    int none = 0;
    if (zmq_setsockopt(made, ZMQ_RCVHWM, &none, sizeof none) != 0 ||
        zmq_setsockopt(made, ZMQ_LINGER, &none, sizeof none) != 0 || zmq_socket_monitor(socket, address, events) != 0) {
        int result = -zmq_errno();
        zmq_close(made);
        return result;
    }
    if (zmq_connect(made, address) != 0) {
        int result = -zmq_errno();
        zsocket_monitor_stop(socket);
        zmq_close(made);
        return result;
    }
    *pair = made;
    return 0;
}

void zsocket_monitor_stop(void *socket)
{
    zmq_socket_monitor(socket, NULL, 0);
}

int zsocket_monitor_read(void *pair, uint16_t *event, uint32_t *value)
{
    uint8_t frame[EVENT_FRAME_BYTES];
    int length = zmq_recv(pair, frame, sizeof frame, ZMQ_DONTWAIT);
    if (length < 0)
        return -EAGAIN;
    uint8_t address[1];
    zmq_recv(pair, address, sizeof address, ZMQ_DONTWAIT);
    if (length != EVENT_FRAME_BYTES)
        return -EAGAIN;
    memcpy(event, frame, sizeof *event);
    memcpy(value, frame + sizeof *event, sizeof *value);
    return 0;
}
