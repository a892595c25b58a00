/* libs: gemel_gateway_core gemel_base */
#include "common/base/memory.h"
#include "gateway/core/quarantine.h"
#include "gateway/core/request.h"
#include "tests/unit/testing.h"

struct fixture {
    struct requests *requests;
    struct request_list client;
    struct request_list waiting;
    struct request_list running;
};

static void set_up(struct fixture *f, uint32_t max)
{
    requests_create(&f->requests, max);
    request_list_init(&f->client);
    request_list_init(&f->waiting);
    request_list_init(&f->running);
}

static void tear_down(struct fixture *f)
{
    requests_destroy(&f->requests);
}

static uint32_t open_one(struct fixture *f, int64_t deadline_ms)
{
    struct request_facts facts = {.client_request_id = 7, .bytes = 100, .deadline_ms = deadline_ms, .idempotent = true};
    return requests_open(f->requests, &facts, &f->waiting, &f->client);
}

static void test_an_answer_matches_the_running_attempt_only(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 10);
    uint32_t slot = open_one(&f, INT64_MAX);
    uint64_t first = requests_run(f.requests, slot, &f.running, 3, 10);
    assert_int_equal(requests_match(f.requests, first), slot);
    requests_wait(f.requests, slot, &f.waiting);
    assert_int_equal(requests_match(f.requests, first), REQUEST_NONE);
    uint64_t second = requests_run(f.requests, slot, &f.running, 4, 20);
    assert_int_equal(requests_match(f.requests, first), REQUEST_NONE);
    assert_int_equal(requests_match(f.requests, second), slot);
    requests_close(f.requests, slot, &f.client);
    assert_int_equal(requests_match(f.requests, second), REQUEST_NONE);
    assert_int_equal(open_one(&f, INT64_MAX), slot);
    assert_int_equal(requests_match(f.requests, second), REQUEST_NONE);
    tear_down(&f);
}

static void test_ids_from_nowhere_match_nothing(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 10);
    assert_int_equal(requests_match(f.requests, 0), REQUEST_NONE);
    assert_int_equal(requests_match(f.requests, UINT64_MAX), REQUEST_NONE);
    tear_down(&f);
}

static void test_the_table_is_full_at_its_bound(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 300);
    for (int i = 0; i < 300; i++)
        assert_int_not_equal(open_one(&f, i), REQUEST_NONE);
    assert_int_equal(open_one(&f, 0), REQUEST_NONE);
    assert_int_equal(requests_count(f.requests), 300);
    assert_int_equal(requests_bytes(f.requests), 30000);
    requests_close(f.requests, f.waiting.first, &f.client);
    assert_int_not_equal(open_one(&f, 0), REQUEST_NONE);
    tear_down(&f);
}

static void test_queries_wait_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 100);
    uint32_t slots[50];
    for (int i = 0; i < 50; i++)
        slots[i] = open_one(&f, INT64_MAX);
    requests_close(f.requests, slots[10], &f.client);
    requests_close(f.requests, slots[0], &f.client);
    requests_close(f.requests, slots[49], &f.client);
    uint32_t slot = f.waiting.first;
    for (int i = 1; i < 49; i++) {
        if (i == 10)
            continue;
        assert_int_equal(slot, slots[i]);
        slot = requests_next_in_place(f.requests, slot);
    }
    assert_int_equal(slot, REQUEST_NONE);
    assert_int_equal(f.waiting.count, 47);
    assert_int_equal(f.client.count, 47);
    tear_down(&f);
}

/* A small generator of our own: the same numbers on every machine. */
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void test_the_earliest_deadline_comes_first_whatever_was_taken_out(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 50; seed++) {
        struct fixture f;
        uint32_t random = seed;
        set_up(&f, 1000);
        for (int i = 0; i < 400; i++) {
            open_one(&f, (int64_t)(next_random(&random) % 1000));
            if (next_random(&random) % 3 == 0)
                requests_close(f.requests, f.waiting.first, &f.client);
        }
        int64_t last = -1;
        uint32_t slot;
        while ((slot = requests_expired(f.requests, 5000)) != REQUEST_NONE) {
            int64_t deadline_ms = requests_at(f.requests, slot)->deadline_ms;
            assert_int_equal(deadline_ms, requests_next_deadline_ms(f.requests));
            assert_true(deadline_ms >= last);
            last = deadline_ms;
            requests_close(f.requests, slot, &f.client);
        }
        assert_int_equal(requests_count(f.requests), 0);
        assert_int_equal(f.client.count, 0);
        tear_down(&f);
    }
}

static void test_a_query_without_deadline_never_expires(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 10);
    open_one(&f, INT64_MAX);
    assert_int_equal(requests_next_deadline_ms(f.requests), INT64_MAX);
    assert_int_equal(requests_expired(f.requests, INT64_MAX - 1), REQUEST_NONE);
    tear_down(&f);
}

static void test_a_lost_query_is_repeated_once_and_only_when_idempotent(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 10);
    uint32_t slot = open_one(&f, INT64_MAX);
    requests_run(f.requests, slot, &f.running, 0, 0);
    assert_int_equal(request_fate(requests_at(f.requests, slot)), REQUEST_REPEAT);
    requests_at(f.requests, slot)->idempotent = false;
    assert_int_equal(request_fate(requests_at(f.requests, slot)), REQUEST_NOT_AGAIN);
    requests_at(f.requests, slot)->idempotent = true;
    requests_run(f.requests, slot, &f.running, 1, 0);
    assert_int_equal(request_fate(requests_at(f.requests, slot)), REQUEST_SECOND_LOSS);
    tear_down(&f);
}

/* ---- quarantine ---- */

static void test_quarantine_doubles_with_each_recurrence(void **state)
{
    (void)state;
    static struct quarantine quarantine;
    quarantine_init(&quarantine, 60000);
    assert_int_equal(quarantine_left_ms(&quarantine, 1, 0), 0);
    assert_int_equal(quarantine_add(&quarantine, 1, 1000), 60000);
    assert_int_equal(quarantine_left_ms(&quarantine, 1, 31000), 30000);
    assert_int_equal(quarantine_left_ms(&quarantine, 2, 31000), 0);
    assert_int_equal(quarantine_count(&quarantine, 31000), 1);
    assert_int_equal(quarantine_left_ms(&quarantine, 1, 61000), 0);
    assert_int_equal(quarantine_add(&quarantine, 1, 62000), 120000);
    assert_int_equal(quarantine_add(&quarantine, 1, 182000), 240000);
    /* Long without a loss: from the beginning again. */
    assert_int_equal(quarantine_add(&quarantine, 1, 10000000), 60000);
}

static void test_copies_that_were_lost_together_count_once(void **state)
{
    (void)state;
    static struct quarantine quarantine;
    quarantine_init(&quarantine, 60000);
    assert_int_equal(quarantine_add(&quarantine, 1, 0), 60000);
    assert_int_equal(quarantine_add(&quarantine, 1, 0), 60000);
    assert_int_equal(quarantine_add(&quarantine, 1, 10), 59990);
}

static void test_quarantine_keeps_to_its_bound(void **state)
{
    (void)state;
    static struct quarantine quarantine;
    quarantine_init(&quarantine, 60000);
    for (uint64_t i = 0; i < QUARANTINE_MAX + 10; i++)
        quarantine_add(&quarantine, i, (int64_t)i);
    assert_int_equal(quarantine.count, QUARANTINE_MAX);
    assert_true(quarantine_left_ms(&quarantine, QUARANTINE_MAX + 9, 1000) > 0);
    assert_int_equal(quarantine_left_ms(&quarantine, 0, 1000), 0);
}

static void test_quarantine_can_be_off(void **state)
{
    (void)state;
    static struct quarantine quarantine;
    quarantine_init(&quarantine, -1);
    assert_int_equal(quarantine_add(&quarantine, 1, 0), 0);
    assert_int_equal(quarantine_left_ms(&quarantine, 1, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_matches_the_running_attempt_only),
        cmocka_unit_test(test_ids_from_nowhere_match_nothing),
        cmocka_unit_test(test_the_table_is_full_at_its_bound),
        cmocka_unit_test(test_queries_wait_in_the_order_in_which_they_came),
        cmocka_unit_test(test_the_earliest_deadline_comes_first_whatever_was_taken_out),
        cmocka_unit_test(test_a_query_without_deadline_never_expires),
        cmocka_unit_test(test_a_lost_query_is_repeated_once_and_only_when_idempotent),
        cmocka_unit_test(test_quarantine_doubles_with_each_recurrence),
        cmocka_unit_test(test_copies_that_were_lost_together_count_once),
        cmocka_unit_test(test_quarantine_keeps_to_its_bound),
        cmocka_unit_test(test_quarantine_can_be_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
