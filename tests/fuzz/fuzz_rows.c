/* Any bytes as rows: reading stays within them, what is read comes back the same when it is written, and rows_check
 * agrees with reading cell by cell. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/wire/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct rows_reader reader = {.at = bytes, .left = size};
    struct rows_writer writer;
    struct rows_cell cell;
    uint32_t cells = 0;
    int result = 0;
    rows_writer_init(&writer, size);
    while ((result = rows_read(&reader, &cell)) == 0) {
        if (cell.kind == ROWS_TEXT || cell.kind == ROWS_BLOB)
            (void)crc32c(cell.bytes, cell.size); /* reads every byte that was handed out */
        int written = rows_write(&writer, &cell);
        ASSERT(written == 0);
        cells++;
    }
    ASSERT(result == (reader.left == 0 ? -ENODATA : -EBADMSG));
    ASSERT(writer.size == size - reader.left && (cells == 0 || memcmp(writer.bytes, bytes, writer.size) == 0));
    if (cells > 0)
        ASSERT((rows_check(bytes, size, cells, 1) == 0) == (result == -ENODATA));
    ASSERT(rows_check(bytes, size, cells + 1, 1) == -EBADMSG);
    (void)rows_check(bytes, size, UINT32_MAX, UINT32_MAX);
    rows_writer_fini(&writer);
    return 0;
}
