#include "cli/table_print.h"

#include <string.h>

#include "cli/printable.h"

static const char *cell_of(const Gemel__Row *row, size_t column)
{
    return column < row->n_cells ? row->cells[column] : "";
}

static void append_padded(struct text *text, const char *cell, size_t width, bool last)
{
    printable_append(text, cell);
    for (size_t i = printable_width(cell); !last && i <= width; i++)
        text_append(text, " ", 1);
}

/* Cuts the spaces that empty cells leave at the end of a line, and ends it. */
static void end_line(struct text *text, size_t from)
{
    while (text->length > from && text->data[text->length - 1] == ' ')
        text->data[--text->length] = '\0';
    text_append(text, "\n", 1);
}

void table_print(struct text *text, const Gemel__Table *table)
{
    size_t widths[TABLE_COLUMNS_MAX];
    const size_t columns = table->n_columns < TABLE_COLUMNS_MAX ? table->n_columns : TABLE_COLUMNS_MAX;
    for (size_t i = 0; i < columns; i++) {
        widths[i] = printable_width(table->columns[i]);
        for (size_t j = 0; j < table->n_rows; j++) {
            const size_t width = printable_width(cell_of(table->rows[j], i));
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    size_t from = text->length;
    if (table->title[0] != '\0') {
        printable_append(text, table->title);
        end_line(text, from);
        if (table->n_rows == 0)
            return;
        from = text->length;
    }
    for (size_t i = 0; i < columns; i++)
        append_padded(text, table->columns[i], widths[i], i + 1 == columns);
    end_line(text, from);
    from = text->length;
    for (size_t i = 0; i < columns; i++) {
        for (size_t j = 0; j < widths[i]; j++)
            text_append(text, "-", 1);
        text_append(text, " ", 1);
    }
    end_line(text, from);
    for (size_t j = 0; j < table->n_rows; j++) {
        from = text->length;
        for (size_t i = 0; i < columns; i++)
            append_padded(text, cell_of(table->rows[j], i), widths[i], i + 1 == columns);
        end_line(text, from);
    }
}

/* Lines for people: each of them made safe, the line ends kept. */
static void append_lines(struct text *text, const char *message)
{
    for (const char *line = message; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        struct text copy;
        text_init(&copy, length + 1);
        text_append(&copy, line, length);
        printable_append(text, copy.data);
        text_fini(&copy);
        text_append(text, "\n", 1);
        line += length + (line[length] == '\n' ? 1 : 0);
    }
}

void table_print_reply(struct text *text, const Gemel__AdminReply *reply)
{
    append_lines(text, reply->message);
    for (size_t i = 0; i < reply->n_tables; i++) {
        const Gemel__Table *table = reply->tables[i];
        if (table->n_rows == 0 && table->title[0] == '\0' && reply->n_tables > 1)
            continue;
        if (text->length > 0)
            text_append(text, "\n", 1);
        table_print(text, table);
    }
}
