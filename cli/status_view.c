#include "cli/status_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/process_id.h"

enum {
    REASONS_MAX = 12, /* shown below the verdict; more of them help nobody at night */
    EVENTS_SHOWN = 5,
    REASON_BYTES = 512
};

/* A process as the freshest source tells it. Strings are borrowed from the facts. */
struct seen {
    struct process_id id;
    const char *name;
    const char *host;
    const char *state;
    const char *detail; /* why or status */
    bool fresh;         /* from its own daemon, now */
};

struct view {
    const struct status_facts *facts;
    struct report *report;
    struct seen *seen;
    size_t seen_count;
    size_t seen_max;
    enum status_verdict verdict;
    char reasons[REASONS_MAX][REASON_BYTES];
    size_t reason_count;
    size_t reason_down_at; /* reasons before it mean DOWN */
};

static void add_reason(struct view *view, enum status_verdict verdict, const char *sentence)
{
    const bool down = verdict == STATUS_DOWN;
    view->verdict = verdict > view->verdict ? verdict : view->verdict;
    for (size_t i = 0; i < view->reason_count; i++)
        if (strcmp(view->reasons[i], sentence) == 0)
            return;
    if (view->reason_count == REASONS_MAX && !down)
        return;
    /* What means DOWN goes first. */
    const size_t at = down ? view->reason_down_at : view->reason_count;
    if (at == REASONS_MAX)
        return;
    const size_t behind = (view->reason_count < REASONS_MAX ? view->reason_count : REASONS_MAX - 1) - at;
    memmove(view->reasons[at + 1], view->reasons[at], behind * REASON_BYTES);
    (void)text_copy(view->reasons[at], REASON_BYTES, sentence);
    view->reason_count += view->reason_count < REASONS_MAX ? 1 : 0;
    view->reason_down_at += down ? 1 : 0;
}

static bool is_running(const struct seen *seen)
{
    return strcmp(seen->state, "stopped") != 0;
}

static bool is_ready(const struct seen *seen)
{
    return strcmp(seen->state, "ready") == 0;
}

/* ---------------------------------------------------------------------------------------- gathering the facts */

static void add_seen(struct view *view, const Gemel__Table *table, size_t row, const char *host, bool fresh)
{
    struct seen seen = {.name = report_process(table, row), .fresh = fresh};
    if (view->seen_count == view->seen_max || process_id_parse(seen.name, &seen.id) != 0)
        return;
    const char *own_host = report_get(table, row, "host");
    const char *why = report_get(table, row, "why");
    seen.host = own_host[0] != '\0' ? own_host : host;
    seen.state = report_get(table, row, "state");
    seen.detail = is_ready(&seen) || why[0] == '\0' ? report_get(table, row, "status") : why;
    for (size_t i = 0; i < view->seen_count; i++) {
        struct seen *other = &view->seen[i];
        if (strcmp(other->name, seen.name) != 0)
            continue;
        /* Two hosts may know a process that moved: the one where it runs tells. */
        if (fresh == other->fresh && is_running(&seen) && !is_running(other))
            *other = seen;
        return;
    }
    view->seen[view->seen_count++] = seen;
}

static int compare_seen(const void *one, const void *other)
{
    return process_id_compare(&((const struct seen *)one)->id, &((const struct seen *)other)->id);
}

/* Did the daemon of this host not answer? */
static bool is_silent(const struct status_facts *facts, const char *host)
{
    for (size_t i = 0; i < facts->daemon_count; i++)
        if (strcmp(facts->daemons[i].name, host) == 0)
            return facts->daemons[i].reply == NULL;
    return true;
}

static size_t rows_of(const Gemel__AdminReply *reply, const char *table)
{
    const Gemel__Table *found = reply != NULL ? report_find_table(reply, table) : NULL;
    return found != NULL ? found->n_rows : 0;
}

static void gather(struct view *view)
{
    const struct status_facts *facts = view->facts;
    size_t most = rows_of(facts->processes, "processes");
    for (size_t i = 0; i < facts->daemon_count; i++)
        most += rows_of(facts->daemons[i].reply, "processes");
    view->seen_max = most;
    view->seen = arena_alloc(&view->report->arena, (most + 1) * sizeof *view->seen);
    for (size_t i = 0; i < facts->daemon_count; i++)
        for (size_t row = 0; row < rows_of(facts->daemons[i].reply, "processes"); row++)
            add_seen(view, report_find_table(facts->daemons[i].reply, "processes"), row, facts->daemons[i].name, true);
    for (size_t row = 0; row < rows_of(facts->processes, "processes"); row++) {
        const Gemel__Table *table = report_find_table(facts->processes, "processes");
        /* Where the daemon answers, what it does not name is not there. */
        if (is_silent(facts, report_get(table, row, "host")))
            add_seen(view, table, row, "", false);
    }
    qsort(view->seen, view->seen_count, sizeof *view->seen, compare_seen);
}

/* ------------------------------------------------------------------------------------------------ the verdict */

/* Is one of the processes of this pipeline, type and index, in any instance, ready and its host reachable? */
static const struct seen *find_ready(const struct view *view, const struct seen *like)
{
    for (size_t i = 0; i < view->seen_count; i++) {
        const struct seen *seen = &view->seen[i];
        if (is_ready(seen) && seen->fresh && strcmp(seen->id.pipeline, like->id.pipeline) == 0 &&
            strcmp(seen->id.type, like->id.type) == 0 && seen->id.index == like->id.index)
            return seen;
    }
    return NULL;
}

static bool pipeline_runs(const struct view *view, const char *pipeline)
{
    for (size_t i = 0; i < view->seen_count; i++)
        if (strcmp(view->seen[i].id.pipeline, pipeline) == 0 && is_running(&view->seen[i]))
            return true;
    return false;
}

/* One process that shall run and is not ready, or of a running pipeline and stopped. */
static void judge_process(struct view *view, const struct seen *seen)
{
    char sentence[REASON_BYTES];
    const bool lost = !seen->fresh || is_silent(view->facts, seen->host);
    const struct seen *other = find_ready(view, seen);
    /* That its daemon is silent was said, once for all of its processes. */
    if (lost ? other != NULL : is_ready(seen))
        return;
    const char *state = lost ? "not heard of" : seen->state;
    const char *comma = seen->detail[0] != '\0' && !lost ? ", " : "";
    const char *detail = lost ? "" : seen->detail;
    if (other != NULL && strcmp(other->host, seen->host) != 0)
        (void)snprintf(sentence, sizeof sentence, "%s would not survive the loss of %s: %s %s%s%s", seen->id.pipeline,
                       other->host, seen->name, state, comma, detail);
    else if (other != NULL)
        (void)snprintf(sentence, sizeof sentence, "%s is %s%s%s", seen->name, state, comma, detail);
    else
        (void)snprintf(sentence, sizeof sentence, "%s has no ready %s.%u: %s %s%s%s", seen->id.pipeline, seen->id.type,
                       seen->id.index, seen->name, state, comma, detail);
    add_reason(view, STATUS_DEGRADED, sentence);
}

static void judge_processes(struct view *view)
{
    for (size_t i = 0; i < view->seen_count; i++)
        if (is_running(&view->seen[i]) || pipeline_runs(view, view->seen[i].id.pipeline))
            judge_process(view, &view->seen[i]);
}

static bool is_route_used(const Gemel__Table *table, const char *pipeline, const char *type, uint32_t index)
{
    for (size_t row = 0; row < table->n_rows; row++) {
        struct process_id id;
        if (strcmp(report_get(table, row, "primary"), "yes") == 0 &&
            strcmp(report_get(table, row, "registered"), "yes") == 0 &&
            process_id_parse(report_get(table, row, "processName"), &id) == 0 && strcmp(id.pipeline, pipeline) == 0 &&
            strcmp(id.type, type) == 0 && id.index == index)
            return true;
    }
    return false;
}

/* Every route that a gateway knows needs a primary that is there. */
static void judge_routes(struct view *view, const struct status_answer *gateway)
{
    const Gemel__Table *table = gateway->reply->n_tables > 0 ? gateway->reply->tables[0] : NULL;
    for (size_t row = 0; table != NULL && row < table->n_rows; row++) {
        struct process_id id;
        char sentence[REASON_BYTES];
        if (process_id_parse(report_get(table, row, "processName"), &id) != 0 || !pipeline_runs(view, id.pipeline) ||
            is_route_used(table, id.pipeline, id.type, id.index))
            continue;
        (void)snprintf(sentence, sizeof sentence, "queries to %s.%s.%u wait at %s: no instance of it is ready",
                       id.pipeline, id.type, id.index, gateway->name);
        add_reason(view, STATUS_DOWN, sentence);
    }
}

static void judge_gateways(struct view *view)
{
    const struct status_facts *facts = view->facts;
    char sentence[REASON_BYTES];
    size_t answered = 0;
    for (size_t i = 0; i < facts->gateway_count; i++)
        answered += facts->gateways[i].reply != NULL ? 1 : 0;
    for (size_t i = 0; i < facts->gateway_count; i++) {
        const struct status_answer *gateway = &facts->gateways[i];
        if (gateway->reply != NULL) {
            judge_routes(view, gateway);
            continue;
        }
        (void)snprintf(sentence, sizeof sentence, "gateway %s does not answer at %s: %s", gateway->name,
                       gateway->address, gateway->why);
        add_reason(view, answered > 0 ? STATUS_DEGRADED : STATUS_DOWN, sentence);
    }
}

/* Processes that run on a host, as far as anybody knows. */
static size_t count_of(const struct view *view, const char *host)
{
    size_t count = 0;
    for (size_t i = 0; i < view->seen_count; i++)
        count += strcmp(view->seen[i].host, host) == 0 && is_running(&view->seen[i]) ? 1 : 0;
    return count;
}

static void judge_hosts(struct view *view)
{
    const struct status_facts *facts = view->facts;
    char sentence[REASON_BYTES];
    size_t answered = 0;
    bool leader = false;
    for (size_t i = 0; i < facts->control_count; i++) {
        const Gemel__AdminReply *reply = facts->controls[i].reply;
        const Gemel__Table *table = reply != NULL ? report_find_table(reply, "control") : NULL;
        answered += reply != NULL ? 1 : 0;
        for (size_t row = 0; table != NULL && row < table->n_rows; row++)
            leader = leader || strcmp(report_get(table, row, "role"), "leader") == 0;
    }
    for (size_t i = 0; i < facts->daemon_count; i++) {
        const struct status_answer *daemon = &facts->daemons[i];
        answered += daemon->reply != NULL ? 1 : 0;
        if (daemon->reply != NULL)
            continue;
        int length = snprintf(sentence, sizeof sentence, "the daemon of %s does not answer at %s: %s", daemon->name,
                              daemon->address, daemon->why);
        const size_t unheard = count_of(view, daemon->name);
        if (unheard > 0 && length > 0 && (size_t)length < sizeof sentence)
            (void)snprintf(sentence + length, sizeof sentence - (size_t)length,
                           "; %zu processes there are not heard of", unheard);
        add_reason(view, STATUS_DEGRADED, sentence);
    }
    for (size_t i = 0; i < facts->control_count; i++) {
        const struct status_answer *control = &facts->controls[i];
        if (control->reply != NULL)
            continue;
        (void)snprintf(sentence, sizeof sentence, "the control of %s does not answer at %s: %s", control->name,
                       control->address, control->why);
        add_reason(view, STATUS_DEGRADED, sentence);
    }
    for (size_t i = 0; i < facts->gateway_count; i++)
        answered += facts->gateways[i].reply != NULL ? 1 : 0;
    if (answered == 0)
        add_reason(view, STATUS_DOWN, "nothing of the cluster answers: start the control and the daemon of each host");
    else if (!leader)
        add_reason(view, STATUS_DEGRADED, "no control leads: nothing new can be started, changed or moved");
}

/* ------------------------------------------------------------------------------------------------- the tables */

static void add_hosts(struct view *view)
{
    const struct status_facts *facts = view->facts;
    Gemel__Table *table = report_table(view->report, "hosts", NULL,
                                       (const char *[]){"host", "control", "daemon", "ready", "running", NULL});
    for (size_t i = 0; i < facts->daemon_count; i++) {
        const char *host = facts->daemons[i].name;
        const char *control = "";
        size_t ready = 0, running = 0;
        for (size_t j = 0; j < facts->control_count; j++)
            if (strcmp(facts->controls[j].name, host) == 0)
                control = facts->controls[j].reply != NULL ? "up" : "silent";
        for (size_t j = 0; j < view->seen_count; j++) {
            const bool here = strcmp(view->seen[j].host, host) == 0;
            ready += here && is_ready(&view->seen[j]) ? 1 : 0;
            running += here && is_running(&view->seen[j]) ? 1 : 0;
        }
        report_row(view->report, table,
                   (const char *[]){host, control, facts->daemons[i].reply != NULL ? "up" : "silent",
                                    report_cell(view->report, "%zu", ready),
                                    report_cell(view->report, "%zu", running)});
    }
}

/* The controls' own tables, each host once, as it tells itself. */
static void add_controls(struct view *view)
{
    static const char *const columns[] = {"host", "role", "epoch", "peerState", "lag", "revision", "since", NULL};
    Gemel__Table *into = NULL;
    for (size_t i = 0; i < view->facts->control_count; i++) {
        const Gemel__AdminReply *reply = view->facts->controls[i].reply;
        const Gemel__Table *table = reply != NULL ? report_find_table(reply, "control") : NULL;
        if (table == NULL)
            continue;
        into = into == NULL ? report_table_like(view->report, table, "control", NULL, columns) : into;
        for (size_t row = 0; row < table->n_rows; row++) {
            const char *host = report_get(table, row, "host");
            if (host[0] == '\0' || strcmp(host, view->facts->controls[i].name) == 0)
                report_copy_row(view->report, into, table, row);
        }
    }
}

static void add_instances(struct view *view)
{
    Gemel__Table *table = report_table(view->report, "instances", NULL,
                                       (const char *[]){"pipeline", "instance", "host", "ready", "notReady", NULL});
    for (size_t i = 0; i < view->seen_count;) {
        const struct seen *first = &view->seen[i];
        struct text down;
        size_t ready = 0, count = 0;
        text_init(&down, REASON_BYTES);
        for (; i < view->seen_count && strcmp(view->seen[i].id.pipeline, first->id.pipeline) == 0 &&
               view->seen[i].id.instance == first->id.instance;
             i++, count++) {
            const struct seen *seen = &view->seen[i];
            ready += is_ready(seen) ? 1 : 0;
            if (!is_ready(seen))
                text_printf(&down, "%s%s.%u %s", down.length > 0 ? ", " : "", seen->id.type, seen->id.index,
                            seen->state);
        }
        report_row(view->report, table,
                   (const char *[]){first->id.pipeline, report_cell(view->report, "%u", first->id.instance),
                                    first->host, report_cell(view->report, "%zu of %zu", ready, count), down.data});
        text_fini(&down);
    }
}

/* Primaries that are not instance 0. */
static void add_routes(struct view *view)
{
    Gemel__Table *table =
        report_table(view->report, "routes", "Routes away from home:",
                     (const char *[]){"gateway", "processName", "pipelineInstance", "since", "reason", NULL});
    for (size_t i = 0; i < view->facts->gateway_count; i++) {
        const struct status_answer *gateway = &view->facts->gateways[i];
        const Gemel__Table *routes =
            gateway->reply != NULL && gateway->reply->n_tables > 0 ? gateway->reply->tables[0] : NULL;
        for (size_t row = 0; routes != NULL && row < routes->n_rows; row++) {
            const char *instance = report_get(routes, row, "pipelineInstance");
            if (strcmp(report_get(routes, row, "primary"), "yes") != 0 || strcmp(instance, "0") == 0)
                continue;
            report_row(view->report, table,
                       (const char *[]){gateway->name, report_get(routes, row, "processName"), instance,
                                        report_get(routes, row, "since"), report_get(routes, row, "reason")});
        }
    }
    if (table->n_rows == 0)
        table->title = arena_strdup(&view->report->arena, "Routes away from home: none");
}

static void add_events(struct view *view)
{
    const Gemel__AdminReply *reply = view->facts->events;
    const Gemel__Table *events = reply != NULL && reply->n_tables > 0 ? reply->tables[0] : NULL;
    if (events == NULL)
        return;
    Gemel__Table *table = report_table_like(view->report, events, "events", "Last events:", NULL);
    for (size_t row = events->n_rows > EVENTS_SHOWN ? events->n_rows - EVENTS_SHOWN : 0; row < events->n_rows; row++)
        report_copy_row(view->report, table, events, row);
}

/* ---------------------------------------------------------------------------------------------------- together */

static void say_verdict(struct view *view)
{
    size_t ready = 0, running = 0;
    for (size_t i = 0; i < view->seen_count; i++) {
        ready += is_ready(&view->seen[i]) ? 1 : 0;
        running += is_running(&view->seen[i]) ? 1 : 0;
    }
    switch (view->verdict) {
    case STATUS_OK:
        if (running == 0)
            report_message(view->report, "OK: nothing is started");
        else
            report_message(view->report, "OK: %zu of %zu processes ready on %zu host%s", ready, running,
                           view->facts->daemon_count, view->facts->daemon_count == 1 ? "" : "s");
        break;
    case STATUS_DEGRADED:
        report_message(view->report, "DEGRADED: %s", view->reasons[0]);
        report_set_exit(view->report, CLI_EXIT_PARTLY);
        break;
    case STATUS_DOWN:
        report_message(view->report, "DOWN: %s", view->reasons[0]);
        report_set_exit(view->report, CLI_EXIT_FAILED);
        break;
    }
    for (size_t i = 1; i < view->reason_count; i++)
        report_message(view->report, "  also: %s", view->reasons[i]);
}

/* How far what is shown can be trusted. */
static void say_limits(struct view *view)
{
    size_t stale = 0;
    bool any = false;
    for (size_t i = 0; i < view->seen_count; i++)
        stale += view->seen[i].fresh ? 0 : 1;
    for (size_t i = 0; i < view->facts->control_count; i++)
        any = any || view->facts->controls[i].reply != NULL;
    if (!any)
        report_message(
            view->report,
            "  without a control: daemons and gateways were asked just now; events and configuration are not shown");
    if (stale > 0)
        report_message(view->report, "  %zu processes are shown as the control heard of them last", stale);
}

enum status_verdict status_view_build(const struct status_facts *facts, struct report *report)
{
    struct view *view = arena_alloc(&report->arena, sizeof *view);
    view->facts = facts;
    view->report = report;
    gather(view);
    judge_gateways(view);
    judge_hosts(view); /* the cause before what follows from it */
    judge_processes(view);
    say_verdict(view);
    say_limits(view);
    add_hosts(view);
    add_controls(view);
    add_instances(view);
    add_routes(view);
    add_events(view);
    return view->verdict;
}
