/* libs: gemel_cli_text */
#include <stdio.h>
#include <string.h>

#include "cli/status_view.h"
#include "tests/unit/testing.h"

#define A "aaa.host.com"
#define B "bbb.host.com"

/* Facts of a healthy pair with one pipeline of two instances; a test breaks one of them. */
struct scene {
    struct report control, daemon_a, daemon_b, gateway, events;
    Gemel__Table *processes_a, *processes_b, *routes;
    struct status_answer controls[2], daemons[2], gateways[1];
    struct status_facts facts;
    struct report report;
};

static Gemel__Table *add_processes(struct report *report)
{
    return report_table(report, "processes", NULL,
                        (const char *[]){"processName", "state", "host", "why", "status", NULL});
}

static void add_process(struct report *report, Gemel__Table *table, const char *name, const char *state)
{
    report_row(report, table, (const char *[]){name, state, "", "", ""});
}

static void set(Gemel__Table *table, size_t row, size_t column, const char *cell)
{
    table->rows[row]->cells[column] = (char *)(uintptr_t)cell;
}

static int begin(void **state)
{
    static struct scene scene;
    scene = (struct scene){0};
    struct report *reports[] = {&scene.control, &scene.daemon_a, &scene.daemon_b,
                                &scene.gateway, &scene.events,   &scene.report};
    for (size_t i = 0; i < sizeof reports / sizeof reports[0]; i++)
        report_init(reports[i]);
    Gemel__Table *control = report_table(&scene.control, "control", NULL, (const char *[]){"host", "role", NULL});
    report_row(&scene.control, control, (const char *[]){A, "leader"});
    scene.processes_a = add_processes(&scene.daemon_a);
    add_process(&scene.daemon_a, scene.processes_a, "P.0.rdb.0", "ready");
    add_process(&scene.daemon_a, scene.processes_a, "P.0.tp.0", "ready");
    scene.processes_b = add_processes(&scene.daemon_b);
    add_process(&scene.daemon_b, scene.processes_b, "P.1.rdb.0", "ready");
    add_process(&scene.daemon_b, scene.processes_b, "P.1.tp.0", "ready");
    scene.routes =
        report_table(&scene.gateway, "routes", NULL,
                     (const char *[]){"processName", "pipelineInstance", "primary", "registered", "since", NULL});
    report_row(&scene.gateway, scene.routes, (const char *[]){"P.0.rdb.0", "0", "yes", "yes", "10:00"});
    report_row(&scene.gateway, scene.routes, (const char *[]){"P.1.rdb.0", "1", "no", "yes", ""});
    Gemel__Table *events = report_table(&scene.events, "events", NULL, (const char *[]){"sentence", NULL});
    for (int i = 0; i < 9; i++)
        report_row(&scene.events, events, (const char *[]){report_cell(&scene.events, "event %d", i)});
    scene.controls[0] = (struct status_answer){A, A ":2001", &scene.control.reply, ""};
    scene.controls[1] = (struct status_answer){B, B ":2001", &scene.control.reply, ""};
    scene.daemons[0] = (struct status_answer){A, A ":2002", &scene.daemon_a.reply, ""};
    scene.daemons[1] = (struct status_answer){B, B ":2002", &scene.daemon_b.reply, ""};
    scene.gateways[0] = (struct status_answer){"E.0.gw.0", A ":5010", &scene.gateway.reply, ""};
    scene.facts = (struct status_facts){.controls = scene.controls,
                                        .control_count = 2,
                                        .daemons = scene.daemons,
                                        .daemon_count = 2,
                                        .gateways = scene.gateways,
                                        .gateway_count = 1,
                                        .events = &scene.events.reply};
    *state = &scene;
    return 0;
}

static int end(void **state)
{
    struct scene *scene = *state;
    report_fini(&scene->control);
    report_fini(&scene->daemon_a);
    report_fini(&scene->daemon_b);
    report_fini(&scene->gateway);
    report_fini(&scene->events);
    report_fini(&scene->report);
    return 0;
}

static void assert_verdict(struct scene *scene, enum status_verdict verdict, int exit_code, const char *first_line)
{
    assert_int_equal(status_view_build(&scene->facts, &scene->report), verdict);
    assert_int_equal(scene->report.reply.exit_code, exit_code);
    const char *message = scene->report.reply.message;
    char line[1024];
    (void)snprintf(line, sizeof line, "%.*s", (int)strcspn(message, "\n"), message);
    assert_string_equal(line, first_line);
}

static void test_all_ready_is_ok(void **state)
{
    struct scene *scene = *state;
    assert_verdict(scene, STATUS_OK, 0, "OK: 4 of 4 processes ready on 2 hosts");
    const Gemel__Table *events = report_find_table(&scene->report.reply, "events");
    assert_int_equal(events->n_rows, 5);
    assert_string_equal(report_get(events, 4, "sentence"), "event 8");
    assert_int_equal(report_find_table(&scene->report.reply, "routes")->n_rows, 0);
}

static void test_a_missing_standby_is_named_with_the_host_that_must_not_be_lost(void **state)
{
    struct scene *scene = *state;
    set(scene->processes_b, 0, 1, "starting");
    set(scene->processes_b, 0, 4, "replaying 43 %");
    assert_verdict(scene, STATUS_DEGRADED, 3,
                   "DEGRADED: P would not survive the loss of " A ": P.1.rdb.0 starting, replaying 43 %");
}

static void test_a_process_stopped_by_hand_is_a_missing_standby_too(void **state)
{
    struct scene *scene = *state;
    set(scene->processes_b, 1, 1, "stopped");
    assert_verdict(scene, STATUS_DEGRADED, 3, "DEGRADED: P would not survive the loss of " A ": P.1.tp.0 stopped");
}

static void test_a_pipeline_that_is_stopped_as_a_whole_is_no_trouble(void **state)
{
    struct scene *scene = *state;
    set(scene->processes_a, 0, 1, "stopped");
    set(scene->processes_a, 1, 1, "stopped");
    set(scene->processes_b, 0, 1, "stopped");
    set(scene->processes_b, 1, 1, "stopped");
    set(scene->routes, 0, 2, "no");
    assert_verdict(scene, STATUS_OK, 0, "OK: nothing is started");
}

static void test_queries_that_wait_are_down_and_come_first(void **state)
{
    struct scene *scene = *state;
    set(scene->processes_a, 0, 1, "failed");
    set(scene->processes_b, 0, 1, "back-off");
    set(scene->routes, 0, 3, "no");
    assert_verdict(scene, STATUS_DOWN, 1, "DOWN: queries to P.rdb.0 wait at E.0.gw.0: no instance of it is ready");
    assert_non_null(strstr(scene->report.reply.message, "\n  also: P has no ready rdb.0: P.0.rdb.0 failed"));
}

static void test_no_gateway_at_all_is_down_and_one_of_two_is_degraded(void **state)
{
    struct scene *scene = *state;
    scene->gateways[0].reply = NULL;
    scene->gateways[0].why = "connection refused";
    assert_verdict(scene, STATUS_DOWN, 1, "DOWN: gateway E.0.gw.0 does not answer at " A ":5010: connection refused");
    struct status_answer both[] = {scene->gateways[0], {"E.1.gw.0", B ":5010", &scene->gateway.reply, ""}};
    scene->facts.gateways = both;
    scene->facts.gateway_count = 2;
    report_reset(&scene->report);
    assert_verdict(scene, STATUS_DEGRADED, 3,
                   "DEGRADED: gateway E.0.gw.0 does not answer at " A ":5010: connection refused");
}

static void test_a_silent_host_is_what_the_control_heard_last(void **state)
{
    struct scene *scene = *state;
    scene->daemons[1].reply = NULL;
    scene->daemons[1].why = "no answer in time";
    scene->facts.processes = &scene->daemon_b.reply;
    set(scene->processes_b, 0, 2, B);
    set(scene->processes_b, 1, 2, B);
    assert_verdict(scene, STATUS_DEGRADED, 3,
                   "DEGRADED: the daemon of " B " does not answer at " B
                   ":2002: no answer in time; 2 processes there are not heard of");
    assert_null(strstr(scene->report.reply.message, "would not survive"));
    assert_non_null(strstr(scene->report.reply.message, "2 processes are shown as the control heard of them last"));
}

static void test_what_no_other_host_has_ready_is_named_beside_the_silent_host(void **state)
{
    struct scene *scene = *state;
    scene->daemons[1].reply = NULL;
    scene->daemons[1].why = "no answer in time";
    scene->facts.processes = &scene->daemon_b.reply;
    set(scene->processes_a, 0, 1, "failed");
    set(scene->processes_b, 0, 2, B);
    set(scene->processes_b, 1, 2, B);
    (void)status_view_build(&scene->facts, &scene->report);
    assert_non_null(strstr(scene->report.reply.message, "P has no ready rdb.0: P.1.rdb.0 not heard of"));
    assert_null(strstr(scene->report.reply.message, "tp.0 not heard of"));
}

static void test_without_a_control_it_says_so_and_shows_the_rest(void **state)
{
    struct scene *scene = *state;
    scene->controls[0].reply = NULL;
    scene->controls[0].why = "connection refused";
    scene->controls[1].reply = NULL;
    scene->controls[1].why = "connection refused";
    scene->facts.events = NULL;
    assert_verdict(scene, STATUS_DEGRADED, 3,
                   "DEGRADED: the control of " A " does not answer at " A ":2001: connection refused");
    assert_non_null(strstr(scene->report.reply.message, "no control leads"));
    assert_non_null(strstr(scene->report.reply.message, "without a control"));
    assert_int_equal(report_find_table(&scene->report.reply, "instances")->n_rows, 2);
}

static void test_nothing_that_answers_is_down(void **state)
{
    struct scene *scene = *state;
    for (size_t i = 0; i < 2; i++) {
        scene->controls[i].reply = NULL;
        scene->daemons[i].reply = NULL;
        scene->controls[i].why = scene->daemons[i].why = "connection refused";
    }
    scene->facts.gateway_count = 0;
    scene->facts.events = NULL;
    assert_verdict(scene, STATUS_DOWN, 1,
                   "DOWN: nothing of the cluster answers: start the control and the daemon of each host");
}

static void test_routes_away_from_home_are_shown_with_since(void **state)
{
    struct scene *scene = *state;
    set(scene->routes, 0, 2, "no");
    set(scene->routes, 1, 2, "yes");
    set(scene->routes, 1, 4, "10:02:03.004");
    assert_verdict(scene, STATUS_OK, 0, "OK: 4 of 4 processes ready on 2 hosts");
    const Gemel__Table *routes = report_find_table(&scene->report.reply, "routes");
    assert_int_equal(routes->n_rows, 1);
    assert_string_equal(report_get(routes, 0, "processName"), "P.1.rdb.0");
    assert_string_equal(report_get(routes, 0, "since"), "10:02:03.004");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_ready_is_ok),
        TEST(test_a_missing_standby_is_named_with_the_host_that_must_not_be_lost),
        TEST(test_a_process_stopped_by_hand_is_a_missing_standby_too),
        TEST(test_a_pipeline_that_is_stopped_as_a_whole_is_no_trouble),
        TEST(test_queries_that_wait_are_down_and_come_first),
        TEST(test_no_gateway_at_all_is_down_and_one_of_two_is_degraded),
        TEST(test_a_silent_host_is_what_the_control_heard_last),
        TEST(test_what_no_other_host_has_ready_is_named_beside_the_silent_host),
        TEST(test_without_a_control_it_says_so_and_shows_the_rest),
        TEST(test_nothing_that_answers_is_down),
        TEST(test_routes_away_from_home_are_shown_with_since),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
