#include "common/net/link.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/net/endpoint.h"

enum {
    READ_BYTES = 64 * 1024,          /* first size of a read buffer; only touched pages cost memory */
    BUFFER_KEPT_BYTES = 1024 * 1024, /* an empty buffer above it is given back */
    FLUSH_BYTES = 64 * 1024,         /* gathered bytes that go out before the turn ends */
    DIRECT_BYTES = 16 * 1024,        /* bodies from here on are written from where they are, not copied */
    HELLO_BYTES_MAX = 1024,
    CLOSE_FLUSH_MS = 1000,
    BACKLOG = 1024
};

/* name, words, what may follow */
#define LINK_STATES(X)                                                                                                 \
    X(CONNECTING, "connecting", 1u << LINK_GREETING | 1u << LINK_CLOSED)                                               \
    X(GREETING, "waiting for the peer's hello", 1u << LINK_OPEN | 1u << LINK_DRAINING | 1u << LINK_CLOSED)             \
    X(OPEN, "open", 1u << LINK_DRAINING | 1u << LINK_CLOSED)                                                           \
    X(DRAINING, "closing", 1u << LINK_CLOSED)                                                                          \
    X(CLOSED, "closed", 0u)

enum link_state {
#define X(name, words, next) LINK_##name,
    LINK_STATES(X)
#undef X
};

/* Bytes [start, end) of `data` are in use. */
struct buffer {
    uint8_t *data;
    size_t start;
    size_t end;
    size_t capacity;
};

struct link {
    uv_loop_t *loop;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } socket;
    uv_timer_t timer; /* deadline of the HELLO, then of the flush at the end */
    uv_idle_t turn;   /* runs once before the loop sleeps again; idle and not prepare, because an idle handle that is
                       * started in any phase keeps the loop from sleeping until it has run */
    uv_connect_t connect;
    uv_getaddrinfo_t resolve;
    uv_write_t write;
    uv_shutdown_t shutdown;
    enum link_state state;
    unsigned references; /* handles and requests that still point here; released at 0 */
    bool is_unix;
    bool handed_out;
    bool paused;
    bool writing_busy; /* `writing` belongs to `write` */
    bool shutting_down;
    int pending_error; /* of a write inside link_send, told in the next turn */
    struct buffer in;
    size_t wanted_bytes; /* of the frame that is incomplete in `in`; 0: not known */
    struct buffer out;   /* gathered in this turn, or while `writing` is busy */
    struct buffer writing;
    struct link_handlers handlers;
    void *owner;
    struct link_server *server; /* NULL: dialled, or the server is gone */
    struct link *prev, *next;   /* in the server's list */
    Gemel__LinkHello *peer;     /* NULL before on_open */
    char address[ADDRESS_BYTES];
    int32_t peer_pid;
};

struct link_server {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } socket;
    uv_loop_t *loop;
    bool is_unix;
    struct link_handlers handlers;
    void *owner;
    uint8_t *hello; /* packed LinkHello */
    size_t hello_bytes;
    struct link *links;
    unsigned link_count;
    uint64_t refused;
    char address[ADDRESS_BYTES];
};

/* ---- buffers */

static void buffer_reserve(struct buffer *buffer, size_t more)
{
    if (buffer->start == buffer->end)
        buffer->start = buffer->end = 0;
    if (buffer->capacity - buffer->end >= more)
        return;
    size_t used = buffer->end - buffer->start;
    if (buffer->start > 0) {
        memmove(buffer->data, buffer->data + buffer->start, used);
        buffer->start = 0;
        buffer->end = used;
    }
    if (buffer->capacity - used >= more)
        return;
    size_t capacity = buffer->capacity > 0 ? buffer->capacity : READ_BYTES;
    while (capacity - used < more)
        capacity *= 2;
    buffer->data = memory_resize(buffer->data, capacity);
    buffer->capacity = capacity;
}

static void buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    buffer_reserve(buffer, length);
    memcpy(buffer->data + buffer->end, bytes, length);
    buffer->end += length;
}

static void buffer_empty(struct buffer *buffer)
{
    buffer->start = buffer->end = 0;
    if (buffer->capacity > BUFFER_KEPT_BYTES) {
        memory_free(buffer->data);
        *buffer = (struct buffer){0};
    }
}

static size_t buffer_length(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

/* ---- life-cycle */

static void enter(struct link *link, enum link_state state)
{
    static const unsigned successors[] = {
#define X(name, words, next) [LINK_##name] = (next),
        LINK_STATES(X)
#undef X
    };
    ASSERT((successors[link->state] & 1u << state) != 0);
    link->state = state;
}

static bool is_connected(const struct link *link)
{
    return link->state == LINK_GREETING || link->state == LINK_OPEN || link->state == LINK_DRAINING;
}

static void release(struct link *link)
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
    release(handle->data);
}

static void leave_server(struct link *link)
{
    if (link->server == NULL)
        return;
    DL_DELETE(link->server->links, link);
    link->server->link_count--;
    if (!link->handed_out)
        link->server->refused++;
    link->server = NULL;
}

static void close_now(struct link *link)
{
    enter(link, LINK_CLOSED);
    leave_server(link);
    if (link->resolve.data != NULL)
        uv_cancel((uv_req_t *)&link->resolve);
    uv_close(&link->socket.handle, on_handle_closed);
    uv_close((uv_handle_t *)&link->timer, on_handle_closed);
    uv_close((uv_handle_t *)&link->turn, on_handle_closed);
}

/* Ends the link for a reason that its owner did not choose. */
static void fail(struct link *link, int reason, const char *why)
{
    if (link->state == LINK_CLOSED)
        return;
    bool tell = link->handed_out && link->state != LINK_DRAINING;
    close_now(link);
    if (tell)
        link->handlers.on_close(link->owner, link, reason, why);
}

static void fail_errno(struct link *link, int reason)
{
    char why[256];
    snprintf(why, sizeof why, "%s", uv_strerror(reason));
    fail(link, reason, why);
}

static void on_timer(uv_timer_t *timer)
{
    struct link *link = timer->data;
    if (link->state == LINK_CONNECTING)
        fail(link, -ETIMEDOUT, "no connection in time");
    else
        fail(link, -ETIMEDOUT, "the peer sent no hello in time");
}

/* ---- writing */

static void on_turn(uv_idle_t *idle);
static void flush(struct link *link);

static void schedule_turn(struct link *link)
{
    uv_idle_start(&link->turn, on_turn);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct link *link = request->data;
    if (status != 0 && link->state != LINK_CLOSED)
        close_now(link);
    release(link);
}

/* Says that we are done and waits for the peer's end: closing at once, with bytes of it unread, would make the kernel
 * reset the connection and throw away what is still on its way to the peer. */
static void shut_down(struct link *link)
{
    if (link->shutting_down)
        return;
    link->shutting_down = true;
    link->shutdown.data = link;
    if (uv_shutdown(&link->shutdown, &link->socket.stream, on_shutdown) != 0)
        close_now(link);
    else
        link->references++;
}

static void on_written(uv_write_t *request, int status)
{
    struct link *link = request->data;
    link->writing_busy = false;
    buffer_empty(&link->writing);
    if (link->state != LINK_CLOSED) {
        if (status != 0)
            fail_errno(link, status);
        else
            flush(link);
    }
    if (link->state == LINK_OPEN && !link->writing_busy && link->handlers.on_drained != NULL)
        link->handlers.on_drained(link->owner, link);
    release(link);
}

/* Hands what the kernel did not take at once to libuv. */
static int queue_rest(struct link *link)
{
    struct buffer empty = link->writing;
    link->writing = link->out;
    link->out = empty;
    uv_buf_t rest =
        uv_buf_init((char *)link->writing.data + link->writing.start, (unsigned)buffer_length(&link->writing));
    link->write.data = link;
    int result = uv_write(&link->write, &link->socket.stream, &rest, 1, on_written);
    if (result != 0)
        return result;
    link->writing_busy = true;
    link->references++;
    return 0;
}

static int write_out(struct link *link)
{
    size_t length = buffer_length(&link->out);
    uv_buf_t bytes = uv_buf_init((char *)link->out.data + link->out.start, (unsigned)length);
    int taken = uv_try_write(&link->socket.stream, &bytes, 1);
    if (taken < 0 && taken != UV_EAGAIN)
        return taken;
    link->out.start += taken > 0 ? (size_t)taken : 0;
    if (taken >= 0 && (size_t)taken == length) {
        buffer_empty(&link->out);
        return 0;
    }
    return queue_rest(link);
}

static void flush(struct link *link)
{
    if (!is_connected(link) || link->writing_busy)
        return;
    if (buffer_length(&link->out) > 0) {
        int result = write_out(link);
        if (result != 0) {
            fail_errno(link, result);
            return;
        }
    }
    if (link->state == LINK_DRAINING && !link->writing_busy)
        shut_down(link);
}

/* Writes what is gathered and a large body without copying it; the rest is copied. */
static int write_directly(struct link *link, const uint8_t *head, const uint8_t *body, size_t body_bytes)
{
    buffer_append(&link->out, head, FRAME_HEADER_BYTES);
    size_t before = buffer_length(&link->out);
    uv_buf_t parts[2] = {uv_buf_init((char *)link->out.data + link->out.start, (unsigned)before),
                         uv_buf_init((char *)(uintptr_t)body, (unsigned)body_bytes)};
    int taken = uv_try_write(&link->socket.stream, parts, 2);
    if (taken < 0 && taken != UV_EAGAIN)
        return taken;
    size_t done = taken > 0 ? (size_t)taken : 0;
    link->out.start += done < before ? done : before;
    done -= done < before ? done : before;
    if (done == body_bytes) {
        buffer_empty(&link->out);
        return 0;
    }
    buffer_append(&link->out, body + done, body_bytes - done);
    return queue_rest(link);
}

size_t link_queued_bytes(const struct link *link)
{
    return buffer_length(&link->out) + (link->writing_busy ? link->socket.stream.write_queue_size : 0);
}

int link_send_frame(struct link *link, const struct frame_header *header, const uint8_t *body)
{
    if (link->state == LINK_DRAINING || link->state == LINK_CLOSED || link->pending_error != 0)
        return -EPIPE;
    if (header->body_bytes > FRAME_BODY_BYTES_MAX)
        return -EMSGSIZE;
    if (link_queued_bytes(link) >= LINK_QUEUE_BYTES_MAX)
        return -EAGAIN;
    uint8_t head[FRAME_HEADER_BYTES];
    frame_encode(header, head);
    bool writable = is_connected(link) && !link->writing_busy;
    int result = 0;
    if (writable && header->body_bytes >= DIRECT_BYTES) {
        result = write_directly(link, head, body, header->body_bytes);
    } else {
        buffer_append(&link->out, head, FRAME_HEADER_BYTES);
        buffer_append(&link->out, body, header->body_bytes);
        if (writable && buffer_length(&link->out) >= FLUSH_BYTES)
            result = write_out(link);
        else if (writable)
            schedule_turn(link);
    }
    if (result != 0) {
        link->pending_error = result;
        schedule_turn(link);
        return -EPIPE;
    }
    return 0;
}

int link_send(struct link *link, enum frame_type type, uint64_t request_id, const uint8_t *body, size_t body_bytes)
{
    if (body_bytes > FRAME_BODY_BYTES_MAX)
        return -EMSGSIZE;
    struct frame_header header = {
        .type = type,
        .request_id = request_id,
        .body_bytes = (uint32_t)body_bytes,
        .body_crc32c = crc32c(body, body_bytes),
    };
    return link_send_frame(link, &header, body);
}

int link_send_message(struct link *link, enum frame_type type, uint64_t request_id, const ProtobufCMessage *message)
{
    uint8_t small[1024];
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = size <= sizeof small ? small : memory_alloc(size);
    protobuf_c_message_pack(message, bytes);
    int result = link_send(link, type, request_id, bytes, size);
    if (bytes != small)
        memory_free(bytes);
    return result;
}

/* ---- reading */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct link *link = handle->data;
    struct buffer *in = &link->in;
    size_t used = buffer_length(in);
    /* A large frame grows its buffer as its bytes come, so that a header alone cannot ask for memory. */
    size_t missing = link->wanted_bytes > used ? link->wanted_bytes - used : 0;
    size_t more = missing > used ? used : missing;
    buffer_reserve(in, more > READ_BYTES / 4 ? more : READ_BYTES / 4);
    *buffer = uv_buf_init((char *)in->data + in->end, (unsigned)(in->capacity - in->end));
}

static bool is_name(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < length; i++)
        if (name[i] < ' ' || name[i] > '~')
            return false;
    return length < PROCESS_NAME_BYTES;
}

static void take_hello(struct link *link, const uint8_t *body, size_t size)
{
    ProtobufCMessage *message = NULL;
    if (wire_unpack(&gemel__link_hello__descriptor, body, size, &message) != 0) {
        fail(link, -EBADMSG, "the peer's hello is malformed");
        return;
    }
    link->peer = (Gemel__LinkHello *)message;
    if (link->peer->protocol != 1) {
        char why[96];
        snprintf(why, sizeof why, "the peer speaks protocol %u, this program 1", link->peer->protocol);
        fail(link, -EPROTONOSUPPORT, why);
    } else if (!is_name(link->peer->name)) {
        fail(link, -EBADMSG, "the peer's hello has a malformed name");
    } else {
        uv_timer_stop(&link->timer);
        enter(link, LINK_OPEN);
        link->handed_out = true;
        link->handlers.on_open(link->owner, link);
    }
}

/* Is a frame with this header acceptable now? */
static bool check_header(struct link *link, const struct frame_header *header)
{
    bool hello = header->type == FRAME_HELLO;
    if (link->state == LINK_GREETING && !hello)
        fail(link, -EPROTO, "a frame came before the peer's hello");
    else if (link->state == LINK_GREETING && header->body_bytes > HELLO_BYTES_MAX)
        fail(link, -EMSGSIZE, "the peer's hello is too long");
    else if (link->state == LINK_OPEN && hello)
        fail(link, -EPROTO, "the peer sent a second hello");
    return link->state != LINK_CLOSED;
}

static const char *describe_header_error(int result)
{
    if (result == -EMSGSIZE)
        return "a frame is over 16 MiB";
    if (result == -EPROTONOSUPPORT)
        return "a frame of another version came";
    return "a frame has a malformed header";
}

/* Takes one frame from the buffer. Returns false when there is no whole one, or the link ended. */
static bool take_frame(struct link *link)
{
    struct frame_header header;
    const uint8_t *bytes = link->in.data + link->in.start;
    link->wanted_bytes = 0;
    if (buffer_length(&link->in) < FRAME_HEADER_BYTES)
        return false;
    int result = frame_decode(bytes, &header);
    if (result != 0) {
        fail(link, result, describe_header_error(result));
        return false;
    }
    if (!check_header(link, &header))
        return false;
    size_t total = FRAME_HEADER_BYTES + (size_t)header.body_bytes;
    if (buffer_length(&link->in) < total) {
        link->wanted_bytes = total;
        return false;
    }
    const uint8_t *body = bytes + FRAME_HEADER_BYTES;
    if (crc32c(body, header.body_bytes) != header.body_crc32c) {
        fail(link, -EBADMSG, "the checksum of a frame's body is wrong");
        return false;
    }
    link->in.start += total;
    if (header.type == FRAME_HELLO)
        take_hello(link, body, header.body_bytes);
    else
        link->handlers.on_frame(link->owner, link, &header, body);
    return true;
}

static void take_frames(struct link *link)
{
    while ((link->state == LINK_GREETING || link->state == LINK_OPEN) && !link->paused && take_frame(link))
        ;
    if (buffer_length(&link->in) == 0)
        buffer_empty(&link->in);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    (void)buffer;
    struct link *link = stream->data;
    if (count == 0 || link->state == LINK_CLOSED)
        return;
    if (count < 0 && link->state == LINK_DRAINING) {
        close_now(link);
    } else if (count == UV_EOF) {
        bool whole = buffer_length(&link->in) == 0;
        fail(link, whole ? 0 : -ECONNRESET, whole ? "closed by the peer" : "closed by the peer within a frame");
    } else if (count < 0) {
        fail_errno(link, (int)count);
    } else if (link->state == LINK_DRAINING) {
        buffer_empty(&link->in);
    } else {
        link->in.end += (size_t)count;
        take_frames(link);
    }
}

/* What is left to do before the loop sleeps: tell of a broken write, send what was gathered, go on after a pause. */
static void on_turn(uv_idle_t *idle)
{
    struct link *link = idle->data;
    uv_idle_stop(idle);
    if (link->pending_error != 0) {
        fail_errno(link, link->pending_error);
        return;
    }
    flush(link);
    if (link->state == LINK_OPEN)
        take_frames(link);
}

/* ---- making links */

static void ignore_broken_pipe(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

static uint8_t *pack_hello(const struct link_self *self, size_t *size)
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
static struct link *create(uv_loop_t *loop, bool is_unix, const uint8_t *hello, size_t hello_bytes,
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
static void greet(struct link *link)
{
    enter(link, LINK_GREETING);
    if (!link->is_unix)
        uv_tcp_nodelay(&link->socket.tcp, 1);
    read_peer_pid(link);
    int result = link->paused ? 0 : uv_read_start(&link->socket.stream, on_alloc, on_read);
    if (result != 0)
        fail_errno(link, result);
    else
        flush(link);
}

/* ---- dialling */

static void on_connect(uv_connect_t *request, int status)
{
    struct link *link = request->data;
    if (link->state != LINK_CLOSED) {
        if (status != 0)
            fail_errno(link, status);
        else
            greet(link);
    }
    release(link);
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
            fail(link, result, error.code != 0 ? error.sentence : uv_strerror(result));
    }
    uv_freeaddrinfo(found);
    release(link);
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
    ignore_broken_pipe();
    size_t hello_bytes = 0;
    uint8_t *hello = pack_hello(self, &hello_bytes);
    struct link *made = create(loop, endpoint.is_unix, hello, hello_bytes, handlers, owner);
    memory_free(hello);
    made->handed_out = true;
    text_copy(made->address, sizeof made->address, address);
    result = dial(made, &endpoint);
    if (result != 0) {
        close_now(made);
        return error_set(error, result, "cannot dial %s: %s", address, uv_strerror(result));
    }
    *link = made;
    return 0;
}

/* ---- listening */

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
    struct link *link =
        create(server->loop, server->is_unix, server->hello, server->hello_bytes, &server->handlers, server->owner);
    link->server = server;
    DL_APPEND(server->links, link);
    server->link_count++;
    if (uv_accept(stream, &link->socket.stream) != 0 || server->link_count > LINKS_MAX) {
        close_now(link);
        return;
    }
    greet(link);
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
    ignore_broken_pipe();
    struct link_server *made = memory_alloc(sizeof *made);
    *made = (struct link_server){.loop = loop, .is_unix = endpoint.is_unix, .handlers = *handlers, .owner = owner};
    made->hello = pack_hello(self, &made->hello_bytes);
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
        leave_server(link);
        link_close(link);
    }
    uv_close(&(*server)->socket.handle, on_server_closed);
    *server = NULL;
}

/* ---- the owner's side */

static void on_close_deadline(uv_timer_t *timer)
{
    struct link *link = timer->data;
    if (link->state != LINK_CLOSED)
        close_now(link);
}

void link_close(struct link *link)
{
    if (link->state == LINK_CLOSED || link->state == LINK_DRAINING)
        return;
    if (link->state == LINK_CONNECTING || link->pending_error != 0) {
        close_now(link);
        return;
    }
    enter(link, LINK_DRAINING);
    uv_timer_start(&link->timer, on_close_deadline, CLOSE_FLUSH_MS, 0);
    if (link->paused)
        uv_read_start(&link->socket.stream, on_alloc, on_read);
    schedule_turn(link);
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
    int result = uv_read_start(&link->socket.stream, on_alloc, on_read);
    if (result != 0)
        link->pending_error = result;
    schedule_turn(link);
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
