/* Reading the records of one segment file in order. Internal to common/journal; the file is borrowed. */
#ifndef GEMEL_JOURNAL_SCAN_H
#define GEMEL_JOURNAL_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "common/journal/record.h"

struct scan {
    int fd;            /* borrowed */
    uint64_t offset;   /* in the file, behind the last record taken */
    uint32_t checksum; /* of it; 0 at the start */
    uint8_t *data;     /* bytes from `offset` on: [start, end) */
    size_t start;
    size_t end;
    size_t capacity;
};

void scan_init(struct scan *scan, int fd);
void scan_fini(struct scan *scan);

/* Takes the next record, borrowed until the next call. Returns 0; -ENODATA when the file ends behind the last record;
 * -EAGAIN when it ends within one; -EBADMSG; or the errno of the read. */
int scan_next(struct scan *scan, struct record *record);

#endif
