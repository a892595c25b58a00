#include "tests/sim/sim_layout.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"

enum {
    INSTANCES = 2,
    STARTUP_TIMEOUT_MS = 8000,
    STOP_TIMEOUT_MS = 500,
    SIGNAL_OF_STOP = 15
};

struct type_plan {
    const char *name;
    int requires; /* position of the type that must be ready before; -1: none */
    bool routable;
    int ready_port; /* 0: it says so itself */
};

static const struct type_plan demo_types[] = {
    {"tp", -1, false, 0},
    {"rdb", 0, true, 0},
    {"idb", 1, true, SIM_PORT_IDB},
};

static const struct type_plan entry_types[] = {
    {"gw", -1, false, 0},
};

static void fill_type(struct layout_type *type, const struct type_plan *plan, struct layout_type *types,
                      struct arena *arena)
{
    struct layout_text *command = arena_alloc(arena, sizeof *command);
    command->text = plan->name;
    type->name.text = plan->name;
    type->builtin = layout_builtin_of(plan->name);
    type->instances.value = 1;
    type->command = (struct layout_texts){.items = command, .count = 1};
    type->ready.value = plan->ready_port != 0 ? LAYOUT_READY_TCP_PORT : LAYOUT_READY_NOTIFY;
    type->ready_port.value = plan->ready_port;
    type->port.value = plan->ready_port;
    type->restart.value = LAYOUT_RESTART_ON_FAILURE;
    type->stop_signal.value = SIGNAL_OF_STOP;
    type->stop_timeout_ms.value = STOP_TIMEOUT_MS;
    type->startup_timeout_ms.value = STARTUP_TIMEOUT_MS;
    type->routable.value = plan->routable;
    type->timeout_ms.value = -1;
    if (plan->requires < 0)
        return;
    type->level = types[plan->requires].level + 1;
    type->requirements = arena_alloc(arena, sizeof *type->requirements);
    type->requirements[type->requirement_count++] = &types[plan->requires];
}

static size_t fill_processes(struct layout_process *processes, const struct layout_pipeline *pipeline,
                             const struct layout_server *servers)
{
    size_t count = 0;
    for (uint32_t instance = 0; instance < INSTANCES; instance++)
        for (size_t i = 0; i < pipeline->type_count; i++) {
            struct layout_process *process = &processes[count++];
            strcpy(process->id.pipeline, pipeline->name.text);
            strcpy(process->id.type, pipeline->types[i].name.text);
            process->id.instance = instance;
            process_id_format(&process->id, process->name);
            process->pipeline = pipeline;
            process->type = &pipeline->types[i];
            process->server = &servers[instance];
            process->host = servers[instance].hosts.items[0].text;
        }
    return count;
}

static void fill_pipeline(struct layout_pipeline *pipeline, const char *name, enum layout_kind kind,
                          const struct type_plan *plans, size_t plan_count, struct arena *arena)
{
    struct layout_type *types = arena_alloc(arena, plan_count * sizeof *types);
    for (size_t i = 0; i < plan_count; i++)
        fill_type(&types[i], &plans[i], types, arena);
    pipeline->name.text = name;
    pipeline->kind.value = kind;
    pipeline->expose_to_gw.value = kind == LAYOUT_REALTIME;
    pipeline->startup_timeout_ms.value = STARTUP_TIMEOUT_MS;
    pipeline->max_lag.value = -1;
    pipeline->types = types;
    pipeline->type_count = plan_count;
    pipeline->instance_count = INSTANCES;
}

struct layout *sim_layout_make(void)
{
    static const char *const hosts[INSTANCES] = {"a", "b"};
    static const char *const names[INSTANCES] = {"primary-server", "secondary-server"};
    struct layout *layout = memory_alloc(sizeof *layout);
    struct arena *arena = &layout->arena;
    arena_init(arena);
    struct layout_server *servers = arena_alloc(arena, INSTANCES * sizeof *servers);
    for (size_t i = 0; i < INSTANCES; i++) {
        struct layout_text *host = arena_alloc(arena, sizeof *host);
        host->text = hosts[i];
        servers[i].name.text = names[i];
        servers[i].hosts = (struct layout_texts){.items = host, .count = 1};
    }
    layout->system.servers = servers;
    layout->system.server_count = INSTANCES;
    struct layout_pipeline *pipelines = arena_alloc(arena, 2 * sizeof *pipelines);
    fill_pipeline(&pipelines[0], "DefaultEntrypoint", LAYOUT_ENTRYPOINT, entry_types, COUNT_OF(entry_types), arena);
    fill_pipeline(&pipelines[1], "DemoPipeline", LAYOUT_REALTIME, demo_types, COUNT_OF(demo_types), arena);
    size_t total = INSTANCES * (COUNT_OF(entry_types) + COUNT_OF(demo_types));
    struct layout_process *processes = arena_alloc(arena, total * sizeof *processes);
    size_t count = 0;
    for (size_t i = 0; i < 2; i++) {
        pipelines[i].processes = &processes[count];
        pipelines[i].process_count = fill_processes(&processes[count], &pipelines[i], servers);
        count += pipelines[i].process_count;
    }
    layout->pipelines = pipelines;
    layout->pipeline_count = 2;
    layout->processes = processes;
    layout->process_count = count;
    return layout;
}
