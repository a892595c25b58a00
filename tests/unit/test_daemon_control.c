/* libs: gemel_daemon_core */
#include <signal.h>

#include "daemon/core/daemon_core.h"
#include "tests/unit/testing.h"

/* What a daemon that was started anew does with the control that its predecessor had started. */
struct bed {
    struct daemon_core *core;
    struct daemon_actions actions;
};

static int setup(void **state)
{
    static struct bed bed;
    Gemel__ProcessSpec spec = GEMEL__PROCESS_SPEC__INIT;
    spec.restart = GEMEL__RESTART__RESTART_ALWAYS;
    struct daemon_core_config config = {
        .host = "127.0.0.1", .boot_id = "boot", .version = "1", .start_next = 100, .start_end = 1100};
    config.control_spec = &spec;
    daemon_core_create(&bed.core, &config);
    daemon_actions_init(&bed.actions);
    *state = &bed;
    return 0;
}

static int teardown(void **state)
{
    struct bed *bed = *state;
    daemon_core_destroy(&bed->core);
    daemon_actions_fini(&bed->actions);
    return 0;
}

static int step(struct bed *bed, struct daemon_event event)
{
    daemon_actions_reset(&bed->actions);
    event.now_ms = 1000000;
    event.process = DAEMON_CONTROL;
    return daemon_core_step(bed->core, &event, &bed->actions);
}

static bool has(const struct bed *bed, enum daemon_action_type type)
{
    for (size_t i = 0; i < bed->actions.count; i++)
        if (bed->actions.items[i].type == type)
            return true;
    return false;
}

static void adopt(struct bed *bed, enum daemon_run run, bool stopping)
{
    struct daemon_event event = {.type = DAEMON_EVENT_ADOPT};
    event.adopt.run = run;
    event.adopt.token.start = 42;
    event.adopt.pid = run == DAEMON_RUN_ALIVE ? 50 : 0;
    event.adopt.stopping = stopping;
    assert_int_equal(step(bed, event), 0);
}

static void test_one_that_lives_goes_on_and_is_started_again_when_it_dies(void **state)
{
    struct bed *bed = *state;
    adopt(bed, DAEMON_RUN_ALIVE, false);
    assert_false(has(bed, DAEMON_ACTION_KILL));
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_LINKED, .linked = {.pid = 50}}), 0);
    struct daemon_event exited = {.type = DAEMON_EVENT_EXITED, .exited = {.pid = 50, .signal = SIGKILL}};
    assert_int_equal(step(bed, exited), 0);
    assert_true(has(bed, DAEMON_ACTION_SPAWN));
}

static void test_one_that_died_unattended_is_started_again(void **state)
{
    struct bed *bed = *state;
    adopt(bed, DAEMON_RUN_DEAD, false);
    assert_true(has(bed, DAEMON_ACTION_SPAWN));
}

static void test_one_that_had_said_that_it_stops_stays_stopped(void **state)
{
    struct bed *bed = *state;
    adopt(bed, DAEMON_RUN_DEAD, true);
    assert_false(has(bed, DAEMON_ACTION_SPAWN));
}

static void test_that_it_stops_is_kept_for_the_next_daemon(void **state)
{
    struct bed *bed = *state;
    adopt(bed, DAEMON_RUN_ALIVE, false);
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_LINKED, .linked = {.pid = 50}}), 0);
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_CONTROL_STOPPING}), 0);
    assert_true(has(bed, DAEMON_ACTION_RECORD_RUN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_that_lives_goes_on_and_is_started_again_when_it_dies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_that_died_unattended_is_started_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_that_had_said_that_it_stops_stays_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_that_it_stops_is_kept_for_the_next_daemon, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
