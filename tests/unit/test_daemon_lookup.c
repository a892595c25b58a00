/* libs: gemel_daemon_core */
#include <errno.h>
#include <string.h>

#include "daemon/core/daemon_lookup.h"
#include "tests/unit/testing.h"

enum {
    LINK = 3,
    REQUEST = 8
};

struct bed {
    struct daemon_lookup *lookup;
    struct daemon_actions actions;
};

static int setup(void **state)
{
    static struct bed bed;
    daemon_lookup_create(&bed.lookup, "host-a");
    daemon_actions_init(&bed.actions);
    *state = &bed;
    return 0;
}

static int teardown(void **state)
{
    struct bed *bed = *state;
    daemon_lookup_destroy(&bed->lookup);
    daemon_actions_fini(&bed->actions);
    return 0;
}

static void ask(struct bed *bed, const char *pattern, bool watch)
{
    Gemel__Lookup lookup = GEMEL__LOOKUP__INIT;
    lookup.pattern = (char *)(uintptr_t)pattern;
    lookup.watch = watch;
    assert_int_equal(daemon_lookup_ask(bed->lookup, LINK, REQUEST, &lookup, &bed->actions), 0);
}

static void publish(struct bed *bed)
{
    daemon_actions_reset(&bed->actions);
    daemon_lookup_publish(bed->lookup, &bed->actions);
}

/* The one answer of the last step. */
static const Gemel__LookupReply *answer(const struct bed *bed)
{
    assert_int_equal(bed->actions.count, 1);
    assert_int_equal(bed->actions.items[0].type, DAEMON_ACTION_LOOKUP_REPLY);
    assert_int_equal(bed->actions.items[0].lookup.link, LINK);
    assert_int_equal(bed->actions.items[0].lookup.request_id, REQUEST);
    return bed->actions.items[0].lookup.reply;
}

static void take(struct bed *bed, const char *process, const char *host, const char *endpoint, bool full)
{
    Gemel__RegistryEntry entry = GEMEL__REGISTRY_ENTRY__INIT;
    Gemel__RegistryEntry *entries[] = {&entry};
    Gemel__Registry registry = GEMEL__REGISTRY__INIT;
    entry.process = (char *)(uintptr_t)process;
    entry.host = (char *)(uintptr_t)host;
    entry.endpoint = (char *)(uintptr_t)endpoint;
    entry.ready = true;
    registry.full = full;
    registry.entries = entries;
    registry.n_entries = process != NULL ? 1 : 0;
    assert_int_equal(daemon_lookup_take(bed->lookup, &registry), 0);
}

static void test_patterns_match_whole_parts(void **state)
{
    (void)state;
    assert_true(daemon_lookup_matches("P.0.rdb.0", "P.0.rdb.0"));
    assert_true(daemon_lookup_matches("P.*.rdb.0", "P.17.rdb.0"));
    assert_true(daemon_lookup_matches("P.*.rdb.*", "P.1.rdb.3"));
    assert_false(daemon_lookup_matches("P.*.rdb.*", "P.1.rdb2.3"));
    assert_false(daemon_lookup_matches("P.*.rdb", "P.1.rdb.3"));
    assert_false(daemon_lookup_matches("P.*", "P.1.rdb.3"));
    assert_false(daemon_lookup_matches("P.0.rdb.0", "P.0.rdb.01"));
    assert_false(daemon_lookup_matches("", "P.0.rdb.0"));
}

static void test_watches_are_answered_again_when_something_they_match_changes(void **state)
{
    struct bed *bed = *state;
    ask(bed, "P.*.rdb.*", true);
    assert_int_equal(answer(bed)->n_entries, 0);
    daemon_lookup_set(bed->lookup, "P.0.rdb.0", "127.0.0.1:9", false);
    publish(bed);
    assert_string_equal(answer(bed)->entries[0]->endpoint, "127.0.0.1:9");
    assert_false(answer(bed)->entries[0]->ready);
    daemon_lookup_set(bed->lookup, "P.0.rdb.0", "127.0.0.1:9", true);
    publish(bed);
    assert_true(answer(bed)->entries[0]->ready);
    daemon_lookup_set(bed->lookup, "P.0.rdb.0", "127.0.0.1:9", true); /* nothing new */
    daemon_lookup_set(bed->lookup, "P.0.tp.0", "127.0.0.1:7", true);  /* another type */
    publish(bed);
    assert_int_equal(bed->actions.count, 0);
    daemon_lookup_close(bed->lookup, LINK);
    daemon_lookup_set(bed->lookup, "P.0.rdb.0", "", false);
    publish(bed);
    assert_int_equal(bed->actions.count, 0);
}

static void test_a_full_registry_forgets_what_it_leaves_out_but_not_this_host(void **state)
{
    struct bed *bed = *state;
    daemon_lookup_set(bed->lookup, "P.0.rdb.0", "127.0.0.1:9", true);
    take(bed, "P.1.rdb.0", "host-b", "127.0.0.2:9", true);
    take(bed, "P.0.rdb.0", "host-a", "", false); /* of this host: the daemon knows better */
    ask(bed, "P.*.rdb.*", true);
    assert_int_equal(answer(bed)->n_entries, 2);
    assert_string_equal(answer(bed)->entries[0]->endpoint, "127.0.0.1:9");
    assert_string_equal(answer(bed)->entries[1]->endpoint, "127.0.0.2:9");
    publish(bed);
    take(bed, NULL, NULL, NULL, true);
    publish(bed);
    assert_string_equal(answer(bed)->entries[0]->endpoint, "127.0.0.1:9");
    assert_string_equal(answer(bed)->entries[1]->endpoint, "");
}

static void test_a_process_that_moved_away_is_known_where_it_is(void **state)
{
    struct bed *bed = *state;
    daemon_lookup_set(bed->lookup, "P.0.rdb.0", "127.0.0.1:9", true);
    take(bed, "P.0.rdb.0", "host-b", "127.0.0.2:9", false);
    daemon_lookup_set(bed->lookup, "P.0.rdb.0", "", false); /* it is gone here */
    ask(bed, "P.0.rdb.0", false);
    assert_string_equal(answer(bed)->entries[0]->endpoint, "127.0.0.2:9");
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_patterns_match_whole_parts),
        CASE(test_watches_are_answered_again_when_something_they_match_changes),
        CASE(test_a_full_registry_forgets_what_it_leaves_out_but_not_this_host),
        CASE(test_a_process_that_moved_away_is_known_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
