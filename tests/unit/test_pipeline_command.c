/* libs: gemel_procmgr_core gemel_layout_load gemel_layout_model gemel_wire gemel_base */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/planning.h"

static const char service[] = "pipeline:\n  name: refinery-gw-client\n  type: service\n"
                              "  proc-layout: [{all: one}, {all: two}]\n"
                              "  processes: {gw-client: {command: [gemel-gw-client]}}\n";

static void world_init(struct planning *world)
{
    const struct layout_file files[] = {{"system.yaml", planning_system, strlen(planning_system)},
                                        {"pipelines/Demo.yaml", planning_demo, strlen(planning_demo)},
                                        {"pipelines/client.yaml", service, strlen(service)}};
    planning_init(world, files, 3);
}

/* Gives the input and asks `verb` with "name value name value ..." arguments. */
static const Gemel__AdminReply *ask(struct planning *world, const char *verb, const char *arguments)
{
    static char words[200];
    Gemel__AdminRequest request;
    Gemel__Argument storage[4];
    Gemel__Argument *list[4];
    gemel__admin_request__init(&request);
    request.verb = arena_strdup(&world->arena, verb);
    request.arguments = list;
    snprintf(words, sizeof words, "%s", arguments);
    char *rest = NULL;
    for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        Gemel__Argument *argument = &storage[request.n_arguments];
        gemel__argument__init(argument);
        argument->name = word;
        argument->value = strtok_r(NULL, " ", &rest);
        list[request.n_arguments++] = argument;
    }
    planning_plan(world, 0);
    procmgr_actions_reset(&world->actions);
    struct procmgr_event event = {.type = PROCMGR_EVENT_REQUEST};
    event.request.id = 99;
    event.request.message = &request;
    assert_int_equal(procmgr_step(world->core, &event, &world->actions), 0);
    assert_int_equal(world->actions.count, 1);
    assert_int_equal(world->actions.items[0].type, PROCMGR_ACTION_REPLY);
    assert_int_equal(world->actions.items[0].reply.id, 99);
    return world->actions.items[0].reply.message;
}

static const char *cell(const Gemel__Table *table, size_t row, const char *column)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (strcmp(table->columns[i], column) == 0)
            return table->rows[row]->cells[i];
    fail_msg("no column %s", column);
    return "";
}

static void test_start_of_a_pipeline_that_does_not_run_starts_all_of_it(void **state)
{
    (void)state;
    struct planning world;
    world_init(&world);
    const Gemel__AdminReply *reply = ask(&world, "pipeline.start", "pipeline Demo");
    assert_int_equal(reply->exit_code, 0);
    assert_string_equal(reply->error, "");
    assert_string_equal(reply->message, "starting: 12 of 12");
    assert_int_equal(reply->n_wanted, 1);
    assert_int_equal(reply->wanted[0]->n_processes, 12);
    assert_true(reply->wanted[0]->up);
    assert_false(reply->wanted[0]->clear_failed);
    assert_string_equal(reply->wanted[0]->processes[0], "Demo.0.tp.0");
    assert_string_equal(reply->wanted[0]->why, "pipeline --start Demo");
    planning_fini(&world);
}

static void test_start_of_one_that_runs_says_so_and_changes_nothing(void **state)
{
    (void)state;
    struct planning world;
    world_init(&world);
    planning_want_all(&world, true);
    planning_observe_all(&world, STATE(READY));
    const Gemel__AdminReply *reply = ask(&world, "pipeline.start", "pipeline Demo");
    assert_int_equal(reply->exit_code, 0);
    assert_string_equal(reply->message, "already running: 12 of 12");
    assert_int_equal(reply->n_wanted, 0);
    planning_fini(&world);
}

static void test_start_can_be_repeated_while_it_starts(void **state)
{
    (void)state;
    struct planning world;
    world_init(&world);
    planning_want_all(&world, true);
    planning_observe(&world, "Demo.0.tp.0", "aaa", STATE(READY));
    planning_observe(&world, "Demo.1.tp.0", "bbb", STATE(STARTING));
    const Gemel__AdminReply *reply = ask(&world, "pipeline.start", "pipeline Demo");
    assert_int_equal(reply->exit_code, 0);
    assert_string_equal(reply->message, "already starting: 1 of 12 ready");
    assert_int_equal(reply->n_wanted, 0);
    planning_fini(&world);
}

static void test_start_of_a_partly_running_one_starts_nothing_and_names_what_is_down(void **state)
{
    (void)state;
    struct planning world;
    world_init(&world);
    planning_want_all(&world, true);
    planning_observe_all(&world, STATE(READY));
    Gemel__ProcessReport *rdb = planning_observe(&world, "Demo.0.rdb.0", "aaa", STATE(FAILED));
    rdb->exited = true;
    rdb->why = arena_strdup(&world.arena, "exited: signal 9");
    const Gemel__AdminReply *reply = ask(&world, "pipeline.start", "pipeline Demo");
    assert_int_equal(reply->exit_code, 3);
    assert_int_equal(reply->n_wanted, 0);
    assert_string_equal(
        reply->error,
        "Demo is partly running, 11 of 12 ready, nothing was started; down: Demo.0.rdb.0 (failed: exited: "
        "signal 9); start what is down with pipeline --force-start");
    /* What comes back by itself again and again is no more running than what has failed. */
    planning_observe(&world, "Demo.0.rdb.0", "aaa", STATE(BACKOFF));
    assert_int_equal(ask(&world, "pipeline.start", "pipeline Demo")->exit_code, 3);
    planning_fini(&world);
}

static void test_one_running_instance_is_a_partly_running_pipeline(void **state)
{
    (void)state;
    struct planning world;
    world_init(&world);
    for (size_t i = 0; i < 6; i++) {
        planning_want(&world, world.layout->processes[i].name, true);
        planning_observe(&world, world.layout->processes[i].name, "aaa", STATE(READY));
    }
    assert_int_equal(ask(&world, "pipeline.start", "pipeline Demo")->exit_code, 3);
    const Gemel__AdminReply *reply = ask(&world, "pipeline.start", "pipeline Demo instance 0");
    assert_int_equal(reply->exit_code, 0);
    assert_string_equal(reply->message, "already running: 6 of 6");
    reply = ask(&world, "pipeline.start", "pipeline Demo instance 1");
    assert_string_equal(reply->message, "starting: 6 of 6");
    assert_string_equal(reply->wanted[0]->why, "pipeline --start Demo --instance 1");
    planning_fini(&world);
}

static void test_start_when_all_of_it_failed_clears_the_failures(void **state)
{
    (void)state;
    struct planning world;
    world_init(&world);
    planning_want_all(&world, true);
    planning_observe_all(&world, STATE(FAILED));
    const Gemel__AdminReply *reply = ask(&world, "pipeline.start", "pipeline Demo");
    assert_int_equal(reply->exit_code, 0);
    assert_true(reply->wanted[0]->clear_failed);
    planning_fini(&world);
}

static void test_start_right_after_a_stop_starts(void **state)
{
    (void)state;
    struct planning world;
    world_init(&world);
    planning_want_all(&world, false);
    planning_observe_all(&world, STATE(STOPPING));
    const Gemel__AdminReply *reply = ask(&world, "pipeline.start", "pipeline Demo");
    assert_int_equal(reply->exit_code, 0);
    assert_int_equal(reply->wanted[0]->n_processes, 12);
    planning_fini(&world);
}

static void test_force_start_starts_what_is_down_and_clears_its_failures(void **state)
{
    (void)state;
    struct planning world;
    world_init(&world);
    planning_want_all(&world, true);
    planning_observe_all(&world, STATE(READY));
    planning_observe(&world, "Demo.0.rdb.0", "aaa", STATE(FAILED));
    planning_observe(&world, "Demo.0.hdb.0", "aaa", STATE(BACKOFF));
    const Gemel__AdminReply *reply = ask(&world, "pipeline.force-start", "pipeline Demo instance 0");
    assert_int_equal(reply->exit_code, 0);
    assert_string_equal(reply->message, "starting: 2 of 6");
    assert_int_equal(reply->wanted[0]->n_processes, 2);
    assert_string_equal(reply->wanted[0]->processes[0], "Demo.0.rdb.0");
    assert_true(reply->wanted[0]->clear_failed);
    reply = ask(&world, "pipeline.force-start", "pipeline Demo instance 1");
    assert_string_equal(reply->message, "already running: 6 of 6");
    assert_int_equal(reply->n_wanted, 0);
    reply = ask(&world, "pipeline.force-start", "pipeline Demo instance 0 process rdb.0");
    assert_int_equal(reply->wanted[0]->n_processes, 1);
    assert_string_equal(reply->wanted[0]->why, "pipeline --force-start Demo --instance 0 --process rdb.0");
    planning_fini(&world);
}

static void test_stop_stops_what_runs_and_can_be_repeated(void **state)
{
    (void)state;
    struct planning world;
    world_init(&world);
    planning_want_all(&world, true);
    planning_observe_all(&world, STATE(READY));
    const Gemel__AdminReply *reply = ask(&world, "pipeline.stop", "pipeline Demo process rdb");
    assert_string_equal(reply->message, "stopping: 2 of 2");
    assert_false(reply->wanted[0]->up);
    assert_string_equal(reply->wanted[0]->processes[1], "Demo.1.rdb.0");
    planning_want_all(&world, false);
    planning_observe_all(&world, STATE(STOPPING));
    reply = ask(&world, "pipeline.stop", "pipeline Demo");
    assert_int_equal(reply->exit_code, 0);
    assert_string_equal(reply->message, "already stopping: 12 of 12 left");
    planning_observe_all(&world, STATE(STOPPED));
    reply = ask(&world, "pipeline.stop", "pipeline Demo");
    assert_int_equal(reply->exit_code, 0);
    assert_string_equal(reply->message, "already stopped: 12 of 12");
    assert_int_equal(reply->n_wanted, 0);
    planning_fini(&world);
}

static void test_status_has_a_row_for_each_process_and_a_summary(void **state)
{
    (void)state;
    struct planning world;
    world_init(&world);
    planning_want_all(&world, true);
    planning_observe_all(&world, STATE(READY));
    Gemel__ProcessReport *rdb = planning_observe(&world, "Demo.1.rdb.0", "bbb", STATE(STARTING));
    rdb->pid = 4711;
    rdb->endpoint = arena_strdup(&world.arena, "bbb:41222");
    rdb->since_wall_ns = 1763759402000000000u;
    rdb->restarts = 2;
    rdb->status = arena_strdup(&world.arena, "replaying 43 %");
    const Gemel__AdminReply *reply = ask(&world, "pipeline.status", "pipeline Demo");
    assert_int_equal(reply->exit_code, 3);
    assert_int_equal(reply->n_tables, 2);
    assert_string_equal(reply->tables[0]->name, "processes");
    assert_int_equal(reply->tables[0]->n_rows, 12);
    assert_string_equal(cell(reply->tables[0], 7, "processName"), "Demo.1.rdb.0");
    assert_string_equal(cell(reply->tables[0], 7, "host"), "bbb");
    assert_string_equal(cell(reply->tables[0], 7, "state"), "starting");
    assert_string_equal(cell(reply->tables[0], 7, "pid"), "4711");
    assert_string_equal(cell(reply->tables[0], 7, "endpoint"), "bbb:41222");
    assert_string_equal(cell(reply->tables[0], 7, "since"), "2025-11-21T21:10:02Z");
    assert_string_equal(cell(reply->tables[0], 7, "restarts"), "2");
    assert_string_equal(cell(reply->tables[0], 7, "why"), "replaying 43 %");
    assert_string_equal(cell(reply->tables[1], 0, "ready"), "11");
    assert_string_equal(cell(reply->tables[1], 0, "total"), "12");
    planning_observe(&world, "Demo.1.rdb.0", "bbb", STATE(READY));
    assert_int_equal(ask(&world, "pipeline.status", "pipeline Demo")->exit_code, 0);
    assert_int_equal(ask(&world, "pipeline.status", "")->tables[0]->n_rows, 14); /* and of the service class */
    planning_fini(&world);
}

static void test_list_and_procmgr_status_tell_of_everything(void **state)
{
    (void)state;
    struct planning world;
    world_init(&world);
    planning_want_all(&world, true);
    const Gemel__AdminReply *reply = ask(&world, "pipeline.list", "");
    assert_int_equal(reply->tables[0]->n_rows, 2);
    assert_string_equal(cell(reply->tables[0], 1, "pipeline"), "refinery-gw-client");
    assert_string_equal(cell(reply->tables[0], 1, "type"), "service");
    assert_string_equal(cell(reply->tables[0], 0, "total"), "12");
    reply = ask(&world, "procmgr.status", "");
    assert_string_equal(cell(reply->tables[0], 0, "role"), "leading");
    assert_string_equal(cell(reply->tables[0], 0, "revision"), "7");
    assert_int_equal(reply->tables[1]->n_rows, 10);
    planning_fini(&world);
}

static void test_service_classes_have_verbs_of_their_own_and_those_of_pipelines(void **state)
{
    (void)state;
    struct planning world;
    world_init(&world);
    const Gemel__AdminReply *reply = ask(&world, "service-class.start", "template refinery-gw-client");
    assert_int_equal(reply->exit_code, 0);
    assert_string_equal(reply->message, "starting: 2 of 2");
    assert_string_equal(reply->wanted[0]->why, "service-class --start-template refinery-gw-client");
    assert_string_equal(reply->wanted[0]->processes[1], "refinery-gw-client.1.gw-client.0");
    assert_int_equal(ask(&world, "service-class.status", "template refinery-gw-client")->tables[0]->n_rows, 2);
    assert_int_equal(ask(&world, "service-class.stop", "template refinery-gw-client")->exit_code, 0);
    assert_string_equal(ask(&world, "pipeline.start", "pipeline refinery-gw-client")->message, "starting: 2 of 2");
    planning_fini(&world);
}

static void test_unknown_names_are_refused_with_the_nearest_one(void **state)
{
    (void)state;
    static const struct {
        const char *verb;
        const char *arguments;
        int exit_code;
        const char *error;
    } cases[] = {
        {"pipeline.start", "pipeline Dmeo", 1,
         "unknown pipeline (did you mean 'Demo'?), got 'Dmeo'; pipeline --list names them all"},
        {"pipeline.stop", "pipeline Nothing", 1, "unknown pipeline, got 'Nothing'; pipeline --list names them all"},
        {"service-class.start", "template refinery-gw-clint", 1,
         "unknown service class (did you mean 'refinery-gw-client'?), got 'refinery-gw-clint'; pipeline --list names "
         "them all"},
        {"service-class.start", "template Demo", 1,
         "'Demo' is a pipeline and no service class: use pipeline --start Demo"},
        {"pipeline.start", "pipeline Demo instance 2", 1, "Demo has 2 instances, numbered from 0, got '2'"},
        {"pipeline.start", "pipeline Demo instance x", 1, "Demo has 2 instances, numbered from 0, got 'x'"},
        {"pipeline.start", "pipeline Demo process rbd.0", 1,
         "Demo has no process of this type (did you mean 'rdb'?), got 'rbd.0'"},
        {"pipeline.start", "pipeline Demo process rdb.1", 1,
         "Demo has 1 processes of type rdb, numbered from 0, got 'rdb.1'"},
        {"pipeline.start", "", 2, "'pipeline --start' wants the name of a pipeline"},
        {"pipeline.dance", "", 2, "the process manager does not know this command, got 'pipeline.dance'"},
    };
    struct planning world;
    world_init(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const Gemel__AdminReply *reply = ask(&world, cases[i].verb, cases[i].arguments);
        assert_string_equal(reply->error, cases[i].error);
        assert_int_equal(reply->exit_code, cases[i].exit_code);
        assert_int_equal(reply->n_wanted, 0);
    }
    planning_fini(&world);
}

static void test_a_standby_sends_to_the_leader(void **state)
{
    (void)state;
    struct planning world;
    world_init(&world);
    world.input.leading = false;
    assert_int_equal(ask(&world, "pipeline.start", "pipeline Demo")->exit_code, 4);
    const Gemel__AdminReply *reply = ask(&world, "procmgr.status", "");
    assert_int_equal(reply->exit_code, 0);
    assert_string_equal(cell(reply->tables[0], 0, "role"), "standby");
    planning_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_of_a_pipeline_that_does_not_run_starts_all_of_it),
        cmocka_unit_test(test_start_of_one_that_runs_says_so_and_changes_nothing),
        cmocka_unit_test(test_start_can_be_repeated_while_it_starts),
        cmocka_unit_test(test_start_of_a_partly_running_one_starts_nothing_and_names_what_is_down),
        cmocka_unit_test(test_one_running_instance_is_a_partly_running_pipeline),
        cmocka_unit_test(test_start_when_all_of_it_failed_clears_the_failures),
        cmocka_unit_test(test_start_right_after_a_stop_starts),
        cmocka_unit_test(test_force_start_starts_what_is_down_and_clears_its_failures),
        cmocka_unit_test(test_stop_stops_what_runs_and_can_be_repeated),
        cmocka_unit_test(test_status_has_a_row_for_each_process_and_a_summary),
        cmocka_unit_test(test_list_and_procmgr_status_tell_of_everything),
        cmocka_unit_test(test_service_classes_have_verbs_of_their_own_and_those_of_pipelines),
        cmocka_unit_test(test_unknown_names_are_refused_with_the_nearest_one),
        cmocka_unit_test(test_a_standby_sends_to_the_leader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
