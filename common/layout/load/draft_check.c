/* Checks a whole draft: the names that files use for each other, and what follows from them together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/layout/load/draft.h"
#include "common/layout/load/draft_order.h"
#include "common/layout/model/near.h"

/* ---- names that stand for one thing each ---- */

typedef const struct layout_text *(*name_of)(const void *items, size_t position);

static const struct layout_text *pipeline_name(const void *items, size_t position)
{
    return &((const struct draft_pipeline *)items)[position].pipeline.name;
}

static const struct layout_text *table_name(const void *items, size_t position)
{
    return &((const struct layout_table *)items)[position].name;
}

static const struct layout_text *workflow_name(const void *items, size_t position)
{
    return &((const struct layout_workflow *)items)[position].name;
}

/* The items are sorted by name, and among equals by place. */
static void check_names(struct reader *reader, const void *items, size_t count, size_t max, name_of name,
                        const char *what)
{
    if (count > max)
        reader_refuse_at(reader, name(items, max)->place, "there are more than %zu %ss, got '%s'", max, what,
                         name(items, max)->text);
    for (size_t i = 1; i < count; i++) {
        const struct layout_text *one = name(items, i - 1);
        const struct layout_text *other = name(items, i);
        if (strcmp(one->text, other->text) == 0)
            reader_refuse_at(reader, other->place, "the %s was given before, in %s:%u, got '%s'", what, one->place.file,
                             one->place.line, other->text);
    }
}

/* ---- proc-layout ---- */

static struct layout_type *find_type(const struct draft_pipeline *draft, const char *name)
{
    for (size_t i = 0; i < draft->type_count; i++)
        if (strcmp(draft->types[i].name.text, name) == 0)
            return &draft->types[i];
    return NULL;
}

static void refuse_unknown_type(struct reader *reader, const struct draft_pipeline *draft, struct layout_place place,
                                const char *name)
{
    struct near near;
    char hint[NEAR_HINT_BYTES];
    near_init(&near, name);
    for (size_t i = 0; i < draft->type_count; i++)
        near_offer(&near, draft->types[i].name.text);
    reader_refuse_at(reader, place, "unknown type, not among 'processes'%s, got '%s'", near_hint(&near, hint), name);
}

static void check_server(struct reader *reader, const struct layout_system *system, const struct layout_text *server)
{
    struct near near;
    char hint[NEAR_HINT_BYTES];
    if (system->server_count == 0 || layout_find_server(system, server->text) != NULL)
        return;
    near_init(&near, server->text);
    for (size_t i = 0; i < system->server_count; i++)
        near_offer(&near, system->servers[i].name.text);
    reader_refuse_at(reader, server->place, "unknown server, not in the system's layout%s, got '%s'",
                     near_hint(&near, hint), server->text);
}

/* A number says that there is such a process, unless `instances` says how many there are. */
static void check_number(struct reader *reader, const struct draft_pipeline *draft,
                         const struct draft_selector *selector)
{
    struct layout_type *type = find_type(draft, selector->type);
    if (selector->number < type->instances.value)
        return;
    if (type->instances.place.line == 0)
        type->instances.value = selector->number + 1;
    else
        reader_refuse_at(reader, selector->place, "'%s' has %lld instances, numbered from 0, got '%s.%lld'",
                         selector->type, (long long)type->instances.value, selector->type, (long long)selector->number);
}

/* Prints the form of a one-item proc-layout that its author most likely meant: an instance for each server. */
static void print_likely_form(const struct draft_item *item, struct text *text)
{
    bool first = true;
    text_append_string(text, "[");
    for (size_t i = 0; i < item->count; i++) {
        const char *server = item->selectors[i].server.text;
        bool seen = false;
        for (size_t j = 0; j < i; j++)
            seen = seen || strcmp(item->selectors[j].server.text, server) == 0;
        if (seen)
            continue;
        text_append_string(text, first ? "{" : ", {");
        first = false;
        bool comma = false;
        for (size_t j = i; j < item->count; j++) {
            const struct draft_selector *selector = &item->selectors[j];
            if (strcmp(selector->server.text, server) != 0)
                continue;
            text_printf(text, "%s%s%s: %s", comma ? ", " : "", selector->type != NULL ? selector->type : "all",
                        selector->number >= 0 ? ".0" : "", server);
            comma = true;
        }
        text_append_string(text, "}");
    }
    text_append_string(text, "]");
}

static void warn_single_item(struct reader *reader, const struct draft_pipeline *draft)
{
    const struct draft_item *item = &draft->items[0];
    bool several = false;
    for (size_t i = 1; i < item->count; i++)
        several = several || strcmp(item->selectors[0].server.text, item->selectors[i].server.text) != 0;
    if (!several || draft->item_count != 1)
        return;
    struct text form;
    text_init(&form, ERROR_SENTENCE_BYTES / 2);
    print_likely_form(item, &form);
    reader_warn_at(reader, item->place,
                   "several servers share the only item, so that there is one instance and nothing to fail over to; "
                   "likely meant: proc-layout: %s, or proc-layout-numbers: instances",
                   form.data);
    text_fini(&form);
}

/* Reads the one item of `proc-layout-numbers: instances` as an item for each number. */
static void spread_instances(struct reader *reader, struct draft_pipeline *draft)
{
    const struct draft_item *all = &draft->items[0];
    int64_t last = 0;
    if (draft->item_count != 1) {
        reader_refuse_at(reader, draft->numbers.place,
                         "with 'proc-layout-numbers: instances' proc-layout has one item, got '%zu' items",
                         draft->item_count);
        return;
    }
    for (size_t i = 0; i < all->count; i++)
        last = all->selectors[i].number > last ? all->selectors[i].number : last;
    if (last >= INSTANCES_MAX) {
        reader_refuse_at(reader, draft->numbers.place, "a pipeline has at most %d instances, got '%lld'", INSTANCES_MAX,
                         (long long)last + 1);
        return;
    }
    size_t count = (size_t)last + 1;
    struct draft_item *items = arena_alloc(reader->arena, count * sizeof *items);
    for (size_t i = 0; i < count; i++) {
        items[i].place = all->place;
        items[i].selectors = arena_alloc(reader->arena, (all->count + 1) * sizeof *items[i].selectors);
        for (size_t j = 0; j < all->count; j++) {
            struct draft_selector selector = all->selectors[j];
            if (selector.number >= 0 && selector.number != (int64_t)i)
                continue;
            selector.number = -1;
            items[i].selectors[items[i].count++] = selector;
        }
    }
    draft->items = items;
    draft->item_count = count;
}

static void check_proc_layout(struct reader *reader, const struct layout_system *system, struct draft_pipeline *draft)
{
    if (draft->item_count == 0)
        return;
    if (draft->numbers.value == DRAFT_NUMBERS_INSTANCES)
        spread_instances(reader, draft);
    else
        warn_single_item(reader, draft);
    for (size_t i = 0; i < draft->item_count; i++)
        for (size_t j = 0; j < draft->items[i].count; j++) {
            const struct draft_selector *selector = &draft->items[i].selectors[j];
            check_server(reader, system, &selector->server);
            if (selector->type == NULL)
                continue;
            if (find_type(draft, selector->type) == NULL && draft->type_count > 0)
                refuse_unknown_type(reader, draft, selector->place, selector->type);
            else if (draft->type_count > 0)
                check_number(reader, draft, selector);
        }
}

/* ---- processes ---- */

/* The server of a process: the most particular selector that fits; NULL when none does. */
static const struct layout_server *place_process(const struct layout_system *system, const struct draft_item *item,
                                                 const struct layout_type *type, int64_t index)
{
    const struct draft_selector *best = NULL;
    int best_rank = -1;
    for (size_t i = 0; i < item->count; i++) {
        const struct draft_selector *selector = &item->selectors[i];
        int rank = selector->type == NULL ? 0 : selector->number < 0 ? 1 : 2;
        bool fits = selector->type == NULL || (strcmp(selector->type, type->name.text) == 0 &&
                                               (selector->number < 0 || selector->number == index));
        if (fits && rank > best_rank) {
            best = selector;
            best_rank = rank;
        }
    }
    return best != NULL ? layout_find_server(system, best->server.text) : NULL;
}

struct enumeration {
    struct layout_process *items;
    size_t count;
    size_t capacity;
    bool full;
};

static void add_process(struct enumeration *found, const struct layout_pipeline *pipeline,
                        const struct layout_type *type, size_t instance, int64_t index,
                        const struct layout_server *server)
{
    if (found->count == PROCESSES_MAX) {
        found->full = true;
        return;
    }
    if (found->count == found->capacity) {
        found->capacity = found->capacity == 0 ? 64 : found->capacity * 2;
        found->items = memory_resize(found->items, found->capacity * sizeof *found->items);
    }
    struct layout_process *process = &found->items[found->count++];
    *process = (struct layout_process){.pipeline = pipeline, .type = type, .server = server};
    text_copy(process->id.pipeline, sizeof process->id.pipeline, pipeline->name.text);
    text_copy(process->id.type, sizeof process->id.type, type->name.text);
    process->id.instance = (uint32_t)instance;
    process->id.index = (uint32_t)index;
    process_id_format(&process->id, process->name);
    process->host = server->hosts.items[0].text;
}

/* In start order: by level, and within a level as the file has them. */
static void enumerate_instance(const struct layout_system *system, const struct draft_pipeline *draft,
                               const struct layout_pipeline *pipeline, size_t instance, struct enumeration *found)
{
    unsigned level_max = 0;
    for (size_t i = 0; i < draft->type_count; i++)
        level_max = draft->types[i].level > level_max ? draft->types[i].level : level_max;
    for (unsigned level = 0; level <= level_max; level++)
        for (size_t i = 0; i < draft->type_count; i++) {
            const struct layout_type *type = &draft->types[i];
            for (int64_t index = 0; type->level == level && index < type->instances.value && !found->full; index++) {
                const struct layout_server *server = place_process(system, &draft->items[instance], type, index);
                if (server != NULL)
                    add_process(found, pipeline, type, instance, index, server);
            }
        }
}

/* Fills layout->pipelines and layout->processes. */
static void enumerate(struct reader *reader, const struct draft *draft, struct layout *layout)
{
    struct enumeration found = {0};
    struct layout_pipeline *pipelines = arena_alloc(reader->arena, (draft->pipeline_count + 1) * sizeof *pipelines);
    size_t *starts = arena_alloc(reader->arena, (draft->pipeline_count + 1) * sizeof *starts);
    for (size_t i = 0; i < draft->pipeline_count; i++) {
        const struct draft_pipeline *one = &draft->pipelines[i];
        pipelines[i] = one->pipeline;
        pipelines[i].types = one->types;
        pipelines[i].type_count = one->type_count;
        pipelines[i].instance_count = one->item_count;
        starts[i] = found.count;
        for (size_t instance = 0; instance < one->item_count; instance++)
            enumerate_instance(&draft->system, one, &pipelines[i], instance, &found);
        pipelines[i].process_count = found.count - starts[i];
    }
    if (found.full)
        reader_refuse_at(reader, draft->system.place, "all pipelines together have more than %d processes",
                         PROCESSES_MAX);
    layout->pipelines = pipelines;
    layout->pipeline_count = draft->pipeline_count;
    layout->process_count = found.count;
    if (found.count > 0)
        layout->processes = arena_copy(reader->arena, found.items, found.count * sizeof *found.items);
    for (size_t i = 0; i < draft->pipeline_count && found.count > 0; i++)
        pipelines[i].processes = layout->processes + starts[i];
    memory_free(found.items);
}

static int by_host_and_port(const void *left, const void *right)
{
    const struct layout_process *a = *(const struct layout_process *const *)left;
    const struct layout_process *b = *(const struct layout_process *const *)right;
    int order = strcmp(a->host, b->host);
    if (order != 0)
        return order;
    if (a->type->port.value != b->type->port.value)
        return a->type->port.value < b->type->port.value ? -1 : 1;
    return a < b ? -1 : 1;
}

static void check_ports(struct reader *reader, const struct layout *layout)
{
    const struct layout_process **sorted = memory_alloc_array(layout->process_count + 1, sizeof *sorted);
    size_t count = 0;
    for (size_t i = 0; i < layout->process_count; i++)
        if (layout->processes[i].type->port.value != 0)
            sorted[count++] = &layout->processes[i];
    if (count > 0)
        qsort(sorted, count, sizeof *sorted, by_host_and_port);
    for (size_t i = 1; i < count; i++) {
        const struct layout_process *one = sorted[i - 1];
        const struct layout_process *other = sorted[i];
        if (strcmp(one->host, other->host) == 0 && one->type->port.value == other->type->port.value)
            reader_refuse_at(reader, other->type->port.place, "%s and %s share a port on host %s, got '%lld'",
                             one->name, other->name, other->host, (long long)other->type->port.value);
    }
    memory_free(sorted);
}

static void check_pipeline(struct reader *reader, const struct draft *draft, struct draft_pipeline *one)
{
    const struct layout_pipeline *pipeline = &one->pipeline;
    check_proc_layout(reader, &draft->system, one);
    bool single = one->type_count == 1 && one->types[0].instances.value == 1;
    if (pipeline->kind.value == LAYOUT_SERVICE && one->type_count > 0 && !single)
        reader_refuse_at(reader, one->types_place,
                         "a service class has one process in each item of proc-layout, got '%zu' types",
                         one->type_count);
    for (size_t i = 0; i < one->type_count; i++)
        for (size_t j = 0; j < one->types[i].depends_on.count; j++) {
            const struct layout_text *name = &one->types[i].depends_on.items[j];
            if (find_type(one, name->text) == NULL)
                refuse_unknown_type(reader, one, name->place, name->text);
        }
    draft_order_types(reader, one);
}

/* ---- taxonomies and tables ---- */

static void check_taxonomy(struct reader *reader, const struct layout_system *system,
                           const struct layout_pairs *taxonomy)
{
    for (size_t i = 0; i < taxonomy->count; i++) {
        struct near near;
        char hint[NEAR_HINT_BYTES];
        bool known = system->data_hierarchy.count == 0;
        near_init(&near, taxonomy->items[i].name);
        for (size_t j = 0; j < system->data_hierarchy.count; j++) {
            known = known || strcmp(system->data_hierarchy.items[j].text, taxonomy->items[i].name) == 0;
            near_offer(&near, system->data_hierarchy.items[j].text);
        }
        if (!known)
            reader_refuse_at(reader, taxonomy->items[i].place, "unknown key of the data-hierarchy%s, got '%s'",
                             near_hint(&near, hint), taxonomy->items[i].name);
    }
}

static const struct layout_column *check_column(struct reader *reader, const struct layout_table *table,
                                                const char *key, const struct layout_text *name)
{
    struct near near;
    char hint[NEAR_HINT_BYTES];
    if (name->text == NULL || table->column_count == 0)
        return NULL;
    near_init(&near, name->text);
    for (size_t i = 0; i < table->column_count; i++) {
        if (strcmp(table->columns[i].name.text, name->text) == 0)
            return &table->columns[i];
        near_offer(&near, table->columns[i].name.text);
    }
    reader_refuse_at(reader, name->place, "'%s' wants a column of the table%s, got '%s'", key, near_hint(&near, hint),
                     name->text);
    return NULL;
}

static void check_table(struct reader *reader, const struct layout_system *system, const struct layout_table *table)
{
    check_column(reader, table, "id-col", &table->id_col);
    const struct layout_column *time = check_column(reader, table, "time-col", &table->time_col);
    if (time != NULL && time->data_type.text != NULL && strcmp(time->data_type.text, "timestamp") != 0)
        reader_refuse_at(reader, table->time_col.place, "'time-col' wants a column of type timestamp, got '%s'",
                         time->data_type.text);
    for (size_t i = 0; i < table->taxonomy_count; i++)
        check_taxonomy(reader, system, &table->taxonomies[i]);
}

/* A pipeline that takes data and has no table is most likely a slip in a taxonomy. */
static void warn_unfed(struct reader *reader, const struct layout *layout, const struct layout_pipeline *pipeline)
{
    struct text why;
    if (layout_find_type(pipeline, "tp") == NULL)
        return;
    text_init(&why, ERROR_SENTENCE_BYTES / 2);
    bool fed = false;
    for (size_t i = 0; i < layout->table_count && !fed; i++)
        fed = layout_table_feeds(&layout->tables[i], pipeline, &why);
    if (!fed)
        reader_warn_at(reader, pipeline->name.place, "no table feeds the pipeline%s%s, got '%s'",
                       why.length > 0 ? ": " : "", why.data, pipeline->name.text);
    text_fini(&why);
}

static void check_tables_text(struct reader *reader, const struct layout *layout,
                              const struct layout_pipeline *pipeline)
{
    struct text text;
    text_init(&text, TABLES_TEXT_BYTES_MAX);
    layout_print_tables(layout, pipeline, &text);
    if (text.truncated)
        reader_refuse_at(reader, pipeline->name.place, "the pipeline's tables have too many columns together, got '%s'",
                         pipeline->name.text);
    text_fini(&text);
}

/* ---- workflows ---- */

static void check_pipeline_of_task(struct reader *reader, const struct layout *layout, const struct layout_task *task)
{
    struct near near;
    char hint[NEAR_HINT_BYTES];
    const struct layout_pipeline *pipeline = layout_find_pipeline(layout, task->pipeline.text);
    if (pipeline == NULL) {
        near_init(&near, task->pipeline.text);
        for (size_t i = 0; i < layout->pipeline_count; i++)
            near_offer(&near, layout->pipelines[i].name.text);
        reader_refuse_at(reader, task->pipeline.place, "unknown pipeline%s, got '%s'", near_hint(&near, hint),
                         task->pipeline.text);
    } else if (task->instance.value >= (int64_t)pipeline->instance_count) {
        reader_refuse_at(reader, task->instance.place, "the pipeline has %zu instances, numbered from 0, got '%lld'",
                         pipeline->instance_count, (long long)task->instance.value);
    }
}

static void check_workflow(struct reader *reader, const struct layout *layout, const struct layout_workflow *workflow)
{
    for (size_t i = 0; i < workflow->task_count; i++) {
        const struct layout_task *task = &workflow->tasks[i];
        if (task->pipeline.text != NULL)
            check_pipeline_of_task(reader, layout, task);
        else if (task->instance.value >= 0)
            reader_refuse_at(reader, task->instance.place, "'instance' goes with 'pipeline', got '%lld'",
                             (long long)task->instance.value);
        if (task->process.text != NULL && layout_find_process(layout, task->process.text) == NULL)
            reader_refuse_at(reader, task->process.place, "unknown process, got '%s'", task->process.text);
        if (task->on_failure.text != NULL && layout_find_workflow(layout, task->on_failure.text) == NULL)
            reader_refuse_at(reader, task->on_failure.place, "unknown workflow, got '%s'", task->on_failure.text);
    }
    draft_order_tasks(reader, workflow);
}

/* ---- all of it ---- */

void draft_check(struct reader *reader, struct draft *draft, struct layout *layout)
{
    if (!draft->system_given)
        reader_refuse_at(reader, (struct layout_place){.file = reader->file},
                         "the file is missing: it names the servers");
    check_names(reader, draft->pipelines, draft->pipeline_count, PIPELINES_MAX, pipeline_name, "pipeline");
    check_names(reader, draft->tables, draft->table_count, TABLES_MAX, table_name, "table");
    check_names(reader, draft->workflows, draft->workflow_count, WORKFLOWS_MAX, workflow_name, "workflow");
    for (size_t i = 0; i < draft->pipeline_count; i++)
        check_pipeline(reader, draft, &draft->pipelines[i]);
    layout->system = draft->system;
    layout->tables = draft->tables;
    layout->table_count = draft->table_count;
    layout->workflows = draft->workflows;
    layout->workflow_count = draft->workflow_count;
    enumerate(reader, draft, layout);
    check_ports(reader, layout);
    for (size_t i = 0; i < layout->table_count; i++)
        check_table(reader, &layout->system, &layout->tables[i]);
    for (size_t i = 0; i < layout->pipeline_count; i++) {
        check_taxonomy(reader, &layout->system, &layout->pipelines[i].taxonomy);
        check_tables_text(reader, layout, &layout->pipelines[i]);
        warn_unfed(reader, layout, &layout->pipelines[i]);
    }
    for (size_t i = 0; i < layout->workflow_count; i++)
        check_workflow(reader, layout, &layout->workflows[i]);
}
