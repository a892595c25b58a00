/* libs: gemel_net gemel_loop gemel_wire gemel_base */
/* A real gemel-daemon, and this test in the place of the control: it holds the control port and feeds orders. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/assert.h"
#include "common/base/text.h"
#include "common/net/keys.h"
#include "common/net/plane.h"
#include "tests/unit/testing.h"

#define NAME "Test.0.thing.0"

enum {
    GIVE_UP_MS = 20000,
    LOOK_MS = 5
};

struct bed {
    char home[64];
    char keys_folder[96];
    char program[512];
    char self[512];
    char address[64];
    int daemon_port;
    uv_loop_t loop;
    uv_timer_t give_up;
    uv_timer_t look; /* files and other processes make no event here */
    bool too_late;
    struct keys *keys;
    struct plane *plane;
    struct router *router;
    struct plane_peer daemon;
    bool connected;
    pid_t pid; /* of the daemon; 0: none */

    /* the last report about NAME, and what came else */
    Gemel__ProcessReport *report;
    char last_words[256];
    uint64_t stale_epoch;
    char reply_error[256];
    char reply_message[256];
    bool replied;
    uint64_t epoch;
    uint64_t clear_failed;
};

/* ---- what the daemon says */

static void keep_report(struct bed *bed, const Gemel__ProcessReport *report)
{
    if (strcmp(report->process, NAME) != 0)
        return;
    size_t size = 0;
    uint8_t *bytes = wire_pack(&report->base, &size);
    ProtobufCMessage *copy = NULL;
    assert_int_equal(wire_unpack(&gemel__process_report__descriptor, bytes, size, &copy), 0);
    free(bytes);
    if (bed->report != NULL)
        wire_free(&bed->report->base);
    bed->report = (Gemel__ProcessReport *)copy;
    if (report->last_words[0] != '\0')
        text_copy(bed->last_words, sizeof bed->last_words, report->last_words);
}

static void on_message(void *owner, const struct plane_peer *from, const Gemel__Envelope *message)
{
    struct bed *bed = owner;
    if (message->body_case == GEMEL__ENVELOPE__BODY_DAEMON_HELLO) {
        bed->daemon = *from;
        bed->connected = true;
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_PROCESS_REPORTS) {
        for (size_t i = 0; i < message->process_reports->n_reports; i++)
            keep_report(bed, message->process_reports->reports[i]);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_STALE_EPOCH) {
        bed->stale_epoch = message->stale_epoch->epoch_now;
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_ADMIN_REPLY) {
        bed->replied = true;
        text_copy(bed->reply_error, sizeof bed->reply_error, message->admin_reply->error);
        text_copy(bed->reply_message, sizeof bed->reply_message, message->admin_reply->message);
    }
}

static void on_give_up(uv_timer_t *timer)
{
    ((struct bed *)timer->data)->too_late = true;
}

static void on_look(uv_timer_t *timer)
{
    (void)timer;
}

/* Runs the loop until `condition`, for at most GIVE_UP_MS. */
#define WAIT_FOR(bed, condition)                                                                                       \
    do {                                                                                                               \
        (bed)->too_late = false;                                                                                       \
        uv_timer_start(&(bed)->give_up, on_give_up, GIVE_UP_MS, 0);                                                    \
        while (!(condition) && !(bed)->too_late)                                                                       \
            uv_run(&(bed)->loop, UV_RUN_ONCE);                                                                         \
        if (!(condition))                                                                                              \
            show(bed);                                                                                                 \
        assert_true(condition);                                                                                        \
    } while (0)

static void show(const struct bed *bed)
{
    const Gemel__ProcessReport *r = bed->report;
    char command[256];
    if (r != NULL)
        print_message("last report: state %d pid %d why '%s' exited %d\n", (int)r->state, (int)r->pid, r->why,
                      (int)r->exited);
    snprintf(command, sizeof command, "tail -n 30 %s/var/log/deltaDaemon.log >&2", bed->home);
    if (system(command) != 0)
        print_message("no log\n");
}

static bool is_in(const struct bed *bed, Gemel__ProcessState state)
{
    return bed->report != NULL && bed->report->state == state;
}

#define READY   GEMEL__PROCESS_STATE__PROCESS_READY
#define STOPPED GEMEL__PROCESS_STATE__PROCESS_STOPPED
#define BACKOFF GEMEL__PROCESS_STATE__PROCESS_BACKOFF

/* ---- what the control says */

static void send_orders(struct bed *bed, bool run, Gemel__ProcessSpec *spec)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    Gemel__Orders orders = GEMEL__ORDERS__INIT;
    Gemel__OrderItem item = GEMEL__ORDER_ITEM__INIT;
    Gemel__OrderItem *items[] = {&item};
    item.process = (char *)(uintptr_t)NAME;
    item.placement = 1;
    item.run = run;
    item.spec = run ? spec : NULL;
    item.clear_failed = bed->clear_failed;
    item.why = (char *)(uintptr_t) "the test wants it";
    orders.host = (char *)(uintptr_t) "127.0.0.1";
    orders.items = items;
    orders.n_items = 1;
    envelope.epoch = bed->epoch;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ORDERS;
    envelope.orders = &orders;
    assert_int_equal(router_send(bed->router, &bed->daemon, &envelope), 0);
}

static void order_command(struct bed *bed, char **command, size_t count, Gemel__ProcessSpec *spec)
{
    spec->process = (char *)(uintptr_t)NAME;
    spec->command = command;
    spec->n_command = count;
    send_orders(bed, true, spec);
}

static void order_line(struct bed *bed, const char *line, Gemel__Readiness readiness, uint32_t stop_timeout_ms)
{
    Gemel__ProcessSpec spec = GEMEL__PROCESS_SPEC__INIT;
    char *command[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)line};
    spec.readiness = readiness;
    spec.stop_timeout_ms = stop_timeout_ms;
    order_command(bed, command, 3, &spec);
}

static void ask(struct bed *bed, const char *verb, const char *argument, const char *value)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    Gemel__AdminRequest request = GEMEL__ADMIN_REQUEST__INIT;
    Gemel__Argument named = GEMEL__ARGUMENT__INIT;
    Gemel__Argument *arguments[] = {&named};
    named.name = (char *)(uintptr_t)argument;
    named.value = (char *)(uintptr_t)value;
    request.verb = (char *)(uintptr_t)verb;
    request.arguments = arguments;
    request.n_arguments = 1;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REQUEST;
    envelope.admin_request = &request;
    bed->replied = false;
    assert_int_equal(router_send(bed->router, &bed->daemon, &envelope), 0);
    WAIT_FOR(bed, bed->replied);
}

/* ---- the bed */

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void start_daemon(struct bed *bed)
{
    bed->connected = false;
    bed->pid = fork();
    assert_true(bed->pid >= 0);
    if (bed->pid == 0) {
        execl(bed->program, bed->program, "--home", bed->home, (char *)NULL);
        _exit(127);
    }
    WAIT_FOR(bed, bed->connected);
}

static int end_daemon(struct bed *bed, int signal)
{
    int status = -1;
    if (bed->pid == 0)
        return -1;
    if (signal != 0)
        kill(bed->pid, signal);
    assert_int_equal(waitpid(bed->pid, &status, 0), bed->pid);
    bed->pid = 0;
    return status;
}

static void write_settings(const struct bed *bed, int control_port)
{
    char path[128];
    snprintf(path, sizeof path, "%s/etc", bed->home);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/etc/settings.conf", bed->home);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "host = 127.0.0.1\ndelta-control-master-hostname = 127.0.0.1:%d\ndaemon-port = %d\n", control_port,
            bed->daemon_port);
    fclose(file);
}

static int setup(void **state)
{
    static struct bed bed;
    bed = (struct bed){.home = "/tmp/gemel-daemon-XXXXXX", .epoch = 0x101};
    struct error error;
    assert_non_null(mkdtemp(bed.home));
    ssize_t length = readlink("/proc/self/exe", bed.self, sizeof bed.self - 1);
    assert_true(length > 0);
    char *slash = strrchr(bed.self, '/');
    snprintf(bed.program, sizeof bed.program, "%.*s/../bin/gemel-daemon", (int)(slash - bed.self), bed.self);
    int control_port = free_port();
    bed.daemon_port = free_port();
    write_settings(&bed, control_port);
    snprintf(bed.keys_folder, sizeof bed.keys_folder, "%s/etc/keys", bed.home);
    mkdir(bed.keys_folder, 0700);
    assert_int_equal(keys_create_pair(bed.keys_folder, "127.0.0.1", KEY_ROLE_NODE, &error), 0);
    assert_int_equal(keys_load(&bed.keys, bed.keys_folder, &error), 0);
    uv_loop_init(&bed.loop);
    uv_timer_init(&bed.loop, &bed.give_up);
    bed.give_up.data = &bed;
    uv_timer_init(&bed.loop, &bed.look);
    uv_timer_start(&bed.look, on_look, LOOK_MS, LOOK_MS);
    assert_int_equal(plane_create(&bed.plane, &bed.loop, bed.keys, "127.0.0.1", "control@127.0.0.1", &error), 0);
    snprintf(bed.address, sizeof bed.address, "127.0.0.1:%d", control_port);
    assert_int_equal(router_create(&bed.router, bed.plane, bed.address, on_message, &bed, &error), 0);
    start_daemon(&bed);
    *state = &bed;
    return 0;
}

static int teardown(void **state)
{
    struct bed *bed = *state;
    char command[128];
    if (bed->pid != 0) {
        ask(bed, "daemon.stop", "processes", "stop");
        end_daemon(bed, 0);
    }
    router_destroy(&bed->router);
    plane_destroy(&bed->plane);
    uv_close((uv_handle_t *)&bed->give_up, NULL);
    uv_close((uv_handle_t *)&bed->look, NULL);
    while (uv_run(&bed->loop, UV_RUN_DEFAULT) != 0)
        continue;
    uv_loop_close(&bed->loop);
    keys_destroy(&bed->keys);
    if (bed->report != NULL)
        wire_free(&bed->report->base);
    snprintf(command, sizeof command, "rm -rf %s", bed->home);
    return system(command);
}

static void read_log(const struct bed *bed, char *text, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/var/log/%s.log", bed->home, NAME);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t got = read(fd, text, size - 1);
    assert_true(got >= 0);
    text[got] = '\0';
    close(fd);
}

static off_t log_size(const struct bed *bed)
{
    char path[128];
    struct stat found;
    snprintf(path, sizeof path, "%s/var/log/%s.log", bed->home, NAME);
    return stat(path, &found) == 0 ? found.st_size : 0;
}

/* ---- claims */

static void test_a_killed_process_is_back_and_its_last_words_are_told(void **state)
{
    struct bed *bed = *state;
    static const char words[] = NAME " on 127.0.0.1\ndying\n";
    order_line(bed, "echo \"$GEMEL_PROCESS on $GEMEL_HOST\"; echo dying >&2; exec sleep 1000",
               GEMEL__READINESS__READINESS_NOW, 0);
    WAIT_FOR(bed, is_in(bed, READY) && log_size(bed) == (off_t)strlen(words));
    pid_t pid = bed->report->pid;
    uint64_t start = bed->report->start;
    kill(pid, SIGKILL);
    WAIT_FOR(bed, is_in(bed, READY) && bed->report->pid != pid && bed->last_words[0] != '\0');
    assert_true(bed->report->exited);
    assert_int_equal(bed->report->exit_signal, SIGKILL);
    assert_int_equal(bed->report->restarts, 1);
    assert_true(bed->report->start > start);
    assert_string_equal(bed->last_words, words);
}

static void test_a_daemon_that_was_killed_adopts_what_runs(void **state)
{
    struct bed *bed = *state;
    static const char line[] = "echo one; read line; echo two; exec sleep 1000";
    order_line(bed, line, GEMEL__READINESS__READINESS_NOW, 0);
    WAIT_FOR(bed, is_in(bed, READY));
    pid_t pid = bed->report->pid;
    uint64_t start = bed->report->start;
    end_daemon(bed, SIGKILL);
    wire_free(&bed->report->base);
    bed->report = NULL;
    start_daemon(bed);
    WAIT_FOR(bed, bed->report != NULL);
    assert_true(is_in(bed, READY));
    assert_int_equal(bed->report->pid, pid);
    assert_int_equal(bed->report->start, start);
    assert_true(bed->report->was_unattended);
    order_line(bed, line, GEMEL__READINESS__READINESS_NOW, 0); /* as a control does to each daemon that comes */
    kill(pid, SIGKILL);
    WAIT_FOR(bed, is_in(bed, READY) && bed->report->pid != pid);
    assert_true(bed->report->exited && bed->report->start > start);
}

static void test_what_died_while_no_daemon_was_there_is_started_again(void **state)
{
    struct bed *bed = *state;
    order_line(bed, "exec sleep 1000", GEMEL__READINESS__READINESS_NOW, 0);
    WAIT_FOR(bed, is_in(bed, READY));
    pid_t pid = bed->report->pid;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    end_daemon(bed, SIGKILL);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    start_daemon(bed);
    order_line(bed, "exec sleep 1000", GEMEL__READINESS__READINESS_NOW, 0);
    WAIT_FOR(bed, is_in(bed, READY) && bed->report->pid != pid);
    assert_true(bed->report->exit_unknown);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* A process of another home that has the same name and token, as a second daemon on this machine would start it. */
static pid_t start_namesake(uint64_t placement, uint64_t start)
{
    char token[64];
    snprintf(token, sizeof token, "GEMEL_TOKEN=%llu-%llu", (unsigned long long)placement, (unsigned long long)start);
    char *environment[] = {(char *)(uintptr_t) "GEMEL_HOME=/tmp/another", (char *)(uintptr_t) "GEMEL_PROCESS=" NAME,
                           token, NULL};
    pid_t pid = vfork(); /* back when the environment is in place */
    if (pid == 0) {
        execle("/bin/sleep", "sleep", "1000", (char *)NULL, environment);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

static void test_a_namesake_of_another_home_is_left_alone(void **state)
{
    struct bed *bed = *state;
    order_line(bed, "exec sleep 1000", GEMEL__READINESS__READINESS_NOW, 0);
    WAIT_FOR(bed, is_in(bed, READY));
    pid_t pid = bed->report->pid;
    pid_t namesake = start_namesake(bed->report->placement, bed->report->start);
    end_daemon(bed, SIGKILL);
    kill(pid, SIGKILL);
    start_daemon(bed); /* kills what is left of the run, wherever it is */
    order_line(bed, "exec sleep 1000", GEMEL__READINESS__READINESS_NOW, 0);
    WAIT_FOR(bed, is_in(bed, READY) && bed->report->pid != pid);
    assert_int_equal(waitpid(namesake, NULL, WNOHANG), 0);
    kill(namesake, SIGKILL);
    assert_int_equal(waitpid(namesake, NULL, 0), namesake);
}

static void test_a_process_that_ignores_sigterm_is_killed_with_all_that_it_started(void **state)
{
    struct bed *bed = *state;
    order_line(bed, "trap '' TERM; setsid sleep 1000 & echo $!; sleep 1000 & echo $!; while :; do sleep 1000; done",
               GEMEL__READINESS__READINESS_NOW, 100);
    WAIT_FOR(bed, is_in(bed, READY) && log_size(bed) > 3);
    char text[64];
    int pids[2] = {0, 0};
    do
        read_log(bed, text, sizeof text);
    while (sscanf(text, "%d %d", &pids[0], &pids[1]) != 2);
    send_orders(bed, false, NULL);
    WAIT_FOR(bed, is_in(bed, STOPPED));
    assert_string_equal(bed->report->why, "the test wants it");
    assert_int_equal(bed->report->exit_signal, SIGKILL);
    WAIT_FOR(bed, kill(pids[0], 0) != 0 && kill(pids[1], 0) != 0);
}

static void test_a_missing_executable_is_a_sentence_in_the_report(void **state)
{
    struct bed *bed = *state;
    Gemel__ProcessSpec spec = GEMEL__PROCESS_SPEC__INIT;
    char *command[] = {(char *)(uintptr_t) "/no/such/program"};
    order_command(bed, command, 1, &spec);
    WAIT_FOR(bed, is_in(bed, BACKOFF) && bed->report->restarts > 0);
    assert_string_equal(bed->report->why, "cannot execute /no/such/program: no such file or directory");
}

static void test_a_port_that_is_taken_is_a_sentence_in_the_report(void **state)
{
    struct bed *bed = *state;
    Gemel__ProcessSpec spec = GEMEL__PROCESS_SPEC__INIT;
    char *command[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "1000"};
    char expected[64];
    spec.port = (uint32_t)bed->daemon_port;
    spec.readiness = GEMEL__READINESS__READINESS_TCP_PORT;
    order_command(bed, command, 2, &spec);
    WAIT_FOR(bed, is_in(bed, BACKOFF));
    snprintf(expected, sizeof expected, "port %d of 127.0.0.1 is in use by another program", bed->daemon_port);
    assert_string_equal(bed->report->why, expected);
}

static void test_notify_and_an_open_port_make_ready(void **state)
{
    struct bed *bed = *state;
    Gemel__ProcessSpec spec = GEMEL__PROCESS_SPEC__INIT;
    char *command[] = {bed->self, (char *)(uintptr_t) "--child", (char *)(uintptr_t) "notify"};
    order_command(bed, command, 3, &spec);
    WAIT_FOR(bed, is_in(bed, READY));
    assert_string_equal(bed->report->endpoint, "127.0.0.1:4711");
    assert_string_equal(bed->report->status, "well");
    send_orders(bed, false, NULL);
    WAIT_FOR(bed, is_in(bed, STOPPED));
    spec.port = (uint32_t)free_port();
    spec.readiness = GEMEL__READINESS__READINESS_TCP_PORT;
    command[2] = (char *)(uintptr_t) "listen";
    order_command(bed, command, 3, &spec);
    WAIT_FOR(bed, is_in(bed, READY));
}

static void test_a_flood_of_output_is_kept_and_starves_nobody(void **state)
{
    struct bed *bed = *state;
    order_line(bed, "yes | head -c 20000000; exec sleep 1000", GEMEL__READINESS__READINESS_NOW, 0);
    WAIT_FOR(bed, is_in(bed, READY));
    ask(bed, "logs.tail", "process", NAME);
    WAIT_FOR(bed, log_size(bed) == 20000000);
}

static void test_stale_orders_are_answered_and_change_nothing(void **state)
{
    struct bed *bed = *state;
    bed->epoch = 0x202;
    order_line(bed, "exec sleep 1000", GEMEL__READINESS__READINESS_NOW, 0);
    WAIT_FOR(bed, is_in(bed, READY));
    bed->epoch = 0x101;
    send_orders(bed, false, NULL);
    WAIT_FOR(bed, bed->stale_epoch == 0x202);
    end_daemon(bed, SIGKILL);
    start_daemon(bed);
    bed->stale_epoch = 0;
    send_orders(bed, false, NULL);
    WAIT_FOR(bed, bed->stale_epoch == 0x202);
    assert_true(is_in(bed, READY));
}

static void test_logs_are_told_by_name_only(void **state)
{
    struct bed *bed = *state;
    ask(bed, "logs.tail", "process", "../../etc/settings.conf");
    assert_non_null(strstr(bed->reply_error, "name a log"));
    ask(bed, "logs.tail", "process", "daemon");
    assert_string_equal(bed->reply_error, "");
    assert_non_null(strstr(bed->reply_message, "Daemon started"));
}

/* ---- children */

static int run_child(const char *how)
{
    if (strcmp(how, "notify") == 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        const char *path = getenv("NOTIFY_SOCKET");
        static const char text[] = "STATUS=well\nREADY=1\nX_GEMEL_ENDPOINT=127.0.0.1:4711\nnonsense\n=\n";
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (path == NULL || !text_copy(address.sun_path, sizeof address.sun_path, path) ||
            sendto(fd, text, sizeof text - 1, 0, (struct sockaddr *)&address, sizeof address) < 0)
            return 1;
    } else {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        address.sin_port = htons((uint16_t)atoi(getenv("GEMEL_PORT")));
        if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 8) != 0)
            return 1;
    }
    pause();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--child") == 0)
        return run_child(argv[2]);
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_a_killed_process_is_back_and_its_last_words_are_told),
        CASE(test_a_daemon_that_was_killed_adopts_what_runs),
        CASE(test_what_died_while_no_daemon_was_there_is_started_again),
        CASE(test_a_namesake_of_another_home_is_left_alone),
        CASE(test_a_process_that_ignores_sigterm_is_killed_with_all_that_it_started),
        CASE(test_a_missing_executable_is_a_sentence_in_the_report),
        CASE(test_a_port_that_is_taken_is_a_sentence_in_the_report),
        CASE(test_notify_and_an_open_port_make_ready),
        CASE(test_a_flood_of_output_is_kept_and_starves_nobody),
        CASE(test_stale_orders_are_answered_and_change_nothing),
        CASE(test_logs_are_told_by_name_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
