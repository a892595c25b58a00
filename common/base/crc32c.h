/* CRC32C (Castagnoli), by ISA-L. Pure. "123456789" gives 0xe3069283. */
#ifndef GEMEL_BASE_CRC32C_H
#define GEMEL_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of `length` bytes. */
uint32_t crc32c(const void *bytes, size_t length);

/* The checksum of what `seed` covered followed by `length` bytes: crc32c_more(crc32c(a), b) == crc32c(ab).
 * Seed 0 starts anew. */
uint32_t crc32c_more(uint32_t seed, const void *bytes, size_t length);

#endif
