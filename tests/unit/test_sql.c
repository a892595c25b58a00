/* libs: gemel_sql gemel_feed gemel_worker gemel_wire gemel_base */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/wire/rows.h"
#include "common/wire/wire.h"
#include "pipelines/sql/sql_answer.h"
#include "pipelines/sql/sql_schema.h"
#include "tests/unit/testing.h"

static const struct gemel_column columns[] = {{"time", "timestamp", "sorted"},
                                              {"sym", "symbol", "grouped"},
                                              {"price", "float", ""},
                                              {"odd \"name\"", "long", ""}};
static const struct gemel_table table = {
    .name = "DemoTable", .id_column = "sym", .time_column = "time", .columns = columns, .column_count = 4};

static int set_up(void **state)
{
    struct sql_connection *connection = memory_alloc(sizeof *connection);
    sqlite3 *database = NULL;
    struct text sql;
    assert_int_equal(sqlite3_open(":memory:", &database), SQLITE_OK);
    text_init(&sql, 10000);
    sql_schema_create_table(&sql, &table);
    sql_schema_create_indexes(&sql, &table);
    sql_schema_create_marks(&sql);
    text_append_string(&sql, "INSERT INTO gemel_marks VALUES('feed', 7);");
    text_append_string(&sql, "INSERT INTO DemoTable VALUES(1764000000000000000, 'A', 1.5, 10), (2, 'B', NULL, 20);");
    assert_int_equal(sqlite3_exec(database, sql.data, NULL, NULL, NULL), SQLITE_OK);
    text_fini(&sql);
    assert_int_equal(sql_connection_init(connection, database, true, NULL), 0);
    *state = connection;
    return 0;
}

static int tear_down(void **state)
{
    sql_connection_fini(*state);
    memory_free(*state);
    return 0;
}

static int ask(struct sql_connection *connection, const char *sql, Gemel__SqlAnswer **answer, struct error *error)
{
    struct sql_limits limits = {0};
    uint8_t *packed = NULL;
    size_t size = 0;
    int result = sql_answer(connection, sql, &limits, &packed, &size, error);
    if (result == 0)
        assert_int_equal(wire_unpack(&gemel__sql_answer__descriptor, packed, size, (ProtobufCMessage **)answer), 0);
    memory_free(packed);
    return result;
}

static void test_an_answer_has_columns_rows_and_the_marks_of_its_state(void **state)
{
    Gemel__SqlAnswer *answer = NULL;
    struct rows_cell cell;
    assert_int_equal(
        ask(*state, "select sym, max(time) as latest, price from DemoTable group by sym order by sym", &answer, NULL),
        0);
    assert_int_equal(answer->n_columns, 3);
    assert_string_equal(answer->columns[1], "latest");
    assert_int_equal(answer->row_count, 2);
    assert_int_equal(answer->n_marks, 1);
    assert_string_equal(answer->marks[0]->publisher, "feed");
    assert_int_equal(answer->marks[0]->sequence, 7);
    assert_int_equal(rows_check(answer->rows.data, answer->rows.len, 2, 3), 0);
    struct rows_reader reader = {.at = answer->rows.data, .left = answer->rows.len};
    assert_int_equal(rows_read(&reader, &cell), 0);
    assert_memory_equal(cell.bytes, "A", 1);
    assert_int_equal(rows_read(&reader, &cell), 0);
    assert_true(cell.kind == ROWS_INTEGER && cell.integer == 1764000000000000000);
    wire_free(&answer->base);
}

static void test_whatever_is_not_reading_is_refused_by_name(void **state)
{
    static const struct {
        const char *sql;
        const char *word;
    } refused[] = {
        {"insert into DemoTable values(1,2,3,4)", "INSERT"},
        {"update DemoTable set price = 0", "UPDATE"},
        {"delete from DemoTable", "DELETE"},
        {"with x as (select 1) delete from DemoTable", "DELETE"},
        {"create table t(a)", "CREATE TABLE"},
        {"create temp table t(a)", "CREATE TABLE"},
        {"create view v as select 1", "CREATE VIEW"},
        {"create index i on DemoTable(price)", "CREATE INDEX"},
        {"create virtual table v using fts5(a)", "CREATE VIRTUAL TABLE"},
        {"drop table DemoTable", "DROP TABLE"},
        {"alter table DemoTable add column x", "ALTER TABLE"},
        {"attach 'other.db' as other", "ATTACH"},
        {"detach main", "DETACH"},
        {"pragma journal_mode = off", "PRAGMA"},
        {"pragma table_info(DemoTable)", "PRAGMA"},
        {"select * from pragma_database_list", "PRAGMA"},
        {"select load_extension('x')", "this function"},
        {"begin", "a transaction"},
        {"commit", "a transaction"},
        {"savepoint s", "SAVEPOINT"},
        {"vacuum", "this statement"},
        {"vacuum into 'x.db'", "ATTACH"},
        {"analyze", "ANALYZE"},
        {"reindex", "REINDEX"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct error error = {0};
        Gemel__SqlAnswer *answer = NULL;
        int result = ask(*state, refused[i].sql, &answer, &error);
        if (result != -EPERM && result != -EINVAL)
            fail_msg("'%s' gave %d", refused[i].sql, result);
        if (result == -EPERM && strstr(error.sentence, refused[i].word) == NULL &&
            strstr(error.sentence, "this statement") == NULL && strstr(error.sentence, "changing the schema") == NULL)
            fail_msg("'%s': %s", refused[i].sql, error.sentence);
    }
}

static void test_one_statement_is_a_query_and_no_more(void **state)
{
    static const char *const wrong[] = {"",
                                        "  ;",
                                        "-- nothing",
                                        "select 1; select 2",
                                        "select 1; delete from DemoTable",
                                        "select 1; nonsense",
                                        "selekt",
                                        "select * from Missing",
                                        "select abs(1,2,3)"};
    static const char *const right[] = {
        "select 1;",
        " select 1 ; -- done",
        "select 1 /* x */ ;;",
        "values(1)",
        "with recursive n(i) as (select 1 union all select i+1 from n limit 5) select 1",
        "explain query plan select * from DemoTable"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct error error = {0};
        Gemel__SqlAnswer *answer = NULL;
        assert_int_equal(ask(*state, wrong[i], &answer, &error), -EINVAL);
        assert_true(error.sentence[0] != '\0');
    }
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        Gemel__SqlAnswer *answer = NULL;
        assert_int_equal(ask(*state, right[i], &answer, NULL), 0);
        wire_free(&answer->base);
    }
}

static bool is_over(void *owner)
{
    return ++*(int *)owner > 3;
}

static void test_a_query_ends_when_nobody_waits_and_the_next_one_runs(void **state)
{
    int looks = 0;
    struct sql_limits limits = {.is_over = is_over, .owner = &looks};
    uint8_t *packed = NULL;
    size_t size = 0;
    Gemel__SqlAnswer *answer = NULL;
    assert_int_equal(sql_answer(*state,
                                "with recursive n(i) as (select 1 union all select i+1 from n) select sum(i) from n",
                                &limits, &packed, &size, NULL),
                     -ECANCELED);
    assert_int_equal(ask(*state, "select 1", &answer, NULL), 0);
    wire_free(&answer->base);
}

static void test_rows_above_the_limit_are_cut_and_bytes_above_it_an_error(void **state)
{
    struct sql_limits limits = {.row_limit = 10};
    uint8_t *packed = NULL;
    size_t size = 0;
    Gemel__SqlAnswer *answer = NULL;
    struct error error = {0};
    static const char many[] = "with recursive n(i) as (select 1 union all select i+1 from n limit 100) ";
    char sql[256];
    snprintf(sql, sizeof sql, "%s select i from n", many);
    assert_int_equal(sql_answer(*state, sql, &limits, &packed, &size, NULL), 0);
    assert_int_equal(wire_unpack(&gemel__sql_answer__descriptor, packed, size, (ProtobufCMessage **)&answer), 0);
    assert_int_equal(answer->row_count, 10);
    assert_true(answer->truncated);
    wire_free(&answer->base);
    memory_free(packed);
    snprintf(sql, sizeof sql, "%s select zeroblob(1000000) from n", many);
    assert_int_equal(ask(*state, sql, &answer, &error), -EMSGSIZE);
    assert_int_equal(ask(*state, "select length(zeroblob(900000000))", &answer, &error), -EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_answer_has_columns_rows_and_the_marks_of_its_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whatever_is_not_reading_is_refused_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_statement_is_a_query_and_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_query_ends_when_nobody_waits_and_the_next_one_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rows_above_the_limit_are_cut_and_bytes_above_it_an_error, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
