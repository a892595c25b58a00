/* Reads pipelines/NAME.yaml: the pipeline, its proc-layout, its types of process. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/layout/load/draft.h"
#include "common/layout/model/near.h"

#define TYPE(field)  offsetof(struct layout_type, field)
#define DRAFT(field) offsetof(struct draft_pipeline, field)

enum {
    TYPES_MAX = 200, /* of one pipeline */
    DAY_MS = 86400000,
    STARTUP_TIMEOUT_MS = 60000,
    STOP_TIMEOUT_MS = 10000
};

static const char *const kinds[] = {"realtime", "entrypoint", "stream", "service", NULL};
static const char *const restarts[] = {"on-failure", "always", "manual", NULL};
static const char *const scopes[] = {"process", "instance", NULL};
static const char *const numberings[] = {"processes", "instances", NULL};
static const char *const pub_modes[] = {"direct", "timer", "timer-with-row-batch", NULL};
static const char *const rollover_modes[] = {"daily-at-time", "none", NULL};

/* ---- processes: the options of a type ---- */

static void read_port_of_ready(struct reader *reader, const struct tree_node *node, void *target)
{
    struct layout_type *type = target;
    if (reader_take_integer(reader, "tcp-port", node, 1, 65535, &type->ready_port))
        type->ready.value = LAYOUT_READY_TCP_PORT;
}

static const struct schema_key ready_keys[] = {
    {"tcp-port", SCHEMA_SUB, 0, .read = read_port_of_ready},
    {"fd", SCHEMA_LATER, 0},
    {"exec", SCHEMA_LATER, 0},
    {"after-ms", SCHEMA_LATER, 0},
};
static const struct schema ready_schema = {"'ready'", ready_keys, COUNT_OF(ready_keys)};

static void read_ready(struct reader *reader, const struct tree_node *node, void *target)
{
    struct layout_type *type = target;
    type->ready.place = reader_place(reader, node->line, node->column);
    if (node->kind == TREE_MAP)
        schema_read(reader, &ready_schema, NULL, node, type, NULL);
    else if (node->kind == TREE_SCALAR && strcmp(node->text, "notify") == 0)
        type->ready.value = LAYOUT_READY_NOTIFY;
    else if (node->kind == TREE_SCALAR && strcmp(node->text, "now") == 0)
        type->ready.value = LAYOUT_READY_NOW;
    else
        reader_refuse(reader, node, "'ready' wants notify, now or {tcp-port: N}");
}

static void read_stop_signal(struct reader *reader, const struct tree_node *node, void *target)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {{"TERM", SIGTERM}, {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"HUP", SIGHUP},
                   {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"KILL", SIGKILL}, {"WINCH", SIGWINCH}};
    struct layout_type *type = target;
    const char *name = node->kind == TREE_SCALAR ? node->text : "";
    if (strncmp(name, "SIG", 3) == 0)
        name += 3;
    for (size_t i = 0; i < COUNT_OF(signals); i++)
        if (strcmp(signals[i].name, name) == 0) {
            type->stop_signal.value = signals[i].number;
            type->stop_signal.place = reader_place(reader, node->line, node->column);
            return;
        }
    reader_refuse(reader, node,
                  "'stop-signal' wants SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH or SIGKILL");
}

static void read_success_exit(struct reader *reader, const struct tree_node *node, void *target)
{
    struct layout_type *type = target;
    if (node->kind == TREE_MAP) {
        reader_refuse(reader, node, "'success-exit' wants a list of exit codes");
        return;
    }
    size_t count = node->kind == TREE_LIST ? node->count : 1;
    struct layout_number *exits = arena_alloc(reader->arena, (count + 1) * sizeof *exits);
    for (size_t i = 0; i < count; i++)
        reader_take_integer(reader, "success-exit", node->kind == TREE_LIST ? node->entries[i].value : node, 0, 255,
                            &exits[i]);
    type->success_exits = exits;
    type->success_exit_count = count;
}

static bool is_limit_value(const char *value)
{
    if (strcmp(value, "unlimited") == 0)
        return true;
    size_t digits = strspn(value, "0123456789");
    const char *unit = value + digits;
    return digits > 0 && digits < 19 && (*unit == '\0' || (strchr("KMG", *unit) != NULL && unit[1] == '\0'));
}

static void read_limits(struct reader *reader, const struct tree_node *node, void *target)
{
    static const char *const names[] = {"nofile", "core",    "memory", "nproc", "fsize",
                                        "stack",  "memlock", "cpu",    "data"};
    struct layout_type *type = target;
    if (!reader_take_pairs(reader, "limits", node, &type->limits))
        return;
    for (size_t i = 0; i < type->limits.count; i++) {
        const struct layout_pair *limit = &type->limits.items[i];
        struct near near;
        char hint[NEAR_HINT_BYTES];
        bool known = false;
        near_init(&near, limit->name);
        for (size_t j = 0; j < COUNT_OF(names); j++) {
            known = known || strcmp(names[j], limit->name) == 0;
            near_offer(&near, names[j]);
        }
        if (!known)
            reader_refuse_at(reader, limit->place, "unknown limit%s, got '%s'", near_hint(&near, hint), limit->name);
        else if (!is_limit_value(limit->value))
            reader_refuse_at(reader, limit->place,
                             "'%s' wants a number, a number with K, M or G, or unlimited, got '%s'", limit->name,
                             limit->value);
    }
}

/* A list of one item per argument. A single text would be ambiguous: one argument, or a line for a shell? */
static void read_command(struct reader *reader, const struct tree_node *node, void *target)
{
    struct layout_type *type = target;
    type->command.place = reader_place(reader, node->line, node->column);
    if (node->kind != TREE_LIST || node->count == 0)
        reader_refuse(reader, node, "'command' wants a list such as [/usr/sbin/nginx, -g, daemon off;]");
    else
        reader_take_texts(reader, "command", node, &type->command);
}

/* Names of variables go into an environment, which has its own grammar; GEMEL_ ones are the daemon's. */
static void read_env(struct reader *reader, const struct tree_node *node, void *target)
{
    struct layout_type *type = target;
    if (!reader_take_pairs(reader, "env", node, &type->env))
        return;
    for (size_t i = 0; i < type->env.count; i++) {
        const struct layout_pair *variable = &type->env.items[i];
        if (variable->name[0] == '\0' || strchr(variable->name, '=') != NULL)
            reader_refuse_at(reader, variable->place, "a variable's name has no '=', got '%s'", variable->name);
        else if (strncmp(variable->name, "GEMEL_", 6) == 0 || strcmp(variable->name, "NOTIFY_SOCKET") == 0)
            reader_refuse_at(reader, variable->place, "this variable is set for the process, got '%s'", variable->name);
    }
}

static const struct schema_key process_keys[] = {
    {"instances", SCHEMA_INTEGER, TYPE(instances), 1, 1000},
    {"port", SCHEMA_INTEGER, TYPE(port), 1, 65535},
    {"gw-port", SCHEMA_LATER, 0},
    {"command", SCHEMA_SUB, 0, .read = read_command},
    {"args", SCHEMA_TEXTS, TYPE(args)},
    {"env", SCHEMA_SUB, 0, .read = read_env},
    {"cwd", SCHEMA_TEXT, TYPE(cwd)},
    {"user", SCHEMA_TEXT, TYPE(user)},
    {"cpu-taskset", SCHEMA_TASKSET, TYPE(cpu_taskset)},
    {"nice", SCHEMA_INTEGER, TYPE(nice), -20, 19},
    {"limits", SCHEMA_SUB, 0, .read = read_limits},
    {"depends-on", SCHEMA_TEXTS, TYPE(depends_on)},
    {"ready", SCHEMA_SUB, 0, .read = read_ready},
    {"watchdog", SCHEMA_DURATION, TYPE(watchdog_ms), 0, DAY_MS, UNIT_S},
    {"restart", SCHEMA_CHOICE, TYPE(restart), .choices = restarts},
    {"backoff", SCHEMA_LATER, 0},
    {"give-up", SCHEMA_LATER, 0},
    {"stop-signal", SCHEMA_SUB, 0, .read = read_stop_signal},
    {"stop-timeout", SCHEMA_DURATION, TYPE(stop_timeout_ms), 1, DAY_MS, UNIT_S},
    {"success-exit", SCHEMA_SUB, 0, .read = read_success_exit},
    {"startup-timeout", SCHEMA_DURATION, TYPE(startup_timeout_ms), 1, DAY_MS, UNIT_S},
    {"routable", SCHEMA_FLAG, TYPE(routable)},
    {"timeout", SCHEMA_DURATION, TYPE(timeout_ms), 0, DAY_MS, UNIT_S, .option = true},
    {"enable-analyst", SCHEMA_FLAG, TYPE(enable_analyst), .option = true, .fallback = "true"},
    {"hooks", SCHEMA_LATER, 0},
};
static const struct schema process_schema = {"a process", process_keys, COUNT_OF(process_keys)};

static const struct schema_key tp_keys[] = {
    {"pub-mode", SCHEMA_CHOICE, SCHEMA_NOWHERE, .choices = pub_modes, .option = true, .fallback = "direct"},
    {"pub-freq-ms", SCHEMA_DURATION, SCHEMA_NOWHERE, 1, 60000, UNIT_MS, .option = true, .fallback = "100"},
    {"pub-row-limit", SCHEMA_INTEGER, SCHEMA_NOWHERE, 0, 1000000000, .option = true, .fallback = "0"},
    {"log-to-journal", SCHEMA_FLAG, SCHEMA_NOWHERE, .option = true, .fallback = "true"},
    {"rollover-mode", SCHEMA_CHOICE, SCHEMA_NOWHERE, .choices = rollover_modes, .option = true, .fallback = "none"},
    {"rollover-time", SCHEMA_TIME_OF_DAY, SCHEMA_NOWHERE, .option = true},
};
static const struct schema_key ipdb_keys[] = {
    {"write-freq", SCHEMA_DURATION, SCHEMA_NOWHERE, 0, DAY_MS, UNIT_MS, .option = true, .fallback = "10000"},
    {"write-row-limit", SCHEMA_INTEGER, SCHEMA_NOWHERE, 0, 1000000000, .option = true, .fallback = "0"},
};
static const struct schema_key epdb_keys[] = {
    {"rollover-mode", SCHEMA_CHOICE, SCHEMA_NOWHERE, .choices = rollover_modes, .option = true},
    {"rollover-time", SCHEMA_TIME_OF_DAY, SCHEMA_NOWHERE, .option = true},
};

/* What a built-in type is: the program that runs it, the options of its own, whether clients' queries may reach it. */
static const struct builtin {
    const char *program;
    struct schema schema;
    bool routable;
} builtins[] = {
    [BUILTIN_NONE] = {NULL, {"a process", NULL, 0}, false},
    [BUILTIN_TP] = {"gemel-tp", {"a tp", tp_keys, COUNT_OF(tp_keys)}, false},
    [BUILTIN_RDB] = {"gemel-rdb", {"an rdb", NULL, 0}, true},
    [BUILTIN_IPDB] = {"gemel-ipdb", {"an ipdb", ipdb_keys, COUNT_OF(ipdb_keys)}, false},
    [BUILTIN_IDB] = {"gemel-idb", {"an idb", NULL, 0}, true},
    [BUILTIN_EPDB] = {"gemel-epdb", {"an epdb", epdb_keys, COUNT_OF(epdb_keys)}, false},
    [BUILTIN_HDB] = {"gemel-hdb", {"an hdb", NULL, 0}, true},
    [BUILTIN_GW] = {"gemel-gateway", {"a gw", NULL, 0}, false},
    [BUILTIN_SOURCE] = {NULL, {"a source", NULL, 0}, false},
    [BUILTIN_SINK] = {NULL, {"a sink", NULL, 0}, false},
};

/* Types of the original without a program here. */
static const struct {
    const char *name;
    const char *instead;
} foreign_types[] = {
    {"rte", "run your own program with 'command' and subscribe by libgemel"},
    {"udfp", "run your own program with 'command' and subscribe by libgemel"},
    {"monFh", "'gemel status' and the logs tell what it fed"},
    {"qr", "the gateway routes queries"},
};

static const char *instead_of(const char *type)
{
    for (size_t i = 0; i < COUNT_OF(foreign_types); i++)
        if (strcmp(foreign_types[i].name, type) == 0)
            return foreign_types[i].instead;
    return NULL;
}

/* A type of the layout's own is ready when its port answers, else as soon as it runs; ours say so themselves. */
static void finish_ready(struct layout_type *type)
{
    if (type->ready.place.line != 0 || type->builtin != BUILTIN_NONE)
        return;
    type->ready.value = LAYOUT_READY_NOW;
    if (type->port.value != 0) {
        type->ready.value = LAYOUT_READY_TCP_PORT;
        type->ready_port = type->port;
    }
}

static bool finish_command(struct reader *reader, struct layout_type *type)
{
    const char *program = builtins[type->builtin].program;
    if (type->command.place.line != 0)
        return type->command.count > 0;
    if (program == NULL) {
        struct near near;
        char hint[NEAR_HINT_BYTES];
        near_init(&near, type->name.text);
        static const char *const known[] = {"tp", "rdb", "ipdb", "idb", "epdb", "hdb", "gw"};
        for (size_t i = 0; i < COUNT_OF(known); i++)
            near_offer(&near, known[i]);
        reader_refuse_at(reader, type->name.place, "a type of your own wants a 'command'%s, got '%s'",
                         near_hint(&near, hint), type->name.text);
        return false;
    }
    struct layout_text *item = arena_alloc(reader->arena, sizeof *item);
    item->text = program;
    type->command = (struct layout_texts){.items = item, .count = 1};
    return true;
}

static bool read_type(struct reader *reader, const struct tree_entry *entry, const struct draft_pipeline *draft,
                      struct layout_type *type)
{
    *type = (struct layout_type){
        .name = {arena_strdup(reader->arena, entry->key), reader_place(reader, entry->line, entry->column)},
        .builtin = layout_builtin_of(entry->key),
        .instances.value = 1,
        .restart = draft->pipeline.restart,
        .startup_timeout_ms = draft->pipeline.startup_timeout_ms,
        .stop_signal.value = SIGTERM,
        .stop_timeout_ms.value = STOP_TIMEOUT_MS,
        .timeout_ms.value = -1,
        .enable_analyst.value = 1,
        .ready.value = LAYOUT_READY_NOTIFY,
    };
    const struct builtin *builtin = &builtins[type->builtin];
    type->routable.value = builtin->routable ? 1 : 0;
    if (!process_id_is_name(entry->key, TYPE_NAME_BYTES)) {
        reader_refuse_at(reader, type->name.place,
                         "a type is at most 31 letters, digits, '_' and '-' and starts with a letter, got '%s'",
                         entry->key);
        return false;
    }
    /* `hdb:` with nothing behind it has the defaults of every option. */
    const struct tree_node empty = {.kind = TREE_MAP, .line = entry->line, .column = entry->column};
    const struct tree_node *options = tree_is_null(entry->value) ? &empty : entry->value;
    schema_read(reader, &process_schema, builtin->schema.key_count > 0 ? &builtin->schema : NULL, options, type,
                &type->options);
    finish_ready(type);
    return finish_command(reader, type);
}

static void read_types(struct reader *reader, const struct tree_node *node, struct draft_pipeline *draft)
{
    draft->types_place = reader_place(reader, node->line, node->column);
    if (node->kind != TREE_MAP || node->count == 0 || node->count > TYPES_MAX) {
        reader_refuse(reader, node, "'processes' wants a map of 1 to 200 types and their options");
        return;
    }
    draft->types = arena_alloc(reader->arena, node->count * sizeof *draft->types);
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_entry *entry = &node->entries[i];
        const char *instead = instead_of(entry->key);
        if (instead != NULL && tree_find(entry->value, "command") == NULL)
            reader_warn_at(reader, reader_place(reader, entry->line, entry->column), "'%s' is not run here: %s",
                           entry->key, instead);
        else
            draft->type_count += read_type(reader, entry, draft, &draft->types[draft->type_count]) ? 1 : 0;
    }
}

/* ---- proc-layout ---- */

/* Splits `tp.0` into type and number. */
static bool parse_selector(struct reader *reader, const char *key, struct draft_selector *selector)
{
    const char *dot = strchr(key, '.');
    selector->number = -1;
    if (dot == NULL) {
        selector->type = strcmp(key, "all") == 0 ? NULL : arena_strdup(reader->arena, key);
        return true;
    }
    size_t digits = strspn(dot + 1, "0123456789");
    if (digits == 0 || digits > 3 || dot[1 + digits] != '\0')
        return false;
    selector->type = arena_copy(reader->arena, key, (size_t)(dot - key));
    selector->number = 0;
    for (size_t i = 0; i < digits; i++)
        selector->number = selector->number * 10 + (dot[1 + i] - '0');
    return strcmp(selector->type, "all") != 0;
}

static void read_item(struct reader *reader, const struct tree_node *node, struct draft_item *item)
{
    item->place = reader_place(reader, node->line, node->column);
    if (node->kind != TREE_MAP || node->count == 0) {
        reader_refuse(reader, node, "an item of 'proc-layout' maps all, a type or TYPE.N to a server");
        return;
    }
    item->selectors = arena_alloc(reader->arena, node->count * sizeof *item->selectors);
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_entry *entry = &node->entries[i];
        struct draft_selector selector = {.place = reader_place(reader, entry->line, entry->column)};
        if (!parse_selector(reader, entry->key, &selector))
            reader_refuse_at(reader, selector.place, "'proc-layout' wants all, a type or TYPE.N, got '%s'", entry->key);
        else if (reader_take_text(reader, entry->key, entry->value, &selector.server))
            item->selectors[item->count++] = selector;
    }
}

static void read_proc_layout(struct reader *reader, const struct tree_node *node, void *target)
{
    struct draft_pipeline *draft = target;
    if (node->kind != TREE_LIST || node->count == 0 || node->count > INSTANCES_MAX) {
        reader_refuse(reader, node, "'proc-layout' wants a list of 1 to 64 items, one for each instance");
        return;
    }
    draft->items = arena_alloc(reader->arena, node->count * sizeof *draft->items);
    draft->item_count = node->count;
    for (size_t i = 0; i < node->count; i++)
        read_item(reader, node->entries[i].value, &draft->items[i]);
}

/* ---- pipeline ---- */

/* Read after all other keys, because types inherit from their pipeline wherever it stands in the file. */
static void skip_processes(struct reader *reader, const struct tree_node *node, void *target)
{
    (void)reader;
    (void)node;
    (void)target;
}

static const struct schema_key pipeline_keys[] = {
    {"name", SCHEMA_NAME, DRAFT(pipeline.name), .max = PIPELINE_NAME_BYTES, .required = true},
    {"type", SCHEMA_CHOICE, DRAFT(pipeline.kind), .choices = kinds, .required = true},
    {"expose-to-gw", SCHEMA_FLAG, DRAFT(pipeline.expose_to_gw)},
    {"proc-layout", SCHEMA_SUB, 0, .read = read_proc_layout, .required = true},
    {"proc-layout-numbers", SCHEMA_CHOICE, DRAFT(numbers), .choices = numberings},
    {"taxonomy", SCHEMA_PAIRS, DRAFT(pipeline.taxonomy)},
    {"processes", SCHEMA_SUB, 0, .read = skip_processes, .required = true},
    {"startup-timeout", SCHEMA_DURATION, DRAFT(pipeline.startup_timeout_ms), 1, DAY_MS, UNIT_S},
    {"restart", SCHEMA_CHOICE, DRAFT(pipeline.restart), .choices = restarts},
    {"failover-scope", SCHEMA_CHOICE, DRAFT(pipeline.failover_scope), .choices = scopes},
    {"max-lag", SCHEMA_INTEGER, DRAFT(pipeline.max_lag), 0, 1000000000000},
    {"enable-auto-data-copy", SCHEMA_LATER, 0},
    {"enable-monitoring", SCHEMA_LATER, 0},
    {"environment", SCHEMA_LATER, 0},
    {"auto-failback", SCHEMA_LATER, 0},
    {"on-isolation", SCHEMA_LATER, 0},
    {"resilience", SCHEMA_LATER, 0},
    {"time-between-checkpoints", SCHEMA_LATER, 0},
    {"checkpoint-timeout", SCHEMA_LATER, 0},
    {"expose-to-qr", SCHEMA_OBSOLETE, 0, .instead = "'expose-to-gw' serves instead"},
    {"enable-legacy-routing", SCHEMA_OBSOLETE, 0, .instead = "each gateway keeps the primary routing state"},
    {"custom-data-copy", SCHEMA_OBSOLETE, 0, .instead = "'enable-auto-data-copy' serves instead"},
    {"multi-pipeline-route", SCHEMA_OBSOLETE, 0, .instead = "a query names its pipeline or taxonomy values"},
};
static const struct schema pipeline_schema = {"a pipeline", pipeline_keys, COUNT_OF(pipeline_keys)};

void draft_read_pipeline(struct reader *reader, const struct tree_node *node, struct draft_pipeline *draft)
{
    *draft = (struct draft_pipeline){
        .pipeline = {.startup_timeout_ms.value = STARTUP_TIMEOUT_MS, .max_lag.value = -1},
    };
    schema_read(reader, &pipeline_schema, NULL, node, draft, NULL);
    const struct tree_node *processes = tree_find(node, "processes");
    if (processes != NULL)
        read_types(reader, processes, draft);
}
