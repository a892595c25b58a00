/* libs: gemel_daemon_core */
#include "tests/unit/daemon_bed.h"

static void test_orders_of_a_new_epoch_wait_until_it_is_durable_and_stale_ones_are_answered(void **state)
{
    struct bed *bed = *state;
    assert_int_equal(order_epoch(bed, RDB, true, 0x202), 0);
    assert_int_equal(action(bed, DAEMON_ACTION_STORE_EPOCH)->epoch, 0x202);
    assert_null(action(bed, DAEMON_ACTION_SPAWN));
    assert_int_equal(order_epoch(bed, "DemoPipeline.0.tp.0", true, 0x202), 0);
    assert_int_equal(order_epoch(bed, RDB, false, 0x101), -ESTALE);
    assert_int_equal(action(bed, DAEMON_ACTION_SEND_STALE_EPOCH)->stale.epoch_now, 0x202);
    assert_int_equal(action(bed, DAEMON_ACTION_SEND_STALE_EPOCH)->stale.peer, 5);
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_EPOCH_STORED, .epoch = 0x202}), 0);
    assert_int_equal(bed->actions.items[0].type, DAEMON_ACTION_SPAWN);
    assert_int_equal(bed->actions.items[1].type, DAEMON_ACTION_SPAWN);
    assert_int_equal(daemon_core_epoch(bed->core), 0x202);
    assert_int_equal(order_epoch(bed, RDB, false, 0x101), -ESTALE);
}

static void test_token_numbers_are_reserved_ahead_and_never_given_out_beyond(void **state)
{
    struct bed *bed = *state;
    bed->spec.restart = GEMEL__RESTART__RESTART_ALWAYS;
    order(bed, true);
    uint64_t last = 0;
    uint64_t asked = 0;
    for (int32_t pid = 1; pid <= 1000; pid++) {
        while (action(bed, DAEMON_ACTION_SPAWN) == NULL)
            wake(bed);
        if (action(bed, DAEMON_ACTION_RESERVE_STARTS) != NULL)
            asked = action(bed, DAEMON_ACTION_RESERVE_STARTS)->starts_end;
        struct token token = spawned(bed, RDB, pid);
        assert_true(token.start > last && token.start < 1100);
        last = token.start;
        exits(bed, RDB, pid, 1, 0);
    }
    assert_int_equal(last, 1099);
    assert_int_equal(asked, 2100);
    wake(bed);
    assert_null(action(bed, DAEMON_ACTION_SPAWN));
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_STARTS_RESERVED, .starts_end = 2100}), 0);
    wake(bed);
    assert_int_equal(action(bed, DAEMON_ACTION_SPAWN)->spawn.token.start, 1100);
}

static void test_a_core_made_with_no_token_numbers_reserves_some_before_it_starts_anything(void **state)
{
    struct bed *bed = *state;
    struct daemon_core_config config = {
        .host = "127.0.0.1", .boot_id = "boot", .version = "1", .epoch_seen = 0x101, .start_next = 100};
    for (config.start_end = 0; config.start_end <= 100; config.start_end += 50) {
        daemon_core_destroy(&bed->core);
        daemon_core_create(&bed->core, &config);
        order(bed, true);
        assert_null(action(bed, DAEMON_ACTION_SPAWN));
        uint64_t asked = action(bed, DAEMON_ACTION_RESERVE_STARTS)->starts_end;
        assert_int_equal(asked, 100 + DAEMON_STARTS_BLOCK);
        assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_STARTS_RESERVED, .starts_end = asked}),
                         0);
        wake(bed);
        assert_int_equal(action(bed, DAEMON_ACTION_SPAWN)->spawn.token.start, 100);
    }
}

static struct daemon_adopt adoption(struct bed *bed, enum daemon_run run)
{
    return (struct daemon_adopt){
        .spec = &bed->spec,
        .placement = 3,
        .wanted = true,
        .why = "pipeline --start",
        .run = run,
        .token = {.placement = 3, .start = 42},
        .pid = run == DAEMON_RUN_ALIVE ? 99 : 0,
        .ready = true,
        .endpoint = "127.0.0.1:7",
        .restarts = 2,
    };
}

static int adopt(struct bed *bed, struct daemon_adopt what)
{
    return step(bed, (struct daemon_event){.type = DAEMON_EVENT_ADOPT, .process = RDB, .adopt = what});
}

static void test_a_living_process_is_adopted_as_it_is(void **state)
{
    struct bed *bed = *state;
    assert_int_equal(adopt(bed, adoption(bed, DAEMON_RUN_ALIVE)), 0);
    assert_null(action(bed, DAEMON_ACTION_SPAWN));
    const Gemel__ProcessReport *now = report(bed, RDB);
    assert_int_equal(now->state, GEMEL__PROCESS_STATE__PROCESS_READY);
    assert_int_equal(now->start, 42);
    assert_int_equal(now->restarts, 2);
    assert_true(now->was_unattended);
    assert_string_equal(now->endpoint, "127.0.0.1:7");
}

static void test_a_process_that_died_unattended_is_an_unknown_exit_and_restarted(void **state)
{
    struct bed *bed = *state;
    assert_int_equal(adopt(bed, adoption(bed, DAEMON_RUN_DEAD)), 0);
    assert_non_null(action(bed, DAEMON_ACTION_SPAWN));
    assert_true(report(bed, RDB)->exit_unknown);
    assert_int_equal(report(bed, RDB)->restarts, 3);
}

static void test_a_run_whose_order_was_lost_is_kept_and_waits_for_an_order_when_it_ends(void **state)
{
    struct bed *bed = *state;
    struct daemon_adopt what = adoption(bed, DAEMON_RUN_ALIVE);
    what.spec = NULL;
    bed->placement = 3;
    assert_int_equal(adopt(bed, what), 0);
    assert_int_equal(report(bed, RDB)->state, GEMEL__PROCESS_STATE__PROCESS_READY);
    exits(bed, RDB, 99, 1, 0);
    assert_null(action(bed, DAEMON_ACTION_SPAWN));
    assert_int_equal(report(bed, RDB)->state, GEMEL__PROCESS_STATE__PROCESS_STOPPED);
    assert_int_equal(order(bed, true), 0);
    assert_non_null(action(bed, DAEMON_ACTION_SPAWN));
}

static void test_an_unattended_end_that_was_announced_stays_stopped(void **state)
{
    struct bed *bed = *state;
    struct daemon_adopt what = adoption(bed, DAEMON_RUN_DEAD);
    what.stopping = true;
    adopt(bed, what);
    assert_null(action(bed, DAEMON_ACTION_SPAWN));
    assert_int_equal(report(bed, RDB)->state, GEMEL__PROCESS_STATE__PROCESS_STOPPED);
}

static void test_after_a_reboot_what_was_wanted_starts_and_what_was_stopped_or_failed_stays(void **state)
{
    struct bed *bed = *state;
    struct daemon_adopt what = adoption(bed, DAEMON_RUN_NONE);
    what.wanted = false;
    what.why = "pipeline --stop";
    adopt(bed, what);
    assert_null(action(bed, DAEMON_ACTION_SPAWN));
    assert_string_equal(report(bed, RDB)->why, "pipeline --stop");
    what = adoption(bed, DAEMON_RUN_NONE);
    what.parked = what.failed = true;
    step(bed, (struct daemon_event){.type = DAEMON_EVENT_ADOPT, .process = "DemoPipeline.0.tp.0", .adopt = what});
    assert_null(action(bed, DAEMON_ACTION_SPAWN));
    assert_int_equal(report(bed, "DemoPipeline.0.tp.0")->state, GEMEL__PROCESS_STATE__PROCESS_FAILED);
    what = adoption(bed, DAEMON_RUN_NONE);
    step(bed, (struct daemon_event){.type = DAEMON_EVENT_ADOPT, .process = "DemoPipeline.0.hdb.0", .adopt = what});
    assert_non_null(action(bed, DAEMON_ACTION_SPAWN));
}

static void test_the_control_is_started_again_unless_it_said_that_it_stops(void **state)
{
    struct bed *bed = *state;
    struct daemon_event linked = {.type = DAEMON_EVENT_LINKED, .process = DAEMON_CONTROL, .linked = {.pid = 50}};
    assert_int_equal(step(bed, linked), 0);
    assert_int_equal(report(bed, DAEMON_CONTROL)->state, GEMEL__PROCESS_STATE__PROCESS_READY);
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_EXITED,
                                                     .process = DAEMON_CONTROL,
                                                     .exited = {.pid = 50, .unknown = true}}),
                     0);
    spawned(bed, DAEMON_CONTROL, 51);
    linked.linked.pid = 51;
    assert_int_equal(step(bed, linked), 0);
    assert_int_equal(report(bed, DAEMON_CONTROL)->state, GEMEL__PROCESS_STATE__PROCESS_READY);
    step(bed, (struct daemon_event){.type = DAEMON_EVENT_CONTROL_STOPPING, .process = DAEMON_CONTROL});
    exits(bed, DAEMON_CONTROL, 51, 0, 0);
    assert_null(action(bed, DAEMON_ACTION_SPAWN));
    assert_int_equal(report(bed, DAEMON_CONTROL)->state, GEMEL__PROCESS_STATE__PROCESS_STOPPED);
    linked.linked.pid = 60;
    assert_int_equal(step(bed, linked), 0);
    assert_int_equal(report(bed, DAEMON_CONTROL)->pid, 60);
}

static void test_the_process_manager_runs_always_until_it_is_stopped(void **state)
{
    struct bed *bed = *state;
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_PROCMGR_START}), 0);
    spawned(bed, DAEMON_PROCMGR, 30);
    notify(bed, (struct daemon_notify){.ready = true});
    exits(bed, DAEMON_PROCMGR, 30, 0, 0);
    spawned(bed, DAEMON_PROCMGR, 31);
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_PROCMGR_STOP}), 0);
    assert_int_equal(action(bed, DAEMON_ACTION_KILL)->kill.pid, 31);
    assert_false(action(bed, DAEMON_ACTION_STORE_ORDER)->order.wanted);
    assert_int_equal(exits(bed, DAEMON_PROCMGR, 31, 0, SIGTERM), 0);
    assert_null(action(bed, DAEMON_ACTION_SPAWN));
}

static void test_stop_all_ends_the_daemon_once_everything_is_gone_and_keeps_what_is_wanted(void **state)
{
    struct bed *bed = *state;
    run_until_ready(bed, 77);
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_STOP_ALL}), 0);
    assert_int_equal(action(bed, DAEMON_ACTION_KILL)->kill.signal, SIGTERM);
    assert_null(action(bed, DAEMON_ACTION_STORE_ORDER));
    assert_null(action(bed, DAEMON_ACTION_EXIT));
    assert_int_equal(order(bed, true), -ESHUTDOWN);
    exits(bed, RDB, 77, 1, 0);
    assert_null(action(bed, DAEMON_ACTION_SPAWN));
    assert_non_null(action(bed, DAEMON_ACTION_EXIT));
}

static void test_last_words_are_told_once(void **state)
{
    struct bed *bed = *state;
    struct token token = run_until_ready(bed, 77);
    exits(bed, RDB, 77, 1, 0);
    struct daemon_event words = {
        .type = DAEMON_EVENT_LAST_WORDS, .process = RDB, .last_words = {.token = token, .text = "out of luck"}};
    assert_int_equal(step(bed, words), 0);
    const Gemel__ProcessReports *reports = action(bed, DAEMON_ACTION_SEND_REPORTS)->reports.reports;
    assert_string_equal(reports->reports[0]->last_words, "out of luck");
    assert_string_equal(report(bed, RDB)->last_words, "");
    words.last_words.token.start++;
    assert_int_equal(step(bed, words), -EINVAL);
}

static void test_a_newcomer_gets_hello_and_everything(void **state)
{
    struct bed *bed = *state;
    run_until_ready(bed, 77);
    step(bed, (struct daemon_event){.type = DAEMON_EVENT_PEER_UP, .peer = 9});
    assert_int_equal(action(bed, DAEMON_ACTION_SEND_HELLO)->hello.peer, 9);
    assert_int_equal(action(bed, DAEMON_ACTION_SEND_HELLO)->hello.hello->epoch_seen, 0x101);
    const struct daemon_action *sent = action(bed, DAEMON_ACTION_SEND_REPORTS);
    assert_int_equal(sent->reports.peer, 9);
    assert_true(sent->reports.reports->full);
    assert_int_equal(sent->reports.reports->n_reports, 1);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_orders_of_a_new_epoch_wait_until_it_is_durable_and_stale_ones_are_answered),
        CASE(test_token_numbers_are_reserved_ahead_and_never_given_out_beyond),
        CASE(test_a_core_made_with_no_token_numbers_reserves_some_before_it_starts_anything),
        CASE(test_a_living_process_is_adopted_as_it_is),
        CASE(test_a_process_that_died_unattended_is_an_unknown_exit_and_restarted),
        CASE(test_a_run_whose_order_was_lost_is_kept_and_waits_for_an_order_when_it_ends),
        CASE(test_an_unattended_end_that_was_announced_stays_stopped),
        CASE(test_after_a_reboot_what_was_wanted_starts_and_what_was_stopped_or_failed_stays),
        CASE(test_the_control_is_started_again_unless_it_said_that_it_stops),
        CASE(test_the_process_manager_runs_always_until_it_is_stopped),
        CASE(test_stop_all_ends_the_daemon_once_everything_is_gone_and_keeps_what_is_wanted),
        CASE(test_last_words_are_told_once),
        CASE(test_a_newcomer_gets_hello_and_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
