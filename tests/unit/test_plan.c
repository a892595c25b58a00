/* libs: gemel_procmgr_core gemel_layout_load gemel_layout_model gemel_wire gemel_base */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/wire/wire.h"
#include "tests/unit/planning.h"

static const char *variable(const Gemel__ProcessSpec *spec, const char *name)
{
    for (size_t i = 0; i < spec->n_env; i++)
        if (strcmp(spec->env[i]->name, name) == 0)
            return spec->env[i]->value;
    return NULL;
}

static void check_sentence(const Gemel__Plan *plan, const char *sentence)
{
    for (size_t i = 0; i < plan->n_sentences; i++)
        if (strcmp(plan->sentences[i], sentence) == 0)
            return;
    for (size_t i = 0; i < plan->n_sentences; i++)
        print_error("%s\n", plan->sentences[i]);
    fail_msg("no sentence: %s", sentence);
}

/* Are all items about the given types, each on both instances? */
static void check_types(const Gemel__Plan *plan, const char *const *types, size_t count)
{
    assert_int_equal(plan->n_items, 2 * count);
    for (size_t i = 0; i < count; i++) {
        char name[PROCESS_NAME_BYTES];
        for (int instance = 0; instance < 2; instance++) {
            snprintf(name, sizeof name, "Demo.%d.%s.0", instance, types[i]);
            const Gemel__PlanItem *item = planning_item(plan, name);
            assert_non_null(item);
            assert_true(item->run);
            assert_string_equal(item->host, instance == 0 ? "aaa" : "bbb");
        }
    }
}

static void test_nothing_that_was_never_asked_for_is_planned(void **state)
{
    (void)state;
    struct planning world;
    planning_init_demo(&world);
    planning_observe_all(&world, STATE(READY));
    const Gemel__Plan *plan = planning_plan(&world, 0);
    assert_int_equal(plan->n_items, 0);
    assert_int_equal(plan->revision, 7);
    planning_fini(&world);
}

static void test_a_level_starts_when_what_it_needs_is_ready(void **state)
{
    (void)state;
    struct planning world;
    planning_init_demo(&world);
    planning_want_all(&world, true);
    const Gemel__Plan *plan = planning_plan(&world, 0);
    check_types(plan, (const char *[]){"tp"}, 1);
    check_sentence(plan, "Demo.0.rdb.0 waits for Demo.0.tp.0, which is stopped");

    for (int instance = 0; instance < 2; instance++)
        planning_observe(&world, instance == 0 ? "Demo.0.tp.0" : "Demo.1.tp.0", instance == 0 ? "aaa" : "bbb",
                         STATE(STARTING));
    check_types(planning_plan(&world, 0), (const char *[]){"tp"}, 1);

    planning_observe(&world, "Demo.0.tp.0", "aaa", STATE(READY));
    planning_observe(&world, "Demo.1.tp.0", "bbb", STATE(READY));
    check_types(planning_plan(&world, 0), (const char *[]){"tp", "rdb", "ipdb"}, 3);

    planning_observe(&world, "Demo.0.rdb.0", "aaa", STATE(READY));
    planning_observe(&world, "Demo.1.rdb.0", "bbb", STATE(READY));
    planning_observe(&world, "Demo.0.ipdb.0", "aaa", STATE(READY));
    planning_observe(&world, "Demo.1.ipdb.0", "bbb", STATE(READY));
    check_types(planning_plan(&world, 0), (const char *[]){"tp", "rdb", "ipdb", "hdb", "idb", "epdb"}, 6);
    planning_fini(&world);
}

static void test_instances_do_not_wait_for_each_other(void **state)
{
    (void)state;
    struct planning world;
    planning_init_demo(&world);
    planning_want_all(&world, true);
    planning_observe(&world, "Demo.1.tp.0", "bbb", STATE(READY));
    const Gemel__Plan *plan = planning_plan(&world, 0);
    assert_non_null(planning_item(plan, "Demo.1.rdb.0"));
    assert_null(planning_item(plan, "Demo.0.rdb.0"));
    planning_fini(&world);
}

static void test_what_runs_is_not_held_back_by_what_it_needs(void **state)
{
    (void)state;
    struct planning world;
    planning_init_demo(&world);
    planning_want_all(&world, true);
    planning_observe_all(&world, STATE(READY));
    planning_observe(&world, "Demo.0.tp.0", "aaa", STATE(BACKOFF));
    const Gemel__Plan *plan = planning_plan(&world, 0);
    assert_int_equal(plan->n_items, 12);
    assert_true(planning_item(plan, "Demo.0.rdb.0")->run);
    planning_fini(&world);
}

static void test_at_most_eight_of_a_host_start_at_the_same_time(void **state)
{
    (void)state;
    static const char pipeline[] = "pipeline:\n  name: P\n  type: stream\n  proc-layout: [{all: one, x.19: two}]\n"
                                   "  processes: {x: {command: [a], instances: 20}}\n";
    const struct layout_file files[] = {{"system.yaml", planning_system, strlen(planning_system)},
                                        {"pipelines/P.yaml", pipeline, strlen(pipeline)}};
    struct planning world;
    planning_init(&world, files, 2);
    planning_want_all(&world, true);
    planning_observe(&world, "P.0.x.12", "aaa", STATE(STARTING));
    planning_observe(&world, "P.0.x.13", "aaa", STATE(READY));
    const Gemel__Plan *plan = planning_plan(&world, 0);
    /* Seven new ones, the one that starts, the ready one, and the one of the other host. */
    assert_int_equal(plan->n_items, 10);
    assert_non_null(planning_item(plan, "P.0.x.6"));
    assert_null(planning_item(plan, "P.0.x.7"));
    assert_non_null(planning_item(plan, "P.0.x.19"));
    check_sentence(plan, "aaa: 10 processes wait for others of the host to be ready");
    planning_fini(&world);
}

static void test_what_ended_for_good_takes_no_place_of_those_that_start(void **state)
{
    (void)state;
    static const char pipeline[] = "pipeline:\n  name: P\n  type: stream\n  proc-layout: [{all: one}]\n"
                                   "  processes: {x: {command: [a], instances: 20}}\n";
    const struct layout_file files[] = {{"system.yaml", planning_system, strlen(planning_system)},
                                        {"pipelines/P.yaml", pipeline, strlen(pipeline)}};
    struct planning world;
    char name[PROCESS_NAME_BYTES];
    planning_init(&world, files, 2);
    planning_want_all(&world, true); /* at 1000 */
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "P.0.x.%d", i);
        Gemel__ProcessReport *report = planning_observe(&world, name, "aaa", STATE(STOPPED));
        report->exited = true;
        report->since_wall_ns = 2000;
    }
    const Gemel__Plan *plan = planning_plan(&world, 0);
    assert_int_equal(plan->n_items, 10 + 8);
    /* What was stopped before it was asked for starts as any other. */
    for (size_t i = 0; i < world.input.n_observed; i++)
        world.observed[i]->since_wall_ns = 500;
    assert_int_equal(planning_plan(&world, 0)->n_items, 8);
    planning_fini(&world);
}

static void test_stops_go_in_reverse_order(void **state)
{
    (void)state;
    struct planning world;
    planning_init_demo(&world);
    planning_want_all(&world, false);
    planning_observe_all(&world, STATE(READY));
    const Gemel__Plan *plan = planning_plan(&world, 0);
    assert_int_equal(plan->n_items, 6);
    assert_false(planning_item(plan, "Demo.0.hdb.0")->run);
    assert_null(planning_item(plan, "Demo.0.rdb.0"));
    check_sentence(plan, "Demo.0.tp.0 stops after Demo.0.rdb.0");
    static const char *const last[] = {"Demo.0.hdb.0", "Demo.0.idb.0", "Demo.0.epdb.0"};
    for (size_t i = 0; i < 3; i++)
        planning_observe(&world, last[i], "aaa", STATE(STOPPED));
    plan = planning_plan(&world, 0);
    assert_non_null(planning_item(plan, "Demo.0.rdb.0"));
    assert_null(planning_item(plan, "Demo.0.tp.0"));
    planning_fini(&world);
}

static void test_what_shall_stay_up_does_not_hold_up_a_stop(void **state)
{
    (void)state;
    struct planning world;
    planning_init_demo(&world);
    planning_want_all(&world, true);
    planning_observe_all(&world, STATE(READY));
    planning_want(&world, "Demo.0.tp.0", false);
    const Gemel__Plan *plan = planning_plan(&world, 0);
    assert_false(planning_item(plan, "Demo.0.tp.0")->run);
    assert_true(planning_item(plan, "Demo.0.rdb.0")->run);
    planning_fini(&world);
}

static void test_what_failed_stays_down_until_its_generation_is_raised(void **state)
{
    (void)state;
    struct planning world;
    planning_init_demo(&world);
    planning_want_all(&world, true);
    planning_observe_all(&world, STATE(READY));
    planning_observe(&world, "Demo.0.rdb.0", "aaa", STATE(FAILED))->clear_failed = 3;
    planning_want(&world, "Demo.0.rdb.0", true)->clear_failed = 3;
    assert_int_equal(planning_item(planning_plan(&world, 0), "Demo.0.rdb.0")->clear_failed, 3);
    /* Now it is started as any other: in its order. */
    planning_want(&world, "Demo.0.rdb.0", true)->clear_failed = 4;
    planning_observe(&world, "Demo.0.tp.0", "aaa", STATE(STARTING));
    assert_null(planning_item(planning_plan(&world, 0), "Demo.0.rdb.0"));
    planning_observe(&world, "Demo.0.tp.0", "aaa", STATE(READY));
    assert_int_equal(planning_item(planning_plan(&world, 0), "Demo.0.rdb.0")->clear_failed, 4);
    planning_fini(&world);
}

static void test_a_stopped_requirement_that_nobody_asked_for_is_named(void **state)
{
    (void)state;
    struct planning world;
    planning_init_demo(&world);
    planning_want(&world, "Demo.0.rdb.0", true);
    check_sentence(planning_plan(&world, 0),
                   "Demo.0.rdb.0 waits for Demo.0.tp.0, which is stopped, and is not wanted: start it");
    planning_want(&world, "Demo.0.tp.0", true);
    planning_observe(&world, "Demo.0.tp.0", "aaa", STATE(FAILED));
    check_sentence(planning_plan(&world, 0), "Demo.0.rdb.0 waits for Demo.0.tp.0, which is failed: look at its log, "
                                             "then pipeline --force-start");
    planning_fini(&world);
}

static void test_only_processes_of_hosts_that_have_not_reported_wait(void **state)
{
    (void)state;
    struct planning world;
    planning_init_demo(&world);
    planning_want_all(&world, true);
    world.hosts[1]->reported = false;
    world.input.missing_wait_ms = 10000;
    const Gemel__Plan *plan = planning_plan(&world, 500);
    assert_int_equal(plan->n_items, 1);
    check_sentence(plan, "bbb has not reported yet: 6 processes wait for it, up to 10 s");
    assert_int_equal(procmgr_next_wakeup_ms(world.core), 10500);
    procmgr_actions_reset(&world.actions);
    struct procmgr_event tick = {.type = PROCMGR_EVENT_TICK, .now_ms = 10500};
    assert_int_equal(procmgr_step(world.core, &tick, &world.actions), 0);
    assert_int_equal(world.actions.count, 1);
    check_sentence(world.actions.items[0].plan, "bbb is away: 6 processes wait for its daemon");
    assert_true(procmgr_next_wakeup_ms(world.core) == INT64_MAX);
    planning_fini(&world);
}

static void test_a_process_never_starts_beside_a_run_on_another_host(void **state)
{
    (void)state;
    struct planning world;
    planning_init_demo(&world);
    planning_want(&world, "Demo.0.tp.0", true);
    planning_observe(&world, "Demo.0.tp.0", "bbb", STATE(READY));
    const Gemel__Plan *plan = planning_plan(&world, 0);
    assert_int_equal(plan->n_items, 1);
    assert_false(plan->items[0]->run);
    assert_string_equal(plan->items[0]->host, "bbb");
    check_sentence(plan, "Demo.0.tp.0 waits for the end of its run on bbb");

    planning_observe(&world, "Demo.0.tp.0", "bbb", STATE(STOPPED));
    plan = planning_plan(&world, 0);
    assert_true(plan->items[0]->run);
    assert_string_equal(plan->items[0]->host, "aaa");

    /* A host that placed it before and does not answer may still run it. */
    Gemel__Placement placement;
    gemel__placement__init(&placement);
    placement.process = world.wanted[0]->process;
    placement.host = world.hosts[1]->host;
    world.placements[0] = &placement;
    world.input.n_placements = 1;
    world.hosts[1]->reported = false;
    plan = planning_plan(&world, 0);
    assert_int_equal(plan->n_items, 0);
    check_sentence(plan, "Demo.0.tp.0 waits: whether its run on bbb has ended is not known");
    planning_fini(&world);
}

static void test_what_left_the_layout_stops_only_when_that_is_wanted(void **state)
{
    (void)state;
    struct planning world;
    planning_init_demo(&world);
    planning_observe(&world, "Gone.0.x.0", "aaa", STATE(READY));
    assert_int_equal(planning_plan(&world, 0)->n_items, 0);
    planning_want(&world, "Gone.0.x.0", true);
    const Gemel__Plan *plan = planning_plan(&world, 0);
    assert_int_equal(plan->n_items, 0);
    check_sentence(plan, "Gone.0.x.0 is wanted and not in revision 7: it is left as it is");
    planning_want(&world, "Gone.0.x.0", false);
    plan = planning_plan(&world, 0);
    assert_int_equal(plan->n_items, 1);
    assert_false(plan->items[0]->run);
    assert_string_equal(plan->items[0]->host, "aaa");
    planning_fini(&world);
}

static void test_a_spec_is_complete(void **state)
{
    (void)state;
    static const char entry[] =
        "pipeline:\n  name: Entry\n  type: entrypoint\n  proc-layout: [{all: one}, {all: two}]\n"
        "  processes: {gw: {port: 5010}}\n";
    static const char own[] = "pipeline:\n  name: Own\n  type: stream\n  restart: manual\n  proc-layout: [{all: one}]\n"
                              "  processes:\n    web: {command: [/usr/sbin/nginx], args: [-g, daemon off;], port: 80,\n"
                              "      env: {A: b}, limits: {nofile: 9}, cwd: /srv, user: www, success-exit: [3],\n"
                              "      stop-signal: QUIT, stop-timeout: 5, startup-timeout: 7s, nice: 5,\n"
                              "      watchdog: 9s, cpu-taskset: 0-1}\n";
    const struct layout_file files[] = {{"system.yaml", planning_system, strlen(planning_system)},
                                        {"pipelines/Demo.yaml", planning_demo, strlen(planning_demo)},
                                        {"pipelines/Entry.yaml", entry, strlen(entry)},
                                        {"pipelines/Own.yaml", own, strlen(own)}};
    struct planning world;
    planning_init(&world, files, 4);
    planning_want_all(&world, true);
    planning_observe_all(&world, STATE(READY));
    const Gemel__Plan *plan = planning_plan(&world, 0);

    const Gemel__ProcessSpec *web = planning_item(plan, "Own.0.web.0")->spec;
    assert_int_equal(web->n_command, 3);
    assert_string_equal(web->command[0], "/usr/sbin/nginx");
    assert_string_equal(web->command[2], "daemon off;");
    assert_string_equal(variable(web, "A"), "b");
    assert_string_equal(variable(web, "GEMEL_GATEWAYS"), "aaa:5010,bbb:5010");
    assert_string_equal(web->limits[0]->name, "nofile");
    assert_string_equal(web->cwd, "/srv");
    assert_string_equal(web->user, "www");
    assert_string_equal(web->cpu_taskset, "0-1");
    assert_int_equal(web->success_exit[0], 3);
    assert_int_equal(web->stop_signal, 3);
    assert_int_equal(web->stop_timeout_ms, 5000);
    assert_int_equal(web->startup_timeout_ms, 7000);
    assert_int_equal(web->nice, 5);
    assert_int_equal(web->watchdog_ms, 9000);
    assert_int_equal(web->hang_timeout_ms, 0);
    assert_int_equal(web->restart, GEMEL__RESTART__RESTART_MANUAL);
    assert_int_equal(web->readiness, GEMEL__READINESS__READINESS_TCP_PORT);
    assert_int_equal(web->readiness_port, 80);
    assert_int_equal(web->revision, 7);
    assert_false(web->routable);
    assert_false(web->expose_to_gw);

    const Gemel__ProcessSpec *rdb = planning_item(plan, "Demo.1.rdb.0")->spec;
    assert_string_equal(rdb->command[0], "gemel-rdb");
    assert_string_equal(variable(rdb, "GEMEL_OPTIONS"), "timeout=30\nenable-analyst=true\n");
    assert_true(rdb->routable);
    assert_true(rdb->expose_to_gw);
    assert_int_equal(rdb->hang_timeout_ms, 1000);
    assert_int_equal(rdb->readiness, GEMEL__READINESS__READINESS_NOTIFY);
    assert_string_equal(variable(planning_item(plan, "Demo.0.hdb.0")->spec, "GEMEL_OPTIONS"),
                        "enable-analyst=true\ntimeout=30\n");
    assert_int_equal(planning_item(plan, "Entry.1.gw.0")->spec->port, 5010);
    planning_fini(&world);
}

static void test_a_standby_plans_nothing_and_says_so(void **state)
{
    (void)state;
    struct planning world;
    planning_init_demo(&world);
    planning_want_all(&world, true);
    world.input.leading = false;
    assert_null(planning_plan(&world, 0));
    assert_int_equal(world.actions.items[0].type, PROCMGR_ACTION_STATUS);
    assert_string_equal(world.actions.items[0].status, "standby");
    world.input.leading = true;
    assert_non_null(planning_plan(&world, 0));
    assert_string_equal(world.actions.items[0].status, "leading");
    assert_non_null(planning_plan(&world, 0));
    assert_int_equal(world.actions.count, 1);
    planning_fini(&world);
}

static void test_equal_inputs_make_equal_plans(void **state)
{
    (void)state;
    size_t sizes[2] = {0, 0};
    uint8_t *bytes[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        struct planning world;
        planning_init_demo(&world);
        planning_want_all(&world, true);
        planning_observe_all(&world, STATE(READY));
        /* The order in which things are told does not matter. */
        for (size_t j = 0; i == 1 && j < 6; j++) {
            Gemel__ProcessReport *report = world.observed[j];
            world.observed[j] = world.observed[11 - j];
            world.observed[11 - j] = report;
        }
        bytes[i] = wire_pack(&planning_plan(&world, 0)->base, &sizes[i]);
        planning_fini(&world);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    memory_free(bytes[0]);
    memory_free(bytes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_that_was_never_asked_for_is_planned),
        cmocka_unit_test(test_a_level_starts_when_what_it_needs_is_ready),
        cmocka_unit_test(test_instances_do_not_wait_for_each_other),
        cmocka_unit_test(test_what_runs_is_not_held_back_by_what_it_needs),
        cmocka_unit_test(test_at_most_eight_of_a_host_start_at_the_same_time),
        cmocka_unit_test(test_what_ended_for_good_takes_no_place_of_those_that_start),
        cmocka_unit_test(test_stops_go_in_reverse_order),
        cmocka_unit_test(test_what_shall_stay_up_does_not_hold_up_a_stop),
        cmocka_unit_test(test_what_failed_stays_down_until_its_generation_is_raised),
        cmocka_unit_test(test_a_stopped_requirement_that_nobody_asked_for_is_named),
        cmocka_unit_test(test_only_processes_of_hosts_that_have_not_reported_wait),
        cmocka_unit_test(test_a_process_never_starts_beside_a_run_on_another_host),
        cmocka_unit_test(test_what_left_the_layout_stops_only_when_that_is_wanted),
        cmocka_unit_test(test_a_spec_is_complete),
        cmocka_unit_test(test_a_standby_plans_nothing_and_says_so),
        cmocka_unit_test(test_equal_inputs_make_equal_plans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
