#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "gateway/core/gateway_state.h"

enum {
    ROUTES_FIRST = 64
};

/* ---- the table ---- */

struct route *gateway_find_route(const struct gateway_core *core, const char *name, size_t name_bytes)
{
    struct route *found = NULL;
    HASH_FIND(hh, core->route_map, name, name_bytes, found);
    return found;
}

struct route *gateway_add_route(struct gateway_core *core, const char *pipeline, const char *type, uint32_t index)
{
    char name[ROUTE_NAME_BYTES];
    int length = snprintf(name, sizeof name, "%s.%s.%u", pipeline, type, index);
    struct route *route = gateway_find_route(core, name, (size_t)length);
    if (route != NULL)
        return route;
    if (core->route_count == GATEWAY_ROUTES_MAX)
        return NULL;
    route = memory_alloc(sizeof *route);
    route_init(route, pipeline, type, index, core->now_ms);
    route->number = core->route_count;
    if (core->route_count % ROUTES_FIRST == 0)
        core->routes = memory_resize(core->routes, (core->route_count + ROUTES_FIRST) * sizeof(struct route *));
    core->routes[core->route_count++] = route;
    HASH_ADD_STR(core->route_map, name, route);
    return route;
}

void gateway_attach(struct gateway_core *core, struct candidate *candidate, struct route *route)
{
    (void)core;
    uint32_t instance = candidate->id.instance;
    ASSERT(instance < INSTANCES_MAX);
    candidate->route = route->number;
    route->candidates[instance] = candidate;
    if (instance >= route->candidate_end)
        route->candidate_end = instance + 1;
}

/* ---- why nobody serves ---- */

const char *gateway_explain_route(const struct route *route, struct gateway_actions *actions)
{
    struct text text;
    text_init(&text, 1024);
    for (uint32_t instance = 0; instance < route->candidate_end; instance++) {
        const struct candidate *candidate = route->candidates[instance];
        char why[ROUTE_WHY_BYTES];
        if (candidate == NULL)
            continue;
        if (candidate_obstacle(candidate, false, why) == CANDIDATE_FIT)
            snprintf(why, sizeof why, "ready, but instance %u is waited for", route->preferred);
        text_printf(&text, "%s%s: %s", text.length > 0 ? "; " : "", candidate->name, why);
    }
    if (text.length == 0)
        text_append_string(&text, "no daemon has named a process for it yet");
    const char *sentence = arena_strdup(&actions->arena, text.data);
    text_fini(&text);
    return sentence;
}

/* ---- moves ---- */

static const char *name_of(const struct route *route, uint32_t instance)
{
    return instance == ROUTE_NONE ? "none" : route->candidates[instance]->name;
}

static void log_loss(const struct route *route, const struct route_decision *decision, struct gateway_actions *actions)
{
    const char *process = name_of(route, route->primary);
    if (decision->obstacle == CANDIDATE_GONE)
        gateway_log(actions, GATEWAY_LOG_WARN, "Active downstream process has disconnected [ Process: %s ]", process);
    else if (decision->obstacle != CANDIDATE_FIT)
        gateway_log(actions, GATEWAY_LOG_WARN, "Active downstream process is not usable [ Process: %s ] [ Reason: %s ]",
                    process, decision->why);
}

static void log_move(const struct route *route, uint32_t from, const struct route_decision *decision,
                     struct gateway_actions *actions)
{
    uint32_t to = decision->instance;
    if (from == ROUTE_NONE) {
        gateway_log(actions, GATEWAY_LOG_INFO, "Selected process primary [ New: %s ] [ Reason: %s ]",
                    name_of(route, to), decision->why);
        return;
    }
    bool failover = route->state == ROUTE_VACANT || decision->obstacle != CANDIDATE_FIT;
    if (failover)
        gateway_log(actions, GATEWAY_LOG_INFO,
                    "Attempting auto-failover to new process instance [ Process: %s ] [ Pipeline: %s ] "
                    "[ Instance: %u ] [ New: %u ]",
                    name_of(route, from), route->pipeline, from, to);
    else
        gateway_log(actions, GATEWAY_LOG_INFO,
                    "Moving to another process instance [ Process: %s ] [ Pipeline: %s ] [ Instance: %u ] "
                    "[ New: %u ] [ Reason: %s ]",
                    name_of(route, from), route->pipeline, from, to, decision->why);
    gateway_log(actions, GATEWAY_LOG_INFO, "Validating new instance process is available [ Process Name: %s ]",
                name_of(route, to));
    gateway_log(actions, GATEWAY_LOG_INFO, "Updating process primary configuration [ Source: %s ] [ New: %s ]",
                name_of(route, from), name_of(route, to));
}

/* Has a daemon, or the process itself, said what became of the primary that was left? A closed link is what only this
 * gateway saw. */
static bool is_loss_confirmed(const struct route *route)
{
    const struct candidate *left = route->candidates[route->last_primary];
    return !left->known || left->hung_reported || left->stale[0] != '\0' ||
           left->state != GEMEL__PROCESS_STATE__PROCESS_READY || token_compare(left->token, route->left_token) > 0;
}

static void want_report(struct gateway_core *core, struct route *route)
{
    route->report_due = true;
    core->report_due = true;
}

/* `recovered`: from vacant; the cause stays what made it vacant. */
static void note_cause(struct gateway_core *core, struct route *route, const struct route_decision *decision,
                       bool recovered)
{
    text_copy(route->why, sizeof route->why, decision->why);
    if (decision->obstacle != CANDIDATE_FIT) {
        route->confirmed = decision->obstacle == CANDIDATE_STALE || is_loss_confirmed(route);
        route->loss_open = !route->confirmed;
    } else if (!recovered) {
        route->confirmed = false;
        route->loss_open = false;
    }
    want_report(core, route);
}

static void carry_out_move(struct gateway_core *core, struct route *route, const struct route_decision *decision,
                           struct gateway_actions *actions)
{
    uint32_t from = route->state == ROUTE_SERVED ? route->primary : route->last_primary;
    if (route->state == ROUTE_SERVED)
        log_loss(route, decision, actions);
    log_move(route, from, decision, actions);
    bool recovered = route->state == ROUTE_VACANT;
    if (from != ROUTE_NONE && (decision->obstacle != CANDIDATE_FIT || recovered))
        core->counters.failovers++;
    route->forced =
        decision->forced || (route->forced && route->state == ROUTE_WAITING && decision->instance == route->preferred);
    route_enter(route, ROUTE_SERVED, decision->instance, core->now_ms);
    note_cause(core, route, decision, recovered);
    gateway_send_waiting(core, route, actions);
}

static void carry_out_leave(struct gateway_core *core, struct route *route, const struct route_decision *decision,
                            struct gateway_actions *actions)
{
    const struct candidate *left = route->candidates[route->primary];
    log_loss(route, decision, actions);
    gateway_log(actions, GATEWAY_LOG_ERROR,
                "No process instance available for failover [ Process: %s ] [ Queued: %u ] [ Why: %s ]", left->name,
                left->running.count + route->waiting.count, gateway_explain_route(route, actions));
    route->forced = false;
    route_enter(route, ROUTE_VACANT, ROUTE_NONE, core->now_ms);
    note_cause(core, route, decision, false);
}

void gateway_review_route(struct gateway_core *core, struct route *route, struct gateway_actions *actions)
{
    struct route_decision decision;
    route_decide(route, &core->rules, core->now_ms, &decision);
    switch (decision.verdict) {
    case ROUTE_KEEP:
        break;
    case ROUTE_MOVE:
        carry_out_move(core, route, &decision, actions);
        break;
    case ROUTE_LEAVE:
        carry_out_leave(core, route, &decision, actions);
        break;
    case ROUTE_AWAIT:
        route->preferred = decision.instance;
        route_enter(route, ROUTE_WAITING, ROUTE_NONE, core->now_ms);
        break;
    }
    if (route->loss_open && is_loss_confirmed(route)) {
        const struct candidate *left = route->candidates[route->last_primary];
        route->loss_open = false;
        route->confirmed = true;
        if (left->why[0] != '\0')
            snprintf(route->why, sizeof route->why, "%s", left->why);
        want_report(core, route);
    }
    gateway_set_alarm(core, route_wakeup_ms(route, &core->rules));
}

void gateway_order_route(struct gateway_core *core, struct route *route, uint32_t instance, bool forced,
                         struct gateway_actions *actions)
{
    char why[ROUTE_WHY_BYTES];
    struct route_decision decision = {.verdict = ROUTE_MOVE, .instance = instance};
    snprintf(decision.why, sizeof decision.why, "failover --failover --to-instance %u%s", instance,
             forced ? " --force" : "");
    if (candidate_obstacle(route->candidates[instance], forced, why) == CANDIDATE_FIT) {
        carry_out_move(core, route, &decision, actions);
        route->forced = forced;
        route->confirmed = true;
        route->loss_open = false;
        return;
    }
    gateway_log(actions, GATEWAY_LOG_WARN, "Waiting for a process by order [ Process: %s ] [ Reason: %s ]",
                name_of(route, instance), why);
    route->preferred = instance;
    route->forced = true;
    route_enter(route, ROUTE_WAITING, ROUTE_NONE, core->now_ms);
    text_copy(route->why, sizeof route->why, decision.why);
    want_report(core, route);
}

/* ---- controls ---- */

static void take_route(struct gateway_core *core, const Gemel__Route *message, uint64_t epoch,
                       struct gateway_actions *actions)
{
    if (!process_id_is_name(message->pipeline, PIPELINE_NAME_BYTES) ||
        !process_id_is_name(message->type, TYPE_NAME_BYTES) || message->instance >= INSTANCES_MAX) {
        gateway_log(actions, GATEWAY_LOG_WARN, "Published route makes no sense [ Instance: %u ] [ Version: %llu ]",
                    message->instance, (unsigned long long)message->version);
        return;
    }
    struct route *route = gateway_add_route(core, message->pipeline, message->type, message->index);
    if (route == NULL)
        return;
    int64_t until_ms = core->now_ms + core->rules.startup_timeout_ms;
    if (route_publish(route, message->instance, message->forced, message->version, epoch, until_ms)) {
        want_report(core, route);
        gateway_review_route(core, route, actions);
    }
}

static int take_routes(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions)
{
    const Gemel__Routes *routes = event->control.routes;
    if (routes == NULL)
        return -EINVAL;
    if (event->control.epoch < core->epoch_seen) {
        struct gateway_action *action = gateway_add(actions, GATEWAY_ACTION_STALE_EPOCH);
        action->control.control = event->control.control;
        action->control.epoch = core->epoch_seen;
        return 0;
    }
    if (event->control.epoch > core->epoch_seen) {
        core->epoch_seen = event->control.epoch;
        gateway_add(actions, GATEWAY_ACTION_SAVE_EPOCH)->control.epoch = core->epoch_seen;
    }
    for (size_t i = 0; i < routes->n_routes; i++)
        take_route(core, routes->routes[i], event->control.epoch, actions);
    return 0;
}

int gateway_on_control(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions)
{
    if (event->control.control >= core->control_count)
        return -EINVAL;
    if (event->type == GATEWAY_EVENT_ROUTES)
        return take_routes(core, event, actions);
    bool up = event->type == GATEWAY_EVENT_CONTROL_UP;
    core->control_up[event->control.control] = up;
    if (!up)
        return 0;
    struct gateway_action *action = gateway_add(actions, GATEWAY_ACTION_HELLO);
    action->control.control = event->control.control;
    for (uint32_t i = 0; i < core->route_count; i++) {
        struct route *route = core->routes[i];
        if (route->taken_version > action->control.route_version)
            action->control.route_version = route->taken_version;
        if (route->state != ROUTE_WAITING)
            want_report(core, route);
    }
    return 0;
}

static Gemel__RouteSeen *describe(const struct route *route, struct gateway_actions *actions)
{
    Gemel__RouteSeen *seen = arena_alloc(&actions->arena, sizeof *seen);
    gemel__route_seen__init(seen);
    seen->pipeline = arena_strdup(&actions->arena, route->pipeline);
    seen->type = arena_strdup(&actions->arena, route->type);
    seen->index = route->index;
    seen->none = route->state != ROUTE_SERVED;
    seen->instance = seen->none ? 0 : route->primary;
    seen->version = route->taken_version;
    seen->local = route_is_local(route);
    seen->confirmed = route->confirmed;
    seen->why = arena_strdup(&actions->arena, route->why);
    return seen;
}

void gateway_report_due(struct gateway_core *core, struct gateway_actions *actions)
{
    core->report_due = false;
    Gemel__RouteReport *report = arena_alloc(&actions->arena, sizeof *report);
    gemel__route_report__init(report);
    report->gateway = arena_strdup(&actions->arena, core->name);
    report->seen = arena_alloc(&actions->arena, (core->route_count + 1) * sizeof *report->seen);
    for (uint32_t i = 0; i < core->route_count; i++) {
        if (!core->routes[i]->report_due)
            continue;
        core->routes[i]->report_due = false;
        report->seen[report->n_seen++] = describe(core->routes[i], actions);
    }
    for (uint32_t control = 0; control < core->control_count; control++) {
        if (!core->control_up[control])
            continue;
        struct gateway_action *action = gateway_add(actions, GATEWAY_ACTION_REPORT);
        action->control.control = control;
        action->control.report = report;
    }
}
