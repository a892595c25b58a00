#include "common/wire/frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/bounds.h"
#include "common/base/crc32c.h"

enum {
    CHECKED_BYTES = 28 /* of the header, covered by its own checksum */
};

static void put16(uint8_t *at, uint16_t value)
{
    value = htole16(value);
    memcpy(at, &value, sizeof value);
}

static void put32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static void put64(uint8_t *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

static uint16_t get16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return le16toh(value);
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

void frame_encode(const struct frame_header *header, uint8_t bytes[FRAME_HEADER_BYTES])
{
    ASSERT(header->body_bytes <= FRAME_BODY_BYTES_MAX);
    put16(bytes, FRAME_MAGIC);
    bytes[2] = FRAME_VERSION;
    bytes[3] = (uint8_t)((unsigned)header->type | (header->idempotent ? FRAME_TYPE_IDEMPOTENT : 0u));
    put32(bytes + 4, header->body_bytes);
    put64(bytes + 8, header->request_id);
    put64(bytes + 16, header->epoch);
    put32(bytes + 24, header->body_crc32c);
    put32(bytes + CHECKED_BYTES, crc32c(bytes, CHECKED_BYTES));
}

int frame_decode(const uint8_t bytes[FRAME_HEADER_BYTES], struct frame_header *header)
{
    if (get16(bytes) != FRAME_MAGIC || get32(bytes + CHECKED_BYTES) != crc32c(bytes, CHECKED_BYTES))
        return -EBADMSG;
    if (bytes[2] != FRAME_VERSION)
        return -EPROTONOSUPPORT;
    unsigned type = bytes[3] & ~(unsigned)FRAME_TYPE_IDEMPOTENT;
    if (type == 0 || type > FRAME_TYPE_MAX)
        return -EBADMSG;
    if (get32(bytes + 4) > FRAME_BODY_BYTES_MAX)
        return -EMSGSIZE;
    *header = (struct frame_header){
        .type = (enum frame_type)type,
        .idempotent = (bytes[3] & FRAME_TYPE_IDEMPOTENT) != 0,
        .body_bytes = get32(bytes + 4),
        .request_id = get64(bytes + 8),
        .epoch = get64(bytes + 16),
        .body_crc32c = get32(bytes + 24),
    };
    return 0;
}

int frame_route_decode(const uint8_t *body, size_t body_bytes, struct frame_route *route)
{
    if (body_bytes < FRAME_ROUTE_BYTES)
        return -EBADMSG;
    size_t name_bytes = get16(body);
    if (name_bytes >= PROCESS_NAME_BYTES || name_bytes > body_bytes - FRAME_ROUTE_BYTES)
        return -EBADMSG;
    *route = (struct frame_route){
        .name = (const char *)body + FRAME_ROUTE_BYTES,
        .name_bytes = name_bytes,
        .timeout_ms = get32(body + 4),
        .payload = body + FRAME_ROUTE_BYTES + name_bytes,
        .payload_bytes = body_bytes - FRAME_ROUTE_BYTES - name_bytes,
    };
    return 0;
}

void frame_route_encode(uint8_t *target, const char *name, uint32_t timeout_ms)
{
    size_t length = strlen(name);
    ASSERT(length < PROCESS_NAME_BYTES);
    put16(target, (uint16_t)length);
    put16(target + 2, 0);
    put32(target + 4, timeout_ms);
    memcpy(target + FRAME_ROUTE_BYTES, name, length);
}
