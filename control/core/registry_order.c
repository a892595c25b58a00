#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/process_id.h"
#include "common/base/text.h"
#include "common/wire/wire.h"
#include "control/core/registry_parts.h"

/* ---- plan inputs */

static int64_t missing_wait_ms(const struct registry_core *core)
{
    int64_t passed_ms = core->now_ms - core->leading_since_ms;
    if (!core->leading || passed_ms >= core->config.missing_timeout_ms)
        return 0;
    return core->config.missing_timeout_ms - passed_ms;
}

static void fill_rows(struct registry_core *core, Gemel__PlanInput *input)
{
    struct arena *arena = &core->actions->arena;
    input->wanted = arena_alloc(arena, (state_count(core->state, STATE_WANTED) + 1) * sizeof *input->wanted);
    for (const struct state_row *row = state_first(core->state, STATE_WANTED); row != NULL; row = state_next(row))
        input->wanted[input->n_wanted++] = (Gemel__WantedState *)row->message;
    input->placements = arena_alloc(arena, (state_count(core->state, STATE_PLACEMENT) + 1) * sizeof *input->placements);
    for (const struct state_row *row = state_first(core->state, STATE_PLACEMENT); row != NULL; row = state_next(row))
        input->placements[input->n_placements++] = (Gemel__Placement *)row->message;
}

static void add_host(struct registry_core *core, Gemel__PlanInput *input, const char *host)
{
    if (host[0] == '\0')
        return;
    for (size_t i = 0; i < input->n_hosts; i++)
        if (strcmp(input->hosts[i]->host, host) == 0)
            return;
    Gemel__HostState *state = arena_alloc(&core->actions->arena, sizeof *state);
    gemel__host_state__init(state);
    state->host = arena_strdup(&core->actions->arena, host);
    state->reported = registry_host_is_fresh(core, host);
    input->hosts[input->n_hosts++] = state;
}

static void fill_observed(struct registry_core *core, Gemel__PlanInput *input)
{
    struct arena *arena = &core->actions->arena;
    input->observed = arena_alloc(arena, (HASH_COUNT(core->observed) + 1) * sizeof *input->observed);
    for (const struct observed *one = core->observed; one != NULL; one = one->hh.next) {
        Gemel__ProcessReport *report = arena_copy(arena, one->report, sizeof *report);
        report->last_words = arena_strdup(arena, ""); /* for people, not for plans */
        input->observed[input->n_observed++] = report;
    }
    size_t host_max = COUNT_OF(core->config.hosts) + HASH_COUNT(core->peers);
    input->hosts = arena_alloc(arena, host_max * sizeof *input->hosts);
    for (size_t i = 0; i < COUNT_OF(core->config.hosts); i++)
        add_host(core, input, core->config.hosts[i]);
    for (const struct registry_peer *peer = core->peers; peer != NULL; peer = peer->hh.next)
        if (peer->kind == REGISTRY_KIND_DAEMON)
            add_host(core, input, peer->host);
}

static void send_input(struct registry_core *core, struct registry_peer *peer)
{
    Gemel__PlanInput *input = arena_alloc(&core->actions->arena, sizeof *input);
    gemel__plan_input__init(input);
    input->sequence = core->input_sequence;
    input->leading = core->leading;
    input->revision = state_revision(core->state);
    input->missing_wait_ms = (uint64_t)missing_wait_ms(core);
    if (peer->revision_known != input->revision && input->revision != 0) {
        const Gemel__Op *revision = state_find_revision(core->state, input->revision);
        input->files = revision->revision->files;
        input->n_files = revision->revision->n_files;
        peer->revision_known = input->revision;
    }
    fill_rows(core, input);
    fill_observed(core, input);
    registry_compose(core, peer, GEMEL__ENVELOPE__BODY_PLAN_INPUT)->plan_input = input;
}

static int64_t input_at_ms(const struct registry_core *core)
{
    return core->input_sent_ms == INT64_MIN ? INT64_MIN : core->input_sent_ms + REGISTRY_PLAN_EVERY_MS;
}

static void send_inputs(struct registry_core *core)
{
    if (!core->input_due || core->now_ms < input_at_ms(core))
        return;
    core->input_due = false;
    core->input_sent_ms = core->now_ms;
    core->input_sequence++;
    for (struct registry_peer *peer = core->peers; peer != NULL; peer = peer->hh.next)
        if (peer->kind == REGISTRY_KIND_PROCMGR && strcmp(peer->host, core->config.host) == 0)
            send_input(core, peer);
}

/* ---- plans */

void registry_order_forget_plan(struct registry_core *core)
{
    if (core->plan != NULL)
        wire_free(&core->plan->base);
    core->plan = NULL;
    core->place_again_at_ms = INT64_MAX;
}

void registry_order_take_plan(struct registry_core *core, const Gemel__Plan *plan)
{
    /* A plan of before this leadership, or of another revision, speaks of a world that is gone. */
    if (!core->leading || plan->input_sequence < core->input_sequence_leading ||
        plan->revision != state_revision(core->state) ||
        (core->plan != NULL && plan->input_sequence < core->plan->input_sequence))
        return;
    registry_order_forget_plan(core);
    core->plan = (Gemel__Plan *)wire_copy(&plan->base);
    core->place_due = true;
}

static bool is_placed(const struct registry_core *core, const Gemel__PlanItem *item)
{
    const Gemel__Placement *placement = state_find_placement(core->state, item->process);
    return placement != NULL && strcmp(placement->host, item->host) == 0;
}

/* Processes that shall run on another host than they are placed on, or were never placed. */
static void place(struct registry_core *core)
{
    core->place_again_at_ms = INT64_MAX;
    for (size_t i = 0; i < core->plan->n_items; i++) {
        const Gemel__PlanItem *item = core->plan->items[i];
        if (!item->run || item->host[0] == '\0' || is_placed(core, item))
            continue;
        struct arena *arena = &core->actions->arena;
        Gemel__OpPlace *body = arena_alloc(arena, sizeof *body);
        gemel__op_place__init(body);
        body->process = arena_strdup(arena, item->process);
        body->host = arena_strdup(arena, item->host);
        Gemel__Op *op = registry_compose_op(core, GEMEL__OP__BODY_PLACE);
        op->place = body;
        char key[STATE_KEY_BYTES + HOST_NAME_BYTES];
        snprintf(key, sizeof key, "place %s %s", item->process, item->host);
        registry_propose(core, key, op);
        core->place_again_at_ms = core->now_ms + REGISTRY_PROPOSE_EVERY_MS;
    }
}

/* ---- orders */

/* What the plan's item asks of `host`: NULL when it asks nothing of it. */
static Gemel__OrderItem *compose_order(struct registry_core *core, const Gemel__PlanItem *item, const char *host)
{
    const Gemel__Placement *placement = state_find_placement(core->state, item->process);
    if (placement == NULL)
        return NULL;
    bool is_here = strcmp(placement->host, host) == 0;
    const struct observed *observed = registry_observe_find(core, item->process);
    bool is_left_behind = !is_here && observed != NULL && strcmp(observed->report->host, host) == 0 &&
                          observed->report->state != GEMEL__PROCESS_STATE__PROCESS_STOPPED;
    if (!is_left_behind && (!is_here || (item->run && !is_placed(core, item))))
        return NULL;
    Gemel__OrderItem *order = arena_alloc(&core->actions->arena, sizeof *order);
    gemel__order_item__init(order);
    order->process = item->process;
    order->placement = placement->placement;
    order->run = item->run && is_here;
    order->spec = order->run ? item->spec : NULL;
    order->clear_failed = item->clear_failed;
    order->why = is_left_behind ? arena_printf(&core->actions->arena, "placed on %s", placement->host) : item->why;
    return order;
}

/* Does what is reported differ from the order, so that it must be said again? */
static bool is_open(const struct registry_core *core, const Gemel__OrderItem *order)
{
    const struct observed *observed = registry_observe_find(core, order->process);
    if (observed == NULL)
        return order->run;
    const Gemel__ProcessReport *report = observed->report;
    bool is_down =
        report->state == GEMEL__PROCESS_STATE__PROCESS_STOPPED || report->state == GEMEL__PROCESS_STATE__PROCESS_FAILED;
    if (!order->run)
        return !is_down;
    return report->placement != order->placement || report->clear_failed < order->clear_failed ||
           report->state == GEMEL__PROCESS_STATE__PROCESS_STOPPED;
}

static void send_orders(struct registry_core *core, struct registry_peer *peer)
{
    bool is_repeat =
        peer->orders_sent_ms == INT64_MIN || core->now_ms >= peer->orders_sent_ms + REGISTRY_ORDERS_EVERY_MS;
    if (!peer->orders_due && !is_repeat)
        return;
    struct arena *arena = &core->actions->arena;
    Gemel__Orders *orders = arena_alloc(arena, sizeof *orders);
    gemel__orders__init(orders);
    orders->host = arena_strdup(arena, peer->host);
    orders->revision = core->plan->revision;
    orders->items = arena_alloc(arena, (core->plan->n_items + 1) * sizeof *orders->items);
    bool open = false;
    for (size_t i = 0; i < core->plan->n_items; i++) {
        Gemel__OrderItem *order = compose_order(core, core->plan->items[i], peer->host);
        if (order == NULL)
            continue;
        orders->items[orders->n_items++] = order;
        open = open || is_open(core, order);
    }
    peer->orders_sent_ms = core->now_ms;
    bool was_due = peer->orders_due;
    peer->orders_due = false;
    if (orders->n_items > 0 && (was_due || open))
        registry_compose(core, peer, GEMEL__ENVELOPE__BODY_ORDERS)->orders = orders;
}

/* ---- endpoints for look-ups on other hosts */

static void send_entries(struct registry_core *core, struct registry_peer *peer)
{
    if (peer->entries_sent == core->entry_version && peer->entries_sent != 0)
        return;
    struct arena *arena = &core->actions->arena;
    Gemel__Registry *registry = arena_alloc(arena, sizeof *registry);
    gemel__registry__init(registry);
    registry->full = peer->entries_sent == 0;
    registry->entries = arena_alloc(arena, (HASH_COUNT(core->observed) + 1) * sizeof *registry->entries);
    for (const struct observed *one = core->observed; one != NULL; one = one->hh.next) {
        if (one->entry_version <= peer->entries_sent)
            continue;
        Gemel__RegistryEntry *entry = arena_alloc(arena, sizeof *entry);
        gemel__registry_entry__init(entry);
        entry->process = arena_strdup(arena, one->process);
        entry->endpoint = arena_strdup(arena, one->report->endpoint);
        entry->ready = one->report->state == GEMEL__PROCESS_STATE__PROCESS_READY;
        entry->host = arena_strdup(arena, one->report->host);
        registry->entries[registry->n_entries++] = entry;
    }
    if (core->entry_version == 0)
        core->entry_version = 1;
    peer->entries_sent = core->entry_version;
    registry_compose(core, peer, GEMEL__ENVELOPE__BODY_REGISTRY)->registry = registry;
}

/* ---- routes */

static void send_routes(struct registry_core *core, struct registry_peer *peer)
{
    if (!peer->routes_due)
        return;
    peer->routes_due = false;
    struct arena *arena = &core->actions->arena;
    Gemel__Routes *routes = arena_alloc(arena, sizeof *routes);
    gemel__routes__init(routes);
    routes->routes = arena_alloc(arena, (state_count(core->state, STATE_ROUTE) + 1) * sizeof *routes->routes);
    for (const struct state_row *row = state_first(core->state, STATE_ROUTE); row != NULL; row = state_next(row))
        routes->routes[routes->n_routes++] = (Gemel__Route *)row->message;
    registry_compose(core, peer, GEMEL__ENVELOPE__BODY_ROUTES)->routes = routes;
}

static Gemel__OpRoute *compose_route(struct arena *arena, const char *pipeline, const char *type, uint32_t index,
                                     uint32_t instance, const char *why)
{
    Gemel__OpRoute *route = arena_alloc(arena, sizeof *route);
    gemel__op_route__init(route);
    route->pipeline = arena_strdup(arena, pipeline);
    route->type = arena_strdup(arena, type);
    route->index = index;
    route->instance = instance;
    route->why = arena_strdup(arena, why);
    return route;
}

/* A gateway has moved its primary. What daemon or process confirmed moves the cluster's route; a link that only that
 * gateway lost moves nothing but itself. */
void registry_order_take_route_report(struct registry_core *core, const Gemel__RouteReport *report)
{
    for (size_t i = 0; core->leading && i < report->n_seen; i++) {
        const Gemel__RouteSeen *seen = report->seen[i];
        const Gemel__Route *route = state_find_route(core->state, seen->pipeline, seen->type, seen->index);
        bool is_news = route == NULL ? seen->instance != 0 : seen->instance != route->instance;
        bool is_late = route != NULL && seen->version < route->version;
        if (seen->none || !seen->confirmed || !is_news || is_late)
            continue;
        Gemel__Op *op = registry_compose_op(core, GEMEL__OP__BODY_ROUTE);
        op->route =
            compose_route(&core->actions->arena, seen->pipeline, seen->type, seen->index, seen->instance, seen->why);
        char key[STATE_KEY_BYTES];
        snprintf(key, sizeof key, "route %s.%s.%u", seen->pipeline, seen->type, seen->index);
        registry_propose(core, key, op);
    }
}

static int check_target(const Gemel__ProcessReport *report, bool fresh, struct error *error)
{
    if (!fresh)
        return error_set(error, -EAGAIN, "%s is on %s, whose daemon is silent; --force moves the route all the same",
                         report->process, report->host);
    if (report->state != GEMEL__PROCESS_STATE__PROCESS_READY)
        return error_set(error, -EAGAIN, "%s is not ready; start it first, or --force moves the route all the same",
                         report->process);
    if (report->hung)
        return error_set(error, -EAGAIN, "%s hangs; --force moves the route all the same", report->process);
    if (report->stale[0] != '\0')
        return error_set(error, -EAGAIN, "%s is stale: %s; --force moves the route all the same", report->process,
                         report->stale);
    return 0;
}

int registry_plan_failover(const struct registry_core *core, const char *pipeline, const char *process,
                           uint32_t instance, bool force, const char *why, struct arena *arena,
                           Gemel__OpRoute ***routes, size_t *count, struct error *error)
{
    size_t total = 0;
    size_t found = 0;
    const Gemel__ProcessReport **reports = registry_processes(core, arena, &total);
    Gemel__OpRoute **made = arena_alloc(arena, (total + 1) * sizeof *made);
    size_t made_count = 0;
    for (size_t i = 0; i < total; i++) {
        struct process_id id;
        if (!reports[i]->routable || !reports[i]->expose_to_gw || process_id_parse(reports[i]->process, &id) != 0 ||
            strcmp(id.pipeline, pipeline) != 0 || id.instance != instance)
            continue;
        if (process != NULL && strcmp(process, arena_printf(arena, "%s.%u", id.type, id.index)) != 0)
            continue;
        found++;
        bool fresh = registry_host_is_fresh(core, reports[i]->host);
        int result = force ? 0 : check_target(reports[i], fresh, error);
        if (result != 0)
            return result;
        /* Also where it is published already: a gateway may have moved meanwhile, and its report be under way. The new
         * version brings it back, and makes that report a late one. */
        made[made_count] = compose_route(arena, pipeline, id.type, id.index, instance, why);
        made[made_count++]->forced = force;
    }
    if (found == 0)
        return error_set(error, -ENOENT,
                         "instance %u of %s has no %s that gateways route to; see gemel failover --status", instance,
                         pipeline, process != NULL ? process : "process");
    *routes = made;
    *count = made_count;
    return 0;
}

/* ---- whatever is due */

void registry_order_advance(struct registry_core *core)
{
    send_inputs(core);
    if (!core->leading)
        return;
    if (core->plan != NULL && !core->place_due && core->now_ms >= core->place_again_at_ms)
        place(core);
    if (core->plan != NULL && core->place_due) {
        core->place_due = false;
        place(core);
        for (struct registry_peer *peer = core->peers; peer != NULL; peer = peer->hh.next)
            peer->orders_due = true;
    }
    for (struct registry_peer *peer = core->peers; peer != NULL; peer = peer->hh.next) {
        if (peer->kind == REGISTRY_KIND_DAEMON) {
            send_entries(core, peer);
            if (core->plan != NULL)
                send_orders(core, peer);
        } else if (peer->kind == REGISTRY_KIND_GATEWAY) {
            send_routes(core, peer);
        }
    }
}

int64_t registry_order_wakeup_ms(const struct registry_core *core)
{
    int64_t at_ms = INT64_MAX;
    if (core->input_due)
        at_ms = input_at_ms(core) == INT64_MIN ? 0 : input_at_ms(core);
    if (core->leading && core->plan != NULL && core->place_again_at_ms < at_ms)
        at_ms = core->place_again_at_ms;
    for (const struct registry_peer *peer = core->peers; core->leading && core->plan != NULL && peer != NULL;
         peer = peer->hh.next)
        if (peer->kind == REGISTRY_KIND_DAEMON && peer->orders_sent_ms != INT64_MIN &&
            peer->orders_sent_ms + REGISTRY_ORDERS_EVERY_MS < at_ms)
            at_ms = peer->orders_sent_ms + REGISTRY_ORDERS_EVERY_MS;
    return at_ms;
}
