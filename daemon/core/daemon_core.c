#include "daemon/core/daemon_core.h"

#include <errno.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/bounds.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/process_id.h"
#include "common/base/text.h"
#include "common/wire/wire.h"
#include "daemon/core/daemon_actions.h"
#include "daemon/core/daemon_lookup.h"
#include "daemon/core/process_machine.h"
#include "daemon/core/process_record.h"

enum {
    BOOT_ID_BYTES = 64,
    VERSION_BYTES = 32,
    ORDERS_PENDING_MAX = 64, /* more than a leader sends while one disk write lasts; the rest is sent again */
    LATE_MS = 200 /* a wake-up later than this: the daemon did not run, and silence meanwhile proves nothing */
};

struct daemon_core {
    char host[HOST_NAME_BYTES];
    char boot_id[BOOT_ID_BYTES];
    char version[VERSION_BYTES];
    struct process_shared shared;
    struct process *processes; /* by name */
    size_t process_count;
    struct daemon_lookup *lookup;

    Gemel__ProcessSpec *control_spec; /* owned; NULL: none */
    Gemel__ProcessSpec *procmgr_spec;

    uint64_t epoch;                             /* highest seen, durable */
    uint64_t epoch_asked;                       /* on its way to the disk; 0: none */
    Gemel__Orders *pending[ORDERS_PENDING_MAX]; /* owned: orders that wait for their epoch to be durable */
    size_t pending_count;
    int64_t next_ms; /* never later than the earliest deadline */
    bool said_exit;
};

/* ---- making */

static Gemel__ProcessSpec *clone_spec(const Gemel__ProcessSpec *spec)
{
    return spec != NULL ? (Gemel__ProcessSpec *)wire_copy(&spec->base) : NULL;
}

void daemon_core_create(struct daemon_core **core, const struct daemon_core_config *config)
{
    struct daemon_core *self = memory_alloc(sizeof *self);
    text_copy(self->host, sizeof self->host, config->host);
    text_copy(self->boot_id, sizeof self->boot_id, config->boot_id);
    text_copy(self->version, sizeof self->version, config->version);
    uint64_t start_end = config->start_end > config->start_next ? config->start_end : config->start_next;
    self->shared = (struct process_shared){
        .host = self->host,
        .start_next = config->start_next,
        .start_end = start_end,
        .start_asked = start_end,
        .random = config->seed,
        .ping_interval_ms = config->ping_interval_ms != 0 ? config->ping_interval_ms : PROCESS_PING_MS,
    };
    self->epoch = config->epoch_seen;
    self->control_spec = clone_spec(config->control_spec);
    self->procmgr_spec = clone_spec(config->procmgr_spec);
    self->next_ms = INT64_MAX;
    daemon_lookup_create(&self->lookup, config->host);
    *core = self;
}

static void forget_pending(struct daemon_core *core)
{
    for (size_t i = 0; i < core->pending_count; i++)
        wire_free(&core->pending[i]->base);
    core->pending_count = 0;
}

static void free_spec(Gemel__ProcessSpec *spec)
{
    if (spec != NULL)
        wire_free(&spec->base);
}

void daemon_core_destroy(struct daemon_core **core)
{
    struct daemon_core *self = *core;
    if (self == NULL)
        return;
    struct process *process = NULL;
    struct process *next = NULL;
    HASH_ITER (hh, self->processes, process, next) {
        HASH_DEL(self->processes, process);
        process_destroy(&process);
    }
    daemon_lookup_destroy(&self->lookup);
    free_spec(self->control_spec);
    free_spec(self->procmgr_spec);
    forget_pending(self);
    memory_free(self);
    *core = NULL;
}

/* ---- the table */

static struct process *find(const struct daemon_core *core, const char *name)
{
    struct process *process = NULL;
    if (name != NULL)
        HASH_FIND_STR(core->processes, name, process);
    return process;
}

/* Room for a new name: a stopped process that nobody wants is what can be forgotten. */
static bool make_room(struct daemon_core *core)
{
    if (core->process_count < PROCESSES_MAX)
        return true;
    struct process *process = NULL;
    struct process *next = NULL;
    HASH_ITER (hh, core->processes, process, next) {
        if (process->wanted || process->state != PROCESS_STATE_STOPPED)
            continue;
        HASH_DEL(core->processes, process);
        process_destroy(&process);
        core->process_count--;
        return true;
    }
    return false;
}

static int find_or_add(struct daemon_core *core, const char *name, struct process **found)
{
    *found = find(core, name);
    if (*found != NULL)
        return 0;
    enum process_kind kind = PROCESS_KIND_PIPELINE;
    struct process_id id;
    const Gemel__ProcessSpec *spec = NULL;
    if (strcmp(name, DAEMON_CONTROL) == 0) {
        kind = PROCESS_KIND_CONTROL;
        spec = core->control_spec;
    } else if (strcmp(name, DAEMON_PROCMGR) == 0) {
        kind = PROCESS_KIND_PROCMGR;
        spec = core->procmgr_spec;
    } else if (process_id_parse(name, &id) != 0) {
        return -EINVAL;
    }
    if (!make_room(core))
        return -ENOSPC;
    struct process *process = process_create(name, kind, &core->shared);
    if (spec != NULL)
        process_set_spec(process, spec);
    HASH_ADD_STR(core->processes, name, process);
    core->process_count++;
    *found = process;
    return 0;
}

/* ---- orders */

static int take_order(struct daemon_core *core, const Gemel__OrderItem *item, const struct process_step *step)
{
    struct process *process = NULL;
    int result = find_or_add(core, item->process, &process);
    if (result == 0 && process->kind != PROCESS_KIND_PIPELINE)
        result = -EINVAL;
    struct process_order order = {
        .run = item->run,
        .placement = item->placement,
        .clear_failed = item->clear_failed,
        .spec = item->run ? item->spec : NULL,
        .why = item->why,
    };
    if (result == 0 && item->run && item->spec != NULL && item->spec->n_command == 0)
        result = -EINVAL;
    if (result == 0)
        result = process_want(process, &order, step);
    if (result != 0)
        daemon_actions_log(step->actions, DAEMON_LOG_ERROR, "Order refused [ Process: %s ] [ Why: %s ]", item->process,
                           result == -ENOSPC ? "too many processes" : "no such name, or no command to run");
    return result;
}

static int take_orders(struct daemon_core *core, const Gemel__Orders *orders, const struct process_step *step)
{
    int result = 0;
    for (size_t i = 0; i < orders->n_items; i++) {
        int taken = take_order(core, orders->items[i], step);
        result = taken != 0 ? taken : result;
    }
    return result;
}

/* Keeps orders until their epoch is durable. */
static int hold_orders(struct daemon_core *core, const Gemel__Orders *orders)
{
    if (core->pending_count == ORDERS_PENDING_MAX)
        return -EAGAIN;
    core->pending[core->pending_count++] = (Gemel__Orders *)wire_copy(&orders->base);
    return 0;
}

static int on_orders(struct daemon_core *core, const struct daemon_event *event, const struct process_step *step)
{
    uint64_t epoch = event->orders.epoch;
    uint64_t highest = core->epoch_asked > core->epoch ? core->epoch_asked : core->epoch;
    if (epoch < highest) {
        struct daemon_action *action = daemon_actions_add(step->actions, DAEMON_ACTION_SEND_STALE_EPOCH, NULL);
        action->stale.peer = event->orders.peer;
        action->stale.epoch_now = highest;
        return -ESTALE;
    }
    if (strcmp(event->orders.orders->host, core->host) != 0)
        return -EINVAL;
    if (core->shared.ending)
        return -ESHUTDOWN;
    if (epoch == core->epoch)
        return take_orders(core, event->orders.orders, step);
    if (epoch > core->epoch_asked) {
        core->epoch_asked = epoch;
        forget_pending(core);
        daemon_actions_add(step->actions, DAEMON_ACTION_STORE_EPOCH, NULL)->epoch = epoch;
    }
    return hold_orders(core, event->orders.orders);
}

static int on_epoch_stored(struct daemon_core *core, uint64_t epoch, const struct process_step *step)
{
    if (epoch <= core->epoch || epoch > core->epoch_asked)
        return -EINVAL;
    core->epoch = epoch;
    if (epoch < core->epoch_asked)
        return 0;
    int result = 0;
    for (size_t i = 0; i < core->pending_count && !core->shared.ending; i++) {
        int taken = take_orders(core, core->pending[i], step);
        result = taken != 0 ? taken : result;
    }
    forget_pending(core);
    return result;
}

/* ---- reports */

static Gemel__ProcessReports *new_reports(const struct daemon_core *core, struct arena *arena, bool full, size_t max)
{
    Gemel__ProcessReports *reports = arena_alloc(arena, sizeof *reports);
    gemel__process_reports__init(reports);
    reports->host = arena_strdup(arena, core->host);
    reports->full = full;
    reports->reports = arena_alloc(arena, (max + 1) * sizeof *reports->reports);
    return reports;
}

Gemel__ProcessReports *daemon_core_reports(const struct daemon_core *core, struct arena *arena, int64_t now_ms,
                                           bool own)
{
    Gemel__ProcessReports *reports = new_reports(core, arena, true, core->process_count);
    for (const struct process *process = core->processes; process != NULL; process = process->hh.next)
        if ((process->kind != PROCESS_KIND_PIPELINE) == own)
            reports->reports[reports->n_reports++] = process_report(process, arena, now_ms);
    return reports;
}

static void greet_peer(const struct daemon_core *core, uint64_t peer, const struct process_step *step)
{
    struct arena *arena = &step->actions->arena;
    Gemel__DaemonHello *hello = arena_alloc(arena, sizeof *hello);
    gemel__daemon_hello__init(hello);
    hello->host = arena_strdup(arena, core->host);
    hello->boot_id = arena_strdup(arena, core->boot_id);
    hello->version = arena_strdup(arena, core->version);
    hello->epoch_seen = core->epoch;
    struct daemon_action *action = daemon_actions_add(step->actions, DAEMON_ACTION_SEND_HELLO, NULL);
    action->hello.peer = peer;
    action->hello.hello = hello;
    action = daemon_actions_add(step->actions, DAEMON_ACTION_SEND_REPORTS, NULL);
    action->reports.peer = peer;
    action->reports.reports = daemon_core_reports(core, arena, step->now_ms, false);
}

/* Appends what changed in this step: one report to all peers, and the look-ups that depend on it. `touched` is the one
 * process that the event was about; NULL: any may have changed. */
static void publish_changes(struct daemon_core *core, struct process *touched, const struct process_step *step)
{
    struct arena *arena = &step->actions->arena;
    Gemel__ProcessReports *reports = NULL;
    struct process *process = touched != NULL ? touched : core->processes;
    for (; process != NULL; process = touched != NULL ? NULL : process->hh.next) {
        if (!process->changed)
            continue;
        process->changed = false;
        if (process->kind != PROCESS_KIND_PIPELINE)
            continue;
        if (reports == NULL)
            reports = new_reports(core, arena, false, touched != NULL ? 1 : core->process_count);
        Gemel__ProcessReport *report = process_report(process, arena, step->now_ms);
        reports->reports[reports->n_reports++] = report;
        process_forget_last_words(process);
        daemon_lookup_set(core->lookup, process->name, report->endpoint, process->state == PROCESS_STATE_READY);
    }
    if (reports != NULL)
        daemon_actions_add(step->actions, DAEMON_ACTION_SEND_REPORTS, NULL)->reports.reports = reports;
    daemon_lookup_publish(core->lookup, step->actions);
}

/* ---- the daemon itself */

static int on_procmgr(struct daemon_core *core, bool run, const char *why, const struct process_step *step)
{
    struct process *process = NULL;
    if (core->procmgr_spec == NULL || core->shared.ending)
        return -EINVAL;
    int result = find_or_add(core, DAEMON_PROCMGR, &process);
    if (result != 0)
        return result;
    struct process_order order = {.run = run, .clear_failed = process->clear_failed + (run ? 1 : 0), .why = why};
    return process_want(process, &order, step);
}

static void end_all(struct daemon_core *core, const struct process_step *step)
{
    core->shared.ending = true;
    for (struct process *process = core->processes; process != NULL; process = process->hh.next)
        if (process->kind != PROCESS_KIND_CONTROL)
            process_end(process, step);
}

static void exit_when_all_ended(struct daemon_core *core, const struct process_step *step)
{
    if (!core->shared.ending || core->said_exit)
        return;
    for (const struct process *process = core->processes; process != NULL; process = process->hh.next)
        if (process->kind != PROCESS_KIND_CONTROL && process_is_running(process))
            return;
    core->said_exit = true;
    daemon_actions_add(step->actions, DAEMON_ACTION_EXIT, NULL);
}

/* Asks for the next block of token numbers when half of this one is used. */
static void reserve_starts(struct daemon_core *core, const struct process_step *step)
{
    struct process_shared *shared = &core->shared;
    if (shared->start_asked > shared->start_end || shared->start_end - shared->start_next > DAEMON_STARTS_BLOCK / 2)
        return;
    shared->start_asked = shared->start_end + DAEMON_STARTS_BLOCK;
    daemon_actions_add(step->actions, DAEMON_ACTION_RESERVE_STARTS, NULL)->starts_end = shared->start_asked;
}

static int on_starts_reserved(struct daemon_core *core, uint64_t end)
{
    if (end <= core->shared.start_end || end != core->shared.start_asked)
        return -EINVAL;
    core->shared.start_end = end;
    return 0;
}

/* ---- time */

static void refresh_wakeup(struct daemon_core *core)
{
    core->next_ms = INT64_MAX;
    for (const struct process *process = core->processes; process != NULL; process = process->hh.next) {
        int64_t next_ms = process_next_ms(process);
        core->next_ms = next_ms < core->next_ms ? next_ms : core->next_ms;
    }
}

static void on_tick(struct daemon_core *core, const struct process_step *step)
{
    for (struct process *process = core->processes; process != NULL; process = process->hh.next)
        if (process_next_ms(process) <= step->now_ms)
            process_tick(process, step);
    refresh_wakeup(core);
}

static void forgive_lateness(struct daemon_core *core, int64_t now_ms)
{
    if (core->next_ms == INT64_MAX || now_ms - core->next_ms <= LATE_MS)
        return;
    for (struct process *process = core->processes; process != NULL; process = process->hh.next)
        process_forgive(process, now_ms - core->next_ms);
    refresh_wakeup(core);
}

int64_t daemon_core_next_wakeup_ms(const struct daemon_core *core)
{
    return core->next_ms;
}

uint64_t daemon_core_epoch(const struct daemon_core *core)
{
    return core->epoch;
}

/* ---- one entry */

/* Events about one process that is known. */
static int step_process(struct process *process, const struct daemon_event *event, const struct process_step *step)
{
    switch (event->type) {
    case DAEMON_EVENT_SPAWNED:
        return process_spawned(process, event->spawned.token, event->spawned.pid, step);
    case DAEMON_EVENT_SPAWN_FAILED:
        return process_spawn_failed(process, event->spawn_failed.token, event->spawn_failed.sentence, step);
    case DAEMON_EVENT_EXITED:
        return process_exited(process, &event->exited, step);
    case DAEMON_EVENT_LAST_WORDS:
        return process_said_last_words(process, event->last_words.token, event->last_words.text);
    case DAEMON_EVENT_NOTIFY:
        return process_notified(process, &event->notify, step);
    case DAEMON_EVENT_PORT_OPEN:
        return process_port_opened(process, step);
    case DAEMON_EVENT_LINKED:
        return process_linked(process, event->linked.pid, event->linked.token, step);
    case DAEMON_EVENT_UNLINKED:
        return process_unlinked(process);
    case DAEMON_EVENT_PONG:
        return process_ponged(process, step);
    case DAEMON_EVENT_CONTROL_STOPPING:
        return process_announced_stop(process, step);
    case DAEMON_EVENT_TICK:
    case DAEMON_EVENT_ADOPT:
    case DAEMON_EVENT_ORDERS:
    case DAEMON_EVENT_EPOCH_STORED:
    case DAEMON_EVENT_STARTS_RESERVED:
    case DAEMON_EVENT_PEER_UP:
    case DAEMON_EVENT_REGISTRY:
    case DAEMON_EVENT_LOOKUP:
    case DAEMON_EVENT_LOOKUP_CLOSED:
    case DAEMON_EVENT_PROCMGR_START:
    case DAEMON_EVENT_PROCMGR_STOP:
    case DAEMON_EVENT_STOP_KEEP:
    case DAEMON_EVENT_STOP_ALL:
        break;
    }
    return -EINVAL;
}

/* Events about the daemon; *touched is set when only one process can have changed. */
static int step_daemon(struct daemon_core *core, const struct daemon_event *event, const struct process_step *step,
                       struct process **touched)
{
    int result = 0;
    switch (event->type) {
    case DAEMON_EVENT_TICK:
        on_tick(core, step);
        return 0;
    case DAEMON_EVENT_ADOPT:
        result = event->process != NULL ? find_or_add(core, event->process, touched) : -EINVAL;
        if (result == 0)
            process_adopt(*touched, &event->adopt, step);
        return result;
    case DAEMON_EVENT_ORDERS:
        return on_orders(core, event, step);
    case DAEMON_EVENT_EPOCH_STORED:
        return on_epoch_stored(core, event->epoch, step);
    case DAEMON_EVENT_STARTS_RESERVED:
        return on_starts_reserved(core, event->starts_end);
    case DAEMON_EVENT_PEER_UP:
        greet_peer(core, event->peer, step);
        return 0;
    case DAEMON_EVENT_REGISTRY:
        return daemon_lookup_take(core->lookup, event->registry);
    case DAEMON_EVENT_LOOKUP:
        return daemon_lookup_ask(core->lookup, event->lookup.link, event->lookup.request_id, event->lookup.lookup,
                                 step->actions);
    case DAEMON_EVENT_LOOKUP_CLOSED:
        daemon_lookup_close(core->lookup, event->link);
        return 0;
    case DAEMON_EVENT_PROCMGR_START:
        return on_procmgr(core, true, "process-manager --start", step);
    case DAEMON_EVENT_PROCMGR_STOP:
        return on_procmgr(core, false, "process-manager --stop", step);
    case DAEMON_EVENT_STOP_KEEP:
        core->said_exit = true;
        daemon_actions_add(step->actions, DAEMON_ACTION_EXIT, NULL);
        return 0;
    case DAEMON_EVENT_STOP_ALL:
        end_all(core, step);
        return 0;
    case DAEMON_EVENT_LINKED:
        /* The first that is heard of a control is its link. */
        result = event->process != NULL && strcmp(event->process, DAEMON_CONTROL) == 0
                     ? find_or_add(core, event->process, touched)
                     : -EINVAL;
        return result == 0 ? step_process(*touched, event, step) : result;
    case DAEMON_EVENT_SPAWNED:
    case DAEMON_EVENT_SPAWN_FAILED:
    case DAEMON_EVENT_EXITED:
    case DAEMON_EVENT_LAST_WORDS:
    case DAEMON_EVENT_NOTIFY:
    case DAEMON_EVENT_PORT_OPEN:
    case DAEMON_EVENT_UNLINKED:
    case DAEMON_EVENT_PONG:
    case DAEMON_EVENT_CONTROL_STOPPING:
        break;
    }
    return -EINVAL;
}

int daemon_core_step(struct daemon_core *core, const struct daemon_event *event, struct daemon_actions *actions)
{
    struct process_step step = {.actions = actions, .now_ms = event->now_ms, .wall_ns = event->wall_ns};
    size_t from = actions->count;
    bool is_of_process = event->type != DAEMON_EVENT_ADOPT;
    struct process *touched = is_of_process ? find(core, event->process) : NULL;
    forgive_lateness(core, event->now_ms);
    bool was_next = touched == NULL || process_next_ms(touched) == core->next_ms;
    int result = touched != NULL ? step_process(touched, event, &step) : step_daemon(core, event, &step, &touched);
    publish_changes(core, touched, &step);
    reserve_starts(core, &step);
    exit_when_all_ended(core, &step);
    if (was_next)
        refresh_wakeup(core);
    else if (process_next_ms(touched) < core->next_ms)
        core->next_ms = process_next_ms(touched);
    daemon_actions_urgent_first(actions, from);
    return result;
}
