#include "daemon/core/process_record.h"

#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/wire/wire.h"
#include "daemon/core/daemon_actions.h"

void process_set_string(char **target, const char *text)
{
    char *copy = memory_strdup(text != NULL ? text : "");
    memory_free(*target);
    *target = copy;
}

bool process_replace_string(char **target, const char *text)
{
    if (text == NULL || strcmp(*target, text) == 0)
        return false;
    process_set_string(target, text);
    return true;
}

void process_touch(struct process *process)
{
    process->sequence++;
    process->changed = true;
}

struct process *process_create(const char *name, enum process_kind kind, struct process_shared *shared)
{
    struct process *process = memory_alloc(sizeof *process);
    text_copy(process->name, sizeof process->name, name);
    process->kind = kind;
    process->shared = shared;
    process->deadline_ms = process->forget_ms = process->probe_ms = process->watchdog_ms = INT64_MAX;
    process_set_string(&process->order_why, "");
    process_set_string(&process->why, "");
    process_set_string(&process->endpoint, "");
    process_set_string(&process->status, "");
    process_set_string(&process->stale, "");
    process_set_string(&process->last_words, "");
    process_touch(process);
    return process;
}

void process_destroy(struct process **process)
{
    struct process *self = *process;
    if (self == NULL)
        return;
    if (self->spec != NULL)
        wire_free(&self->spec->base);
    memory_free(self->spec_bytes);
    memory_free(self->order_why);
    memory_free(self->why);
    memory_free(self->endpoint);
    memory_free(self->status);
    memory_free(self->stale);
    memory_free(self->last_words);
    memory_free(self);
    *process = NULL;
}

bool process_set_spec(struct process *process, const Gemel__ProcessSpec *spec)
{
    size_t size = 0;
    uint8_t *bytes = wire_pack(&spec->base, &size);
    if (size == process->spec_size && process->spec != NULL && memcmp(bytes, process->spec_bytes, size) == 0) {
        memory_free(bytes);
        return false;
    }
    ProtobufCMessage *copy = NULL;
    int result = wire_unpack(&gemel__process_spec__descriptor, bytes, size, &copy);
    if (result != 0) { /* over the caps of a message: whoever sent it passed them, so this is a spec of our own */
        memory_free(bytes);
        return false;
    }
    if (process->spec != NULL)
        wire_free(&process->spec->base);
    memory_free(process->spec_bytes);
    process->spec = (Gemel__ProcessSpec *)copy;
    process->spec_bytes = bytes;
    process->spec_size = size;
    return true;
}

Gemel__ProcessSpec *process_copy_spec(const struct process *process, struct arena *arena)
{
    ProtobufCMessage *copy = NULL;
    if (process->spec == NULL ||
        wire_unpack_arena(arena, &gemel__process_spec__descriptor, process->spec_bytes, process->spec_size, &copy) != 0)
        return NULL;
    return (Gemel__ProcessSpec *)copy;
}

void process_store_order(const struct process *process, const struct process_step *step)
{
    if (process->kind == PROCESS_KIND_CONTROL)
        return;
    struct daemon_action *action = daemon_actions_add(step->actions, DAEMON_ACTION_STORE_ORDER, process->name);
    action->order.spec = process_copy_spec(process, &step->actions->arena);
    action->order.placement = process->placement;
    action->order.clear_failed = process->clear_failed;
    action->order.wanted = process->wanted;
    action->order.parked = process->parked;
    action->order.failed = process->state == PROCESS_STATE_FAILED;
    action->order.why = arena_strdup(&step->actions->arena, process->parked ? process->why : process->order_why);
}

void process_record_run(const struct process *process, const struct process_step *step)
{
    /* A control that somebody else started is known by its link, not by a run of ours. */
    bool is_strange = process->kind == PROCESS_KIND_CONTROL && process->token.start == 0;
    if (is_strange || !process_is_running(process))
        return;
    struct arena *arena = &step->actions->arena;
    struct daemon_action *action = daemon_actions_add(step->actions, DAEMON_ACTION_RECORD_RUN, process->name);
    action->record.token = process->token;
    action->record.ready = process->was_ready;
    action->record.stopping = process->said_stopping;
    action->record.endpoint = arena_strdup(arena, process->endpoint);
    action->record.status = arena_strdup(arena, process->status);
    action->record.stale = arena_strdup(arena, process->stale);
    action->record.restarts = process->restarts;
}

static char *endpoint_of(const struct process *process, struct arena *arena)
{
    if (process->pid == 0)
        return arena_strdup(arena, "");
    if (process->endpoint[0] == '\0' && process->spec != NULL && process->spec->port != 0)
        return arena_printf(arena, "%s:%u", process->shared->host, (unsigned)process->spec->port);
    return arena_strdup(arena, process->endpoint);
}

Gemel__ProcessReport *process_report(const struct process *process, struct arena *arena, int64_t now_ms)
{
    Gemel__ProcessReport *report = arena_alloc(arena, sizeof *report);
    gemel__process_report__init(report);
    report->process = arena_strdup(arena, process->name);
    report->host = arena_strdup(arena, process->shared->host);
    report->placement = process->token.start != 0 ? process->token.placement : process->placement;
    report->start = process->token.start;
    report->state = (Gemel__ProcessState)process->state;
    report->pid = process->pid;
    report->since_wall_ns = process->since_wall_ns;
    report->endpoint = endpoint_of(process, arena);
    report->routable = process->spec != NULL && process->spec->routable;
    report->expose_to_gw = process->spec != NULL && process->spec->expose_to_gw;
    report->status = arena_strdup(arena, process->status);
    report->stale = arena_strdup(arena, process->stale);
    report->restarts = process->restarts;
    report->exited = process->exited;
    report->exit_unknown = process->exit_unknown;
    report->exit_code = process->exit_code;
    report->exit_signal = process->exit_signal;
    report->why = arena_strdup(arena, process->why);
    report->last_words = arena_strdup(arena, process->last_words);
    if (process->state == PROCESS_STATE_BACKOFF && process->deadline_ms > now_ms)
        report->restart_in_ms = (uint32_t)(process->deadline_ms - now_ms);
    report->revision = process->revision;
    report->clear_failed = process->clear_failed;
    report->lag_rows = process->lag_rows;
    report->hung = process->hung;
    report->sequence = process->sequence;
    report->was_unattended = process->unattended;
    return report;
}

void process_forget_last_words(struct process *process)
{
    if (process->last_words[0] != '\0')
        process_set_string(&process->last_words, "");
}

int64_t process_startup_timeout_ms(const struct process *process)
{
    uint32_t wanted_ms = process->spec != NULL ? process->spec->startup_timeout_ms : 0;
    return wanted_ms != 0 ? (int64_t)wanted_ms : PROCESS_STARTUP_TIMEOUT_MS;
}

int64_t process_stop_timeout_ms(const struct process *process)
{
    uint32_t wanted_ms = process->spec != NULL ? process->spec->stop_timeout_ms : 0;
    return wanted_ms != 0 ? (int64_t)wanted_ms : PROCESS_STOP_TIMEOUT_MS;
}

uint32_t process_hang_timeout_ms(const struct process *process)
{
    return process->spec != NULL ? process->spec->hang_timeout_ms : 0;
}

void process_describe_exit(const struct process *process, char *cause, size_t size)
{
    if (process->exit_unknown)
        text_copy(cause, size, "unknown, no daemon was there");
    else if (process->exit_signal != 0)
        snprintf(cause, size, "signal %d", (int)process->exit_signal);
    else
        snprintf(cause, size, "code %d", (int)process->exit_code);
}
