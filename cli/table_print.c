#include "cli/table_print.h"

#include <stdbool.h>
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

/* Is it a date as our programs write them, 2026-11-21T21:10:02.123456Z? */
static bool is_date(const char *cell)
{
    static const char shape[] = "0000-00-00T00:00:00";
    for (size_t i = 0; shape[i] != '\0'; i++)
        if (shape[i] == '0' ? cell[i] < '0' || cell[i] > '9' : cell[i] != shape[i])
            return false;
    const size_t length = strlen(cell);
    return cell[length - 1] == 'Z' && (length == sizeof shape || cell[sizeof shape - 1] == '.');
}

/* The cell as it is shown: a date in few characters, where the view asks for that. `target` holds one. */
static const char *shown(const char *cell, const struct table_view *view, char target[20])
{
    if (view == NULL || view->today[0] == '\0' || !is_date(cell))
        return cell;
    const bool today = strncmp(cell, view->today, strlen(view->today)) == 0;
    memcpy(target, cell, 19);
    target[10] = ' ';
    target[19] = '\0';
    return today ? target + 11 : target;
}

struct layout {
    const Gemel__Table *table;
    const struct table_view *view;
    size_t columns;  /* beside each other */
    bool last_below; /* one more column, below each row */
    size_t widths[TABLE_COLUMNS_MAX];
};

static void measure(struct layout *layout)
{
    const Gemel__Table *table = layout->table;
    size_t total = 0;
    layout->columns = table->n_columns < TABLE_COLUMNS_MAX ? table->n_columns : TABLE_COLUMNS_MAX;
    for (size_t i = 0; i < layout->columns; i++) {
        layout->widths[i] = printable_width(table->columns[i]);
        for (size_t j = 0; j < table->n_rows; j++) {
            char date[20];
            const size_t width = printable_width(shown(cell_of(table->rows[j], i), layout->view, date));
            layout->widths[i] = width > layout->widths[i] ? width : layout->widths[i];
        }
        total += layout->widths[i] + (i > 0 ? 1 : 0);
    }
    layout->last_below =
        layout->view != NULL && layout->view->width > 0 && total > layout->view->width && layout->columns > 2;
    if (layout->last_below)
        layout->columns--;
}

static void append_header(struct text *text, const struct layout *layout)
{
    size_t from = text->length;
    for (size_t i = 0; i < layout->columns; i++)
        append_padded(text, layout->table->columns[i], layout->widths[i], i + 1 == layout->columns);
    end_line(text, from);
    from = text->length;
    for (size_t i = 0; i < layout->columns; i++) {
        for (size_t j = 0; j < layout->widths[i]; j++)
            text_append(text, "-", 1);
        text_append(text, " ", 1);
    }
    end_line(text, from);
}

static void append_row(struct text *text, const struct layout *layout, const Gemel__Row *row)
{
    char date[20];
    size_t from = text->length;
    for (size_t i = 0; i < layout->columns; i++)
        append_padded(text, shown(cell_of(row, i), layout->view, date), layout->widths[i], i + 1 == layout->columns);
    end_line(text, from);
    const char *below = layout->last_below ? shown(cell_of(row, layout->columns), layout->view, date) : "";
    if (below[0] == '\0')
        return;
    text_printf(text, "    %s: ", layout->table->columns[layout->columns]);
    printable_append(text, below);
    text_append(text, "\n", 1);
}

void table_print(struct text *text, const Gemel__Table *table, const struct table_view *view)
{
    struct layout layout = {.table = table, .view = view};
    if (table->title[0] != '\0') {
        const size_t from = text->length;
        printable_append(text, table->title);
        end_line(text, from);
        if (table->n_rows == 0)
            return;
    }
    measure(&layout);
    append_header(text, &layout);
    for (size_t j = 0; j < table->n_rows; j++)
        append_row(text, &layout, table->rows[j]);
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

void table_print_reply(struct text *text, const Gemel__AdminReply *reply, const struct table_view *view)
{
    append_lines(text, reply->message);
    for (size_t i = 0; i < reply->n_tables; i++) {
        const Gemel__Table *table = reply->tables[i];
        if (table->n_rows == 0 && table->title[0] == '\0' && reply->n_tables > 1)
            continue;
        if (text->length > 0)
            text_append(text, "\n", 1);
        table_print(text, table, view);
    }
}
