/* libs: gemel_cli_text */
#include <string.h>

#include "cli/report.h"
#include "cli/table_print.h"
#include "tests/unit/testing.h"

static void assert_printed(struct report *report, const char *expected)
{
    struct text text;
    text_init(&text, 100000);
    table_print_reply(&text, &report->reply, NULL);
    assert_string_equal(text.data, expected);
    text_fini(&text);
}

static void test_a_table_looks_as_in_the_guide(void **state)
{
    (void)state;
    struct report report;
    report_init(&report);
    Gemel__Table *table = report_table(&report, "routes", "[ DefaultEntrypoint.0.gw.0 ] Primary Routing State:",
                                       (const char *[]){"processName", "pipeline", "pipelineInstance", "primary",
                                                        "registered", "busy", "busySince", NULL});
    report_row(&report, table, (const char *[]){"DemoPipeline.0.rdb.0", "DemoPipeline", "0", "yes", "yes", "no", ""});
    report_row(&report, table, (const char *[]){"DemoPipeline.1.rdb.0", "DemoPipeline", "1", "no", "yes", "no", NULL});
    assert_printed(&report, "[ DefaultEntrypoint.0.gw.0 ] Primary Routing State:\n"
                            "processName          pipeline     pipelineInstance primary registered busy busySince\n"
                            "-------------------- ------------ ---------------- ------- ---------- ---- ---------\n"
                            "DemoPipeline.0.rdb.0 DemoPipeline 0                yes     yes        no\n"
                            "DemoPipeline.1.rdb.0 DemoPipeline 1                no      yes        no\n");
    report_fini(&report);
}

static void test_a_narrow_terminal_gets_the_last_column_below_and_short_dates(void **state)
{
    (void)state;
    const struct table_view view = {.width = 50, .today = "2026-11-21"};
    struct report report;
    struct text text;
    report_init(&report);
    Gemel__Table *table =
        report_table(&report, "processes", "", (const char *[]){"processName", "state", "since", "why", NULL});
    report_row(&report, table, (const char *[]){"Demo.0.rdb.0", "ready", "2026-11-21T22:51:23.637672Z", "7,000 rows"});
    report_row(
        &report, table,
        (const char *[]){"Demo.0.tp.0", "failed", "2026-11-20T01:02:03Z", "exited: signal 11, before it was ready"});
    report_row(&report, table, (const char *[]){"Demo.0.hdb.0", "ready", "2026-11-21", ""});
    text_init(&text, 10000);
    table_print_reply(&text, &report.reply, &view);
    assert_string_equal(text.data, "processName  state  since\n"
                                   "------------ ------ -------------------\n"
                                   "Demo.0.rdb.0 ready  22:51:23\n"
                                   "    why: 7,000 rows\n"
                                   "Demo.0.tp.0  failed 2026-11-20 01:02:03\n"
                                   "    why: exited: signal 11, before it was ready\n"
                                   "Demo.0.hdb.0 ready  2026-11-21\n");
    text_fini(&text);
    report_fini(&report);
}

static void test_message_comes_first_and_tables_are_apart(void **state)
{
    (void)state;
    struct report report;
    report_init(&report);
    report_message(&report, "already running: %d of %d", 12, 12);
    report_message(&report, "nothing to do");
    report_row(&report, report_table(&report, "one", NULL, (const char *[]){"a", NULL}), (const char *[]){"1"});
    (void)report_table(&report, "two", "b: none", (const char *[]){"b", NULL});
    (void)report_table(&report, "three", NULL, (const char *[]){"c", NULL});
    assert_printed(&report, "already running: 12 of 12\nnothing to do\n\na\n-\n1\n\nb: none\n");
    report_reset(&report);
    (void)report_table(&report, "rows", NULL, (const char *[]){"c", NULL});
    assert_printed(&report, "c\n-\n");
    report_fini(&report);
}

static void test_hostile_cells_steer_no_terminal(void **state)
{
    (void)state;
    struct report report;
    report_init(&report);
    Gemel__Table *table = report_table(&report, "t", "a\033]0;x\007", (const char *[]){"c", "d", NULL});
    report_row(&report, table, (const char *[]){"\033[2J", "line\nline"});
    report_row(&report, table,
               (const char *[]){"\xff\xc0\x80", "\xc2\x9b"
                                                "x"});
    assert_printed(&report, "a?]0;x?\nc    d\n---- ---------\n?[2J line line\n???  ??x\n");
    report_fini(&report);
}

static void test_letters_of_several_bytes_are_one_column(void **state)
{
    (void)state;
    struct report report;
    report_init(&report);
    Gemel__Table *table = report_table(&report, "t", NULL, (const char *[]){"c", "d", NULL});
    report_row(&report, table, (const char *[]){"\xc3\xa4\xc3\xb6", "x"});
    report_row(&report, table, (const char *[]){"abc", "y"});
    assert_printed(&report, "c   d\n--- -\n\xc3\xa4\xc3\xb6  x\nabc y\n");
    report_fini(&report);
}

static void test_a_short_row_gets_empty_cells(void **state)
{
    (void)state;
    struct report report;
    report_init(&report);
    Gemel__Table *table = report_table(&report, "t", NULL, (const char *[]){"a", "b", NULL});
    report_row(&report, table, (const char *[]){"1", "2"});
    table->rows[0]->n_cells = 1;
    assert_printed(&report, "a b\n- -\n1\n");
    assert_string_equal(report_get(table, 0, "b"), "");
    assert_string_equal(report_get(table, 0, "a"), "1");
    report_fini(&report);
}

static void test_a_taken_reply_is_a_copy_and_its_exit_code_stays(void **state)
{
    (void)state;
    struct report report, other;
    report_init(&report);
    report_init(&other);
    report_message(&other, "hello");
    for (int i = 0; i < 100; i++) {
        Gemel__Table *table = report_table(&other, "t", NULL, (const char *[]){"a", NULL});
        for (int j = 0; j < i; j++)
            report_row(&other, table, (const char *[]){report_cell(&other, "%d", j)});
    }
    assert_int_equal(report_fail(&other, CLI_EXIT_PARTLY, "start %s", "x"), 3);
    assert_int_equal(report_fail(&other, CLI_EXIT_FAILED, "too late"), 3);
    report_take(&report, &other.reply);
    report_fini(&other);
    report_set_exit(&report, CLI_EXIT_TIMEOUT);
    assert_int_equal(report.reply.exit_code, 3);
    assert_string_equal(report.reply.error, "start x");
    assert_string_equal(report.reply.message, "hello");
    assert_int_equal(report.reply.n_tables, 100);
    assert_int_equal(report.reply.tables[99]->n_rows, 99);
    assert_string_equal(report_get(report.reply.tables[99], 98, "a"), "98");
    report_fini(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_table_looks_as_in_the_guide),
        cmocka_unit_test(test_a_narrow_terminal_gets_the_last_column_below_and_short_dates),
        cmocka_unit_test(test_message_comes_first_and_tables_are_apart),
        cmocka_unit_test(test_hostile_cells_steer_no_terminal),
        cmocka_unit_test(test_letters_of_several_bytes_are_one_column),
        cmocka_unit_test(test_a_short_row_gets_empty_cells),
        cmocka_unit_test(test_a_taken_reply_is_a_copy_and_its_exit_code_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
