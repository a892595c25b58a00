/* libs: gemel_yaml gemel_base */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bounds.h"
#include "common/base/memory.h"
#include "common/yaml/scalar.h"
#include "common/yaml/tree.h"
#include "tests/unit/testing.h"

static int parse(struct tree *tree, const char *text, struct text *printed)
{
    struct error_list mistakes = {0};
    int result = tree_parse(tree, "f.yaml", text, strlen(text), &mistakes);
    text_init(printed, 10000);
    error_list_print(&mistakes, printed);
    error_list_fini(&mistakes);
    return result;
}

static void test_nodes_know_their_places(void **state)
{
    (void)state;
    struct tree tree;
    struct text printed;
    assert_int_equal(parse(&tree, "a:\n  - one\n  - k: \"v\"\nb: &x [1, 2]\nc: *x\nd:\n", &printed), 0);
    const struct tree_node *list = tree_find(tree.root, "a");
    assert_int_equal(list->kind, TREE_LIST);
    assert_int_equal(list->count, 2);
    assert_string_equal(list->entries[0].value->text, "one");
    assert_int_equal(list->entries[0].value->line, 2);
    assert_int_equal(list->entries[0].value->column, 5);
    const struct tree_node *value = tree_find(list->entries[1].value, "k");
    assert_string_equal(value->text, "v");
    assert_false(value->plain);
    assert_int_equal(value->line, 3);
    assert_int_equal(value->column, 8);
    assert_int_equal(tree.root->entries[1].line, 4);
    assert_int_equal(tree.root->entries[1].column, 1);
    assert_ptr_equal(tree_find(tree.root, "b"), tree_find(tree.root, "c"));
    assert_true(tree_is_null(tree_find(tree.root, "d")));
    assert_null(tree_find(tree.root, "e"));
    assert_null(tree_find(list, "e"));
    tree_fini(&tree);
    text_fini(&printed);
}

static void test_each_mistake_has_its_place_and_its_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *printed;
        bool is_read; /* to its end, in spite of the mistake */
    } cases[] = {
        {"", "f.yaml:1:1: the file is empty, got 'nothing'\n"},
        {"# only\n", "f.yaml:1:1: the file is empty, got 'nothing'\n"},
        {"a: 1\nb:\n  c: 1\n  c: 2\na: 3\n",
         "f.yaml:4:3: the key was given before, in line 3, got 'c'\n"
         "f.yaml:5:1: the key was given before, in line 1, got 'a'\n",
         true},
        {"a:\n\tb: 1\n  \tc: 2\n", "f.yaml:2:1: indent with spaces, got 'a tab'\n"
                                   "f.yaml:3:3: indent with spaces, got 'a tab'\n"},
        {"a: [1, 2\n", "f.yaml:2:1: not YAML: while parsing a flow sequence, did not find expected ',' or ']'\n"},
        {"a: *b\n", "f.yaml:1:4: the alias has no finished anchor before it, got 'b'\n"},
        {"a: &b [*b]\n", "f.yaml:1:8: the alias has no finished anchor before it, got 'b'\n"},
        {"[1]: 2\n", "f.yaml:1:1: a key must be a plain word, got 'a list'\n"},
        {"a: !!int 3\n", "f.yaml:1:4: tags have no meaning here, got 'tag:yaml.org,2002:int'\n", true},
        {"a: 1\n---\nb: 1\n", "f.yaml:2:1: a file holds one document, got '---'\n"},
        {"a: 1\nb: \xff\n", "f.yaml:2:4: the file is not UTF-8 text, got byte '255'\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tree tree;
        struct text printed;
        assert_int_equal(parse(&tree, cases[i].text, &printed), cases[i].is_read ? 0 : -EINVAL);
        assert_string_equal(printed.data, cases[i].printed);
        text_fini(&printed);
        if (cases[i].is_read)
            tree_fini(&tree);
    }
}

static void test_the_value_of_a_double_key_is_left_out(void **state)
{
    (void)state;
    struct tree tree;
    struct text printed;
    assert_int_equal(parse(&tree, "a: 1\nb: {c: [1, 2]}\nb: {c: 3}\nd: 4\n", &printed), 0);
    assert_int_equal(tree.root->count, 3);
    assert_int_equal(tree_find(tree_find(tree.root, "b"), "c")->kind, TREE_LIST);
    assert_string_equal(tree_find(tree.root, "d")->text, "4");
    tree_fini(&tree);
    text_fini(&printed);
}

static void test_depth_is_32_and_not_more(void **state)
{
    (void)state;
    char text[200] = "";
    struct tree tree;
    struct text printed;
    for (int i = 0; i < TREE_DEPTH_MAX; i++)
        strcat(text, "[");
    for (int i = 0; i < TREE_DEPTH_MAX; i++)
        strcat(text, "]");
    assert_int_equal(parse(&tree, text, &printed), 0);
    tree_fini(&tree);
    text_fini(&printed);
    memmove(text + 1, text, strlen(text) + 1);
    strcat(text, "]");
    assert_int_equal(parse(&tree, text, &printed), -EINVAL);
    assert_string_equal(printed.data, "f.yaml:1:33: lists and maps are more than 32 deep, got 'a list'\n");
    text_fini(&printed);
}

static void test_aliases_that_would_fill_the_memory_are_refused(void **state)
{
    (void)state;
    struct tree tree;
    struct text text;
    struct text printed;
    text_init(&text, 100000);
    text_printf(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i <= 9; i++)
        text_printf(&text, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1,
                    i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    assert_int_equal(parse(&tree, text.data, &printed), -EINVAL);
    assert_non_null(strstr(printed.data, "aliases make the document too large, got 'a list'"));
    text_fini(&printed);
    text_clear(&text);
    text_printf(&text, "a: &a x\nb:\n");
    for (int i = 0; i < TREE_ALIASES_MAX; i++)
        text_printf(&text, "  - *a\n");
    assert_int_equal(parse(&tree, text.data, &printed), 0);
    tree_fini(&tree);
    text_fini(&printed);
    text_printf(&text, "  - *a\n");
    assert_int_equal(parse(&tree, text.data, &printed), -EINVAL);
    assert_string_equal(printed.data, "f.yaml:103:5: the file has more than 100 aliases, got 'a'\n");
    text_fini(&printed);
    text_fini(&text);
}

static void test_a_file_of_more_than_1_mib_is_refused(void **state)
{
    (void)state;
    size_t length = LAYOUT_FILE_BYTES_MAX + 1;
    char *bytes = memory_alloc(length);
    memset(bytes, ' ', length);
    bytes[0] = 'a';
    struct error_list mistakes = {0};
    struct tree tree;
    assert_int_equal(tree_parse(&tree, "f.yaml", bytes, length, &mistakes), -EINVAL);
    assert_string_equal(mistakes.items[0].sentence, "the file is larger than 1 MiB, got '1048577' bytes");
    assert_int_equal(tree_parse(&tree, "f.yaml", bytes, length - 1, &mistakes), 0);
    tree_fini(&tree);
    error_list_fini(&mistakes);
    memory_free(bytes);
}

static void test_numbers_take_underscores_between_digits_only(void **state)
{
    (void)state;
    int64_t value = 0;
    assert_int_equal(scalar_integer("1_000_000_000", &value), 0);
    assert_int_equal(value, 1000000000);
    assert_int_equal(scalar_integer("-7", &value), 0);
    assert_int_equal(value, -7);
    const char *bad[] = {"", "-", "_1", "1_", "1__0", "1.5", "0x10", " 1", "1 "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(scalar_integer(bad[i], &value), -EINVAL);
    assert_int_equal(scalar_integer("9223372036854775808", &value), -ERANGE);
    assert_int_equal(scalar_integer("9223372036854775807", &value), 0);
}

static void test_a_bare_duration_has_the_unit_of_its_key(void **state)
{
    (void)state;
    int64_t ns = 0;
    static const struct {
        const char *text;
        enum scalar_unit bare;
        int64_t ns;
    } cases[] = {
        {"250ms", UNIT_S, 250000000},   {"30s", UNIT_MS, 30000000000},   {"15m", UNIT_MS, 900000000000},
        {"2h", UNIT_MS, 7200000000000}, {"1d", UNIT_MS, 86400000000000}, {"5us", UNIT_MS, 5000},
        {"100", UNIT_MS, 100000000},    {"30", UNIT_S, 30000000000},     {"1_000_000_000", UNIT_NS, 1000000000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(scalar_duration(cases[i].text, cases[i].bare, &ns), 0);
        assert_true(ns == cases[i].ns);
    }
    assert_int_equal(scalar_duration("10 s", UNIT_MS, &ns), -EINVAL);
    assert_int_equal(scalar_duration("10sec", UNIT_MS, &ns), -EINVAL);
    assert_int_equal(scalar_duration("-1s", UNIT_MS, &ns), -EINVAL);
    assert_int_equal(scalar_duration("", UNIT_MS, &ns), -EINVAL);
    assert_int_equal(scalar_duration("999999999999d", UNIT_MS, &ns), -ERANGE);
}

static void test_a_time_of_day_is_within_the_day(void **state)
{
    (void)state;
    int64_t ms = 0;
    assert_int_equal(scalar_time_of_day("00:00:00.001", &ms), 0);
    assert_int_equal(ms, 1);
    assert_int_equal(scalar_time_of_day("23:59:59", &ms), 0);
    assert_int_equal(ms, 86399000);
    const char *bad[] = {"24:00:00", "00:60:00", "00:00:60", "0:00:00", "00:00", "00:00:00.1", "00:00:00.0001", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(scalar_time_of_day(bad[i], &ms), -EINVAL);
}

static void test_yes_and_no_are_words_and_not_numbers(void **state)
{
    (void)state;
    bool value = false;
    assert_int_equal(scalar_bool("true", &value), 0);
    assert_true(value);
    assert_int_equal(scalar_bool("off", &value), 0);
    assert_false(value);
    assert_int_equal(scalar_bool("1", &value), -EINVAL);
    assert_int_equal(scalar_bool("True", &value), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes_know_their_places),
        cmocka_unit_test(test_each_mistake_has_its_place_and_its_sentence),
        cmocka_unit_test(test_the_value_of_a_double_key_is_left_out),
        cmocka_unit_test(test_depth_is_32_and_not_more),
        cmocka_unit_test(test_aliases_that_would_fill_the_memory_are_refused),
        cmocka_unit_test(test_a_file_of_more_than_1_mib_is_refused),
        cmocka_unit_test(test_numbers_take_underscores_between_digits_only),
        cmocka_unit_test(test_a_bare_duration_has_the_unit_of_its_key),
        cmocka_unit_test(test_a_time_of_day_is_within_the_day),
        cmocka_unit_test(test_yes_and_no_are_words_and_not_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
