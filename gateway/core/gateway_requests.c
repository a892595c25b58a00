#include <errno.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/text.h"
#include "gateway/core/gateway_state.h"

enum {
    FORWARDER_MARGIN_MS = 1000
};

/* ---- ends of a query ---- */

static Gemel__Failure *make_failure(struct gateway_actions *actions, int code, bool retry, const char *process,
                                    const char *sentence)
{
    Gemel__Failure *failure = arena_alloc(&actions->arena, sizeof *failure);
    gemel__failure__init(failure);
    failure->code = code;
    failure->retry = retry;
    failure->process = arena_strdup(&actions->arena, process);
    failure->sentence = (char *)sentence; /* in the arena */
    return failure;
}

/* Ends a query before it was taken up. */
static void refuse(struct gateway_core *core, const struct gateway_event *event, int code, bool retry,
                   const char *sentence, struct gateway_actions *actions)
{
    core->counters.failed++;
    core->counters.refused++;
    struct gateway_action *action = gateway_add(actions, GATEWAY_ACTION_FAIL);
    action->request.client = event->query.client;
    action->request.request_id = event->query.request_id;
    action->request.slot = GATEWAY_NO_SLOT;
    action->request.failure = make_failure(actions, code, retry, "", sentence);
}

/* Takes a query out of the table. */
static void close_request(struct gateway_core *core, uint32_t slot)
{
    struct request *request = requests_at(core->requests, slot);
    if (request->state == REQUEST_WAITING) {
        core->waiting_count--;
        core->waiting_bytes -= request->bytes;
    }
    requests_close(core->requests, slot, &core->clients[request->client].requests);
}

static void end_with_failure(struct gateway_core *core, uint32_t slot, Gemel__Failure *failure,
                             struct gateway_actions *actions)
{
    const struct request *request = requests_at(core->requests, slot);
    core->counters.failed++;
    struct gateway_action *action = gateway_add(actions, GATEWAY_ACTION_FAIL);
    action->request.client = request->client;
    action->request.request_id = request->client_request_id;
    action->request.slot = slot;
    action->request.failure = failure;
    close_request(core, slot);
}

static void cancel_upstream(struct gateway_core *core, uint32_t slot, struct gateway_actions *actions)
{
    const struct request *request = requests_at(core->requests, slot);
    if (request->state != REQUEST_RUNNING)
        return;
    const struct candidate *candidate = core->processes[request->process];
    if (candidate->link_state != CANDIDATE_LINK_LIVE)
        return;
    struct gateway_action *action = gateway_add(actions, GATEWAY_ACTION_CANCEL);
    action->link.process = candidate->number;
    action->link.link = candidate->link;
    action->link.slot = slot;
    action->link.request_id = requests_upstream_id(core->requests, slot);
}

/* ---- sending ---- */

static void send_to_primary(struct gateway_core *core, const struct route *route, uint32_t slot, bool first,
                            struct gateway_actions *actions)
{
    struct candidate *primary = route->candidates[route->primary];
    struct request *request = requests_at(core->requests, slot);
    if (request->state == REQUEST_WAITING) {
        core->waiting_count--;
        core->waiting_bytes -= request->bytes;
    }
    uint64_t upstream_id = requests_run(core->requests, slot, &primary->running, primary->number, core->now_ms);
    struct gateway_action *action = gateway_add(actions, GATEWAY_ACTION_FORWARD);
    action->link.process = primary->number;
    action->link.link = primary->link;
    action->link.request_id = upstream_id;
    action->link.slot = slot;
    action->link.first = first;
}

void gateway_send_waiting(struct gateway_core *core, struct route *route, struct gateway_actions *actions)
{
    ASSERT(route->state == ROUTE_SERVED);
    while (route->waiting.first != REQUEST_NONE)
        send_to_primary(core, route, route->waiting.first, false, actions);
}

/* ---- new queries ---- */

/* A target that nobody has named: while daemons are still unheard it may yet come, later it is an error. */
static struct route *find_unknown(struct gateway_core *core, const struct gateway_event *event)
{
    if (core->is_forwarder)
        return core->routes[0];
    if (core->settled || event->query.target_bytes >= PROCESS_NAME_BYTES)
        return NULL;
    /* `Pipeline.type.index` is a process name without its instance. */
    char name[PROCESS_NAME_BYTES + 2];
    const char *dot = memchr(event->query.target, '.', event->query.target_bytes);
    if (dot == NULL)
        return NULL;
    size_t pipeline_bytes = (size_t)(dot - event->query.target);
    memcpy(name, event->query.target, pipeline_bytes);
    memcpy(name + pipeline_bytes, ".0", 2);
    memcpy(name + pipeline_bytes + 2, dot, event->query.target_bytes - pipeline_bytes);
    struct process_id id;
    if (event->query.target_bytes + 2 >= PROCESS_NAME_BYTES)
        return NULL;
    name[event->query.target_bytes + 2] = '\0';
    if (process_id_parse(name, &id) != 0)
        return NULL;
    return gateway_add_route(core, id.pipeline, id.type, id.index);
}

static const char *describe_unknown(const struct gateway_core *core, const char *target, size_t target_bytes,
                                    struct gateway_actions *actions)
{
    if (target_bytes >= PROCESS_NAME_BYTES)
        target_bytes = PROCESS_NAME_BYTES - 1;
    return arena_printf(&actions->arena,
                        "%s knows no process for %.*s; the target of a query is Pipeline.type.index of a routable "
                        "process, and gemel failover --status lists them",
                        core->name, (int)target_bytes, target);
}

/* Is there room for one more? Else refuses it. */
static bool has_room(struct gateway_core *core, const struct gateway_event *event, const struct route *route,
                     struct gateway_actions *actions)
{
    const struct gateway_client *client = &core->clients[event->query.client];
    if (client->requests.count >= GATEWAY_CLIENT_REQUESTS_MAX) {
        refuse(core, event, -EAGAIN, true,
               arena_printf(&actions->arena, "%s holds %d queries of this client, which is the bound; wait for answers",
                            core->name, GATEWAY_CLIENT_REQUESTS_MAX),
               actions);
        return false;
    }
    if (requests_bytes(core->requests) + event->query.body_bytes > GATEWAY_HELD_BYTES_MAX) {
        refuse(
            core, event, -EAGAIN, true,
            arena_printf(&actions->arena, "%s holds as many bytes of queries as it may; try again later", core->name),
            actions);
        return false;
    }
    if (route->state == ROUTE_SERVED)
        return true;
    if (core->waiting_count >= core->queue_max ||
        core->waiting_bytes + event->query.body_bytes > GATEWAY_QUEUE_BYTES_MAX) {
        refuse(core, event, -EAGAIN, true,
               arena_printf(&actions->arena, "%s holds %u waiting queries, which is its bound; %s is not served: %s",
                            core->name, core->waiting_count, route->name, gateway_explain_route(route, actions)),
               actions);
        return false;
    }
    return true;
}

static bool is_quarantined(struct gateway_core *core, const struct gateway_event *event,
                           struct gateway_actions *actions)
{
    if (core->quarantine.count == 0)
        return false;
    int64_t left_ms = quarantine_left_ms(&core->quarantine, event->query.fingerprint, core->now_ms);
    if (left_ms == 0)
        return false;
    char duration[32];
    text_duration(duration, sizeof duration, (double)left_ms);
    refuse(core, event, -EPERM, false,
           arena_printf(&actions->arena,
                        "%s refuses this query for another %s, because two processes were lost while they ran it",
                        core->name, duration),
           actions);
    return true;
}

static void on_query(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions)
{
    core->counters.queries++;
    if (is_quarantined(core, event, actions))
        return;
    struct route *route = gateway_find_route(core, event->query.target, event->query.target_bytes);
    if (route == NULL || (route->candidate_end == 0 && core->settled))
        route = find_unknown(core, event);
    if (route == NULL) {
        refuse(core, event, -ENOENT, false,
               describe_unknown(core, event->query.target, event->query.target_bytes, actions), actions);
        return;
    }
    if (!has_room(core, event, route, actions))
        return;
    int64_t timeout_ms = event->query.timeout_ms != 0 ? (int64_t)event->query.timeout_ms : core->query_timeout_ms;
    struct request_facts facts = {
        .client = event->query.client,
        .client_request_id = event->query.request_id,
        .route = route->number,
        .bytes = event->query.body_bytes,
        .fingerprint = event->query.fingerprint,
        .timeout_ms = timeout_ms < 0 ? 0 : (uint32_t)timeout_ms,
        .deadline_ms = timeout_ms < 0 ? INT64_MAX : core->now_ms + timeout_ms,
        .idempotent = event->query.idempotent,
    };
    if (core->is_forwarder && timeout_ms >= 0)
        facts.deadline_ms += FORWARDER_MARGIN_MS; /* its gateway speaks first: it knows more */
    uint32_t slot =
        requests_open(core->requests, &facts, &route->waiting, &core->clients[event->query.client].requests);
    if (slot == REQUEST_NONE) {
        refuse(core, event, -EAGAIN, true,
               arena_printf(&actions->arena, "%s holds as many queries as it may; try again later", core->name),
               actions);
        return;
    }
    core->waiting_count++;
    core->waiting_bytes += facts.bytes;
    if (route->state == ROUTE_SERVED)
        send_to_primary(core, route, slot, true, actions);
    else
        gateway_add(actions, GATEWAY_ACTION_HOLD)->request.slot = slot;
}

/* ---- clients ---- */

static void on_cancel(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions)
{
    uint32_t slot = core->clients[event->client.client].requests.first;
    while (slot != REQUEST_NONE) {
        uint32_t next = requests_next_of_client(core->requests, slot);
        if (requests_at(core->requests, slot)->client_request_id == event->client.request_id) {
            cancel_upstream(core, slot, actions);
            core->counters.cancelled++;
            end_with_failure(core, slot,
                             make_failure(actions, -ECANCELED, false, "",
                                          arena_strdup(&actions->arena, "the query was cancelled by its client")),
                             actions);
        }
        slot = next;
    }
}

static void on_client_closed(struct gateway_core *core, uint32_t number, struct gateway_actions *actions)
{
    struct gateway_client *client = &core->clients[number];
    while (client->requests.first != REQUEST_NONE) {
        uint32_t slot = client->requests.first;
        cancel_upstream(core, slot, actions);
        core->counters.cancelled++;
        gateway_add(actions, GATEWAY_ACTION_RELEASE)->request.slot = slot;
        close_request(core, slot);
    }
    gateway_forget_watches(core, number);
    client->open = false;
}

int gateway_on_client(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions)
{
    bool is_query = event->type == GATEWAY_EVENT_QUERY;
    uint32_t number = is_query ? event->query.client : event->client.client;
    if (number >= GATEWAY_CLIENTS_MAX)
        return -EINVAL;
    struct gateway_client *client = &core->clients[number];
    if (client->open == (event->type == GATEWAY_EVENT_CLIENT_OPEN))
        return -EINVAL;
    if (is_query) {
        on_query(core, event, actions);
    } else if (event->type == GATEWAY_EVENT_CANCEL) {
        on_cancel(core, event, actions);
    } else if (event->type == GATEWAY_EVENT_CLIENT_CLOSED) {
        on_client_closed(core, number, actions);
    } else {
        *client = (struct gateway_client){.open = true};
        request_list_init(&client->requests);
    }
    return 0;
}

/* ---- what comes of a query at its process ---- */

void gateway_on_answer(struct gateway_core *core, struct candidate *candidate, uint64_t request_id, bool full,
                       struct gateway_actions *actions)
{
    uint32_t slot = requests_match(core->requests, request_id);
    if (slot == REQUEST_NONE || requests_at(core->requests, slot)->process != candidate->number) {
        core->counters.late_answers++;
        return;
    }
    const struct request *request = requests_at(core->requests, slot);
    if (full) {
        const char *sentence =
            arena_printf(&actions->arena, "%s takes no more queries at present; try again later", candidate->name);
        end_with_failure(core, slot, make_failure(actions, -EAGAIN, true, candidate->name, sentence), actions);
        return;
    }
    core->counters.answered++;
    struct gateway_action *action = gateway_add(actions, GATEWAY_ACTION_ANSWER);
    action->request.client = request->client;
    action->request.request_id = request->client_request_id;
    action->request.slot = slot;
    action->request.epoch = core->routes[request->route]->taken_version;
    close_request(core, slot);
}

static bool was_told_to_stop(const struct candidate *candidate)
{
    return candidate->state == GEMEL__PROCESS_STATE__PROCESS_STOPPING ||
           candidate->state == GEMEL__PROCESS_STATE__PROCESS_STOPPED;
}

/* Its second process was lost, too. Only a query that nobody's order explains is suspected of having done it. */
static void end_after_second_loss(struct gateway_core *core, uint32_t slot, const struct candidate *second,
                                  struct gateway_actions *actions)
{
    const struct request *request = requests_at(core->requests, slot);
    const struct candidate *first = core->processes[request->failed_process];
    int64_t refused_ms = 0;
    if (!was_told_to_stop(first) && !was_told_to_stop(second))
        refused_ms = quarantine_add(&core->quarantine, request->fingerprint, core->now_ms);
    char duration[32] = "";
    if (refused_ms > 0)
        text_duration(duration, sizeof duration, (double)refused_ms);
    const char *sentence = arena_printf(
        &actions->arena, "%s (%s) and then %s (%s) were lost while they ran the query%s%s", first->name,
        first->left_why, second->name, second->left_why, refused_ms > 0 ? "; it is refused for " : "", duration);
    gateway_log(actions, GATEWAY_LOG_ERROR, "Query ended two processes [ First: %s ] [ Second: %s ] [ Refused: %s ]",
                first->name, second->name, refused_ms > 0 ? duration : "no");
    end_with_failure(core, slot, make_failure(actions, -ECONNRESET, refused_ms == 0, second->name, sentence), actions);
}

static void end_unrepeatable(struct gateway_core *core, uint32_t slot, const struct candidate *lost,
                             struct gateway_actions *actions)
{
    const char *sentence =
        arena_printf(&actions->arena, "%s was lost (%s) while it ran the query, which may not be repeated unasked",
                     lost->name, lost->left_why);
    end_with_failure(core, slot, make_failure(actions, -ECONNRESET, true, lost->name, sentence), actions);
}

static void repeat(struct gateway_core *core, uint32_t slot, const struct candidate *lost,
                   struct gateway_actions *actions)
{
    struct request *request = requests_at(core->requests, slot);
    struct route *route = core->routes[request->route];
    request->failed_process = lost->number;
    core->counters.repeated++;
    if (route->state == ROUTE_SERVED) {
        send_to_primary(core, route, slot, false, actions);
        return;
    }
    if (core->waiting_count >= core->queue_max) {
        const char *sentence =
            arena_printf(&actions->arena, "%s was lost (%s) while it ran the query, and %s holds %u waiting queries",
                         lost->name, lost->left_why, core->name, core->waiting_count);
        end_with_failure(core, slot, make_failure(actions, -EAGAIN, true, lost->name, sentence), actions);
        return;
    }
    requests_wait(core->requests, slot, &route->waiting);
    core->waiting_count++;
    core->waiting_bytes += request->bytes;
}

void gateway_move_queries(struct gateway_core *core, struct candidate *candidate, struct gateway_actions *actions)
{
    while (candidate->running.first != REQUEST_NONE) {
        uint32_t slot = candidate->running.first;
        switch (request_fate(requests_at(core->requests, slot))) {
        case REQUEST_REPEAT:
            repeat(core, slot, candidate, actions);
            break;
        case REQUEST_NOT_AGAIN:
            end_unrepeatable(core, slot, candidate, actions);
            break;
        case REQUEST_SECOND_LOSS:
            end_after_second_loss(core, slot, candidate, actions);
            break;
        }
    }
}

/* ---- deadlines ---- */

static void expire(struct gateway_core *core, uint32_t slot, struct gateway_actions *actions)
{
    const struct request *request = requests_at(core->requests, slot);
    const struct route *route = core->routes[request->route];
    char duration[32];
    text_duration(duration, sizeof duration, (double)request->timeout_ms);
    const char *process = "";
    const char *sentence;
    if (request->state == REQUEST_RUNNING) {
        process = core->processes[request->process]->name;
        sentence = arena_printf(&actions->arena, "%s did not answer within %s", process, duration);
        cancel_upstream(core, slot, actions);
    } else {
        sentence = arena_printf(&actions->arena, "no process of %s was available within %s: %s", route->name, duration,
                                gateway_explain_route(route, actions));
    }
    end_with_failure(core, slot, make_failure(actions, -ETIMEDOUT, true, process, sentence), actions);
}

void gateway_tick_requests(struct gateway_core *core, struct gateway_actions *actions)
{
    uint32_t slot;
    while ((slot = requests_expired(core->requests, core->now_ms)) != REQUEST_NONE)
        expire(core, slot, actions);
}

void gateway_fail_unknown(struct gateway_core *core, struct gateway_actions *actions)
{
    for (uint32_t i = 0; i < core->route_count; i++) {
        struct route *route = core->routes[i];
        while (route->candidate_end == 0 && route->waiting.first != REQUEST_NONE) {
            const char *sentence = describe_unknown(core, route->name, strlen(route->name), actions);
            end_with_failure(core, route->waiting.first, make_failure(actions, -ENOENT, false, "", sentence), actions);
        }
    }
}
