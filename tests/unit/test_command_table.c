/* libs: gemel_cli_text */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/command_line.h"
#include "cli/help.h"
#include "common/base/assert.h"
#include "tests/unit/testing.h"

enum {
    WORDS_MAX = 32,
    LINE_BYTES = 512
};

static char program[] = "gemel";

/* Splits a line at spaces (quotes hold words together) into argv, behind "gemel". Returns argc. */
static int split(const char *line, char buffer[LINE_BYTES], char *argv[WORDS_MAX])
{
    int argc = 1;
    argv[0] = program;
    bool quoted = false;
    char *target = buffer;
    bool in_word = false;
    for (const char *at = line;; at++) {
        if (*at == '"') {
            quoted = !quoted;
            continue;
        }
        if (*at == '\0' || (*at == ' ' && !quoted)) {
            if (in_word)
                *target++ = '\0';
            in_word = false;
            if (*at == '\0')
                break;
            continue;
        }
        if (!in_word)
            argv[argc++] = target;
        in_word = true;
        *target++ = *at;
    }
    argv[argc] = NULL;
    return argc;
}

/* Invocations borrow from here. */
static char line_buffer[LINE_BYTES];

static int parse(const char *line, struct invocation *invocation, struct error *error)
{
    char *argv[WORDS_MAX];
    const int argc = split(line, line_buffer, argv);
    return invocation_parse(argc, argv, invocation, error);
}

static void assert_refused(const char *line, const char *words)
{
    struct invocation invocation;
    struct error error = {0};
    assert_int_equal(parse(line, &invocation, &error), -EINVAL);
    if (strstr(error.sentence, words) == NULL)
        fail_msg("`%s`: '%s' does not say '%s'", line, error.sentence, words);
}

static void test_every_example_parses_to_its_own_command_in_both_forms(void **state)
{
    (void)state;
    for (int i = 0; i < CLI_COMMAND_COUNT; i++) {
        const struct cli_command *command = cli_command_at((enum cli_command_id)i);
        struct invocation invocation;
        struct error error = {0};
        assert_non_null(command->example);
        if (parse(command->example, &invocation, &error) != 0)
            fail_msg("`%s`: %s", command->example, error.sentence);
        assert_ptr_equal(invocation.command, command);
        if (command->verb == NULL)
            continue;
        char words[LINE_BYTES];
        const size_t noun = strlen(command->noun) + 1;
        assert_memory_equal(command->example + noun, "--", 2);
        (void)snprintf(words, sizeof words, "%.*s%s", (int)noun, command->example, command->example + noun + 2);
        struct invocation other;
        if (parse(words, &other, &error) != 0)
            fail_msg("`%s`: %s", words, error.sentence);
        assert_ptr_equal(other.command, command);
        assert_int_equal(other.argument_count, invocation.argument_count);
    }
}

static void test_every_command_has_help_an_example_and_its_exit_codes(void **state)
{
    (void)state;
    for (int i = 0; i < CLI_COMMAND_COUNT; i++) {
        const struct cli_command *command = cli_command_at((enum cli_command_id)i);
        const struct invocation invocation = {
            .program = "refinery", .noun = cli_noun_find(command->noun), .command = command, .help = true};
        struct text text;
        text_init(&text, 100000);
        help_print(&invocation, &text);
        assert_non_null(invocation.noun);
        assert_non_null(strstr(text.data, command->help));
        assert_non_null(strstr(text.data, "Example:\n  refinery "));
        assert_non_null(strstr(text.data, command->example));
        assert_non_null(strstr(text.data, "  0  done"));
        assert_null(strstr(text.data, "gemel "));
        text_fini(&text);
    }
}

static void test_help_is_on_every_level(void **state)
{
    (void)state;
    const char *lines[] = {"--help",
                           "help",
                           "pipeline --help",
                           "help pipeline",
                           "pipeline --start --help",
                           "help pipeline start",
                           "pipeline start -h",
                           "query --help",
                           "pipeline --nonsense --help"};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct invocation invocation;
        struct error error = {0};
        assert_int_equal(parse(lines[i], &invocation, &error), 0);
        assert_true(invocation.help);
        struct text text;
        text_init(&text, 100000);
        help_print(&invocation, &text);
        assert_non_null(strstr(text.data, "Example:\n  gemel "));
        text_fini(&text);
    }
}

static void test_names_are_unambiguous(void **state)
{
    (void)state;
    for (int i = 0; i < CLI_COMMAND_COUNT; i++) {
        const struct cli_command *command = cli_command_at((enum cli_command_id)i);
        assert_non_null(cli_noun_find(command->noun));
        assert_ptr_equal(cli_command_find(command->noun, command->verb), command);
        assert_int_equal(command->required & ~command->options, 0);
        for (int j = 0; j < CLI_OPTION_COUNT; j++) {
            const char *name = cli_option_text((enum cli_option)j)->name;
            assert_null(command->verb != NULL && strcmp(command->verb, name) == 0 ? name : NULL);
        }
    }
    for (int i = 0; i < CLI_OPTION_COUNT; i++)
        for (int j = 0; j < i; j++) {
            const struct cli_option_text *one = cli_option_text((enum cli_option)i);
            const struct cli_option_text *other = cli_option_text((enum cli_option)j);
            if (strcmp(one->name, other->name) == 0)
                assert_int_equal(one->kind, other->kind);
        }
}

static void test_options_stand_anywhere_and_take_both_spellings(void **state)
{
    (void)state;
    const char *lines[] = {"pipeline --start P --instance 1 --wait --timeout 2m",
                           "pipeline start --instance=1 P --timeout=120 --wait",
                           "--home /h pipeline --wait --instance 1 P --timeout 120s --start",
                           "pipeline --instance 1 --start=P --timeout 120000ms --wait"};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct invocation invocation;
        struct error error = {0};
        if (parse(lines[i], &invocation, &error) != 0)
            fail_msg("`%s`: %s", lines[i], error.sentence);
        assert_int_equal(cli_command_id(invocation.command), CLI_PIPELINE_START);
        assert_int_equal(invocation.argument_count, 1);
        assert_string_equal(invocation.arguments[0], "P");
        assert_int_equal(invocation_number(&invocation, CLI_OPTION_INSTANCE, 9), 1);
        assert_int_equal(invocation_duration_ms(&invocation, CLI_OPTION_TIMEOUT, 0), 120000);
        assert_true(invocation_has(&invocation, CLI_OPTION_WAIT));
    }
}

static void test_a_verb_as_flag_leaves_words_to_the_arguments(void **state)
{
    (void)state;
    struct invocation invocation;
    struct error error = {0};
    assert_int_equal(parse("pipeline --stop start", &invocation, &error), 0);
    assert_int_equal(cli_command_id(invocation.command), CLI_PIPELINE_STOP);
    assert_string_equal(invocation.arguments[0], "start");
    assert_int_equal(parse("query --pipeline P -- --help", &invocation, &error), 0);
    assert_false(invocation.help);
    assert_string_equal(invocation.arguments[0], "--help");
}

static void test_an_option_of_two_shapes_is_the_command_s_own(void **state)
{
    (void)state;
    struct invocation invocation;
    struct error error = {0};
    assert_int_equal(parse("logs --view --process control", &invocation, &error), 0);
    assert_string_equal(invocation_text(&invocation, CLI_OPTION_PROCESS_NAME, ""), "control");
    assert_int_equal(parse("pipeline --stop P --process rdb.0", &invocation, &error), 0);
    assert_string_equal(invocation_text(&invocation, CLI_OPTION_PROCESS, ""), "rdb.0");
}

static void test_wrong_use_is_one_sentence_that_says_what_to_do(void **state)
{
    (void)state;
    assert_refused("", "`gemel --help` lists all commands");
    assert_refused("pipline --start P", "did you mean 'pipeline'?");
    assert_refused("xyzzy", "`gemel --help` lists all");
    assert_refused("pipeline --strat P", "did you mean 'pipeline --start'?");
    assert_refused("pipeline strat P", "did you mean 'pipeline start'?");
    assert_refused("pipeline", "`gemel pipeline --help` lists its commands");
    assert_refused("pipeline --start", "PIPELINE is missing: for example `gemel pipeline --start DemoPipeline");
    assert_refused("pipeline --start A B", "'B' is superfluous");
    assert_refused("pipeline --start A --stop", "exclude each other");
    assert_refused("pipeline --start A --instnace 1", "did you mean '--instance'?");
    assert_refused("pipeline --start A --instance", "--instance needs a value (N)");
    assert_refused("pipeline --start A --instance --wait", "--instance needs a value (N)");
    assert_refused("pipeline --start A --instance one", "--instance needs a number, got 'one'");
    assert_refused("pipeline --start A --instance 99999999999", "needs a number");
    assert_refused("pipeline --start A --timeout soon", "--timeout needs a time such as 250ms, 30s or 15m");
    assert_refused("pipeline --start A --wait=yes", "--wait takes no value");
    assert_refused("pipeline --start A --wait --wait", "--wait is given twice");
    assert_refused("pipeline --start A --sql x", "unknown option '--sql'");
    assert_refused("pipeline --list --instance 1", "takes no --instance");
    assert_refused("status --output xml", "--output is one of table|json, got 'xml'");
    assert_refused("query \"select 1\"", "--pipeline is missing: for example");
    assert_refused("failover --failover --pipeline P", "--to-instance is missing");
    assert_refused("status now", "'now' is superfluous");
    assert_refused("status -x", "unknown option '--x'");
}

static void test_durations_have_units_and_a_bound(void **state)
{
    (void)state;
    int64_t ms = 0;
    assert_int_equal(command_line_duration("250ms", &ms), 0);
    assert_int_equal(ms, 250);
    assert_int_equal(command_line_duration("3", &ms), 0);
    assert_int_equal(ms, 3000);
    assert_int_equal(command_line_duration("2h", &ms), 0);
    assert_int_equal(ms, 7200000);
    const char *bad[] = {"", "s", "-1s", "1 s", "0x10", "1e3", "31d", "721h", "nan", "1.5s"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(command_line_duration(bad[i], &ms), -EINVAL);
}

static void test_the_program_says_the_name_it_was_called_by(void **state)
{
    (void)state;
    struct invocation invocation;
    struct error error = {0};
    char path[] = "/usr/bin/refinery", noun[] = "pipeline", verb[] = "--start";
    char *argv[] = {path, noun, verb, NULL};
    assert_int_equal(invocation_parse(3, argv, &invocation, &error), -EINVAL);
    assert_non_null(strstr(error.sentence, "`refinery pipeline --start DemoPipeline"));
}

static void test_json_is_known_even_when_the_rest_is_wrong(void **state)
{
    (void)state;
    struct invocation invocation;
    struct error error = {0};
    assert_int_equal(parse("pipeline --strat --output json", &invocation, &error), -EINVAL);
    assert_true(invocation.json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_example_parses_to_its_own_command_in_both_forms),
        cmocka_unit_test(test_every_command_has_help_an_example_and_its_exit_codes),
        cmocka_unit_test(test_help_is_on_every_level),
        cmocka_unit_test(test_names_are_unambiguous),
        cmocka_unit_test(test_options_stand_anywhere_and_take_both_spellings),
        cmocka_unit_test(test_a_verb_as_flag_leaves_words_to_the_arguments),
        cmocka_unit_test(test_an_option_of_two_shapes_is_the_command_s_own),
        cmocka_unit_test(test_wrong_use_is_one_sentence_that_says_what_to_do),
        cmocka_unit_test(test_durations_have_units_and_a_bound),
        cmocka_unit_test(test_the_program_says_the_name_it_was_called_by),
        cmocka_unit_test(test_json_is_known_even_when_the_rest_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
