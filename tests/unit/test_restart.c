/* libs: gemel_daemon_core */
#include "daemon/core/restart.h"
#include "tests/unit/testing.h"

static void test_the_first_restart_is_immediate_then_delays_double_to_the_maximum(void **state)
{
    (void)state;
    struct restart_history history = {0};
    int64_t expected_ms[] = {0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000};
    for (size_t i = 0; i < sizeof expected_ms / sizeof *expected_ms; i++) {
        restart_note_failure(&history, 1000);
        for (uint64_t random = 0; random < 10000; random += 7) {
            int64_t delay_ms = restart_delay_ms(&history, random);
            assert_true(delay_ms >= expected_ms[i] - expected_ms[i] / 10);
            assert_true(delay_ms <= expected_ms[i] + expected_ms[i] / 10 && delay_ms <= RESTART_MAX_MS);
        }
    }
    restart_reset(&history);
    restart_note_failure(&history, 2000);
    assert_int_equal(restart_delay_ms(&history, 5), 0);
}

static void test_a_thousand_failures_do_not_overflow_the_delay(void **state)
{
    (void)state;
    struct restart_history history = {0};
    for (int64_t i = 0; i < 1000; i++)
        restart_note_failure(&history, i * 30000);
    assert_in_range(restart_delay_ms(&history, 77), 27000, 30000);
}

static void test_the_fifth_failure_within_a_minute_is_an_alarm_once(void **state)
{
    (void)state;
    struct restart_history history = {0};
    for (int64_t i = 0; i < 4; i++)
        assert_false(restart_note_failure(&history, 10000 + i * 15000));
    assert_true(restart_note_failure(&history, 70000));
    assert_false(restart_note_failure(&history, 70001));
    restart_reset(&history);
    for (int64_t i = 0; i < 20; i++)
        assert_false(restart_note_failure(&history, 100000 + i * 15001));
}

static void test_ends_are_judged_by_code_signal_and_what_the_process_said(void **state)
{
    (void)state;
    int32_t listed[] = {3, 125};
    Gemel__ProcessSpec spec = GEMEL__PROCESS_SPEC__INIT;
    assert_int_equal(restart_judge(&spec, false, 0, 0, false, true), RESTART_END_CLEAN);
    assert_int_equal(restart_judge(&spec, false, 0, 0, false, false), RESTART_END_FAILURE);
    assert_int_equal(restart_judge(&spec, false, 1, 0, false, true), RESTART_END_FAILURE);
    assert_int_equal(restart_judge(&spec, false, 0, 9, false, true), RESTART_END_FAILURE);
    assert_int_equal(restart_judge(&spec, false, 125, 0, false, true), RESTART_END_PERMANENT);
    assert_int_equal(restart_judge(&spec, true, 0, 0, false, true), RESTART_END_FAILURE);
    assert_int_equal(restart_judge(&spec, true, 0, 0, true, true), RESTART_END_CLEAN);
    spec.success_exit = listed;
    spec.n_success_exit = 2;
    assert_int_equal(restart_judge(&spec, false, 3, 0, false, false), RESTART_END_CLEAN);
    assert_int_equal(restart_judge(&spec, false, 125, 0, false, false), RESTART_END_CLEAN);
}

static void test_the_policy_decides_what_an_end_leads_to(void **state)
{
    (void)state;
    static const struct {
        Gemel__Restart policy;
        enum restart_end end;
        enum restart_verdict verdict;
    } table[] = {
        {GEMEL__RESTART__RESTART_ON_FAILURE, RESTART_END_CLEAN, RESTART_VERDICT_STOPPED},
        {GEMEL__RESTART__RESTART_ON_FAILURE, RESTART_END_FAILURE, RESTART_VERDICT_AGAIN},
        {GEMEL__RESTART__RESTART_ON_FAILURE, RESTART_END_PERMANENT, RESTART_VERDICT_FAILED},
        {GEMEL__RESTART__RESTART_ALWAYS, RESTART_END_CLEAN, RESTART_VERDICT_AGAIN},
        {GEMEL__RESTART__RESTART_ALWAYS, RESTART_END_FAILURE, RESTART_VERDICT_AGAIN},
        {GEMEL__RESTART__RESTART_ALWAYS, RESTART_END_PERMANENT, RESTART_VERDICT_FAILED},
        {GEMEL__RESTART__RESTART_MANUAL, RESTART_END_CLEAN, RESTART_VERDICT_STOPPED},
        {GEMEL__RESTART__RESTART_MANUAL, RESTART_END_FAILURE, RESTART_VERDICT_FAILED},
        {GEMEL__RESTART__RESTART_MANUAL, RESTART_END_PERMANENT, RESTART_VERDICT_FAILED},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(restart_decide(table[i].policy, table[i].end), table[i].verdict);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_restart_is_immediate_then_delays_double_to_the_maximum),
        cmocka_unit_test(test_a_thousand_failures_do_not_overflow_the_delay),
        cmocka_unit_test(test_the_fifth_failure_within_a_minute_is_an_alarm_once),
        cmocka_unit_test(test_ends_are_judged_by_code_signal_and_what_the_process_said),
        cmocka_unit_test(test_the_policy_decides_what_an_end_leads_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
