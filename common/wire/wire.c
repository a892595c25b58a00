#include "common/wire/wire.h"

#include <errno.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/bounds.h"
#include "common/base/memory.h"

uint8_t *wire_pack(const ProtobufCMessage *message, size_t *size)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = memory_alloc(length);
    size_t written = protobuf_c_message_pack(message, bytes);
    ASSERT(written == length);
    *size = length;
    return bytes;
}

uint8_t *wire_pack_arena(struct arena *arena, const ProtobufCMessage *message, size_t *size)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc(arena, length);
    size_t written = protobuf_c_message_pack(message, bytes);
    ASSERT(written == length);
    *size = length;
    return bytes;
}

/* ---- the scan before unpacking */

struct scan {
    size_t fields;
};

static int read_varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (*at == end)
            return -EBADMSG;
        uint8_t byte = *(*at)++;
        if (shift < 64)
            result |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *value = result;
            return 0;
        }
    }
    return -EBADMSG;
}

static int scan_message(struct scan *scan, const ProtobufCMessageDescriptor *descriptor, const uint8_t *at,
                        const uint8_t *end, unsigned depth);

/* Reads one field's value; goes into nested messages that the descriptor knows. */
static int scan_field(struct scan *scan, const ProtobufCMessageDescriptor *descriptor, uint64_t tag, const uint8_t **at,
                      const uint8_t *end, unsigned depth)
{
    uint64_t length = 0;
    switch (tag & 7) {
    case 0:
        return read_varint(at, end, &length);
    case 1:
        length = 8;
        break;
    case 5:
        length = 4;
        break;
    case 2: {
        int result = read_varint(at, end, &length);
        if (result != 0)
            return result;
        break;
    }
    default:
        return -EBADMSG;
    }
    if (length > (size_t)(end - *at))
        return -EBADMSG;
    if ((tag & 7) == 2 && tag >> 3 <= UINT32_MAX) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3));
        if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE) {
            int result = scan_message(scan, field->descriptor, *at, *at + length, depth + 1);
            if (result != 0)
                return result;
        }
    }
    *at += length;
    return 0;
}

static int scan_message(struct scan *scan, const ProtobufCMessageDescriptor *descriptor, const uint8_t *at,
                        const uint8_t *end, unsigned depth)
{
    if (depth > WIRE_DEPTH_MAX)
        return -EMSGSIZE;
    while (at < end) {
        uint64_t tag = 0;
        if (++scan->fields > WIRE_FIELDS_MAX)
            return -EMSGSIZE;
        int result = read_varint(&at, end, &tag);
        if (result == 0 && tag >> 3 == 0)
            result = -EBADMSG;
        if (result == 0)
            result = scan_field(scan, descriptor, tag, &at, end, depth);
        if (result != 0)
            return result;
    }
    return 0;
}

/* ---- the capped allocator */

struct budget {
    struct arena *arena; /* NULL: the heap */
    size_t left_bytes;
};

static void *budget_alloc(void *data, size_t size)
{
    struct budget *budget = data;
    if (size > budget->left_bytes)
        return NULL;
    budget->left_bytes -= size;
    return budget->arena != NULL ? arena_alloc(budget->arena, size) : memory_alloc(size);
}

static void budget_free(void *data, void *block)
{
    struct budget *budget = data;
    if (budget->arena == NULL)
        memory_free(block);
}

static int unpack(struct arena *arena, const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t size,
                  ProtobufCMessage **message)
{
    if (size > MESSAGE_BYTES_MAX)
        return -EMSGSIZE;
    struct scan scan = {0};
    int result = scan_message(&scan, descriptor, bytes, bytes + size, 1);
    if (result != 0)
        return result;
    struct budget budget = {.arena = arena, .left_bytes = 64 * 1024 + size * WIRE_EXPANSION_MAX};
    ProtobufCAllocator allocator = {.alloc = budget_alloc, .free = budget_free, .allocator_data = &budget};
    ProtobufCMessage *unpacked = protobuf_c_message_unpack(descriptor, &allocator, size, bytes);
    if (unpacked == NULL)
        return -EBADMSG;
    *message = unpacked;
    return 0;
}

int wire_unpack(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t size,
                ProtobufCMessage **message)
{
    return unpack(NULL, descriptor, bytes, size, message);
}

int wire_unpack_arena(struct arena *arena, const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes,
                      size_t size, ProtobufCMessage **message)
{
    return unpack(arena, descriptor, bytes, size, message);
}

static void *heap_alloc(void *data, size_t size)
{
    (void)data;
    return memory_alloc(size);
}

static void heap_free(void *data, void *block)
{
    (void)data;
    memory_free(block);
}

ProtobufCMessage *wire_copy(const ProtobufCMessage *message)
{
    size_t size = 0;
    ProtobufCAllocator allocator = {.alloc = heap_alloc, .free = heap_free};
    uint8_t *bytes = wire_pack(message, &size);
    ProtobufCMessage *copy = protobuf_c_message_unpack(message->descriptor, &allocator, size, bytes);
    ASSERT(copy != NULL);
    memory_free(bytes);
    return copy;
}

void wire_free(ProtobufCMessage *message)
{
    ProtobufCAllocator allocator = {.alloc = heap_alloc, .free = heap_free};
    if (message != NULL)
        protobuf_c_message_free_unpacked(message, &allocator);
}

const char *wire_argument(const Gemel__AdminRequest *request, const char *name)
{
    for (size_t i = 0; i < request->n_arguments; i++)
        if (strcmp(request->arguments[i]->name, name) == 0)
            return request->arguments[i]->value;
    return NULL;
}
