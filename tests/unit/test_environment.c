/* libs: gemel_worker gemel_link gemel_wire gemel_base */
#include <errno.h>
#include <string.h>

#include "tests/unit/testing.h"
#include "worker/environment.h"

/* What the next environment_read finds: names and values by turns. */
static const char *const *variables;

static const char *get(const char *name)
{
    for (size_t i = 0; variables[i] != NULL; i += 2)
        if (strcmp(variables[i], name) == 0)
            return variables[i + 1];
    return NULL;
}

static void test_a_whole_environment_is_read(void **state)
{
    (void)state;
    static const char *const whole[] = {
        "GEMEL_PROCESS",
        "Demo.1.rdb.2",
        "GEMEL_TOKEN",
        "7-9",
        "GEMEL_HOST",
        "127.0.0.2",
        "GEMEL_PORT",
        "41222",
        "GEMEL_DAEMON",
        "unix:/run/daemon.sock",
        "GEMEL_DATA",
        "/data",
        "WATCHDOG_USEC",
        "3000000",
        "GEMEL_OPTIONS",
        "timeout=30\npub-mode=timer\nempty=\nodd=a=b",
        "GEMEL_TABLES",
        "T\tsym\ttime\ttime:timestamp:sorted,sym:symbol:,v:long\nU\tid\t\tid:guid:unique\n",
        NULL};
    struct environment read;
    variables = whole;
    assert_int_equal(environment_read(&read, get, NULL), 0);
    assert_string_equal(read.name, "Demo.1.rdb.2");
    assert_int_equal(read.id.instance, 1);
    assert_int_equal(read.token.start, 9);
    assert_string_equal(read.listen, "127.0.0.2:41222");
    assert_string_equal(read.run_folder, "/data");
    assert_int_equal(read.watchdog_ms, 3000);
    assert_null(read.notify_socket);
    assert_string_equal(environment_option(&read, "timeout"), "30");
    assert_string_equal(environment_option(&read, "empty"), "");
    assert_string_equal(environment_option(&read, "odd"), "a=b");
    assert_null(environment_option(&read, "missing"));
    assert_int_equal(read.table_count, 2);
    assert_int_equal(read.tables[0].column_count, 3);
    assert_string_equal(read.tables[0].time_column, "time");
    assert_string_equal(read.tables[0].columns[0].attribute, "sorted");
    assert_string_equal(read.tables[0].columns[1].attribute, "");
    assert_string_equal(read.tables[0].columns[2].attribute, "");
    assert_string_equal(read.tables[1].time_column, "");
    environment_fini(&read);
}

static void test_a_name_alone_is_enough(void **state)
{
    (void)state;
    static const char *const alone[] = {"GEMEL_PROCESS", "Demo.0.echo.0", NULL};
    struct environment read;
    variables = alone;
    assert_int_equal(environment_read(&read, get, NULL), 0);
    assert_string_equal(read.listen, "127.0.0.1:0");
    assert_null(read.daemon);
    assert_int_equal(read.option_count + read.table_count, 0);
    environment_fini(&read);
}

static void test_what_is_malformed_is_named(void **state)
{
    (void)state;
    static const char *const wrong[][5] = {
        {NULL},
        {"GEMEL_PROCESS", "Demo.rdb", NULL},
        {"GEMEL_PROCESS", "Demo.0.rdb.0", "GEMEL_TOKEN", "7", NULL},
        {"GEMEL_PROCESS", "Demo.0.rdb.0", "GEMEL_OPTIONS", "timeout", NULL},
        {"GEMEL_PROCESS", "Demo.0.rdb.0", "GEMEL_TABLES", "T\tsym\ttime", NULL},
        {"GEMEL_PROCESS", "Demo.0.rdb.0", "GEMEL_TABLES", "T\tsym\ttime\tonly-a-name", NULL},
    };
    static const char *const words[] = {"GEMEL_PROCESS", "GEMEL_PROCESS", "GEMEL_TOKEN",
                                        "GEMEL_OPTIONS", "GEMEL_TABLES",  "GEMEL_TABLES"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct environment read;
        struct error error = {0};
        variables = wrong[i];
        assert_int_equal(environment_read(&read, get, &error), -EINVAL);
        assert_non_null(strstr(error.sentence, words[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_environment_is_read),
        cmocka_unit_test(test_a_name_alone_is_enough),
        cmocka_unit_test(test_what_is_malformed_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
