#include "cli/csv.h"

#include <errno.h>

#include "common/base/assert.h"

void csv_init(struct csv *csv, FILE *file, const char *name)
{
    *csv = (struct csv){.file = file, .name = name, .next_line = 1};
    text_init(&csv->bytes, CSV_RECORD_BYTES_MAX);
}

void csv_fini(struct csv *csv)
{
    text_fini(&csv->bytes);
}

static int fail(const struct csv *csv, struct error *error, const char *sentence)
{
    return error_set_at(error, -EINVAL, csv->name, csv->line, 0, "%s", sentence);
}

/* Appends one byte of a field; a NUL would end it too early. */
static int take(struct csv *csv, int byte, struct error *error)
{
    if (byte == '\0')
        return fail(csv, error, "a NUL byte: this is no text file");
    const char letter = (char)byte;
    text_append(&csv->bytes, &letter, 1);
    return csv->bytes.truncated ? fail(csv, error, "a record of more than 1 MiB") : 0;
}

/* The rest of a field behind its opening quote. Returns the byte behind it, or a negative errno. */
static int read_quoted(struct csv *csv, struct error *error)
{
    for (int byte = getc(csv->file);; byte = getc(csv->file)) {
        if (byte == EOF)
            return fail(csv, error, "a quote that is opened here is never closed");
        csv->next_line += byte == '\n' ? 1 : 0;
        if (byte == '"') {
            const int next = getc(csv->file);
            if (next != '"')
                return next == EOF ? '\n' : next;
        }
        const int result = take(csv, byte, error);
        if (result != 0)
            return result;
    }
}

/* One field, from `byte` on. Returns the byte behind it (',' or '\n'), or a negative errno. */
static int read_field(struct csv *csv, int byte, struct error *error)
{
    if (csv->field_count == CSV_FIELDS_MAX)
        return fail(csv, error, "a record of more than 1,024 fields");
    csv->offsets[csv->field_count++] = csv->bytes.length;
    if (byte == '"') {
        byte = read_quoted(csv, error);
        if (byte < 0)
            return byte;
        byte = byte == '\r' ? getc(csv->file) : byte;
        if (byte != ',' && byte != '\n' && byte != EOF)
            return fail(csv, error, "text behind a closing quote");
    } else {
        for (; byte != ',' && byte != '\n' && byte != EOF; byte = getc(csv->file)) {
            const int result = byte == '\r' ? 0 : take(csv, byte, error);
            if (result != 0)
                return result;
        }
    }
    text_append(&csv->bytes, "\0", 1);
    return byte == ',' ? ',' : '\n';
}

int csv_read(struct csv *csv, struct error *error)
{
    int byte = getc(csv->file);
    for (; byte == '\n' || byte == '\r'; byte = getc(csv->file))
        csv->next_line += byte == '\n' ? 1 : 0;
    csv->line = csv->next_line;
    csv->field_count = 0;
    text_clear(&csv->bytes);
    if (byte == EOF)
        return 0;
    for (;;) {
        byte = read_field(csv, byte, error);
        if (byte < 0)
            return byte;
        if (byte == '\n')
            break;
        byte = getc(csv->file);
    }
    csv->next_line++;
    return 1;
}

const char *csv_field(const struct csv *csv, size_t position)
{
    ASSERT(position < csv->field_count);
    return csv->bytes.data + csv->offsets[position];
}
