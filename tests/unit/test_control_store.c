/* libs: gemel_control_store */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/store/store.h"
#include "common/wire/wire.h"
#include "control/control_store.h"
#include "tests/unit/testing.h"

struct world {
    uv_loop_t loop;
    char folder[64];
    char path[128];
    struct state *state;
    struct control_store *store;
    struct control_stored stored;
    struct oplog *log; /* what was given */
    struct arena arena;
    uint64_t sequence;
    uint64_t stored_sequence;
    uint64_t failed_sequence;
    int failed_code;
};

static void on_stored(void *owner, uint64_t sequence)
{
    struct world *world = owner;
    world->stored_sequence = sequence;
}

static void on_failed(void *owner, uint64_t sequence, int code, const char *why)
{
    struct world *world = owner;
    (void)why;
    world->failed_sequence = sequence;
    world->failed_code = code;
}

static const struct control_store_handlers handlers = {.on_stored = on_stored, .on_failed = on_failed};

static int open_store(struct world *world, struct error *error)
{
    state_create(&world->state);
    return control_store_open(&world->store, &world->loop, world->path, world->state, &world->stored, &handlers, world,
                              error);
}

static void close_store(struct world *world)
{
    control_store_close(&world->store);
    control_stored_fini(&world->stored);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    state_destroy(&world->state);
}

static int set_up(void **given)
{
    struct world *world = memory_alloc(sizeof *world);
    uv_loop_init(&world->loop);
    arena_init(&world->arena);
    oplog_create(&world->log);
    snprintf(world->folder, sizeof world->folder, "/tmp/gemel-control-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    snprintf(world->path, sizeof world->path, "%s/control.db", world->folder);
    struct error error = {0};
    assert_int_equal(open_store(world, &error), 0);
    *given = world;
    return 0;
}

static int tear_down(void **given)
{
    struct world *world = *given;
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    close_store(world);
    uv_loop_close(&world->loop);
    for (size_t i = 0; i < 3; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s%s", world->path, suffixes[i]);
        unlink(path);
    }
    rmdir(world->folder);
    oplog_destroy(&world->log);
    arena_fini(&world->arena);
    memory_free(world);
    return 0;
}

/* Waits for everything that was given: closing does, then it is opened again. */
static void reopen(struct world *world)
{
    struct error error = {0};
    close_store(world);
    world->sequence = 0;
    int result = open_store(world, &error);
    if (result != 0)
        fail_msg("%s", error.sentence);
}

static void give_append(struct world *world, const char *op)
{
    uint64_t index = oplog_append(world->log, 257, (const uint8_t *)op, strlen(op));
    Gemel__LogEntry *entries[] = {oplog_message(world->log, index, &world->arena)};
    struct pair_action action = {.type = PAIR_ACTION_STORE_APPEND,
                                 .store_append = {.sequence = ++world->sequence, .entries = entries, .entry_count = 1}};
    control_store_write(world->store, &action);
}

static void give_truncate(struct world *world, uint64_t keep, bool diverged, bool reset)
{
    oplog_truncate(world->log, keep);
    struct pair_action action = {.type = PAIR_ACTION_STORE_TRUNCATE,
                                 .store_truncate = {.sequence = ++world->sequence,
                                                    .keep = keep,
                                                    .diverged = diverged,
                                                    .acknowledged = true,
                                                    .reset_state = reset}};
    control_store_write(world->store, &action);
}

static void give_meta(struct world *world, uint64_t epoch)
{
    struct pair_action action = {
        .type = PAIR_ACTION_STORE_META,
        .store_meta = {.sequence = ++world->sequence,
                       .meta = {.cluster_id = "c1", .epoch_seen = epoch, .record = {epoch, PAIR_SELF_ALONE}}}};
    control_store_write(world->store, &action);
}

static void give_place(struct world *world, uint64_t index, const char *host)
{
    struct state_changes changes;
    state_changes_init(&changes);
    Gemel__OpPlace place = GEMEL__OP_PLACE__INIT;
    place.process = (char[]){"P.0.tp.0"};
    place.host = (char *)(uintptr_t)host;
    Gemel__Op op = GEMEL__OP__INIT;
    op.body_case = GEMEL__OP__BODY_PLACE;
    op.place = &place;
    Gemel__LogEntry entry = GEMEL__LOG_ENTRY__INIT;
    entry.index = index;
    entry.op.data = wire_pack(&op.base, &entry.op.len);
    assert_int_equal(state_apply(world->state, &entry, &changes), 0);
    control_store_apply(world->store, &changes, index);
    memory_free(entry.op.data);
    state_changes_fini(&changes);
}

/* Works on the file behind the store's back. */
static void look_into_file(struct world *world, store_job job, void *data)
{
    struct store *other = NULL;
    struct error error = {0};
    static const char *const none[] = {""};
    assert_int_equal(store_open(&other, &world->loop, world->path, none, 1, true, &error), 0);
    assert_int_equal(store_run(other, job, data, &error), 0);
    store_close(&other);
}

static int run_sql(sqlite3 *database, void *sql, struct error *error)
{
    return store_exec(database, sql, error);
}

static void change_file(struct world *world, const char *sql)
{
    look_into_file(world, run_sql, (void *)(uintptr_t)sql);
}

static void test_what_was_written_is_there_at_the_next_start(void **given)
{
    struct world *world = *given;
    give_meta(world, 257);
    give_append(world, "one");
    give_append(world, "two");
    give_place(world, 2, "aaa");
    reopen(world);
    assert_int_equal(world->stored_sequence, 3);
    assert_string_equal(world->stored.meta.cluster_id, "c1");
    assert_int_equal(world->stored.meta.epoch_seen, 257);
    assert_int_equal(world->stored.meta.record.members, PAIR_SELF_ALONE);
    assert_int_equal(world->stored.entry_count, 2);
    assert_int_equal(world->stored.applied_index, 2);
    assert_memory_equal(world->stored.entries[1]->op.data, "two", 3);
    assert_string_equal(state_find_placement(world->state, "P.0.tp.0")->host, "aaa");
    struct oplog *again = NULL;
    oplog_create(&again);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(oplog_accept(again, world->stored.entries[i]), 0);
    oplog_destroy(&again);
}

static int count_diverged(sqlite3 *database, void *count, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(database, "SELECT count(*) FROM diverged WHERE op = x'74776f' AND acknowledged = 1", -1,
                           &statement, NULL) != SQLITE_OK)
        return store_error(database, "count", error);
    sqlite3_step(statement);
    *(int *)count = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return 0;
}

static void test_a_cut_tail_is_set_aside_and_the_tables_start_anew(void **given)
{
    struct world *world = *given;
    give_append(world, "one");
    give_append(world, "two");
    give_place(world, 2, "aaa");
    give_truncate(world, 1, true, true);
    give_append(world, "other");
    reopen(world);
    assert_int_equal(world->stored.entry_count, 2);
    assert_memory_equal(world->stored.entries[1]->op.data, "other", 5);
    assert_int_equal(world->stored.applied_index, 0);
    assert_null(state_find_placement(world->state, "P.0.tp.0"));
    int count = 0;
    look_into_file(world, count_diverged, &count);
    assert_int_equal(count, 1);
}

static void test_after_a_failed_write_nothing_is_done_until_the_owner_knows(void **given)
{
    struct world *world = *given;
    give_append(world, "one");
    oplog_truncate(world->log, 0);
    give_append(world, "one"); /* index 1 is there */
    uint64_t failed = world->sequence;
    give_meta(world, 513);
    while (world->failed_sequence == 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_equal(world->failed_sequence, failed);
    assert_int_equal(world->failed_code, -EEXIST);
    give_append(world, "two");
    reopen(world);
    assert_int_equal(world->stored.entry_count, 2);
    assert_int_equal(world->stored.meta.epoch_seen, 0); /* what stood behind the failed write was skipped */
    assert_memory_equal(world->stored.entries[1]->op.data, "two", 3);
}

static void test_tables_that_could_not_be_written_follow_whole(void **given)
{
    struct world *world = *given;
    give_append(world, "one");
    oplog_truncate(world->log, 0);
    give_append(world, "one");   /* fails */
    give_place(world, 1, "aaa"); /* is skipped */
    while (world->failed_sequence == 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    give_append(world, "two");
    while (world->stored_sequence < world->sequence)
        uv_run(&world->loop, UV_RUN_ONCE);
    give_place(world, 2, "bbb"); /* and with it the first one */
    reopen(world);
    assert_int_equal(world->stored.applied_index, 2);
    assert_int_equal(state_find_placement(world->state, "P.0.tp.0")->placement, 2);
}

static void test_a_damaged_entry_is_found_at_the_start(void **given)
{
    struct world *world = *given;
    give_append(world, "one");
    give_append(world, "two");
    reopen(world);
    change_file(world, "UPDATE oplog SET op = x'00' WHERE \"index\" = 2");
    close_store(world);
    struct error error = {0};
    assert_int_equal(open_store(world, &error), -EUCLEAN);
    assert_non_null(strstr(error.sentence, "entry 2"));
}

static void test_damaged_tables_are_made_anew_from_the_log(void **given)
{
    struct world *world = *given;
    give_append(world, "one");
    give_place(world, 1, "aaa");
    reopen(world);
    change_file(world, "UPDATE state SET value = x'ff'");
    reopen(world);
    assert_int_equal(world->stored.applied_index, 0);
    assert_int_equal(state_count(world->state, STATE_PLACEMENT), 0);
    give_place(world, 1, "bbb");
    reopen(world);
    assert_int_equal(world->stored.applied_index, 1);
    assert_string_equal(state_find_placement(world->state, "P.0.tp.0")->host, "bbb");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_written_is_there_at_the_next_start),
        TEST(test_a_cut_tail_is_set_aside_and_the_tables_start_anew),
        TEST(test_after_a_failed_write_nothing_is_done_until_the_owner_knows),
        TEST(test_tables_that_could_not_be_written_follow_whole),
        TEST(test_a_damaged_entry_is_found_at_the_start),
        TEST(test_damaged_tables_are_made_anew_from_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
