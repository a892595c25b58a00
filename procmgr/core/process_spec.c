#include "procmgr/core/process_spec.h"

#include <string.h>

#include "common/base/text.h"
#include "common/layout/model/settings.h"
#include "procmgr/core/reply.h"

enum {
    OWN_VARIABLES = 3 /* GEMEL_OPTIONS, GEMEL_TABLES, GEMEL_GATEWAYS */
};

uint16_t process_spec_gateway_port(const struct layout *layout, const struct layout_process *process,
                                   const struct procmgr_config *config)
{
    if (process->type->port.value != 0)
        return (uint16_t)process->type->port.value;
    for (const struct layout_process *other = layout->processes; other < process; other++)
        if (other->type->builtin == BUILTIN_GW && strcmp(other->host, process->host) == 0)
            return 0;
    return config->gateway_port;
}

/* ---- environment ---- */

char *process_spec_gateways(const struct layout *layout, const struct procmgr_config *config, struct arena *arena)
{
    struct text text;
    text_init(&text, (size_t)HOSTS_MAX * ADDRESS_BYTES);
    for (size_t i = 0; i < layout->process_count; i++) {
        const struct layout_process *process = &layout->processes[i];
        struct settings_address address = {0};
        char formatted[ADDRESS_BYTES];
        if (process->type->builtin != BUILTIN_GW)
            continue;
        text_copy(address.host, sizeof address.host, process->host);
        address.port = process_spec_gateway_port(layout, process, config);
        if (address.port == 0)
            continue;
        settings_address_format(&address, formatted);
        text_printf(&text, "%s%s", text.length > 0 ? "," : "", formatted);
    }
    char *copy = arena_strdup(arena, text.data);
    text_fini(&text);
    return copy;
}

static char *print_options(const struct layout_process *process, const struct procmgr_config *config,
                           struct arena *arena)
{
    struct text text;
    text_init(&text, OPTIONS_TEXT_BYTES_MAX);
    layout_print_options(process, &text);
    if (process->type->timeout_ms.value < 0 && process->type->routable.value != 0) {
        bool whole = config->query_timeout_ms % 1000 == 0;
        text_printf(&text, "timeout=%u%s\n",
                    whole ? (unsigned)config->query_timeout_ms / 1000 : (unsigned)config->query_timeout_ms,
                    whole ? "" : "ms");
    }
    char *copy = arena_strdup(arena, text.data);
    text_fini(&text);
    return copy;
}

static char *print_tables(const struct layout *layout, const struct layout_pipeline *pipeline, struct arena *arena)
{
    struct text text;
    text_init(&text, TABLES_TEXT_BYTES_MAX);
    layout_print_tables(layout, pipeline, &text);
    char *copy = arena_strdup(arena, text.data);
    text_fini(&text);
    return copy;
}

static void add_variable(Gemel__ProcessSpec *spec, struct arena *arena, const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    Gemel__Variable *variable = arena_alloc(arena, sizeof *variable);
    gemel__variable__init(variable);
    variable->name = reply_text(name);
    variable->value = reply_text(value);
    spec->env[spec->n_env++] = variable;
}

static void fill_environment(Gemel__ProcessSpec *spec, const struct process_spec_context *context,
                             const struct layout_process *process, struct arena *arena)
{
    const struct layout_pairs *env = &process->type->env;
    spec->env = arena_alloc(arena, (env->count + OWN_VARIABLES) * sizeof(Gemel__Variable *));
    for (size_t i = 0; i < env->count; i++)
        add_variable(spec, arena, env->items[i].name, env->items[i].value);
    add_variable(spec, arena, "GEMEL_OPTIONS", print_options(process, context->config, arena));
    add_variable(spec, arena, "GEMEL_TABLES", print_tables(context->layout, process->pipeline, arena));
    add_variable(spec, arena, "GEMEL_GATEWAYS", context->gateways);
}

/* ---- the rest ---- */

static void fill_command(Gemel__ProcessSpec *spec, const struct layout_type *type, struct arena *arena)
{
    spec->command = arena_alloc(arena, (type->command.count + type->args.count + 1) * sizeof(char *));
    for (size_t i = 0; i < type->command.count; i++)
        spec->command[spec->n_command++] = reply_text(type->command.items[i].text);
    for (size_t i = 0; i < type->args.count; i++)
        spec->command[spec->n_command++] = reply_text(type->args.items[i].text);
}

static void fill_limits(Gemel__ProcessSpec *spec, const struct layout_type *type, struct arena *arena)
{
    spec->limits = arena_alloc(arena, (type->limits.count + 1) * sizeof(Gemel__Limit *));
    for (size_t i = 0; i < type->limits.count; i++) {
        Gemel__Limit *limit = arena_alloc(arena, sizeof *limit);
        gemel__limit__init(limit);
        limit->name = reply_text(type->limits.items[i].name);
        limit->value = reply_text(type->limits.items[i].value);
        spec->limits[spec->n_limits++] = limit;
    }
}

static void fill_success_exits(Gemel__ProcessSpec *spec, const struct layout_type *type, struct arena *arena)
{
    spec->success_exit = arena_alloc(arena, (type->success_exit_count + 1) * sizeof(int32_t));
    for (size_t i = 0; i < type->success_exit_count; i++)
        spec->success_exit[spec->n_success_exit++] = (int32_t)type->success_exits[i].value;
}

static Gemel__Readiness readiness_of(const struct layout_type *type)
{
    switch ((enum layout_ready)type->ready.value) {
    case LAYOUT_READY_NOTIFY:
        return GEMEL__READINESS__READINESS_NOTIFY;
    case LAYOUT_READY_TCP_PORT:
        return GEMEL__READINESS__READINESS_TCP_PORT;
    case LAYOUT_READY_NOW:
        return GEMEL__READINESS__READINESS_NOW;
    }
    return GEMEL__READINESS__READINESS_NOTIFY;
}

static Gemel__Restart restart_of(const struct layout_type *type)
{
    switch ((enum layout_restart)type->restart.value) {
    case LAYOUT_RESTART_ON_FAILURE:
        return GEMEL__RESTART__RESTART_ON_FAILURE;
    case LAYOUT_RESTART_ALWAYS:
        return GEMEL__RESTART__RESTART_ALWAYS;
    case LAYOUT_RESTART_MANUAL:
        return GEMEL__RESTART__RESTART_MANUAL;
    }
    return GEMEL__RESTART__RESTART_ON_FAILURE;
}

static void fill_numbers(Gemel__ProcessSpec *spec, const struct layout_type *type, const struct procmgr_config *config)
{
    spec->nice = (int32_t)type->nice.value;
    spec->port = (uint32_t)type->port.value;
    spec->readiness = readiness_of(type);
    spec->readiness_port = (uint32_t)type->ready_port.value;
    spec->startup_timeout_ms = (uint32_t)type->startup_timeout_ms.value;
    spec->restart = restart_of(type);
    spec->stop_signal = (uint32_t)type->stop_signal.value;
    spec->stop_timeout_ms = (uint32_t)type->stop_timeout_ms.value;
    spec->routable = type->routable.value != 0;
    spec->watchdog_ms = (uint32_t)type->watchdog_ms.value;
    /* Only our own programs are known to answer the daemon's ping; others have `watchdog`. */
    spec->hang_timeout_ms = type->builtin != BUILTIN_NONE ? config->hang_timeout_ms : 0;
}

Gemel__ProcessSpec *process_spec_make(const struct process_spec_context *context, const struct layout_process *process,
                                      struct arena *arena)
{
    const struct layout_type *type = process->type;
    const struct layout_text *everywhere = &context->layout->system.default_cpu_taskset;
    Gemel__ProcessSpec *spec = arena_alloc(arena, sizeof *spec);
    gemel__process_spec__init(spec);
    spec->process = reply_text(process->name);
    spec->revision = context->revision;
    spec->cwd = reply_text(type->cwd.text);
    spec->user = reply_text(type->user.text);
    spec->cpu_taskset = reply_text(type->cpu_taskset.text != NULL ? type->cpu_taskset.text : everywhere->text);
    spec->expose_to_gw = process->pipeline->expose_to_gw.value != 0;
    fill_command(spec, type, arena);
    fill_environment(spec, context, process, arena);
    fill_limits(spec, type, arena);
    fill_success_exits(spec, type, arena);
    fill_numbers(spec, type, context->config);
    if (type->builtin == BUILTIN_GW)
        spec->port = process_spec_gateway_port(context->layout, process, context->config);
    return spec;
}
