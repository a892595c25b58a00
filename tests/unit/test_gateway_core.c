/* libs: gemel_gateway_core gemel_wire gemel_base */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/text.h"
#include "gateway/core/gateway_core.h"
#include "tests/unit/testing.h"

/* A small world around one core: two hosts, a route with two instances, processes that answer when told to, clients
 * that count what they get. All times are virtual. */
enum {
    HOSTS = 2,
    QUERIES_MAX = 20000,
    LOG_BYTES = 64 * 1024
};

enum fate {
    NOT_ASKED,
    PENDING,
    ANSWERED,
    FAILED
};

struct process {
    const char *name;
    const char *endpoint;
    uint64_t start;
    bool up;   /* its port accepts and it answers */
    bool mute; /* hung: accepts nothing, answers nothing */
    bool linked;
    uint32_t number; /* by the core; UINT32_MAX: not dialled yet */
    uint32_t link;
    uint64_t todo[QUERIES_MAX]; /* upstream ids that it has and has not answered */
    uint32_t todo_count;
    uint32_t received;
};

struct query {
    enum fate fate;
    int sends;
    bool released; /* its slot */
    int code;
    char sentence[512];
};

struct world {
    struct gateway_core *core;
    struct gateway_actions actions;
    int64_t now_ms;
    struct process processes[HOSTS];
    bool daemon_mute[HOSTS];
    uint32_t slot_query[GATEWAY_REQUESTS_MAX]; /* query of a slot */
    struct query *queries;
    uint32_t query_count;
    uint32_t last_query;
    struct text log;
    char *reply; /* cells of the last AdminReply, one row a line */
    int reply_code;
    Gemel__RouteSeen seen; /* last report */
    uint32_t reports;
    uint32_t stale_epochs;
    uint64_t saved_epoch;
    uint32_t lookups;
    uint32_t lookup_entries;
    uint32_t pings;
};

static void step(struct world *w, struct gateway_event *event);

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
    step(w, &event);
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

static void step(struct world *w, struct gateway_event *event)
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
            step(w, &(struct gateway_event){.type = GATEWAY_EVENT_DAEMON_PONG,
                                            .daemon = {.host = (uint32_t)i, .incarnation = 1}});
    }
}

/* ---- what happens to the core ---- */

static void report(struct world *w, int host, Gemel__ProcessState state, const char *why, const char *stale)
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
    step(w, &(struct gateway_event){.type = GATEWAY_EVENT_DAEMON_REPORTS,
                                    .daemon = {.host = (uint32_t)host, .incarnation = 1, .reports = &reports}});
}

/* Links that were dialled open or are refused. */
static void settle_links(struct world *w)
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

static void run_until(struct world *w, int64_t until_ms)
{
    while (w->now_ms < until_ms) {
        settle_links(w);
        int64_t wakeup_ms = gateway_core_next_wakeup_ms(w->core);
        w->now_ms = wakeup_ms < until_ms ? (wakeup_ms > w->now_ms ? wakeup_ms : w->now_ms + 1) : until_ms;
        step(w, &(struct gateway_event){.type = GATEWAY_EVENT_TICK});
    }
    settle_links(w);
}

static void start_process(struct world *w, int host)
{
    struct process *process = &w->processes[host];
    process->start++;
    process->up = true;
    process->mute = false;
    report(w, host, GEMEL__PROCESS_STATE__PROCESS_READY, "", "");
    settle_links(w);
}

/* Its connection closes; the daemon says so later. */
static void kill_process(struct world *w, int host)
{
    struct process *process = &w->processes[host];
    process->up = false;
    process->todo_count = 0;
    if (!process->linked)
        return;
    process->linked = false;
    send_link_event(w, process, GATEWAY_EVENT_LINK_CLOSED, 0);
}

static uint32_t ask_target(struct world *w, uint32_t client, const char *target, bool idempotent, uint32_t timeout_ms)
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
    step(w, &event);
    return number;
}

static uint32_t ask(struct world *w)
{
    return ask_target(w, 0, "P.rdb.0", true, 0);
}

static void answer_all(struct world *w, int host)
{
    struct process *process = &w->processes[host];
    uint32_t count = process->todo_count;
    process->todo_count = 0;
    for (uint32_t i = 0; i < count; i++)
        send_link_event(w, process, GATEWAY_EVENT_LINK_ANSWER, process->todo[i]);
}

static void open_client(struct world *w, uint32_t client)
{
    step(w, &(struct gateway_event){.type = GATEWAY_EVENT_CLIENT_OPEN, .client = {.client = client}});
}

static void admin(struct world *w, const char *verb, const char *const *arguments)
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
    step(w, &(struct gateway_event){.type = GATEWAY_EVENT_ADMIN,
                                    .admin = {.request = &request, .wall_ns = 36061234000000}});
}

static void publish(struct world *w, uint32_t instance, uint64_t version, uint64_t epoch)
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
    step(w, &(struct gateway_event){.type = GATEWAY_EVENT_ROUTES, .control = {.epoch = epoch, .routes = &routes}});
}

static void set_up_bare(struct world *w)
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
    open_client(w, 0);
    for (uint32_t host = 0; host < HOSTS; host++)
        step(w, &(struct gateway_event){.type = GATEWAY_EVENT_DAEMON_UP, .daemon = {.host = host}});
    step(w, &(struct gateway_event){.type = GATEWAY_EVENT_CONTROL_UP});
}

static struct world *set_up(void)
{
    struct world *w = memory_alloc(sizeof *w);
    set_up_bare(w);
    start_process(w, 0);
    start_process(w, 1);
    run_until(w, w->now_ms + 50);
    text_clear(&w->log);
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 0);
    return w;
}

static void tear_down(struct world *w)
{
    gateway_core_destroy(&w->core);
    memory_free(w->queries);
    memory_free(w->reply);
    text_fini(&w->log);
    memory_free(w);
}

/* ---- stories ---- */

static void test_a_query_goes_to_the_primary_and_its_answer_back(void **state)
{
    (void)state;
    struct world *w = set_up();
    uint32_t query = ask(w);
    assert_int_equal(w->processes[0].todo_count, 1);
    answer_all(w, 0);
    assert_int_equal(w->queries[query].fate, ANSWERED);
    tear_down(w);
}

static void test_a_closed_link_fails_over_with_the_four_lines_and_repeats_at_once(void **state)
{
    (void)state;
    struct world *w = set_up();
    uint32_t query = ask(w);
    kill_process(w, 0);
    assert_string_equal(
        w->log.data,
        "1|Active downstream process has disconnected [ Process: P.0.rdb.0 ]\n"
        "0|Attempting auto-failover to new process instance [ Process: P.0.rdb.0 ] [ Pipeline: P ] [ Instance: 0 ] "
        "[ New: 1 ]\n"
        "0|Validating new instance process is available [ Process Name: P.1.rdb.0 ]\n"
        "0|Updating process primary configuration [ Source: P.0.rdb.0 ] [ New: P.1.rdb.0 ]\n");
    assert_int_equal(w->processes[1].todo_count, 1);
    answer_all(w, 1);
    assert_int_equal(w->queries[query].fate, ANSWERED);
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 1);
    tear_down(w);
}

static void test_nobody_left_is_an_error_line_and_the_query_waits(void **state)
{
    (void)state;
    struct world *w = set_up();
    kill_process(w, 1);
    text_clear(&w->log);
    uint32_t query = ask(w);
    kill_process(w, 0);
    assert_non_null(strstr(w->log.data, "2|No process instance available for failover [ Process: P.0.rdb.0 ] "
                                        "[ Queued: 1 ] [ Why: P.0.rdb.0: disconnected"));
    assert_int_equal(w->queries[query].fate, PENDING);
    start_process(w, 1);
    run_until(w, w->now_ms + 300);
    answer_all(w, 1);
    assert_int_equal(w->queries[query].fate, ANSWERED);
    tear_down(w);
}

static void test_a_death_of_two_processes_ends_the_query_names_both_and_quarantines(void **state)
{
    (void)state;
    struct world *w = set_up();
    uint32_t query = ask(w);
    kill_process(w, 0);
    kill_process(w, 1);
    assert_int_equal(w->queries[query].fate, FAILED);
    assert_non_null(strstr(w->queries[query].sentence, "P.0.rdb.0 (connection reset) and then P.1.rdb.0"));
    start_process(w, 0);
    run_until(w, w->now_ms + 300);
    /* The same query (fingerprint) again. */
    w->query_count = query;
    query = ask(w);
    assert_int_equal(w->queries[query].fate, FAILED);
    assert_int_equal(w->queries[query].code, -EPERM);
    run_until(w, w->now_ms + 61000);
    w->query_count = query;
    query = ask(w);
    assert_int_equal(w->queries[query].fate, PENDING);
    tear_down(w);
}

static void test_what_is_not_idempotent_is_not_repeated(void **state)
{
    (void)state;
    struct world *w = set_up();
    uint32_t query = ask_target(w, 0, "P.rdb.0", false, 0);
    kill_process(w, 0);
    assert_int_equal(w->queries[query].fate, FAILED);
    assert_int_equal(w->queries[query].code, -ECONNRESET);
    assert_int_equal(w->processes[1].received, 0);
    tear_down(w);
}

static void test_a_hung_process_is_left_within_the_hang_timeout_under_load(void **state)
{
    (void)state;
    struct world *w = set_up();
    uint32_t query = ask(w);
    int64_t hung_at_ms = w->now_ms;
    w->processes[0].mute = true;
    while (gateway_core_primary(w->core, "P.rdb.0") == 0)
        run_until(w, w->now_ms + 1);
    assert_in_range(w->now_ms - hung_at_ms, 900, 1005);
    assert_non_null(strstr(w->log.data, "1|Active downstream process is not usable [ Process: P.0.rdb.0 ] "
                                        "[ Reason: hung 10"));
    answer_all(w, 1);
    assert_int_equal(w->queries[query].fate, ANSWERED);
    tear_down(w);
}

static void test_a_silent_host_is_left_after_three_pings(void **state)
{
    (void)state;
    struct world *w = set_up();
    run_until(w, w->now_ms + 1000);
    int64_t silent_at_ms = w->now_ms;
    w->processes[0].mute = true;
    w->daemon_mute[0] = true;
    while (gateway_core_primary(w->core, "P.rdb.0") == 0)
        run_until(w, w->now_ms + 1);
    assert_in_range(w->now_ms - silent_at_ms, 200, 305);
    assert_non_null(strstr(w->log.data, "[ Reason: host silent 30"));
    tear_down(w);
}

static void test_a_gateway_that_slept_moves_nothing(void **state)
{
    (void)state;
    struct world *w = set_up();
    w->now_ms += 5000;
    step(w, &(struct gateway_event){.type = GATEWAY_EVENT_TICK});
    run_until(w, w->now_ms + 2000);
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 0);
    tear_down(w);
}

static void test_a_stale_primary_is_left_with_its_reason(void **state)
{
    (void)state;
    struct world *w = set_up();
    report(w, 0, GEMEL__PROCESS_STATE__PROCESS_READY, "", "tp down");
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 1);
    assert_non_null(strstr(w->log.data, "[ Reason: stale: tp down ]"));
    assert_true(w->seen.confirmed);
    tear_down(w);
}

static void test_a_lost_link_is_local_until_the_daemon_confirms_the_death(void **state)
{
    (void)state;
    struct world *w = set_up();
    publish(w, 0, 1, 257);
    w->reports = 0;
    kill_process(w, 0);
    assert_int_equal(w->reports, 1);
    assert_false(w->seen.confirmed);
    assert_true(w->seen.local);
    report(w, 0, GEMEL__PROCESS_STATE__PROCESS_BACKOFF, "exited: signal 9", "");
    assert_int_equal(w->reports, 2);
    assert_true(w->seen.confirmed);
    assert_int_equal(w->seen.instance, 1);
    publish(w, 1, 2, 257);
    assert_false(w->seen.local);
    tear_down(w);
}

static void test_it_does_not_go_back_by_itself_but_by_order(void **state)
{
    (void)state;
    struct world *w = set_up();
    kill_process(w, 0);
    report(w, 0, GEMEL__PROCESS_STATE__PROCESS_BACKOFF, "exited: signal 9", "");
    start_process(w, 0);
    run_until(w, w->now_ms + 5000);
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 1);
    assert_true(gateway_core_is_registered(w->core, "P.0.rdb.0"));
    uint32_t query = ask(w);
    admin(w, "failover.failover", (const char *[]){"pipeline", "P", "to-instance", "0", NULL});
    assert_int_equal(w->reply_code, 0);
    assert_string_equal(w->reply, "P.rdb.0|P.1.rdb.0|P.0.rdb.0|moved\n");
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 0);
    answer_all(w, 1); /* what ran there ends there */
    assert_int_equal(w->queries[query].fate, ANSWERED);
    tear_down(w);
}

static void test_an_order_to_a_target_that_is_down_is_refused_unless_forced(void **state)
{
    (void)state;
    struct world *w = set_up();
    kill_process(w, 1);
    admin(w, "failover.failover", (const char *[]){"pipeline", "P", "to-instance", "1", NULL});
    assert_int_equal(w->reply_code, 6);
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 0);
    admin(w, "failover.failover", (const char *[]){"pipeline", "P", "to-instance", "1", "force", "", NULL});
    assert_int_equal(w->reply_code, 0);
    uint32_t query = ask(w);
    assert_int_equal(w->queries[query].fate, PENDING);
    assert_int_equal(w->processes[0].received, 0);
    start_process(w, 1);
    run_until(w, w->now_ms + 300);
    answer_all(w, 1);
    assert_int_equal(w->queries[query].fate, ANSWERED);
    tear_down(w);
}

static void test_a_dry_run_moves_nothing(void **state)
{
    (void)state;
    struct world *w = set_up();
    admin(w, "failover.failover",
          (const char *[]){"pipeline", "P", "to-instance", "1", "process", "rdb.0", "dry-run", "", NULL});
    assert_int_equal(w->reply_code, 0);
    assert_string_equal(w->reply, "P.rdb.0|P.0.rdb.0|P.1.rdb.0|would move\n");
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 0);
    admin(w, "failover.failover", (const char *[]){"pipeline", "Q", "to-instance", "1", NULL});
    assert_int_equal(w->reply_code, 1);
    admin(w, "failover.failover", (const char *[]){"pipeline", "P", NULL});
    assert_int_equal(w->reply_code, 2);
    tear_down(w);
}

static void test_the_status_is_the_table_of_the_guide(void **state)
{
    (void)state;
    struct world *w = set_up();
    ask(w);
    w->now_ms += 234;
    admin(w, "failover.status", (const char *[]){"pipeline", "P", NULL});
    assert_string_equal(w->reply, "P.0.rdb.0|P|0|yes|yes|yes|10:01:01.000\nP.1.rdb.0|P|1|no|yes|no|\n");
    admin(w, "gateway.status", NULL);
    assert_non_null(strstr(w->reply, "E.0.gw.0|1|0|0"));
    tear_down(w);
}

static void test_an_exit_report_is_a_fact_even_when_the_link_looks_open(void **state)
{
    (void)state;
    struct world *w = set_up();
    uint32_t query = ask(w);
    report(w, 0, GEMEL__PROCESS_STATE__PROCESS_BACKOFF, "exited: signal 9", "");
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 1);
    answer_all(w, 1);
    assert_int_equal(w->queries[query].fate, ANSWERED);
    tear_down(w);
}

static void test_a_late_answer_of_a_left_process_is_dropped(void **state)
{
    (void)state;
    struct world *w = set_up();
    uint32_t query = ask(w);
    uint64_t old_id = w->processes[0].todo[0];
    uint32_t old_link = w->processes[0].link;
    report(w, 0, GEMEL__PROCESS_STATE__PROCESS_BACKOFF, "exited: signal 9", "");
    struct gateway_event late = {.type = GATEWAY_EVENT_LINK_ANSWER};
    late.link.process = w->processes[0].number;
    late.link.link = old_link;
    late.link.request_id = old_id;
    step(w, &late);
    assert_int_equal(w->queries[query].fate, PENDING);
    struct gateway_counters counters;
    gateway_core_count(w->core, &counters);
    assert_int_equal(counters.late_answers, 1);
    answer_all(w, 1);
    assert_int_equal(w->queries[query].fate, ANSWERED);
    tear_down(w);
}

static void test_a_restarted_process_is_not_registered_before_it_is_said_to_be_ready(void **state)
{
    (void)state;
    struct world *w = set_up();
    kill_process(w, 1);
    /* It is back on its port, but the report is still that of its old run. */
    w->processes[1].start++;
    w->processes[1].up = true;
    run_until(w, w->now_ms + 300);
    assert_true(w->processes[1].linked);
    assert_false(gateway_core_is_registered(w->core, "P.1.rdb.0"));
    report(w, 1, GEMEL__PROCESS_STATE__PROCESS_READY, "", "");
    assert_true(gateway_core_is_registered(w->core, "P.1.rdb.0"));
    tear_down(w);
}

static void test_a_late_word_about_the_old_run_does_not_cut_the_link_to_the_new_one(void **state)
{
    (void)state;
    struct world *w = set_up();
    kill_process(w, 1);
    w->processes[1].start++;
    w->processes[1].up = true;
    run_until(w, w->now_ms + 300);
    uint32_t link = w->processes[1].link;
    w->processes[1].start--;
    report(w, 1, GEMEL__PROCESS_STATE__PROCESS_BACKOFF, "exited: signal 9", "");
    w->processes[1].start++;
    report(w, 1, GEMEL__PROCESS_STATE__PROCESS_READY, "", "");
    assert_true(gateway_core_is_registered(w->core, "P.1.rdb.0"));
    assert_int_equal(w->processes[1].link, link);
    tear_down(w);
}

static void test_the_end_of_an_earlier_dial_does_not_end_the_link(void **state)
{
    (void)state;
    struct world *w = set_up();
    uint32_t old_link = w->processes[0].link;
    kill_process(w, 0);
    start_process(w, 0);
    run_until(w, w->now_ms + 300);
    assert_true(gateway_core_is_registered(w->core, "P.0.rdb.0"));
    struct gateway_event late = {.type = GATEWAY_EVENT_LINK_CLOSED};
    late.link.process = w->processes[0].number;
    late.link.link = old_link;
    late.link.why = "late";
    step(w, &late);
    assert_true(gateway_core_is_registered(w->core, "P.0.rdb.0"));
    tear_down(w);
}

static void test_deadlines_end_waiting_and_running_queries(void **state)
{
    (void)state;
    struct world *w = set_up();
    uint32_t running = ask_target(w, 0, "P.rdb.0", true, 500);
    run_until(w, w->now_ms + 499);
    assert_int_equal(w->queries[running].fate, PENDING);
    run_until(w, w->now_ms + 1);
    assert_int_equal(w->queries[running].code, -ETIMEDOUT);
    assert_non_null(strstr(w->queries[running].sentence, "P.0.rdb.0 did not answer within 500 ms"));
    kill_process(w, 0);
    kill_process(w, 1);
    uint32_t waiting = ask_target(w, 0, "P.rdb.0", true, 500);
    run_until(w, w->now_ms + 500);
    assert_int_equal(w->queries[waiting].code, -ETIMEDOUT);
    assert_non_null(strstr(w->queries[waiting].sentence, "no process of P.rdb.0 was available"));
    tear_down(w);
}

static void test_the_waiting_queue_is_bounded(void **state)
{
    (void)state;
    struct world *w = set_up();
    kill_process(w, 0);
    kill_process(w, 1);
    uint32_t query = 0;
    for (int i = 0; i < 101; i++)
        query = ask(w);
    assert_int_equal(w->queries[query].code, -EAGAIN);
    assert_int_equal(w->queries[query - 1].fate, PENDING);
    tear_down(w);
}

static void test_an_unknown_target_is_waited_for_only_until_all_daemons_have_spoken(void **state)
{
    (void)state;
    struct world *w = memory_alloc(sizeof *w);
    set_up_bare(w);
    uint32_t early = ask_target(w, 0, "P.rdb.0", true, 0);
    uint32_t never = ask_target(w, 0, "P.nope.0", true, 0);
    uint32_t wrong = ask_target(w, 0, "nonsense", true, 0);
    assert_int_equal(w->queries[wrong].code, -ENOENT);
    assert_int_equal(w->queries[never].fate, PENDING);
    start_process(w, 0);
    start_process(w, 1);
    assert_int_equal(w->queries[never].code, -ENOENT);
    run_until(w, w->now_ms + 100);
    answer_all(w, 0);
    assert_int_equal(w->queries[early].fate, ANSWERED);
    never = ask_target(w, 0, "P.nope.0", true, 0);
    assert_int_equal(w->queries[never].code, -ENOENT);
    tear_down(w);
}

static void test_a_client_that_leaves_takes_its_queries_with_it(void **state)
{
    (void)state;
    struct world *w = set_up();
    open_client(w, 5);
    uint32_t query = ask_target(w, 5, "P.rdb.0", true, 0);
    step(w, &(struct gateway_event){.type = GATEWAY_EVENT_CLIENT_CLOSED, .client = {.client = 5}});
    assert_true(w->queries[query].released);
    answer_all(w, 0);
    assert_int_equal(w->queries[query].fate, PENDING); /* nobody to answer to */
    open_client(w, 5);
    tear_down(w);
}

static void test_a_cancelled_query_ends_at_once(void **state)
{
    (void)state;
    struct world *w = set_up();
    uint32_t query = ask(w);
    step(w, &(struct gateway_event){.type = GATEWAY_EVENT_CANCEL, .client = {.client = 0, .request_id = query}});
    assert_int_equal(w->queries[query].code, -ECANCELED);
    answer_all(w, 0);
    assert_int_equal(w->queries[query].fate, FAILED);
    tear_down(w);
}

static void test_a_stale_epoch_is_answered_and_changes_nothing(void **state)
{
    (void)state;
    struct world *w = set_up();
    publish(w, 1, 1, 513);
    assert_int_equal(w->saved_epoch, 513);
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 1);
    publish(w, 0, 2, 512);
    assert_int_equal(w->stale_epochs, 1);
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 1);
    tear_down(w);
}

static void test_watched_look_ups_are_answered_again_on_change(void **state)
{
    (void)state;
    struct world *w = set_up();
    Gemel__Lookup lookup = GEMEL__LOOKUP__INIT;
    lookup.pattern = (char *)"P.*.rdb.0";
    lookup.watch = true;
    step(w, &(struct gateway_event){.type = GATEWAY_EVENT_LOOKUP, .lookup = {.request_id = 9, .lookup = &lookup}});
    assert_int_equal(w->lookups, 1);
    assert_int_equal(w->lookup_entries, 2);
    report(w, 0, GEMEL__PROCESS_STATE__PROCESS_BACKOFF, "exited: signal 9", "");
    assert_int_equal(w->lookups, 2);
    lookup.pattern = (char *)"P.*.tp.*";
    lookup.watch = false;
    step(w, &(struct gateway_event){.type = GATEWAY_EVENT_LOOKUP, .lookup = {.request_id = 10, .lookup = &lookup}});
    assert_int_equal(w->lookup_entries, 0);
    tear_down(w);
}

static void test_events_without_sense_are_refused(void **state)
{
    (void)state;
    struct world *w = set_up();
    struct gateway_actions actions;
    gateway_actions_init(&actions);
    struct gateway_event events[] = {
        {.type = GATEWAY_EVENT_DAEMON_UP, .daemon = {.host = 2}},
        {.type = GATEWAY_EVENT_CONTROL_UP, .control = {.control = 1}},
        {.type = GATEWAY_EVENT_ROUTES},
        {.type = GATEWAY_EVENT_LINK_PONG, .link = {.process = 77}},
        {.type = GATEWAY_EVENT_CLIENT_OPEN, .client = {.client = 0}},
        {.type = GATEWAY_EVENT_CLIENT_CLOSED, .client = {.client = 4}},
        {.type = GATEWAY_EVENT_CLIENT_OPEN, .client = {.client = GATEWAY_CLIENTS_MAX}},
        {.type = GATEWAY_EVENT_QUERY, .query = {.client = 4, .target = "P.rdb.0", .target_bytes = 7}},
        {.type = GATEWAY_EVENT_ADMIN},
        {.type = GATEWAY_EVENT_LOOKUP},
    };
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        events[i].now_ms = w->now_ms;
        assert_int_equal(gateway_core_step(w->core, &events[i], &actions), -EINVAL);
        assert_int_equal(actions.count, 0);
    }
    gateway_actions_fini(&actions);
    tear_down(w);
}

/* ---- the forwarder ---- */

static void test_a_forwarder_uses_the_first_live_gateway_for_every_target(void **state)
{
    (void)state;
    struct world *w = memory_alloc(sizeof *w);
    struct gateway_upstream upstreams[] = {{"P.0.rdb.0", "127.0.0.1:5010"}, {"P.1.rdb.0", "127.0.0.2:5010"}};
    struct gateway_config config = {
        .name = "gw-client", .upstream_count = 2, .upstreams = upstreams, .startup_timeout_ms = 1, .quarantine_ms = -1};
    assert_int_equal(gateway_core_create(&w->core, &config), 0);
    w->queries = memory_alloc_array(QUERIES_MAX, sizeof *w->queries);
    text_init(&w->log, LOG_BYTES);
    w->processes[0] = (struct process){.name = "P.0.rdb.0", .number = UINT32_MAX, .up = true};
    w->processes[1] = (struct process){.name = "P.1.rdb.0", .number = UINT32_MAX, .up = true};
    open_client(w, 0);
    run_until(w, 1000);
    uint32_t one = ask_target(w, 0, "Any.thing.0", true, 0);
    assert_int_equal(w->processes[0].todo_count, 1);
    kill_process(w, 0);
    assert_int_equal(w->processes[1].todo_count, 1);
    answer_all(w, 1);
    assert_int_equal(w->queries[one].fate, ANSWERED);
    w->processes[0].up = true;
    run_until(w, 3000);
    assert_true(w->processes[0].linked);
    ask_target(w, 0, "Other.thing.3", true, 0);
    assert_int_equal(w->processes[1].todo_count, 1);
    tear_down(w);
}

/* ---- any order of deaths, hangs, restarts, orders and queries ---- */

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void act_at_random(struct world *w, uint32_t *random)
{
    int host = (int)(next_random(random) % HOSTS);
    struct process *process = &w->processes[host];
    switch (next_random(random) % 12) {
    case 0:
        kill_process(w, host);
        break;
    case 1:
        if (!process->up)
            start_process(w, host);
        break;
    case 2:
        if (process->up)
            process->mute = !process->mute;
        break;
    case 3:
        if (!process->up)
            report(w, host, GEMEL__PROCESS_STATE__PROCESS_BACKOFF, "exited: signal 9", "");
        else
            report(w, host, GEMEL__PROCESS_STATE__PROCESS_READY, "", next_random(random) % 2 ? "" : "tp down");
        break;
    case 4:
        publish(w, (uint32_t)host, next_random(random) % 50, 256 + next_random(random) % 3);
        break;
    case 5:
        w->daemon_mute[host] = !w->daemon_mute[host];
        break;
    case 6:
        run_until(w, w->now_ms + next_random(random) % 500);
        break;
    default:
        for (uint32_t i = next_random(random) % 8; i > 0; i--)
            ask_target(w, 0, "P.rdb.0", next_random(random) % 10 != 0, 1 + next_random(random) % 3000);
        if (!process->mute && process->linked)
            answer_all(w, host);
        break;
    }
}

static void heal(struct world *w)
{
    for (int host = 0; host < HOSTS; host++) {
        w->daemon_mute[host] = false;
        kill_process(w, host);
        start_process(w, host);
    }
    run_until(w, w->now_ms + 2500);
    assert_true(gateway_core_is_registered(w->core, "P.0.rdb.0"));
    assert_true(gateway_core_is_registered(w->core, "P.1.rdb.0"));
    assert_int_not_equal(gateway_core_primary(w->core, "P.rdb.0"), UINT32_MAX);
}

static void test_every_query_ends_once_whatever_dies_when(void **state)
{
    (void)state;
    const char *given = getenv("GEMEL_SEED");
    uint32_t first = given != NULL ? (uint32_t)strtoul(given, NULL, 10) : 1;
    uint32_t last = given != NULL ? first : 300;
    for (uint32_t seed = first; seed <= last; seed++) {
        uint32_t random = seed;
        struct world *w = set_up();
        for (int i = 0; i < 300; i++) {
            act_at_random(w, &random);
            if (!w->processes[0].mute && w->processes[0].linked)
                answer_all(w, 0);
        }
        heal(w);
        answer_all(w, 0);
        answer_all(w, 1);
        run_until(w, w->now_ms + 4000);
        for (uint32_t i = 0; i < w->query_count; i++)
            if (w->queries[i].fate == PENDING)
                fail_msg("seed %u: query %u has neither an answer nor an error", seed, i);
        uint32_t query = ask(w);
        answer_all(w, (int)gateway_core_primary(w->core, "P.rdb.0"));
        assert_int_equal(w->queries[query].fate, ANSWERED);
        struct gateway_counters counters;
        gateway_core_count(w->core, &counters);
        assert_int_equal(counters.waiting + counters.running, 0);
        assert_int_equal(counters.queries, counters.answered + counters.failed);
        tear_down(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_query_goes_to_the_primary_and_its_answer_back),
        cmocka_unit_test(test_a_closed_link_fails_over_with_the_four_lines_and_repeats_at_once),
        cmocka_unit_test(test_nobody_left_is_an_error_line_and_the_query_waits),
        cmocka_unit_test(test_a_death_of_two_processes_ends_the_query_names_both_and_quarantines),
        cmocka_unit_test(test_what_is_not_idempotent_is_not_repeated),
        cmocka_unit_test(test_a_hung_process_is_left_within_the_hang_timeout_under_load),
        cmocka_unit_test(test_a_silent_host_is_left_after_three_pings),
        cmocka_unit_test(test_a_gateway_that_slept_moves_nothing),
        cmocka_unit_test(test_a_stale_primary_is_left_with_its_reason),
        cmocka_unit_test(test_a_lost_link_is_local_until_the_daemon_confirms_the_death),
        cmocka_unit_test(test_it_does_not_go_back_by_itself_but_by_order),
        cmocka_unit_test(test_an_order_to_a_target_that_is_down_is_refused_unless_forced),
        cmocka_unit_test(test_a_dry_run_moves_nothing),
        cmocka_unit_test(test_the_status_is_the_table_of_the_guide),
        cmocka_unit_test(test_an_exit_report_is_a_fact_even_when_the_link_looks_open),
        cmocka_unit_test(test_a_late_answer_of_a_left_process_is_dropped),
        cmocka_unit_test(test_a_restarted_process_is_not_registered_before_it_is_said_to_be_ready),
        cmocka_unit_test(test_a_late_word_about_the_old_run_does_not_cut_the_link_to_the_new_one),
        cmocka_unit_test(test_the_end_of_an_earlier_dial_does_not_end_the_link),
        cmocka_unit_test(test_deadlines_end_waiting_and_running_queries),
        cmocka_unit_test(test_the_waiting_queue_is_bounded),
        cmocka_unit_test(test_an_unknown_target_is_waited_for_only_until_all_daemons_have_spoken),
        cmocka_unit_test(test_a_client_that_leaves_takes_its_queries_with_it),
        cmocka_unit_test(test_a_cancelled_query_ends_at_once),
        cmocka_unit_test(test_a_stale_epoch_is_answered_and_changes_nothing),
        cmocka_unit_test(test_watched_look_ups_are_answered_again_on_change),
        cmocka_unit_test(test_events_without_sense_are_refused),
        cmocka_unit_test(test_a_forwarder_uses_the_first_live_gateway_for_every_target),
        cmocka_unit_test(test_every_query_ends_once_whatever_dies_when),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
