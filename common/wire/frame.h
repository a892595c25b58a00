/* Frames of the data plane: 32 bytes of header, then the body. Pure.
 *
 *   offset  0 u16 magic 0x4d47      2 u8 version (1)    3 u8 type, 0x80 set: idempotent
 *           4 u32 body length       8 u64 request id (rewritten by each hop)
 *          16 u64 epoch            24 u32 crc32c of the body (end to end)    28 u32 crc32c of bytes 0 to 27
 * All little-endian. A router treats bodies as opaque but for the route header of a QUERY.
 *
 * QUERY body:  u16 target length, u16 zero, u32 timeout_ms (0: the router's default), target `Pipeline.type.index`,
 *              payload. ANSWER body: u16 source length, u16 zero, u32 zero, source (full process name), payload.
 * What the payload is, is between client and process: SqlQuery and SqlAnswer for the built-in types. */
#ifndef GEMEL_WIRE_FRAME_H
#define GEMEL_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_MAGIC = 0x4d47,
    FRAME_VERSION = 1,
    FRAME_HEADER_BYTES = 32,
    FRAME_ROUTE_BYTES = 8, /* of a route header, before the name */
    FRAME_TYPE_IDEMPOTENT = 0x80
};

enum frame_type {
    FRAME_HELLO = 1, /* LinkHello, first on both sides */
    FRAME_PING = 2,  /* empty; answered from the loop that does the work */
    FRAME_PONG = 3,  /* empty, the ping's request id */
    FRAME_QUERY = 4,
    FRAME_ANSWER = 5,
    FRAME_FAILURE = 6,      /* Failure; instead of an answer */
    FRAME_CANCEL = 7,       /* empty, the request id of the query */
    FRAME_LOOKUP = 8,       /* Lookup */
    FRAME_LOOKUP_REPLY = 9, /* LookupReply */
    FRAME_ADMIN = 10,       /* AdminRequest */
    FRAME_ADMIN_REPLY = 11, /* AdminReply */
    FRAME_PUBLISH = 12,     /* Batch */
    FRAME_PUBLISHED = 13,   /* Published */
    FRAME_SUBSCRIBE = 14,   /* SubscribeBatches */
    FRAME_BATCH = 15,       /* Batch */
    FRAME_CAUGHT_UP = 16    /* CaughtUp */
};

enum {
    FRAME_TYPE_MAX = FRAME_CAUGHT_UP
};

struct frame_header {
    enum frame_type type;
    bool idempotent;
    uint32_t body_bytes; /* at most FRAME_BODY_BYTES_MAX */
    uint64_t request_id;
    uint64_t epoch;
    uint32_t body_crc32c;
};

/* Writes the 32 bytes of `header`. */
void frame_encode(const struct frame_header *header, uint8_t bytes[FRAME_HEADER_BYTES]);

/* Reads 32 bytes. Returns 0; -EBADMSG for a wrong magic, checksum or unknown type; -EPROTONOSUPPORT for another
 * version; -EMSGSIZE for a body over the bound. */
int frame_decode(const uint8_t bytes[FRAME_HEADER_BYTES], struct frame_header *header);

/* A QUERY's or ANSWER's body taken apart; pointers into the body (borrowed). */
struct frame_route {
    const char *name; /* not NUL-terminated */
    size_t name_bytes;
    uint32_t timeout_ms;
    const uint8_t *payload;
    size_t payload_bytes;
};

/* Takes a body apart. Returns 0, or -EBADMSG when the name does not fit into it or is over PROCESS_NAME_BYTES. */
int frame_route_decode(const uint8_t *body, size_t body_bytes, struct frame_route *route);

/* Writes the route header and the name into `target` (FRAME_ROUTE_BYTES + strlen(name) bytes); the payload follows it.
 */
void frame_route_encode(uint8_t *target, const char *name, uint32_t timeout_ms);

#endif
