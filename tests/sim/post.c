#include "tests/sim/post.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/memory.h"

enum {
    LIVES_MAX = 1000000 /* of one node in one run */
};

uint64_t post_incarnation(const struct node *node)
{
    return (node->slot + 1) * LIVES_MAX + node->life;
}

static uint8_t *pack_envelope(const struct node *from, Gemel__Envelope *message, size_t *size)
{
    message->protocol = 1;
    message->sender = (char *)(uintptr_t)from->name;
    message->incarnation = post_incarnation(from);
    return wire_pack(&message->base, size);
}

int post_envelope(struct world *world, struct channel *channel, struct node *from, Gemel__Envelope *message)
{
    size_t size = 0;
    uint8_t *bytes = pack_envelope(from, message, &size);
    int result = network_send(world, channel, from, bytes, size);
    memory_free(bytes);
    return result;
}

int post_answer(struct world *world, const struct address *to, struct node *from, Gemel__Envelope *message)
{
    size_t size = 0;
    uint8_t *bytes = pack_envelope(from, message, &size);
    int result = network_answer(world, to, from, bytes, size);
    memory_free(bytes);
    return result;
}

Gemel__Envelope *post_open(const uint8_t *bytes, size_t size)
{
    ProtobufCMessage *message = NULL;
    int result = wire_unpack(&gemel__envelope__descriptor, bytes, size, &message);
    ASSERT(result == 0);
    return (Gemel__Envelope *)message;
}

void post_free(Gemel__Envelope *message)
{
    wire_free(&message->base);
}

int post_frame(struct world *world, struct channel *channel, struct node *from, enum frame_type type,
               uint64_t request_id, const uint8_t *body, size_t body_bytes)
{
    struct frame_header header = {
        .type = type,
        .idempotent = true,
        .body_bytes = (uint32_t)body_bytes,
        .request_id = request_id,
        .body_crc32c = crc32c(body, body_bytes),
    };
    uint8_t *bytes = memory_alloc(FRAME_HEADER_BYTES + body_bytes);
    frame_encode(&header, bytes);
    if (body_bytes > 0)
        memcpy(bytes + FRAME_HEADER_BYTES, body, body_bytes);
    int result = network_send(world, channel, from, bytes, FRAME_HEADER_BYTES + body_bytes);
    memory_free(bytes);
    return result;
}

int post_frame_message(struct world *world, struct channel *channel, struct node *from, enum frame_type type,
                       uint64_t request_id, const ProtobufCMessage *message)
{
    size_t size = 0;
    uint8_t *body = wire_pack(message, &size);
    int result = post_frame(world, channel, from, type, request_id, body, size);
    memory_free(body);
    return result;
}

void post_read_frame(const uint8_t *bytes, size_t size, struct frame_header *header, const uint8_t **body)
{
    int result = frame_decode(bytes, header);
    ASSERT(result == 0);
    ASSERT(size == FRAME_HEADER_BYTES + (size_t)header->body_bytes);
    *body = bytes + FRAME_HEADER_BYTES;
    ASSERT(crc32c(*body, header->body_bytes) == header->body_crc32c);
}
