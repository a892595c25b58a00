#include "common/journal/scan.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/memory.h"

enum {
    SCAN_BYTES = 256 * 1024
};

void scan_init(struct scan *scan, int fd)
{
    *scan = (struct scan){.fd = fd, .capacity = SCAN_BYTES, .data = memory_alloc(SCAN_BYTES)};
}

void scan_fini(struct scan *scan)
{
    memory_free(scan->data);
    *scan = (struct scan){.fd = -1};
}

/* Makes room so that `needed` bytes fit behind `start`. */
static void make_room(struct scan *scan, size_t needed)
{
    if (scan->start > 0) {
        memmove(scan->data, scan->data + scan->start, scan->end - scan->start);
        scan->end -= scan->start;
        scan->start = 0;
    }
    size_t capacity = scan->capacity;
    while (capacity < needed)
        capacity *= 2;
    if (capacity == scan->capacity)
        return;
    scan->data = memory_resize(scan->data, capacity);
    scan->capacity = capacity;
}

/* Reads on. Returns 0; -ENODATA at the end of the file. */
static int fill(struct scan *scan, size_t needed)
{
    make_room(scan, needed);
    ssize_t count = pread(scan->fd, scan->data + scan->end, scan->capacity - scan->end,
                          (off_t)(scan->offset + scan->end - scan->start));
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    scan->end += (size_t)count;
    return count > 0 ? 0 : -ENODATA;
}

int scan_next(struct scan *scan, struct record *record)
{
    for (;;) {
        size_t taken = 0;
        int result = record_decode(scan->data + scan->start, scan->end - scan->start, scan->checksum, record, &taken,
                                   &scan->checksum);
        if (result == 0) {
            scan->start += taken;
            scan->offset += taken;
            return 0;
        }
        if (result != -EAGAIN)
            return result;
        result = fill(scan, taken);
        if (result == -ENODATA)
            return scan->start == scan->end ? -ENODATA : -EAGAIN;
        if (result != 0)
            return result;
    }
}
