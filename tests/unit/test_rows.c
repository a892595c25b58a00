/* libs: gemel_cli_data */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/csv.h"
#include "cli/row_maker.h"
#include "tests/unit/testing.h"

static FILE *file_of(const char *content, size_t size)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, size, file), size);
    rewind(file);
    return file;
}

/* Reads one record of `content` and returns what csv_read returned. */
static int read_one(const char *content, struct csv *csv, struct error *error, FILE **file)
{
    *file = file_of(content, strlen(content));
    csv_init(csv, *file, "f.csv");
    return csv_read(csv, error);
}

static void done(struct csv *csv, FILE *file)
{
    csv_fini(csv);
    assert_int_equal(fclose(file), 0);
}

static void test_quotes_hold_commas_quotes_and_line_ends(void **state)
{
    (void)state;
    struct csv csv;
    struct error error = {0};
    FILE *file;
    assert_int_equal(read_one("a,\"b,\"\"c\"\"\nd\",\r\n\n\"last\",x", &csv, &error, &file), 1);
    assert_int_equal(csv.field_count, 3);
    assert_string_equal(csv_field(&csv, 0), "a");
    assert_string_equal(csv_field(&csv, 1), "b,\"c\"\nd");
    assert_string_equal(csv_field(&csv, 2), "");
    assert_int_equal(csv_read(&csv, &error), 1);
    assert_int_equal(csv.line, 4);
    assert_int_equal(csv.field_count, 2);
    assert_string_equal(csv_field(&csv, 0), "last");
    assert_string_equal(csv_field(&csv, 1), "x");
    assert_int_equal(csv_read(&csv, &error), 0);
    done(&csv, file);
}

static void test_a_broken_file_is_named_with_its_line(void **state)
{
    (void)state;
    static const char *const bad[] = {"\n\"open\n\n", "\n\"a\"b,c\n"};
    for (size_t i = 0; i < 2; i++) {
        struct csv csv;
        struct error error = {0};
        FILE *file;
        assert_int_equal(read_one(bad[i], &csv, &error, &file), -EINVAL);
        assert_string_equal(error.file, "f.csv");
        assert_int_equal(error.line, 2);
        done(&csv, file);
    }
    struct csv csv;
    struct error error = {0};
    FILE *file = file_of("a\0b\n", 4);
    csv_init(&csv, file, "f.csv");
    assert_int_equal(csv_read(&csv, &error), -EINVAL);
    done(&csv, file);
}

static void assert_read(const char *type, const char *text, int64_t expected)
{
    struct error error = {0};
    struct gemel_value value;
    const struct gemel_column column = {.name = "c", .type = type};
    if (row_maker_read(&column, text, &value, &error) != 0)
        fail_msg("%s '%s': %s", type, text, error.sentence);
    assert_int_equal(value.kind, GEMEL_INTEGER);
    assert_int_equal(value.integer, expected);
}

static void assert_refused(const char *type, const char *text)
{
    struct error error = {0};
    struct gemel_value value;
    const struct gemel_column column = {.name = "c", .type = type};
    if (row_maker_read(&column, text, &value, &error) != -EINVAL)
        fail_msg("%s '%s' was read", type, text);
    assert_non_null(strstr(error.sentence, "column 'c' wants a"));
}

static void test_texts_are_read_by_the_type_of_their_column(void **state)
{
    (void)state;
    assert_read("timestamp", "1795209002123456789", INT64_C(1795209002123456789));
    assert_read("timestamp", "2026-11-21T21:10:02.123456789Z", INT64_C(1795295402123456789));
    assert_read("timestamp", "2026.11.21D21:10:02.5", INT64_C(1795295402500000000));
    assert_read("timestamp", "1970-01-01", 0);
    assert_read("timestamp", "1969-12-31 23:59:59", INT64_C(-1000000000));
    assert_read("date", "2000-03-01", 11017);
    assert_read("date", "11017", 11017);
    assert_read("boolean", "true", 1);
    assert_read("boolean", "no", 0);
    assert_read("byte", "255", 255);
    assert_read("short", "-32768", -32768);
    assert_read("long", "-9223372036854775808", INT64_MIN);
    assert_refused("timestamp", "yesterday");
    assert_refused("timestamp", "2026-13-01");
    assert_refused("timestamp", "2026-11-21T24:00:00");
    assert_refused("timestamp", "9999-01-01");
    assert_refused("date", "2026-11-21T00:00:00");
    assert_refused("boolean", "2");
    assert_refused("byte", "256");
    assert_refused("byte", "-1");
    assert_refused("short", "32768");
    assert_refused("int", "1.5");
    assert_refused("long", "9223372036854775808");
    assert_refused("float", "one");
    assert_refused("float", "inf");
}

static void test_an_empty_text_is_null(void **state)
{
    (void)state;
    struct error error = {0};
    struct gemel_value value;
    const struct gemel_column column = {.name = "c", .type = "long"};
    assert_int_equal(row_maker_read(&column, "", &value, &error), 0);
    assert_int_equal(value.kind, GEMEL_NULL);
}

static void test_made_up_values_fit_their_type_and_repeat_with_their_seed(void **state)
{
    (void)state;
    static const char *const types[] = {"timestamp", "date", "symbol", "string", "char",  "boolean", "byte",
                                        "short",     "int",  "long",   "real",   "float", "guid"};
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const struct gemel_column column = {.name = "c", .type = types[i]};
        for (uint64_t seed = 0; seed < 1000; seed++) {
            const struct gemel_value one = row_maker_generate(&column, seed, 86400000000001, &arena);
            const struct gemel_value same = row_maker_generate(&column, seed, 86400000000001, &arena);
            assert_int_equal(one.kind, same.kind);
            assert_int_equal(one.integer, same.integer);
            assert_int_equal(one.size, same.size);
            assert_true(one.kind != GEMEL_TEXT || memcmp(one.bytes, same.bytes, one.size) == 0);
            if (strcmp(types[i], "timestamp") == 0)
                assert_int_equal(one.integer, 86400000000001);
            if (strcmp(types[i], "date") == 0)
                assert_int_equal(one.integer, 1);
            if (strcmp(types[i], "boolean") == 0)
                assert_true(one.integer == 0 || one.integer == 1);
            if (strcmp(types[i], "byte") == 0)
                assert_true(one.integer >= 0 && one.integer <= 255);
            if (strcmp(types[i], "guid") == 0)
                assert_int_equal(one.size, 36);
        }
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quotes_hold_commas_quotes_and_line_ends),
        cmocka_unit_test(test_a_broken_file_is_named_with_its_line),
        cmocka_unit_test(test_texts_are_read_by_the_type_of_their_column),
        cmocka_unit_test(test_an_empty_text_is_null),
        cmocka_unit_test(test_made_up_values_fit_their_type_and_repeat_with_their_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
