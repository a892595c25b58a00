#include "common/wire/rows.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/base/memory.h"

enum {
    FIRST_BYTES = 1024
};

void rows_writer_init(struct rows_writer *writer, size_t max)
{
    *writer = (struct rows_writer){.max = max};
}

void rows_writer_fini(struct rows_writer *writer)
{
    memory_free(writer->bytes);
    *writer = (struct rows_writer){0};
}

/* Bytes of a cell behind its kind; SIZE_MAX for one that cannot be written. */
static size_t payload_bytes(const struct rows_cell *cell)
{
    switch (cell->kind) {
    case ROWS_NULL:
        return 0;
    case ROWS_INTEGER:
    case ROWS_REAL:
        return 8;
    case ROWS_TEXT:
    case ROWS_BLOB:
        return cell->size <= UINT32_MAX ? 4 + cell->size : SIZE_MAX;
    }
    return SIZE_MAX;
}

static void put64(uint8_t *target, uint64_t value)
{
    value = htole64(value);
    memcpy(target, &value, sizeof value);
}

static void put_payload(uint8_t *target, const struct rows_cell *cell)
{
    uint64_t bits = 0;
    uint32_t length = htole32((uint32_t)cell->size);
    switch (cell->kind) {
    case ROWS_NULL:
        break;
    case ROWS_INTEGER:
        put64(target, (uint64_t)cell->integer);
        break;
    case ROWS_REAL:
        memcpy(&bits, &cell->real, sizeof bits);
        put64(target, bits);
        break;
    case ROWS_TEXT:
    case ROWS_BLOB:
        memcpy(target, &length, sizeof length);
        if (cell->size > 0)
            memcpy(target + 4, cell->bytes, cell->size);
        break;
    }
}

int rows_write(struct rows_writer *writer, const struct rows_cell *cell)
{
    size_t payload = payload_bytes(cell);
    size_t left = writer->max - writer->size;
    if (left == 0 || payload > left - 1)
        return -EMSGSIZE;
    size_t needed = writer->size + 1 + payload;
    if (needed > writer->capacity) {
        size_t capacity = writer->capacity > 0 ? writer->capacity : FIRST_BYTES;
        while (capacity < needed)
            capacity *= 2;
        writer->bytes = memory_resize(writer->bytes, capacity);
        writer->capacity = capacity;
    }
    writer->bytes[writer->size] = (uint8_t)cell->kind;
    put_payload(writer->bytes + writer->size + 1, cell);
    writer->size = needed;
    return 0;
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

/* Reads a length and the bytes behind it. Returns how many bytes that took, 0 when they are not there. */
static size_t get_bytes(const uint8_t *at, size_t left, struct rows_cell *cell)
{
    uint32_t length;
    if (left < sizeof length)
        return 0;
    memcpy(&length, at, sizeof length);
    length = le32toh(length);
    if (length > left - sizeof length)
        return 0;
    cell->bytes = at + sizeof length;
    cell->size = length;
    return sizeof length + length;
}

int rows_read(struct rows_reader *reader, struct rows_cell *cell)
{
    if (reader->left == 0)
        return -ENODATA;
    const uint8_t *at = reader->at + 1;
    size_t left = reader->left - 1;
    size_t taken = 0;
    struct rows_cell read = {0};
    switch (reader->at[0]) {
    case ROWS_NULL:
        read.kind = ROWS_NULL;
        break;
    case ROWS_INTEGER:
    case ROWS_REAL:
        if (left < 8)
            return -EBADMSG;
        read.kind = reader->at[0] == ROWS_INTEGER ? ROWS_INTEGER : ROWS_REAL;
        uint64_t bits = get64(at);
        if (read.kind == ROWS_INTEGER)
            read.integer = (int64_t)bits;
        else
            memcpy(&read.real, &bits, sizeof bits);
        taken = 8;
        break;
    case ROWS_TEXT:
    case ROWS_BLOB:
        read.kind = reader->at[0] == ROWS_TEXT ? ROWS_TEXT : ROWS_BLOB;
        taken = get_bytes(at, left, &read);
        if (taken == 0)
            return -EBADMSG;
        break;
    default:
        return -EBADMSG;
    }
    *cell = read;
    reader->at = at + taken;
    reader->left = left - taken;
    return 0;
}

int rows_check(const uint8_t *bytes, size_t size, uint32_t row_count, uint32_t column_count)
{
    struct rows_reader reader = {.at = bytes, .left = size};
    struct rows_cell cell;
    uint64_t cells = (uint64_t)row_count * column_count;
    if (column_count > ROWS_COLUMNS_MAX || cells > size) /* a cell has at least one byte */
        return -EBADMSG;
    for (uint64_t i = 0; i < cells; i++)
        if (rows_read(&reader, &cell) != 0)
            return -EBADMSG;
    return reader.left == 0 ? 0 : -EBADMSG;
}
