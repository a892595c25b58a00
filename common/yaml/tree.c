#include "common/yaml/tree.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#include "common/base/assert.h"
#include "common/base/bounds.h"
#include "common/base/map.h"
#include "common/base/memory.h"

/* A node of a list or map whose end has not come yet. */
struct open_node {
    struct tree_node *node;
    struct tree_entry *entries;
    size_t capacity;
    const char *anchor; /* NULL: none */
    const char *key;    /* of a map: read, its value is next; NULL: a key is next */
    bool is_double;     /* that key was there before: its value is dropped */
    unsigned key_line;
    unsigned key_column;
};

struct anchor {
    char *name; /* in the arena */
    const struct tree_node *node;
    UT_hash_handle hh;
};

struct builder {
    struct tree tree;
    const char *file;
    struct error_list *mistakes;
    size_t mistake_count;
    struct open_node open[TREE_DEPTH_MAX];
    size_t depth;
    struct anchor *anchors;
    size_t alias_count;
    bool over; /* a mistake after which nothing more can be read */
};

static void add_mistake(struct builder *builder, unsigned line, unsigned column, const char *sentence, const char *got)
{
    builder->mistake_count++;
    error_list_add(builder->mistakes, -EINVAL, builder->file, line, column, "%s, got '%s'", sentence, got);
}

static void add_last_mistake(struct builder *builder, unsigned line, unsigned column, const char *sentence,
                             const char *got)
{
    add_mistake(builder, line, column, sentence, got);
    builder->over = true;
}

static struct tree_node *make_node(struct builder *builder, enum tree_kind kind, const yaml_event_t *event)
{
    struct tree_node *node = arena_alloc(&builder->tree.arena, sizeof *node);
    node->kind = kind;
    node->line = (unsigned)event->start_mark.line + 1;
    node->column = (unsigned)event->start_mark.column + 1;
    node->size = 1;
    return node;
}

static void remember_anchor(struct builder *builder, const char *name, const struct tree_node *node)
{
    if (name == NULL)
        return;
    struct anchor *anchor = NULL;
    HASH_FIND_STR(builder->anchors, name, anchor);
    if (anchor == NULL) {
        anchor = arena_alloc(&builder->tree.arena, sizeof *anchor);
        anchor->name = arena_strdup(&builder->tree.arena, name);
        HASH_ADD_STR(builder->anchors, name, anchor);
    }
    anchor->node = node;
}

static void append_entry(struct open_node *parent, struct tree_entry entry)
{
    if (parent->node->count == parent->capacity) {
        parent->capacity = parent->capacity == 0 ? 8 : parent->capacity * 2;
        parent->entries = memory_resize(parent->entries, parent->capacity * sizeof *parent->entries);
    }
    parent->entries[parent->node->count++] = entry;
}

static bool has_key(const struct open_node *parent, const char *key, unsigned *line)
{
    for (size_t i = 0; i < parent->node->count; i++)
        if (strcmp(parent->entries[i].key, key) == 0) {
            *line = parent->entries[i].line;
            return true;
        }
    return false;
}

/* A scalar in the place of a key. A double key is reported and its value dropped, so that the rest is read as well. */
static void take_key(struct builder *builder, struct open_node *parent, const struct tree_node *node)
{
    unsigned line = 0;
    if (node->kind != TREE_SCALAR) {
        add_last_mistake(builder, node->line, node->column, "a key must be a plain word", tree_show(node));
        return;
    }
    if (parent->node->count == TREE_KEYS_MAX) {
        add_last_mistake(builder, node->line, node->column, "a map has more than 5000 keys", node->text);
        return;
    }
    parent->is_double = has_key(parent, node->text, &line);
    if (parent->is_double) {
        builder->mistake_count++;
        error_list_add(builder->mistakes, -EINVAL, builder->file, node->line, node->column,
                       "the key was given before, in line %u, got '%s'", line, node->text);
    }
    parent->key = node->text;
    parent->key_line = node->line;
    parent->key_column = node->column;
}

/* Hands a finished node to the list or map around it. */
static void attach(struct builder *builder, const struct tree_node *node, unsigned line, unsigned column)
{
    if (builder->depth == 0) {
        if (node->size > TREE_NODES_MAX)
            add_last_mistake(builder, node->line, node->column, "the document is too large", tree_show(node));
        builder->tree.root = node;
        return;
    }
    struct open_node *parent = &builder->open[builder->depth - 1];
    if (parent->node->kind == TREE_MAP && parent->key == NULL) {
        take_key(builder, parent, node);
        return;
    }
    struct tree_entry entry = {.key = parent->key, .line = line, .column = column, .value = node};
    if (parent->key != NULL) {
        entry.line = parent->key_line;
        entry.column = parent->key_column;
    }
    parent->key = NULL;
    parent->node->size += node->size;
    if (parent->node->size > TREE_NODES_MAX) {
        add_last_mistake(builder, line, column, "aliases make the document too large", tree_show(node));
        return;
    }
    if (!parent->is_double)
        append_entry(parent, entry);
    parent->is_double = false;
}

static void on_scalar(struct builder *builder, const yaml_event_t *event)
{
    struct tree_node *node = make_node(builder, TREE_SCALAR, event);
    const char *value = (const char *)event->data.scalar.value;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = arena_copy(&builder->tree.arena, value, event->data.scalar.length);
    if (strlen(node->text) != event->data.scalar.length)
        add_mistake(builder, node->line, node->column, "a value has a NUL byte", node->text);
    if (event->data.scalar.tag != NULL)
        add_mistake(builder, node->line, node->column, "tags have no meaning here",
                    (const char *)event->data.scalar.tag);
    remember_anchor(builder, (const char *)event->data.scalar.anchor, node);
    attach(builder, node, node->line, node->column);
}

static void on_open(struct builder *builder, enum tree_kind kind, const yaml_event_t *event, const yaml_char_t *anchor,
                    const yaml_char_t *tag)
{
    struct tree_node *node = make_node(builder, kind, event);
    if (tag != NULL)
        add_mistake(builder, node->line, node->column, "tags have no meaning here", (const char *)tag);
    if (builder->depth == TREE_DEPTH_MAX) {
        add_last_mistake(builder, node->line, node->column, "lists and maps are more than 32 deep", tree_show(node));
        return;
    }
    struct open_node *open = &builder->open[builder->depth++];
    *open = (struct open_node){.node = node};
    if (anchor != NULL)
        open->anchor = arena_strdup(&builder->tree.arena, (const char *)anchor);
}

static void on_close(struct builder *builder)
{
    ASSERT(builder->depth > 0);
    struct open_node *open = &builder->open[--builder->depth];
    struct tree_node *node = open->node;
    if (node->count > 0)
        node->entries = arena_copy(&builder->tree.arena, open->entries, node->count * sizeof *open->entries);
    memory_free(open->entries);
    open->entries = NULL;
    /* Only now: an alias inside its own anchor finds nothing, so that the tree has no cycle. */
    remember_anchor(builder, open->anchor, node);
    attach(builder, node, node->line, node->column);
}

static void on_alias(struct builder *builder, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    unsigned line = (unsigned)event->start_mark.line + 1;
    unsigned column = (unsigned)event->start_mark.column + 1;
    struct anchor *anchor = NULL;
    HASH_FIND_STR(builder->anchors, name, anchor);
    if (anchor == NULL)
        add_last_mistake(builder, line, column, "the alias has no finished anchor before it", name);
    else if (++builder->alias_count > TREE_ALIASES_MAX)
        add_last_mistake(builder, line, column, "the file has more than 100 aliases", name);
    else
        attach(builder, anchor->node, line, column);
}

static void on_event(struct builder *builder, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (builder->tree.root != NULL)
            add_last_mistake(builder, (unsigned)event->start_mark.line + 1, 1, "a file holds one document", "---");
        break;
    case YAML_SCALAR_EVENT:
        on_scalar(builder, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        on_open(builder, TREE_LIST, event, event->data.sequence_start.anchor, event->data.sequence_start.tag);
        break;
    case YAML_MAPPING_START_EVENT:
        on_open(builder, TREE_MAP, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        on_close(builder);
        break;
    case YAML_ALIAS_EVENT:
        on_alias(builder, event);
        break;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
}

/* libyaml gives a reader error (bytes that are not UTF-8) an offset and no place. */
static void report_reader_error(struct builder *builder, const yaml_parser_t *parser, const char *bytes, size_t length)
{
    unsigned line = 1;
    unsigned column = 1;
    for (size_t i = 0; i < length && i < parser->problem_offset; i++) {
        column = bytes[i] == '\n' ? 1 : column + 1;
        line += bytes[i] == '\n' ? 1 : 0;
    }
    builder->mistake_count++;
    error_list_add(builder->mistakes, -EINVAL, builder->file, line, column, "the file is not UTF-8 text, got byte '%d'",
                   parser->problem_value);
}

static void report_problem(struct builder *builder, const yaml_parser_t *parser, const char *bytes, size_t length)
{
    if (parser->error == YAML_READER_ERROR) {
        report_reader_error(builder, parser, bytes, length);
        return;
    }
    unsigned line = (unsigned)parser->problem_mark.line + 1;
    unsigned column = (unsigned)parser->problem_mark.column + 1;
    builder->mistake_count++;
    error_list_add(builder->mistakes, -EINVAL, builder->file, line, column, "not YAML: %s%s%s",
                   parser->context != NULL ? parser->context : "", parser->context != NULL ? ", " : "",
                   parser->problem != NULL ? parser->problem : "unknown problem");
}

/* YAML forbids tabs as indentation, but libyaml says so in words that help nobody. */
static bool report_tabs(struct builder *builder, const char *bytes, size_t length)
{
    bool found = false;
    unsigned line = 1;
    size_t start = 0;
    bool indentation = true;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\n') {
            line++;
            start = i + 1;
            indentation = true;
        } else if (indentation && bytes[i] == '\t') {
            add_mistake(builder, line, (unsigned)(i - start) + 1, "indent with spaces", "a tab");
            found = true;
            indentation = false;
        } else if (bytes[i] != ' ') {
            indentation = false;
        }
    }
    return found;
}

static void build(struct builder *builder, const char *bytes, size_t length)
{
    yaml_parser_t parser;
    bool ended = false;
    ASSERT(yaml_parser_initialize(&parser) == 1);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, length);
    while (!ended && !builder->over) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            report_problem(builder, &parser, bytes, length);
            builder->over = true;
            break;
        }
        on_event(builder, &event);
        ended = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    for (size_t i = 0; i < builder->depth; i++)
        memory_free(builder->open[i].entries);
    HASH_CLEAR(hh, builder->anchors);
}

int tree_parse(struct tree *tree, const char *file, const char *bytes, size_t length, struct error_list *mistakes)
{
    struct builder *builder = memory_alloc(sizeof *builder);
    *builder = (struct builder){.file = file, .mistakes = mistakes};
    arena_init(&builder->tree.arena);
    if (length > LAYOUT_FILE_BYTES_MAX) {
        builder->mistake_count++;
        error_list_add(mistakes, -EFBIG, file, 0, 0, "the file is larger than 1 MiB, got '%zu' bytes", length);
    } else if (!report_tabs(builder, bytes, length)) {
        build(builder, bytes, length);
    }
    if (builder->mistake_count == 0 && builder->tree.root == NULL)
        add_mistake(builder, 1, 1, "the file is empty", "nothing");
    int result = builder->over || builder->tree.root == NULL ? -EINVAL : 0;
    if (result == 0)
        *tree = builder->tree;
    else
        arena_fini(&builder->tree.arena);
    memory_free(builder);
    return result;
}

void tree_fini(struct tree *tree)
{
    arena_fini(&tree->arena);
    tree->root = NULL;
}

const struct tree_node *tree_find(const struct tree_node *map, const char *key)
{
    if (map == NULL || map->kind != TREE_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(map->entries[i].key, key) == 0)
            return map->entries[i].value;
    return NULL;
}

bool tree_is_null(const struct tree_node *node)
{
    return node->kind == TREE_SCALAR && node->plain &&
           (node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

const char *tree_show(const struct tree_node *node)
{
    switch (node->kind) {
    case TREE_LIST:
        return "a list";
    case TREE_MAP:
        return "a map";
    case TREE_SCALAR:
        break;
    }
    return node->text[0] == '\0' ? "nothing" : node->text;
}
