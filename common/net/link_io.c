/* The bytes of a link: frames gathered and written, bytes read and taken apart. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/crc32c.h"
#include "common/base/memory.h"
#include "common/net/link_state.h"

enum {
    READ_BYTES = 64 * 1024,          /* first size of a read buffer; only touched pages cost memory */
    BUFFER_KEPT_BYTES = 1024 * 1024, /* an empty buffer above it is given back */
    FLUSH_BYTES = 64 * 1024,         /* gathered bytes that go out before the turn ends */
    DIRECT_BYTES = 16 * 1024,        /* bodies from here on are written from where they are, not copied */
    HELLO_BYTES_MAX = 1024
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

/* ---- writing */

static void on_turn(uv_idle_t *idle);

void link_schedule_turn(struct link *link)
{
    uv_idle_start(&link->turn, on_turn);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct link *link = request->data;
    if (status != 0 && link->state != LINK_CLOSED)
        link_close_now(link);
    link_release(link);
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
        link_close_now(link);
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
            link_fail_errno(link, status);
        else
            link_flush(link);
    }
    if (link->state == LINK_OPEN && !link->writing_busy && link->handlers.on_drained != NULL)
        link->handlers.on_drained(link->owner, link);
    link_release(link);
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

void link_flush(struct link *link)
{
    if (!link_is_connected(link) || link->writing_busy)
        return;
    if (buffer_length(&link->out) > 0) {
        int result = write_out(link);
        if (result != 0) {
            link_fail_errno(link, result);
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
    bool writable = link_is_connected(link) && !link->writing_busy;
    int result = 0;
    if (writable && header->body_bytes >= DIRECT_BYTES) {
        result = write_directly(link, head, body, header->body_bytes);
    } else {
        buffer_append(&link->out, head, FRAME_HEADER_BYTES);
        buffer_append(&link->out, body, header->body_bytes);
        if (writable && buffer_length(&link->out) >= FLUSH_BYTES)
            result = write_out(link);
        else if (writable)
            link_schedule_turn(link);
    }
    if (result != 0) {
        link->pending_error = result;
        link_schedule_turn(link);
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
        link_fail(link, -EBADMSG, "the peer's hello is malformed");
        return;
    }
    link->peer = (Gemel__LinkHello *)message;
    if (link->peer->protocol != 1) {
        char why[96];
        snprintf(why, sizeof why, "the peer speaks protocol %u, this program 1", link->peer->protocol);
        link_fail(link, -EPROTONOSUPPORT, why);
    } else if (!is_name(link->peer->name)) {
        link_fail(link, -EBADMSG, "the peer's hello has a malformed name");
    } else {
        uv_timer_stop(&link->timer);
        link_enter(link, LINK_OPEN);
        link->handed_out = true;
        link->handlers.on_open(link->owner, link);
    }
}

/* Is a frame with this header acceptable now? */
static bool check_header(struct link *link, const struct frame_header *header)
{
    bool hello = header->type == FRAME_HELLO;
    if (link->state == LINK_GREETING && !hello)
        link_fail(link, -EPROTO, "a frame came before the peer's hello");
    else if (link->state == LINK_GREETING && header->body_bytes > HELLO_BYTES_MAX)
        link_fail(link, -EMSGSIZE, "the peer's hello is too long");
    else if (link->state == LINK_OPEN && hello)
        link_fail(link, -EPROTO, "the peer sent a second hello");
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
        link_fail(link, result, describe_header_error(result));
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
        link_fail(link, -EBADMSG, "the checksum of a frame's body is wrong");
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
        link_close_now(link);
    } else if (count == UV_EOF) {
        bool whole = buffer_length(&link->in) == 0;
        link_fail(link, whole ? 0 : -ECONNRESET, whole ? "closed by the peer" : "closed by the peer within a frame");
    } else if (count < 0) {
        link_fail_errno(link, (int)count);
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
        link_fail_errno(link, link->pending_error);
        return;
    }
    link_flush(link);
    if (link->state == LINK_OPEN)
        take_frames(link);
}

int link_start_reading(struct link *link)
{
    return uv_read_start(&link->socket.stream, on_alloc, on_read);
}
