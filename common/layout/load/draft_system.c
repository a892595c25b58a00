/* Reads system.yaml and tables/NAME.yaml. */
#include <string.h>

#include "common/base/assert.h"
#include "common/layout/load/draft.h"

#define SYSTEM(field) offsetof(struct layout_system, field)
#define SERVER(field) offsetof(struct layout_server, field)
#define TABLE(field)  offsetof(struct layout_table, field)
#define COLUMN(field) offsetof(struct layout_column, field)

/* ---- system ---- */

static void read_node_host(struct reader *reader, const struct tree_node *node, void *target)
{
    reader_take_text(reader, "host", node, target);
}

static const struct schema_key node_keys[] = {
    {"host", SCHEMA_SUB, 0, .read = read_node_host, .required = true},
};
static const struct schema node_schema = {"a node", node_keys, COUNT_OF(node_keys)};

static void read_nodes(struct reader *reader, const struct tree_node *node, void *target)
{
    struct layout_server *server = target;
    if (node->kind != TREE_LIST || node->count == 0) {
        reader_refuse(reader, node, "'nodes' wants a list of '- host: NAME'");
        return;
    }
    struct layout_text *hosts = arena_alloc(reader->arena, node->count * sizeof *hosts);
    size_t count = 0;
    for (size_t i = 0; i < node->count; i++) {
        struct layout_text host = {0};
        schema_read(reader, &node_schema, NULL, node->entries[i].value, &host, NULL);
        for (size_t j = 0; host.text != NULL && j < count; j++)
            if (strcmp(hosts[j].text, host.text) == 0)
                reader_refuse_at(reader, host.place, "the server has this host twice, got '%s'", host.text);
        if (host.text != NULL && strlen(host.text) >= HOST_NAME_BYTES)
            reader_refuse_at(reader, host.place, "a host name has at most 255 bytes, got '%.40s...'", host.text);
        else if (host.text != NULL)
            hosts[count++] = host;
    }
    server->hosts = (struct layout_texts){hosts, count, reader_place(reader, node->line, node->column)};
}

static const struct schema_key server_keys[] = {
    {"name", SCHEMA_NAME, SERVER(name), .max = PIPELINE_NAME_BYTES, .required = true},
    {"nodes", SCHEMA_SUB, 0, .read = read_nodes, .required = true},
};
static const struct schema server_schema = {"a server", server_keys, COUNT_OF(server_keys)};

static void read_servers(struct reader *reader, const struct tree_node *node, void *target)
{
    struct layout_system *system = target;
    if (node->kind != TREE_LIST || node->count == 0) {
        reader_refuse(reader, node, "'layout' wants a list of servers with 'name' and 'nodes'");
        return;
    }
    struct layout_server *servers = arena_alloc(reader->arena, node->count * sizeof *servers);
    size_t count = 0;
    for (size_t i = 0; i < node->count; i++) {
        struct layout_server server = {0};
        schema_read(reader, &server_schema, NULL, node->entries[i].value, &server, NULL);
        for (size_t j = 0; server.name.text != NULL && j < count; j++)
            if (strcmp(servers[j].name.text, server.name.text) == 0)
                reader_refuse_at(reader, server.name.place, "the server was given before, in line %u, got '%s'",
                                 servers[j].name.place.line, server.name.text);
        if (server.name.text != NULL && server.hosts.count > 0)
            servers[count++] = server;
    }
    system->servers = servers;
    system->server_count = count;
}

static const struct schema_key system_keys[] = {
    {"layout", SCHEMA_SUB, 0, .read = read_servers, .required = true},
    {"default-cpu-taskset", SCHEMA_TASKSET, SYSTEM(default_cpu_taskset)},
    {"data-hierarchy", SCHEMA_TEXTS, SYSTEM(data_hierarchy)},
    {"timezone", SCHEMA_TEXT, SYSTEM(timezone)},
    {"time-sort", SCHEMA_FLAG, SYSTEM(time_sort)},
    {"delta-messaging-server", SCHEMA_OBSOLETE, 0, .instead = "the control is the registry"},
};
static const struct schema system_schema = {"the system", system_keys, COUNT_OF(system_keys)};

void draft_read_system(struct reader *reader, const struct tree_node *node, struct layout_system *system)
{
    *system = (struct layout_system){.timezone.text = "UTC", .place = reader_place(reader, node->line, node->column)};
    schema_read(reader, &system_schema, NULL, node, system, NULL);
}

/* ---- tables ---- */

static const char *const data_types[] = {"timestamp", "date", "symbol", "string", "char",  "boolean", "byte",
                                         "short",     "int",  "long",   "real",   "float", "guid",    NULL};
static const char *const attributes[] = {"sorted", "grouped", "parted", "unique", NULL};
static const char *const intra_persist_types[] = {"splay", NULL};
static const char *const end_persist_types[] = {"date-partition", NULL};

/* A choice whose word is kept as text, because words of tables travel as words. */
static void take_word(struct reader *reader, const char *key, const char *const *words, const struct tree_node *node,
                      struct layout_text *text)
{
    const struct schema_key choice = {key, SCHEMA_CHOICE, 0, .choices = words};
    const struct schema schema = {"a table", &choice, 1};
    const struct tree_entry entry = {key, node->line, node->column, node};
    const struct tree_node map = {.kind = TREE_MAP, .count = 1, .entries = &entry};
    struct layout_number number = {.value = -1};
    schema_read(reader, &schema, NULL, &map, &number, NULL);
    if (number.value >= 0)
        *text = (struct layout_text){words[number.value], number.place};
}

static void read_data_type(struct reader *reader, const struct tree_node *node, void *target)
{
    take_word(reader, "data-type", data_types, node, &((struct layout_column *)target)->data_type);
}

static void read_attribute(struct reader *reader, const struct tree_node *node, void *target)
{
    take_word(reader, "attribute", attributes, node, &((struct layout_column *)target)->attribute);
}

static void read_intra(struct reader *reader, const struct tree_node *node, void *target)
{
    take_word(reader, "intra-persist-type", intra_persist_types, node,
              &((struct layout_table *)target)->intra_persist_type);
}

static void read_end(struct reader *reader, const struct tree_node *node, void *target)
{
    take_word(reader, "end-persist-type", end_persist_types, node, &((struct layout_table *)target)->end_persist_type);
}

static const struct schema_key column_keys[] = {
    {"name", SCHEMA_NAME, COLUMN(name), .max = COLUMN_NAME_BYTES, .required = true},
    {"data-type", SCHEMA_SUB, 0, .read = read_data_type, .required = true},
    {"attribute", SCHEMA_SUB, 0, .read = read_attribute},
};
static const struct schema column_schema = {"a column", column_keys, COUNT_OF(column_keys)};

static void read_columns(struct reader *reader, const struct tree_node *node, void *target)
{
    struct layout_table *table = target;
    if (node->kind != TREE_LIST || node->count == 0 || node->count > COLUMNS_MAX) {
        reader_refuse(reader, node, "'columns' wants a list of 1 to 1000 columns");
        return;
    }
    struct layout_column *columns = arena_alloc(reader->arena, node->count * sizeof *columns);
    size_t count = 0;
    for (size_t i = 0; i < node->count; i++) {
        struct layout_column column = {0};
        schema_read(reader, &column_schema, NULL, node->entries[i].value, &column, NULL);
        for (size_t j = 0; column.name.text != NULL && j < count; j++)
            if (strcasecmp(columns[j].name.text, column.name.text) == 0)
                reader_refuse_at(reader, column.name.place, "the column was given before, in line %u, got '%s'",
                                 columns[j].name.place.line, column.name.text);
        if (column.name.text != NULL)
            columns[count++] = column;
    }
    table->columns = columns;
    table->column_count = count;
}

static void read_taxonomies(struct reader *reader, const struct tree_node *node, void *target)
{
    struct layout_table *table = target;
    size_t count = node->kind == TREE_LIST ? node->count : 1;
    struct layout_pairs *taxonomies = arena_alloc(reader->arena, (count + 1) * sizeof *taxonomies);
    for (size_t i = 0; i < count; i++)
        reader_take_pairs(reader, "taxonomy", node->kind == TREE_LIST ? node->entries[i].value : node, &taxonomies[i]);
    table->taxonomies = taxonomies;
    table->taxonomy_count = count;
}

static const struct schema_key table_keys[] = {
    {"name", SCHEMA_NAME, TABLE(name), .max = PIPELINE_NAME_BYTES, .required = true},
    {"id-col", SCHEMA_TEXT, TABLE(id_col)},
    {"time-col", SCHEMA_TEXT, TABLE(time_col)},
    {"intra-persist-type", SCHEMA_SUB, 0, .read = read_intra},
    {"end-persist-type", SCHEMA_SUB, 0, .read = read_end},
    {"taxonomy", SCHEMA_SUB, 0, .read = read_taxonomies},
    {"columns", SCHEMA_SUB, 0, .read = read_columns, .required = true},
};
static const struct schema table_schema = {"a table", table_keys, COUNT_OF(table_keys)};

void draft_read_table(struct reader *reader, const struct tree_node *node, struct layout_table *table)
{
    *table = (struct layout_table){.intra_persist_type.text = "splay", .end_persist_type.text = "date-partition"};
    schema_read(reader, &table_schema, NULL, node, table, NULL);
}
