/* libs: gemel_link gemel_wire gemel_base */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/bounds.h"
#include "common/base/crc32c.h"
#include "common/base/memory.h"
#include "common/net/link.h"
#include "tests/unit/testing.h"

/* One side of a conversation: what happened to its link. */
struct side {
    struct link *link; /* NULL: none, or closed */
    int opened;
    int closed;
    int drained;
    int reason;
    char why[256];
    int frames;
    size_t body_bytes;
    uint64_t last_id;
    uint32_t body_crc;
    bool in_order; /* request ids came as 1, 2, 3, ... */
    bool echo;
    bool close_on_frame;
};

struct world {
    uv_loop_t loop;
    struct link_server *server;
    struct side here;  /* the dialler */
    struct side there; /* the last accepted link */
    uv_timer_t deadline;
    bool late;
};

static void on_open(void *owner, struct link *link)
{
    struct side *side = owner;
    side->opened++;
    side->link = link;
}

static void on_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct side *side = owner;
    side->frames++;
    side->in_order = side->in_order && header->request_id == (uint64_t)side->frames;
    side->last_id = header->request_id;
    side->body_bytes += header->body_bytes;
    side->body_crc = crc32c(body, header->body_bytes);
    if (side->echo)
        assert_int_equal(link_send(link, FRAME_ANSWER, header->request_id, body, header->body_bytes), 0);
    if (side->close_on_frame) {
        link_close(link);
        side->link = NULL;
    }
}

static void on_close(void *owner, struct link *link, int reason, const char *why)
{
    struct side *side = owner;
    (void)link;
    side->closed++;
    side->reason = reason;
    snprintf(side->why, sizeof side->why, "%s", why);
    side->link = NULL;
}

static void on_drained(void *owner, struct link *link)
{
    struct side *side = owner;
    (void)link;
    side->drained++;
}

static const struct link_handlers handlers = {
    .on_open = on_open, .on_frame = on_frame, .on_close = on_close, .on_drained = on_drained};

static const struct link_self self_here = {
    .kind = GEMEL__LINK_KIND__LINK_CLIENT, .name = "here", .token = {3, 4}, .incarnation = 77};
static const struct link_self self_there = {.kind = GEMEL__LINK_KIND__LINK_PROCESS, .name = "P.0.rdb.0"};

static void on_deadline(uv_timer_t *timer)
{
    ((struct world *)timer->data)->late = true;
}

static void world_init(struct world *world, const char *address)
{
    struct error error = {0};
    memset(world, 0, sizeof *world);
    world->here.in_order = world->there.in_order = true;
    assert_int_equal(uv_loop_init(&world->loop), 0);
    uv_timer_init(&world->loop, &world->deadline);
    world->deadline.data = world;
    uv_timer_start(&world->deadline, on_deadline, 20000, 0);
    assert_int_equal(link_listen(&world->server, &world->loop, address, &self_there, &handlers, &world->there, &error),
                     0);
}

static void world_dial(struct world *world)
{
    struct error error = {0};
    assert_int_equal(link_connect(&world->here.link, &world->loop, link_server_address(world->server), &self_here,
                                  &handlers, &world->here, &error),
                     0);
}

/* Runs the loop until the condition holds; the deadline makes a hang a failure. */
#define RUN_UNTIL(world, condition)                                                                                    \
    do {                                                                                                               \
        while (!(condition) && !(world)->late)                                                                         \
            uv_run(&(world)->loop, UV_RUN_ONCE);                                                                       \
        assert_true(condition);                                                                                        \
    } while (0)

static void world_open(struct world *world, const char *address)
{
    world_init(world, address);
    world_dial(world);
    RUN_UNTIL(world, world->here.opened == 1 && world->there.opened == 1);
}

static void world_fini(struct world *world)
{
    if (world->here.link != NULL)
        link_close(world->here.link);
    link_server_destroy(&world->server);
    uv_close((uv_handle_t *)&world->deadline, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
}

/* A plain socket to the server, for bytes that no link would send. */
static int raw_connect(struct world *world)
{
    unsigned port = 0;
    assert_int_equal(sscanf(link_server_address(world->server), "127.0.0.1:%u", &port), 1);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static size_t put_frame(uint8_t *target, enum frame_type type, uint64_t id, const void *body, size_t size)
{
    struct frame_header header = {
        .type = type, .request_id = id, .body_bytes = (uint32_t)size, .body_crc32c = crc32c(body, size)};
    frame_encode(&header, target);
    memcpy(target + FRAME_HEADER_BYTES, body, size);
    return FRAME_HEADER_BYTES + size;
}

static size_t put_hello(uint8_t *target)
{
    Gemel__LinkHello hello = GEMEL__LINK_HELLO__INIT;
    uint8_t body[64];
    hello.protocol = 1;
    hello.name = (char *)(uintptr_t) "raw";
    return put_frame(target, FRAME_HELLO, 0, body, protobuf_c_message_pack(&hello.base, body));
}

static void raw_send(int fd, const void *bytes, size_t size)
{
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
}

static void test_both_sides_learn_who_the_other_is(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, "127.0.0.1:0");
    assert_string_equal(link_peer(world.here.link)->name, "P.0.rdb.0");
    assert_string_equal(link_peer(world.there.link)->name, "here");
    assert_int_equal(link_peer(world.there.link)->placement, 3);
    assert_int_equal(link_peer(world.there.link)->incarnation, 77);
    assert_int_equal(link_peer(world.there.link)->pid, getpid());
    assert_int_equal(strncmp(link_peer_address(world.there.link), "127.0.0.1:", 10), 0);
    world_fini(&world);
}

static void test_a_unix_link_tells_the_peers_pid_and_replaces_a_left_over_socket(void **state)
{
    (void)state;
    char folder[] = "/tmp/gemel-link-XXXXXX";
    char address[128];
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof address, "unix:%s/x.sock", folder);
    struct sockaddr_un left_over = {.sun_family = AF_UNIX};
    snprintf(left_over.sun_path, sizeof left_over.sun_path, "%s", address + 5);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&left_over, sizeof left_over), 0);
    close(fd);
    struct world world;
    world_open(&world, address);
    assert_int_equal(link_peer_pid(world.there.link), getpid());
    world_fini(&world);
    assert_int_equal(rmdir(folder), 0);
}

static void test_frames_keep_their_order_and_bytes_from_empty_to_the_largest(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 64, 4096, 16383, 16384, 65536, 70000, 1024 * 1024, FRAME_BODY_BYTES_MAX, 5};
    struct world world;
    world_open(&world, "127.0.0.1:0");
    world.there.echo = true;
    uint8_t *body = memory_alloc(FRAME_BODY_BYTES_MAX);
    for (size_t i = 0; i < FRAME_BODY_BYTES_MAX; i++)
        body[i] = (uint8_t)(i * 31 + i / 251);
    size_t total = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(link_send(world.here.link, FRAME_QUERY, i + 1, body, sizes[i]), 0);
        total += sizes[i];
    }
    RUN_UNTIL(&world, world.here.frames == (int)(sizeof sizes / sizeof sizes[0]));
    assert_true(world.there.in_order && world.here.in_order);
    assert_int_equal(world.here.body_bytes, total);
    assert_int_equal(world.here.body_crc, crc32c(body, 5));
    assert_int_equal(link_send(world.here.link, FRAME_QUERY, 1, body, FRAME_BODY_BYTES_MAX + 1), -EMSGSIZE);
    memory_free(body);
    world_fini(&world);
}

static void test_frames_sent_before_the_connection_stands_arrive_after_the_hello(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, "127.0.0.1:0");
    world_dial(&world);
    for (uint64_t id = 1; id <= 1000; id++)
        assert_int_equal(link_send(world.here.link, FRAME_PING, id, NULL, 0), 0);
    RUN_UNTIL(&world, world.there.frames == 1000);
    assert_true(world.there.in_order);
    world_fini(&world);
}

static void test_a_frame_that_comes_in_single_bytes_is_put_together(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, "127.0.0.1:0");
    int fd = raw_connect(&world);
    uint8_t bytes[256];
    size_t size = put_hello(bytes);
    size += put_frame(bytes + size, FRAME_QUERY, 1, "payload", 7);
    for (size_t i = 0; i < size; i++) {
        raw_send(fd, bytes + i, 1);
        uv_run(&world.loop, UV_RUN_NOWAIT);
    }
    RUN_UNTIL(&world, world.there.frames == 1);
    assert_int_equal(world.there.body_crc, crc32c("payload", 7));
    shutdown(fd, SHUT_WR); /* closing with the hello unread would be a reset */
    RUN_UNTIL(&world, world.there.closed == 1);
    close(fd);
    assert_int_equal(world.there.reason, 0);
    world_fini(&world);
}

/* Sends a hello and then `bytes`; the link must end for `reason`. */
static void expect_end(const void *bytes, size_t size, int reason, const char *why)
{
    struct world world;
    world_init(&world, "127.0.0.1:0");
    int fd = raw_connect(&world);
    uint8_t hello[256];
    raw_send(fd, hello, put_hello(hello));
    raw_send(fd, bytes, size);
    RUN_UNTIL(&world, world.there.closed == 1);
    assert_int_equal(world.there.reason, reason);
    assert_string_equal(world.there.why, why);
    assert_int_equal(world.there.frames, 0);
    close(fd);
    world_fini(&world);
}

static void test_garbage_ends_a_link_with_a_reason(void **state)
{
    (void)state;
    uint8_t bytes[256] = "GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n";
    expect_end(bytes, 64, -EBADMSG, "a frame has a malformed header");
    put_frame(bytes, FRAME_QUERY, 1, "payload", 7);
    bytes[FRAME_HEADER_BYTES] ^= 1;
    expect_end(bytes, FRAME_HEADER_BYTES + 7, -EBADMSG, "the checksum of a frame's body is wrong");
    put_frame(bytes, FRAME_QUERY, 1, "payload", 7);
    uint32_t length = FRAME_BODY_BYTES_MAX + 1;
    memcpy(bytes + 4, &length, sizeof length);
    uint32_t checksum = crc32c(bytes, 28);
    memcpy(bytes + 28, &checksum, sizeof checksum);
    expect_end(bytes, FRAME_HEADER_BYTES, -EMSGSIZE, "a frame is over 16 MiB");
    expect_end(bytes, put_hello(bytes), -EPROTO, "the peer sent a second hello");
}

static void test_who_says_no_hello_is_never_handed_out_and_is_counted(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, "127.0.0.1:0");
    uint8_t bytes[256];
    int fd = raw_connect(&world);
    raw_send(fd, bytes, put_frame(bytes, FRAME_QUERY, 1, "payload", 7));
    RUN_UNTIL(&world, link_server_refused_count(world.server) == 1);
    int other = raw_connect(&world);
    raw_send(other, "garbage that is longer than one header of a frame", 49);
    RUN_UNTIL(&world, link_server_refused_count(world.server) == 2);
    assert_int_equal(world.there.opened + world.there.closed + world.there.frames, 0);
    close(fd);
    close(other);
    world_fini(&world);
}

static void test_an_address_that_is_not_loopback_is_refused_with_a_sentence(void **state)
{
    (void)state;
    struct world world;
    struct link *link = NULL;
    struct link_server *server = NULL;
    world_init(&world, "127.0.0.1:0");
    static const char *const refused[] = {"10.0.0.1:5010", "0.0.0.0:0", "[::]:0", "[2001:db8::1]:5010"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct error error = {0};
        assert_int_equal(link_connect(&link, &world.loop, refused[i], &self_here, &handlers, &world.here, &error),
                         -EPERM);
        assert_non_null(strstr(error.sentence, "is not a loopback address"));
        assert_int_equal(link_listen(&server, &world.loop, refused[i], &self_here, &handlers, NULL, &error), -EPERM);
    }
    static const char *const malformed[] = {"", "127.0.0.1", ":1", "127.0.0.1:", "127.0.0.1:65536", "::1:5", "unix:x"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        struct error error = {0};
        assert_int_equal(link_connect(&link, &world.loop, malformed[i], &self_here, &handlers, &world.here, &error),
                         -EINVAL);
    }
    world_fini(&world);
}

static void test_a_taken_address_is_an_error_that_names_it(void **state)
{
    (void)state;
    struct world world;
    struct link_server *second = NULL;
    struct error error = {0};
    world_init(&world, "127.0.0.1:0");
    assert_int_equal(
        link_listen(&second, &world.loop, link_server_address(world.server), &self_there, &handlers, NULL, &error),
        -EADDRINUSE);
    assert_non_null(strstr(error.sentence, link_server_address(world.server)));
    world_fini(&world);
}

static void test_a_refused_connection_is_told_once(void **state)
{
    (void)state;
    struct world world;
    char address[ADDRESS_BYTES];
    struct error error = {0};
    world_init(&world, "127.0.0.1:0");
    snprintf(address, sizeof address, "%s", link_server_address(world.server));
    link_server_destroy(&world.server);
    uv_run(&world.loop, UV_RUN_NOWAIT);
    assert_int_equal(link_connect(&world.here.link, &world.loop, address, &self_here, &handlers, &world.here, &error),
                     0);
    RUN_UNTIL(&world, world.here.closed == 1);
    assert_int_equal(world.here.reason, -ECONNREFUSED);
    assert_int_equal(world.here.opened, 0);
    world_fini(&world);
}

static void test_a_peer_that_does_not_read_meets_the_bound_and_is_told_when_it_drains(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, "127.0.0.1:0");
    link_pause(world.there.link);
    uint8_t *body = memory_alloc(1024 * 1024);
    int sent = 0;
    int result = 0;
    while ((result = link_send(world.here.link, FRAME_QUERY, (uint64_t)sent + 1, body, 1024 * 1024)) == 0)
        sent++;
    assert_int_equal(result, -EAGAIN);
    assert_true(link_queued_bytes(world.here.link) >= LINK_QUEUE_BYTES_MAX);
    assert_true(link_queued_bytes(world.here.link) <= LINK_QUEUE_BYTES_MAX + 1024 * 1024 + FRAME_HEADER_BYTES);
    uv_run(&world.loop, UV_RUN_NOWAIT);
    assert_int_equal(world.there.frames, 0);
    link_resume(world.there.link);
    RUN_UNTIL(&world, world.there.frames == sent && world.here.drained > 0);
    assert_true(world.there.in_order);
    assert_int_equal(link_queued_bytes(world.here.link), 0);
    memory_free(body);
    world_fini(&world);
}

static void test_frames_that_came_before_a_pause_wait_for_the_resume(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, "127.0.0.1:0");
    world.there.in_order = true;
    for (uint64_t id = 1; id <= 100; id++)
        link_send(world.here.link, FRAME_PING, id, NULL, 0);
    link_pause(world.there.link);
    for (int turns = 0; turns < 10; turns++)
        uv_run(&world.loop, UV_RUN_NOWAIT);
    assert_int_equal(world.there.frames, 0);
    link_resume(world.there.link);
    RUN_UNTIL(&world, world.there.frames == 100);
    assert_true(world.there.in_order);
    world_fini(&world);
}

static void test_closing_flushes_what_was_sent_and_is_silent(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, "127.0.0.1:0");
    uint8_t *body = memory_alloc(8 * 1024 * 1024);
    /* The peer goes on sending: a plain close would answer that with a reset, and the tail would be lost there. */
    world.there.echo = true;
    for (uint64_t id = 1; id <= 3; id++)
        assert_int_equal(link_send(world.here.link, FRAME_QUERY, id, body, 8 * 1024 * 1024), 0);
    link_close(world.here.link);
    world.here.link = NULL;
    RUN_UNTIL(&world, world.there.closed == 1);
    assert_int_equal(world.there.frames, 3);
    assert_int_equal(world.there.reason, 0);
    assert_int_equal(world.here.closed, 0);
    memory_free(body);
    world_fini(&world);
}

static void test_a_link_may_be_closed_within_its_own_frame(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, "127.0.0.1:0");
    world.there.close_on_frame = true;
    for (uint64_t id = 1; id <= 3; id++)
        link_send(world.here.link, FRAME_PING, id, NULL, 0);
    RUN_UNTIL(&world, world.here.closed == 1);
    assert_int_equal(world.there.frames, 1);
    assert_int_equal(world.there.closed, 0);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_sides_learn_who_the_other_is),
        cmocka_unit_test(test_a_unix_link_tells_the_peers_pid_and_replaces_a_left_over_socket),
        cmocka_unit_test(test_frames_keep_their_order_and_bytes_from_empty_to_the_largest),
        cmocka_unit_test(test_frames_sent_before_the_connection_stands_arrive_after_the_hello),
        cmocka_unit_test(test_a_frame_that_comes_in_single_bytes_is_put_together),
        cmocka_unit_test(test_garbage_ends_a_link_with_a_reason),
        cmocka_unit_test(test_who_says_no_hello_is_never_handed_out_and_is_counted),
        cmocka_unit_test(test_an_address_that_is_not_loopback_is_refused_with_a_sentence),
        cmocka_unit_test(test_a_taken_address_is_an_error_that_names_it),
        cmocka_unit_test(test_a_refused_connection_is_told_once),
        cmocka_unit_test(test_a_peer_that_does_not_read_meets_the_bound_and_is_told_when_it_drains),
        cmocka_unit_test(test_frames_that_came_before_a_pause_wait_for_the_resume),
        cmocka_unit_test(test_closing_flushes_what_was_sent_and_is_silent),
        cmocka_unit_test(test_a_link_may_be_closed_within_its_own_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
