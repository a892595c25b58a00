/* libs: gemel_store */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/store/store.h"
#include "tests/unit/testing.h"

struct stage {
    uv_loop_t loop;
    char folder[64];
    char path[96];
    struct store *store;
    /* what was seen */
    int told;
    int result;
    char sentence[256];
    int order[16];
    uv_sem_t gate;
};

static const char *const MIGRATIONS[] = {
    "CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)",
    "CREATE TABLE u (id INTEGER PRIMARY KEY REFERENCES t (id)); INSERT INTO t VALUES (1, 'first')",
};

static int begin(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    if (stage == NULL || uv_loop_init(&stage->loop) != 0 || uv_sem_init(&stage->gate, 0) != 0)
        return -1;
    snprintf(stage->folder, sizeof stage->folder, "/tmp/gemel-store-XXXXXX");
    if (mkdtemp(stage->folder) == NULL)
        return -1;
    snprintf(stage->path, sizeof stage->path, "%s/x.db", stage->folder);
    *state = stage;
    return 0;
}

static int end(void **state)
{
    struct stage *stage = *state;
    store_close(&stage->store);
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    int result = uv_loop_close(&stage->loop);
    uv_sem_destroy(&stage->gate);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", stage->folder, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    free(stage);
    return result;
}

static void open_store(struct stage *stage, size_t migration_count)
{
    struct error error;
    assert_int_equal(store_open(&stage->store, &stage->loop, stage->path, MIGRATIONS, migration_count, true, &error),
                     0);
}

static int read_count(sqlite3 *database, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int count = -1;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        count = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return count;
}

/* ---- jobs */

static int insert_row(sqlite3 *database, void *data, struct error *error)
{
    (void)data;
    return store_exec(database, "INSERT INTO t (body) VALUES ('x')", error);
}

static int insert_and_fail(sqlite3 *database, void *data, struct error *error)
{
    int result = insert_row(database, data, error);
    return result != 0 ? result : error_set(error, -ECANCELED, "on second thoughts");
}

static int break_constraint(sqlite3 *database, void *data, struct error *error)
{
    (void)data;
    return store_exec(database, "INSERT INTO u VALUES (99)", error);
}

static int fill_disk(sqlite3 *database, void *data, struct error *error)
{
    (void)data;
    return store_exec(database, "INSERT INTO t (body) VALUES (zeroblob(1000000))", error);
}

static int limit_pages(sqlite3 *database, void *data, struct error *error)
{
    (void)data;
    return store_exec(database, "PRAGMA max_page_count=20", error);
}

static int count_rows(sqlite3 *database, void *data, struct error *error)
{
    (void)error;
    *(int *)data = read_count(database, "SELECT count(*) FROM t");
    return 0;
}

static int wait_at_gate(sqlite3 *database, void *data, struct error *error)
{
    (void)database;
    (void)error;
    uv_sem_wait(data);
    return 0;
}

static int do_nothing(sqlite3 *database, void *data, struct error *error)
{
    (void)database;
    (void)data;
    (void)error;
    return 0;
}

static void note_done(void *data, int result, const struct error *error)
{
    struct stage *stage = data;
    stage->told++;
    stage->result = result;
    if (result != 0)
        snprintf(stage->sentence, sizeof stage->sentence, "%s", error->sentence);
}

static void run_until_told(struct stage *stage, int told)
{
    while (stage->told < told)
        uv_run(&stage->loop, UV_RUN_ONCE);
}

static int rows(struct stage *stage)
{
    int count = -1;
    assert_int_equal(store_run(stage->store, count_rows, &count, NULL), 0);
    return count;
}

/* ---- claims */

static void test_what_was_told_is_there_after_a_reopen_and_migrations_run_once(void **state)
{
    struct stage *stage = *state;
    open_store(stage, 1);
    assert_int_equal(store_submit(stage->store, insert_row, note_done, stage), 0);
    run_until_told(stage, 1);
    assert_int_equal(stage->result, 0);
    store_close(&stage->store);
    assert_null(stage->store);
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(stage->path, &other), SQLITE_OK);
    assert_int_equal(read_count(other, "SELECT count(*) FROM t"), 1);
    assert_int_equal(sqlite3_exec(other, "DELETE FROM t", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    open_store(stage, 2);
    store_close(&stage->store);
    open_store(stage, 2);
    assert_int_equal(rows(stage), 1);
}

static int read_pragmas(sqlite3 *database, void *data, struct error *error)
{
    (void)error;
    int *seen = data;
    seen[0] = read_count(database, "PRAGMA synchronous");
    seen[1] = read_count(database, "PRAGMA foreign_keys");
    seen[2] = read_count(database, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'");
    seen[3] = read_count(database, "PRAGMA busy_timeout");
    return 0;
}

static void test_the_database_is_durable_and_keeps_its_constraints(void **state)
{
    struct stage *stage = *state;
    int seen[4];
    open_store(stage, 2);
    assert_int_equal(store_run(stage->store, read_pragmas, seen, NULL), 0);
    assert_int_equal(seen[0], 2);
    assert_int_equal(seen[1], 1);
    assert_int_equal(seen[2], 1);
    assert_int_equal(seen[3], 5000);
    struct error error;
    assert_int_equal(store_run(stage->store, break_constraint, NULL, &error), -EEXIST);
    assert_non_null(strstr(error.sentence, "FOREIGN KEY"));
}

static void test_a_job_that_fails_leaves_nothing_behind_and_its_words_are_told(void **state)
{
    struct stage *stage = *state;
    open_store(stage, 1);
    assert_int_equal(store_submit(stage->store, insert_and_fail, note_done, stage), 0);
    run_until_told(stage, 1);
    assert_int_equal(stage->result, -ECANCELED);
    assert_string_equal(stage->sentence, "on second thoughts");
    assert_int_equal(rows(stage), 0);
    assert_int_equal(store_run(stage->store, insert_row, NULL, NULL), 0);
    assert_int_equal(rows(stage), 1);
}

static void test_a_full_disk_is_an_error_of_that_job_alone(void **state)
{
    struct stage *stage = *state;
    open_store(stage, 1);
    assert_int_equal(store_run(stage->store, limit_pages, NULL, NULL), 0);
    assert_int_equal(store_submit(stage->store, fill_disk, note_done, stage), 0);
    run_until_told(stage, 1);
    assert_int_equal(stage->result, -ENOSPC);
    assert_non_null(strstr(stage->sentence, "full"));
    assert_int_equal(store_run(stage->store, insert_row, NULL, NULL), 0);
    assert_int_equal(rows(stage), 1);
}

static void test_the_queue_has_a_bound_and_empties_again(void **state)
{
    struct stage *stage = *state;
    open_store(stage, 1);
    assert_int_equal(store_submit(stage->store, wait_at_gate, NULL, &stage->gate), 0);
    for (int i = 1; i < STORE_QUEUE_MAX; i++)
        assert_int_equal(store_submit(stage->store, do_nothing, note_done, stage), 0);
    assert_int_equal(store_queued(stage->store), STORE_QUEUE_MAX);
    assert_int_equal(store_submit(stage->store, do_nothing, note_done, stage), -EAGAIN);
    uv_sem_post(&stage->gate);
    run_until_told(stage, STORE_QUEUE_MAX - 1);
    assert_int_equal(store_queued(stage->store), 0);
    assert_int_equal(store_submit(stage->store, do_nothing, note_done, stage), 0);
    run_until_told(stage, STORE_QUEUE_MAX);
}

/* ---- order */

struct numbered {
    struct stage *stage;
    int number;
};

static void note_order(void *data, int result, const struct error *error)
{
    (void)error;
    const struct numbered *numbered = data;
    numbered->stage->order[numbered->stage->told++] = result == 0 ? numbered->number : -1;
}

static void test_closing_finishes_and_tells_what_is_queued_in_order(void **state)
{
    struct stage *stage = *state;
    struct numbered jobs[COUNT_OF(stage->order)];
    open_store(stage, 1);
    for (int i = 0; i < (int)COUNT_OF(jobs); i++) {
        jobs[i] = (struct numbered){stage, i};
        assert_int_equal(store_submit(stage->store, insert_row, note_order, &jobs[i]), 0);
    }
    store_close(&stage->store);
    assert_int_equal(stage->told, COUNT_OF(jobs));
    for (int i = 0; i < (int)COUNT_OF(jobs); i++)
        assert_int_equal(stage->order[i], i);
    open_store(stage, 1);
    assert_int_equal(rows(stage), COUNT_OF(jobs));
}

static void submit_again(void *data, int result, const struct error *error)
{
    struct stage *stage = data;
    note_done(data, result, error);
    stage->order[0] = store_submit(stage->store, do_nothing, NULL, NULL);
}

static void test_a_done_may_submit_but_not_while_the_store_closes(void **state)
{
    struct stage *stage = *state;
    open_store(stage, 1);
    assert_int_equal(store_submit(stage->store, do_nothing, submit_again, stage), 0);
    run_until_told(stage, 1);
    assert_int_equal(stage->order[0], 0);
    assert_int_equal(store_submit(stage->store, do_nothing, submit_again, stage), 0);
    store_close(&stage->store);
    assert_int_equal(stage->told, 2);
    assert_int_equal(stage->order[0], -ESHUTDOWN);
}

static void test_newer_damaged_and_missing_files_are_refused_by_name(void **state)
{
    struct stage *stage = *state;
    struct error error;
    open_store(stage, 2);
    store_close(&stage->store);
    assert_int_equal(store_open(&stage->store, &stage->loop, stage->path, MIGRATIONS, 1, true, &error), -EPROTO);
    assert_non_null(strstr(error.sentence, stage->path));
    assert_non_null(strstr(error.sentence, "newer version"));
    assert_int_equal(store_open(&stage->store, &stage->loop, "/nowhere/x.db", MIGRATIONS, 1, true, &error), -ENOENT);
    int fd = open(stage->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    static const char RUBBISH[] = "this is not a database, whatever its name says, and it is longer than a header ";
    for (int i = 0; i < 20; i++)
        assert_int_equal(write(fd, RUBBISH, sizeof RUBBISH), sizeof RUBBISH);
    close(fd);
    assert_int_equal(store_open(&stage->store, &stage->loop, stage->path, MIGRATIONS, 1, true, &error), -EUCLEAN);
    assert_null(stage->store);
}

static void test_a_migration_that_fails_leaves_the_file_as_it_was(void **state)
{
    struct stage *stage = *state;
    static const char *const bad[] = {"CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)",
                                      "CREATE TABLE half (x); CREATE RUBBISH"};
    struct error error;
    assert_int_equal(store_open(&stage->store, &stage->loop, stage->path, bad, 2, true, &error), -EINVAL);
    open_store(stage, 2);
    assert_int_equal(rows(stage), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_told_is_there_after_a_reopen_and_migrations_run_once, begin, end),
        cmocka_unit_test_setup_teardown(test_the_database_is_durable_and_keeps_its_constraints, begin, end),
        cmocka_unit_test_setup_teardown(test_a_job_that_fails_leaves_nothing_behind_and_its_words_are_told, begin, end),
        cmocka_unit_test_setup_teardown(test_a_full_disk_is_an_error_of_that_job_alone, begin, end),
        cmocka_unit_test_setup_teardown(test_the_queue_has_a_bound_and_empties_again, begin, end),
        cmocka_unit_test_setup_teardown(test_closing_finishes_and_tells_what_is_queued_in_order, begin, end),
        cmocka_unit_test_setup_teardown(test_a_done_may_submit_but_not_while_the_store_closes, begin, end),
        cmocka_unit_test_setup_teardown(test_newer_damaged_and_missing_files_are_refused_by_name, begin, end),
        cmocka_unit_test_setup_teardown(test_a_migration_that_fails_leaves_the_file_as_it_was, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
