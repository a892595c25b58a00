/* libs: gemel_daemon_shell */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/cgroup.h"
#include "daemon/spawn.h"
#include "tests/unit/testing.h"

static char *no_environment[] = {NULL};

struct run {
    struct spawn_request request;
    int output[2];
    int input_fd;
};

static void begin(struct run *run, const char *executable, char **arguments)
{
    *run = (struct run){
        .request = {.executable = executable, .arguments = arguments, .environment = no_environment, .cgroup_fd = -1}};
    assert_int_equal(pipe2(run->output, O_CLOEXEC), 0);
    run->input_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    run->request.input_fd = run->input_fd;
    run->request.output_fd = run->output[1];
}

static void end(struct run *run)
{
    close(run->output[0]);
    close(run->output[1]);
    close(run->input_fd);
}

/* Runs a shell line and returns what it printed (static storage); its wait status goes to *status. */
static const char *shell(struct run *run, const char *line, int *status)
{
    static char printed[4096];
    char *arguments[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)line, NULL};
    struct spawn_child child;
    struct error error;
    run->request.executable = "/bin/sh";
    run->request.arguments = arguments;
    assert_int_equal(spawn_process(&run->request, &child, &error), 0);
    assert_int_equal(waitpid(child.pid, status, 0), child.pid);
    close(child.pidfd);
    close(run->output[1]);
    run->output[1] = -1;
    ssize_t length = read(run->output[0], printed, sizeof printed - 1);
    assert_true(length >= 0);
    printed[length] = '\0';
    return printed;
}

static void test_a_missing_executable_is_a_sentence_and_leaves_nothing(void **state)
{
    (void)state;
    struct run run;
    char *arguments[] = {(char *)(uintptr_t) "y", NULL};
    begin(&run, "/x/y", arguments);
    struct spawn_child child;
    struct error error;
    assert_int_equal(spawn_process(&run.request, &child, &error), -ENOENT);
    assert_string_equal(error.sentence, "cannot execute /x/y: no such file or directory");
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    end(&run);
}

static void test_a_missing_folder_names_the_folder(void **state)
{
    (void)state;
    struct run run;
    char *arguments[] = {(char *)(uintptr_t) "true", NULL};
    begin(&run, "/bin/true", arguments);
    run.request.folder = "/no/such/folder";
    struct spawn_child child;
    struct error error;
    assert_int_equal(spawn_process(&run.request, &child, &error), -ENOENT);
    assert_string_equal(error.sentence, "cannot change to folder /no/such/folder: no such file or directory");
    end(&run);
}

static void test_the_child_has_only_the_first_three_descriptors(void **state)
{
    (void)state;
    struct run run;
    begin(&run, "", NULL);
    int leaked = fcntl(run.input_fd, F_DUPFD, 40); /* not close-on-exec */
    int status = -1;
    assert_string_equal(shell(&run, "for f in /proc/$$/fd/*; do [ -e $f ] && echo \"${f##*/}\"; done", &status),
                        "0\n1\n2\n");
    close(leaked);
    end(&run);
}

static void test_the_child_leads_a_group_of_its_own(void **state)
{
    (void)state;
    struct run run;
    begin(&run, "", NULL);
    int status = -1;
    const char *printed = shell(&run,
                                "read pid comm state ppid group rest < /proc/$$/stat; "
                                "[ $pid = $group ] && echo yes",
                                &status);
    assert_string_equal(printed, "yes\n");
    end(&run);
}

static void check_signals(int cgroup_fd)
{
    struct run run;
    begin(&run, "", NULL);
    run.request.cgroup_fd = cgroup_fd;
    signal(SIGPIPE, SIG_IGN);
    sigset_t set;
    sigset_t before;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &before);
    int status = -1;
    const char *printed = shell(&run,
                                "while read key value; do case $key in SigBlk:|SigIgn:) echo $value;; esac; done "
                                "< /proc/self/status",
                                &status);
    assert_string_equal(printed, "0000000000000000\n0000000000000000\n");
    sigset_t now;
    sigprocmask(SIG_SETMASK, &before, &now);
    assert_true(sigismember(&now, SIGTERM)); /* and ours are as they were */
    struct sigaction action;
    sigaction(SIGPIPE, NULL, &action);
    assert_true(action.sa_handler == SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
    end(&run);
}

static void test_signals_are_at_their_default_and_not_blocked(void **state)
{
    (void)state;
    struct cgroup_base base;
    struct cgroup_leaf leaf = {.folder_fd = -1, .events_fd = -1, .kill_fd = -1};
    check_signals(-1);
    /* A child that starts in a cgroup is made by another system call. Where there are no cgroups, this is the first
     * case again. */
    cgroup_open(&base, "test-spawn");
    cgroup_leaf_open(&leaf, &base, "P.0.x.0", 1);
    check_signals(leaf.folder_fd);
    cgroup_leaf_close(&leaf);
    cgroup_drop(&base, "P.0.x.0", 1);
    cgroup_close(&base);
}

static void test_limits_folder_niceness_and_umask_are_set(void **state)
{
    (void)state;
    struct run run;
    begin(&run, "", NULL);
    run.request.folder = "/usr";
    run.request.niceness = 5;
    run.request.limits[0] = (struct spawn_limit){.resource = RLIMIT_NOFILE, .value = {.rlim_cur = 77, .rlim_max = 77}};
    run.request.limit_count = 1;
    int status = -1;
    assert_string_equal(shell(&run, "pwd; ulimit -n; nice; umask", &status), "/usr\n77\n5\n0022\n");
    end(&run);
}

static void test_a_thousand_children_do_not_change_the_parent(void **state)
{
    (void)state;
    volatile uint64_t guard[8];
    for (size_t i = 0; i < 8; i++)
        guard[i] = 0x5ca1ab1e0000 + i;
    size_t descriptors[2] = {0};
    for (int i = 0; i < 1000; i++) {
        struct run run;
        char *arguments[] = {(char *)(uintptr_t) "true", NULL};
        begin(&run, i % 2 == 0 ? "/bin/true" : "/no/such/program", arguments);
        struct spawn_child child;
        struct error error;
        int result = spawn_process(&run.request, &child, &error);
        assert_int_equal(result, i % 2 == 0 ? 0 : -ENOENT);
        if (result == 0) {
            int status = -1;
            assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
            assert_int_equal(status, 0);
            close(child.pidfd);
        }
        end(&run);
        if (i == 0 || i == 999) {
            DIR *folder = opendir("/proc/self/fd");
            while (readdir(folder) != NULL)
                descriptors[i == 0 ? 0 : 1]++;
            closedir(folder);
        }
    }
    for (size_t i = 0; i < 8; i++)
        assert_true(guard[i] == 0x5ca1ab1e0000 + i);
    assert_int_equal(descriptors[0], descriptors[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_missing_executable_is_a_sentence_and_leaves_nothing),
        cmocka_unit_test(test_a_missing_folder_names_the_folder),
        cmocka_unit_test(test_the_child_has_only_the_first_three_descriptors),
        cmocka_unit_test(test_the_child_leads_a_group_of_its_own),
        cmocka_unit_test(test_signals_are_at_their_default_and_not_blocked),
        cmocka_unit_test(test_limits_folder_niceness_and_umask_are_set),
        cmocka_unit_test(test_a_thousand_children_do_not_change_the_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
