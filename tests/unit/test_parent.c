/* libs: gemel_gateway_relay gemel_gateway_core gemel_link gemel_log gemel_loop gemel_wire gemel_base */
/* A gateway's side of the contract with its daemon, against a daemon that comes, goes and comes again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/net/link.h"
#include "gateway/parent.h"
#include "tests/unit/testing.h"

enum {
    DEADLINE_MS = 20000
};

struct bed {
    char folder[64];
    uv_loop_t loop;
    uv_timer_t deadline;
    bool late;
    struct parent *parent;

    /* the daemon */
    struct link_server *server;
    struct link *link; /* of the gateway; NULL: none */
    bool ponged;
    uv_poll_t poll;
    int notify_fd;
    char said[4096]; /* the last datagram */
};

static void on_deadline(uv_timer_t *timer)
{
    ((struct bed *)timer->data)->late = true;
}

/* Runs the loop until the condition holds. */
#define RUN_UNTIL(bed, condition)                                                                                      \
    do {                                                                                                               \
        uv_timer_start(&(bed)->deadline, on_deadline, DEADLINE_MS, 0);                                                 \
        while (!(condition) && !(bed)->late)                                                                           \
            uv_run(&(bed)->loop, UV_RUN_ONCE);                                                                         \
        if ((bed)->late)                                                                                               \
            fail_msg("never happened: %s", #condition);                                                                \
    } while (0)

static void on_open(void *owner, struct link *link)
{
    struct bed *bed = owner;
    bed->link = link;
    assert_string_equal(link_peer(link)->name, "Default.0.gw.0");
    assert_int_equal(link_peer(link)->start, 2);
    link_send(link, FRAME_PING, 1, NULL, 0);
}

static void on_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct bed *bed = owner;
    (void)link;
    (void)body;
    bed->ponged |= header->type == FRAME_PONG;
}

static void on_close(void *owner, struct link *link, int reason, const char *why)
{
    struct bed *bed = owner;
    (void)link;
    (void)reason;
    (void)why;
    bed->link = NULL;
}

static void on_notify(uv_poll_t *poll, int status, int events)
{
    struct bed *bed = poll->data;
    (void)status;
    (void)events;
    ssize_t length = recv(bed->notify_fd, bed->said, sizeof bed->said - 1, MSG_DONTWAIT);
    bed->said[length > 0 ? length : 0] = '\0';
}

static void start_daemon(struct bed *bed)
{
    static const struct link_handlers handlers = {.on_open = on_open, .on_frame = on_frame, .on_close = on_close};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct link_self self = {.kind = GEMEL__LINK_KIND__LINK_DAEMON, .name = "daemon@test"};
    char path[128];
    struct error error;
    bed->ponged = false;
    bed->said[0] = '\0';
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify.sock", bed->folder);
    unlink(address.sun_path);
    bed->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(bed->notify_fd, (struct sockaddr *)&address, sizeof address), 0);
    uv_poll_init(&bed->loop, &bed->poll, bed->notify_fd);
    bed->poll.data = bed;
    uv_poll_start(&bed->poll, UV_READABLE, on_notify);
    snprintf(path, sizeof path, "unix:%s/daemon.sock", bed->folder);
    assert_int_equal(link_listen(&bed->server, &bed->loop, path, &self, &handlers, bed, &error), 0);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct bed *bed = handle->data;
    close(bed->notify_fd);
    bed->notify_fd = -1;
}

/* As SIGKILL does: the paths stay. */
static void kill_daemon(struct bed *bed)
{
    link_server_destroy(&bed->server);
    bed->link = NULL;
    uv_close((uv_handle_t *)&bed->poll, on_poll_closed);
    RUN_UNTIL(bed, bed->notify_fd < 0);
}

static int setup(void **state)
{
    static struct bed bed;
    char text[128];
    bed = (struct bed){.folder = "/tmp/gemel-parent-XXXXXX"};
    assert_non_null(mkdtemp(bed.folder));
    uv_loop_init(&bed.loop);
    uv_timer_init(&bed.loop, &bed.deadline);
    bed.deadline.data = &bed;
    start_daemon(&bed);
    snprintf(text, sizeof text, "unix:%s/daemon.sock", bed.folder);
    setenv("GEMEL_DAEMON", text, 1);
    snprintf(text, sizeof text, "%s/notify.sock", bed.folder);
    setenv("NOTIFY_SOCKET", text, 1);
    struct parent_place place = {.process = "Default.0.gw.0", .token = {.placement = 1, .start = 2}};
    parent_create(&bed.parent, &bed.loop, &place, 77);
    *state = &bed;
    return 0;
}

static int teardown(void **state)
{
    struct bed *bed = *state;
    char command[128];
    parent_destroy(&bed->parent);
    if (bed->notify_fd >= 0)
        kill_daemon(bed);
    uv_close((uv_handle_t *)&bed->deadline, NULL);
    uv_run(&bed->loop, UV_RUN_DEFAULT);
    snprintf(command, sizeof command, "rm -r %s", bed->folder);
    return uv_loop_close(&bed->loop) != 0 || system(command) != 0;
}

static void test_a_new_daemon_is_linked_pinged_and_told_the_state(void **state)
{
    struct bed *bed = *state;
    RUN_UNTIL(bed, bed->ponged);
    parent_ready(bed->parent, "127.0.0.1:5010");
    RUN_UNTIL(bed, strstr(bed->said, "READY=1") != NULL);
    kill_daemon(bed);
    start_daemon(bed);
    RUN_UNTIL(bed, bed->ponged && strstr(bed->said, "READY=1") != NULL);
    assert_non_null(strstr(bed->said, "X_GEMEL_ENDPOINT=127.0.0.1:5010\nSTATUS=serving on 127.0.0.1:5010\n"));
}

static void test_what_is_said_while_no_daemon_is_there_arrives_at_the_next_one(void **state)
{
    struct bed *bed = *state;
    RUN_UNTIL(bed, bed->ponged);
    kill_daemon(bed);
    parent_ready(bed->parent, "127.0.0.1:5010");
    parent_stopping(bed->parent);
    start_daemon(bed);
    RUN_UNTIL(bed, strstr(bed->said, "STOPPING=1") != NULL);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_a_new_daemon_is_linked_pinged_and_told_the_state),
        CASE(test_what_is_said_while_no_daemon_is_there_arrives_at_the_next_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
