#include "common/journal/record.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"

enum {
    LENGTH_BYTES = 4,
    HEAD_BYTES = LENGTH_BYTES + 4 + 8, /* length, version, op, counts, tag */
    CHECKSUM_BYTES = 4
};

size_t record_size(const struct record *record)
{
    size_t size = HEAD_BYTES + 8u * record->int_count + 8u * record->string_count + CHECKSUM_BYTES;
    for (size_t i = 0; i < record->string_count; i++)
        size += record->strings[i].size;
    return size;
}

static void put32(uint8_t *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof value);
}

static uint8_t *put64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return be32toh(value);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

uint32_t record_encode(const struct record *record, uint32_t seed, uint8_t *target)
{
    size_t size = record_size(record);
    ASSERT(size <= RECORD_BYTES_MAX && record->int_count <= RECORD_INTS_MAX &&
           record->string_count <= RECORD_STRINGS_MAX);
    put32(target, (uint32_t)(size - LENGTH_BYTES));
    target[4] = RECORD_VERSION;
    target[5] = record->op;
    target[6] = record->int_count;
    target[7] = record->string_count;
    uint8_t *at = put64(target + 8, record->tag);
    for (size_t i = 0; i < record->int_count; i++)
        at = put64(at, (uint64_t)record->ints[i]);
    for (size_t i = 0; i < record->string_count; i++)
        at = put64(at, record->strings[i].size);
    for (size_t i = 0; i < record->string_count; i++) {
        if (record->strings[i].size > 0)
            memcpy(at, record->strings[i].bytes, record->strings[i].size);
        at += record->strings[i].size;
    }
    uint32_t checksum = crc32c_more(seed, target, (size_t)(at - target));
    put32(at, checksum);
    return checksum;
}

/* Reads the lengths at `at` and places the strings behind them; all of it ends at `end`. */
static int place_strings(struct record *record, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *bytes = at + 8u * record->string_count;
    for (size_t i = 0; i < record->string_count; i++) {
        uint64_t length = get64(at + 8 * i);
        if (length > (size_t)(end - bytes))
            return -EBADMSG;
        record->strings[i] = (struct record_string){.bytes = bytes, .size = (size_t)length};
        bytes += length;
    }
    return bytes == end ? 0 : -EBADMSG;
}

int record_decode(const uint8_t *bytes, size_t size, uint32_t seed, struct record *record, size_t *taken,
                  uint32_t *checksum)
{
    if (size < HEAD_BYTES) {
        *taken = HEAD_BYTES;
        return -EAGAIN;
    }
    size_t total = LENGTH_BYTES + (size_t)get32(bytes);
    struct record read = {.op = bytes[5], .int_count = bytes[6], .string_count = bytes[7], .tag = get64(bytes + 8)};
    if (bytes[4] != RECORD_VERSION || read.int_count > RECORD_INTS_MAX || read.string_count > RECORD_STRINGS_MAX ||
        total < record_size(&read) || total > RECORD_BYTES_MAX)
        return -EBADMSG;
    if (size < total) {
        *taken = total;
        return -EAGAIN;
    }
    size_t covered = total - CHECKSUM_BYTES;
    uint32_t computed = crc32c_more(seed, bytes, covered);
    if (computed != get32(bytes + covered))
        return -EBADMSG;
    for (size_t i = 0; i < read.int_count; i++)
        read.ints[i] = (int64_t)get64(bytes + HEAD_BYTES + 8 * i);
    int result = place_strings(&read, bytes + HEAD_BYTES + 8u * read.int_count, bytes + covered);
    if (result != 0)
        return result;
    *record = read;
    *taken = total;
    *checksum = computed;
    return 0;
}
