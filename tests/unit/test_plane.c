/* libs: gemel_net */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/net/plane.h"
#include "tests/unit/testing.h"

enum {
    PATIENCE_MS = 20000 /* a test that waits longer has failed */
};

/* One program: keys of its own, a plane, a loop that both share. */
struct program_side {
    char folder[64];
    struct keys *keys;
    struct plane *plane;
    struct router *router;
    struct dealer *dealer;
    /* what was seen */
    uint64_t messages;
    uint64_t last_request;
    uint64_t out_of_order;
    int ups;
    int downs;
    char why[256];
    char sender[64];
    char user[HOST_NAME_BYTES];
    enum key_role role;
    struct plane_peer peer;
    bool echo;
    bool destroy_in_callback;
};

struct world {
    uv_loop_t loop;
    struct program_side a; /* 127.0.0.1: the server */
    struct program_side b; /* 127.0.0.2: dials it */
    bool late;
};

/* ---- the stage */

static void copy_file(const char *from_folder, const char *to_folder, const char *name)
{
    char path[128];
    char content[1024];
    snprintf(path, sizeof path, "%s/%s", from_folder, name);
    FILE *from = fopen(path, "re");
    assert_non_null(from);
    size_t length = fread(content, 1, sizeof content, from);
    fclose(from);
    snprintf(path, sizeof path, "%s/%s", to_folder, name);
    FILE *to = fopen(path, "we");
    assert_non_null(to);
    assert_int_equal(fwrite(content, 1, length, to), length);
    fclose(to);
}

static void make_folder(struct program_side *side, const char *name)
{
    struct error error;
    snprintf(side->folder, sizeof side->folder, "/tmp/gemel-plane-XXXXXX");
    assert_non_null(mkdtemp(side->folder));
    assert_int_equal(keys_create_pair(side->folder, name, KEY_ROLE_NODE, &error), 0);
}

static void remove_tree(const char *folder)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", folder, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static void start_plane(struct world *world, struct program_side *side, const char *self)
{
    struct error error;
    char sender[64];
    snprintf(sender, sizeof sender, "test@%s", self);
    assert_int_equal(keys_load(&side->keys, side->folder, &error), 0);
    assert_int_equal(plane_create(&side->plane, &world->loop, side->keys, self, sender, &error), 0);
}

/* `known`: has A the key of B? */
static struct world *make_world(bool known)
{
    struct world *world = memory_alloc(sizeof *world);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    make_folder(&world->a, "127.0.0.1");
    make_folder(&world->b, "127.0.0.2");
    copy_file(world->a.folder, world->b.folder, "127.0.0.1.pub");
    if (known)
        copy_file(world->b.folder, world->a.folder, "127.0.0.2.pub");
    start_plane(world, &world->a, "127.0.0.1");
    start_plane(world, &world->b, "127.0.0.2");
    return world;
}

static void on_late(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Runs the loop until the condition holds; a loop that is stuck fails the test. */
#define RUN_UNTIL(world, condition)                                                                                    \
    do {                                                                                                               \
        uv_timer_t deadline;                                                                                           \
        (world)->late = false;                                                                                         \
        assert_int_equal(uv_timer_init(&(world)->loop, &deadline), 0);                                                 \
        deadline.data = &(world)->late;                                                                                \
        uv_timer_start(&deadline, on_late, PATIENCE_MS, 0);                                                            \
        while (!(condition) && !(world)->late)                                                                         \
            uv_run(&(world)->loop, UV_RUN_ONCE);                                                                       \
        uv_close((uv_handle_t *)&deadline, NULL);                                                                      \
        uv_run(&(world)->loop, UV_RUN_NOWAIT);                                                                         \
        assert_false((world)->late);                                                                                   \
    } while (0)

static void end_side(struct program_side *side)
{
    dealer_destroy(&side->dealer);
    router_destroy(&side->router);
    plane_destroy(&side->plane);
}

static void end_world(struct world *world)
{
    end_side(&world->b);
    end_side(&world->a);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    keys_destroy(&world->a.keys);
    keys_destroy(&world->b.keys);
    remove_tree(world->a.folder);
    remove_tree(world->b.folder);
    memory_free(world);
}

/* ---- what the two sides do */

static void note_message(struct program_side *side, const Gemel__Envelope *message)
{
    side->messages++;
    if (message->request_id != side->last_request + 1)
        side->out_of_order++;
    side->last_request = message->request_id;
    snprintf(side->sender, sizeof side->sender, "%s", message->sender);
}

static void on_request(void *owner, const struct plane_peer *from, const Gemel__Envelope *message)
{
    struct program_side *side = owner;
    note_message(side, message);
    side->peer = *from;
    side->role = from->role;
    snprintf(side->user, sizeof side->user, "%s", from->user);
    if (side->echo) {
        Gemel__Envelope reply = GEMEL__ENVELOPE__INIT;
        Gemel__Pong pong = GEMEL__PONG__INIT;
        reply.request_id = message->request_id;
        reply.body_case = GEMEL__ENVELOPE__BODY_PONG;
        reply.pong = &pong;
        assert_int_equal(router_send(side->router, from, &reply), 0);
    }
    if (side->destroy_in_callback)
        router_destroy(&side->router);
}

static void on_reply(void *owner, const Gemel__Envelope *message)
{
    struct program_side *side = owner;
    note_message(side, message);
    if (side->destroy_in_callback)
        dealer_destroy(&side->dealer);
}

static void on_up(void *owner)
{
    struct program_side *side = owner;
    side->ups++;
}

static void on_down(void *owner, const char *why)
{
    struct program_side *side = owner;
    side->downs++;
    snprintf(side->why, sizeof side->why, "%s", why);
}

static const struct dealer_handlers HANDLERS = {.on_message = on_reply, .on_up = on_up, .on_down = on_down};

static void listen_on(struct world *world, const char *address)
{
    struct error error;
    assert_int_equal(router_create(&world->a.router, world->a.plane, address, on_request, &world->a, &error), 0);
}

static void dial_to(struct world *world, const char *address)
{
    struct error error;
    assert_int_equal(dealer_create(&world->b.dealer, world->b.plane, address, &HANDLERS, &world->b, &error), 0);
}

static void connect_both(struct world *world)
{
    listen_on(world, "127.0.0.1:0");
    dial_to(world, router_address(world->a.router));
    RUN_UNTIL(world, world->b.ups == 1);
}

static int send_ping(struct dealer *dealer, uint64_t request_id)
{
    Gemel__Envelope message = GEMEL__ENVELOPE__INIT;
    Gemel__Ping ping = GEMEL__PING__INIT;
    message.request_id = request_id;
    message.body_case = GEMEL__ENVELOPE__BODY_PING;
    message.ping = &ping;
    return dealer_send(dealer, &message);
}

static unsigned port_of(const char *address)
{
    return (unsigned)strtoul(strrchr(address, ':') + 1, NULL, 10);
}

/* A TCP connection without any manners. */
static int connect_raw(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* A port that nobody listens on, as far as one can know. */
static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* A client that uses libzmq as it likes, with the key of B. */
static void *open_authorised(const struct world *world, void *context, int type)
{
    const struct key *self = keys_find(world->b.keys, "127.0.0.2");
    const struct key *server = keys_find(world->b.keys, "127.0.0.1");
    void *socket = zmq_socket(context, type);
    char url[64];
    int linger = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, self->secret_text, KEY_TEXT_BYTES);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, self->public_text, KEY_TEXT_BYTES);
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server->public_text, KEY_TEXT_BYTES);
    snprintf(url, sizeof url, "tcp://%s", router_address(world->a.router));
    assert_int_equal(zmq_connect(socket, url), 0);
    return socket;
}

/* ---- the claims */

static void test_a_request_and_its_reply_make_the_round_trip_with_the_callers_name_and_role(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    world->a.echo = true;
    connect_both(world);
    assert_true(dealer_is_up(world->b.dealer));
    assert_int_equal(send_ping(world->b.dealer, 1), 0);
    RUN_UNTIL(world, world->b.messages == 1);
    assert_string_equal(world->a.sender, "test@127.0.0.2");
    assert_string_equal(world->a.user, "127.0.0.2");
    assert_int_equal(world->a.role, KEY_ROLE_NODE);
    assert_string_equal(world->b.sender, "test@127.0.0.1");
    assert_true(plane_incarnation(world->a.plane) != plane_incarnation(world->b.plane));
    assert_int_equal(plane_refused_count(world->a.plane) + plane_refused_count(world->b.plane), 0);
    end_world(world);
}

static void test_the_fields_of_a_message_are_given_back_as_they_were(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    connect_both(world);
    Gemel__Envelope message = GEMEL__ENVELOPE__INIT;
    char mine[] = "mine";
    message.sender = mine;
    message.incarnation = 7;
    assert_int_equal(dealer_send(world->b.dealer, &message), 0);
    assert_ptr_equal(message.sender, mine);
    assert_int_equal(message.incarnation, 7);
    assert_int_equal(message.protocol, 0);
    RUN_UNTIL(world, world->a.messages == 1);
    assert_string_equal(world->a.sender, "test@127.0.0.2");
    end_world(world);
}

/* More than one turn's budget arrives at once: a lost wake-up would leave the rest in the socket. */
static void test_a_burst_of_ten_thousand_messages_all_arrive_in_order_both_ways(void **state)
{
    (void)state;
    enum {
        BURST = 10000
    };
    struct world *world = make_world(true);
    world->a.echo = true;
    connect_both(world);
    for (uint64_t i = 1; i <= BURST; i++)
        assert_int_equal(send_ping(world->b.dealer, i), 0);
    RUN_UNTIL(world, world->b.messages == BURST);
    assert_int_equal(world->a.messages, BURST);
    assert_int_equal(world->a.out_of_order + world->b.out_of_order, 0);
    end_world(world);
}

static void test_an_unknown_key_is_refused_counted_and_told_to_its_owner(void **state)
{
    (void)state;
    struct world *world = make_world(false);
    listen_on(world, "127.0.0.1:0");
    dial_to(world, router_address(world->a.router));
    RUN_UNTIL(world, world->b.downs > 0);
    assert_non_null(strstr(world->b.why, "key not accepted"));
    assert_string_equal(dealer_last_error(world->b.dealer), world->b.why);
    assert_int_equal(world->b.ups, 0);
    assert_true(plane_refused_count(world->a.plane) > 0);
    /* It keeps asking: the key may be added. */
    RUN_UNTIL(world, plane_refused_count(world->a.plane) >= 3);
    assert_int_equal(send_ping(world->b.dealer, 1), -EHOSTUNREACH);
    assert_int_equal(world->a.messages, 0);
    end_world(world);
}

static void test_a_server_with_another_key_than_expected_is_not_believed(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    struct error error;
    /* B expects the key of 127.0.0.2 there, which is its own. */
    assert_int_equal(router_create(&world->a.router, world->a.plane, "127.0.0.2:0", on_request, &world->a, &error), 0);
    dial_to(world, router_address(world->a.router));
    RUN_UNTIL(world, world->b.downs > 0);
    assert_int_equal(world->b.ups, 0);
    assert_non_null(strstr(world->b.why, "handshake"));
    end_world(world);
}

static void test_garbage_on_the_port_does_no_harm_and_is_counted(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    connect_both(world);
    uint8_t garbage[4096];
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (uint8_t)(i * 7 + 13);
    static const char *const FIRST[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\xff\0\0\0\0\0\0\0\x01\x7f", "\x01\x00",
                                        "\0"};
    static const size_t FIRST_BYTES[] = {27, 10, 2, 1};
    for (size_t i = 0; i < COUNT_OF(FIRST); i++) {
        uint64_t refused = plane_refused_count(world->a.plane);
        int fd = connect_raw(port_of(router_address(world->a.router)));
        assert_int_equal(send(fd, FIRST[i], FIRST_BYTES[i], MSG_NOSIGNAL), FIRST_BYTES[i]);
        send(fd, garbage, sizeof garbage, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        RUN_UNTIL(world, plane_refused_count(world->a.plane) == refused + 1);
        close(fd);
    }
    assert_int_equal(send_ping(world->b.dealer, 1), 0);
    RUN_UNTIL(world, world->a.messages == 1);
    assert_int_equal(world->b.downs, 0);
    end_world(world);
}

static void test_a_client_without_curve_gets_nothing_in_and_is_counted(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    connect_both(world);
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_DEALER);
    int linger = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    char url[64];
    snprintf(url, sizeof url, "tcp://%s", router_address(world->a.router));
    assert_int_equal(zmq_connect(socket, url), 0);
    zmq_send(socket, "hello", 5, ZMQ_DONTWAIT);
    RUN_UNTIL(world, plane_refused_count(world->a.plane) > 0);
    assert_int_equal(send_ping(world->b.dealer, 1), 0);
    RUN_UNTIL(world, world->a.messages == 1);
    zmq_close(socket);
    zmq_ctx_term(context);
    end_world(world);
}

static void test_malformed_and_oversized_messages_of_a_known_peer_are_refused_and_counted(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    listen_on(world, "127.0.0.1:0");
    void *context = zmq_ctx_new();
    void *socket = open_authorised(world, context, ZMQ_DEALER);
    uint8_t *large = memory_alloc(2 * (size_t)MESSAGE_BYTES_MAX);
    assert_int_equal(zmq_send(socket, "\xff\xff\xff", 3, 0), 3);
    assert_int_equal(zmq_send(socket, "", 0, 0), 0); /* protocol 0 */
    assert_int_equal(zmq_send(socket, "two", 3, ZMQ_SNDMORE), 3);
    assert_int_equal(zmq_send(socket, "frames", 6, 0), 6);
    assert_int_equal(zmq_send(socket, large, MESSAGE_BYTES_MAX + 1, 0), MESSAGE_BYTES_MAX + 1);
    RUN_UNTIL(world, plane_refused_count(world->a.plane) == 4);
    /* Far over the bound: its connection is cut, what follows on the next one is heard. */
    assert_int_equal(zmq_send(socket, large, 2 * (size_t)MESSAGE_BYTES_MAX, 0), 2 * MESSAGE_BYTES_MAX);
    dial_to(world, router_address(world->a.router));
    RUN_UNTIL(world, world->b.ups == 1);
    assert_int_equal(send_ping(world->b.dealer, 1), 0);
    RUN_UNTIL(world, world->a.messages == 1);
    memory_free(large);
    zmq_close(socket);
    zmq_ctx_term(context);
    end_world(world);
}

static void test_our_own_message_over_the_bound_is_not_sent(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    connect_both(world);
    Gemel__Envelope message = GEMEL__ENVELOPE__INIT;
    Gemel__AdminRequest request = GEMEL__ADMIN_REQUEST__INIT;
    char *verb = memory_alloc((size_t)MESSAGE_BYTES_MAX + 1);
    memset(verb, 'x', MESSAGE_BYTES_MAX);
    request.verb = verb;
    message.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REQUEST;
    message.admin_request = &request;
    assert_int_equal(dealer_send(world->b.dealer, &message), -EMSGSIZE);
    verb[MESSAGE_BYTES_MAX - 100] = '\0';
    assert_int_equal(dealer_send(world->b.dealer, &message), 0);
    RUN_UNTIL(world, world->a.messages == 1);
    memory_free(verb);
    end_world(world);
}

static void test_a_message_of_another_cluster_is_refused_and_an_unknown_cluster_is_not(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    connect_both(world);
    plane_set_cluster_id(world->a.plane, "one");
    assert_int_equal(send_ping(world->b.dealer, 1), 0);
    plane_set_cluster_id(world->b.plane, "other");
    assert_int_equal(send_ping(world->b.dealer, 2), 0);
    plane_set_cluster_id(world->b.plane, "one");
    assert_int_equal(send_ping(world->b.dealer, 3), 0);
    RUN_UNTIL(world, world->a.last_request == 3);
    assert_int_equal(world->a.messages, 2);
    assert_int_equal(plane_refused_count(world->a.plane), 1);
    end_world(world);
}

static void test_a_reply_to_a_peer_that_is_gone_says_so(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    connect_both(world);
    assert_int_equal(send_ping(world->b.dealer, 1), 0);
    RUN_UNTIL(world, world->a.messages == 1);
    dealer_destroy(&world->b.dealer);
    Gemel__Envelope reply = GEMEL__ENVELOPE__INIT;
    int result = 0;
    RUN_UNTIL(world, (result = router_send(world->a.router, &world->a.peer, &reply)) != 0);
    assert_int_equal(result, -EHOSTUNREACH);
    end_world(world);
}

static void test_a_dealer_finds_a_server_that_starts_later_and_again_after_a_restart(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%u", free_port());
    dial_to(world, address);
    RUN_UNTIL(world, world->b.downs == 1);
    assert_string_equal(world->b.why, "connection refused");
    assert_int_equal(send_ping(world->b.dealer, 1), -EHOSTUNREACH);
    listen_on(world, address);
    RUN_UNTIL(world, world->b.ups == 1);
    router_destroy(&world->a.router);
    RUN_UNTIL(world, world->b.downs == 2);
    assert_string_equal(world->b.why, "connection closed");
    assert_false(dealer_is_up(world->b.dealer));
    struct error error;
    RUN_UNTIL(world, router_create(&world->a.router, world->a.plane, address, on_request, &world->a, &error) == 0);
    RUN_UNTIL(world, world->b.ups == 2);
    assert_int_equal(send_ping(world->b.dealer, 1), 0);
    RUN_UNTIL(world, world->a.messages == 1);
    end_world(world);
}

/* libzmq itself never dials again after this. */
static void test_a_dealer_that_met_another_program_on_the_port_finds_the_right_one_later(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    int yes = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(listen(listener, 8), 0);
    char text[64];
    snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(address.sin_port));
    dial_to(world, text);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(listener);
    static const char REPLY[] = "HTTP/1.1 400 Bad Request\r\n\r\nand so on, and so on, and so on, and so on";
    assert_int_equal(send(fd, REPLY, sizeof REPLY, MSG_NOSIGNAL), sizeof REPLY);
    RUN_UNTIL(world, world->b.downs > 0);
    assert_int_equal(world->b.ups, 0);
    close(fd);
    listen_on(world, text);
    RUN_UNTIL(world, world->b.ups == 1);
    end_world(world);
}

static void test_the_last_reply_of_a_server_that_ends_comes_before_its_end(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    world->a.echo = true;
    world->a.destroy_in_callback = true;
    connect_both(world);
    assert_int_equal(send_ping(world->b.dealer, 1), 0);
    RUN_UNTIL(world, world->b.downs == 1);
    assert_int_equal(world->b.messages, 1);
    assert_null(world->a.router);
    end_world(world);
}

static void test_a_dealer_may_be_destroyed_from_its_callback(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    world->a.echo = true;
    world->b.destroy_in_callback = true;
    connect_both(world);
    for (uint64_t i = 1; i <= 10; i++)
        assert_int_equal(send_ping(world->b.dealer, i), 0);
    RUN_UNTIL(world, world->b.dealer == NULL);
    assert_int_equal(world->b.messages, 1);
    end_world(world);
}

static void test_bad_addresses_taken_ports_and_missing_keys_are_refused_with_a_sentence(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    struct error error;
    struct router *router = NULL;
    struct dealer *dealer = NULL;
    struct plane *plane = NULL;
    listen_on(world, "127.0.0.1:0");
    const char *taken = router_address(world->a.router);
    assert_int_equal(router_create(&router, world->a.plane, taken, on_request, &world->a, &error), -EADDRINUSE);
    assert_non_null(strstr(error.sentence, taken));
    assert_int_equal(router_create(&router, world->a.plane, "127.0.0.1", on_request, &world->a, &error), -EINVAL);
    assert_int_equal(dealer_create(&dealer, world->b.plane, "127.0.0.1:0", &HANDLERS, &world->b, &error), -EINVAL);
    assert_int_equal(dealer_create(&dealer, world->b.plane, "127.0.0.3:1", &HANDLERS, &world->b, &error), -ENOENT);
    assert_non_null(strstr(error.sentence, "127.0.0.3"));
    assert_int_equal(plane_create(&plane, &world->loop, world->b.keys, "127.0.0.1", "x", &error), -ENOENT);
    assert_null(router);
    assert_null(dealer);
    assert_null(plane);
    end_world(world);
}

static void test_a_name_is_looked_up_and_a_wrong_one_is_named(void **state)
{
    (void)state;
    struct world *world = make_world(true);
    struct error error;
    char path[128];
    char address[64];
    /* B learns two hosts more: one that the resolver knows, one that nobody has (RFC 6761). */
    assert_int_equal(keys_create_pair(world->a.folder, "localhost", KEY_ROLE_NODE, &error), 0);
    copy_file(world->a.folder, world->b.folder, "localhost.pub");
    assert_int_equal(keys_create_pair(world->b.folder, "nobody.invalid", KEY_ROLE_NODE, &error), 0);
    snprintf(path, sizeof path, "%s/nobody.invalid.key", world->b.folder);
    assert_int_equal(unlink(path), 0);
    end_side(&world->a);
    end_side(&world->b);
    keys_destroy(&world->a.keys);
    keys_destroy(&world->b.keys);
    start_plane(world, &world->a, "localhost");
    start_plane(world, &world->b, "127.0.0.2");
    listen_on(world, "localhost:0");
    snprintf(address, sizeof address, "localhost:%u", port_of(router_address(world->a.router)));
    dial_to(world, address);
    RUN_UNTIL(world, world->b.ups == 1);
    dealer_destroy(&world->b.dealer);
    dial_to(world, "nobody.invalid:2001");
    RUN_UNTIL(world, world->b.downs == 1);
    assert_non_null(strstr(world->b.why, "cannot find the address of 'nobody.invalid'"));
    end_world(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_and_its_reply_make_the_round_trip_with_the_callers_name_and_role),
        cmocka_unit_test(test_the_fields_of_a_message_are_given_back_as_they_were),
        cmocka_unit_test(test_a_burst_of_ten_thousand_messages_all_arrive_in_order_both_ways),
        cmocka_unit_test(test_an_unknown_key_is_refused_counted_and_told_to_its_owner),
        cmocka_unit_test(test_a_server_with_another_key_than_expected_is_not_believed),
        cmocka_unit_test(test_garbage_on_the_port_does_no_harm_and_is_counted),
        cmocka_unit_test(test_a_client_without_curve_gets_nothing_in_and_is_counted),
        cmocka_unit_test(test_malformed_and_oversized_messages_of_a_known_peer_are_refused_and_counted),
        cmocka_unit_test(test_our_own_message_over_the_bound_is_not_sent),
        cmocka_unit_test(test_a_message_of_another_cluster_is_refused_and_an_unknown_cluster_is_not),
        cmocka_unit_test(test_a_reply_to_a_peer_that_is_gone_says_so),
        cmocka_unit_test(test_a_dealer_finds_a_server_that_starts_later_and_again_after_a_restart),
        cmocka_unit_test(test_a_dealer_that_met_another_program_on_the_port_finds_the_right_one_later),
        cmocka_unit_test(test_the_last_reply_of_a_server_that_ends_comes_before_its_end),
        cmocka_unit_test(test_a_dealer_may_be_destroyed_from_its_callback),
        cmocka_unit_test(test_bad_addresses_taken_ports_and_missing_keys_are_refused_with_a_sentence),
        cmocka_unit_test(test_a_name_is_looked_up_and_a_wrong_one_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
