/* libs: gemel_gateway_core gemel_wire_types gemel_base */
#include <string.h>

#include "common/base/text.h"
#include "gateway/core/route.h"
#include "tests/unit/testing.h"

enum {
    STARTUP_MS = 30000,
    UNKNOWN_MS = 5000
};

struct fixture {
    struct route route;
    struct candidate candidates[3];
    struct route_rules rules;
    struct route_decision decision;
};

static void make_fit(struct candidate *candidate)
{
    candidate->known = true;
    candidate->state = GEMEL__PROCESS_STATE__PROCESS_READY;
    candidate->link_state = CANDIDATE_LINK_LIVE;
    candidate->left_by_silence = false;
}

static void make_down(struct candidate *candidate)
{
    candidate->known = true;
    candidate->state = GEMEL__PROCESS_STATE__PROCESS_FAILED;
    candidate->link_state = CANDIDATE_LINK_NONE;
}

/* A route with three candidates that are starting. */
static void set_up(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    route_init(&f->route, "P", "rdb", 0, 0);
    f->rules.startup_timeout_ms = STARTUP_MS;
    f->rules.unknown_timeout_ms = UNKNOWN_MS;
    for (uint32_t i = 0; i < 3; i++) {
        f->candidates[i].id.instance = i;
        f->candidates[i].known = true;
        f->candidates[i].state = GEMEL__PROCESS_STATE__PROCESS_STARTING;
        f->route.candidates[i] = &f->candidates[i];
    }
    f->route.candidate_end = 3;
}

static enum route_verdict decide(struct fixture *f, int64_t now_ms)
{
    route_decide(&f->route, &f->rules, now_ms, &f->decision);
    return f->decision.verdict;
}

static void carry_out(struct fixture *f, int64_t now_ms)
{
    if (f->decision.verdict == ROUTE_MOVE)
        route_enter(&f->route, ROUTE_SERVED, f->decision.instance, now_ms);
    else if (f->decision.verdict == ROUTE_LEAVE)
        route_enter(&f->route, ROUTE_VACANT, ROUTE_NONE, now_ms);
}

static void serve(struct fixture *f, uint32_t instance)
{
    for (uint32_t i = 0; i < 3; i++)
        make_fit(&f->candidates[i]);
    route_enter(&f->route, ROUTE_SERVED, instance, 0);
}

static void test_instance_0_is_waited_for(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    make_fit(&f.candidates[1]);
    assert_int_equal(decide(&f, 1000), ROUTE_KEEP);
    assert_int_equal(route_wakeup_ms(&f.route, &f.rules), 1000 + STARTUP_MS);
    assert_int_equal(decide(&f, 1000 + STARTUP_MS - 1), ROUTE_KEEP);
    make_fit(&f.candidates[0]);
    assert_int_equal(decide(&f, 20000), ROUTE_MOVE);
    assert_int_equal(f.decision.instance, 0);
}

static void test_the_wait_for_instance_0_ends(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    make_fit(&f.candidates[1]);
    decide(&f, 1000);
    assert_int_equal(decide(&f, 1000 + STARTUP_MS), ROUTE_MOVE);
    assert_int_equal(f.decision.instance, 1);
}

static void test_an_instance_that_nobody_reports_is_waited_for_a_shorter_time(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.route.candidates[0] = NULL;
    make_fit(&f.candidates[1]);
    assert_int_equal(decide(&f, 1000), ROUTE_KEEP);
    assert_int_equal(route_wakeup_ms(&f.route, &f.rules), 1000 + UNKNOWN_MS);
    assert_int_equal(decide(&f, 1000 + UNKNOWN_MS), ROUTE_MOVE);
    assert_int_equal(f.decision.instance, 1);
    f.route.candidates[0] = &f.candidates[0]; /* it was reported as starting after all */
    assert_int_equal(decide(&f, 1000 + UNKNOWN_MS), ROUTE_KEEP);
}

static void test_a_wait_that_could_not_end_asks_for_no_wakeup(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    make_fit(&f.candidates[1]);
    decide(&f, 1000);
    f.candidates[1].link_state = CANDIDATE_LINK_NONE;
    assert_int_equal(decide(&f, 1000 + STARTUP_MS), ROUTE_KEEP);
    assert_int_equal(route_wakeup_ms(&f.route, &f.rules), INT64_MAX);
}

static void test_instance_0_is_not_waited_for_when_it_is_down(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    make_down(&f.candidates[0]);
    make_fit(&f.candidates[1]);
    assert_int_equal(decide(&f, 1000), ROUTE_MOVE);
    assert_int_equal(f.decision.instance, 1);
}

static void test_what_was_published_is_waited_for_instead(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    assert_true(route_publish(&f.route, 1, false, 5, 256, STARTUP_MS));
    make_fit(&f.candidates[0]);
    assert_int_equal(decide(&f, 1000), ROUTE_KEEP);
    make_fit(&f.candidates[1]);
    assert_int_equal(decide(&f, 2000), ROUTE_MOVE);
    assert_int_equal(f.decision.instance, 1);
    carry_out(&f, 2000);
    assert_int_equal(f.route.taken_version, 5);
    assert_false(route_is_local(&f.route));
}

static void test_a_lost_primary_is_replaced_by_the_least_lag_then_the_lowest_instance(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    serve(&f, 0);
    f.candidates[0].link_state = CANDIDATE_LINK_NONE;
    assert_int_equal(decide(&f, 10), ROUTE_MOVE);
    assert_int_equal(f.decision.instance, 1);
    assert_int_equal(f.decision.obstacle, CANDIDATE_GONE);
    f.candidates[1].lag_rows = 10;
    f.candidates[2].lag_rows = 9;
    assert_int_equal(decide(&f, 10), ROUTE_MOVE);
    assert_int_equal(f.decision.instance, 2);
}

static void test_a_primary_never_goes_back_by_itself(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    serve(&f, 0);
    f.candidates[0].link_state = CANDIDATE_LINK_NONE;
    decide(&f, 10);
    carry_out(&f, 10);
    make_fit(&f.candidates[0]);
    assert_int_equal(decide(&f, 1000000), ROUTE_KEEP);
    assert_int_equal(f.route.primary, 1);
    assert_true(route_is_local(&f.route));
}

static void test_each_obstacle_moves_the_route(void **state)
{
    (void)state;
    struct fixture f;
    for (int obstacle = 0; obstacle < 6; obstacle++) {
        set_up(&f);
        serve(&f, 0);
        struct candidate *primary = &f.candidates[0];
        assert_int_equal(decide(&f, 10), ROUTE_KEEP);
        if (obstacle == 0)
            primary->state = GEMEL__PROCESS_STATE__PROCESS_STOPPING;
        else if (obstacle == 1)
            primary->hung_reported = true;
        else if (obstacle == 2)
            text_copy(primary->stale, sizeof primary->stale, "tp down");
        else if (obstacle == 3)
            primary->known = false;
        else if (obstacle == 4)
            primary->link_state = CANDIDATE_LINK_DIALING;
        else
            primary->link_token = (struct token){.placement = 1, .start = 7}, primary->token.placement = 1;
        assert_int_equal(decide(&f, 10), ROUTE_MOVE);
        assert_int_equal(f.decision.instance, 1);
        assert_int_not_equal(f.decision.obstacle, CANDIDATE_FIT);
        assert_string_not_equal(f.decision.why, "");
    }
}

static void test_nobody_left_makes_the_route_vacant_until_somebody_is_back(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    serve(&f, 0);
    for (int i = 0; i < 3; i++)
        make_down(&f.candidates[i]);
    assert_int_equal(decide(&f, 10), ROUTE_LEAVE);
    carry_out(&f, 10);
    assert_int_equal(decide(&f, 20), ROUTE_KEEP);
    make_fit(&f.candidates[2]);
    assert_int_equal(decide(&f, 30), ROUTE_MOVE);
    assert_int_equal(f.decision.instance, 2);
}

static void test_a_lagging_primary_is_left_for_a_fresh_one(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    serve(&f, 0);
    f.rules.max_lag_rows = 100;
    f.candidates[0].lag_rows = 101;
    f.candidates[1].lag_rows = 100;
    f.candidates[2].lag_rows = 500;
    assert_int_equal(decide(&f, 10), ROUTE_MOVE);
    assert_int_equal(f.decision.instance, 1);
    assert_string_equal(f.decision.why, "lag 101 rows");
}

static void test_the_last_one_is_never_thrown_out_for_mere_lag(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    serve(&f, 0);
    f.rules.max_lag_rows = 100;
    f.candidates[0].lag_rows = 1000;
    f.candidates[1].lag_rows = 900;
    make_down(&f.candidates[2]);
    assert_int_equal(decide(&f, 10), ROUTE_KEEP);
    make_down(&f.candidates[0]);
    assert_int_equal(decide(&f, 10), ROUTE_MOVE);
    assert_int_equal(f.decision.instance, 1);
}

static void test_a_fresh_one_is_preferred_to_a_lower_instance(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    serve(&f, 0);
    f.rules.max_lag_rows = 100;
    make_down(&f.candidates[0]);
    f.candidates[1].lag_rows = 1000;
    f.candidates[2].lag_rows = 50;
    assert_int_equal(route_best(&f.route, &f.rules, 0), 2);
}

static void test_a_published_route_is_taken_only_when_its_target_is_fit(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    serve(&f, 0);
    make_down(&f.candidates[1]);
    assert_true(route_publish(&f.route, 1, false, 1, 256, 1000));
    assert_int_equal(decide(&f, 10), ROUTE_KEEP);
    assert_true(route_is_local(&f.route));
    make_fit(&f.candidates[1]);
    assert_int_equal(decide(&f, 999), ROUTE_MOVE);
    assert_int_equal(f.decision.instance, 1);
    assert_int_equal(f.decision.obstacle, CANDIDATE_FIT);
    assert_int_equal(decide(&f, 1000), ROUTE_KEEP); /* too late for this one */
}

static void test_a_route_published_by_force_is_taken_by_a_stale_target(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    serve(&f, 0);
    make_fit(&f.candidates[1]);
    text_copy(f.candidates[1].stale, sizeof f.candidates[1].stale, "tp down");
    assert_true(route_publish(&f.route, 1, false, 1, 256, 1000));
    assert_int_equal(decide(&f, 10), ROUTE_KEEP);
    assert_true(route_publish(&f.route, 1, true, 2, 256, 1000));
    assert_int_equal(decide(&f, 20), ROUTE_MOVE);
    assert_int_equal(f.decision.instance, 1);
    assert_true(f.decision.forced);
}

static void test_an_old_publication_moves_nothing(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    serve(&f, 0);
    assert_true(route_publish(&f.route, 1, false, 7, 256, 1000));
    decide(&f, 10);
    carry_out(&f, 10);
    assert_int_equal(f.route.primary, 1);
    assert_false(route_publish(&f.route, 0, false, 7, 256, 1000));
    assert_false(route_publish(&f.route, 0, false, 6, 256, 1000));
    assert_int_equal(decide(&f, 20), ROUTE_KEEP);
}

static void test_the_same_table_of_a_new_leader_moves_nothing(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    serve(&f, 0);
    route_publish(&f.route, 0, false, 7, 257, 1000);
    f.candidates[0].link_state = CANDIDATE_LINK_NONE;
    decide(&f, 10);
    carry_out(&f, 10);
    make_fit(&f.candidates[0]);
    assert_false(route_publish(&f.route, 0, false, 7, 514, 2000));
    assert_int_equal(decide(&f, 20), ROUTE_KEEP);
    assert_true(route_is_local(&f.route));
}

static void test_forced_staleness_does_not_count(void **state)
{
    (void)state;
    struct fixture f;
    char why[ROUTE_WHY_BYTES];
    set_up(&f);
    serve(&f, 0);
    text_copy(f.candidates[0].stale, sizeof f.candidates[0].stale, "tp down");
    f.route.forced = true;
    assert_int_equal(decide(&f, 10), ROUTE_KEEP);
    assert_int_equal(candidate_obstacle(&f.candidates[0], false, why), CANDIDATE_STALE);
    assert_string_equal(why, "stale: tp down");
    f.candidates[0].link_state = CANDIDATE_LINK_NONE;
    assert_int_equal(decide(&f, 10), ROUTE_MOVE);
}

static void test_a_pipeline_that_was_stopped_starts_where_it_was(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    serve(&f, 1);
    for (int i = 0; i < 3; i++) {
        f.candidates[i].state = GEMEL__PROCESS_STATE__PROCESS_STOPPED;
        f.candidates[i].link_state = CANDIDATE_LINK_NONE;
    }
    assert_int_equal(decide(&f, 10), ROUTE_LEAVE);
    carry_out(&f, 10);
    assert_int_equal(decide(&f, 10), ROUTE_AWAIT);
    assert_int_equal(f.decision.instance, 1);
}

static void test_only_the_run_that_was_reported_is_registered(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    make_fit(&f.candidates[0]);
    f.candidates[0].token = (struct token){.placement = 1, .start = 1};
    assert_true(candidate_is_registered(&f.candidates[0]));
    f.candidates[0].link_token = (struct token){.placement = 1, .start = 2};
    assert_false(candidate_is_registered(&f.candidates[0]));
    f.candidates[0].token.start = 2;
    assert_true(candidate_is_registered(&f.candidates[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instance_0_is_waited_for),
        cmocka_unit_test(test_the_wait_for_instance_0_ends),
        cmocka_unit_test(test_an_instance_that_nobody_reports_is_waited_for_a_shorter_time),
        cmocka_unit_test(test_a_wait_that_could_not_end_asks_for_no_wakeup),
        cmocka_unit_test(test_instance_0_is_not_waited_for_when_it_is_down),
        cmocka_unit_test(test_what_was_published_is_waited_for_instead),
        cmocka_unit_test(test_a_lost_primary_is_replaced_by_the_least_lag_then_the_lowest_instance),
        cmocka_unit_test(test_a_primary_never_goes_back_by_itself),
        cmocka_unit_test(test_each_obstacle_moves_the_route),
        cmocka_unit_test(test_nobody_left_makes_the_route_vacant_until_somebody_is_back),
        cmocka_unit_test(test_a_lagging_primary_is_left_for_a_fresh_one),
        cmocka_unit_test(test_the_last_one_is_never_thrown_out_for_mere_lag),
        cmocka_unit_test(test_a_fresh_one_is_preferred_to_a_lower_instance),
        cmocka_unit_test(test_a_published_route_is_taken_only_when_its_target_is_fit),
        cmocka_unit_test(test_a_route_published_by_force_is_taken_by_a_stale_target),
        cmocka_unit_test(test_an_old_publication_moves_nothing),
        cmocka_unit_test(test_the_same_table_of_a_new_leader_moves_nothing),
        cmocka_unit_test(test_forced_staleness_does_not_count),
        cmocka_unit_test(test_a_pipeline_that_was_stopped_starts_where_it_was),
        cmocka_unit_test(test_only_the_run_that_was_reported_is_registered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
