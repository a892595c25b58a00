/* libs: gemel_control_core */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/wire/wire.h"
#include "control/core/state.h"
#include "tests/unit/testing.h"

struct world {
    struct state *state;
    struct state_changes changes;
    uint64_t index;
};

static int set_up(void **given)
{
    struct world *world = memory_alloc(sizeof *world);
    state_create(&world->state);
    state_changes_init(&world->changes);
    *given = world;
    return 0;
}

static int tear_down(void **given)
{
    struct world *world = *given;
    state_destroy(&world->state);
    state_changes_fini(&world->changes);
    memory_free(world);
    return 0;
}

static int apply(struct world *world, Gemel__Op *op)
{
    Gemel__LogEntry entry = GEMEL__LOG_ENTRY__INIT;
    entry.index = ++world->index;
    op->author = (char[]){"operator"};
    entry.op.data = wire_pack(&op->base, &entry.op.len);
    int result = state_apply(world->state, &entry, &world->changes);
    memory_free(entry.op.data);
    return result;
}

static int apply_wanted(struct world *world, const char *process, bool up, bool clear)
{
    char *processes[] = {(char *)(uintptr_t)process};
    Gemel__OpWanted wanted = GEMEL__OP_WANTED__INIT;
    wanted.processes = processes;
    wanted.n_processes = 1;
    wanted.up = up;
    wanted.clear_failed = clear;
    Gemel__Op op = GEMEL__OP__INIT;
    op.body_case = GEMEL__OP__BODY_WANTED;
    op.wanted = &wanted;
    return apply(world, &op);
}

static int apply_place(struct world *world, const char *process, const char *host)
{
    Gemel__OpPlace place = GEMEL__OP_PLACE__INIT;
    place.process = (char *)(uintptr_t)process;
    place.host = (char *)(uintptr_t)host;
    Gemel__Op op = GEMEL__OP__INIT;
    op.body_case = GEMEL__OP__BODY_PLACE;
    op.place = &place;
    return apply(world, &op);
}

static int apply_route(struct world *world, uint32_t instance)
{
    Gemel__OpRoute route = GEMEL__OP_ROUTE__INIT;
    route.pipeline = (char[]){"DemoPipeline"};
    route.type = (char[]){"rdb"};
    route.instance = instance;
    Gemel__Op op = GEMEL__OP__INIT;
    op.body_case = GEMEL__OP__BODY_ROUTE;
    op.route = &route;
    return apply(world, &op);
}

static int apply_revision(struct world *world, const char *content)
{
    Gemel__LayoutFile file = GEMEL__LAYOUT_FILE__INIT;
    file.path = (char[]){"system.yaml"};
    file.content = (char *)(uintptr_t)content;
    Gemel__LayoutFile *files[] = {&file};
    Gemel__OpRevision revision = GEMEL__OP_REVISION__INIT;
    revision.files = files;
    revision.n_files = 1;
    Gemel__Op op = GEMEL__OP__INIT;
    op.body_case = GEMEL__OP__BODY_REVISION;
    op.revision = &revision;
    return apply(world, &op);
}

static int apply_event(struct world *world)
{
    Gemel__OpEvent event = GEMEL__OP_EVENT__INIT;
    event.sentence = (char[]){"it happened"};
    Gemel__Op op = GEMEL__OP__INIT;
    op.body_case = GEMEL__OP__BODY_EVENT;
    op.event = &event;
    return apply(world, &op);
}

static void test_each_placement_has_a_number_of_its_own(void **given)
{
    struct world *world = *given;
    assert_int_equal(apply_place(world, "P.0.tp.0", "aaa"), 0);
    assert_int_equal(apply_place(world, "P.0.tp.0", "bbb"), 0);
    assert_int_equal(apply_place(world, "P.1.tp.0", "bbb"), 0);
    assert_int_equal(state_find_placement(world->state, "P.0.tp.0")->placement, 2);
    assert_string_equal(state_find_placement(world->state, "P.0.tp.0")->host, "bbb");
    assert_int_equal(state_find_placement(world->state, "P.1.tp.0")->placement, 1);
}

static void test_clearing_failures_raises_the_generation_and_nothing_else_does(void **given)
{
    struct world *world = *given;
    assert_int_equal(apply_wanted(world, "P.0.tp.0", true, false), 0);
    assert_int_equal(state_find_wanted(world->state, "P.0.tp.0")->clear_failed, 0);
    assert_int_equal(apply_wanted(world, "P.0.tp.0", true, true), 0);
    assert_int_equal(apply_wanted(world, "P.0.tp.0", false, false), 0);
    assert_int_equal(state_find_wanted(world->state, "P.0.tp.0")->clear_failed, 1);
    assert_false(state_find_wanted(world->state, "P.0.tp.0")->up);
    assert_string_equal(state_find_wanted(world->state, "P.0.tp.0")->author, "operator");
}

static void test_route_versions_rise_over_the_whole_table(void **given)
{
    struct world *world = *given;
    assert_int_equal(apply_route(world, 1), 0);
    assert_int_equal(apply_route(world, 0), 0);
    const Gemel__Route *route = state_find_route(world->state, "DemoPipeline", "rdb", 0);
    assert_int_equal(route->version, 2);
    assert_int_equal(route->instance, 0);
    assert_int_equal(state_route_version(world->state), 2);
}

static void test_revisions_are_numbered_and_the_oldest_goes(void **given)
{
    struct world *world = *given;
    for (int i = 0; i < STATE_REVISIONS_MAX + 1; i++)
        assert_int_equal(apply_revision(world, "system:"), 0);
    assert_int_equal(state_revision(world->state), STATE_REVISIONS_MAX + 1);
    assert_null(state_find_revision(world->state, 1));
    assert_non_null(state_find_revision(world->state, 2));
    size_t deleted = 0;
    for (size_t i = 0; i < world->changes.count; i++) {
        const struct state_change *change = &world->changes.items[i];
        if (change->kind != STATE_REVISION || change->value != NULL)
            continue;
        deleted++;
        assert_string_equal(change->key, "00000000000000000001");
    }
    assert_int_equal(deleted, 1);
}

static void test_events_are_a_ring(void **given)
{
    struct world *world = *given;
    for (int i = 0; i < STATE_EVENTS_MAX + 5; i++)
        assert_int_equal(apply_event(world), 0);
    assert_int_equal(state_count(world->state, STATE_EVENT), STATE_EVENTS_MAX);
    const struct state_row **rows = state_sorted(world->state, STATE_EVENT, &world->changes.arena);
    assert_string_equal(rows[0]->key, "00000000000000000006");
}

static void test_the_changed_rows_make_the_same_state_again(void **given)
{
    struct world *world = *given;
    apply_revision(world, "system:");
    apply_wanted(world, "P.0.tp.0", true, true);
    apply_place(world, "P.0.tp.0", "aaa");
    apply_place(world, "P.0.tp.0", "bbb");
    apply_route(world, 1);
    apply_event(world);
    struct state *loaded = NULL;
    state_create(&loaded);
    for (size_t i = 0; i < world->changes.count; i++) {
        const struct state_change *change = &world->changes.items[i];
        assert_int_equal(
            state_load(loaded, state_kind_word(change->kind), change->key, change->value, change->value_bytes), 0);
    }
    assert_int_equal(state_revision(loaded), 1);
    assert_int_equal(state_find_placement(loaded, "P.0.tp.0")->placement, 2);
    assert_int_equal(state_find_wanted(loaded, "P.0.tp.0")->clear_failed, 1);
    assert_int_equal(state_route_version(loaded), 1);
    assert_int_equal(state_count(loaded, STATE_EVENT), 4); /* all but the placements */
    assert_int_equal(state_load(loaded, "route", "x", (const uint8_t *)"\xff", 1), -EBADMSG);
    assert_int_equal(state_load(loaded, "other", "x", NULL, 0), -EBADMSG);
    state_clear(loaded);
    assert_int_equal(state_revision(loaded), 0);
    assert_null(state_find_placement(loaded, "P.0.tp.0"));
    state_destroy(&loaded);
}

static void test_an_operation_that_does_not_hold_together_changes_nothing(void **given)
{
    struct world *world = *given;
    assert_int_equal(apply_place(world, "not a process", "aaa"), -EBADMSG);
    assert_int_equal(apply_place(world, "P.0.tp.0", ""), -EBADMSG);
    assert_int_equal(apply_wanted(world, "P.0.tp", true, false), -EBADMSG);
    Gemel__Op empty = GEMEL__OP__INIT;
    assert_int_equal(apply(world, &empty), -EBADMSG);
    Gemel__LogEntry garbage = GEMEL__LOG_ENTRY__INIT;
    garbage.op.data = (uint8_t[]){0xff, 0xff};
    garbage.op.len = 2;
    assert_int_equal(state_apply(world->state, &garbage, &world->changes), -EBADMSG);
    assert_int_equal(world->changes.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_placement_has_a_number_of_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clearing_failures_raises_the_generation_and_nothing_else_does, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_route_versions_rise_over_the_whole_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_revisions_are_numbered_and_the_oldest_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_events_are_a_ring, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_changed_rows_make_the_same_state_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_operation_that_does_not_hold_together_changes_nothing, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
