/* libs: gemel_cli_wire */
/* The transport against a server in a process of its own: a control on a CURVE socket, a gateway on a link. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/wire_transport.h"
#include "common/net/link.h"
#include "common/net/plane.h"
#include "tests/unit/testing.h"

#define HOST "127.0.0.1"

enum {
    PATIENCE_MS = 20000 /* nothing waits so long; a loaded machine may */
};

struct world {
    char folder[64];
    char control[ADDRESS_BYTES];
    char gateway[ADDRESS_BYTES];
    pid_t server;
    struct site site;
    struct wire_transport *wire;
};

/* What the server answers: `two-parts`, `silent`, else an echo of the verb and who asked. */
static void on_request(void *owner, const struct plane_peer *from, const Gemel__Envelope *message)
{
    struct router **router = owner;
    if (message->body_case != GEMEL__ENVELOPE__BODY_ADMIN_REQUEST)
        return;
    const char *verb = message->admin_request->verb;
    const bool parts = strcmp(verb, "two-parts") == 0;
    if (strcmp(verb, "silent") == 0)
        return;
    char text[600];
    (void)snprintf(text, sizeof text, "%s from %s", verb, from->user);
    Gemel__AdminReply reply = GEMEL__ADMIN_REPLY__INIT;
    reply.message = text;
    reply.more = parts;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.request_id = message->request_id;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REPLY;
    envelope.admin_reply = &reply;
    (void)router_send(*router, from, &envelope);
    if (parts) {
        char last[] = "the end";
        reply.message = last;
        reply.more = false;
        (void)router_send(*router, from, &envelope);
    }
}

static void on_server_open(void *owner, struct link *link)
{
    (void)owner;
    (void)link;
}

static void on_server_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    (void)owner;
    ProtobufCMessage *message = NULL;
    if (header->type != FRAME_ADMIN ||
        wire_unpack(&gemel__admin_request__descriptor, body, header->body_bytes, &message) != 0)
        return;
    const char *verb = ((const Gemel__AdminRequest *)message)->verb;
    Gemel__AdminReply reply = GEMEL__ADMIN_REPLY__INIT;
    Gemel__Failure failure = GEMEL__FAILURE__INIT;
    char sentence[] = "no such verb";
    failure.sentence = sentence;
    reply.message = (char *)(uintptr_t)verb;
    if (strcmp(verb, "close") == 0)
        link_close(link);
    else if (strcmp(verb, "refuse") == 0)
        (void)link_send_message(link, FRAME_FAILURE, header->request_id, &failure.base);
    else
        (void)link_send_message(link, FRAME_ADMIN_REPLY, header->request_id, &reply.base);
    wire_free(message);
}

static void on_server_close(void *owner, struct link *link, int reason, const char *why)
{
    (void)owner;
    (void)link;
    (void)reason;
    (void)why;
}

/* Never returns. Writes the two addresses into the pipe. */
static void serve(const char *keys_folder, int out)
{
    static const struct link_handlers handlers = {
        .on_open = on_server_open, .on_frame = on_server_frame, .on_close = on_server_close};
    const struct link_self self = {.kind = GEMEL__LINK_KIND__LINK_GATEWAY, .name = "E.0.gw.0", .incarnation = 1};
    uv_loop_t loop;
    struct keys *keys = NULL;
    struct plane *plane = NULL;
    struct router *router = NULL;
    struct link_server *server = NULL;
    struct error error = {0};
    char lines[2 * ADDRESS_BYTES];
    (void)uv_loop_init(&loop);
    if (keys_load(&keys, keys_folder, &error) != 0 ||
        plane_create(&plane, &loop, keys, HOST, "control@" HOST, &error) != 0 ||
        router_create(&router, plane, HOST ":0", on_request, &router, &error) != 0 ||
        link_listen(&server, &loop, HOST ":0", &self, &handlers, NULL, &error) != 0) {
        (void)fprintf(stderr, "%s\n", error.sentence);
        _exit(1);
    }
    const int length = snprintf(lines, sizeof lines, "%s %s\n", router_address(router), link_server_address(server));
    if (write(out, lines, (size_t)length) != length)
        _exit(1);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    _exit(0);
}

static void write_settings(const struct world *world)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/etc/settings.conf", world->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("host = " HOST "\ncontrol-primary = " HOST "\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int begin(void **state)
{
    static struct world world;
    world = (struct world){.folder = "/tmp/gemel-wire-XXXXXX"};
    assert_non_null(mkdtemp(world.folder));
    struct error error = {0};
    struct text mistakes;
    char keys[HOME_PATH_BYTES], lines[2 * ADDRESS_BYTES] = "";
    int ends[2];
    text_init(&mistakes, 10000);
    assert_int_equal(site_open(&world.site, world.folder, &error), 0);
    write_settings(&world);
    assert_int_equal(site_load_settings(&world.site, &mistakes), 0);
    text_fini(&mistakes);
    site_keys_folder(&world.site, keys);
    assert_int_equal(keys_create_pair(keys, HOST, KEY_ROLE_NODE, &error), 0);
    assert_int_equal(keys_create_pair(keys, "operator", KEY_ROLE_ADMIN, &error), 0);
    assert_int_equal(pipe(ends), 0);
    world.server = fork();
    assert_true(world.server >= 0);
    if (world.server == 0)
        serve(keys, ends[1]);
    (void)close(ends[1]);
    assert_true(read(ends[0], lines, sizeof lines - 1) > 0);
    (void)close(ends[0]);
    assert_int_equal(sscanf(lines, "%271s %271s", world.control, world.gateway), 2);
    wire_transport_create(&world.wire, &world.site);
    *state = &world;
    return 0;
}

static int end(void **state)
{
    struct world *world = *state;
    wire_transport_destroy(&world->wire);
    assert_null(world->wire);
    site_close(&world->site);
    (void)kill(world->server, SIGKILL);
    (void)waitpid(world->server, NULL, 0);
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", world->folder);
    return system(command);
}

static void run(struct world *world, struct call *calls, size_t count)
{
    const struct transport transport = wire_transport_interface(world->wire);
    transport.run(transport.owner, calls, count);
}

static void test_controls_and_gateways_are_asked_together(void **state)
{
    struct world *world = *state;
    struct arena arena;
    struct call calls[3];
    arena_init(&arena);
    call_init(&calls[0], CALL_PLANE, world->control, request_new(&arena, "hello"), PATIENCE_MS);
    call_init(&calls[1], CALL_LINK, world->gateway, request_new(&arena, "routes"), PATIENCE_MS);
    call_init(&calls[2], CALL_PLANE, world->control, request_new(&arena, "two-parts"), PATIENCE_MS);
    for (int round = 0; round < 3; round++)
        run(world, calls, 1);
    run(world, calls, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(calls[i].result, 0);
    assert_string_equal(calls[0].answer.reply.message, "hello from operator\nhello from operator\n"
                                                       "hello from operator\nhello from operator");
    assert_string_equal(calls[1].answer.reply.message, "routes");
    assert_string_equal(calls[1].peer, "E.0.gw.0");
    assert_string_equal(calls[2].answer.reply.message, "two-parts from operator\nthe end");
    for (size_t i = 0; i < 3; i++)
        call_fini(&calls[i]);
    arena_fini(&arena);
}

static void test_each_failure_is_told_apart(void **state)
{
    struct world *world = *state;
    struct arena arena;
    struct call calls[5];
    arena_init(&arena);
    call_init(&calls[0], CALL_PLANE, world->control, request_new(&arena, "silent"), 300);
    call_init(&calls[1], CALL_PLANE, HOST ":1", request_new(&arena, "x"), PATIENCE_MS);
    call_init(&calls[2], CALL_LINK, HOST ":1", request_new(&arena, "x"), PATIENCE_MS);
    call_init(&calls[3], CALL_LINK, world->gateway, request_new(&arena, "refuse"), PATIENCE_MS);
    call_init(&calls[4], CALL_LINK, world->gateway, request_new(&arena, "close"), PATIENCE_MS);
    run(world, calls, 5);
    assert_int_equal(calls[0].result, -ETIMEDOUT);
    assert_int_equal(calls[1].result, -ECONNREFUSED);
    assert_non_null(strstr(calls[1].error.sentence, "refused"));
    assert_int_equal(calls[2].result, -ECONNREFUSED);
    assert_string_equal(calls[3].error.sentence, "no such verb");
    assert_true(calls[4].result < 0);
    for (size_t i = 0; i < 5; i++)
        call_fini(&calls[i]);
    arena_fini(&arena);
}

static void test_without_keys_only_gateways_are_reached(void **state)
{
    struct world *world = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s/etc/keys", world->folder);
    assert_int_equal(system(command), 0);
    struct arena arena;
    struct call calls[2];
    arena_init(&arena);
    call_init(&calls[0], CALL_PLANE, world->control, request_new(&arena, "hello"), PATIENCE_MS);
    call_init(&calls[1], CALL_LINK, world->gateway, request_new(&arena, "routes"), PATIENCE_MS);
    run(world, calls, 2);
    assert_true(calls[0].result < 0);
    assert_non_null(strstr(calls[0].error.sentence, "keys --create"));
    assert_int_equal(calls[1].result, 0);
    call_fini(&calls[0]);
    call_fini(&calls[1]);
    arena_fini(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_controls_and_gateways_are_asked_together),
        TEST(test_each_failure_is_told_apart),
        TEST(test_without_keys_only_gateways_are_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
