#include "common/layout/load/schema.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/layout/model/near.h"

enum {
    NS_PER_MS = 1000000,
    CHOICES_TEXT_BYTES = 200
};

/* ---- mistakes ---- */

struct layout_place reader_place(const struct reader *reader, unsigned line, unsigned column)
{
    return (struct layout_place){.file = reader->file, .line = line, .column = column};
}

static struct layout_place place_of(const struct reader *reader, const struct tree_node *node)
{
    return reader_place(reader, node->line, node->column);
}

/* A mistake is one line, whatever bytes the file has. */
static void flatten(char *sentence)
{
    for (char *at = sentence; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == '\x7f')
            *at = '?';
}

void reader_refuse_at(struct reader *reader, struct layout_place place, const char *format, ...)
{
    char sentence[ERROR_SENTENCE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    flatten(sentence);
    reader->mistake_count++;
    error_list_add(reader->mistakes, -EINVAL, place.file, place.line, place.column, "%s", sentence);
}

void reader_warn_at(struct reader *reader, struct layout_place place, const char *format, ...)
{
    char sentence[ERROR_SENTENCE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    flatten(sentence);
    error_list_add(reader->warnings, -EINVAL, place.file, place.line, place.column, "%s", sentence);
}

void reader_refuse(struct reader *reader, const struct tree_node *node, const char *sentence)
{
    reader_refuse_at(reader, place_of(reader, node), "%s, got '%s'", sentence, tree_show(node));
}

/* ---- values ---- */

/* Says what the key wants; false, so that callers can return it. */
static bool refuse_value(struct reader *reader, const char *key, const char *wants, const struct tree_node *node)
{
    reader_refuse_at(reader, place_of(reader, node), "'%s' wants %s, got '%s'", key, wants, tree_show(node));
    return false;
}

bool reader_take_text(struct reader *reader, const char *key, const struct tree_node *node, struct layout_text *text)
{
    if (node->kind != TREE_SCALAR || tree_is_null(node) || node->text[0] == '\0')
        return refuse_value(reader, key, "a text", node);
    /* Texts travel in lines of an environment and of tables. */
    if (strpbrk(node->text, "\n\t") != NULL)
        return refuse_value(reader, key, "a text of one line without tabs", node);
    text->text = arena_strdup(reader->arena, node->text);
    text->place = place_of(reader, node);
    return true;
}

static bool take_name(struct reader *reader, const struct schema_key *key, const struct tree_node *node,
                      struct layout_text *text)
{
    struct layout_text found = {0};
    if (!reader_take_text(reader, key->name, node, &found))
        return false;
    if (strlen(found.text) >= (size_t)key->max) {
        char wants[64];
        snprintf(wants, sizeof wants, "a name of at most %lld bytes", (long long)key->max - 1);
        return refuse_value(reader, key->name, wants, node);
    }
    if (!process_id_is_name(found.text, (size_t)key->max))
        return refuse_value(reader, key->name, "a name of letters, digits, '_' and '-' that starts with a letter",
                            node);
    *text = found;
    return true;
}

static bool take_flag(struct reader *reader, const char *key, const struct tree_node *node,
                      struct layout_number *number)
{
    bool value = false;
    if (node->kind != TREE_SCALAR || scalar_bool(node->text, &value) < 0)
        return refuse_value(reader, key, "true or false", node);
    number->value = value ? 1 : 0;
    number->place = place_of(reader, node);
    return true;
}

bool reader_take_integer(struct reader *reader, const char *key, const struct tree_node *node, int64_t min, int64_t max,
                         struct layout_number *number)
{
    int64_t value = 0;
    int result = node->kind == TREE_SCALAR ? scalar_integer(node->text, &value) : -EINVAL;
    if (result == -EINVAL)
        return refuse_value(reader, key, "a whole number", node);
    if (result < 0 || value < min || value > max) {
        char wants[80];
        snprintf(wants, sizeof wants, "a number from %lld to %lld", (long long)min, (long long)max);
        return refuse_value(reader, key, wants, node);
    }
    number->value = value;
    number->place = place_of(reader, node);
    return true;
}

static bool take_duration(struct reader *reader, const struct schema_key *key, const struct tree_node *node,
                          struct layout_number *number)
{
    int64_t nanoseconds = 0;
    int result = node->kind == TREE_SCALAR ? scalar_duration(node->text, key->unit, &nanoseconds) : -EINVAL;
    if (result == -EINVAL)
        return refuse_value(reader, key->name, "a duration such as 250ms, 30s or 15m", node);
    int64_t milliseconds = nanoseconds / NS_PER_MS;
    if (result < 0 || nanoseconds % NS_PER_MS != 0 || milliseconds < key->min || milliseconds > key->max) {
        char wants[96];
        snprintf(wants, sizeof wants, "whole milliseconds from %lldms to %lldms", (long long)key->min,
                 (long long)key->max);
        return refuse_value(reader, key->name, wants, node);
    }
    number->value = milliseconds;
    number->place = place_of(reader, node);
    return true;
}

static bool take_time_of_day(struct reader *reader, const char *key, const struct tree_node *node,
                             struct layout_number *number)
{
    int64_t milliseconds = 0;
    if (node->kind != TREE_SCALAR || scalar_time_of_day(node->text, &milliseconds) < 0)
        return refuse_value(reader, key, "a time of day HH:MM:SS.mmm", node);
    number->value = milliseconds;
    number->place = place_of(reader, node);
    return true;
}

static bool take_choice(struct reader *reader, const struct schema_key *key, const struct tree_node *node,
                        struct layout_number *number)
{
    char words[CHOICES_TEXT_BYTES] = "";
    size_t length = 0;
    for (int64_t i = 0; key->choices[i] != NULL; i++) {
        if (node->kind == TREE_SCALAR && strcmp(key->choices[i], node->text) == 0) {
            number->value = i;
            number->place = place_of(reader, node);
            return true;
        }
        const char *joint = i == 0 ? "" : key->choices[i + 1] == NULL ? " or " : ", ";
        length += (size_t)snprintf(words + length, sizeof words - length, "%s%s", joint, key->choices[i]);
    }
    struct near near;
    char hint[NEAR_HINT_BYTES];
    char wants[CHOICES_TEXT_BYTES + NEAR_HINT_BYTES];
    near_init(&near, tree_show(node));
    for (size_t i = 0; key->choices[i] != NULL; i++)
        near_offer(&near, key->choices[i]);
    snprintf(wants, sizeof wants, "%s%s", words, near_hint(&near, hint));
    return refuse_value(reader, key->name, wants, node);
}

/* A list of CPUs: numbers and ranges, comma separated. */
static bool is_taskset(const char *text)
{
    const char *at = text;
    for (;;) {
        unsigned long bounds[2] = {0, 0};
        for (int i = 0; i < 2; i++) {
            size_t digits = strspn(at, "0123456789");
            if (digits == 0 || digits > 4)
                return false;
            for (size_t j = 0; j < digits; j++)
                bounds[i] = bounds[i] * 10 + (unsigned long)(at[j] - '0');
            at += digits;
            if (i == 1 && bounds[1] < bounds[0])
                return false;
            if (i == 0 && *at != '-')
                break;
            if (i == 0)
                at++;
        }
        if (*at == '\0')
            return true;
        if (*at++ != ',')
            return false;
    }
}

static bool take_taskset(struct reader *reader, const char *key, const struct tree_node *node, struct layout_text *text)
{
    if (node->kind != TREE_SCALAR || !is_taskset(node->text))
        return refuse_value(reader, key, "CPUs such as 0-3 or 0,2,4-7", node);
    return reader_take_text(reader, key, node, text);
}

bool reader_take_texts(struct reader *reader, const char *key, const struct tree_node *node, struct layout_texts *texts)
{
    struct layout_texts found = {.place = place_of(reader, node)};
    if (node->kind == TREE_MAP)
        return refuse_value(reader, key, "a list", node);
    found.count = node->kind == TREE_LIST ? node->count : 1;
    struct layout_text *items = arena_alloc(reader->arena, (found.count + 1) * sizeof *items);
    bool good = true;
    for (size_t i = 0; i < found.count; i++) {
        const struct tree_node *item = node->kind == TREE_LIST ? node->entries[i].value : node;
        good = reader_take_text(reader, key, item, &items[i]) && good;
    }
    found.items = items;
    if (good)
        *texts = found;
    return good;
}

bool reader_take_pairs(struct reader *reader, const char *key, const struct tree_node *node, struct layout_pairs *pairs)
{
    if (node->kind != TREE_MAP)
        return refuse_value(reader, key, "a map of names and values", node);
    struct layout_pair *items = arena_alloc(reader->arena, (node->count + 1) * sizeof *items);
    bool good = true;
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_entry *entry = &node->entries[i];
        struct layout_text text = {0};
        good = reader_take_text(reader, entry->key, entry->value, &text) && good;
        items[i].name = arena_strdup(reader->arena, entry->key);
        items[i].value = text.text;
        items[i].place = reader_place(reader, entry->line, entry->column);
    }
    if (good)
        *pairs = (struct layout_pairs){.items = items, .count = node->count, .place = place_of(reader, node)};
    return good;
}

/* ---- options ---- */

static const char *print_duration(struct arena *arena, int64_t milliseconds, enum scalar_unit unit)
{
    int64_t unit_ms = 1;
    switch (unit) {
    case UNIT_NS:
        return arena_printf(arena, "%lld", (long long)(milliseconds * NS_PER_MS));
    case UNIT_US:
        return arena_printf(arena, "%lld", (long long)(milliseconds * 1000));
    case UNIT_MS:
        break;
    case UNIT_S:
        unit_ms = 1000;
        break;
    case UNIT_M:
        unit_ms = 60000;
        break;
    case UNIT_H:
        unit_ms = 3600000;
        break;
    case UNIT_D:
        unit_ms = 86400000;
        break;
    }
    if (milliseconds % unit_ms == 0)
        return arena_printf(arena, "%lld", (long long)(milliseconds / unit_ms));
    return arena_printf(arena, "%lldms", (long long)milliseconds);
}

/* The one spelling of an option's value, whatever way the file spelled it. */
static const char *print_option(struct reader *reader, const struct schema_key *key, const struct tree_node *node,
                                const struct layout_number *number)
{
    switch (key->kind) {
    case SCHEMA_FLAG:
        return number->value != 0 ? "true" : "false";
    case SCHEMA_INTEGER:
        return arena_printf(reader->arena, "%lld", (long long)number->value);
    case SCHEMA_DURATION:
        return print_duration(reader->arena, number->value, key->unit);
    case SCHEMA_TEXT:
    case SCHEMA_NAME:
    case SCHEMA_TIME_OF_DAY:
    case SCHEMA_CHOICE:
    case SCHEMA_TASKSET:
        return arena_strdup(reader->arena, node->text);
    case SCHEMA_TEXTS:
    case SCHEMA_PAIRS:
    case SCHEMA_SUB:
    case SCHEMA_LATER:
    case SCHEMA_OBSOLETE:
        break;
    }
    return NULL;
}

/* ---- maps ---- */

static bool take_number(struct reader *reader, const struct schema_key *key, const struct tree_node *node,
                        struct layout_number *number)
{
    switch (key->kind) {
    case SCHEMA_FLAG:
        return take_flag(reader, key->name, node, number);
    case SCHEMA_INTEGER:
        return reader_take_integer(reader, key->name, node, key->min, key->max, number);
    case SCHEMA_DURATION:
        return take_duration(reader, key, node, number);
    case SCHEMA_TIME_OF_DAY:
        return take_time_of_day(reader, key->name, node, number);
    case SCHEMA_CHOICE:
        return take_choice(reader, key, node, number);
    case SCHEMA_TEXT:
    case SCHEMA_NAME:
    case SCHEMA_TASKSET:
    case SCHEMA_TEXTS:
    case SCHEMA_PAIRS:
    case SCHEMA_SUB:
    case SCHEMA_LATER:
    case SCHEMA_OBSOLETE:
        break;
    }
    return false;
}

/* Reads the value into the target; a value that is an option only goes nowhere else. Returns its option text. */
static const char *read_value(struct reader *reader, const struct schema_key *key, const struct tree_entry *entry,
                              void *target)
{
    union {
        struct layout_number number;
        struct layout_text text;
        struct layout_texts texts;
        struct layout_pairs pairs;
    } scratch = {0};
    void *field = key->offset == SCHEMA_NOWHERE ? (void *)&scratch : (char *)target + key->offset;
    struct layout_place place = reader_place(reader, entry->line, entry->column);
    bool good = false;
    switch (key->kind) {
    case SCHEMA_TEXT:
        good = reader_take_text(reader, key->name, entry->value, field);
        break;
    case SCHEMA_NAME:
        good = take_name(reader, key, entry->value, field);
        break;
    case SCHEMA_TASKSET:
        good = take_taskset(reader, key->name, entry->value, field);
        break;
    case SCHEMA_FLAG:
    case SCHEMA_INTEGER:
    case SCHEMA_DURATION:
    case SCHEMA_TIME_OF_DAY:
    case SCHEMA_CHOICE:
        good = take_number(reader, key, entry->value, field);
        break;
    case SCHEMA_TEXTS:
        reader_take_texts(reader, key->name, entry->value, field);
        break;
    case SCHEMA_PAIRS:
        reader_take_pairs(reader, key->name, entry->value, field);
        break;
    case SCHEMA_SUB:
        key->read(reader, entry->value, target);
        break;
    case SCHEMA_LATER:
        reader_warn_at(reader, place, "'%s' has no effect in this version", key->name);
        break;
    case SCHEMA_OBSOLETE:
        reader_warn_at(reader, place, "'%s' has no meaning here: %s", key->name, key->instead);
        break;
    }
    return good && key->option ? print_option(reader, key, entry->value, field) : NULL;
}

static const struct schema_key *find_key(const struct schema *schema, const char *name)
{
    for (size_t i = 0; schema != NULL && i < schema->key_count; i++)
        if (strcmp(schema->keys[i].name, name) == 0)
            return &schema->keys[i];
    return NULL;
}

static void refuse_unknown_key(struct reader *reader, const struct schema *schema, const struct schema *more,
                               const struct tree_entry *entry)
{
    struct near near;
    char hint[NEAR_HINT_BYTES];
    near_init(&near, entry->key);
    for (size_t i = 0; i < schema->key_count; i++)
        near_offer(&near, schema->keys[i].name);
    for (size_t i = 0; more != NULL && i < more->key_count; i++)
        near_offer(&near, more->keys[i].name);
    reader_refuse_at(reader, reader_place(reader, entry->line, entry->column), "unknown key of %s%s, got '%s'",
                     schema->what, near_hint(&near, hint), entry->key);
}

static void add_option(struct layout_pairs *options, struct layout_pair *items, const struct schema_key *key,
                       const char *value, struct layout_place place)
{
    if (value == NULL || options == NULL)
        return;
    items[options->count++] = (struct layout_pair){.name = key->name, .value = value, .place = place};
    options->items = items;
}

/* What was not given: required keys are mistakes, options may have a fallback. */
static void finish_absent(struct reader *reader, const struct schema *schema, const struct tree_node *node,
                          struct layout_pairs *options, struct layout_pair *items)
{
    for (size_t i = 0; schema != NULL && i < schema->key_count; i++) {
        const struct schema_key *key = &schema->keys[i];
        if (tree_find(node, key->name) != NULL)
            continue;
        if (key->required)
            reader_refuse_at(reader, place_of(reader, node), "%s wants the key '%s'", schema->what, key->name);
        add_option(options, items, key, key->fallback, (struct layout_place){0});
    }
}

void schema_read(struct reader *reader, const struct schema *schema, const struct schema *more,
                 const struct tree_node *node, void *target, struct layout_pairs *options)
{
    size_t key_count = schema->key_count + (more != NULL ? more->key_count : 0);
    struct layout_pair *items = options != NULL ? arena_alloc(reader->arena, (key_count + 1) * sizeof *items) : NULL;
    if (node->kind != TREE_MAP) {
        reader_refuse_at(reader, place_of(reader, node), "%s must be a map of keys, got '%s'", schema->what,
                         tree_show(node));
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_entry *entry = &node->entries[i];
        const struct schema_key *key = find_key(schema, entry->key);
        if (key == NULL)
            key = find_key(more, entry->key);
        if (key == NULL) {
            refuse_unknown_key(reader, schema, more, entry);
            continue;
        }
        add_option(options, items, key, read_value(reader, key, entry, target),
                   reader_place(reader, entry->line, entry->column));
    }
    finish_absent(reader, schema, node, options, items);
    finish_absent(reader, more, node, options, items);
}
