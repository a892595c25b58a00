/* libs: gemel_gateway_relay gemel_gateway_core gemel_link gemel_log gemel_wire gemel_base */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/crc32c.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/net/link.h"
#include "gateway/relay.h"
#include "tests/unit/testing.h"

/* A real relay on loopback, two fake processes and clients, all in one loop. The reports of the daemons are given to it
 * directly. Nothing sleeps: the loop runs until what is waited for has happened, or the deadline fails the test. */
enum {
    PROCESSES = 2,
    DEADLINE_MS = 20000
};

struct world;

struct fake {
    struct world *world;
    const char *name;
    struct link_server *server;
    struct link *link; /* of the relay */
    bool silent;       /* takes queries and answers none */
    uint64_t token_start;
    int queries;
    int cancels;
    uint64_t last_id;
    size_t answer_bytes; /* 0: the query's payload back */
};

struct asker {
    struct world *world;
    struct link *link;
    bool open;
    bool closed;
    int answers;
    int failures;
    int admin_replies;
    int lookup_replies;
    int code;
    uint64_t last_id;
    uint64_t last_epoch;
    char source[PROCESS_NAME_BYTES];
    char payload[64];
    char sentence[512];
};

struct world {
    uv_loop_t loop;
    uv_timer_t deadline;
    bool late;
    struct relay *relay;
    struct fake fakes[PROCESSES];
    struct asker asker;
};

static void on_deadline(uv_timer_t *timer)
{
    struct world *w = timer->data;
    w->late = true;
}

/* Runs the loop until the condition holds. */
#define RUN_UNTIL(w, condition)                                                                                        \
    do {                                                                                                               \
        uv_timer_start(&(w)->deadline, on_deadline, DEADLINE_MS, 0);                                                   \
        while (!(condition) && !(w)->late)                                                                             \
            uv_run(&(w)->loop, UV_RUN_ONCE);                                                                           \
        if ((w)->late)                                                                                                 \
            fail_msg("never happened: %s", #condition);                                                                \
    } while (0)

/* ---- fake processes ---- */

static void fake_on_open(void *owner, struct link *link)
{
    struct fake *fake = owner;
    fake->link = link;
}

static void fake_answer(struct fake *fake, const struct frame_header *header, const uint8_t *body)
{
    struct frame_route route;
    assert_int_equal(frame_route_decode(body, header->body_bytes, &route), 0);
    size_t size = fake->answer_bytes > 0 ? fake->answer_bytes : route.payload_bytes;
    size_t head = FRAME_ROUTE_BYTES + strlen(fake->name);
    uint8_t *answer = memory_alloc(head + size);
    frame_route_encode(answer, fake->name, 0);
    if (fake->answer_bytes == 0)
        memcpy(answer + head, route.payload, size);
    assert_int_equal(link_send(fake->link, FRAME_ANSWER, header->request_id, answer, head + size), 0);
    memory_free(answer);
}

static void fake_on_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct fake *fake = owner;
    (void)link;
    if (header->type == FRAME_PING)
        link_send(link, FRAME_PONG, header->request_id, NULL, 0);
    if (header->type == FRAME_CANCEL)
        fake->cancels++;
    if (header->type != FRAME_QUERY)
        return;
    fake->queries++;
    fake->last_id = header->request_id;
    if (!fake->silent)
        fake_answer(fake, header, body);
}

static void fake_on_close(void *owner, struct link *link, int reason, const char *why)
{
    struct fake *fake = owner;
    (void)reason;
    (void)why;
    if (fake->link == link)
        fake->link = NULL;
}

static const struct link_handlers fake_handlers = {
    .on_open = fake_on_open, .on_frame = fake_on_frame, .on_close = fake_on_close};

static void start_fake(struct world *w, int number)
{
    struct fake *fake = &w->fakes[number];
    struct error error;
    fake->world = w;
    fake->name = number == 0 ? "P.0.rdb.0" : "P.1.rdb.0";
    fake->token_start++;
    struct link_self self = {.kind = GEMEL__LINK_KIND__LINK_PROCESS,
                             .name = fake->name,
                             .token = {.placement = 1, .start = fake->token_start}};
    assert_int_equal(link_listen(&fake->server, &w->loop, "127.0.0.1:0", &self, &fake_handlers, fake, &error), 0);
}

/* As its death would look: the connection closes, nobody listens. */
static void kill_fake(struct fake *fake)
{
    link_server_destroy(&fake->server);
    fake->link = NULL;
}

static void report(struct world *w, int number)
{
    struct fake *fake = &w->fakes[number];
    Gemel__ProcessReport one = GEMEL__PROCESS_REPORT__INIT;
    Gemel__ProcessReport *list[] = {&one};
    Gemel__ProcessReports reports = GEMEL__PROCESS_REPORTS__INIT;
    one.process = (char *)fake->name;
    one.placement = 1;
    one.start = fake->token_start;
    one.state = GEMEL__PROCESS_STATE__PROCESS_READY;
    one.endpoint = (char *)link_server_address(fake->server);
    one.routable = true;
    one.expose_to_gw = true;
    reports.full = true;
    reports.n_reports = 1;
    reports.reports = list;
    relay_step(w->relay,
               &(struct gateway_event){.type = GATEWAY_EVENT_DAEMON_REPORTS,
                                       .daemon = {.host = (uint32_t)number, .incarnation = 1, .reports = &reports}});
}

/* ---- the client ---- */

static void asker_on_open(void *owner, struct link *link)
{
    struct asker *asker = owner;
    (void)link;
    asker->open = true;
}

static void take_failure(struct asker *asker, const uint8_t *body, size_t size)
{
    ProtobufCMessage *message;
    assert_int_equal(wire_unpack(&gemel__failure__descriptor, body, size, &message), 0);
    const Gemel__Failure *failure = (const Gemel__Failure *)message;
    asker->failures++;
    asker->code = failure->code;
    text_copy(asker->sentence, sizeof asker->sentence, failure->sentence);
    wire_free(message);
}

static void asker_on_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct asker *asker = owner;
    struct frame_route route;
    (void)link;
    asker->last_id = header->request_id;
    asker->last_epoch = header->epoch;
    if (header->type == FRAME_FAILURE)
        take_failure(asker, body, header->body_bytes);
    else if (header->type == FRAME_ADMIN_REPLY)
        asker->admin_replies++;
    else if (header->type == FRAME_LOOKUP_REPLY)
        asker->lookup_replies++;
    if (header->type != FRAME_ANSWER)
        return;
    asker->answers++;
    assert_int_equal(frame_route_decode(body, header->body_bytes, &route), 0);
    snprintf(asker->source, sizeof asker->source, "%.*s", (int)route.name_bytes, route.name);
    if (route.payload_bytes < sizeof asker->payload)
        snprintf(asker->payload, sizeof asker->payload, "%.*s", (int)route.payload_bytes, route.payload);
}

static void asker_on_close(void *owner, struct link *link, int reason, const char *why)
{
    struct asker *asker = owner;
    (void)link;
    (void)reason;
    (void)why;
    asker->closed = true;
    asker->link = NULL;
}

static const struct link_handlers asker_handlers = {
    .on_open = asker_on_open, .on_frame = asker_on_frame, .on_close = asker_on_close};

static void connect_asker(struct world *w, struct asker *asker)
{
    struct error error;
    struct link_self self = {.kind = GEMEL__LINK_KIND__LINK_CLIENT, .name = "test"};
    *asker = (struct asker){.world = w};
    assert_int_equal(
        link_connect(&asker->link, &w->loop, relay_address(w->relay), &self, &asker_handlers, asker, &error), 0);
    RUN_UNTIL(w, asker->open);
}

static void ask(struct asker *asker, uint64_t id, const char *target, const char *payload)
{
    uint8_t body[256];
    size_t head = FRAME_ROUTE_BYTES + strlen(target);
    frame_route_encode(body, target, 5000);
    memcpy(body + head, payload, strlen(payload));
    struct frame_header header = {.type = FRAME_QUERY,
                                  .idempotent = true,
                                  .request_id = id,
                                  .body_bytes = (uint32_t)(head + strlen(payload)),
                                  .body_crc32c = crc32c(body, head + strlen(payload))};
    assert_int_equal(link_send_frame(asker->link, &header, body), 0);
}

/* ---- set up and tear down ---- */

static struct world *set_up(void)
{
    struct world *w = memory_alloc(sizeof *w);
    struct error error;
    static const char *const hosts[] = {"a", "b"};
    struct gateway_config core = {.name = "E.0.gw.0", .host_count = 2, .hosts = hosts, .startup_timeout_ms = 60000};
    struct relay_config config = {.listen = "127.0.0.1:0", .name = "E.0.gw.0", .core = &core};
    uv_loop_init(&w->loop);
    uv_timer_init(&w->loop, &w->deadline);
    w->deadline.data = w;
    assert_int_equal(relay_create(&w->relay, &w->loop, &config, &error), 0);
    for (int i = 0; i < PROCESSES; i++) {
        start_fake(w, i);
        report(w, i);
    }
    RUN_UNTIL(w, w->fakes[0].link != NULL && w->fakes[1].link != NULL);
    connect_asker(w, &w->asker);
    return w;
}

static void tear_down(struct world *w)
{
    if (w->asker.link != NULL)
        link_close(w->asker.link);
    for (int i = 0; i < PROCESSES; i++)
        if (w->fakes[i].server != NULL)
            link_server_destroy(&w->fakes[i].server);
    relay_destroy(&w->relay);
    uv_close((uv_handle_t *)&w->deadline, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    memory_free(w);
}

/* ---- tests ---- */

static void test_a_query_passes_through_and_its_answer_comes_back(void **state)
{
    (void)state;
    struct world *w = set_up();
    ask(&w->asker, 77, "P.rdb.0", "hello");
    RUN_UNTIL(w, w->asker.answers == 1);
    assert_int_equal(w->asker.last_id, 77);
    assert_string_equal(w->asker.source, "P.0.rdb.0");
    assert_string_equal(w->asker.payload, "hello");
    tear_down(w);
}

static void test_a_query_in_flight_is_answered_by_the_other_process(void **state)
{
    (void)state;
    struct world *w = set_up();
    w->fakes[0].silent = true;
    ask(&w->asker, 5, "P.rdb.0", "hello");
    RUN_UNTIL(w, w->fakes[0].queries == 1);
    kill_fake(&w->fakes[0]);
    RUN_UNTIL(w, w->asker.answers == 1);
    assert_string_equal(w->asker.source, "P.1.rdb.0");
    assert_string_equal(w->asker.payload, "hello");
    assert_int_equal(w->asker.failures, 0);
    tear_down(w);
}

static void test_a_query_waits_while_nobody_is_there(void **state)
{
    (void)state;
    struct world *w = set_up();
    kill_fake(&w->fakes[0]);
    kill_fake(&w->fakes[1]);
    ask(&w->asker, 6, "P.rdb.0", "later");
    start_fake(w, 1);
    report(w, 1);
    RUN_UNTIL(w, w->asker.answers == 1);
    assert_string_equal(w->asker.source, "P.1.rdb.0");
    assert_string_equal(w->asker.payload, "later");
    tear_down(w);
}

static void test_a_client_that_vanishes_cancels_its_query(void **state)
{
    (void)state;
    struct world *w = set_up();
    struct asker other;
    connect_asker(w, &other);
    w->fakes[0].silent = true;
    ask(&other, 1, "P.rdb.0", "x");
    RUN_UNTIL(w, w->fakes[0].queries == 1);
    link_close(other.link);
    RUN_UNTIL(w, w->fakes[0].cancels == 1);
    w->fakes[0].silent = false;
    ask(&w->asker, 2, "P.rdb.0", "y");
    RUN_UNTIL(w, w->asker.answers == 1);
    tear_down(w);
}

static int connect_raw(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void test_garbage_on_the_port_harms_nobody(void **state)
{
    (void)state;
    struct world *w = set_up();
    static const char *const garbage[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00", "q"};
    for (int i = 0; i < 3; i++) {
        int fd = connect_raw(relay_address(w->relay));
        assert_true(write(fd, garbage[i], strlen(garbage[i])) > 0);
        close(fd);
    }
    ask(&w->asker, 1, "P.rdb.0", "still here");
    RUN_UNTIL(w, w->asker.answers == 1);
    tear_down(w);
}

static void test_frames_without_sense_get_a_failure(void **state)
{
    (void)state;
    struct world *w = set_up();
    uint8_t body[] = {0xff, 0xff, 0, 0, 0, 0, 0, 0, 'x'};
    static const enum frame_type types[] = {FRAME_QUERY, FRAME_LOOKUP, FRAME_ADMIN, FRAME_ANSWER, FRAME_PUBLISH};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        assert_int_equal(link_send(w->asker.link, types[i], i, body, sizeof body), 0);
        RUN_UNTIL(w, w->asker.failures == (int)i + 1);
    }
    ask(&w->asker, 9, "P.rdb.0", "fine");
    RUN_UNTIL(w, w->asker.answers == 1);
    tear_down(w);
}

static void test_an_oversized_frame_closes_only_its_client(void **state)
{
    (void)state;
    struct world *w = set_up();
    struct asker other;
    connect_asker(w, &other);
    static uint8_t big[1024 * 1024];
    for (int i = 0; i < 20; i++) /* the largest body is 16 MiB; a header that promises more is refused */
        link_send(other.link, FRAME_PING, 0, big, sizeof big);
    int fd = connect_raw(relay_address(w->relay));
    uint8_t header[FRAME_HEADER_BYTES] = {0x47, 0x4d, 1, 4, 0xff, 0xff, 0xff, 0x7f};
    uint32_t crc = crc32c(header, 28);
    memcpy(header + 28, &crc, sizeof crc);
    assert_int_equal(write(fd, header, sizeof header), sizeof header);
    ask(&w->asker, 1, "P.rdb.0", "still here");
    RUN_UNTIL(w, w->asker.answers == 1);
    close(fd);
    link_close(other.link);
    tear_down(w);
}

static void test_a_client_that_takes_no_answers_is_closed(void **state)
{
    (void)state;
    struct world *w = set_up();
    struct asker slow;
    connect_asker(w, &slow);
    w->fakes[0].answer_bytes = 4 * 1024 * 1024;
    link_pause(slow.link);
    for (uint64_t i = 0; i < 12; i++)
        ask(&slow, i, "P.rdb.0", "much");
    RUN_UNTIL(w, w->fakes[0].queries == 12);
    w->fakes[0].answer_bytes = 0;
    ask(&w->asker, 1, "P.rdb.0", "still here");
    RUN_UNTIL(w, w->asker.answers == 1);
    link_resume(slow.link);
    RUN_UNTIL(w, slow.closed);
    assert_true(slow.answers < 12);
    tear_down(w);
}

static void test_look_ups_and_commands_are_answered(void **state)
{
    (void)state;
    struct world *w = set_up();
    Gemel__Lookup lookup = GEMEL__LOOKUP__INIT;
    lookup.pattern = (char *)"P.*.rdb.0";
    assert_int_equal(link_send_message(w->asker.link, FRAME_LOOKUP, 3, &lookup.base), 0);
    RUN_UNTIL(w, w->asker.lookup_replies == 1);
    Gemel__AdminRequest request = GEMEL__ADMIN_REQUEST__INIT;
    request.verb = (char *)"failover.status";
    assert_int_equal(link_send_message(w->asker.link, FRAME_ADMIN, 4, &request.base), 0);
    RUN_UNTIL(w, w->asker.admin_replies == 1);
    assert_int_equal(w->asker.last_id, 4);
    tear_down(w);
}

static void test_an_unknown_target_is_an_error_that_says_what_to_do(void **state)
{
    (void)state;
    struct world *w = set_up();
    ask(&w->asker, 1, "P.nope.0", "x");
    RUN_UNTIL(w, w->asker.failures == 1);
    assert_int_equal(w->asker.code, -ENOENT);
    assert_non_null(strstr(w->asker.sentence, "knows no process for P.nope.0"));
    tear_down(w);
}

int main(void)
{
    struct log_options log = {.path = "/dev/null", .process = "test", .type = "gw"};
    struct error error;
    if (log_open(&log, &error) != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_query_passes_through_and_its_answer_comes_back),
        cmocka_unit_test(test_a_query_in_flight_is_answered_by_the_other_process),
        cmocka_unit_test(test_a_query_waits_while_nobody_is_there),
        cmocka_unit_test(test_a_client_that_vanishes_cancels_its_query),
        cmocka_unit_test(test_garbage_on_the_port_harms_nobody),
        cmocka_unit_test(test_frames_without_sense_get_a_failure),
        cmocka_unit_test(test_an_oversized_frame_closes_only_its_client),
        cmocka_unit_test(test_a_client_that_takes_no_answers_is_closed),
        cmocka_unit_test(test_look_ups_and_commands_are_answered),
        cmocka_unit_test(test_an_unknown_target_is_an_error_that_says_what_to_do),
    };
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    log_close();
    return result;
}
