/* Any bytes as a journal's segment: a scan stays within the file and ends, and each record that it takes comes back the
 * same when it is encoded. */
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/memory.h"
#include "common/journal/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum {
    LENGTH_BYTES = 4,
    CHECKSUM_BYTES = 4
};

/* Writes the checksums that these lengths ask for, which no fuzzer guesses. */
static void seal(uint8_t *bytes, size_t size)
{
    uint32_t checksum = 0;
    size_t at = 0;
    while (size - at > LENGTH_BYTES + CHECKSUM_BYTES) {
        uint32_t length = 0;
        memcpy(&length, bytes + at, sizeof length);
        length = be32toh(length);
        if (length < CHECKSUM_BYTES || length > size - at - LENGTH_BYTES)
            return;
        size_t covered = LENGTH_BYTES + length - CHECKSUM_BYTES;
        checksum = crc32c_more(checksum, bytes + at, covered);
        uint32_t stored = htobe32(checksum);
        memcpy(bytes + at + covered, &stored, sizeof stored);
        at += covered + CHECKSUM_BYTES;
    }
}

static void check_record(const struct record *record, uint32_t seed, const uint8_t *bytes, size_t taken)
{
    uint8_t *again = memory_alloc(record_size(record));
    ASSERT(record_size(record) == taken);
    record_encode(record, seed, again);
    ASSERT(memcmp(again, bytes, taken) == 0);
    memory_free(again);
}

static void scan_all(const uint8_t *bytes, size_t size)
{
    int fd = memfd_create("segment", MFD_CLOEXEC);
    ASSERT(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    struct scan scan;
    struct record record;
    scan_init(&scan, fd);
    uint64_t before = 0;
    uint32_t seed = 0;
    int result = 0;
    while ((result = scan_next(&scan, &record)) == 0) {
        ASSERT(scan.offset > before && scan.offset <= size);
        check_record(&record, seed, bytes + before, scan.offset - before);
        before = scan.offset;
        seed = scan.checksum;
    }
    ASSERT(result == -ENODATA || result == -EAGAIN || result == -EBADMSG);
    ASSERT((result == -ENODATA) == (before == size));
    scan_fini(&scan);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    scan_all(bytes, size);
    uint8_t *sealed = memory_alloc(size + 1);
    memcpy(sealed, bytes, size);
    seal(sealed, size);
    scan_all(sealed, size);
    memory_free(sealed);
    return 0;
}
