#include "common/base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"

static void fill(struct error *error, int code, const char *file, unsigned line, unsigned column, const char *format,
                 va_list arguments) __attribute__((format(printf, 6, 0)));

static void fill(struct error *error, int code, const char *file, unsigned line, unsigned column, const char *format,
                 va_list arguments)
{
    ASSERT(code < 0);
    error->code = code;
    error->line = line;
    error->column = column;
    text_copy(error->file, sizeof error->file, file);
    vsnprintf(error->sentence, sizeof error->sentence, format, arguments);
}

int error_set(struct error *error, int code, const char *format, ...)
{
    if (error == NULL)
        return code;
    va_list arguments;
    va_start(arguments, format);
    fill(error, code, "", 0, 0, format, arguments);
    va_end(arguments);
    return code;
}

int error_set_at(struct error *error, int code, const char *file, unsigned line, unsigned column, const char *format,
                 ...)
{
    if (error == NULL)
        return code;
    va_list arguments;
    va_start(arguments, format);
    fill(error, code, file, line, column, format, arguments);
    va_end(arguments);
    return code;
}

void error_print(const struct error *error, struct text *text)
{
    if (error->file[0] != '\0')
        text_printf(text, "%s:", error->file);
    if (error->line > 0)
        text_printf(text, "%u:", error->line);
    if (error->column > 0)
        text_printf(text, "%u:", error->column);
    text_printf(text, "%s%s", error->file[0] != '\0' || error->line > 0 ? " " : "", error->sentence);
}

void error_list_add(struct error_list *list, int code, const char *file, unsigned line, unsigned column,
                    const char *format, ...)
{
    if (list->count == ERROR_LIST_MAX) {
        list->dropped++;
        return;
    }
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        list->items = memory_resize(list->items, list->capacity * sizeof *list->items);
    }
    va_list arguments;
    va_start(arguments, format);
    fill(&list->items[list->count++], code, file, line, column, format, arguments);
    va_end(arguments);
}

static int by_place(const void *left, const void *right)
{
    const struct error *a = left;
    const struct error *b = right;
    int order = strcmp(a->file, b->file);
    if (order != 0)
        return order;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    return strcmp(a->sentence, b->sentence);
}

void error_list_sort(struct error_list *list)
{
    if (list->count > 1)
        qsort(list->items, list->count, sizeof *list->items, by_place);
}

void error_list_print(const struct error_list *list, struct text *text)
{
    for (size_t i = 0; i < list->count; i++) {
        error_print(&list->items[i], text);
        text_append_string(text, "\n");
    }
    if (list->dropped > 0)
        text_printf(text, "and %zu more mistakes\n", list->dropped);
}

void error_list_fini(struct error_list *list)
{
    memory_free(list->items);
    *list = (struct error_list){0};
}
