/* libs: gemel_journal gemel_base */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/crc32c.h"
#include "common/base/memory.h"
#include "common/journal/journal.h"
#include "tests/unit/testing.h"

struct fixture {
    uv_loop_t loop;
    char folder[64];
    struct journal *journal;
    uint64_t synced;
    int sync_result;
    /* what on_record saw */
    size_t records;
    int64_t last;
    bool in_order;
};

static void on_record(void *owner, size_t segment, uint64_t position, const struct record *record)
{
    struct fixture *fixture = owner;
    (void)segment;
    (void)position;
    fixture->records++;
    fixture->in_order = fixture->in_order && record->ints[0] == fixture->last + 1;
    fixture->last = record->ints[0];
}

static void on_synced(void *owner, uint64_t position, int result)
{
    struct fixture *fixture = owner;
    fixture->synced = position;
    fixture->sync_result = result;
}

static int try_open(struct fixture *fixture, uint64_t segment_bytes, struct journal_torn *torn, struct error *error)
{
    struct journal_options options = {.folder = fixture->folder,
                                      .segment_bytes = segment_bytes,
                                      .on_record = on_record,
                                      .on_synced = on_synced,
                                      .owner = fixture};
    fixture->records = 0;
    fixture->last = 0;
    fixture->in_order = true;
    return journal_open(&fixture->journal, &fixture->loop, &options, torn, error);
}

static void reopen(struct fixture *fixture, uint64_t segment_bytes, struct journal_torn *torn)
{
    struct error error = {0};
    assert_int_equal(try_open(fixture, segment_bytes, torn, &error), 0);
}

static void shut(struct fixture *fixture)
{
    journal_close(&fixture->journal);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_alloc(sizeof *fixture);
    uv_loop_init(&fixture->loop);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/gemel-journal-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    char path[512];
    shut(fixture);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    DIR *folder = opendir(fixture->folder);
    const struct dirent *entry = NULL;
    while ((entry = readdir(folder)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", fixture->folder, entry->d_name);
        unlink(path);
    }
    closedir(folder);
    rmdir(fixture->folder);
    memory_free(fixture);
    return 0;
}

static struct record batch(int64_t sequence, const char *rows)
{
    return (struct record){
        .op = RECORD_BATCH,
        .int_count = 3,
        .string_count = 3,
        .tag = 9,
        .ints = {sequence, 2, 3},
        .strings = {{(const uint8_t *)"feed", 4}, {(const uint8_t *)"", 0}, {(const uint8_t *)rows, strlen(rows)}},
    };
}

static void append(struct fixture *fixture, int64_t first, int64_t last)
{
    for (int64_t i = first; i <= last; i++) {
        struct record record = batch(i, "some rows");
        assert_int_equal(journal_append(fixture->journal, &record), 0);
    }
}

static void first_segment(const struct fixture *fixture, char path[128])
{
    snprintf(path, 128, "%s/00000000000000000000.journal", fixture->folder);
}

static void test_a_record_has_the_documented_bytes(void **state)
{
    (void)state;
    static const uint8_t head[] = {0, 0, 0, 33, 1, 2, 0, 1,   0,   0,   0,   0,   0,   0,   0,   7,  0,
                                   0, 0, 0, 0,  0, 0, 9, '/', 'd', 'a', 't', 'a', '/', 'f', 'o', 'o'};
    struct record record = {
        .op = RECORD_REMOVE, .string_count = 1, .tag = 7, .strings = {{(const uint8_t *)"/data/foo", 9}}};
    uint8_t bytes[64];
    assert_int_equal(record_size(&record), 37);
    uint32_t checksum = record_encode(&record, 0, bytes);
    assert_memory_equal(bytes, head, sizeof head);
    assert_int_equal(checksum, crc32c(head, sizeof head));
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(bytes[33 + i], checksum >> (24 - 8 * i) & 0xff);
}

static void test_a_record_is_refused_when_any_bit_of_it_or_its_seed_changes(void **state)
{
    (void)state;
    struct record record = batch(5, "rows");
    struct record read;
    uint8_t bytes[256];
    size_t size = record_size(&record);
    size_t taken = 0;
    uint32_t checksum = 0;
    record_encode(&record, 99, bytes);
    assert_int_equal(record_decode(bytes, size, 99, &read, &taken, &checksum), 0);
    assert_int_equal(taken, size);
    assert_int_equal(read.ints[0], 5);
    assert_memory_equal(read.strings[2].bytes, "rows", 4);
    assert_int_equal(record_decode(bytes, size, 98, &read, &taken, &checksum), -EBADMSG);
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(record_decode(bytes, size, 99, &read, &taken, &checksum) != 0);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(record_decode(bytes, cut, 99, &read, &taken, &checksum), -EAGAIN);
}

static void test_what_was_appended_is_there_after_a_restart_and_is_told_when_durable(void **state)
{
    struct fixture *fixture = *state;
    reopen(fixture, 0, NULL);
    append(fixture, 1, 100);
    while (fixture->synced < journal_end(fixture->journal))
        uv_run(&fixture->loop, UV_RUN_ONCE);
    assert_int_equal(fixture->sync_result, 0);
    uint64_t end = journal_end(fixture->journal);
    shut(fixture);
    struct journal_torn torn;
    reopen(fixture, 0, &torn);
    assert_int_equal(torn.bytes, 0);
    assert_int_equal(fixture->records, 100);
    assert_true(fixture->in_order);
    assert_int_equal(journal_end(fixture->journal), end);
    append(fixture, 101, 101);
    shut(fixture);
    reopen(fixture, 0, NULL);
    assert_int_equal(fixture->records, 101);
}

static void test_segments_follow_each_other_and_a_cursor_crosses_them(void **state)
{
    struct fixture *fixture = *state;
    reopen(fixture, 500, NULL);
    append(fixture, 1, 50);
    assert_true(journal_segment_count(fixture->journal) > 5);
    struct journal_cursor *cursor = NULL;
    struct record record;
    assert_int_equal(journal_cursor_open(&cursor, fixture->journal, 0), 0);
    for (int64_t i = 1; i <= 50; i++) {
        assert_int_equal(journal_cursor_next(cursor, &record), 0);
        assert_int_equal(record.ints[0], i);
    }
    assert_int_equal(journal_cursor_next(cursor, &record), -ENODATA);
    append(fixture, 51, 60);
    for (int64_t i = 51; i <= 60; i++) {
        assert_int_equal(journal_cursor_next(cursor, &record), 0);
        assert_int_equal(record.ints[0], i);
    }
    assert_int_equal(journal_cursor_next(cursor, &record), -ENODATA);
    assert_int_equal(journal_cursor_position(cursor), journal_end(fixture->journal));
    journal_cursor_close(&cursor);
    shut(fixture);
    reopen(fixture, 500, NULL);
    assert_int_equal(fixture->records, 60);
    assert_true(fixture->in_order);
}

static void test_a_tail_torn_at_any_byte_is_cut_and_kept_aside(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    struct stat status;
    reopen(fixture, 0, NULL);
    append(fixture, 1, 2);
    uint64_t two = journal_end(fixture->journal);
    append(fixture, 3, 3);
    uint64_t three = journal_end(fixture->journal);
    shut(fixture);
    first_segment(fixture, path);
    uint8_t *whole = memory_alloc(three);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, whole, three, 0), (ssize_t)three);
    for (uint64_t cut = two + 1; cut < three; cut++) {
        struct journal_torn torn;
        assert_int_equal(pwrite(fd, whole, three, 0), (ssize_t)three);
        assert_int_equal(ftruncate(fd, (off_t)cut), 0);
        reopen(fixture, 0, &torn);
        assert_int_equal(fixture->records, 2);
        assert_int_equal(torn.bytes, cut - two);
        assert_int_equal(torn.position, two);
        assert_int_equal(stat(torn.kept, &status), 0);
        assert_int_equal(status.st_size, (off_t)(cut - two));
        append(fixture, 3, 3);
        shut(fixture);
        reopen(fixture, 0, NULL);
        assert_int_equal(fixture->records, 3);
        assert_true(fixture->in_order);
        shut(fixture);
    }
    close(fd);
    memory_free(whole);
}

static void test_a_tail_of_zeroes_is_torn_too(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    struct journal_torn torn;
    reopen(fixture, 0, NULL);
    append(fixture, 1, 2);
    uint64_t end = journal_end(fixture->journal);
    shut(fixture);
    first_segment(fixture, path);
    assert_int_equal(truncate(path, (off_t)end + 4096), 0);
    reopen(fixture, 0, &torn);
    assert_int_equal(fixture->records, 2);
    assert_int_equal(torn.bytes, 4096);
}

static void test_damage_before_the_last_segment_is_an_error_that_names_the_place(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    struct error error = {0};
    reopen(fixture, 300, NULL);
    append(fixture, 1, 20);
    shut(fixture);
    first_segment(fixture, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "X", 1, 20), 1);
    close(fd);
    assert_int_equal(try_open(fixture, 300, NULL, &error), -EBADMSG);
    assert_non_null(strstr(error.sentence, "00000000000000000000.journal is damaged at offset 0"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(try_open(fixture, 300, NULL, &error), 0); /* older segments may be deleted */
    assert_false(fixture->in_order);
}

static void test_a_missing_segment_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    struct error error = {0};
    reopen(fixture, 10, NULL);
    append(fixture, 1, 1);
    snprintf(path, sizeof path, "%s/%020llu.journal", fixture->folder,
             (unsigned long long)journal_end(fixture->journal));
    append(fixture, 2, 5);
    shut(fixture);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(try_open(fixture, 10, NULL, &error), -EBADMSG);
    assert_non_null(strstr(error.sentence, "no segment that starts at"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_has_the_documented_bytes),
        cmocka_unit_test(test_a_record_is_refused_when_any_bit_of_it_or_its_seed_changes),
        cmocka_unit_test_setup_teardown(test_what_was_appended_is_there_after_a_restart_and_is_told_when_durable,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_segments_follow_each_other_and_a_cursor_crosses_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_tail_torn_at_any_byte_is_cut_and_kept_aside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_tail_of_zeroes_is_torn_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_before_the_last_segment_is_an_error_that_names_the_place, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_missing_segment_is_an_error, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
