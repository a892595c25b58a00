/* libs: gemel_cli_text */
#include <jansson.h>

#include "cli/json_print.h"
#include "cli/report.h"
#include "tests/unit/testing.h"

static json_t *parsed(const struct report *report)
{
    struct text text;
    text_init(&text, 100000);
    json_print_reply(&text, &report->reply);
    json_t *object = json_loads(text.data, 0, NULL);
    assert_non_null(object);
    assert_int_equal(text.data[text.length - 1], '\n');
    text_fini(&text);
    return object;
}

static void test_the_fields_are_there_also_when_empty(void **state)
{
    (void)state;
    struct report report;
    report_init(&report);
    json_t *object = parsed(&report);
    assert_int_equal(json_integer_value(json_object_get(object, "exitCode")), 0);
    assert_string_equal(json_string_value(json_object_get(object, "message")), "");
    assert_string_equal(json_string_value(json_object_get(object, "error")), "");
    assert_int_equal(json_object_size(object), 3);
    json_decref(object);
    report_fini(&report);
}

static void test_a_table_is_an_array_of_objects_and_equal_names_are_one(void **state)
{
    (void)state;
    struct report report;
    report_init(&report);
    for (int i = 0; i < 2; i++) {
        Gemel__Table *table = report_table(&report, "routes", "title", (const char *[]){"gateway", "primary", NULL});
        report_row(&report, table, (const char *[]){report_cell(&report, "gw.%d", i), "yes"});
    }
    (void)report_table(&report, "empty", NULL, (const char *[]){"x", NULL});
    (void)report_fail(&report, CLI_EXIT_PARTLY, "do \"this\"");
    json_t *object = parsed(&report);
    const json_t *routes = json_object_get(object, "routes");
    assert_int_equal(json_array_size(routes), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(routes, 1), "gateway")), "gw.1");
    assert_string_equal(json_string_value(json_object_get(json_array_get(routes, 0), "primary")), "yes");
    assert_int_equal(json_array_size(json_object_get(object, "empty")), 0);
    assert_int_equal(json_integer_value(json_object_get(object, "exitCode")), 3);
    assert_string_equal(json_string_value(json_object_get(object, "error")), "do \"this\"");
    json_decref(object);
    report_fini(&report);
}

static void test_bytes_that_are_no_utf8_make_no_broken_json(void **state)
{
    (void)state;
    struct report report;
    report_init(&report);
    report_message(&report, "\xff"
                            "a\nb");
    Gemel__Table *table = report_table(&report, "t", NULL, (const char *[]){"c", NULL});
    report_row(&report, table, (const char *[]){"\xc3("});
    report_row(&report, table, (const char *[]){"\033[1m"});
    table->rows[1]->n_cells = 1;
    json_t *object = parsed(&report);
    assert_string_equal(json_string_value(json_object_get(object, "message")), "?a b");
    const json_t *rows = json_object_get(object, "t");
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "c")), "?(");
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "c")), "\033[1m");
    json_decref(object);
    report_fini(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_fields_are_there_also_when_empty),
        cmocka_unit_test(test_a_table_is_an_array_of_objects_and_equal_names_are_one),
        cmocka_unit_test(test_bytes_that_are_no_utf8_make_no_broken_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
