/* libs: gemel_layout_load gemel_layout_model gemel_net gemel_loop gemel_log gemel_wire gemel_base */
/* The real gemel-procmgr against a control that this test plays: files in, plan out, command in, reply out. */
#include <errno.h>
#include <signal.h>
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

#include "common/net/keys.h"
#include "common/net/plane.h"
#include "tests/unit/testing.h"

enum {
    DEADLINE_MS = 20000
};

struct control {
    uv_loop_t loop;
    uv_timer_t deadline;
    struct keys *keys;
    struct plane *plane;
    struct router *router;
    char home[64];
    pid_t pid;
    int notify_fd;
    bool expired;
    size_t hellos;
    size_t plans;
    char sender[100];
    char first_item[PROCESS_NAME_BYTES];
    uint64_t plan_epoch;
    uint64_t reply_id;
    char reply[200];
};

static char files[2][2][300] = {
    {"system.yaml", "system:\n  layout:\n    - {name: one, nodes: [{host: 127.0.0.1}]}\n"},
    {"pipelines/P.yaml", "pipeline:\n  name: P\n  type: stream\n  proc-layout: [{all: one}]\n"
                         "  processes: {x: {command: [/bin/true]}}\n"},
};

static void send_input(struct control *control, const struct plane_peer *to, bool with_files)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    Gemel__PlanInput input = GEMEL__PLAN_INPUT__INIT;
    Gemel__LayoutFile file[2] = {GEMEL__LAYOUT_FILE__INIT, GEMEL__LAYOUT_FILE__INIT};
    Gemel__LayoutFile *list[2] = {&file[0], &file[1]};
    Gemel__WantedState wanted = GEMEL__WANTED_STATE__INIT;
    Gemel__WantedState *wanted_list[1] = {&wanted};
    Gemel__HostState host = GEMEL__HOST_STATE__INIT;
    Gemel__HostState *host_list[1] = {&host};
    char process[] = "P.0.x.0";
    char name[] = "127.0.0.1";
    for (size_t i = 0; i < 2; i++) {
        file[i].path = files[i][0];
        file[i].content = files[i][1];
    }
    wanted.process = process;
    wanted.up = true;
    host.host = name;
    host.reported = true;
    input.leading = true;
    input.revision = 5;
    input.files = list;
    input.n_files = with_files ? 2 : 0;
    input.wanted = wanted_list;
    input.n_wanted = 1;
    input.hosts = host_list;
    input.n_hosts = 1;
    envelope.epoch = 0x101;
    envelope.body_case = GEMEL__ENVELOPE__BODY_PLAN_INPUT;
    envelope.plan_input = &input;
    assert_int_equal(router_send(control->router, to, &envelope), 0);
}

static void send_request(struct control *control, const struct plane_peer *to)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    Gemel__AdminRequest request = GEMEL__ADMIN_REQUEST__INIT;
    Gemel__Argument argument = GEMEL__ARGUMENT__INIT;
    Gemel__Argument *list[1] = {&argument};
    char verb[] = "pipeline.start";
    char name[] = "pipeline";
    char value[] = "P";
    argument.name = name;
    argument.value = value;
    request.verb = verb;
    request.arguments = list;
    request.n_arguments = 1;
    envelope.request_id = 42;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REQUEST;
    envelope.admin_request = &request;
    assert_int_equal(router_send(control->router, to, &envelope), 0);
}

static void on_message(void *owner, const struct plane_peer *from, const Gemel__Envelope *message)
{
    struct control *control = owner;
    snprintf(control->sender, sizeof control->sender, "%s", message->sender);
    if (message->body_case == GEMEL__ENVELOPE__BODY_PROCMGR_HELLO) {
        /* The first time the files go astray: it must ask for them again. */
        send_input(control, from, control->hellos++ > 0);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_PLAN) {
        control->plans++;
        control->plan_epoch = message->epoch;
        if (message->plan->n_items > 0)
            snprintf(control->first_item, sizeof control->first_item, "%s", message->plan->items[0]->process);
        send_request(control, from);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_ADMIN_REPLY) {
        control->reply_id = message->request_id;
        snprintf(control->reply, sizeof control->reply, "%s", message->admin_reply->message);
        uv_stop(&control->loop);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    struct control *control = timer->data;
    control->expired = true;
    uv_stop(&control->loop);
}

static void write_settings(struct control *control)
{
    char path[200];
    snprintf(path, sizeof path, "%s/etc/settings.conf", control->home);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file, "control-primary = %s\nhost = 127.0.0.1\n", router_address(control->router));
    fclose(file);
}

/* As a daemon does, each new one anew. */
static void listen_for_notifications(struct control *control)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval timeout = {.tv_sec = DEADLINE_MS / 1000};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify.sock", control->home);
    unlink(address.sun_path);
    control->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(control->notify_fd >= 0);
    assert_int_equal(setsockopt(control->notify_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    assert_int_equal(bind(control->notify_fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
}

/* Waits for a datagram that says it. */
static void hear(const struct control *control, const char *line)
{
    char said[4096];
    do {
        ssize_t length = recv(control->notify_fd, said, sizeof said - 1, 0);
        assert_true(length > 0);
        said[length] = '\0';
    } while (strstr(said, line) == NULL);
}

/* Starts build/.../bin/gemel-procmgr, beside the folder of this test. */
static void start_program(struct control *control)
{
    char path[600];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 40);
    assert_true(length > 0);
    path[length] = '\0';
    *strrchr(path, '/') = '\0';
    strcpy(strrchr(path, '/'), "/bin/gemel-procmgr");
    control->pid = fork();
    assert_true(control->pid >= 0);
    if (control->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(path, path, "--home", control->home, (char *)NULL);
        _exit(127);
    }
}

static void control_init(struct control *control)
{
    struct error error;
    char folder[100];
    memset(control, 0, sizeof *control);
    strcpy(control->home, "/tmp/gemel-procmgr-XXXXXX");
    assert_non_null(mkdtemp(control->home));
    snprintf(folder, sizeof folder, "%s/etc", control->home);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(folder, sizeof folder, "%s/etc/keys", control->home);
    assert_int_equal(keys_create_pair(folder, "127.0.0.1", KEY_ROLE_NODE, &error), 0);
    assert_int_equal(keys_load(&control->keys, folder, &error), 0);
    assert_int_equal(uv_loop_init(&control->loop), 0);
    assert_int_equal(
        plane_create(&control->plane, &control->loop, control->keys, "127.0.0.1", "control@127.0.0.1", &error), 0);
    assert_int_equal(router_create(&control->router, control->plane, "127.0.0.1:0", on_message, control, &error), 0);
    uv_timer_init(&control->loop, &control->deadline);
    control->deadline.data = control;
    uv_timer_start(&control->deadline, on_deadline, DEADLINE_MS, 0);
    write_settings(control);
    listen_for_notifications(control);
    start_program(control);
}

static void control_fini(struct control *control)
{
    char command[200];
    uv_close((uv_handle_t *)&control->deadline, NULL);
    router_destroy(&control->router);
    plane_destroy(&control->plane);
    keys_destroy(&control->keys);
    uv_run(&control->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&control->loop), 0);
    close(control->notify_fd);
    snprintf(command, sizeof command, "rm -r '%s'", control->home);
    assert_int_equal(system(command), 0);
}

static void test_it_asks_for_the_files_plans_answers_and_ends_cleanly(void **state)
{
    (void)state;
    struct control control;
    int status = 0;
    control_init(&control);
    uv_run(&control.loop, UV_RUN_DEFAULT);
    assert_false(control.expired);
    assert_int_equal(control.hellos, 2);
    assert_int_equal(control.plans, 1);
    assert_int_equal(control.plan_epoch, 0x101);
    assert_string_equal(control.first_item, "P.0.x.0");
    assert_string_equal(control.sender, "procmgr@127.0.0.1");
    assert_int_equal(control.reply_id, 42);
    assert_string_equal(control.reply, "already starting: 0 of 1 ready");
    hear(&control, "STATUS=leading\nX_GEMEL_STALE=\nX_GEMEL_LAG=0\nREADY=1\n");
    assert_int_equal(kill(control.pid, SIGTERM), 0);
    assert_int_equal(waitpid(control.pid, &status, 0), control.pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    control_fini(&control);
}

static void test_a_new_daemon_hears_the_state_of_the_process_manager_that_it_adopted(void **state)
{
    (void)state;
    struct control control;
    control_init(&control);
    uv_run(&control.loop, UV_RUN_DEFAULT);
    assert_false(control.expired);
    hear(&control, "READY=1\n");
    close(control.notify_fd);
    listen_for_notifications(&control);
    hear(&control, "STATUS=leading\nX_GEMEL_STALE=\nX_GEMEL_LAG=0\nREADY=1\n");
    kill(control.pid, SIGKILL);
    assert_int_equal(waitpid(control.pid, NULL, 0), control.pid);
    control_fini(&control);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_asks_for_the_files_plans_answers_and_ends_cleanly),
        cmocka_unit_test(test_a_new_daemon_hears_the_state_of_the_process_manager_that_it_adopted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
