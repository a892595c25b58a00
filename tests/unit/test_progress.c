/* libs: gemel_cli_text */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/progress.h"
#include "cli/report.h"
#include "tests/unit/testing.h"

/* What is written when two processes are shown twice on this screen; release with free. */
static char *show_twice(struct progress_screen screen)
{
    char *written = NULL;
    size_t size = 0;
    FILE *live = open_memstream(&written, &size);
    struct progress progress;
    struct report report;
    report_init(&report);
    Gemel__Table *table = report_table(&report, "processes", NULL,
                                       (const char *[]){"processName", "state", "host", "status", "why", NULL});
    report_row(&report, table, (const char *[]){"P.0.rdb.0", "ready", "a", "1,000 rows", ""});
    report_row(&report, table, (const char *[]){"P.1.rdb.0", "failed", "b", "", "ünable to bind the port 41222"});
    progress_init(&progress, live, screen);
    progress_show(&progress, table);
    progress_show(&progress, table);
    progress_fini(&progress);
    report_fini(&report);
    assert_int_equal(fclose(live), 0);
    return written;
}

static void test_a_line_that_is_wider_than_the_terminal_is_cut_so_that_it_can_be_drawn_over(void **state)
{
    (void)state;
    char *written = show_twice((struct progress_screen){.columns = 26, .rows = 3});
    assert_string_equal(written, "\r\033[KP.0.rdb.0  ready     1,000\n\r\033[KP.1.rdb.0  failed    ünabl\n\033[2A"
                                 "\r\033[KP.0.rdb.0  ready     1,000\n\r\033[KP.1.rdb.0  failed    ünabl\n");
    free(written);
}

static void test_more_rows_than_the_terminal_has_are_appended_when_they_change(void **state)
{
    (void)state;
    char *written = show_twice((struct progress_screen){.columns = 26, .rows = 2});
    assert_string_equal(written,
                        "P.0.rdb.0  ready     1,000 rows\nP.1.rdb.0  failed    ünable to bind the port 41222\n");
    free(written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_that_is_wider_than_the_terminal_is_cut_so_that_it_can_be_drawn_over),
        cmocka_unit_test(test_more_rows_than_the_terminal_has_are_appended_when_they_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
