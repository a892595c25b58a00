/* Records of a journal, version 1 of the format in the design's dos.md. Pure.
 *
 *   u32 BE body length | u8 version = 1 | u8 op | u8 ints | u8 strings | u64 BE tag | i64 BE ints... |
 *   i64 BE string lengths... | bytes... | u32 BE CRC32C
 * The body length counts everything behind itself. The checksum covers everything before itself, the length included,
 * and is seeded with the checksum of the record before it: equal checksums at equal offsets mean equal prefixes. The
 * first record of a segment is seeded with 0, so that a segment can be checked alone. */
#ifndef GEMEL_JOURNAL_RECORD_H
#define GEMEL_JOURNAL_RECORD_H

#include <stddef.h>
#include <stdint.h>

enum {
    RECORD_VERSION = 1,
    RECORD_INTS_MAX = 16,
    RECORD_STRINGS_MAX = 16,
    RECORD_BYTES_MAX = 17 * 1024 * 1024 /* a frame's largest body and what is around it */
};

enum record_op {
    RECORD_SET_LENGTH = 0, /* ints [length], strings [path] */
    RECORD_WRITE = 1,      /* ints [offset], strings [path, data] */
    RECORD_REMOVE = 2,     /* strings [path] */
    RECORD_MARKER = 3,     /* ints [checkpoint id, epoch, wall_ns] */
    RECORD_ROLLBACK = 4,   /* ints [checkpoint id, rollback id, offset] */
    RECORD_BATCH = 5       /* ints [sequence, row count, column count], strings [publisher, table, rows] */
};

struct record_string {
    const uint8_t *bytes; /* borrowed */
    size_t size;
};

struct record {
    uint8_t op; /* enum record_op; others are kept as they are */
    uint8_t int_count;
    uint8_t string_count;
    uint64_t tag;
    int64_t ints[RECORD_INTS_MAX];
    struct record_string strings[RECORD_STRINGS_MAX];
};

/* Bytes of the whole record when it is encoded. */
size_t record_size(const struct record *record);

/* Writes record_size bytes, at most RECORD_BYTES_MAX. Returns the record's checksum: the next one's seed. */
uint32_t record_encode(const struct record *record, uint32_t seed, uint8_t *target);

/* Reads the record at the start of `size` bytes; its strings are borrowed from them. Returns 0 with the bytes it took
 * and its checksum; -EAGAIN with *taken the bytes that are needed at least, when it may go on behind the end; -EBADMSG
 * when these bytes are no record or the checksum is wrong. */
int record_decode(const uint8_t *bytes, size_t size, uint32_t seed, struct record *record, size_t *taken,
                  uint32_t *checksum);

#endif
