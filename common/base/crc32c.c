#include "common/base/crc32c.h"

#include <isa-l/crc.h>

#include "common/base/assert.h"

/* crc32_iscsi takes an int for the length and a pointer that is not const, and leaves inverting to its caller. */
enum {
    CRC_PIECE_BYTES = 1 << 30
};

uint32_t crc32c(const void *bytes, size_t length)
{
    return crc32c_more(0, bytes, length);
}

uint32_t crc32c_more(uint32_t seed, const void *bytes, size_t length)
{
    uint32_t state = ~seed;
    unsigned char *at = (unsigned char *)(uintptr_t)bytes;
    while (length > 0) {
        size_t piece = length < CRC_PIECE_BYTES ? length : CRC_PIECE_BYTES;
        state = crc32_iscsi(at, (int)piece, state);
        at += piece;
        length -= piece;
    }
    return ~state;
}
