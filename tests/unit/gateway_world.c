#include "tests/unit/gateway_world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"
#include "tests/unit/testing.h"

static struct process *by_number(struct world *w, uint32_t number)
{
    for (int i = 0; i < HOSTS; i++)
        if (w->processes[i].number == number)
            return &w->processes[i];
    fail_msg("the core names process %u, which nobody has", number);
    return NULL;
}

static void send_link_event(struct world *w, struct process *process, enum gateway_event_type type, uint64_t request_id)
{
    struct gateway_event event = {.type = type};
    event.link.process = process->number;
    event.link.link = process->link;
    event.link.request_id = request_id;
    event.link.peer = process->name;
    event.link.token = (struct token){.placement = 1, .start = process->start};
    event.link.why = "connection reset";
    world_step(w, &event);
}

/* ---- what the core wants ---- */

static void on_reply(struct world *w, const Gemel__AdminReply *reply)
{
    struct text text;
    text_init(&text, 65536);
    w->reply_code = reply->exit_code;
    if (reply->error[0] != '\0')
        text_printf(&text, "%s\n", reply->error);
    for (size_t t = 0; t < reply->n_tables; t++)
        for (size_t r = 0; r < reply->tables[t]->n_rows; r++) {
            assert_int_equal(reply->tables[t]->rows[r]->n_cells, reply->tables[t]->n_columns);
            for (size_t c = 0; c < reply->tables[t]->n_columns; c++)
                text_printf(&text, "%s%s", c > 0 ? "|" : "", reply->tables[t]->rows[r]->cells[c]);
            text_printf(&text, "\n");
        }
    memory_free(w->reply);
    w->reply = memory_strdup(text.data);
    text_fini(&text);
}

static void end_query(struct world *w, const struct gateway_action *action, enum fate fate)
{
    uint32_t number = (uint32_t)action->request.request_id;
    assert_true(number < w->query_count);
    struct query *query = &w->queries[number];
    assert_int_equal(query->fate, PENDING); /* never two answers */
    query->fate = fate;
    query->released = true;
    if (action->request.slot != GATEWAY_NO_SLOT)
        assert_int_equal(w->slot_query[action->request.slot], number);
    if (fate == FAILED) {
        query->code = action->request.failure->code;
        text_copy(query->sentence, sizeof query->sentence, action->request.failure->sentence);
        assert_string_not_equal(query->sentence, "");
    }
}

static void on_forward(struct world *w, const struct gateway_action *action)
{
    struct process *process = by_number(w, action->link.process);
    assert_true(process->linked);
    assert_int_equal(action->link.link, process->link);
    if (action->link.first)
        w->slot_query[action->link.slot] = w->last_query;
    struct query *query = &w->queries[w->slot_query[action->link.slot]];
    assert_int_equal(query->fate, PENDING);
    query->sends++;
    assert_true(query->sends <= 2); /* never a third process */
    process->received++;
    process->todo[process->todo_count++] = action->link.request_id;
}

static void on_action(struct world *w, const struct gateway_action *action)
{
    switch (action->type) {
    case GATEWAY_ACTION_CONNECT:
        for (int i = 0; i < HOSTS; i++)
            if (strcmp(w->processes[i].name, action->link.name) == 0) {
                w->processes[i].number = action->link.process;
                w->processes[i].link = action->link.link;
                w->processes[i].linked = false;
            }
        break;
    case GATEWAY_ACTION_CLOSE:
        by_number(w, action->link.process)->linked = false;
        by_number(w, action->link.process)->todo_count = 0;
        break;
    case GATEWAY_ACTION_FORWARD:
        on_forward(w, action);
        break;
    case GATEWAY_ACTION_HOLD:
        w->slot_query[action->request.slot] = w->last_query;
        break;
    case GATEWAY_ACTION_ANSWER:
        end_query(w, action, ANSWERED);
        break;
    case GATEWAY_ACTION_FAIL:
        end_query(w, action, FAILED);
        break;
    case GATEWAY_ACTION_RELEASE:
        w->queries[w->slot_query[action->request.slot]].released = true;
        break;
    case GATEWAY_ACTION_LOG:
        text_printf(&w->log, "%d|%s\n", (int)action->log.level, action->log.sentence);
        break;
    case GATEWAY_ACTION_ADMIN_REPLY:
        on_reply(w, action->admin.reply);
        break;
    case GATEWAY_ACTION_REPORT:
        w->reports++;
        assert_true(action->control.report->n_seen > 0);
        w->seen = *action->control.report->seen[0];
        break;
    case GATEWAY_ACTION_STALE_EPOCH:
        w->stale_epochs++;
        break;
    case GATEWAY_ACTION_SAVE_EPOCH:
        w->saved_epoch = action->control.epoch;
        break;
    case GATEWAY_ACTION_LOOKUP_REPLY:
        w->lookups++;
        w->lookup_entries = (uint32_t)action->lookup.reply->n_entries;
        break;
    case GATEWAY_ACTION_PING:
        w->pings++;
        break;
    case GATEWAY_ACTION_CANCEL:
    case GATEWAY_ACTION_SUBSCRIBE:
    case GATEWAY_ACTION_PING_DAEMON:
    case GATEWAY_ACTION_HELLO:
        break;
    }
}

void world_step(struct world *w, struct gateway_event *event)
{
    struct gateway_actions actions;
    gateway_actions_init(&actions);
    event->now_ms = w->now_ms;
    assert_int_equal(gateway_core_step(w->core, event, &actions), 0);
    for (size_t i = 0; i < actions.count; i++)
        on_action(w, &actions.items[i]);
    bool pinged[HOSTS] = {false};
    bool daemon_pinged[HOSTS] = {false};
    for (size_t i = 0; i < actions.count; i++) {
        if (actions.items[i].type == GATEWAY_ACTION_PING)
            pinged[by_number(w, actions.items[i].link.process) - w->processes] = true;
        if (actions.items[i].type == GATEWAY_ACTION_PING_DAEMON)
            daemon_pinged[actions.items[i].host] = true;
    }
    gateway_actions_fini(&actions);
    for (int i = 0; i < HOSTS; i++) {
        struct process *process = &w->processes[i];
        if (pinged[i] && process->linked && !process->mute)
            send_link_event(w, process, GATEWAY_EVENT_LINK_PONG, 0);
        if (daemon_pinged[i] && !w->daemon_mute[i])
            world_step(w, &(struct gateway_event){.type = GATEWAY_EVENT_DAEMON_PONG,
                                                  .daemon = {.host = (uint32_t)i, .incarnation = 1}});
    }
}

/* ---- what happens to the core ---- */

void world_report(struct world *w, int host, Gemel__ProcessState state, const char *why, const char *stale)
{
    struct process *process = &w->processes[host];
    Gemel__ProcessReport one = GEMEL__PROCESS_REPORT__INIT;
    Gemel__ProcessReport *list[] = {&one};
    Gemel__ProcessReports reports = GEMEL__PROCESS_REPORTS__INIT;
    one.process = (char *)process->name;
    one.host = (char *)(host == 0 ? "a" : "b");
    one.placement = 1;
    one.start = process->start;
    one.state = state;
    one.endpoint = (char *)process->endpoint;
    one.routable = true;
    one.expose_to_gw = true;
    one.why = (char *)why;
    one.stale = (char *)stale;
    reports.host = one.host;
    reports.full = true;
    reports.n_reports = 1;
    reports.reports = list;
    world_step(w, &(struct gateway_event){.type = GATEWAY_EVENT_DAEMON_REPORTS,
                                          .daemon = {.host = (uint32_t)host, .incarnation = 1, .reports = &reports}});
}

/* Links that were dialled open or are refused. */
void world_settle_links(struct world *w)
{
    for (int i = 0; i < HOSTS; i++) {
        struct process *process = &w->processes[i];
        if (process->number == UINT32_MAX || process->linked || process->mute)
            continue;
        process->linked = process->up;
        send_link_event(w, process, process->up ? GATEWAY_EVENT_LINK_OPEN : GATEWAY_EVENT_LINK_CLOSED, 0);
        if (process->linked && !gateway_core_is_registered(w->core, process->name))
            process->linked = process->up; /* open, but not said to be ready */
    }
}

void world_run_until(struct world *w, int64_t until_ms)
{
    while (w->now_ms < until_ms) {
        world_settle_links(w);
        int64_t wakeup_ms = gateway_core_next_wakeup_ms(w->core);
        w->now_ms = wakeup_ms < until_ms ? (wakeup_ms > w->now_ms ? wakeup_ms : w->now_ms + 1) : until_ms;
        world_step(w, &(struct gateway_event){.type = GATEWAY_EVENT_TICK});
        /* What is due now is done now: a core that asks for the past would keep its loop spinning. */
        if (gateway_core_next_wakeup_ms(w->core) <= w->now_ms)
            world_step(w, &(struct gateway_event){.type = GATEWAY_EVENT_TICK});
        assert_true(gateway_core_next_wakeup_ms(w->core) > w->now_ms);
    }
    world_settle_links(w);
}

void world_start_process(struct world *w, int host)
{
    struct process *process = &w->processes[host];
    process->start++;
    process->up = true;
    process->mute = false;
    world_report(w, host, GEMEL__PROCESS_STATE__PROCESS_READY, "", "");
    world_settle_links(w);
}

/* Its connection closes; the daemon says so later. */
void world_kill_process(struct world *w, int host)
{
    struct process *process = &w->processes[host];
    process->up = false;
    process->todo_count = 0;
    if (!process->linked)
        return;
    process->linked = false;
    send_link_event(w, process, GATEWAY_EVENT_LINK_CLOSED, 0);
}

uint32_t world_ask_target(struct world *w, uint32_t client, const char *target, bool idempotent, uint32_t timeout_ms)
{
    uint32_t number = w->query_count++;
    assert_true(number < QUERIES_MAX);
    w->queries[number] = (struct query){.fate = PENDING};
    w->last_query = number;
    struct gateway_event event = {.type = GATEWAY_EVENT_QUERY};
    event.query.client = client;
    event.query.request_id = number;
    event.query.target = target;
    event.query.target_bytes = strlen(target);
    event.query.timeout_ms = timeout_ms;
    event.query.body_bytes = 64;
    event.query.fingerprint = number;
    event.query.idempotent = idempotent;
    world_step(w, &event);
    return number;
}

uint32_t world_ask(struct world *w)
{
    return world_ask_target(w, 0, "P.rdb.0", true, 0);
}

void world_answer_all(struct world *w, int host)
{
    struct process *process = &w->processes[host];
    uint32_t count = process->todo_count;
    process->todo_count = 0;
    for (uint32_t i = 0; i < count; i++)
        send_link_event(w, process, GATEWAY_EVENT_LINK_ANSWER, process->todo[i]);
}

void world_open_client(struct world *w, uint32_t client)
{
    world_step(w, &(struct gateway_event){.type = GATEWAY_EVENT_CLIENT_OPEN, .client = {.client = client}});
}

void world_admin(struct world *w, const char *verb, const char *const *arguments)
{
    Gemel__Argument items[8];
    Gemel__Argument *list[8];
    Gemel__AdminRequest request = GEMEL__ADMIN_REQUEST__INIT;
    request.verb = (char *)verb;
    request.arguments = list;
    for (; arguments != NULL && arguments[0] != NULL; arguments += 2) {
        gemel__argument__init(&items[request.n_arguments]);
        items[request.n_arguments].name = (char *)arguments[0];
        items[request.n_arguments].value = (char *)arguments[1];
        list[request.n_arguments] = &items[request.n_arguments];
        request.n_arguments++;
    }
    world_step(w, &(struct gateway_event){.type = GATEWAY_EVENT_ADMIN,
                                          .admin = {.request = &request, .wall_ns = 36061234000000}});
}

void world_publish(struct world *w, uint32_t instance, uint64_t version, uint64_t epoch)
{
    Gemel__Route route = GEMEL__ROUTE__INIT;
    Gemel__Route *list[] = {&route};
    Gemel__Routes routes = GEMEL__ROUTES__INIT;
    route.pipeline = (char *)"P";
    route.type = (char *)"rdb";
    route.instance = instance;
    route.version = version;
    routes.n_routes = 1;
    routes.routes = list;
    world_step(w,
               &(struct gateway_event){.type = GATEWAY_EVENT_ROUTES, .control = {.epoch = epoch, .routes = &routes}});
}

void world_create_bare(struct world *w)
{
    memset(w, 0, sizeof *w);
    static const char *const hosts[] = {"a", "b"};
    struct gateway_config config = {.name = "E.0.gw.0", .host_count = HOSTS, .hosts = hosts, .control_count = 1};
    config.queue_max = 100;
    assert_int_equal(gateway_core_create(&w->core, &config), 0);
    w->queries = memory_alloc_array(QUERIES_MAX, sizeof *w->queries);
    text_init(&w->log, LOG_BYTES);
    w->now_ms = 1000;
    w->processes[0] = (struct process){.name = "P.0.rdb.0", .endpoint = "127.0.0.1:7000", .number = UINT32_MAX};
    w->processes[1] = (struct process){.name = "P.1.rdb.0", .endpoint = "127.0.0.2:7000", .number = UINT32_MAX};
    world_open_client(w, 0);
    for (uint32_t host = 0; host < HOSTS; host++)
        world_step(w, &(struct gateway_event){.type = GATEWAY_EVENT_DAEMON_UP, .daemon = {.host = host}});
    world_step(w, &(struct gateway_event){.type = GATEWAY_EVENT_CONTROL_UP});
}

struct world *world_create(void)
{
    struct world *w = memory_alloc(sizeof *w);
    world_create_bare(w);
    world_start_process(w, 0);
    world_start_process(w, 1);
    world_run_until(w, w->now_ms + 50);
    text_clear(&w->log);
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 0);
    return w;
}

void world_destroy(struct world *w)
{
    gateway_core_destroy(&w->core);
    memory_free(w->queries);
    memory_free(w->reply);
    text_fini(&w->log);
    memory_free(w);
}
