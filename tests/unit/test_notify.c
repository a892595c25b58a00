/* libs: gemel_loop gemel_base */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/loop/notify.h"
#include "tests/unit/testing.h"

struct bed {
    char folder[64];
    struct sockaddr_un address;
    int daemon_fd; /* -1: no daemon */
    struct notify notify;
    char said[8 * NOTIFY_LINE_BYTES];
};

static void start_daemon(struct bed *bed)
{
    unlink(bed->address.sun_path);
    bed->daemon_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(bed->daemon_fd, (struct sockaddr *)&bed->address, sizeof bed->address), 0);
}

static void kill_daemon(struct bed *bed)
{
    close(bed->daemon_fd);
    bed->daemon_fd = -1;
}

/* What the daemon has not read yet, one datagram; "": nothing. */
static const char *said(struct bed *bed)
{
    ssize_t length = recv(bed->daemon_fd, bed->said, sizeof bed->said - 1, MSG_DONTWAIT);
    bed->said[length > 0 ? length : 0] = '\0';
    return bed->said;
}

static int setup(void **state)
{
    static struct bed bed;
    bed = (struct bed){.folder = "/tmp/gemel-notify-XXXXXX", .address = {.sun_family = AF_UNIX}};
    assert_non_null(mkdtemp(bed.folder));
    snprintf(bed.address.sun_path, sizeof bed.address.sun_path, "%s/notify.sock", bed.folder);
    start_daemon(&bed);
    notify_init(&bed.notify, bed.address.sun_path, 0);
    *state = &bed;
    return 0;
}

static int teardown(void **state)
{
    struct bed *bed = *state;
    notify_fini(&bed->notify);
    kill_daemon(bed);
    unlink(bed->address.sun_path);
    return rmdir(bed->folder);
}

static void test_the_whole_state_is_one_datagram(void **state)
{
    struct bed *bed = *state;
    text_copy(bed->notify.endpoint, sizeof bed->notify.endpoint, "127.0.0.1:9");
    text_copy(bed->notify.status, sizeof bed->notify.status, "fine");
    text_copy(bed->notify.stale, sizeof bed->notify.stale, "tp down");
    bed->notify.lag = 7;
    bed->notify.ready = true;
    bed->notify.stopping = true;
    notify_send_state(&bed->notify);
    assert_string_equal(said(bed), "X_GEMEL_ENDPOINT=127.0.0.1:9\nSTATUS=fine\nX_GEMEL_STALE=tp down\nX_GEMEL_LAG=7\n"
                                   "READY=1\nSTOPPING=1\n");
}

static void test_what_no_daemon_heard_the_next_one_hears_with_a_beat(void **state)
{
    struct bed *bed = *state;
    kill_daemon(bed);
    bed->notify.ready = true;
    notify_send_state(&bed->notify);
    notify_beat(&bed->notify);
    start_daemon(bed);
    notify_beat(&bed->notify);
    assert_non_null(strstr(said(bed), "READY=1\n"));
    notify_beat(&bed->notify);
    assert_string_equal(said(bed), "");
}

static void test_a_watched_process_beats_three_times_in_the_time_of_its_watchdog(void **state)
{
    struct bed *bed = *state;
    assert_int_equal(bed->notify.beat_ms, 1000);
    struct notify watched;
    notify_init(&watched, bed->address.sun_path, 3000);
    assert_int_equal(watched.beat_ms, 1000);
    notify_beat(&watched);
    assert_string_equal(said(bed), "WATCHDOG=1\n");
    notify_fini(&watched);
    notify_init(&watched, bed->address.sun_path, 1);
    assert_int_equal(watched.beat_ms, 1);
    notify_fini(&watched);
}

static void test_without_a_socket_nothing_is_said_and_nothing_missed(void **state)
{
    (void)state;
    struct notify alone;
    notify_init(&alone, NULL, 1000);
    notify_send_state(&alone);
    notify_beat(&alone);
    assert_false(alone.missed);
    notify_fini(&alone);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_the_whole_state_is_one_datagram),
        CASE(test_what_no_daemon_heard_the_next_one_hears_with_a_beat),
        CASE(test_a_watched_process_beats_three_times_in_the_time_of_its_watchdog),
        CASE(test_without_a_socket_nothing_is_said_and_nothing_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
