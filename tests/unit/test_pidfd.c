/* libs: gemel_loop */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/loop/pidfd.h"
#include "tests/unit/testing.h"

/* A child that ends with `code` when the other side of *gate is closed. */
static pid_t start_child(int *gate, int code)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char byte;
        close(ends[1]);
        while (read(ends[0], &byte, 1) > 0)
            continue;
        _exit(code);
    }
    close(ends[0]);
    *gate = ends[1];
    return pid;
}

static void count_exit(void *owner)
{
    int *count = owner;
    (*count)++;
}

static void test_the_exit_of_a_child_is_told_once_and_reaped_with_its_code(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    int gate = -1;
    int pidfd = pidfd_get(start_child(&gate, 7));
    assert_true(pidfd >= 0);
    int exits = 0;
    struct pidfd_watch *watch = NULL;
    assert_int_equal(pidfd_watch_create(&watch, &loop, pidfd, count_exit, &exits), 0);
    struct pidfd_status status;
    assert_int_equal(pidfd_reap(pidfd, &status), -EAGAIN);
    assert_false(pidfd_has_ended(pidfd));
    close(gate);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(exits, 1);
    assert_int_equal(pidfd_reap(pidfd, &status), 0);
    assert_true(status.known);
    assert_int_equal(status.code, 7);
    assert_int_equal(status.signal, 0);
    pidfd_watch_destroy(&watch);
    close(pidfd);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_a_signal_is_told_apart_from_an_exit_code(void **state)
{
    (void)state;
    int gate = -1;
    pid_t pid = start_child(&gate, 0);
    int pidfd = pidfd_get(pid);
    assert_int_equal(pidfd_kill(pidfd, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    struct pidfd_status status;
    assert_int_equal(pidfd_reap(pidfd, &status), 0);
    assert_int_equal(status.signal, SIGKILL);
    assert_int_equal(pidfd_kill(pidfd, SIGKILL), -ESRCH);
    close(pidfd);
    close(gate);
}

/* A grandchild is not our child: its end is seen, its status is not. */
static void test_the_exit_of_a_process_that_is_not_a_child_is_seen_with_unknown_status(void **state)
{
    (void)state;
    int names[2];
    int gates[2];
    assert_int_equal(pipe(names), 0);
    assert_int_equal(pipe(gates), 0);
    pid_t parent = fork();
    if (parent == 0) {
        close(gates[1]);
        pid_t grandchild = fork();
        if (grandchild == 0) {
            char byte;
            while (read(gates[0], &byte, 1) > 0)
                continue;
            _exit(3);
        }
        ssize_t written = write(names[1], &grandchild, sizeof grandchild);
        _exit(written == sizeof grandchild ? 0 : 1);
    }
    close(gates[0]);
    pid_t grandchild = 0;
    assert_int_equal(read(names[0], &grandchild, sizeof grandchild), sizeof grandchild);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    int pidfd = pidfd_get(grandchild);
    assert_true(pidfd >= 0);
    struct pidfd_status status = {.known = true};
    assert_int_equal(pidfd_reap(pidfd, &status), -EAGAIN);
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    int exits = 0;
    struct pidfd_watch *watch = NULL;
    assert_int_equal(pidfd_watch_create(&watch, &loop, pidfd, count_exit, &exits), 0);
    close(gates[1]);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(exits, 1);
    assert_int_equal(pidfd_reap(pidfd, &status), 0);
    assert_false(status.known);
    pidfd_watch_destroy(&watch);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    close(pidfd);
    close(names[0]);
    close(names[1]);
}

static void destroy_watch(void *owner)
{
    struct pidfd_watch **watch = owner;
    pidfd_watch_destroy(watch);
}

static void test_a_watch_may_be_destroyed_from_its_own_callback_and_before_it(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    int gate = -1;
    int pidfd = pidfd_get(start_child(&gate, 0));
    int exits = 0;
    struct pidfd_watch *early = NULL;
    assert_int_equal(pidfd_watch_create(&early, &loop, pidfd, count_exit, &exits), 0);
    pidfd_watch_destroy(&early);
    struct pidfd_watch *watch = NULL;
    assert_int_equal(pidfd_watch_create(&watch, &loop, pidfd, destroy_watch, &watch), 0);
    close(gate);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_null(watch);
    assert_int_equal(exits, 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    struct pidfd_status status;
    assert_int_equal(pidfd_reap(pidfd, &status), 0);
    close(pidfd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_exit_of_a_child_is_told_once_and_reaped_with_its_code),
        cmocka_unit_test(test_a_signal_is_told_apart_from_an_exit_code),
        cmocka_unit_test(test_the_exit_of_a_process_that_is_not_a_child_is_seen_with_unknown_status),
        cmocka_unit_test(test_a_watch_may_be_destroyed_from_its_own_callback_and_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
