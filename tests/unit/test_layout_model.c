/* libs: gemel_layout_load gemel_layout_model gemel_yaml gemel_base */
#include <stdio.h>
#include <string.h>

#include "common/layout/load/layout_load.h"
#include "common/layout/model/near.h"
#include "tests/unit/testing.h"

static struct layout *load(const char *pipeline, const char *table)
{
    static const char system[] = "system:\n"
                                 "  layout:\n"
                                 "    - {name: one, nodes: [{host: aaa}, {host: ccc}]}\n"
                                 "    - {name: two, nodes: [{host: bbb}]}\n";
    const struct layout_file files[] = {{"system.yaml", system, strlen(system)},
                                        {"pipelines/P.yaml", pipeline, strlen(pipeline)},
                                        {"tables/T.yaml", table, strlen(table)}};
    struct error_list mistakes = {0};
    struct error_list warnings = {0};
    struct layout *layout = NULL;
    int result = layout_load_files(&layout, files, 3, NULL, &mistakes, &warnings);
    if (result < 0)
        print_error("%s:%u: %s\n", mistakes.items[0].file, mistakes.items[0].line, mistakes.items[0].sentence);
    assert_int_equal(result, 0);
    error_list_fini(&mistakes);
    error_list_fini(&warnings);
    return layout;
}

#define TABLE                                                                                                          \
    "table:\n  name: T\n  columns: [{name: time, data-type: timestamp, attribute: sorted}, {name: v, data-type: "      \
    "long}]\n"

static const char whole_pipeline[] = "pipeline:\n"
                                     "  name: P\n"
                                     "  type: realtime\n"
                                     "  restart: manual\n"
                                     "  proc-layout:\n"
                                     "    - {all: one, rdb: two, rdb.1: one}\n"
                                     "    - {rdb: two}\n"
                                     "  processes:\n"
                                     "    hdb:\n"
                                     "    idb: {restart: always}\n"
                                     "    epdb:\n"
                                     "    rdb: {instances: 3, timeout: 30}\n"
                                     "    ipdb: {write-freq: 10s}\n"
                                     "    own: {command: [/bin/x, -a], depends-on: [hdb], port: 99}\n"
                                     "    tp: {pub-mode: timer, pub-freq-ms: 100}\n";

static void test_processes_come_in_start_order_with_server_and_host(void **state)
{
    (void)state;
    struct layout *layout = load(whole_pipeline, TABLE);
    static const struct {
        const char *name;
        const char *host;
        unsigned level;
    } wanted[] = {{"P.0.tp.0", "aaa", 0},   {"P.0.rdb.0", "bbb", 1}, {"P.0.rdb.1", "aaa", 1}, {"P.0.rdb.2", "bbb", 1},
                  {"P.0.ipdb.0", "aaa", 1}, {"P.0.hdb.0", "aaa", 2}, {"P.0.idb.0", "aaa", 2}, {"P.0.epdb.0", "aaa", 2},
                  {"P.0.own.0", "aaa", 3},  {"P.1.rdb.0", "bbb", 1}, {"P.1.rdb.1", "bbb", 1}, {"P.1.rdb.2", "bbb", 1}};
    assert_int_equal(layout->process_count, sizeof wanted / sizeof wanted[0]);
    for (size_t i = 0; i < layout->process_count; i++) {
        const struct layout_process *process = &layout->processes[i];
        assert_string_equal(process->name, wanted[i].name);
        assert_string_equal(process->host, wanted[i].host);
        assert_int_equal(process->type->level, wanted[i].level);
        assert_ptr_equal(layout_find_process(layout, wanted[i].name), process);
    }
    assert_null(layout_find_process(layout, "P.0.rdb.3"));
    assert_null(layout_find_process(layout, "P.1.tp.0"));
    assert_null(layout_find_process(layout, "garbage"));
    layout_destroy(&layout);
    assert_null(layout);
}

static void test_a_type_requires_the_nearest_built_in_level_and_its_depends_on(void **state)
{
    (void)state;
    struct layout *layout = load(whole_pipeline, TABLE);
    const struct layout_pipeline *pipeline = layout_find_pipeline(layout, "P");
    assert_int_equal(layout_find_type(pipeline, "tp")->requirement_count, 0);
    const struct layout_type *hdb = layout_find_type(pipeline, "hdb");
    assert_int_equal(hdb->requirement_count, 2);
    assert_string_equal(hdb->requirements[0]->name.text, "rdb");
    assert_string_equal(hdb->requirements[1]->name.text, "ipdb");
    const struct layout_type *own = layout_find_type(pipeline, "own");
    assert_int_equal(own->requirement_count, 1);
    assert_string_equal(own->requirements[0]->name.text, "hdb");
    layout_destroy(&layout);
}

static void test_options_come_from_the_process_then_the_pipeline_then_the_defaults(void **state)
{
    (void)state;
    struct layout *layout = load(whole_pipeline, TABLE);
    const struct layout_pipeline *pipeline = layout_find_pipeline(layout, "P");
    const struct layout_type *rdb = layout_find_type(pipeline, "rdb");
    const struct layout_type *own = layout_find_type(pipeline, "own");
    assert_int_equal(rdb->restart.value, LAYOUT_RESTART_MANUAL);
    assert_int_equal(layout_find_type(pipeline, "idb")->restart.value, LAYOUT_RESTART_ALWAYS);
    assert_int_equal(rdb->timeout_ms.value, 30000);
    assert_int_equal(own->timeout_ms.value, -1);
    assert_int_equal(rdb->startup_timeout_ms.value, 60000);
    assert_int_equal(rdb->stop_signal.value, 15);
    assert_int_equal(rdb->routable.value, 1);
    assert_int_equal(own->routable.value, 0);
    assert_int_equal(rdb->ready.value, LAYOUT_READY_NOTIFY);
    assert_int_equal(own->ready.value, LAYOUT_READY_TCP_PORT);
    assert_int_equal(own->ready_port.value, 99);
    assert_string_equal(rdb->command.items[0].text, "gemel-rdb");
    assert_string_equal(own->command.items[1].text, "-a");
    layout_destroy(&layout);
}

static void check_options(const struct layout *layout, const char *process, const char *wanted)
{
    struct text text;
    text_init(&text, OPTIONS_TEXT_BYTES_MAX);
    layout_print_options(layout_find_process(layout, process), &text);
    assert_string_equal(text.data, wanted);
    text_fini(&text);
}

static void test_options_travel_in_one_spelling(void **state)
{
    (void)state;
    struct layout *layout = load(whole_pipeline, TABLE);
    check_options(layout, "P.0.rdb.0", "timeout=30\nenable-analyst=true\n");
    check_options(layout, "P.0.ipdb.0", "write-freq=10000\nenable-analyst=true\nwrite-row-limit=0\n");
    check_options(layout, "P.0.tp.0",
                  "pub-mode=timer\npub-freq-ms=100\nenable-analyst=true\npub-row-limit=0\n"
                  "log-to-journal=true\nrollover-mode=none\n");
    layout_destroy(&layout);
}

/* Does a table with this taxonomy feed a pipeline with that one? */
static bool feeds(const char *table, const char *pipeline)
{
    char pipeline_text[300];
    char table_text[400];
    snprintf(
        pipeline_text, sizeof pipeline_text,
        "pipeline:\n  name: P\n  type: stream\n  proc-layout: [{all: one}]\n  processes: {x: {command: [a]}}\n%s%s\n",
        pipeline[0] != '\0' ? "  taxonomy: " : "", pipeline);
    snprintf(table_text, sizeof table_text, TABLE "%s%s\n", table[0] != '\0' ? "  taxonomy: " : "", table);
    struct layout *layout = load(pipeline_text, table_text);
    bool result = layout_table_feeds(&layout->tables[0], &layout->pipelines[0], NULL);
    layout_destroy(&layout);
    return result;
}

static void test_a_table_feeds_a_pipeline_when_no_key_that_both_name_differs(void **state)
{
    (void)state;
    assert_true(feeds("[{region: global, data-source: demo}]", "{region: test, data-source: demo}"));
    assert_true(feeds("[{region: eu}]", "{region: all}"));
    assert_true(feeds("[{region: eu}]", "{region: eu}"));
    assert_false(feeds("[{region: eu}]", "{region: us}"));
    assert_false(feeds("[{region: global, data-source: a}]", "{region: test, data-source: b}"));
    assert_true(feeds("[{region: eu}, {region: us}]", "{region: us}"));
    assert_true(feeds("{region: us}", "{region: us}"));
    assert_true(feeds("[{region: eu}]", "{data-source: x}"));
    assert_true(feeds("[{region: eu}]", ""));
    assert_true(feeds("", "{region: eu}"));
}

static void test_why_a_table_does_not_feed_is_told(void **state)
{
    (void)state;
    struct layout *layout = load("pipeline:\n  name: P\n  type: stream\n  taxonomy: {region: us}\n"
                                 "  proc-layout: [{all: one}]\n  processes: {x: {command: [a]}}\n",
                                 TABLE "  taxonomy: [{region: eu}]\n");
    struct text why;
    text_init(&why, 1000);
    assert_false(layout_table_feeds(&layout->tables[0], &layout->pipelines[0], &why));
    assert_string_equal(why.data, "T has region: eu and the pipeline us");
    text_fini(&why);
    layout_destroy(&layout);
}

static void test_tables_travel_one_a_line(void **state)
{
    (void)state;
    struct layout *layout = load(whole_pipeline, TABLE "  time-col: time\n");
    struct text text;
    text_init(&text, TABLES_TEXT_BYTES_MAX);
    layout_print_tables(layout, &layout->pipelines[0], &text);
    assert_string_equal(text.data, "T\t\ttime\ttime:timestamp:sorted,v:long:\n");
    text_fini(&text);
    layout_destroy(&layout);
}

static void test_near_names_are_within_two_edits_and_the_nearest_wins(void **state)
{
    (void)state;
    struct near near;
    char hint[NEAR_HINT_BYTES];
    near_init(&near, "rbd");
    near_offer(&near, "idb");
    near_offer(&near, "rdb");
    near_offer(&near, "banana");
    assert_string_equal(near_hint(&near, hint), " (did you mean 'rdb'?)");
    near_init(&near, "zz");
    near_offer(&near, "tp");
    near_offer(&near, "zzzzz");
    assert_string_equal(near_hint(&near, hint), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_processes_come_in_start_order_with_server_and_host),
        cmocka_unit_test(test_a_type_requires_the_nearest_built_in_level_and_its_depends_on),
        cmocka_unit_test(test_options_come_from_the_process_then_the_pipeline_then_the_defaults),
        cmocka_unit_test(test_options_travel_in_one_spelling),
        cmocka_unit_test(test_a_table_feeds_a_pipeline_when_no_key_that_both_name_differs),
        cmocka_unit_test(test_why_a_table_does_not_feed_is_told),
        cmocka_unit_test(test_tables_travel_one_a_line),
        cmocka_unit_test(test_near_names_are_within_two_edits_and_the_nearest_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
