/* libs: gemel_control_core */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/wire/wire.h"
#include "control/core/registry.h"
#include "tests/unit/testing.h"

enum {
    DAEMON_A = 1,
    DAEMON_B = 2,
    PROCMGR = 3,
    GATEWAY = 4,
    PING_MS = 100,
    SILENT_MS = 300
};

struct world {
    struct state *state;
    struct registry_core *core;
    struct registry_actions actions;
    struct state_changes changes;
    uint64_t index;
    int64_t now_ms;
};

static int set_up(void **given)
{
    struct world *world = memory_alloc(sizeof *world);
    state_create(&world->state);
    state_changes_init(&world->changes);
    registry_actions_init(&world->actions);
    struct registry_config config = {.host = "aaa",
                                     .ping_ms = PING_MS,
                                     .silent_ms = SILENT_MS,
                                     .missing_timeout_ms = 10000,
                                     .hosts = {"aaa", "bbb"}};
    assert_int_equal(registry_create(&world->core, &config, world->state), 0);
    world->now_ms = 1000;
    *given = world;
    return 0;
}

static int tear_down(void **given)
{
    struct world *world = *given;
    registry_destroy(&world->core);
    registry_actions_fini(&world->actions);
    state_changes_fini(&world->changes);
    state_destroy(&world->state);
    memory_free(world);
    return 0;
}

static char *text(struct world *world, const char *string)
{
    return arena_strdup(&world->changes.arena, string);
}

/* The actions of the newest step only. */
static int step(struct world *world, struct registry_event *event)
{
    registry_actions_reset(&world->actions);
    event->now_ms = world->now_ms;
    return registry_step(world->core, event, &world->actions);
}

static int send(struct world *world, uint64_t peer, const char *sender, Gemel__Envelope__BodyCase body, void *message)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.sender = text(world, sender);
    envelope.incarnation = 7;
    envelope.body_case = body;
    envelope.ping = message; /* a union of pointers */
    struct registry_event event = {.type = REGISTRY_EVENT_MESSAGE, .message = {.peer = peer, .envelope = &envelope}};
    return step(world, &event);
}

static void tick(struct world *world, int64_t after_ms)
{
    world->now_ms += after_ms;
    struct registry_event event = {.type = REGISTRY_EVENT_TICK};
    assert_int_equal(step(world, &event), 0);
}

static void lead(struct world *world, bool leading)
{
    struct registry_event event = {.type = REGISTRY_EVENT_ROLE, .role = {.leading = leading, .epoch = 257}};
    assert_int_equal(step(world, &event), 0);
}

static void connect_daemon(struct world *world, uint64_t peer, const char *host)
{
    Gemel__DaemonHello hello = GEMEL__DAEMON_HELLO__INIT;
    hello.host = text(world, host);
    assert_int_equal(send(world, peer, "daemon", GEMEL__ENVELOPE__BODY_DAEMON_HELLO, &hello), 0);
}

static Gemel__ProcessReport make_report(struct world *world, const char *process, const char *host,
                                        Gemel__ProcessState state)
{
    Gemel__ProcessReport report = GEMEL__PROCESS_REPORT__INIT;
    report.process = text(world, process);
    report.host = text(world, host);
    report.state = state;
    report.placement = report.start = 1;
    report.routable = report.expose_to_gw = true;
    report.endpoint = text(world, "127.0.0.1:4000");
    return report;
}

static int report(struct world *world, uint64_t peer, Gemel__ProcessReport *one, bool full)
{
    Gemel__ProcessReports reports = GEMEL__PROCESS_REPORTS__INIT;
    reports.host = one->host;
    reports.full = full;
    reports.reports = &one;
    reports.n_reports = 1;
    return send(world, peer, "daemon", GEMEL__ENVELOPE__BODY_PROCESS_REPORTS, &reports);
}

static void apply(struct world *world, Gemel__Op *op)
{
    Gemel__LogEntry entry = GEMEL__LOG_ENTRY__INIT;
    entry.index = ++world->index;
    entry.op.data = wire_pack(&op->base, &entry.op.len);
    assert_int_equal(state_apply(world->state, &entry, &world->changes), 0);
    memory_free(entry.op.data);
    struct registry_event event = {.type = REGISTRY_EVENT_STATE_CHANGED};
    assert_int_equal(step(world, &event), 0);
}

static const struct registry_action *find_sent(const struct world *world, uint64_t peer, Gemel__Envelope__BodyCase body)
{
    for (size_t i = 0; i < world->actions.count; i++) {
        const struct registry_action *action = &world->actions.items[i];
        if (action->type == REGISTRY_ACTION_SEND && action->send.peer == peer &&
            action->send.envelope->body_case == body)
            return action;
    }
    return NULL;
}

static Gemel__Op *find_proposed(const struct world *world)
{
    for (size_t i = 0; i < world->actions.count; i++)
        if (world->actions.items[i].type == REGISTRY_ACTION_PROPOSE)
            return world->actions.items[i].propose;
    return NULL;
}

static void connect_procmgr(struct world *world)
{
    Gemel__ProcmgrHello hello = GEMEL__PROCMGR_HELLO__INIT;
    hello.host = text(world, "aaa");
    assert_int_equal(send(world, PROCMGR, "procmgr@aaa", GEMEL__ENVELOPE__BODY_PROCMGR_HELLO, &hello), 0);
}

/* Plans one process on a host and hands the plan over. */
static void plan(struct world *world, uint64_t sequence, const char *process, const char *host, bool run)
{
    Gemel__ProcessSpec spec = GEMEL__PROCESS_SPEC__INIT;
    spec.process = text(world, process);
    Gemel__PlanItem item = GEMEL__PLAN_ITEM__INIT;
    item.process = spec.process;
    item.host = text(world, host);
    item.run = run;
    item.spec = &spec;
    Gemel__PlanItem *items[] = {&item};
    Gemel__Plan message = GEMEL__PLAN__INIT;
    message.input_sequence = sequence;
    message.items = items;
    message.n_items = 1;
    assert_int_equal(send(world, PROCMGR, "procmgr@aaa", GEMEL__ENVELOPE__BODY_PLAN, &message), 0);
}

static void test_a_plan_places_a_process_before_it_is_ordered(void **given)
{
    struct world *world = *given;
    connect_daemon(world, DAEMON_A, "aaa");
    connect_procmgr(world);
    lead(world, true);
    const struct registry_action *input = find_sent(world, PROCMGR, GEMEL__ENVELOPE__BODY_PLAN_INPUT);
    assert_non_null(input);
    assert_true(input->send.envelope->plan_input->leading);
    plan(world, input->send.envelope->plan_input->sequence, "P.0.rdb.0", "aaa", true);
    Gemel__Op *op = find_proposed(world);
    assert_non_null(op);
    assert_string_equal(op->place->host, "aaa");
    assert_null(find_sent(world, DAEMON_A, GEMEL__ENVELOPE__BODY_ORDERS));
    apply(world, op);
    const struct registry_action *orders = find_sent(world, DAEMON_A, GEMEL__ENVELOPE__BODY_ORDERS);
    assert_non_null(orders);
    assert_int_equal(orders->send.envelope->epoch, 257);
    assert_int_equal(orders->send.envelope->orders->items[0]->placement, 1);
    assert_true(orders->send.envelope->orders->items[0]->run);
}

static void test_a_placement_that_does_not_come_true_is_proposed_again(void **given)
{
    struct world *world = *given;
    connect_procmgr(world);
    lead(world, true);
    plan(world, 100, "P.0.rdb.0", "aaa", true);
    assert_non_null(find_proposed(world));
    tick(world, 500);
    assert_null(find_proposed(world));
    assert_true(registry_next_wakeup_ms(world->core) <= world->now_ms + 500);
    tick(world, 600);
    assert_non_null(find_proposed(world));
}

static void test_orders_are_repeated_until_the_daemon_reports_what_was_asked(void **given)
{
    struct world *world = *given;
    connect_daemon(world, DAEMON_A, "aaa");
    connect_procmgr(world);
    lead(world, true);
    plan(world, 100, "P.0.rdb.0", "aaa", true);
    apply(world, find_proposed(world));
    tick(world, 1000);
    assert_non_null(find_sent(world, DAEMON_A, GEMEL__ENVELOPE__BODY_ORDERS));
    Gemel__ProcessReport ready = make_report(world, "P.0.rdb.0", "aaa", GEMEL__PROCESS_STATE__PROCESS_READY);
    assert_int_equal(report(world, DAEMON_A, &ready, true), 0);
    tick(world, 1000);
    assert_null(find_sent(world, DAEMON_A, GEMEL__ENVELOPE__BODY_ORDERS));
}

static void test_a_follower_observes_and_orders_nothing(void **given)
{
    struct world *world = *given;
    connect_daemon(world, DAEMON_A, "aaa");
    connect_procmgr(world);
    const struct registry_action *input = find_sent(world, PROCMGR, GEMEL__ENVELOPE__BODY_PLAN_INPUT);
    assert_false(input->send.envelope->plan_input->leading);
    plan(world, 1, "P.0.rdb.0", "aaa", true);
    assert_null(find_proposed(world));
    Gemel__ProcessReport ready = make_report(world, "P.0.rdb.0", "aaa", GEMEL__PROCESS_STATE__PROCESS_READY);
    assert_int_equal(report(world, DAEMON_A, &ready, true), 0);
    assert_non_null(registry_find_process(world->core, "P.0.rdb.0"));
    assert_null(find_sent(world, DAEMON_A, GEMEL__ENVELOPE__BODY_REGISTRY));
}

static void test_a_command_is_decided_upon_what_was_applied_before_it(void **given)
{
    struct world *world = *given;
    connect_procmgr(world);
    lead(world, true);
    Gemel__OpWanted wanted = GEMEL__OP_WANTED__INIT;
    char *process = text(world, "P.0.rdb.0");
    wanted.processes = &process;
    wanted.n_processes = 1;
    wanted.up = true;
    Gemel__Op op = GEMEL__OP__INIT;
    op.body_case = GEMEL__OP__BODY_WANTED;
    op.wanted = &wanted;
    apply(world, &op);
    assert_null(find_sent(world, PROCMGR, GEMEL__ENVELOPE__BODY_PLAN_INPUT));
    struct registry_event event = {.type = REGISTRY_EVENT_COMMAND};
    assert_int_equal(step(world, &event), 0);
    const struct registry_action *input = find_sent(world, PROCMGR, GEMEL__ENVELOPE__BODY_PLAN_INPUT);
    assert_non_null(input);
    assert_true(input->send.envelope->plan_input->wanted[0]->up);
}

static void test_a_plan_of_before_the_leadership_is_not_acted_upon(void **given)
{
    struct world *world = *given;
    connect_procmgr(world);
    lead(world, true);
    plan(world, 1, "P.0.rdb.0", "aaa", true);
    assert_null(find_proposed(world));
}

static void test_the_copy_with_the_higher_token_is_the_process(void **given)
{
    struct world *world = *given;
    connect_daemon(world, DAEMON_A, "aaa");
    connect_daemon(world, DAEMON_B, "bbb");
    Gemel__ProcessReport old = make_report(world, "P.0.rdb.0", "aaa", GEMEL__PROCESS_STATE__PROCESS_READY);
    Gemel__ProcessReport moved = make_report(world, "P.0.rdb.0", "bbb", GEMEL__PROCESS_STATE__PROCESS_STARTING);
    moved.placement = 2;
    assert_int_equal(report(world, DAEMON_B, &moved, true), 0);
    assert_int_equal(report(world, DAEMON_A, &old, true), 0);
    assert_string_equal(registry_find_process(world->core, "P.0.rdb.0")->host, "bbb");
}

static void test_what_a_full_report_does_not_name_is_gone(void **given)
{
    struct world *world = *given;
    connect_daemon(world, DAEMON_A, "aaa");
    Gemel__ProcessReport one = make_report(world, "P.0.rdb.0", "aaa", GEMEL__PROCESS_STATE__PROCESS_READY);
    Gemel__ProcessReport two = make_report(world, "P.0.tp.0", "aaa", GEMEL__PROCESS_STATE__PROCESS_READY);
    assert_int_equal(report(world, DAEMON_A, &one, true), 0);
    assert_int_equal(report(world, DAEMON_A, &two, false), 0);
    assert_non_null(registry_find_process(world->core, "P.0.rdb.0"));
    assert_int_equal(report(world, DAEMON_A, &two, true), 0);
    assert_null(registry_find_process(world->core, "P.0.rdb.0"));
}

static void test_a_late_report_of_the_same_daemon_is_dropped(void **given)
{
    struct world *world = *given;
    connect_daemon(world, DAEMON_A, "aaa");
    Gemel__ProcessReport newer = make_report(world, "P.0.rdb.0", "aaa", GEMEL__PROCESS_STATE__PROCESS_BACKOFF);
    newer.sequence = 5;
    Gemel__ProcessReport late = make_report(world, "P.0.rdb.0", "aaa", GEMEL__PROCESS_STATE__PROCESS_READY);
    late.sequence = 4;
    assert_int_equal(report(world, DAEMON_A, &newer, true), 0);
    assert_int_equal(report(world, DAEMON_A, &late, false), 0);
    assert_int_equal(registry_find_process(world->core, "P.0.rdb.0")->state, GEMEL__PROCESS_STATE__PROCESS_BACKOFF);
}

static void test_a_silent_daemon_makes_its_host_not_fresh(void **given)
{
    struct world *world = *given;
    connect_daemon(world, DAEMON_A, "aaa");
    Gemel__ProcessReport one = make_report(world, "P.0.rdb.0", "aaa", GEMEL__PROCESS_STATE__PROCESS_READY);
    assert_false(registry_host_is_fresh(world->core, "aaa"));
    assert_int_equal(report(world, DAEMON_A, &one, true), 0);
    assert_true(registry_host_is_fresh(world->core, "aaa"));
    tick(world, PING_MS);
    assert_non_null(find_sent(world, DAEMON_A, GEMEL__ENVELOPE__BODY_PING));
    tick(world, SILENT_MS);
    assert_false(registry_host_is_fresh(world->core, "aaa"));
    Gemel__Pong pong = GEMEL__PONG__INIT;
    assert_int_equal(send(world, DAEMON_A, "daemon", GEMEL__ENVELOPE__BODY_PONG, &pong), 0);
    assert_true(registry_host_is_fresh(world->core, "aaa"));
}

static void test_daemons_hear_each_endpoint_once_and_then_what_changes(void **given)
{
    struct world *world = *given;
    connect_daemon(world, DAEMON_A, "aaa");
    connect_daemon(world, DAEMON_B, "bbb");
    lead(world, true);
    Gemel__ProcessReport one = make_report(world, "P.0.rdb.0", "aaa", GEMEL__PROCESS_STATE__PROCESS_READY);
    assert_int_equal(report(world, DAEMON_A, &one, true), 0);
    const struct registry_action *sent = find_sent(world, DAEMON_B, GEMEL__ENVELOPE__BODY_REGISTRY);
    assert_non_null(sent);
    assert_int_equal(sent->send.envelope->registry->n_entries, 1);
    assert_true(sent->send.envelope->registry->entries[0]->ready);
    assert_int_equal(report(world, DAEMON_A, &one, false), 0);
    assert_null(find_sent(world, DAEMON_B, GEMEL__ENVELOPE__BODY_REGISTRY));
    one.state = GEMEL__PROCESS_STATE__PROCESS_BACKOFF;
    assert_int_equal(report(world, DAEMON_A, &one, false), 0);
    sent = find_sent(world, DAEMON_B, GEMEL__ENVELOPE__BODY_REGISTRY);
    assert_false(sent->send.envelope->registry->full);
    assert_false(sent->send.envelope->registry->entries[0]->ready);
}

static int report_route(struct world *world, uint32_t instance, bool confirmed, uint64_t version)
{
    Gemel__RouteSeen seen = GEMEL__ROUTE_SEEN__INIT;
    seen.pipeline = text(world, "P");
    seen.type = text(world, "rdb");
    seen.instance = instance;
    seen.confirmed = confirmed;
    seen.version = version;
    Gemel__RouteSeen *list[] = {&seen};
    Gemel__RouteReport message = GEMEL__ROUTE_REPORT__INIT;
    message.seen = list;
    message.n_seen = 1;
    return send(world, GATEWAY, "E.0.gw.0", GEMEL__ENVELOPE__BODY_ROUTE_REPORT, &message);
}

static void test_only_a_confirmed_cause_moves_the_cluster_s_route(void **given)
{
    struct world *world = *given;
    lead(world, true);
    Gemel__GatewayHello hello = GEMEL__GATEWAY_HELLO__INIT;
    assert_int_equal(send(world, GATEWAY, "E.0.gw.0", GEMEL__ENVELOPE__BODY_GATEWAY_HELLO, &hello), 0);
    assert_non_null(find_sent(world, GATEWAY, GEMEL__ENVELOPE__BODY_ROUTES));
    assert_int_equal(report_route(world, 1, false, 0), 0);
    assert_null(find_proposed(world));
    assert_int_equal(report_route(world, 1, true, 0), 0);
    assert_int_equal(find_proposed(world)->route->instance, 1);
    apply(world, find_proposed(world));
    assert_non_null(find_sent(world, GATEWAY, GEMEL__ENVELOPE__BODY_ROUTES));
    /* a report that does not know of version 1 yet moves nothing back */
    world->now_ms += 2000;
    assert_int_equal(report_route(world, 0, true, 0), 0);
    assert_null(find_proposed(world));
}

static void test_a_failover_refuses_a_target_that_is_not_ready_unless_forced(void **given)
{
    struct world *world = *given;
    connect_daemon(world, DAEMON_B, "bbb");
    Gemel__ProcessReport one = make_report(world, "P.1.rdb.0", "bbb", GEMEL__PROCESS_STATE__PROCESS_STARTING);
    assert_int_equal(report(world, DAEMON_B, &one, true), 0);
    Gemel__OpRoute **routes = NULL;
    size_t count = 0;
    struct error error = {0};
    struct arena *arena = &world->changes.arena;
    assert_int_equal(registry_plan_failover(world->core, "P", NULL, 1, false, "asked", arena, &routes, &count, &error),
                     -EAGAIN);
    assert_int_equal(
        registry_plan_failover(world->core, "P", "rdb.0", 1, true, "asked", arena, &routes, &count, &error), 0);
    assert_int_equal(count, 1);
    assert_int_equal(routes[0]->instance, 1);
    assert_int_equal(
        registry_plan_failover(world->core, "P", "hdb.0", 1, true, "asked", arena, &routes, &count, &error), -ENOENT);
    one.state = GEMEL__PROCESS_STATE__PROCESS_READY;
    assert_int_equal(report(world, DAEMON_B, &one, true), 0);
    assert_int_equal(registry_plan_failover(world->core, "P", NULL, 1, false, "asked", arena, &routes, &count, &error),
                     0);
}

static void test_a_failover_to_where_it_is_published_outruns_a_report_under_way(void **given)
{
    struct world *world = *given;
    connect_daemon(world, DAEMON_A, "aaa");
    lead(world, true);
    Gemel__ProcessReport one = make_report(world, "P.0.rdb.0", "aaa", GEMEL__PROCESS_STATE__PROCESS_READY);
    assert_int_equal(report(world, DAEMON_A, &one, true), 0);
    Gemel__OpRoute **routes = NULL;
    size_t count = 0;
    struct error error = {0};
    struct arena *arena = &world->changes.arena;
    assert_int_equal(registry_plan_failover(world->core, "P", NULL, 0, false, "asked", arena, &routes, &count, &error),
                     0);
    assert_int_equal(count, 1);
    Gemel__Op op = GEMEL__OP__INIT;
    op.body_case = GEMEL__OP__BODY_ROUTE;
    op.route = routes[0];
    apply(world, &op);
    Gemel__GatewayHello hello = GEMEL__GATEWAY_HELLO__INIT;
    hello.process = text(world, "E.0.gw.0");
    assert_int_equal(send(world, GATEWAY, "E.0.gw.0", GEMEL__ENVELOPE__BODY_GATEWAY_HELLO, &hello), 0);
    Gemel__RouteSeen seen = GEMEL__ROUTE_SEEN__INIT;
    seen.pipeline = text(world, "P");
    seen.type = text(world, "rdb");
    seen.instance = 1;
    seen.confirmed = true;
    Gemel__RouteSeen *all[] = {&seen};
    Gemel__RouteReport late = GEMEL__ROUTE_REPORT__INIT;
    late.gateway = hello.process;
    late.seen = all;
    late.n_seen = 1;
    assert_int_equal(send(world, GATEWAY, "E.0.gw.0", GEMEL__ENVELOPE__BODY_ROUTE_REPORT, &late), 0);
    assert_null(find_proposed(world));
}

static void test_a_stale_epoch_answer_reaches_the_pair(void **given)
{
    struct world *world = *given;
    connect_daemon(world, DAEMON_A, "aaa");
    lead(world, true);
    Gemel__StaleEpoch stale = GEMEL__STALE_EPOCH__INIT;
    stale.epoch_now = 600;
    assert_int_equal(send(world, DAEMON_A, "daemon", GEMEL__ENVELOPE__BODY_STALE_EPOCH, &stale), 0);
    assert_int_equal(world->actions.items[0].type, REGISTRY_ACTION_STALE_EPOCH);
    assert_int_equal(world->actions.items[0].epoch_now, 600);
}

static void test_messages_that_nobody_sends_to_a_control_are_refused(void **given)
{
    struct world *world = *given;
    Gemel__Registry registry = GEMEL__REGISTRY__INIT;
    assert_int_equal(send(world, 9, "x", GEMEL__ENVELOPE__BODY_REGISTRY, &registry), -EBADMSG);
    Gemel__ProcessReport one = make_report(world, "P.0.rdb.0", "aaa", GEMEL__PROCESS_STATE__PROCESS_READY);
    assert_int_equal(report(world, 9, &one, true), -EBADMSG); /* no hello before */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_plan_places_a_process_before_it_is_ordered),
        TEST(test_a_placement_that_does_not_come_true_is_proposed_again),
        TEST(test_orders_are_repeated_until_the_daemon_reports_what_was_asked),
        TEST(test_a_follower_observes_and_orders_nothing),
        TEST(test_a_command_is_decided_upon_what_was_applied_before_it),
        TEST(test_a_plan_of_before_the_leadership_is_not_acted_upon),
        TEST(test_the_copy_with_the_higher_token_is_the_process),
        TEST(test_what_a_full_report_does_not_name_is_gone),
        TEST(test_a_late_report_of_the_same_daemon_is_dropped),
        TEST(test_a_silent_daemon_makes_its_host_not_fresh),
        TEST(test_daemons_hear_each_endpoint_once_and_then_what_changes),
        TEST(test_only_a_confirmed_cause_moves_the_cluster_s_route),
        TEST(test_a_failover_refuses_a_target_that_is_not_ready_unless_forced),
        TEST(test_a_failover_to_where_it_is_published_outruns_a_report_under_way),
        TEST(test_a_stale_epoch_answer_reaches_the_pair),
        TEST(test_messages_that_nobody_sends_to_a_control_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
