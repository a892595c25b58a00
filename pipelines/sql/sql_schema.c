#include "pipelines/sql/sql_schema.h"

#include <string.h>

#include "common/base/assert.h"

void sql_schema_quote(struct text *text, const char *name)
{
    text_append_string(text, "\"");
    for (const char *at = name; *at != '\0'; at++) {
        if (*at == '"')
            text_append_string(text, "\"");
        text_append(text, at, 1);
    }
    text_append_string(text, "\"");
}

static const char *storage_of(const char *type)
{
    static const char *const integers[] = {"timestamp", "date", "boolean", "byte", "short", "int", "long"};
    for (size_t i = 0; i < COUNT_OF(integers); i++)
        if (strcmp(type, integers[i]) == 0)
            return "INTEGER";
    return strcmp(type, "real") == 0 || strcmp(type, "float") == 0 ? "REAL" : "TEXT";
}

void sql_schema_create_table(struct text *text, const struct gemel_table *table)
{
    text_append_string(text, "CREATE TABLE ");
    sql_schema_quote(text, table->name);
    text_append_string(text, "(");
    for (size_t i = 0; i < table->column_count; i++) {
        text_append_string(text, i > 0 ? ", " : "");
        sql_schema_quote(text, table->columns[i].name);
        text_printf(text, " %s", storage_of(table->columns[i].type));
    }
    text_append_string(text, ");\n");
}

void sql_schema_create_indexes(struct text *text, const struct gemel_table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].attribute[0] == '\0')
            continue;
        text_printf(text, "CREATE INDEX \"gemel_%s_%zu\" ON ", table->name, i);
        sql_schema_quote(text, table->name);
        text_append_string(text, "(");
        sql_schema_quote(text, table->columns[i].name);
        text_append_string(text, ");\n");
    }
}

void sql_schema_create_marks(struct text *text)
{
    text_append_string(text, "CREATE TABLE " SQL_MARKS_TABLE "(publisher TEXT PRIMARY KEY, sequence INTEGER NOT NULL) "
                             "WITHOUT ROWID;\n");
}

void sql_schema_insert(struct text *text, const struct gemel_table *table)
{
    text_append_string(text, "INSERT INTO ");
    sql_schema_quote(text, table->name);
    text_append_string(text, " VALUES(");
    for (size_t i = 0; i < table->column_count; i++)
        text_append_string(text, i > 0 ? ",?" : "?");
    text_append_string(text, ")");
}

void sql_schema_columns(struct text *text, const struct gemel_table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        text_append_string(text, i > 0 ? ", " : "");
        sql_schema_quote(text, table->columns[i].name);
    }
}
