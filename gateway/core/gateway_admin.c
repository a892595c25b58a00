#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/text.h"
#include "common/wire/wire.h"
#include "gateway/core/gateway_state.h"

enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_REFUSED = 6,
    MS_A_DAY = 24 * 60 * 60 * 1000
};

/* ---- replies and tables in the arena ---- */

static Gemel__AdminReply *start_reply(struct gateway_actions *actions)
{
    Gemel__AdminReply *reply = arena_alloc(&actions->arena, sizeof *reply);
    gemel__admin_reply__init(reply);
    return reply;
}

static Gemel__AdminReply *fail_reply(struct gateway_actions *actions, int exit_code, const char *sentence)
{
    Gemel__AdminReply *reply = start_reply(actions);
    reply->exit_code = exit_code;
    reply->error = (char *)sentence; /* in the arena */
    return reply;
}

static Gemel__Table *add_table(struct gateway_actions *actions, Gemel__AdminReply *reply, const char *name,
                               const char *const *columns, size_t column_count, size_t row_max)
{
    Gemel__Table *table = arena_alloc(&actions->arena, sizeof *table);
    gemel__table__init(table);
    table->name = arena_strdup(&actions->arena, name);
    table->columns = arena_alloc(&actions->arena, (column_count + 1) * sizeof(char *));
    for (size_t i = 0; i < column_count; i++)
        table->columns[i] = arena_strdup(&actions->arena, columns[i]);
    table->n_columns = column_count;
    table->rows = arena_alloc(&actions->arena, (row_max + 1) * sizeof(Gemel__Row *));
    reply->tables = arena_alloc(&actions->arena, sizeof(Gemel__Table *));
    reply->tables[0] = table;
    reply->n_tables = 1;
    return table;
}

/* Adds a row of as many cells as the table has columns; cells are borrowed from the arena. */
static void add_row(struct gateway_actions *actions, Gemel__Table *table, const char *const *cells)
{
    Gemel__Row *row = arena_alloc(&actions->arena, sizeof *row);
    gemel__row__init(row);
    row->cells = arena_alloc(&actions->arena, table->n_columns * sizeof(char *));
    for (size_t i = 0; i < table->n_columns; i++)
        row->cells[i] = (char *)cells[i];
    row->n_cells = table->n_columns;
    table->rows[table->n_rows++] = row;
}

static const char *number_cell(struct gateway_actions *actions, uint64_t number)
{
    return arena_printf(&actions->arena, "%llu", (unsigned long long)number);
}

/* HH:MM:SS.mmm, UTC, of a moment on the monotonic clock. */
static const char *time_cell(struct gateway_actions *actions, int64_t at_ms, int64_t now_ms, int64_t wall_ns)
{
    int64_t day_ms = (wall_ns / 1000000 - (now_ms - at_ms)) % MS_A_DAY;
    if (day_ms < 0)
        day_ms += MS_A_DAY;
    int ms = (int)day_ms;
    return arena_printf(&actions->arena, "%02d:%02d:%02d.%03d", ms / 3600000, ms / 60000 % 60, ms / 1000 % 60,
                        ms % 1000);
}

/* ---- failover.status ---- */

/* The order of the guide: rdb, hdb, idb, then others by name. */
static int type_rank(const char *type)
{
    static const char *const ranked[] = {"rdb", "hdb", "idb"};
    for (size_t i = 0; i < COUNT_OF(ranked); i++)
        if (strcmp(type, ranked[i]) == 0)
            return (int)i;
    return (int)COUNT_OF(ranked);
}

static int compare_rows(const void *one, const void *other)
{
    const struct candidate *a = *(const struct candidate *const *)one;
    const struct candidate *b = *(const struct candidate *const *)other;
    int order = strcmp(a->id.pipeline, b->id.pipeline);
    if (order != 0)
        return order;
    if (a->id.instance != b->id.instance)
        return a->id.instance < b->id.instance ? -1 : 1;
    if (type_rank(a->id.type) != type_rank(b->id.type))
        return type_rank(a->id.type) - type_rank(b->id.type);
    order = strcmp(a->id.type, b->id.type);
    if (order != 0)
        return order;
    return a->id.index < b->id.index ? -1 : a->id.index > b->id.index;
}

/* Why the row is as it is: the cause of the last move for a primary, the obstacle for another. */
static const char *reason_cell(const struct route *route, const struct candidate *candidate, bool primary,
                               struct gateway_actions *actions)
{
    char why[ROUTE_WHY_BYTES];
    if (primary)
        return arena_printf(&actions->arena, "%s%s", route->why, route_is_local(route) ? " (local)" : "");
    if (candidate_obstacle(candidate, false, why) != CANDIDATE_FIT)
        return arena_strdup(&actions->arena, why);
    return "";
}

static void add_status_row(const struct gateway_core *core, const struct candidate *candidate, int64_t wall_ns,
                           Gemel__Table *table, struct gateway_actions *actions)
{
    const struct route *route = core->routes[candidate->route];
    bool primary = route->state == ROUTE_SERVED && route->primary == candidate->id.instance;
    bool busy = candidate->running.count > 0;
    const char *since = "";
    if (busy) {
        const struct request *oldest = requests_at(core->requests, candidate->running.first);
        since = time_cell(actions, oldest->started_ms, core->now_ms, wall_ns);
    }
    const char *cells[] = {
        candidate->name,
        candidate->id.pipeline,
        number_cell(actions, candidate->id.instance),
        primary ? "yes" : "no",
        candidate_is_registered(candidate) ? "yes" : "no",
        busy ? "yes" : "no",
        since,
        number_cell(actions, route->taken_version),
        number_cell(actions, candidate->lag_rows),
        time_cell(actions, primary ? route->state_at_ms : candidate->link_at_ms, core->now_ms, wall_ns),
        reason_cell(route, candidate, primary, actions),
        number_cell(actions, primary                        ? candidate->running.count
                             : route->state == ROUTE_SERVED ? 0
                                                            : route->waiting.count),
    };
    add_row(actions, table, cells);
}

static bool is_yes(const char *value)
{
    return value != NULL && strcmp(value, "no") != 0 && strcmp(value, "false") != 0;
}

static Gemel__AdminReply *unknown_pipeline(const struct gateway_core *core, const char *pipeline,
                                           struct gateway_actions *actions)
{
    return fail_reply(actions, EXIT_FAILED,
                      arena_printf(&actions->arena,
                                   "%s has no routes of pipeline '%s'; start it, and see that its layout says "
                                   "expose-to-gw: true",
                                   core->name, pipeline));
}

static Gemel__AdminReply *reply_status(const struct gateway_core *core, const struct gateway_event *event,
                                       struct gateway_actions *actions)
{
    static const char *const columns[] = {"processName", "pipeline", "pipelineInstance", "primary",
                                          "registered",  "busy",     "busySince",        "version",
                                          "lag",         "since",    "reason",           "queue"};
    enum {
        NARROW_COLUMNS = 7
    };
    const char *pipeline = wire_argument(event->admin.request, "pipeline");
    bool wide = is_yes(wire_argument(event->admin.request, "wide"));
    const struct candidate **shown = arena_alloc(&actions->arena, (core->process_count + 1) * sizeof *shown);
    size_t count = 0;
    for (uint32_t i = 0; i < core->process_count; i++) {
        const struct candidate *candidate = core->processes[i];
        bool wanted = pipeline == NULL || strcmp(pipeline, candidate->id.pipeline) == 0;
        if (candidate->route != ROUTE_NONE && candidate->known && wanted)
            shown[count++] = candidate;
    }
    if (count == 0 && pipeline != NULL)
        return unknown_pipeline(core, pipeline, actions);
    qsort(shown, count, sizeof *shown, compare_rows);
    Gemel__AdminReply *reply = start_reply(actions);
    Gemel__Table *table =
        add_table(actions, reply, core->name, columns, wide ? COUNT_OF(columns) : NARROW_COLUMNS, count);
    table->title = arena_printf(&actions->arena, "[ %s ] Primary Routing State:", core->name);
    for (size_t i = 0; i < count; i++)
        add_status_row(core, shown[i], event->admin.wall_ns, table, actions);
    return reply;
}

/* ---- failover.failover ---- */

struct failover_order {
    const char *pipeline;
    const char *process; /* TYPE.N; NULL: all */
    uint32_t instance;
    bool force;
    bool dry_run;
};

static bool parse_instance(const char *text, uint32_t *instance)
{
    uint32_t value = 0;
    size_t length = strlen(text);
    if (length == 0 || length > 3)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *instance = value;
    return value < INSTANCES_MAX;
}

static bool is_ordered(const struct route *route, const struct failover_order *order)
{
    char process[TYPE_NAME_BYTES + 16];
    snprintf(process, sizeof process, "%s.%u", route->type, route->index);
    return route->candidate_end > 0 && strcmp(route->pipeline, order->pipeline) == 0 &&
           (order->process == NULL || strcmp(order->process, process) == 0);
}

/* What forbids the order for this route; NULL: nothing. */
static const char *find_objection(const struct route *route, const struct failover_order *order,
                                  struct gateway_actions *actions)
{
    const struct candidate *target = route->candidates[order->instance];
    char why[ROUTE_WHY_BYTES];
    if (target == NULL)
        return arena_printf(&actions->arena, "%s has no instance %u", route->name, order->instance);
    if (order->force || candidate_obstacle(target, false, why) == CANDIDATE_FIT)
        return NULL;
    return arena_printf(&actions->arena, "%s cannot be primary now: %s; --force overrides this", target->name, why);
}

static const char *check_order(const struct gateway_core *core, const struct failover_order *order, size_t *count,
                               struct gateway_actions *actions)
{
    *count = 0;
    for (uint32_t i = 0; i < core->route_count; i++) {
        const struct route *route = core->routes[i];
        if (!is_ordered(route, order))
            continue;
        (*count)++;
        const char *objection = find_objection(route, order, actions);
        if (objection != NULL)
            return objection;
    }
    return NULL;
}

static void carry_out_order(struct gateway_core *core, const struct failover_order *order, Gemel__AdminReply *reply,
                            size_t count, struct gateway_actions *actions)
{
    static const char *const columns[] = {"route", "from", "to", "result"};
    Gemel__Table *table = add_table(actions, reply, "moves", columns, COUNT_OF(columns), count);
    for (uint32_t i = 0; i < core->route_count; i++) {
        struct route *route = core->routes[i];
        if (!is_ordered(route, order))
            continue;
        bool there = route->state == ROUTE_SERVED && route->primary == order->instance;
        const char *cells[] = {
            route->name,
            route->state == ROUTE_SERVED ? route->candidates[route->primary]->name : "none",
            route->candidates[order->instance]->name,
            there            ? "already primary"
            : order->dry_run ? "would move"
                             : "moved",
        };
        add_row(actions, table, cells);
        if (!there && !order->dry_run)
            gateway_order_route(core, route, order->instance, order->force, actions);
    }
}

static Gemel__AdminReply *reply_failover(struct gateway_core *core, const struct gateway_event *event,
                                         struct gateway_actions *actions)
{
    const Gemel__AdminRequest *request = event->admin.request;
    struct failover_order order = {
        .pipeline = wire_argument(request, "pipeline"),
        .process = wire_argument(request, "process"),
        .force = is_yes(wire_argument(request, "force")),
        .dry_run = is_yes(wire_argument(request, "dry-run")),
    };
    const char *instance = wire_argument(request, "to-instance");
    if (order.pipeline == NULL || instance == NULL || !parse_instance(instance, &order.instance))
        return fail_reply(actions, EXIT_USAGE,
                          "failover needs --pipeline NAME and --to-instance N, such as gemel failover --failover "
                          "--pipeline DemoPipeline --to-instance 0");
    size_t count;
    const char *objection = check_order(core, &order, &count, actions);
    if (count == 0)
        return unknown_pipeline(core, order.pipeline, actions);
    if (objection != NULL)
        return fail_reply(actions, EXIT_REFUSED, objection);
    Gemel__AdminReply *reply = start_reply(actions);
    carry_out_order(core, &order, reply, count, actions);
    return reply;
}

/* ---- gateway.status ---- */

static Gemel__AdminReply *reply_counters(const struct gateway_core *core, struct gateway_actions *actions)
{
    static const char *const columns[] = {"gateway",   "queries", "answered", "failed",     "repeated",
                                          "cancelled", "refused", "late",     "failovers",  "waiting",
                                          "running",   "links",   "clients",  "quarantined"};
    struct gateway_counters counters;
    gateway_core_count(core, &counters);
    uint64_t clients = 0;
    for (uint32_t i = 0; i < GATEWAY_CLIENTS_MAX; i++)
        clients += core->clients[i].open ? 1 : 0;
    const char *cells[] = {
        core->name,
        number_cell(actions, counters.queries),
        number_cell(actions, counters.answered),
        number_cell(actions, counters.failed),
        number_cell(actions, counters.repeated),
        number_cell(actions, counters.cancelled),
        number_cell(actions, counters.refused),
        number_cell(actions, counters.late_answers),
        number_cell(actions, counters.failovers),
        number_cell(actions, counters.waiting),
        number_cell(actions, counters.running),
        number_cell(actions, counters.links),
        number_cell(actions, clients),
        number_cell(actions, counters.quarantined),
    };
    Gemel__AdminReply *reply = start_reply(actions);
    add_row(actions, add_table(actions, reply, "gateway", columns, COUNT_OF(columns), 1), cells);
    return reply;
}

int gateway_on_admin(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions)
{
    const struct gateway_origin *origin = &event->admin.origin;
    if (event->admin.request == NULL || (origin->is_control && origin->id >= core->control_count) ||
        (!origin->is_control && (origin->id >= GATEWAY_CLIENTS_MAX || !core->clients[origin->id].open)))
        return -EINVAL;
    const char *verb = event->admin.request->verb;
    Gemel__AdminReply *reply;
    if (strcmp(verb, "failover.status") == 0)
        reply = reply_status(core, event, actions);
    else if (strcmp(verb, "failover.failover") == 0)
        reply = reply_failover(core, event, actions);
    else if (strcmp(verb, "gateway.status") == 0)
        reply = reply_counters(core, actions);
    else
        reply = fail_reply(actions, EXIT_USAGE,
                           arena_printf(&actions->arena,
                                        "a gateway does not serve '%s'; it serves failover.status, failover.failover "
                                        "and gateway.status",
                                        verb));
    struct gateway_action *action = gateway_add(actions, GATEWAY_ACTION_ADMIN_REPLY);
    action->admin.origin = *origin;
    action->admin.reply = reply;
    return 0;
}
