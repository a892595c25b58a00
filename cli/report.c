#include "cli/report.h"

#include <stdarg.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/wire/wire.h"

enum {
    LINE_BYTES_MAX = 64 * 1024 /* of one message or cell */
};

void report_init(struct report *report)
{
    arena_init(&report->arena);
    gemel__admin_reply__init(&report->reply);
}

void report_fini(struct report *report)
{
    arena_fini(&report->arena);
}

void report_reset(struct report *report)
{
    arena_reset(&report->arena);
    gemel__admin_reply__init(&report->reply);
}

__attribute__((format(printf, 2, 0))) static char *format_cell(struct report *report, const char *format,
                                                               va_list arguments)
{
    struct text text;
    text_init(&text, LINE_BYTES_MAX);
    text_vprintf(&text, format, arguments);
    char *copy = arena_strdup(&report->arena, text.data);
    text_fini(&text);
    return copy;
}

static void append_message(struct report *report, const char *line)
{
    char **message = &report->reply.message;
    if (line[0] == '\0')
        return;
    const char *last = strrchr(*message, '\n');
    const bool separate = (*message)[0] != '\0' && (last == NULL || last[1] != '\0');
    *message = arena_printf(&report->arena, "%s%s%s", *message, separate ? "\n" : "", line);
}

void report_message(struct report *report, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append_message(report, format_cell(report, format, arguments));
    va_end(arguments);
}

void report_lines(struct report *report, const char *lines)
{
    append_message(report, lines);
}

int report_fail(struct report *report, enum cli_exit code, const char *format, ...)
{
    if (report->reply.error[0] != '\0')
        return report->reply.exit_code;
    va_list arguments;
    va_start(arguments, format);
    report->reply.error = format_cell(report, format, arguments);
    va_end(arguments);
    report->reply.exit_code = (int32_t)code;
    return (int)code;
}

void report_set_exit(struct report *report, enum cli_exit code)
{
    if (report->reply.exit_code == CLI_EXIT_DONE)
        report->reply.exit_code = (int32_t)code;
}

/* Arrays grow when their count is a power of two: no capacity has to be kept. */
static bool is_full(size_t count)
{
    return (count & (count - 1)) == 0;
}

static void add_table(struct report *report, Gemel__Table *table)
{
    Gemel__AdminReply *reply = &report->reply;
    if (is_full(reply->n_tables)) {
        Gemel__Table **tables = arena_alloc(&report->arena, (reply->n_tables * 2 + 1) * sizeof *tables);
        if (reply->n_tables > 0)
            memcpy(tables, reply->tables, reply->n_tables * sizeof *tables);
        reply->tables = tables;
    }
    reply->tables[reply->n_tables++] = table;
}

Gemel__Table *report_table(struct report *report, const char *name, const char *title, const char *const *columns)
{
    Gemel__Table *table = arena_alloc(&report->arena, sizeof *table);
    gemel__table__init(table);
    table->name = arena_strdup(&report->arena, name);
    table->title = arena_strdup(&report->arena, title != NULL ? title : "");
    while (columns[table->n_columns] != NULL)
        table->n_columns++;
    table->columns = arena_alloc(&report->arena, table->n_columns * sizeof *table->columns);
    for (size_t i = 0; i < table->n_columns; i++)
        table->columns[i] = arena_strdup(&report->arena, columns[i]);
    add_table(report, table);
    return table;
}

void report_row(struct report *report, Gemel__Table *table, const char *const *cells)
{
    Gemel__Row *row = arena_alloc(&report->arena, sizeof *row);
    gemel__row__init(row);
    row->n_cells = table->n_columns;
    row->cells = arena_alloc(&report->arena, row->n_cells * sizeof *row->cells);
    for (size_t i = 0; i < row->n_cells; i++)
        row->cells[i] = arena_strdup(&report->arena, cells[i] != NULL ? cells[i] : "");
    if (is_full(table->n_rows)) {
        Gemel__Row **rows = arena_alloc(&report->arena, (table->n_rows * 2 + 1) * sizeof *rows);
        if (table->n_rows > 0)
            memcpy(rows, table->rows, table->n_rows * sizeof *rows);
        table->rows = rows;
    }
    table->rows[table->n_rows++] = row;
}

const char *report_cell(struct report *report, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const char *cell = format_cell(report, format, arguments);
    va_end(arguments);
    return cell;
}

void report_take(struct report *report, const Gemel__AdminReply *reply)
{
    append_message(report, reply->message);
    report_set_exit(report, (enum cli_exit)reply->exit_code);
    if (reply->error[0] != '\0' && report->reply.error[0] == '\0')
        report->reply.error = arena_strdup(&report->arena, reply->error);
    for (size_t i = 0; i < reply->n_tables; i++) {
        size_t size = 0;
        uint8_t *bytes = wire_pack_arena(&report->arena, &reply->tables[i]->base, &size);
        ProtobufCMessage *copy = NULL;
        /* What was unpacked once is within the caps; a table over them is left out. */
        if (wire_unpack_arena(&report->arena, &gemel__table__descriptor, bytes, size, &copy) == 0)
            add_table(report, (Gemel__Table *)copy);
    }
}

const Gemel__Table *report_find_table(const Gemel__AdminReply *reply, const char *name)
{
    for (size_t i = 0; i < reply->n_tables; i++)
        if (strcmp(reply->tables[i]->name, name) == 0)
            return reply->tables[i];
    return NULL;
}

const char *report_get(const Gemel__Table *table, size_t row, const char *column)
{
    ASSERT(row < table->n_rows);
    for (size_t i = 0; i < table->n_columns && i < table->rows[row]->n_cells; i++)
        if (strcmp(table->columns[i], column) == 0)
            return table->rows[row]->cells[i];
    return "";
}

const char *report_process(const Gemel__Table *table, size_t row)
{
    const char *name = report_get(table, row, "processName");
    return name[0] != '\0' ? name : report_get(table, row, "process");
}

Gemel__Table *report_table_like(struct report *report, const Gemel__Table *like, const char *name, const char *title,
                                const char *const *columns)
{
    const char **taken = arena_alloc(&report->arena, (like->n_columns + 1) * sizeof *taken);
    size_t count = 0;
    for (size_t i = 0; i < like->n_columns; i++) {
        bool wanted = columns == NULL;
        for (size_t j = 0; !wanted && columns[j] != NULL; j++)
            wanted = strcmp(columns[j], like->columns[i]) == 0;
        if (wanted)
            taken[count++] = like->columns[i];
    }
    return report_table(report, name, title, taken);
}

void report_copy_row(struct report *report, Gemel__Table *into, const Gemel__Table *from, size_t row)
{
    const char **cells = arena_alloc(&report->arena, (into->n_columns + 1) * sizeof *cells);
    for (size_t i = 0; i < into->n_columns; i++)
        cells[i] = report_get(from, row, into->columns[i]);
    report_row(report, into, cells);
}
