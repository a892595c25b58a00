/* libs: gemel_test_gateway gemel_gateway_core gemel_wire gemel_base */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "tests/unit/gateway_world.h"
#include "tests/unit/testing.h"

/* ---- stories ---- */

static void test_a_query_goes_to_the_primary_and_its_answer_back(void **state)
{
    (void)state;
    struct world *w = world_create();
    uint32_t query = world_ask(w);
    assert_int_equal(w->processes[0].todo_count, 1);
    world_answer_all(w, 0);
    assert_int_equal(w->queries[query].fate, ANSWERED);
    world_destroy(w);
}

static void test_a_closed_link_fails_over_with_the_four_lines_and_repeats_at_once(void **state)
{
    (void)state;
    struct world *w = world_create();
    uint32_t query = world_ask(w);
    world_kill_process(w, 0);
    assert_string_equal(
        w->log.data,
        "1|Active downstream process has disconnected [ Process: P.0.rdb.0 ]\n"
        "0|Attempting auto-failover to new process instance [ Process: P.0.rdb.0 ] [ Pipeline: P ] [ Instance: 0 ] "
        "[ New: 1 ]\n"
        "0|Validating new instance process is available [ Process Name: P.1.rdb.0 ]\n"
        "0|Updating process primary configuration [ Source: P.0.rdb.0 ] [ New: P.1.rdb.0 ]\n");
    assert_int_equal(w->processes[1].todo_count, 1);
    world_answer_all(w, 1);
    assert_int_equal(w->queries[query].fate, ANSWERED);
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 1);
    world_destroy(w);
}

static void test_nobody_left_is_an_error_line_and_the_query_waits(void **state)
{
    (void)state;
    struct world *w = world_create();
    world_kill_process(w, 1);
    text_clear(&w->log);
    uint32_t query = world_ask(w);
    world_kill_process(w, 0);
    assert_non_null(strstr(w->log.data, "2|No process instance available for failover [ Process: P.0.rdb.0 ] "
                                        "[ Queued: 1 ] [ Why: P.0.rdb.0: disconnected"));
    assert_int_equal(w->queries[query].fate, PENDING);
    world_start_process(w, 1);
    world_run_until(w, w->now_ms + 300);
    world_answer_all(w, 1);
    assert_int_equal(w->queries[query].fate, ANSWERED);
    world_destroy(w);
}

static void test_a_death_of_two_processes_ends_the_query_names_both_and_quarantines(void **state)
{
    (void)state;
    struct world *w = world_create();
    uint32_t query = world_ask(w);
    world_kill_process(w, 0);
    world_kill_process(w, 1);
    assert_int_equal(w->queries[query].fate, FAILED);
    assert_non_null(strstr(w->queries[query].sentence, "P.0.rdb.0 (connection reset) and then P.1.rdb.0"));
    world_start_process(w, 0);
    world_run_until(w, w->now_ms + 300);
    /* The same query (fingerprint) again. */
    w->query_count = query;
    query = world_ask(w);
    assert_int_equal(w->queries[query].fate, FAILED);
    assert_int_equal(w->queries[query].code, -EPERM);
    world_run_until(w, w->now_ms + 61000);
    w->query_count = query;
    query = world_ask(w);
    assert_int_equal(w->queries[query].fate, PENDING);
    world_destroy(w);
}

static void test_what_is_not_idempotent_is_not_repeated(void **state)
{
    (void)state;
    struct world *w = world_create();
    uint32_t query = world_ask_target(w, 0, "P.rdb.0", false, 0);
    world_kill_process(w, 0);
    assert_int_equal(w->queries[query].fate, FAILED);
    assert_int_equal(w->queries[query].code, -ECONNRESET);
    assert_int_equal(w->processes[1].received, 0);
    world_destroy(w);
}

static void test_a_hung_process_is_left_within_the_hang_timeout_under_load(void **state)
{
    (void)state;
    struct world *w = world_create();
    uint32_t query = world_ask(w);
    int64_t hung_at_ms = w->now_ms;
    w->processes[0].mute = true;
    while (gateway_core_primary(w->core, "P.rdb.0") == 0)
        world_run_until(w, w->now_ms + 1);
    assert_in_range(w->now_ms - hung_at_ms, 900, 1005);
    assert_non_null(strstr(w->log.data, "1|Active downstream process is not usable [ Process: P.0.rdb.0 ] "
                                        "[ Reason: hung 10"));
    world_answer_all(w, 1);
    assert_int_equal(w->queries[query].fate, ANSWERED);
    world_destroy(w);
}

static void test_a_silent_host_is_left_after_three_pings(void **state)
{
    (void)state;
    struct world *w = world_create();
    world_run_until(w, w->now_ms + 1037);
    /* The last sign of life comes between two pings. */
    world_report(w, 0, GEMEL__PROCESS_STATE__PROCESS_READY, "", "");
    int64_t silent_at_ms = w->now_ms;
    w->processes[0].mute = true;
    w->daemon_mute[0] = true;
    while (gateway_core_primary(w->core, "P.rdb.0") == 0)
        world_run_until(w, w->now_ms + 1);
    assert_in_range(w->now_ms - silent_at_ms, 300, 305);
    assert_non_null(strstr(w->log.data, "[ Reason: host silent 30"));
    world_destroy(w);
}

static void test_a_gateway_that_slept_moves_nothing(void **state)
{
    (void)state;
    struct world *w = world_create();
    w->now_ms += 5000;
    world_step(w, &(struct gateway_event){.type = GATEWAY_EVENT_TICK});
    world_run_until(w, w->now_ms + 2000);
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 0);
    world_destroy(w);
}

static void test_a_stale_primary_is_left_with_its_reason(void **state)
{
    (void)state;
    struct world *w = world_create();
    world_report(w, 0, GEMEL__PROCESS_STATE__PROCESS_READY, "", "tp down");
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 1);
    assert_non_null(strstr(w->log.data, "[ Reason: stale: tp down ]"));
    assert_true(w->seen.confirmed);
    world_destroy(w);
}

static void test_a_lost_link_is_local_until_the_daemon_confirms_the_death(void **state)
{
    (void)state;
    struct world *w = world_create();
    world_publish(w, 0, 1, 257);
    w->reports = 0;
    world_kill_process(w, 0);
    assert_int_equal(w->reports, 1);
    assert_false(w->seen.confirmed);
    assert_true(w->seen.local);
    world_report(w, 0, GEMEL__PROCESS_STATE__PROCESS_BACKOFF, "exited: signal 9", "");
    assert_int_equal(w->reports, 2);
    assert_true(w->seen.confirmed);
    assert_int_equal(w->seen.instance, 1);
    world_publish(w, 1, 2, 257);
    assert_false(w->seen.local);
    world_destroy(w);
}

static void test_it_does_not_go_back_by_itself_but_by_order(void **state)
{
    (void)state;
    struct world *w = world_create();
    world_kill_process(w, 0);
    world_report(w, 0, GEMEL__PROCESS_STATE__PROCESS_BACKOFF, "exited: signal 9", "");
    world_start_process(w, 0);
    world_run_until(w, w->now_ms + 5000);
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 1);
    assert_true(gateway_core_is_registered(w->core, "P.0.rdb.0"));
    uint32_t query = world_ask(w);
    world_admin(w, "failover.failover", (const char *[]){"pipeline", "P", "to-instance", "0", NULL});
    assert_int_equal(w->reply_code, 0);
    assert_string_equal(w->reply, "P.rdb.0|P.1.rdb.0|P.0.rdb.0|moved\n");
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 0);
    world_answer_all(w, 1); /* what ran there ends there */
    assert_int_equal(w->queries[query].fate, ANSWERED);
    world_destroy(w);
}

static void test_an_order_to_a_target_that_is_down_is_refused_unless_forced(void **state)
{
    (void)state;
    struct world *w = world_create();
    world_kill_process(w, 1);
    world_admin(w, "failover.failover", (const char *[]){"pipeline", "P", "to-instance", "1", NULL});
    assert_int_equal(w->reply_code, 6);
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 0);
    world_admin(w, "failover.failover", (const char *[]){"pipeline", "P", "to-instance", "1", "force", "", NULL});
    assert_int_equal(w->reply_code, 0);
    uint32_t query = world_ask(w);
    assert_int_equal(w->queries[query].fate, PENDING);
    assert_int_equal(w->processes[0].received, 0);
    world_start_process(w, 1);
    world_run_until(w, w->now_ms + 300);
    world_answer_all(w, 1);
    assert_int_equal(w->queries[query].fate, ANSWERED);
    world_destroy(w);
}

static void test_a_dry_run_moves_nothing(void **state)
{
    (void)state;
    struct world *w = world_create();
    world_admin(w, "failover.failover",
                (const char *[]){"pipeline", "P", "to-instance", "1", "process", "rdb.0", "dry-run", "", NULL});
    assert_int_equal(w->reply_code, 0);
    assert_string_equal(w->reply, "P.rdb.0|P.0.rdb.0|P.1.rdb.0|would move\n");
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 0);
    world_admin(w, "failover.failover", (const char *[]){"pipeline", "Q", "to-instance", "1", NULL});
    assert_int_equal(w->reply_code, 1);
    world_admin(w, "failover.failover", (const char *[]){"pipeline", "P", NULL});
    assert_int_equal(w->reply_code, 2);
    world_destroy(w);
}

static void test_the_status_is_the_table_of_the_guide(void **state)
{
    (void)state;
    struct world *w = world_create();
    world_ask(w);
    w->now_ms += 234;
    world_admin(w, "failover.status", (const char *[]){"pipeline", "P", NULL});
    assert_string_equal(w->reply, "P.0.rdb.0|P|0|yes|yes|yes|10:01:01.000\nP.1.rdb.0|P|1|no|yes|no|\n");
    world_admin(w, "gateway.status", NULL);
    assert_non_null(strstr(w->reply, "E.0.gw.0|1|0|0"));
    world_destroy(w);
}

static void test_an_exit_report_is_a_fact_even_when_the_link_looks_open(void **state)
{
    (void)state;
    struct world *w = world_create();
    uint32_t query = world_ask(w);
    world_report(w, 0, GEMEL__PROCESS_STATE__PROCESS_BACKOFF, "exited: signal 9", "");
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 1);
    world_answer_all(w, 1);
    assert_int_equal(w->queries[query].fate, ANSWERED);
    world_destroy(w);
}

static void test_a_late_answer_of_a_left_process_is_dropped(void **state)
{
    (void)state;
    struct world *w = world_create();
    uint32_t query = world_ask(w);
    uint64_t old_id = w->processes[0].todo[0];
    uint32_t old_link = w->processes[0].link;
    world_report(w, 0, GEMEL__PROCESS_STATE__PROCESS_BACKOFF, "exited: signal 9", "");
    struct gateway_event late = {.type = GATEWAY_EVENT_LINK_ANSWER};
    late.link.process = w->processes[0].number;
    late.link.link = old_link;
    late.link.request_id = old_id;
    world_step(w, &late);
    assert_int_equal(w->queries[query].fate, PENDING);
    struct gateway_counters counters;
    gateway_core_count(w->core, &counters);
    assert_int_equal(counters.late_answers, 1);
    world_answer_all(w, 1);
    assert_int_equal(w->queries[query].fate, ANSWERED);
    world_destroy(w);
}

static void test_a_restarted_process_is_not_registered_before_it_is_said_to_be_ready(void **state)
{
    (void)state;
    struct world *w = world_create();
    world_kill_process(w, 1);
    /* It is back on its port, but the report is still that of its old run. */
    w->processes[1].start++;
    w->processes[1].up = true;
    world_run_until(w, w->now_ms + 300);
    assert_true(w->processes[1].linked);
    assert_false(gateway_core_is_registered(w->core, "P.1.rdb.0"));
    world_report(w, 1, GEMEL__PROCESS_STATE__PROCESS_READY, "", "");
    assert_true(gateway_core_is_registered(w->core, "P.1.rdb.0"));
    world_destroy(w);
}

static void test_a_late_word_about_the_old_run_does_not_cut_the_link_to_the_new_one(void **state)
{
    (void)state;
    struct world *w = world_create();
    world_kill_process(w, 1);
    w->processes[1].start++;
    w->processes[1].up = true;
    world_run_until(w, w->now_ms + 300);
    uint32_t link = w->processes[1].link;
    w->processes[1].start--;
    world_report(w, 1, GEMEL__PROCESS_STATE__PROCESS_BACKOFF, "exited: signal 9", "");
    w->processes[1].start++;
    world_report(w, 1, GEMEL__PROCESS_STATE__PROCESS_READY, "", "");
    assert_true(gateway_core_is_registered(w->core, "P.1.rdb.0"));
    assert_int_equal(w->processes[1].link, link);
    world_destroy(w);
}

static void test_the_end_of_an_earlier_dial_does_not_end_the_link(void **state)
{
    (void)state;
    struct world *w = world_create();
    uint32_t old_link = w->processes[0].link;
    world_kill_process(w, 0);
    world_start_process(w, 0);
    world_run_until(w, w->now_ms + 300);
    assert_true(gateway_core_is_registered(w->core, "P.0.rdb.0"));
    struct gateway_event late = {.type = GATEWAY_EVENT_LINK_CLOSED};
    late.link.process = w->processes[0].number;
    late.link.link = old_link;
    late.link.why = "late";
    world_step(w, &late);
    assert_true(gateway_core_is_registered(w->core, "P.0.rdb.0"));
    world_destroy(w);
}

static void test_deadlines_end_waiting_and_running_queries(void **state)
{
    (void)state;
    struct world *w = world_create();
    uint32_t running = world_ask_target(w, 0, "P.rdb.0", true, 500);
    world_run_until(w, w->now_ms + 499);
    assert_int_equal(w->queries[running].fate, PENDING);
    world_run_until(w, w->now_ms + 1);
    assert_int_equal(w->queries[running].code, -ETIMEDOUT);
    assert_non_null(strstr(w->queries[running].sentence, "P.0.rdb.0 did not answer within 500 ms"));
    world_kill_process(w, 0);
    world_kill_process(w, 1);
    uint32_t waiting = world_ask_target(w, 0, "P.rdb.0", true, 500);
    world_run_until(w, w->now_ms + 500);
    assert_int_equal(w->queries[waiting].code, -ETIMEDOUT);
    assert_non_null(strstr(w->queries[waiting].sentence, "no process of P.rdb.0 was available"));
    world_destroy(w);
}

static void test_the_waiting_queue_is_bounded(void **state)
{
    (void)state;
    struct world *w = world_create();
    world_kill_process(w, 0);
    world_kill_process(w, 1);
    uint32_t query = 0;
    for (int i = 0; i < 101; i++)
        query = world_ask(w);
    assert_int_equal(w->queries[query].code, -EAGAIN);
    assert_int_equal(w->queries[query - 1].fate, PENDING);
    world_destroy(w);
}

static void test_an_unknown_target_is_waited_for_only_until_all_daemons_have_spoken(void **state)
{
    (void)state;
    struct world *w = memory_alloc(sizeof *w);
    world_create_bare(w);
    uint32_t early = world_ask_target(w, 0, "P.rdb.0", true, 0);
    uint32_t never = world_ask_target(w, 0, "P.nope.0", true, 0);
    uint32_t wrong = world_ask_target(w, 0, "nonsense", true, 0);
    assert_int_equal(w->queries[wrong].code, -ENOENT);
    assert_int_equal(w->queries[never].fate, PENDING);
    world_start_process(w, 0);
    world_start_process(w, 1);
    assert_int_equal(w->queries[never].code, -ENOENT);
    world_run_until(w, w->now_ms + 100);
    world_answer_all(w, 0);
    assert_int_equal(w->queries[early].fate, ANSWERED);
    never = world_ask_target(w, 0, "P.nope.0", true, 0);
    assert_int_equal(w->queries[never].code, -ENOENT);
    world_destroy(w);
}

static void test_a_client_that_leaves_takes_its_queries_with_it(void **state)
{
    (void)state;
    struct world *w = world_create();
    world_open_client(w, 5);
    uint32_t query = world_ask_target(w, 5, "P.rdb.0", true, 0);
    world_step(w, &(struct gateway_event){.type = GATEWAY_EVENT_CLIENT_CLOSED, .client = {.client = 5}});
    assert_true(w->queries[query].released);
    world_answer_all(w, 0);
    assert_int_equal(w->queries[query].fate, PENDING); /* nobody to answer to */
    world_open_client(w, 5);
    world_destroy(w);
}

static void test_a_cancelled_query_ends_at_once(void **state)
{
    (void)state;
    struct world *w = world_create();
    uint32_t query = world_ask(w);
    world_step(w, &(struct gateway_event){.type = GATEWAY_EVENT_CANCEL, .client = {.client = 0, .request_id = query}});
    assert_int_equal(w->queries[query].code, -ECANCELED);
    world_answer_all(w, 0);
    assert_int_equal(w->queries[query].fate, FAILED);
    world_destroy(w);
}

static void test_a_stale_epoch_is_answered_and_changes_nothing(void **state)
{
    (void)state;
    struct world *w = world_create();
    world_publish(w, 1, 1, 513);
    assert_int_equal(w->saved_epoch, 513);
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 1);
    world_publish(w, 0, 2, 512);
    assert_int_equal(w->stale_epochs, 1);
    assert_int_equal(gateway_core_primary(w->core, "P.rdb.0"), 1);
    world_destroy(w);
}

static void test_watched_look_ups_are_answered_again_on_change(void **state)
{
    (void)state;
    struct world *w = world_create();
    Gemel__Lookup lookup = GEMEL__LOOKUP__INIT;
    lookup.pattern = (char *)"P.*.rdb.0";
    lookup.watch = true;
    world_step(w,
               &(struct gateway_event){.type = GATEWAY_EVENT_LOOKUP, .lookup = {.request_id = 9, .lookup = &lookup}});
    assert_int_equal(w->lookups, 1);
    assert_int_equal(w->lookup_entries, 2);
    world_report(w, 0, GEMEL__PROCESS_STATE__PROCESS_READY, "", "tp down"); /* nothing that a look-up tells */
    assert_int_equal(w->lookups, 1);
    world_report(w, 0, GEMEL__PROCESS_STATE__PROCESS_BACKOFF, "exited: signal 9", "");
    assert_int_equal(w->lookups, 2);
    lookup.pattern = (char *)"P.*.tp.*";
    lookup.watch = false;
    world_step(w,
               &(struct gateway_event){.type = GATEWAY_EVENT_LOOKUP, .lookup = {.request_id = 10, .lookup = &lookup}});
    assert_int_equal(w->lookup_entries, 0);
    world_destroy(w);
}

static void test_events_without_sense_are_refused(void **state)
{
    (void)state;
    struct world *w = world_create();
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
    world_destroy(w);
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
    world_open_client(w, 0);
    world_run_until(w, 1000);
    uint32_t one = world_ask_target(w, 0, "Any.thing.0", true, 0);
    assert_int_equal(w->processes[0].todo_count, 1);
    world_kill_process(w, 0);
    assert_int_equal(w->processes[1].todo_count, 1);
    world_answer_all(w, 1);
    assert_int_equal(w->queries[one].fate, ANSWERED);
    w->processes[0].up = true;
    world_run_until(w, 3000);
    assert_true(w->processes[0].linked);
    world_ask_target(w, 0, "Other.thing.3", true, 0);
    assert_int_equal(w->processes[1].todo_count, 1);
    world_destroy(w);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
