/* libs: gemel_worker gemel_link gemel_log gemel_loop gemel_wire gemel_base */
/* The client of libgemel against two example workers, which answer like gateways: one frame, one answer. */
#include <errno.h>
#include <string.h>

#include "common/base/memory.h"
#include "tests/unit/fake_daemon.h"
#include "tests/unit/testing.h"
#include "worker/gemel.h"

enum {
    IN_FLIGHT = 64,
    REQUESTS = 5000
};

static const char type[] = "example-worker";

struct fixture {
    struct daemon daemon;
    struct gemel_client *client;
    uint64_t asked;
    uint64_t answered;
    uint64_t failed;
    uint64_t wrong;
    char last_source[64];
    char sources[2][64]; /* the first, and one that differs from it */
};

static void open_client(struct fixture *fixture)
{
    char one[64];
    char other[64];
    char both[140];
    pthread_mutex_lock(&fixture->daemon.mutex);
    text_copy(one, sizeof one, find(&fixture->daemon, "Demo.0.example-worker.0")->endpoint);
    text_copy(other, sizeof other, find(&fixture->daemon, "Demo.1.example-worker.0")->endpoint);
    pthread_mutex_unlock(&fixture->daemon.mutex);
    snprintf(both, sizeof both, "%s,%s", one, other);
    assert_int_equal(gemel_client_open(&fixture->client, both), 0);
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_alloc(sizeof *fixture);
    daemon_start(&fixture->daemon);
    start_and_wait(&fixture->daemon, 0, type, "");
    start_and_wait(&fixture->daemon, 1, type, "");
    open_client(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    gemel_client_close(&fixture->client);
    end_all(&fixture->daemon);
    daemon_stop(&fixture->daemon);
    memory_free(fixture);
    return 0;
}

static void ask(struct fixture *fixture);

static void on_reply(void *data, int code, const char *source, const uint8_t *payload, size_t size)
{
    struct fixture *fixture = data;
    (void)payload;
    fixture->answered += code == 0;
    fixture->failed += code != 0;
    fixture->wrong += code == 0 && size != 64;
    if (fixture->sources[0][0] == '\0')
        text_copy(fixture->sources[0], sizeof fixture->sources[0], source);
    else if (strcmp(fixture->sources[0], source) != 0)
        text_copy(fixture->sources[1], sizeof fixture->sources[1], source);
    if (fixture->asked < REQUESTS)
        ask(fixture);
}

static void ask(struct fixture *fixture)
{
    char payload[64] = "";
    fixture->asked++;
    assert_int_equal(gemel_request_start(fixture->client, "Demo.example-worker.0", payload, sizeof payload,
                                         WAIT_S * 1000, 0, on_reply, fixture, NULL),
                     0);
}

static void run_until_answered(struct fixture *fixture, uint64_t count)
{
    while (fixture->answered + fixture->failed < count)
        gemel_client_run(fixture->client, -1);
}

/* The process that answers, and so is killed or stopped. */
static pid_t pid_of(struct fixture *fixture, const char *name)
{
    pthread_mutex_lock(&fixture->daemon.mutex);
    pid_t pid = find(&fixture->daemon, name)->pid;
    pthread_mutex_unlock(&fixture->daemon.mutex);
    return pid;
}

static void test_no_request_is_lost_when_a_gateway_is_killed(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < IN_FLIGHT; i++)
        ask(fixture);
    run_until_answered(fixture, REQUESTS / 2);
    kill_now(&fixture->daemon, fixture->sources[0]);
    run_until_answered(fixture, REQUESTS);
    assert_int_equal(fixture->answered, REQUESTS);
    assert_int_equal(fixture->failed, 0);
    assert_int_equal(fixture->wrong, 0);
    assert_true(fixture->sources[1][0] != '\0'); /* the other one went on */
    assert_int_equal(gemel_client_in_flight(fixture->client), 0);
}

static void test_a_gateway_that_hangs_is_left_after_a_second(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture);
    fixture->asked = REQUESTS - IN_FLIGHT; /* a few after the stop are enough */
    run_until_answered(fixture, 1);
    pid_t stopped = pid_of(fixture, fixture->sources[0]);
    kill(stopped, SIGSTOP);
    while (fixture->asked < REQUESTS)
        ask(fixture);
    while (gemel_client_in_flight(fixture->client) > 0)
        gemel_client_run(fixture->client, -1);
    kill(stopped, SIGCONT);
    assert_int_equal(fixture->failed, 0);
    assert_true(fixture->sources[1][0] != '\0');
}

static void on_once(void *data, int code, const char *source, const uint8_t *payload, size_t size)
{
    (void)source;
    (void)payload;
    (void)size;
    *(int *)data = code;
}

static void test_a_request_that_may_not_be_repeated_ends_when_its_gateway_is_lost(void **state)
{
    struct fixture *fixture = *state;
    int code = 1;
    ask(fixture);
    fixture->asked = REQUESTS;
    run_until_answered(fixture, 1);
    pid_t stopped = pid_of(fixture, fixture->sources[0]);
    kill(stopped, SIGSTOP);
    assert_int_equal(gemel_request_start(fixture->client, "Demo.example-worker.0", "x", 1, WAIT_S * 1000,
                                         GEMEL_REQUEST_ONCE, on_once, &code, NULL),
                     0);
    gemel_client_run(fixture->client, 20); /* it is on its way */
    kill_now(&fixture->daemon, fixture->sources[0]);
    while (code == 1)
        gemel_client_run(fixture->client, -1);
    assert_int_equal(code, -ECONNRESET);
}

static void test_a_request_ends_by_its_deadline_with_a_sentence(void **state)
{
    struct fixture *fixture = *state;
    struct gemel_client *nobody = NULL;
    uint8_t *answer_bytes = NULL;
    size_t size = 0;
    assert_int_equal(gemel_client_open(&nobody, "127.0.0.1:1"), 0);
    assert_int_equal(gemel_request(nobody, "Demo.example-worker.0", "x", 1, 50, &answer_bytes, &size), -EHOSTUNREACH);
    assert_non_null(strstr(gemel_error_text(), "127.0.0.1:1: connection refused"));
    gemel_client_close(&nobody);
    /* A process refuses what is for another one, and says who it is. */
    assert_int_equal(gemel_request(fixture->client, "Demo.rdb.0", "x", 1, 500, &answer_bytes, &size), -EAGAIN);
    assert_non_null(strstr(gemel_error_text(), "the query is for another process"));
}

static void test_a_failure_without_time_for_another_try_speaks_for_itself(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *answer_bytes = NULL;
    size_t size = 0;
    ask(fixture);
    fixture->asked = REQUESTS;
    run_until_answered(fixture, 1);
    assert_int_equal(gemel_request(fixture->client, "Demo.rdb.0", "x", 1, 45, &answer_bytes, &size), -EAGAIN);
    assert_non_null(strstr(gemel_error_text(), "the query is for another process"));
}

static void test_what_does_not_fit_into_the_queue_is_sent_when_it_drains(void **state)
{
    enum {
        BYTES = 1024 * 1024,
        COUNT = 100 /* more than a link's queue holds */
    };
    struct fixture *fixture = *state;
    uint8_t *payload = memory_alloc(BYTES);
    int codes[COUNT];
    ask(fixture);
    fixture->asked = REQUESTS;
    run_until_answered(fixture, 1);
    for (int i = 0; i < COUNT; i++) {
        codes[i] = 1;
        assert_int_equal(gemel_request_start(fixture->client, "Demo.example-worker.0", payload, BYTES, WAIT_S * 1000, 0,
                                             on_once, &codes[i], NULL),
                         0);
    }
    while (gemel_client_in_flight(fixture->client) > 0)
        gemel_client_run(fixture->client, -1);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(codes[i], 0);
    memory_free(payload);
}

static void test_malformed_gateways_and_targets_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct gemel_client *client = NULL;
    static const char *const gateways[] = {"", "127.0.0.1", "127.0.0.1:1,,127.0.0.1:2", "127.0.0.1:99999"};
    for (size_t i = 0; i < sizeof gateways / sizeof gateways[0]; i++)
        assert_int_equal(gemel_client_open(&client, gateways[i]), -EINVAL);
    assert_int_equal(gemel_client_open(&client, "10.1.2.3:5010"), -EPERM);
    static const char *const targets[] = {"", ".", "Demo.rdb", "Demo.rdb.x", "Demo.0.rdb.0", "De mo"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        assert_int_equal(gemel_request_start(fixture->client, targets[i], "x", 1, 100, 0, on_once, NULL, NULL),
                         -EINVAL);
}

static void test_closing_a_client_ends_its_requests(void **state)
{
    struct fixture *fixture = *state;
    int code = 1;
    assert_int_equal(
        gemel_request_start(fixture->client, "Demo.example-worker.0", "x", 1, 1000, 0, on_once, &code, NULL), 0);
    gemel_client_close(&fixture->client);
    assert_int_equal(code, -ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_request_is_lost_when_a_gateway_is_killed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_gateway_that_hangs_is_left_after_a_second, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_request_that_may_not_be_repeated_ends_when_its_gateway_is_lost, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_request_ends_by_its_deadline_with_a_sentence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_failure_without_time_for_another_try_speaks_for_itself, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_does_not_fit_into_the_queue_is_sent_when_it_drains, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_malformed_gateways_and_targets_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closing_a_client_ends_its_requests, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
