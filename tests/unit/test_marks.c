/* libs: gemel_feed gemel_worker gemel_link gemel_wire gemel_base */
#include <errno.h>
#include <string.h>

#include "pipelines/feed/marks.h"
#include "tests/unit/testing.h"

static void test_a_mark_is_kept_by_publisher_and_none_is_zero(void **state)
{
    (void)state;
    struct marks marks = {0};
    assert_int_equal(marks_get(&marks, "one"), 0);
    assert_int_equal(marks_set(&marks, "one", 5), 0);
    assert_int_equal(marks_set(&marks, "two", 7), 0);
    assert_int_equal(marks_get(&marks, "one"), 5);
    assert_int_equal(marks_total(&marks), 12);
    assert_int_equal(marks_set(&marks, "", 1), -EINVAL);
    marks_fini(&marks);
    assert_int_equal(marks_get(&marks, "one"), 0);
}

static void test_vectors_are_compared_publisher_by_publisher(void **state)
{
    (void)state;
    struct marks ahead = {0};
    struct marks behind = {0};
    marks_set(&ahead, "one", 5);
    marks_set(&ahead, "two", 7);
    marks_set(&behind, "one", 2);
    assert_int_equal(marks_distance(&ahead, &behind), 10);
    assert_true(marks_include(&ahead, &behind));
    assert_false(marks_include(&behind, &ahead));
    marks_set(&behind, "three", 1); /* now each has something that the other lacks */
    assert_false(marks_include(&ahead, &behind));
    assert_int_equal(marks_distance(&behind, &ahead), 1);
    marks_fini(&ahead);
    marks_fini(&behind);
}

static void test_messages_are_covered_raised_and_exported(void **state)
{
    (void)state;
    struct arena arena;
    struct marks marks = {0};
    struct marks copy = {0};
    size_t count = 0;
    arena_init(&arena);
    marks_set(&marks, "one", 5);
    marks_set(&marks, "two", 7);
    Gemel__Mark **exported = marks_export(&marks, &arena, &count);
    assert_int_equal(count, 2);
    assert_true(marks_cover(&marks, exported, count));
    assert_false(marks_cover(&copy, exported, count));
    marks_set(&copy, "one", 9);
    marks_raise(&copy, exported, count);
    assert_int_equal(marks_get(&copy, "one"), 9); /* never lowered */
    assert_int_equal(marks_get(&copy, "two"), 7);
    marks_copy(&copy, &marks);
    assert_int_equal(marks_get(&copy, "one"), 5);
    arena_fini(&arena);
    marks_fini(&marks);
    marks_fini(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mark_is_kept_by_publisher_and_none_is_zero),
        cmocka_unit_test(test_vectors_are_compared_publisher_by_publisher),
        cmocka_unit_test(test_messages_are_covered_raised_and_exported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
