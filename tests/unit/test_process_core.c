/* libs: gemel_daemon_core */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "daemon/core/daemon_core.h"
#include "daemon/core/restart.h"
#include "tests/unit/testing.h"

#define RDB "DemoPipeline.0.rdb.0"

/* A core under a clock of the test's own. Every step's actions stay readable until the next. */
struct bed {
    struct daemon_core *core;
    struct daemon_actions actions;
    int64_t now_ms;
    Gemel__ProcessSpec spec;
    char *command[1];
    uint64_t clear_failed;
    uint64_t placement;
};

static char program[] = "/bin/thing";

static int setup(void **state)
{
    static struct bed bed;
    bed = (struct bed){.now_ms = 1000000, .placement = 1, .command = {program}};
    gemel__process_spec__init(&bed.spec);
    bed.spec.process = (char *)(uintptr_t)RDB;
    bed.spec.command = bed.command;
    bed.spec.n_command = 1;
    bed.spec.stop_timeout_ms = 5000;
    bed.spec.startup_timeout_ms = 8000;
    Gemel__ProcessSpec own = bed.spec;
    own.restart = GEMEL__RESTART__RESTART_ALWAYS;
    own.hang_timeout_ms = 1000;
    struct daemon_core_config config = {
        .host = "127.0.0.1",
        .boot_id = "boot",
        .version = "1",
        .seed = 7,
        .epoch_seen = 0x101,
        .start_next = 100,
        .start_end = 1100,
        .control_spec = &own,
        .procmgr_spec = &own,
    };
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
    event.now_ms = bed->now_ms;
    event.wall_ns = (uint64_t)bed->now_ms * 1000000;
    return daemon_core_step(bed->core, &event, &bed->actions);
}

static const struct daemon_action *action(const struct bed *bed, enum daemon_action_type type)
{
    for (size_t i = 0; i < bed->actions.count; i++)
        if (bed->actions.items[i].type == type)
            return &bed->actions.items[i];
    return NULL;
}

static bool has_log(const struct bed *bed, enum daemon_log_level level, const char *part)
{
    for (size_t i = 0; i < bed->actions.count; i++)
        if (bed->actions.items[i].type == DAEMON_ACTION_LOG && bed->actions.items[i].log.level == level &&
            strstr(bed->actions.items[i].log.sentence, part) != NULL)
            return true;
    return false;
}

/* The report about `name` as a newcomer would get it; good until the next step. */
static const Gemel__ProcessReport *report(struct bed *bed, const char *name)
{
    bool own = strchr(name, '.') == NULL;
    Gemel__ProcessReports *reports = daemon_core_reports(bed->core, &bed->actions.arena, bed->now_ms, own);
    for (size_t i = 0; i < reports->n_reports; i++)
        if (strcmp(reports->reports[i]->process, name) == 0)
            return reports->reports[i];
    fail_msg("no report about %s", name);
    return NULL;
}

static int order_epoch(struct bed *bed, const char *name, bool run, uint64_t epoch)
{
    Gemel__OrderItem item = GEMEL__ORDER_ITEM__INIT;
    item.process = (char *)(uintptr_t)name;
    item.placement = bed->placement;
    item.run = run;
    item.spec = run ? &bed->spec : NULL;
    item.clear_failed = bed->clear_failed;
    item.why = (char *)(uintptr_t)(run ? "pipeline --start" : "pipeline --stop");
    Gemel__OrderItem *items[] = {&item};
    Gemel__Orders orders = GEMEL__ORDERS__INIT;
    orders.host = (char *)(uintptr_t) "127.0.0.1";
    orders.items = items;
    orders.n_items = 1;
    return step(bed, (struct daemon_event){.type = DAEMON_EVENT_ORDERS,
                                           .orders = {.peer = 5, .epoch = epoch, .orders = &orders}});
}

static int order(struct bed *bed, bool run)
{
    return order_epoch(bed, RDB, run, 0x101);
}

/* Answers the SPAWN of the last step. */
static struct token spawned(struct bed *bed, const char *name, int32_t pid)
{
    const struct daemon_action *spawn = action(bed, DAEMON_ACTION_SPAWN);
    assert_non_null(spawn);
    assert_string_equal(spawn->process, name);
    struct token token = spawn->spawn.token;
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_SPAWNED,
                                                     .process = name,
                                                     .spawned = {.token = token, .pid = pid}}),
                     0);
    return token;
}

static int notify(struct bed *bed, struct daemon_notify said)
{
    return step(bed, (struct daemon_event){.type = DAEMON_EVENT_NOTIFY, .process = RDB, .notify = said});
}

static int exits(struct bed *bed, const char *name, int32_t pid, int32_t code, int32_t signal)
{
    return step(bed, (struct daemon_event){.type = DAEMON_EVENT_EXITED,
                                           .process = name,
                                           .exited = {.pid = pid, .code = code, .signal = signal}});
}

static void tick(struct bed *bed)
{
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_TICK}), 0);
}

/* Goes to the next deadline. */
static int64_t wake(struct bed *bed)
{
    int64_t next_ms = daemon_core_next_wakeup_ms(bed->core);
    assert_true(next_ms != INT64_MAX);
    int64_t waited_ms = next_ms - bed->now_ms;
    if (next_ms > bed->now_ms)
        bed->now_ms = next_ms;
    tick(bed);
    return waited_ms;
}

static struct token run_until_ready(struct bed *bed, int32_t pid)
{
    assert_int_equal(order(bed, true), 0);
    struct token token = spawned(bed, RDB, pid);
    assert_int_equal(notify(bed, (struct daemon_notify){.ready = true}), 0);
    return token;
}

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
        CASE(test_orders_of_a_new_epoch_wait_until_it_is_durable_and_stale_ones_are_answered),
        CASE(test_token_numbers_are_reserved_ahead_and_never_given_out_beyond),
        CASE(test_a_living_process_is_adopted_as_it_is),
        CASE(test_a_process_that_died_unattended_is_an_unknown_exit_and_restarted),
        CASE(test_an_unattended_end_that_was_announced_stays_stopped),
        CASE(test_after_a_reboot_what_was_wanted_starts_and_what_was_stopped_or_failed_stays),
        CASE(test_the_control_is_started_again_unless_it_said_that_it_stops),
        CASE(test_the_process_manager_runs_always_until_it_is_stopped),
        CASE(test_stop_all_ends_the_daemon_once_everything_is_gone_and_keeps_what_is_wanted),
        CASE(test_last_words_are_told_once),
        CASE(test_a_newcomer_gets_hello_and_everything),
        CASE(test_events_that_make_no_sense_are_refused_in_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
