/* Packing and unpacking of the messages in gemel.proto, safe against hostile bytes. Pure.
 *
 * Unpacking first scans the bytes (field count, depth, lengths) and then runs protobuf-c with an allocator that is
 * capped, so that a small message cannot ask for much memory. Nested messages are at most WIRE_DEPTH_MAX deep. */
#ifndef GEMEL_WIRE_WIRE_H
#define GEMEL_WIRE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/wire/gemel.pb-c.h"

enum {
    WIRE_DEPTH_MAX = 8,
    WIRE_FIELDS_MAX = 1000000, /* fields of one message, all levels */
    WIRE_EXPANSION_MAX = 64,   /* bytes of memory for one byte of message, above a first 64 KiB */
};

/* Packs any message. Returns the bytes and their count in *size (release with memory_free). */
uint8_t *wire_pack(const ProtobufCMessage *message, size_t *size);

/* Packs into an arena. */
uint8_t *wire_pack_arena(struct arena *arena, const ProtobufCMessage *message, size_t *size);

/* Unpacks `size` bytes (borrowed) as `descriptor` into *message (release with wire_free).
 * Returns 0; -EMSGSIZE over MESSAGE_BYTES_MAX or the caps above; -EBADMSG when malformed. */
int wire_unpack(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t size,
                ProtobufCMessage **message);

/* The same with an arena that owns the result; nothing to release. */
int wire_unpack_arena(struct arena *arena, const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes,
                      size_t size, ProtobufCMessage **message);

/* Returns a copy of a message that was unpacked here or made here, within the caps (release with wire_free). Never
 * NULL: a message over the caps is a broken promise. */
ProtobufCMessage *wire_copy(const ProtobufCMessage *message);

/* Releases what wire_unpack or wire_copy returned; NULL is allowed. */
void wire_free(ProtobufCMessage *message);

/* Arguments of an AdminRequest by name. Returns NULL when absent. */
const char *wire_argument(const Gemel__AdminRequest *request, const char *name);

#endif
