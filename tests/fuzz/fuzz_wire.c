/* Any bytes as an Envelope and as an Op: unpacking never crashes, keeps its bound of memory, and what it accepts comes
 * back the same through pack and unpack, from the heap and from an arena. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Packing is canonical but for what protobuf drops (a field given twice), so that a second round changes nothing. */
static void check_round_trip(const ProtobufCMessageDescriptor *descriptor, const ProtobufCMessage *message)
{
    size_t first_bytes = 0;
    size_t second_bytes = 0;
    uint8_t *first = wire_pack(message, &first_bytes);
    ProtobufCMessage *again = NULL;
    int result = wire_unpack(descriptor, first, first_bytes, &again);
    ASSERT(result == 0);
    uint8_t *second = wire_pack(again, &second_bytes);
    ASSERT(first_bytes == second_bytes && memcmp(first, second, first_bytes) == 0);
    wire_free(again);
    memory_free(first);
    memory_free(second);
}

static void check_bytes(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t size)
{
    ProtobufCMessage *message = NULL;
    ProtobufCMessage *other = NULL;
    struct arena arena;
    arena_init(&arena);
    int result = wire_unpack(descriptor, bytes, size, &message);
    ASSERT(wire_unpack_arena(&arena, descriptor, bytes, size, &other) == result);
    ASSERT(result == 0 || message == NULL);
    if (result == 0)
        check_round_trip(descriptor, message);
    wire_free(message);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    check_bytes(&gemel__envelope__descriptor, bytes, size);
    check_bytes(&gemel__op__descriptor, bytes, size);
    return 0;
}
