/* libs: gemel_wire gemel_base */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/wire/rows.h"
#include "tests/unit/testing.h"

static const struct rows_cell samples[] = {
    {.kind = ROWS_NULL},
    {.kind = ROWS_INTEGER, .integer = INT64_MIN},
    {.kind = ROWS_INTEGER, .integer = 1764000000000000000},
    {.kind = ROWS_REAL, .real = -0.1},
    {.kind = ROWS_TEXT, .bytes = (const uint8_t *)"", .size = 0},
    {.kind = ROWS_TEXT, .bytes = (const uint8_t *)"gemel", .size = 5},
    {.kind = ROWS_BLOB, .bytes = (const uint8_t *)"\0\1\2", .size = 3},
    {.kind = ROWS_INTEGER, .integer = -1},
};

enum {
    SAMPLES = sizeof samples / sizeof samples[0]
};

static void write_samples(struct rows_writer *writer)
{
    rows_writer_init(writer, 4096);
    for (size_t i = 0; i < SAMPLES; i++)
        assert_int_equal(rows_write(writer, &samples[i]), 0);
}

static void test_cells_come_back_as_they_were_written(void **state)
{
    (void)state;
    struct rows_writer writer;
    write_samples(&writer);
    assert_int_equal(rows_check(writer.bytes, writer.size, SAMPLES / 2, 2), 0);
    struct rows_reader reader = {.at = writer.bytes, .left = writer.size};
    struct rows_cell cell;
    for (size_t i = 0; i < SAMPLES; i++) {
        assert_int_equal(rows_read(&reader, &cell), 0);
        assert_int_equal(cell.kind, samples[i].kind);
        assert_true(cell.integer == samples[i].integer);
        assert_true(fabs(cell.real - samples[i].real) < 1e-300);
        assert_int_equal(cell.size, samples[i].size);
        if (cell.size > 0)
            assert_memory_equal(cell.bytes, samples[i].bytes, cell.size);
    }
    assert_int_equal(rows_read(&reader, &cell), -ENODATA);
    rows_writer_fini(&writer);
}

static void test_rows_that_are_cut_anywhere_are_refused(void **state)
{
    (void)state;
    struct rows_writer writer;
    write_samples(&writer);
    for (size_t size = 0; size < writer.size; size++) {
        /* A copy of exactly that size, so that a sanitizer sees a read behind it. */
        uint8_t *cut = memory_copy(writer.bytes, size);
        assert_int_equal(rows_check(cut, size, SAMPLES, 1), -EBADMSG);
        memory_free(cut);
    }
    rows_writer_fini(&writer);
}

static void test_counts_that_do_not_match_the_bytes_are_refused(void **state)
{
    (void)state;
    struct rows_writer writer;
    write_samples(&writer);
    assert_int_equal(rows_check(writer.bytes, writer.size, SAMPLES - 1, 1), -EBADMSG);
    assert_int_equal(rows_check(writer.bytes, writer.size, SAMPLES + 1, 1), -EBADMSG);
    assert_int_equal(rows_check(writer.bytes, writer.size, UINT32_MAX, UINT32_MAX), -EBADMSG);
    assert_int_equal(rows_check(writer.bytes, writer.size, UINT32_MAX, 1), -EBADMSG);
    assert_int_equal(rows_check(writer.bytes, writer.size, 1, ROWS_COLUMNS_MAX + 1), -EBADMSG);
    assert_int_equal(rows_check(NULL, 0, 0, 0), 0);
    rows_writer_fini(&writer);
}

static void test_garbage_never_reads_beyond_its_end(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        size_t size = (seed >> 8) % 40;
        uint8_t *bytes = memory_alloc(size);
        for (size_t i = 0; i < size; i++) {
            seed = seed * 1664525 + 1013904223;
            bytes[i] = (uint8_t)((seed >> 24) % 7);
        }
        struct rows_reader reader = {.at = bytes, .left = size};
        struct rows_cell cell;
        while (rows_read(&reader, &cell) == 0)
            assert_true(cell.size <= size);
        seed = seed * 1664525 + 1013904223;
        memory_free(bytes);
    }
}

static void test_a_writer_stops_at_its_bound(void **state)
{
    (void)state;
    struct rows_writer writer;
    rows_writer_init(&writer, 10);
    assert_int_equal(rows_write(&writer, &samples[1]), 0);
    assert_int_equal(rows_write(&writer, &samples[1]), -EMSGSIZE);
    assert_int_equal(rows_write(&writer, &samples[0]), 0);
    assert_int_equal(rows_write(&writer, &samples[0]), -EMSGSIZE);
    assert_int_equal(writer.size, 10);
    rows_writer_fini(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells_come_back_as_they_were_written),
        cmocka_unit_test(test_rows_that_are_cut_anywhere_are_refused),
        cmocka_unit_test(test_counts_that_do_not_match_the_bytes_are_refused),
        cmocka_unit_test(test_garbage_never_reads_beyond_its_end),
        cmocka_unit_test(test_a_writer_stops_at_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
