/* libs: gemel_log */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log/log.h"
#include "tests/unit/testing.h"

static char folder[64];
static char path[96];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/gemel-log-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/x.log", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    log_close();
    unlink(path);
    rmdir(folder);
    return 0;
}

static void open_log(bool json)
{
    struct error error;
    const struct log_options options = {.path = path, .process = "DemoPipeline.0.gw.0", .type = "gw", .json = json};
    assert_int_equal(log_open(&options, &error), 0);
}

/* The whole log file, NUL-terminated. */
static const char *read_log(void)
{
    static char content[64 * 1024];
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t length = fread(content, 1, sizeof content - 1, file);
    fclose(file);
    content[length] = '\0';
    return content;
}

static void test_a_line_has_time_level_process_type_and_message(void **state)
{
    (void)state;
    open_log(false);
    log_warn("Active downstream process has disconnected [ Process: %s ]", "DemoPipeline.0.rdb.0");
    char wanted[256];
    snprintf(wanted, sizeof wanted,
             "|WARN|DemoPipeline.0.gw.0-%ld|gw|Active downstream process has disconnected "
             "[ Process: DemoPipeline.0.rdb.0 ]\n",
             (long)getpid());
    const char *line = read_log();
    assert_string_equal(strchr(line, '|'), wanted);
    assert_int_equal(strchr(line, '|') - line, 27);
    assert_int_equal(line[26], 'Z');
}

static void test_nobody_can_forge_a_line_or_break_the_json(void **state)
{
    (void)state;
    open_log(false);
    log_info("a\nb\x1b[2J \xff \xc3\xa4 \xed\xa0\x80 \xc3");
    assert_non_null(strstr(read_log(), "|a\\nb\\x1b[2J \\xff \xc3\xa4 \\xed\\xa0\\x80 \\xc3\n"));
    unlink(path);
    open_log(true);
    log_error("say \"%s\" \\ \x01 \xff", "x\ny");
    const char *line = read_log();
    assert_non_null(strstr(line, "\"level\":\"ERROR\",\"process\":\"DemoPipeline.0.gw.0\",\"pid\":"));
    assert_non_null(strstr(line, "\"type\":\"gw\",\"message\":\"say \\\"x\\ny\\\" \\\\ \\u0001 \\ufffd\"}\n"));
}

static void test_a_line_that_is_too_long_is_cut_and_stays_one_line(void **state)
{
    (void)state;
    char long_text[3 * LOG_LINE_BYTES];
    memset(long_text, '\x01', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    for (int json = 0; json < 2; json++) {
        open_log(json == 1);
        log_info("%s", long_text);
        const char *line = read_log();
        size_t length = strlen(line);
        assert_true(length <= LOG_LINE_BYTES && length > LOG_LINE_BYTES - 32);
        const char *end = json == 1 ? "...\"}\n" : "...\n";
        assert_string_equal(line + length - strlen(end), end);
        assert_ptr_equal(strchr(line, '\n'), line + length - 1);
        unlink(path);
    }
}

/* The file size limit stands for a full disk: writes come back short or fail. */
static void test_a_full_disk_drops_and_counts_and_the_next_line_says_so(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    open_log(false);
    uint64_t lost = log_lost_count();
    struct rlimit small = {.rlim_cur = 100, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    log_info("first %050d", 0);
    log_info("second");
    log_info("third");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(log_lost_count() - lost, 3);
    log_info("fourth");
    const char *content = read_log();
    assert_null(strstr(content, "third"));
    assert_int_equal(content[100], '\n');
    assert_non_null(strstr(content, "|fourth\n"));
    assert_non_null(strstr(content, "|Log lines could not be written [ Lost: 3 ]\n"));
}

static void test_a_full_pipe_does_not_block(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int saved = dup(STDERR_FILENO);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    struct error error;
    const struct log_options options = {.process = "x", .type = "x"};
    int result = log_open(&options, &error);
    uint64_t lost = log_lost_count();
    for (int i = 0; i < 2000; i++)
        log_info("%01000d", i);
    uint64_t lost_now = log_lost_count();
    log_close();
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(result, 0);
    assert_true(lost_now - lost > 1800 && lost_now - lost < 2000);
}

static void test_a_log_that_cannot_be_opened_is_named_and_the_old_one_stays(void **state)
{
    (void)state;
    open_log(false);
    struct error error;
    const struct log_options options = {.path = "/nowhere/x.log", .process = "x", .type = "x"};
    assert_int_equal(log_open(&options, &error), -ENOENT);
    assert_non_null(strstr(error.sentence, "/nowhere/x.log"));
    log_info("still here");
    assert_non_null(strstr(read_log(), "|gw|still here\n"));
}

static void test_repeats_are_limited_and_counted(void **state)
{
    (void)state;
    struct log_limit limit = {0};
    uint64_t dropped = 99;
    assert_true(log_allowed(&limit, 10, 1000, &dropped));
    assert_int_equal(dropped, 0);
    assert_false(log_allowed(&limit, 11, 1000, &dropped));
    assert_false(log_allowed(&limit, 1009, 1000, &dropped));
    assert_true(log_allowed(&limit, 1010, 1000, &dropped));
    assert_int_equal(dropped, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_line_has_time_level_process_type_and_message, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_nobody_can_forge_a_line_or_break_the_json, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_a_line_that_is_too_long_is_cut_and_stays_one_line, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_a_full_disk_drops_and_counts_and_the_next_line_says_so, make_folder,
                                        remove_folder),
        cmocka_unit_test(test_a_full_pipe_does_not_block),
        cmocka_unit_test_setup_teardown(test_a_log_that_cannot_be_opened_is_named_and_the_old_one_stays, make_folder,
                                        remove_folder),
        cmocka_unit_test(test_repeats_are_limited_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
