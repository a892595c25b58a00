#include "worker/result.h"

#include <errno.h>

#include "common/base/assert.h"
#include "common/base/bounds.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/wire/rows.h"

struct gemel_result {
    Gemel__SqlAnswer *answer;
    uint32_t column_count;
    struct gemel_value *cells; /* bytes inside `answer` */
    char source[PROCESS_NAME_BYTES];
};

_Static_assert((int)GEMEL_NULL == (int)ROWS_NULL && (int)GEMEL_INTEGER == (int)ROWS_INTEGER &&
                   (int)GEMEL_REAL == (int)ROWS_REAL && (int)GEMEL_TEXT == (int)ROWS_TEXT &&
                   (int)GEMEL_BLOB == (int)ROWS_BLOB,
               "the kinds of gemel.h are the kinds on the wire");

static void read_cells(struct gemel_result *result)
{
    const Gemel__SqlAnswer *answer = result->answer;
    size_t count = (size_t)answer->row_count * result->column_count;
    struct rows_reader reader = {.at = answer->rows.data, .left = answer->rows.len};
    struct rows_cell cell;
    result->cells = memory_alloc_array(count, sizeof result->cells[0]);
    for (size_t i = 0; i < count && rows_read(&reader, &cell) == 0; i++)
        result->cells[i] = (struct gemel_value){.kind = (enum gemel_kind)cell.kind,
                                                .integer = cell.integer,
                                                .real = cell.real,
                                                .bytes = cell.bytes,
                                                .size = cell.size};
}

int result_read(const uint8_t *payload, size_t size, const char *source, struct gemel_result **result)
{
    ProtobufCMessage *message = NULL;
    if (wire_unpack(&gemel__sql_answer__descriptor, payload, size, &message) != 0)
        return -EBADMSG;
    Gemel__SqlAnswer *answer = (Gemel__SqlAnswer *)message;
    if (answer->n_columns > ROWS_COLUMNS_MAX ||
        rows_check(answer->rows.data, answer->rows.len, answer->row_count, (uint32_t)answer->n_columns) != 0) {
        wire_free(message);
        return -EBADMSG;
    }
    struct gemel_result *made = memory_alloc(sizeof *made);
    made->answer = answer;
    made->column_count = (uint32_t)answer->n_columns;
    text_copy(made->source, sizeof made->source, source);
    read_cells(made);
    *result = made;
    return 0;
}

const Gemel__SqlAnswer *result_answer(const struct gemel_result *result)
{
    return result->answer;
}

uint32_t gemel_result_rows(const struct gemel_result *result)
{
    return result->answer->row_count;
}

uint32_t gemel_result_columns(const struct gemel_result *result)
{
    return result->column_count;
}

const char *gemel_result_column_name(const struct gemel_result *result, uint32_t column)
{
    ASSERT(column < result->column_count);
    return result->answer->columns[column];
}

struct gemel_value gemel_result_cell(const struct gemel_result *result, uint32_t row, uint32_t column)
{
    ASSERT(row < result->answer->row_count && column < result->column_count);
    return result->cells[(size_t)row * result->column_count + column];
}

bool gemel_result_truncated(const struct gemel_result *result)
{
    return result->answer->truncated != 0;
}

const char *gemel_result_source(const struct gemel_result *result)
{
    return result->source;
}

void gemel_result_free(struct gemel_result *result)
{
    if (result == NULL)
        return;
    wire_free(&result->answer->base);
    memory_free(result->cells);
    memory_free(result);
}
