/* libs: gemel_gateway_core gemel_base */
#include "gateway/core/health.h"
#include "tests/unit/testing.h"

enum {
    INTERVAL_MS = 100,
    HANG_MS = 1000
};

/* Pings each interval up to `until_ms`; answered `trip_ms` later when it is not negative. */
static void ping_until(struct health *health, int64_t from_ms, int64_t until_ms, int64_t trip_ms)
{
    for (int64_t now_ms = from_ms; now_ms < until_ms; now_ms += INTERVAL_MS) {
        health_pinged(health, now_ms);
        if (trip_ms >= 0)
            health_answered(health, now_ms + trip_ms);
    }
}

static void test_a_peer_that_answers_is_never_silent(void **state)
{
    (void)state;
    struct health health = {0};
    health_start(&health, 0);
    ping_until(&health, 0, 100000, 1);
    assert_false(health_is_silent(&health, HANG_MS, INTERVAL_MS, 100000));
}

static void test_silence_is_seen_at_its_bound_and_not_before(void **state)
{
    (void)state;
    struct health health = {0};
    health_start(&health, 0);
    ping_until(&health, 50, 1000, -1);
    assert_false(health_is_silent(&health, HANG_MS, INTERVAL_MS, 999));
    assert_true(health_is_silent(&health, HANG_MS, INTERVAL_MS, 1000));
}

static void test_any_frame_is_a_sign_of_life(void **state)
{
    (void)state;
    struct health health = {0};
    health_start(&health, 0);
    ping_until(&health, 50, 900, -1);
    health_heard(&health, 900);
    assert_false(health_is_silent(&health, HANG_MS, INTERVAL_MS, 1500));
}

static void test_a_gateway_that_woke_up_late_does_not_judge(void **state)
{
    (void)state;
    struct health health = {0};
    health_start(&health, 0);
    health_pinged(&health, 100);
    assert_false(health_is_silent(&health, HANG_MS, INTERVAL_MS, 60000));
    assert_true(health_wants_ping(&health, INTERVAL_MS, 60000));
    ping_until(&health, 60000, 60900, -1);
    assert_true(health_is_silent(&health, HANG_MS, INTERVAL_MS, 61000));
}

static void test_jitter_grows_on_a_bad_link_and_stays_bounded(void **state)
{
    (void)state;
    struct health health = {0};
    health_start(&health, 0);
    assert_int_equal(health_jitter_ms(&health), 0);
    ping_until(&health, 0, 2000, 0);
    assert_int_equal(health_jitter_ms(&health), 0);
    for (int64_t i = 0; i < 40; i++) {
        health_pinged(&health, 10000 + i * 1000);
        health_answered(&health, 10000 + i * 1000 + (i % 2) * 200);
    }
    assert_true(health_jitter_ms(&health) >= 200);
    for (int64_t i = 0; i < 40; i++) {
        health_pinged(&health, 1000000 + i * 100000);
        health_answered(&health, 1000000 + i * 100000 + (i % 2) * 90000);
    }
    assert_int_equal(health_jitter_ms(&health), HEALTH_JITTER_MAX_MS);
}

static void test_pings_are_wanted_each_interval(void **state)
{
    (void)state;
    struct health health = {0};
    health_start(&health, 1000);
    assert_true(health_wants_ping(&health, INTERVAL_MS, 1000));
    health_pinged(&health, 1000);
    assert_false(health_wants_ping(&health, INTERVAL_MS, 1099));
    assert_true(health_wants_ping(&health, INTERVAL_MS, 1100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_peer_that_answers_is_never_silent),
        cmocka_unit_test(test_silence_is_seen_at_its_bound_and_not_before),
        cmocka_unit_test(test_any_frame_is_a_sign_of_life),
        cmocka_unit_test(test_a_gateway_that_woke_up_late_does_not_judge),
        cmocka_unit_test(test_jitter_grows_on_a_bad_link_and_stays_bounded),
        cmocka_unit_test(test_pings_are_wanted_each_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
