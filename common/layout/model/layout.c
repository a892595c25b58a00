#include "common/layout/model/layout.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"

void layout_destroy(struct layout **layout)
{
    if (*layout == NULL)
        return;
    arena_fini(&(*layout)->arena);
    memory_free(*layout);
    *layout = NULL;
}

/* ---- finding ---- */

/* Pipelines, tables and workflows are sorted by name and begin with it. */
static int by_name(const void *name, const void *item)
{
    return strcmp(name, ((const struct layout_text *)item)->text);
}

_Static_assert(offsetof(struct layout_pipeline, name) == 0, "by_name reads the first member");
_Static_assert(offsetof(struct layout_table, name) == 0, "by_name reads the first member");
_Static_assert(offsetof(struct layout_workflow, name) == 0, "by_name reads the first member");

static const void *find(const char *name, const void *items, size_t count, size_t size)
{
    return count == 0 ? NULL : bsearch(name, items, count, size, by_name);
}

const struct layout_pipeline *layout_find_pipeline(const struct layout *layout, const char *name)
{
    return find(name, layout->pipelines, layout->pipeline_count, sizeof *layout->pipelines);
}

const struct layout_table *layout_find_table(const struct layout *layout, const char *name)
{
    return find(name, layout->tables, layout->table_count, sizeof *layout->tables);
}

const struct layout_workflow *layout_find_workflow(const struct layout *layout, const char *name)
{
    return find(name, layout->workflows, layout->workflow_count, sizeof *layout->workflows);
}

const struct layout_type *layout_find_type(const struct layout_pipeline *pipeline, const char *name)
{
    for (size_t i = 0; i < pipeline->type_count; i++)
        if (strcmp(pipeline->types[i].name.text, name) == 0)
            return &pipeline->types[i];
    return NULL;
}

const struct layout_server *layout_find_server(const struct layout_system *system, const char *name)
{
    for (size_t i = 0; i < system->server_count; i++)
        if (strcmp(system->servers[i].name.text, name) == 0)
            return &system->servers[i];
    return NULL;
}

const struct layout_process *layout_find_process(const struct layout *layout, const char *name)
{
    struct process_id id;
    if (process_id_parse(name, &id) < 0)
        return NULL;
    const struct layout_pipeline *pipeline = layout_find_pipeline(layout, id.pipeline);
    for (size_t i = 0; pipeline != NULL && i < pipeline->process_count; i++)
        if (process_id_compare(&pipeline->processes[i].id, &id) == 0)
            return &pipeline->processes[i];
    return NULL;
}

/* ---- words ---- */

const char *layout_kind_name(enum layout_kind kind)
{
    switch (kind) {
    case LAYOUT_REALTIME:
        return "realtime";
    case LAYOUT_ENTRYPOINT:
        return "entrypoint";
    case LAYOUT_STREAM:
        return "stream";
    case LAYOUT_SERVICE:
        return "service";
    }
    return "";
}

const char *layout_restart_name(enum layout_restart restart)
{
    switch (restart) {
    case LAYOUT_RESTART_ON_FAILURE:
        return "on-failure";
    case LAYOUT_RESTART_ALWAYS:
        return "always";
    case LAYOUT_RESTART_MANUAL:
        return "manual";
    }
    return "";
}

enum layout_builtin layout_builtin_of(const char *type)
{
    static const struct {
        const char *name;
        enum layout_builtin builtin;
    } builtins[] = {{"tp", BUILTIN_TP},   {"rdb", BUILTIN_RDB},       {"ipdb", BUILTIN_IPDB},
                    {"idb", BUILTIN_IDB}, {"epdb", BUILTIN_EPDB},     {"hdb", BUILTIN_HDB},
                    {"gw", BUILTIN_GW},   {"source", BUILTIN_SOURCE}, {"sink", BUILTIN_SINK}};
    for (size_t i = 0; i < COUNT_OF(builtins); i++)
        if (strcmp(builtins[i].name, type) == 0)
            return builtins[i].builtin;
    return BUILTIN_NONE;
}

/* ---- taxonomies ---- */

static bool is_everything(const char *value)
{
    return strcmp(value, "global") == 0 || strcmp(value, "all") == 0;
}

static const struct layout_pair *find_pair(const struct layout_pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (strcmp(pairs->items[i].name, name) == 0)
            return &pairs->items[i];
    return NULL;
}

/* NULL when they match, else the key of the table's taxonomy that does not. */
static const struct layout_pair *find_mismatch(const struct layout_pairs *table, const struct layout_pairs *pipeline,
                                               const struct layout_pair **other)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct layout_pair *one = &table->items[i];
        *other = find_pair(pipeline, one->name);
        if (*other == NULL || is_everything(one->value) || is_everything((*other)->value))
            continue;
        if (strcmp(one->value, (*other)->value) != 0)
            return one;
    }
    return NULL;
}

bool layout_table_feeds(const struct layout_table *table, const struct layout_pipeline *pipeline, struct text *why)
{
    if (table->taxonomy_count == 0)
        return true;
    const struct layout_pair *mismatch = NULL;
    const struct layout_pair *other = NULL;
    for (size_t i = 0; i < table->taxonomy_count; i++) {
        mismatch = find_mismatch(&table->taxonomies[i], &pipeline->taxonomy, &other);
        if (mismatch == NULL)
            return true;
    }
    if (why != NULL)
        text_printf(why, "%s%s has %s: %s and the pipeline %s", why->length > 0 ? "; " : "", table->name.text,
                    mismatch->name, mismatch->value, other->value);
    return false;
}

/* ---- what travels in the environment ---- */

static void print_table(const struct layout_table *table, struct text *text)
{
    text_printf(text, "%s\t%s\t%s\t", table->name.text, table->id_col.text != NULL ? table->id_col.text : "",
                table->time_col.text != NULL ? table->time_col.text : "");
    for (size_t i = 0; i < table->column_count; i++) {
        const struct layout_column *column = &table->columns[i];
        text_printf(text, "%s%s:%s:%s", i == 0 ? "" : ",", column->name.text,
                    column->data_type.text != NULL ? column->data_type.text : "",
                    column->attribute.text != NULL ? column->attribute.text : "");
    }
    text_append_string(text, "\n");
}

void layout_print_tables(const struct layout *layout, const struct layout_pipeline *pipeline, struct text *text)
{
    if (pipeline->kind.value != LAYOUT_REALTIME && pipeline->kind.value != LAYOUT_STREAM)
        return;
    for (size_t i = 0; i < layout->table_count; i++)
        if (layout_table_feeds(&layout->tables[i], pipeline, NULL))
            print_table(&layout->tables[i], text);
}

void layout_print_options(const struct layout_process *process, struct text *text)
{
    const struct layout_pipeline *pipeline = process->pipeline;
    for (size_t i = 0; i < process->type->options.count; i++)
        text_printf(text, "%s=%s\n", process->type->options.items[i].name, process->type->options.items[i].value);
    if (pipeline->max_lag.value >= 0)
        text_printf(text, "max-lag=%lld\n", (long long)pipeline->max_lag.value);
    if (pipeline->failover_scope.place.line != 0)
        text_printf(text, "failover-scope=%s\n",
                    pipeline->failover_scope.value == LAYOUT_SCOPE_INSTANCE ? "instance" : "process");
}
