/* CSV files, a record at a time (RFC 4180: commas, quotes, line ends inside quotes). Shell for the file, else pure. */
#ifndef GEMEL_CLI_CSV_H
#define GEMEL_CLI_CSV_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/error.h"
#include "common/base/text.h"

enum {
    CSV_FIELDS_MAX = 1024,
    CSV_RECORD_BYTES_MAX = 1024 * 1024
};

struct csv {
    FILE *file;       /* borrowed */
    const char *name; /* borrowed, for messages */
    unsigned line;    /* of the record that was read last, from 1 */
    unsigned next_line;
    struct text bytes; /* fields of the record, a NUL behind each */
    size_t offsets[CSV_FIELDS_MAX];
    size_t field_count;
};

void csv_init(struct csv *csv, FILE *file, const char *name);
void csv_fini(struct csv *csv);

/* Reads the next record; empty lines are passed over. Returns 1, 0 at the end, or -EINVAL with file and line: a quote
 * that is not closed, text behind a closing quote, too many fields, too long a record. */
int csv_read(struct csv *csv, struct error *error);

/* A field of the record, borrowed until the next csv_read; `position` below field_count. */
const char *csv_field(const struct csv *csv, size_t position);

#endif
