#include "cli/json_print.h"

#include <jansson.h>

#include "cli/printable.h"
#include "common/base/assert.h"
#include "common/base/bounds.h"

/* JSON holds UTF-8 only; other bytes are shown as in tables. */
static json_t *string_of(const char *source)
{
    json_t *string = json_string(source);
    if (string != NULL)
        return string;
    struct text text;
    text_init(&text, MESSAGE_BYTES_MAX);
    printable_append(&text, source);
    string = json_string(text.data);
    text_fini(&text);
    ASSERT(string != NULL);
    return string;
}

static void add_table(json_t *object, const Gemel__Table *table)
{
    json_t *array = json_object_get(object, table->name);
    if (!json_is_array(array)) {
        array = json_array();
        ASSERT(json_object_set_new(object, table->name, array) == 0);
    }
    for (size_t i = 0; i < table->n_rows; i++) {
        const Gemel__Row *row = table->rows[i];
        json_t *fields = json_object();
        for (size_t j = 0; j < table->n_columns; j++)
            ASSERT(json_object_set_new(fields, table->columns[j], string_of(j < row->n_cells ? row->cells[j] : "")) ==
                   0);
        ASSERT(json_array_append_new(array, fields) == 0);
    }
}

static int append_piece(const char *piece, size_t length, void *text)
{
    text_append(text, piece, length);
    return 0;
}

void json_print_reply(struct text *text, const Gemel__AdminReply *reply)
{
    json_t *object = json_object();
    ASSERT(json_object_set_new(object, "exitCode", json_integer(reply->exit_code)) == 0);
    ASSERT(json_object_set_new(object, "message", string_of(reply->message)) == 0);
    ASSERT(json_object_set_new(object, "error", string_of(reply->error)) == 0);
    for (size_t i = 0; i < reply->n_tables; i++)
        add_table(object, reply->tables[i]);
    ASSERT(json_dump_callback(object, append_piece, text, JSON_INDENT(2)) == 0);
    text_append(text, "\n", 1);
    json_decref(object);
}
