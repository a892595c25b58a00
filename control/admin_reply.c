#include "control/admin_reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/loop/clock.h"

enum {
    SENTENCE_BYTES = 4096
};

Gemel__AdminReply *admin_reply_create(struct arena *arena)
{
    Gemel__AdminReply *reply = arena_alloc(arena, sizeof *reply);
    gemel__admin_reply__init(reply);
    return reply;
}

__attribute__((format(printf, 2, 0))) static char *format_sentence(struct arena *arena, const char *format,
                                                                   va_list arguments)
{
    char sentence[SENTENCE_BYTES];
    vsnprintf(sentence, sizeof sentence, format, arguments);
    return arena_strdup(arena, sentence);
}

Gemel__AdminReply *admin_reply_done(struct arena *arena, const char *format, ...)
{
    Gemel__AdminReply *reply = admin_reply_create(arena);
    va_list arguments;
    va_start(arguments, format);
    reply->message = format_sentence(arena, format, arguments);
    va_end(arguments);
    return reply;
}

Gemel__AdminReply *admin_reply_failed(struct arena *arena, int exit_code, const char *format, ...)
{
    Gemel__AdminReply *reply = admin_reply_create(arena);
    reply->exit_code = exit_code;
    va_list arguments;
    va_start(arguments, format);
    reply->error = format_sentence(arena, format, arguments);
    va_end(arguments);
    return reply;
}

Gemel__Table *admin_reply_table(struct arena *arena, Gemel__AdminReply *reply, const char *name, const char *columns,
                                size_t row_max)
{
    ASSERT(reply->n_tables == 0);
    Gemel__Table *table = arena_alloc(arena, sizeof *table);
    gemel__table__init(table);
    table->name = arena_strdup(arena, name);
    table->columns = arena_alloc(arena, ADMIN_COLUMNS_MAX * sizeof *table->columns);
    char *copy = arena_strdup(arena, columns);
    char *rest = NULL;
    for (char *column = strtok_r(copy, " ", &rest); column != NULL; column = strtok_r(NULL, " ", &rest)) {
        ASSERT(table->n_columns < ADMIN_COLUMNS_MAX);
        table->columns[table->n_columns++] = column;
    }
    table->rows = arena_alloc(arena, (row_max + 1) * sizeof *table->rows);
    reply->tables = arena_alloc(arena, sizeof *reply->tables);
    reply->tables[reply->n_tables++] = table;
    return table;
}

void admin_reply_row(struct arena *arena, Gemel__Table *table, const char *const *cells)
{
    Gemel__Row *row = arena_alloc(arena, sizeof *row);
    gemel__row__init(row);
    row->cells = arena_alloc(arena, table->n_columns * sizeof *row->cells);
    row->n_cells = table->n_columns;
    for (size_t i = 0; i < table->n_columns; i++)
        row->cells[i] = arena_strdup(arena, cells[i] != NULL ? cells[i] : "");
    table->rows[table->n_rows++] = row;
}

char *admin_date(struct arena *arena, uint64_t wall_ns)
{
    char text[32] = "";
    if (wall_ns != 0)
        clock_format((int64_t)wall_ns, text, sizeof text);
    return arena_strdup(arena, text);
}

char *admin_number(struct arena *arena, uint64_t number)
{
    return arena_printf(arena, "%llu", (unsigned long long)number);
}
