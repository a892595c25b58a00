#include "procmgr/core/reply.h"

#include <stdarg.h>
#include <stdio.h>

Gemel__AdminReply *reply_make(struct arena *arena, size_t table_max, size_t wanted_max)
{
    Gemel__AdminReply *reply = arena_alloc(arena, sizeof *reply);
    gemel__admin_reply__init(reply);
    reply->tables = arena_alloc(arena, (table_max + 1) * sizeof(Gemel__Table *));
    reply->wanted = arena_alloc(arena, (wanted_max + 1) * sizeof(Gemel__OpWanted *));
    return reply;
}

Gemel__AdminReply *reply_error(struct arena *arena, enum reply_exit exit_code, const char *format, ...)
{
    char sentence[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    Gemel__AdminReply *reply = reply_make(arena, 0, 0);
    reply->exit_code = (int32_t)exit_code;
    reply->error = arena_strdup(arena, sentence);
    return reply;
}

Gemel__Table *reply_add_table(Gemel__AdminReply *reply, struct arena *arena, const char *name,
                              const char *const *columns, size_t row_max)
{
    Gemel__Table *table = arena_alloc(arena, sizeof *table);
    gemel__table__init(table);
    table->name = reply_text(name);
    while (columns[table->n_columns] != NULL)
        table->n_columns++;
    table->columns = arena_alloc(arena, table->n_columns * sizeof(char *));
    for (size_t i = 0; i < table->n_columns; i++)
        table->columns[i] = reply_text(columns[i]);
    table->rows = arena_alloc(arena, (row_max + 1) * sizeof(Gemel__Row *));
    reply->tables[reply->n_tables++] = table;
    return table;
}

void reply_add_row(Gemel__Table *table, struct arena *arena, const char *const *cells)
{
    Gemel__Row *row = arena_alloc(arena, sizeof *row);
    gemel__row__init(row);
    row->n_cells = table->n_columns;
    row->cells = arena_alloc(arena, row->n_cells * sizeof(char *));
    for (size_t i = 0; i < row->n_cells; i++)
        row->cells[i] = reply_text(cells[i]);
    table->rows[table->n_rows++] = row;
}

char *reply_text(const char *text)
{
    union {
        const char *in;
        char *out;
    } cast = {.in = text != NULL ? text : ""};
    return cast.out;
}
