/* Any bytes as a frame's header and as a body with a route: decoding never reads beyond them, and what it accepts comes
 * back the same through encode. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/bounds.h"
#include "common/base/crc32c.h"
#include "common/wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_header(const uint8_t *bytes)
{
    uint8_t sealed[FRAME_HEADER_BYTES];
    uint8_t again[FRAME_HEADER_BYTES];
    struct frame_header header;
    (void)frame_decode(bytes, &header);
    /* With the right checksum, which no fuzzer guesses. */
    memcpy(sealed, bytes, sizeof sealed);
    uint32_t checksum = crc32c(sealed, sizeof sealed - sizeof checksum);
    for (size_t i = 0; i < sizeof checksum; i++)
        sealed[sizeof sealed - sizeof checksum + i] = (uint8_t)(checksum >> (8 * i));
    if (frame_decode(sealed, &header) != 0)
        return;
    ASSERT(header.body_bytes <= FRAME_BODY_BYTES_MAX);
    frame_encode(&header, again);
    ASSERT(memcmp(sealed, again, sizeof sealed) == 0);
}

static void check_route(const uint8_t *body, size_t size)
{
    struct frame_route route;
    if (frame_route_decode(body, size, &route) != 0)
        return;
    ASSERT(route.name_bytes < PROCESS_NAME_BYTES);
    ASSERT(FRAME_ROUTE_BYTES + route.name_bytes + route.payload_bytes == size);
    uint32_t sum = crc32c(route.name, route.name_bytes);
    (void)crc32c_more(sum, route.payload, route.payload_bytes); /* reads every byte that was handed out */
    char name[PROCESS_NAME_BYTES] = "";
    memcpy(name, route.name, route.name_bytes);
    if (strlen(name) != route.name_bytes)
        return;
    uint8_t again[FRAME_ROUTE_BYTES + PROCESS_NAME_BYTES];
    frame_route_encode(again, name, route.timeout_ms);
    struct frame_route other;
    ASSERT(frame_route_decode(again, FRAME_ROUTE_BYTES + route.name_bytes, &other) == 0);
    ASSERT(other.timeout_ms == route.timeout_ms && memcmp(other.name, name, other.name_bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size >= FRAME_HEADER_BYTES)
        check_header(bytes);
    check_route(bytes, size);
    return 0;
}
