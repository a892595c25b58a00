/* libs: gemel_daemon_core */
#include "tests/unit/daemon_bed.h"

static void test_an_order_starts_a_process_and_its_ready_is_reported(void **state)
{
    struct bed *bed = *state;
    assert_int_equal(order(bed, true), 0);
    assert_int_equal(bed->actions.items[0].type, DAEMON_ACTION_SPAWN);
    assert_string_equal(bed->actions.items[0].spawn.spec->command[0], "/bin/thing");
    assert_non_null(action(bed, DAEMON_ACTION_STORE_ORDER));
    struct token token = spawned(bed, RDB, 77);
    assert_int_equal(token.placement, 1);
    assert_int_equal(token.start, 100);
    assert_int_equal(report(bed, RDB)->state, GEMEL__PROCESS_STATE__PROCESS_STARTING);
    assert_int_equal(notify(bed, (struct daemon_notify){.ready = true, .endpoint = "127.0.0.1:9", .status = "fine"}),
                     0);
    const struct daemon_action *sent = action(bed, DAEMON_ACTION_SEND_REPORTS);
    assert_non_null(sent);
    assert_int_equal(sent->reports.peer, 0);
    assert_false(sent->reports.reports->full);
    const Gemel__ProcessReport *ready = sent->reports.reports->reports[0];
    assert_int_equal(ready->state, GEMEL__PROCESS_STATE__PROCESS_READY);
    assert_string_equal(ready->endpoint, "127.0.0.1:9");
    assert_string_equal(ready->status, "fine");
    assert_int_equal(ready->start, 100);
    assert_non_null(action(bed, DAEMON_ACTION_RECORD_RUN));
}

static void test_the_same_order_again_does_nothing(void **state)
{
    struct bed *bed = *state;
    run_until_ready(bed, 77);
    assert_int_equal(order(bed, true), 0);
    assert_int_equal(bed->actions.count, 0);
}

static void test_the_replacement_is_spawned_before_anything_is_written(void **state)
{
    struct bed *bed = *state;
    struct token before = run_until_ready(bed, 77);
    assert_int_equal(exits(bed, RDB, 77, 0, SIGKILL), 0);
    assert_int_equal(bed->actions.items[0].type, DAEMON_ACTION_SPAWN);
    assert_int_equal(bed->actions.items[0].spawn.token.start, before.start + 1);
    assert_int_equal(token_compare(bed->actions.items[0].spawn.predecessor, before), 0);
    assert_true(has_log(bed, DAEMON_LOG_INFO, "Cause: signal 9"));
    const Gemel__ProcessReport *now = action(bed, DAEMON_ACTION_SEND_REPORTS)->reports.reports->reports[0];
    assert_true(now->exited);
    assert_int_equal(now->exit_signal, SIGKILL);
    assert_int_equal(now->restarts, 1);
    assert_string_equal(now->endpoint, "");
}

static void test_failures_back_off_alarm_at_the_fifth_and_are_forgotten_when_ready(void **state)
{
    struct bed *bed = *state;
    static const int64_t expected_ms[] = {0, 100, 200, 400, 800};
    assert_int_equal(order(bed, true), 0);
    for (int i = 0; i < 5; i++) {
        spawned(bed, RDB, 70 + i);
        assert_int_equal(exits(bed, RDB, 70 + i, 1, 0), 0);
        assert_true(has_log(bed, DAEMON_LOG_WARN, "fails again and again") == (i == 4));
        if (i == 0)
            continue;
        assert_int_equal(report(bed, RDB)->state, GEMEL__PROCESS_STATE__PROCESS_BACKOFF);
        assert_string_equal(report(bed, RDB)->why, "exited: code 1, before it was ready");
        int64_t waited_ms = wake(bed);
        assert_true(waited_ms >= expected_ms[i] * 9 / 10 && waited_ms <= expected_ms[i] * 11 / 10);
    }
    spawned(bed, RDB, 80);
    notify(bed, (struct daemon_notify){.ready = true});
    assert_int_equal(wake(bed), RESTART_RESET_MS);
    exits(bed, RDB, 80, 1, 0);
    assert_non_null(action(bed, DAEMON_ACTION_SPAWN));
}

static void test_a_clean_end_stays_stopped_until_it_is_cleared(void **state)
{
    struct bed *bed = *state;
    run_until_ready(bed, 77);
    assert_int_equal(exits(bed, RDB, 77, 0, 0), 0);
    assert_null(action(bed, DAEMON_ACTION_SPAWN));
    assert_true(action(bed, DAEMON_ACTION_STORE_ORDER)->order.parked);
    assert_int_equal(report(bed, RDB)->state, GEMEL__PROCESS_STATE__PROCESS_STOPPED);
    assert_int_equal(order(bed, true), 0);
    assert_null(action(bed, DAEMON_ACTION_SPAWN));
    bed->clear_failed = 1;
    assert_int_equal(order(bed, true), 0);
    assert_non_null(action(bed, DAEMON_ACTION_SPAWN));
    assert_int_equal(report(bed, RDB)->clear_failed, 1);
}

static void test_exit_125_is_failed_for_good_and_a_stop_and_start_clears_it(void **state)
{
    struct bed *bed = *state;
    run_until_ready(bed, 77);
    exits(bed, RDB, 77, 125, 0);
    assert_int_equal(report(bed, RDB)->state, GEMEL__PROCESS_STATE__PROCESS_FAILED);
    assert_int_equal(order(bed, true), 0);
    assert_null(action(bed, DAEMON_ACTION_SPAWN));
    assert_int_equal(order(bed, false), 0);
    assert_int_equal(report(bed, RDB)->state, GEMEL__PROCESS_STATE__PROCESS_STOPPED);
    assert_int_equal(order(bed, true), 0);
    assert_non_null(action(bed, DAEMON_ACTION_SPAWN));
}

static void test_manual_stays_down_after_a_failure(void **state)
{
    struct bed *bed = *state;
    bed->spec.restart = GEMEL__RESTART__RESTART_MANUAL;
    run_until_ready(bed, 77);
    exits(bed, RDB, 77, 0, SIGSEGV);
    assert_int_equal(report(bed, RDB)->state, GEMEL__PROCESS_STATE__PROCESS_FAILED);
    assert_string_equal(report(bed, RDB)->why, "exited: signal 11");
}

static void test_a_stop_escalates_to_the_whole_group_and_is_repeated(void **state)
{
    struct bed *bed = *state;
    run_until_ready(bed, 77);
    assert_int_equal(order(bed, false), 0);
    const struct daemon_action *kill = action(bed, DAEMON_ACTION_KILL);
    assert_int_equal(kill->kill.signal, SIGTERM);
    assert_int_equal(kill->kill.pid, 77);
    assert_false(kill->kill.whole);
    assert_int_equal(wake(bed), 5000);
    kill = action(bed, DAEMON_ACTION_KILL);
    assert_int_equal(kill->kill.signal, SIGKILL);
    assert_true(kill->kill.whole);
    assert_int_equal(wake(bed), 1000);
    assert_int_equal(action(bed, DAEMON_ACTION_KILL)->kill.signal, SIGKILL);
    assert_int_equal(exits(bed, RDB, 77, 0, SIGKILL), 0);
    assert_int_equal(report(bed, RDB)->state, GEMEL__PROCESS_STATE__PROCESS_STOPPED);
    assert_string_equal(report(bed, RDB)->why, "pipeline --stop");
    assert_int_equal(daemon_core_next_wakeup_ms(bed->core), INT64_MAX);
}

static void test_a_stop_that_overtakes_the_spawn_stops_what_was_spawned(void **state)
{
    struct bed *bed = *state;
    order(bed, true);
    struct token token = action(bed, DAEMON_ACTION_SPAWN)->spawn.token;
    order(bed, false);
    assert_null(action(bed, DAEMON_ACTION_KILL));
    step(bed,
         (struct daemon_event){.type = DAEMON_EVENT_SPAWNED, .process = RDB, .spawned = {.token = token, .pid = 77}});
    assert_int_equal(action(bed, DAEMON_ACTION_KILL)->kill.signal, SIGTERM);
}

static void test_wanted_again_while_stopping_starts_once_it_is_gone(void **state)
{
    struct bed *bed = *state;
    run_until_ready(bed, 77);
    order(bed, false);
    order(bed, true);
    assert_null(action(bed, DAEMON_ACTION_SPAWN));
    exits(bed, RDB, 77, 0, SIGTERM);
    assert_non_null(action(bed, DAEMON_ACTION_SPAWN));
    assert_int_equal(report(bed, RDB)->restarts, 0);
}

static void test_a_spawn_that_fails_tells_why_and_is_tried_again(void **state)
{
    struct bed *bed = *state;
    order(bed, true);
    for (int i = 0; i < 2; i++) {
        struct token token = action(bed, DAEMON_ACTION_SPAWN)->spawn.token;
        assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_SPAWN_FAILED,
                                                         .process = RDB,
                                                         .spawn_failed = {token, "cannot execute /x: gone"}}),
                         0);
    }
    assert_int_equal(report(bed, RDB)->state, GEMEL__PROCESS_STATE__PROCESS_BACKOFF);
    assert_string_equal(report(bed, RDB)->why, "cannot execute /x: gone");
    assert_false(report(bed, RDB)->exited);
}

static void test_a_process_that_is_not_ready_in_time_is_stopped_and_tried_again(void **state)
{
    struct bed *bed = *state;
    order(bed, true);
    spawned(bed, RDB, 77);
    notify(bed, (struct daemon_notify){.extend_us = 12000000});
    assert_int_equal(wake(bed), 12000);
    assert_int_equal(action(bed, DAEMON_ACTION_KILL)->kill.signal, SIGTERM);
    exits(bed, RDB, 77, 0, 0);
    assert_non_null(action(bed, DAEMON_ACTION_SPAWN));
    assert_non_null(strstr(report(bed, RDB)->why, "not ready after 12 s"));
}

static void test_an_open_port_makes_ready(void **state)
{
    struct bed *bed = *state;
    bed->spec.readiness = GEMEL__READINESS__READINESS_TCP_PORT;
    bed->spec.port = 5432;
    order(bed, true);
    spawned(bed, RDB, 77);
    wake(bed);
    assert_int_equal(action(bed, DAEMON_ACTION_PROBE_PORT)->probe.port, 5432);
    assert_int_equal(wake(bed), DAEMON_PROBE_MS);
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_PORT_OPEN, .process = RDB}), 0);
    assert_int_equal(report(bed, RDB)->state, GEMEL__PROCESS_STATE__PROCESS_READY);
    assert_string_equal(report(bed, RDB)->endpoint, "127.0.0.1:5432");
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_PORT_OPEN, .process = RDB}), -EINVAL);
}

static void test_a_missed_watchdog_kills_and_restarts(void **state)
{
    struct bed *bed = *state;
    bed->spec.watchdog_ms = 500;
    run_until_ready(bed, 77);
    bed->now_ms += 400;
    notify(bed, (struct daemon_notify){.watchdog = true});
    assert_int_equal(wake(bed), 500);
    assert_true(report(bed, RDB)->hung);
    assert_int_equal(action(bed, DAEMON_ACTION_KILL)->kill.signal, SIGKILL);
    exits(bed, RDB, 77, 0, 0); /* it was on its way out by itself: a failure all the same */
    assert_non_null(action(bed, DAEMON_ACTION_SPAWN));
}

static void test_a_linked_process_that_is_silent_is_killed_but_not_for_the_daemons_own_lateness(void **state)
{
    struct bed *bed = *state;
    bed->spec.hang_timeout_ms = 1000;
    run_until_ready(bed, 77);
    struct daemon_event linked = {.type = DAEMON_EVENT_LINKED, .process = RDB, .linked = {.pid = 77}};
    assert_int_equal(step(bed, linked), 0);
    for (int i = 0; i < 30; i++) {
        wake(bed);
        assert_non_null(action(bed, DAEMON_ACTION_PING));
        step(bed, (struct daemon_event){.type = DAEMON_EVENT_PONG, .process = RDB});
    }
    bed->now_ms += 60000; /* the daemon itself did not run */
    tick(bed);
    assert_null(action(bed, DAEMON_ACTION_KILL));
    int64_t silent_since_ms = bed->now_ms;
    while (action(bed, DAEMON_ACTION_KILL) == NULL)
        wake(bed);
    assert_in_range(bed->now_ms - silent_since_ms, 800, 1100);
    assert_string_equal(report(bed, RDB)->why, "hung: silent for 1000 ms");
}

static void test_a_higher_placement_restarts_with_a_new_token_and_a_lower_one_changes_nothing(void **state)
{
    struct bed *bed = *state;
    bed->placement = 4;
    run_until_ready(bed, 77);
    bed->placement = 3;
    order(bed, true);
    assert_null(action(bed, DAEMON_ACTION_KILL));
    bed->placement = 5;
    order(bed, true);
    assert_int_equal(action(bed, DAEMON_ACTION_KILL)->kill.signal, SIGTERM);
    exits(bed, RDB, 77, 0, 0);
    assert_int_equal(action(bed, DAEMON_ACTION_SPAWN)->spawn.token.placement, 5);
    assert_int_equal(action(bed, DAEMON_ACTION_SPAWN)->spawn.token.start, 101);
}

static void test_events_that_make_no_sense_are_refused_in_every_state(void **state)
{
    struct bed *bed = *state;
    struct daemon_event about_rdb[] = {
        {.type = DAEMON_EVENT_SPAWNED, .process = RDB, .spawned = {.token = {1, 5}, .pid = 7}},
        {.type = DAEMON_EVENT_SPAWN_FAILED, .process = RDB, .spawn_failed = {.token = {1, 5}, .sentence = "x"}},
        {.type = DAEMON_EVENT_EXITED, .process = RDB, .exited = {.pid = 4}},
        {.type = DAEMON_EVENT_EXITED, .process = RDB, .exited = {.pid = 0}},
        {.type = DAEMON_EVENT_LAST_WORDS, .process = RDB, .last_words = {.token = {9, 9}, .text = "x"}},
        {.type = DAEMON_EVENT_PONG, .process = RDB},
        {.type = DAEMON_EVENT_UNLINKED, .process = RDB},
        {.type = DAEMON_EVENT_LINKED, .process = RDB, .linked = {.pid = 3, .token = {1, 5}}},
        {.type = DAEMON_EVENT_CONTROL_STOPPING, .process = RDB},
        {.type = DAEMON_EVENT_EPOCH_STORED, .epoch = 0x999},
        {.type = DAEMON_EVENT_STARTS_RESERVED, .starts_end = 5},
        {.type = DAEMON_EVENT_ADOPT},
    };
    for (int phase = 0; phase < 5; phase++) {
        for (size_t i = 0; i < sizeof about_rdb / sizeof *about_rdb; i++)
            assert_int_equal(step(bed, about_rdb[i]), -EINVAL);
        if (phase == 0)
            run_until_ready(bed, 77); /* then ready */
        if (phase == 1)
            order(bed, false); /* then stopping */
        if (phase == 2)
            exits(bed, RDB, 77, 0, 0); /* then stopped */
        if (phase == 3) {
            run_until_ready(bed, 78);
            exits(bed, RDB, 78, 125, 0); /* then failed */
        }
    }
    assert_int_equal(order_epoch(bed, "not a name", true, 0x101), -EINVAL);
    assert_int_equal(order_epoch(bed, DAEMON_PROCMGR, true, 0x101), -EINVAL);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_an_order_starts_a_process_and_its_ready_is_reported),
        CASE(test_the_same_order_again_does_nothing),
        CASE(test_the_replacement_is_spawned_before_anything_is_written),
        CASE(test_failures_back_off_alarm_at_the_fifth_and_are_forgotten_when_ready),
        CASE(test_a_clean_end_stays_stopped_until_it_is_cleared),
        CASE(test_exit_125_is_failed_for_good_and_a_stop_and_start_clears_it),
        CASE(test_manual_stays_down_after_a_failure),
        CASE(test_a_stop_escalates_to_the_whole_group_and_is_repeated),
        CASE(test_a_stop_that_overtakes_the_spawn_stops_what_was_spawned),
        CASE(test_wanted_again_while_stopping_starts_once_it_is_gone),
        CASE(test_a_spawn_that_fails_tells_why_and_is_tried_again),
        CASE(test_a_process_that_is_not_ready_in_time_is_stopped_and_tried_again),
        CASE(test_an_open_port_makes_ready),
        CASE(test_a_missed_watchdog_kills_and_restarts),
        CASE(test_a_linked_process_that_is_silent_is_killed_but_not_for_the_daemons_own_lateness),
        CASE(test_a_higher_placement_restarts_with_a_new_token_and_a_lower_one_changes_nothing),
        CASE(test_events_that_make_no_sense_are_refused_in_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
