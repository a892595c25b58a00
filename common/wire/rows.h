/* Rows as bytes: Batch.rows and SqlAnswer.rows. Pure.
 *
 * Cells one after the other, row by row, each of them
 *   u8 kind, then: null nothing | integer i64 | real f64 | text, blob u32 length and the bytes
 * little-endian, by SQLite's storage classes. How many rows and columns there are stands beside the bytes. */
#ifndef GEMEL_WIRE_ROWS_H
#define GEMEL_WIRE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rows_kind {
    ROWS_NULL = 0,
    ROWS_INTEGER = 1,
    ROWS_REAL = 2,
    ROWS_TEXT = 3, /* UTF-8, no NUL at the end */
    ROWS_BLOB = 4
};

enum {
    ROWS_COLUMNS_MAX = 1000 /* of a table or an answer: what an operator can mean, below SQLite's 2,000 */
};

struct rows_cell {
    enum rows_kind kind;
    int64_t integer;
    double real;
    const uint8_t *bytes; /* of a text or blob; borrowed */
    size_t size;
};

/* Cells being written; owns its bytes. */
struct rows_writer {
    uint8_t *bytes;
    size_t size;
    size_t capacity;
    size_t max; /* bytes */
};

void rows_writer_init(struct rows_writer *writer, size_t max);
void rows_writer_fini(struct rows_writer *writer);

/* Appends a cell. Returns 0, or -EMSGSIZE and appends nothing when it does not fit below `max`. */
int rows_write(struct rows_writer *writer, const struct rows_cell *cell);

/* Bytes being read (borrowed). Zeroes and the two fields are a start. */
struct rows_reader {
    const uint8_t *at;
    size_t left;
};

/* Takes the next cell; its bytes are borrowed from the reader's. Returns 0; -ENODATA at the end; -EBADMSG when what
 * follows is no cell, and then nothing is taken. */
int rows_read(struct rows_reader *reader, struct rows_cell *cell);

/* Are these exactly `row_count` rows of `column_count` cells? Returns 0; -EBADMSG otherwise. */
int rows_check(const uint8_t *bytes, size_t size, uint32_t row_count, uint32_t column_count);

#endif
