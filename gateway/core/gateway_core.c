#include "gateway/core/gateway_core.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "gateway/core/gateway_state.h"

enum {
    PING_INTERVAL_MS = 100,
    HANG_TIMEOUT_MS = 1000,
    QUERY_TIMEOUT_MS = 30000,
    STARTUP_TIMEOUT_MS = 30000,
    QUARANTINE_MS = 60000,
    ACTIONS_FIRST = 64,
    TABLE_FIRST = 64,
    LOG_BYTES_MAX = 1024
};

/* ---- actions ---- */

void gateway_actions_init(struct gateway_actions *actions)
{
    *actions = (struct gateway_actions){0};
    arena_init(&actions->arena);
}

void gateway_actions_reset(struct gateway_actions *actions)
{
    actions->count = 0;
    if (actions->arena.used_bytes > 0)
        arena_reset(&actions->arena);
}

void gateway_actions_fini(struct gateway_actions *actions)
{
    arena_fini(&actions->arena);
    memory_free(actions->items);
    *actions = (struct gateway_actions){0};
}

struct gateway_action *gateway_add(struct gateway_actions *actions, enum gateway_action_type type)
{
    if (actions->count == actions->capacity) {
        actions->capacity = actions->capacity == 0 ? ACTIONS_FIRST : actions->capacity * 2;
        actions->items = memory_resize(actions->items, actions->capacity * sizeof *actions->items);
    }
    struct gateway_action *action = &actions->items[actions->count++];
    *action = (struct gateway_action){.type = type};
    return action;
}

void gateway_log(struct gateway_actions *actions, enum gateway_log_level level, const char *format, ...)
{
    char sentence[LOG_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    struct gateway_action *action = gateway_add(actions, GATEWAY_ACTION_LOG);
    action->log.level = level;
    action->log.sentence = arena_strdup(&actions->arena, sentence);
}

/* ---- the core ---- */

static int64_t or_default(int64_t value, int64_t otherwise)
{
    return value == 0 ? otherwise : value;
}

static void add_upstreams(struct gateway_core *core, const struct gateway_config *config)
{
    struct route *route = gateway_add_route(core, "gateways", "gw", 0);
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        struct candidate *candidate = gateway_add_process(core, config->upstreams[i].name);
        if (candidate->route != ROUTE_NONE)
            continue; /* the same gateway twice */
        candidate->id.instance = i;
        candidate->known = true;
        candidate->routable = true;
        candidate->state = GEMEL__PROCESS_STATE__PROCESS_READY;
        text_copy(candidate->endpoint, sizeof candidate->endpoint, config->upstreams[i].address);
        gateway_attach(core, candidate, route);
        gateway_touch(core, candidate);
    }
}

int gateway_core_create(struct gateway_core **core, const struct gateway_config *config)
{
    if (config->host_count > HOSTS_MAX || config->control_count > GATEWAY_CONTROLS_MAX ||
        config->upstream_count > INSTANCES_MAX || config->requests_max > GATEWAY_REQUESTS_MAX ||
        config->queue_max > GATEWAY_QUEUE_MAX)
        return -EINVAL;
    struct gateway_core *made = memory_alloc(sizeof *made);
    text_copy(made->name, sizeof made->name, config->name);
    made->is_forwarder = config->upstream_count > 0;
    made->ping_interval_ms = or_default(config->ping_interval_ms, PING_INTERVAL_MS);
    made->hang_timeout_ms = or_default(config->hang_timeout_ms, HANG_TIMEOUT_MS);
    /* A hang must show in several pings, not in one. */
    if (made->ping_interval_ms > made->hang_timeout_ms / 4)
        made->ping_interval_ms = made->hang_timeout_ms / 4 > 0 ? made->hang_timeout_ms / 4 : 1;
    made->query_timeout_ms = or_default(config->query_timeout_ms, QUERY_TIMEOUT_MS);
    made->rules.startup_timeout_ms = or_default(config->startup_timeout_ms, STARTUP_TIMEOUT_MS);
    made->rules.unknown_timeout_ms = GATEWAY_SETTLE_MS;
    made->rules.max_lag_rows = config->max_lag_rows;
    made->queue_max = config->queue_max == 0 ? GATEWAY_QUEUE_MAX : config->queue_max;
    made->epoch_seen = config->epoch_seen;
    made->started_ms = -1;
    made->alarm_ms = INT64_MIN;
    made->host_count = config->host_count;
    made->hosts = memory_alloc_array(config->host_count, sizeof *made->hosts);
    for (size_t i = 0; i < config->host_count; i++)
        text_copy(made->hosts[i].name, sizeof made->hosts[i].name, config->hosts[i]);
    made->control_count = config->control_count;
    made->clients = memory_alloc_array(GATEWAY_CLIENTS_MAX, sizeof *made->clients);
    requests_create(&made->requests, config->requests_max == 0 ? GATEWAY_REQUESTS_MAX : config->requests_max);
    quarantine_init(&made->quarantine, or_default(config->quarantine_ms, QUARANTINE_MS));
    if (made->is_forwarder)
        add_upstreams(made, config);
    *core = made;
    return 0;
}

void gateway_core_destroy(struct gateway_core **core)
{
    struct gateway_core *self = *core;
    if (self == NULL)
        return;
    HASH_CLEAR(hh, self->process_map);
    HASH_CLEAR(hh, self->route_map);
    for (uint32_t i = 0; i < self->process_count; i++)
        memory_free(self->processes[i]);
    for (uint32_t i = 0; i < self->route_count; i++)
        memory_free(self->routes[i]);
    memory_free(self->processes);
    memory_free(self->touched);
    memory_free(self->routes);
    memory_free(self->clients);
    memory_free(self->watches);
    memory_free(self->hosts);
    requests_destroy(&self->requests);
    memory_free(self);
    *core = NULL;
}

void gateway_set_alarm(struct gateway_core *core, int64_t at_ms)
{
    if (at_ms < core->alarm_ms)
        core->alarm_ms = at_ms;
}

void gateway_touch(struct gateway_core *core, struct candidate *candidate)
{
    if (candidate->touched)
        return;
    candidate->touched = true;
    core->touched[core->touched_count++] = candidate->number;
}

struct candidate *gateway_find_process(const struct gateway_core *core, const char *name)
{
    struct candidate *found = NULL;
    HASH_FIND_STR(core->process_map, name, found);
    return found;
}

struct candidate *gateway_add_process(struct gateway_core *core, const char *name)
{
    struct candidate *candidate = gateway_find_process(core, name);
    if (candidate != NULL)
        return candidate;
    if (core->process_count == PROCESSES_MAX)
        return NULL;
    candidate = memory_alloc(sizeof *candidate);
    candidate->number = core->process_count;
    text_copy(candidate->name, sizeof candidate->name, name);
    candidate->route = ROUTE_NONE;
    candidate->dial_delay_ms = GATEWAY_DIAL_FIRST_MS;
    request_list_init(&candidate->running);
    if (core->process_count % TABLE_FIRST == 0) {
        size_t capacity = core->process_count + TABLE_FIRST;
        core->processes = memory_resize(core->processes, capacity * sizeof *core->processes);
        core->touched = memory_resize(core->touched, capacity * sizeof *core->touched);
    }
    core->processes[core->process_count++] = candidate;
    HASH_ADD_STR(core->process_map, name, candidate);
    return candidate;
}

/* Draws the consequences of what the event has changed. */
static void settle(struct gateway_core *core, struct gateway_actions *actions)
{
    /* A review only moves routes and queries; it touches nothing. */
    for (uint32_t i = 0; i < core->touched_count; i++) {
        struct candidate *candidate = core->processes[core->touched[i]];
        if (candidate->route != ROUTE_NONE)
            gateway_review_route(core, core->routes[candidate->route], actions);
    }
    for (uint32_t i = 0; i < core->touched_count; i++) {
        struct candidate *candidate = core->processes[core->touched[i]];
        candidate->touched = false;
        if (candidate->link_state != CANDIDATE_LINK_LIVE)
            gateway_move_queries(core, candidate, actions);
        gateway_dial(core, candidate, actions);
    }
    core->touched_count = 0;
    if (core->directory_changed)
        gateway_tell_watchers(core, actions);
    if (core->report_due)
        gateway_report_due(core, actions);
}

static void check_settled(struct gateway_core *core, struct gateway_actions *actions)
{
    if (core->settled)
        return;
    bool all = true;
    for (size_t i = 0; i < core->host_count; i++)
        all = all && core->hosts[i].reported;
    if (!all && core->now_ms < core->started_ms + GATEWAY_SETTLE_MS) {
        gateway_set_alarm(core, core->started_ms + GATEWAY_SETTLE_MS);
        return;
    }
    core->settled = true;
    gateway_fail_unknown(core, actions);
}

static void tick(struct gateway_core *core, struct gateway_actions *actions)
{
    core->alarm_ms = INT64_MAX;
    gateway_tick_links(core, actions);
    gateway_tick_requests(core, actions);
    for (uint32_t i = 0; i < core->route_count; i++) {
        struct route *route = core->routes[i];
        if (route_wakeup_ms(route, &core->rules) <= core->now_ms)
            gateway_review_route(core, route, actions);
        gateway_set_alarm(core, route_wakeup_ms(route, &core->rules));
    }
}

static int dispatch(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions)
{
    switch (event->type) {
    case GATEWAY_EVENT_TICK:
        tick(core, actions);
        return 0;
    case GATEWAY_EVENT_DAEMON_UP:
    case GATEWAY_EVENT_DAEMON_DOWN:
    case GATEWAY_EVENT_DAEMON_REPORTS:
    case GATEWAY_EVENT_DAEMON_PONG:
        return gateway_on_daemon(core, event, actions);
    case GATEWAY_EVENT_CONTROL_UP:
    case GATEWAY_EVENT_CONTROL_DOWN:
    case GATEWAY_EVENT_ROUTES:
        return gateway_on_control(core, event, actions);
    case GATEWAY_EVENT_LINK_OPEN:
    case GATEWAY_EVENT_LINK_CLOSED:
    case GATEWAY_EVENT_LINK_PONG:
    case GATEWAY_EVENT_LINK_ANSWER:
    case GATEWAY_EVENT_LINK_FULL:
        return gateway_on_link(core, event, actions);
    case GATEWAY_EVENT_CLIENT_OPEN:
    case GATEWAY_EVENT_CLIENT_CLOSED:
    case GATEWAY_EVENT_QUERY:
    case GATEWAY_EVENT_CANCEL:
        return gateway_on_client(core, event, actions);
    case GATEWAY_EVENT_LOOKUP:
        return gateway_on_lookup(core, event, actions);
    case GATEWAY_EVENT_ADMIN:
        return gateway_on_admin(core, event, actions);
    }
    return -EINVAL;
}

int gateway_core_step(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions)
{
    core->now_ms = event->now_ms;
    if (core->started_ms < 0)
        core->started_ms = event->now_ms;
    int result = dispatch(core, event, actions);
    if (result != 0)
        return result;
    if (core->touched_count > 0 || core->directory_changed || core->report_due)
        settle(core, actions);
    if (!core->settled)
        check_settled(core, actions);
    return 0;
}

int64_t gateway_core_next_wakeup_ms(const struct gateway_core *core)
{
    int64_t deadline_ms = requests_next_deadline_ms(core->requests);
    return deadline_ms < core->alarm_ms ? deadline_ms : core->alarm_ms;
}

void gateway_core_count(const struct gateway_core *core, struct gateway_counters *counters)
{
    *counters = core->counters;
    counters->waiting = core->waiting_count;
    counters->running = requests_count(core->requests) - core->waiting_count;
    counters->quarantined = quarantine_count(&core->quarantine, core->now_ms);
    counters->links = 0;
    for (uint32_t i = 0; i < core->process_count; i++)
        if (candidate_is_registered(core->processes[i]))
            counters->links++;
}

uint32_t gateway_core_primary(const struct gateway_core *core, const char *route)
{
    const struct route *found = gateway_find_route(core, route, strlen(route));
    return found == NULL ? ROUTE_NONE : found->primary;
}

bool gateway_core_is_registered(const struct gateway_core *core, const char *name)
{
    const struct candidate *candidate = gateway_find_process(core, name);
    return candidate != NULL && candidate_is_registered(candidate);
}
