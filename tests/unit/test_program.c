/* libs: gemel_loop */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/date.h"
#include "common/loop/clock.h"
#include "common/loop/home.h"
#include "common/loop/program.h"
#include "tests/unit/testing.h"

static void test_dates_are_written_in_utc_on_both_sides_of_1970_and_on_leap_days(void **state)
{
    (void)state;
    char text[DATE_TEXT_BYTES];
    date_format(0, text, sizeof text);
    assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
    date_format(-1000, text, sizeof text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
    date_format(INT64_C(951782400123456789), text, sizeof text);
    assert_string_equal(text, "2000-02-29T00:00:00.123456Z");
    date_format(INT64_C(4107542399999999999), text, sizeof text);
    assert_string_equal(text, "2100-02-28T23:59:59.999999Z");
    clock_format(INT64_C(1763759402000000000), text, sizeof text);
    assert_string_equal(text, "2025-11-21T21:10:02.000000Z");
}

static void test_the_clocks_go_forward_together(void **state)
{
    (void)state;
    int64_t before_us = clock_now_us();
    int64_t now_ms = clock_now_ms();
    assert_true(now_ms >= before_us / 1000);
    assert_true(clock_now_us() >= before_us);
    assert_true(clock_wall_ns() > INT64_C(1600000000000000000));
}

static char *make_temporary_folder(char *template)
{
    char *folder = mkdtemp(template);
    assert_non_null(folder);
    return folder;
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

static void test_a_home_gets_its_folders_and_paths(void **state)
{
    (void)state;
    char template[] = "/tmp/gemel-home-XXXXXX";
    char *folder = make_temporary_folder(template);
    char nested[128];
    snprintf(nested, sizeof nested, "%s/a/./b/", folder);
    struct home home;
    struct error error;
    assert_int_equal(home_open(&home, nested, &error), 0);
    char path[HOME_PATH_BYTES];
    char wanted[HOME_PATH_BYTES];
    home_path(&home, "var/log", path);
    snprintf(wanted, sizeof wanted, "%s/a/b/var/log", folder);
    assert_string_equal(path, wanted);
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    assert_true(S_ISDIR(found.st_mode));
    home_path(&home, "/elsewhere/x", path);
    assert_string_equal(path, "/elsewhere/x");
    home_close(&home);
    remove_tree(folder);
}

static void test_a_home_that_is_too_long_or_a_file_is_refused_with_a_sentence(void **state)
{
    (void)state;
    char template[] = "/tmp/gemel-home-XXXXXX";
    char *folder = make_temporary_folder(template);
    char path[256];
    snprintf(path, sizeof path, "%s/%0100d", folder, 0);
    struct home home;
    struct error error = {0};
    assert_int_equal(home_open(&home, path, &error), -ENAMETOOLONG);
    snprintf(path, sizeof path, "%s/file", folder);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(home_open(&home, path, &error), -ENOTDIR);
    assert_non_null(strstr(error.sentence, path));
    remove_tree(folder);
}

static void test_a_pid_file_keeps_a_second_one_out_until_the_first_ends(void **state)
{
    (void)state;
    char template[] = "/tmp/gemel-home-XXXXXX";
    char *folder = make_temporary_folder(template);
    struct home first;
    struct home second;
    struct error error;
    pid_t pid = 0;
    assert_int_equal(home_open(&first, folder, &error), 0);
    assert_int_equal(home_open(&second, folder, &error), 0);
    assert_int_equal(home_read_pid(&second, "control", &pid), -ESRCH);
    assert_int_equal(home_lock_pid(&first, "control", &error), 0);
    assert_int_equal(home_read_pid(&second, "control", &pid), 0);
    assert_int_equal(pid, getpid());
    assert_int_equal(home_lock_pid(&second, "control", &error), -EEXIST);
    assert_non_null(strstr(error.sentence, "control runs already"));
    assert_int_equal(home_read_pid(&second, "control", &pid), 0);
    home_close(&first);
    assert_int_equal(home_read_pid(&second, "control", &pid), -ESRCH);
    assert_int_equal(home_lock_pid(&second, "control", &error), 0);
    home_close(&second);
    remove_tree(folder);
}

static void test_a_pid_file_tells_a_clean_end_from_a_kill(void **state)
{
    (void)state;
    char template[] = "/tmp/gemel-home-XXXXXX";
    char *folder = make_temporary_folder(template);
    struct home home;
    struct home child_home;
    struct error error;
    int status = 0;
    assert_int_equal(home_open(&home, folder, &error), 0);
    assert_false(home_was_killed(&home, "control"));
    pid_t child = fork();
    if (child == 0) {
        int result = home_open(&child_home, folder, &error);
        _exit(result == 0 ? home_lock_pid(&child_home, "control", &error) : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(home_was_killed(&home, "control"));
    assert_int_equal(home_lock_pid(&home, "control", &error), 0);
    assert_false(home_was_killed(&home, "control"));
    home_close(&home);
    assert_false(home_was_killed(&home, "control"));
    remove_tree(folder);
}

static const char *extra;
static const struct program_option OPTIONS[] = {{"host", "NAME", "the host", &extra}};
static const struct program_about ABOUT = {"gemel-test", "a test", "test", OPTIONS, 1};

static bool start(struct program *program, const char *home, const char *option, const char *value, int *exit_code)
{
    const char *words[] = {"gemel-test", "--home", home, option, value, NULL};
    char *argv[COUNT_OF(words)];
    memcpy(argv, words, sizeof words);
    int argc = option == NULL ? 3 : value == NULL ? 4 : 5;
    return program_start(program, &ABOUT, argc, argv, exit_code);
}

static void test_bad_command_lines_are_usage_errors_and_help_is_not(void **state)
{
    (void)state;
    struct program program;
    int exit_code = -1;
    assert_false(start(&program, "/nowhere", "--hots", "x", &exit_code));
    assert_int_equal(exit_code, 2);
    assert_false(start(&program, "/nowhere", "--host", NULL, &exit_code));
    assert_int_equal(exit_code, 2);
    assert_false(start(&program, "/nowhere", "--log-format", "xml", &exit_code));
    assert_int_equal(exit_code, 2);
    assert_false(start(&program, "/nowhere", "--help", NULL, &exit_code));
    assert_int_equal(exit_code, 0);
}

static void ignore_timer(uv_timer_t *timer)
{
    (void)timer;
}

static void test_sigterm_ends_a_program_cleanly_and_a_second_instance_is_refused(void **state)
{
    (void)state;
    char template[] = "/tmp/gemel-home-XXXXXX";
    char *folder = make_temporary_folder(template);
    struct program program;
    struct program other;
    int exit_code = -1;
    assert_true(start(&program, folder, "--host", "127.0.0.1", &exit_code));
    assert_string_equal(extra, "127.0.0.1");
    assert_false(start(&other, folder, NULL, NULL, &exit_code));
    assert_int_equal(exit_code, 1);
    uv_timer_t keeps_alive;
    uv_timer_init(&program.loop, &keeps_alive);
    uv_timer_start(&keeps_alive, ignore_timer, 1000000, 0);
    kill(getpid(), SIGTERM);
    program_run(&program);
    uv_close((uv_handle_t *)&keeps_alive, NULL);
    assert_int_equal(program_finish(&program), 0);
    assert_true(start(&program, folder, NULL, NULL, &exit_code));
    program_stop(&program, 3);
    assert_int_equal(program_finish(&program), 3);
    remove_tree(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates_are_written_in_utc_on_both_sides_of_1970_and_on_leap_days),
        cmocka_unit_test(test_the_clocks_go_forward_together),
        cmocka_unit_test(test_a_home_gets_its_folders_and_paths),
        cmocka_unit_test(test_a_home_that_is_too_long_or_a_file_is_refused_with_a_sentence),
        cmocka_unit_test(test_a_pid_file_keeps_a_second_one_out_until_the_first_ends),
        cmocka_unit_test(test_a_pid_file_tells_a_clean_end_from_a_kill),
        cmocka_unit_test(test_bad_command_lines_are_usage_errors_and_help_is_not),
        cmocka_unit_test(test_sigterm_ends_a_program_cleanly_and_a_second_instance_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
