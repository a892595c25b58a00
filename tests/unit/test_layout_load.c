/* libs: gemel_layout_load gemel_layout_model gemel_yaml gemel_base */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/layout/load/layout_load.h"
#include "tests/unit/testing.h"

#define SYSTEM                                                                                                         \
    "system:\n"                                                                                                        \
    "  layout:\n"                                                                                                      \
    "    - {name: primary-server, nodes: [{host: aaa}]}\n"                                                             \
    "    - {name: secondary-server, nodes: [{host: bbb}]}\n"                                                           \
    "  data-hierarchy: [region, data-source]\n"

/* A pipeline of one type `x` with a command; %s goes below the type. */
#define HEAD "pipeline:\n  name: P\n  type: stream\n  proc-layout: [{all: primary-server}]\n  processes:\n"
#define X    "    x:\n      command: [/bin/true]\n"

struct load {
    struct layout *layout;
    int result;
    struct text mistakes;
    struct text warnings;
};

static void load_files(struct load *load, const struct layout_file *files, size_t count)
{
    struct error_list mistakes = {0};
    struct error_list warnings = {0};
    load->layout = NULL;
    load->result = layout_load_files(&load->layout, files, count, NULL, &mistakes, &warnings);
    text_init(&load->mistakes, 100000);
    text_init(&load->warnings, 100000);
    error_list_print(&mistakes, &load->mistakes);
    error_list_print(&warnings, &load->warnings);
    error_list_fini(&mistakes);
    error_list_fini(&warnings);
}

static void load_fini(struct load *load)
{
    layout_destroy(&load->layout);
    text_fini(&load->mistakes);
    text_fini(&load->warnings);
}

/* Loads SYSTEM and one other file. */
static void load_one(struct load *load, const char *path, const char *content)
{
    const struct layout_file files[] = {{"system.yaml", SYSTEM, strlen(SYSTEM)}, {path, content, strlen(content)}};
    load_files(load, files, 2);
}

struct bad_input {
    const char *path;
    const char *content;
    const char *mistakes;
};

static void check_bad_inputs(const struct bad_input *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct load load;
        load_one(&load, cases[i].path, cases[i].content);
        assert_string_equal(load.mistakes.data, cases[i].mistakes);
        assert_int_equal(load.result, -EINVAL);
        assert_null(load.layout);
        load_fini(&load);
    }
}

#define P "pipelines/P.yaml"

static void test_mistakes_of_a_pipeline_have_places_and_sentences(void **state)
{
    (void)state;
    static const struct bad_input cases[] = {
        {P, "pipline:\n  name: P\n",
         P ":1:1: unknown key of the file, which holds 'pipeline:' (did you mean "
           "'pipeline'?), got 'pipline'\n"},
        {P, "[]\n", P ":1:1: the file must hold 'pipeline:', got 'a list'\n"},
        {P, "pipeline: 3\n", P ":1:11: a pipeline must be a map of keys, got '3'\n"},
        {P, "pipeline:\n  name: P\n",
         P ":2:3: a pipeline wants the key 'proc-layout'\n" P ":2:3: a pipeline wants the key 'processes'\n" P
           ":2:3: a pipeline wants the key 'type'\n"},
        {P, HEAD X "  expose-to-gww: true\n",
         P ":8:3: unknown key of a pipeline (did you mean 'expose-to-gw'?), got 'expose-to-gww'\n"},
        {P, HEAD X "  banana: true\n", P ":8:3: unknown key of a pipeline, got 'banana'\n"},
        {P, HEAD X "  expose-to-gw: 1\n", P ":8:17: 'expose-to-gw' wants true or false, got '1'\n"},
        {P, HEAD X "  restart: allways\n",
         P ":8:12: 'restart' wants on-failure, always or manual (did you mean "
           "'always'?), got 'allways'\n"},
        {P, HEAD X "  restart: \"a\\nb\\e[1m\"\n",
         P ":8:12: 'restart' wants on-failure, always or manual, got 'a?b?[1m'\n"},
        {P, HEAD X "  startup-timeout: soon\n",
         P ":8:20: 'startup-timeout' wants a duration such as 250ms, 30s or 15m, got 'soon'\n"},
        {P, HEAD X "  startup-timeout: 2d\n",
         P ":8:20: 'startup-timeout' wants whole milliseconds from 1ms to 86400000ms, got '2d'\n"},
        {P, HEAD X "  max-lag: -1\n", P ":8:12: 'max-lag' wants a number from 0 to 1000000000000, got '-1'\n"},
        {P, HEAD X "  name: Q\n  banana: true\n",
         P ":8:3: the key was given before, in line 2, got 'name'\n" P
           ":9:3: unknown key of a pipeline, got 'banana'\n"},
        {P, "pipeline:\n  name: 1x\n  type: stream\n  proc-layout: [{all: primary-server}]\n  processes:\n" X,
         P ":2:9: 'name' wants a name of letters, digits, '_' and '-' that starts with a letter, got '1x'\n"},
        {P, HEAD X "  taxonomy: {regoin: eu}\n",
         P ":8:14: unknown key of the data-hierarchy (did you mean 'region'?), got 'regoin'\n"},
        {P, HEAD X "  taxonomy: [eu]\n", P ":8:13: 'taxonomy' wants a map of names and values, got 'a list'\n"},
    };
    check_bad_inputs(cases, sizeof cases / sizeof cases[0]);
}

static void test_mistakes_of_a_process_have_places_and_sentences(void **state)
{
    (void)state;
    static const struct bad_input cases[] = {
        {P, HEAD "    rdbb:\n      port: 1\n",
         P ":6:5: a type of your own wants a 'command' (did you mean 'rdb'?), got 'rdbb'\n"},
        {P, HEAD "    tp:\n      pub-frq-ms: 1\n",
         P ":7:7: unknown key of a process (did you mean 'pub-freq-ms'?), got 'pub-frq-ms'\n"},
        {P, HEAD "    tp:\n      pub-mode: timr\n",
         P ":7:17: 'pub-mode' wants direct, timer or timer-with-row-batch (did you mean 'timer'?), got 'timr'\n"},
        {P, HEAD "    tp:\n      rollover-time: \"25:00:00\"\n",
         P ":7:22: 'rollover-time' wants a time of day HH:MM:SS.mmm, got '25:00:00'\n"},
        {P, HEAD "    rdb:\n      write-freq: 1\n", P ":7:7: unknown key of a process, got 'write-freq'\n"},
        {P, HEAD X "      port: 70000\n", P ":8:13: 'port' wants a number from 1 to 65535, got '70000'\n"},
        {P, HEAD X "      port: http\n", P ":8:13: 'port' wants a whole number, got 'http'\n"},
        {P, HEAD X "      instances: 0\n", P ":8:18: 'instances' wants a number from 1 to 1000, got '0'\n"},
        {P, HEAD "    x:\n      command: /bin/true\n",
         P ":7:16: 'command' wants a list such as [/usr/sbin/nginx, -g, daemon off;], got '/bin/true'\n"},
        {P, HEAD X "      cpu-taskset: 3-1\n", P ":8:20: 'cpu-taskset' wants CPUs such as 0-3 or 0,2,4-7, got '3-1'\n"},
        {P, HEAD X "      cpu-taskset: 0,,1\n",
         P ":8:20: 'cpu-taskset' wants CPUs such as 0-3 or 0,2,4-7, got '0,,1'\n"},
        {P, HEAD X "      limits: {nofiles: 3}\n", P ":8:16: unknown limit (did you mean 'nofile'?), got 'nofiles'\n"},
        {P, HEAD X "      limits: {nofile: many}\n",
         P ":8:16: 'nofile' wants a number, a number with K, M or G, or unlimited, got 'many'\n"},
        {P, HEAD X "      env: {GEMEL_TOKEN: x}\n",
         P ":8:13: this variable is set for the process, got 'GEMEL_TOKEN'\n"},
        {P, HEAD X "      env: {A: [1]}\n", P ":8:16: 'A' wants a text, got 'a list'\n"},
        {P, HEAD X "      stop-signal: SIGSTOP\n",
         P ":8:20: 'stop-signal' wants SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH or SIGKILL, got "
           "'SIGSTOP'\n"},
        {P, HEAD X "      success-exit: [0, 256]\n",
         P ":8:25: 'success-exit' wants a number from 0 to 255, got '256'\n"},
        {P, HEAD X "      ready: soon\n", P ":8:14: 'ready' wants notify, now or {tcp-port: N}, got 'soon'\n"},
        {P, HEAD X "      ready: {tcp-port: x}\n", P ":8:25: 'tcp-port' wants a whole number, got 'x'\n"},
        {P, HEAD X "      depends-on: [y]\n", P ":8:20: unknown type, not among 'processes', got 'y'\n"},
        {P, HEAD X "      depends-on: x\n", P ":8:19: types depend on each other in a circle, got 'x -> x'\n"},
        {P, HEAD X "      depends-on: [y]\n    y:\n      command: [a]\n      depends-on: [x]\n",
         P ":8:19: types depend on each other in a circle, got 'x -> y -> x'\n"},
        {P, HEAD "    tp:\n      depends-on: [rdb]\n    rdb:\n",
         P ":7:19: types depend on each other in a circle, got 'tp -> rdb -> tp'\n"},
    };
    check_bad_inputs(cases, sizeof cases / sizeof cases[0]);
}

static void test_mistakes_of_a_proc_layout_have_places_and_sentences(void **state)
{
    (void)state;
#define START "pipeline:\n  name: P\n  type: stream\n  processes:\n    x: {command: [a], port: 99}\n  proc-layout:\n"
    static const struct bad_input cases[] = {
        {P, START "    - all: primry-server\n",
         P ":7:12: unknown server, not in the system's layout (did you mean 'primary-server'?), got 'primry-server'\n"},
        {P, START "    - x.y: primary-server\n", P ":7:7: 'proc-layout' wants all, a type or TYPE.N, got 'x.y'\n"},
        {P, START "    - rdb: primary-server\n", P ":7:7: unknown type, not among 'processes', got 'rdb'\n"},
        {P, START "    - primary-server\n",
         P ":7:7: an item of 'proc-layout' maps all, a type or TYPE.N to a server, got 'primary-server'\n"},
        {P, START "    all: primary-server\n",
         P ":7:5: 'proc-layout' wants a list of 1 to 64 items, one for each instance, got 'a map'\n"},
        {P, START "    - all: primary-server\n    - all: primary-server\n",
         P ":5:29: P.0.x.0 and P.1.x.0 share a port on host aaa, got '99'\n"},
        {P,
         "pipeline:\n  name: P\n  type: stream\n  processes:\n    x: {command: [a], instances: 2}\n  proc-layout:\n"
         "    - x.2: primary-server\n",
         P ":7:7: 'x' has 2 instances, numbered from 0, got 'x.2'\n"},
        {P,
         "pipeline:\n  name: P\n  type: service\n  processes:\n    x: {command: [a]}\n    y: {command: [a]}\n"
         "  proc-layout: [{all: primary-server}]\n",
         P ":5:5: a service class has one process in each item of proc-layout, got '2' types\n"},
        {P, START "    - all: primary-server\n    - all: secondary-server\n  proc-layout-numbers: instances\n",
         P ":9:24: with 'proc-layout-numbers: instances' proc-layout has one item, got '2' items\n"},
    };
    check_bad_inputs(cases, sizeof cases / sizeof cases[0]);
}

static void test_mistakes_of_tables_and_workflows_have_places_and_sentences(void **state)
{
    (void)state;
#define T "tables/T.yaml"
#define W "workflows/W.yaml"
#define TABLE                                                                                                          \
    "table:\n  name: T\n  columns:\n    - {name: time, data-type: timestamp}\n    - {name: sym, data-type: symbol}\n"
#define FLOW "workflow:\n  name: W\n  tasks:\n"
    static const struct bad_input cases[] = {
        {T, TABLE "  time-col: tmie\n",
         T ":6:13: 'time-col' wants a column of the table (did you mean 'time'?), got 'tmie'\n"},
        {T, TABLE "  time-col: sym\n", T ":6:13: 'time-col' wants a column of type timestamp, got 'symbol'\n"},
        {T, TABLE "    - {name: sym, data-type: int}\n",
         T ":6:14: the column was given before, in line 5, got 'sym'\n"},
        {T, TABLE "    - {name: x, data-type: flot}\n",
         T ":6:28: 'data-type' wants timestamp, date, symbol, string, char, boolean, byte, short, int, long, real, "
           "float or guid (did you mean 'float'?), got 'flot'\n"},
        {T, TABLE "    - {name: x, data-type: int, attribute: sort}\n",
         T ":6:44: 'attribute' wants sorted, grouped, parted or unique (did you mean 'sorted'?), got 'sort'\n"},
        {T, TABLE "  end-persist-type: splay\n", T ":6:21: 'end-persist-type' wants date-partition, got 'splay'\n"},
        {T, TABLE "  taxonomy: [{source: x}]\n", T ":6:15: unknown key of the data-hierarchy, got 'source'\n"},
        {T, "table:\n  name: T\n  columns: []\n",
         T ":3:12: 'columns' wants a list of 1 to 1000 columns, got 'a list'\n"},
        {W, FLOW "    - {name: a, command: x, pipeline: P}\n",
         W ":4:14: a task wants one of 'command', 'pipeline' and 'process', got 'a'\n" W
           ":4:39: unknown pipeline, got 'P'\n"},
        {W, FLOW "    - {name: a, command: x, needs: [b]}\n    - {name: bb, command: x}\n",
         W ":4:37: unknown task of the workflow (did you mean 'bb'?), got 'b'\n"},
        {W, FLOW "    - {name: a, command: x, needs: b}\n    - {name: b, command: x, needs: [a]}\n",
         W ":4:36: tasks need each other in a circle, got 'a -> b -> a'\n"},
        {W, FLOW "    - {name: a, process: P.0.x.0}\n", W ":4:26: unknown process, got 'P.0.x.0'\n"},
        {W, FLOW "    - {name: a, command: x, on-failure: V}\n", W ":4:41: unknown workflow, got 'V'\n"},
        {W, FLOW "    - {name: a, command: x}\n  environment: C\n", W ":5:16: 'environment' wants A or B, got 'C'\n"},
        {"pipelines/x.txt", "a",
         "pipelines/x.txt: not a layout file: these are system.yaml and pipelines/, tables/, "
         "workflows/ *.yaml, got 'pipelines/x.txt'\n"},
        {"pipelines/../x.yaml", "a",
         "pipelines/../x.yaml: not a layout file: these are system.yaml and pipelines/, tables/, workflows/ *.yaml, "
         "got 'pipelines/../x.yaml'\n"},
    };
    check_bad_inputs(cases, sizeof cases / sizeof cases[0]);
}

static void test_mistakes_of_the_system_have_places_and_sentences(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        const char *mistakes;
    } cases[] = {
        {"system:\n  layout: []\n",
         "system.yaml:2:11: 'layout' wants a list of servers with 'name' and 'nodes', got 'a list'\n"},
        {"system:\n  layout:\n    - {name: a, nodes: [{host: x}]}\n    - {name: a, nodes: [{host: y}]}\n",
         "system.yaml:4:14: the server was given before, in line 3, got 'a'\n"},
        {"system:\n  layout:\n    - {name: a, nodes: []}\n",
         "system.yaml:3:24: 'nodes' wants a list of '- host: NAME', got 'a list'\n"},
        {"system:\n  layout:\n    - {name: a, nodes: [{hots: x}]}\n",
         "system.yaml:3:25: a node wants the key 'host'\n"
         "system.yaml:3:26: unknown key of a node (did you mean 'host'?), got 'hots'\n"},
        {"system:\n  layout:\n    - {name: a, nodes: [{host: x}]}\n  default-cpu-taskset: all\n",
         "system.yaml:4:24: 'default-cpu-taskset' wants CPUs such as 0-3 or 0,2,4-7, got 'all'\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct load load;
        const struct layout_file file = {"system.yaml", cases[i].content, strlen(cases[i].content)};
        load_files(&load, &file, 1);
        assert_string_equal(load.mistakes.data, cases[i].mistakes);
        load_fini(&load);
    }
    struct load load;
    load_files(&load, NULL, 0);
    assert_string_equal(load.mistakes.data, "system.yaml: the file is missing: it names the servers\n");
    load_fini(&load);
}

static void test_all_mistakes_of_all_files_come_in_one_run(void **state)
{
    (void)state;
    const char *bad_pipeline = HEAD X "      port: no\n  banana: 1\n";
    const char *bad_table = "table:\n  name: T\n  colums: []\n";
    const struct layout_file files[] = {
        {"tables/T.yaml", bad_table, strlen(bad_table)},
        {"system.yaml", "system:\n\tx: 1\n", 14},
        {P, bad_pipeline, strlen(bad_pipeline)},
        {"pipelines/Q.yaml", bad_pipeline, strlen(bad_pipeline)},
    };
    struct load load;
    load_files(&load, files, 4);
    assert_string_equal(load.mistakes.data,
                        "pipelines/P.yaml:8:13: 'port' wants a whole number, got 'no'\n"
                        "pipelines/P.yaml:9:3: unknown key of a pipeline, got 'banana'\n"
                        "pipelines/Q.yaml:2:9: the pipeline was given before, in pipelines/P.yaml:2, got 'P'\n"
                        "pipelines/Q.yaml:8:13: 'port' wants a whole number, got 'no'\n"
                        "pipelines/Q.yaml:9:3: unknown key of a pipeline, got 'banana'\n"
                        "system.yaml:2:1: indent with spaces, got 'a tab'\n"
                        "tables/T.yaml:2:3: a table wants the key 'columns'\n"
                        "tables/T.yaml:3:3: unknown key of a table (did you mean 'columns'?), got 'colums'\n");
    load_fini(&load);
}

static void test_known_keys_of_the_original_are_warnings_that_say_what_serves(void **state)
{
    (void)state;
    struct load load;
    load_one(&load, P,
             HEAD X "    rte:\n      port: 3\n  expose-to-qr: true\n  enable-legacy-routing: false\n"
                    "  auto-failback: true\n");
    assert_int_equal(load.result, 0);
    assert_string_equal(
        load.warnings.data,
        P ":8:5: 'rte' is not run here: run your own program with 'command' and subscribe by libgemel\n" P
          ":10:3: 'expose-to-qr' has no meaning here: 'expose-to-gw' serves instead\n" P
          ":11:3: 'enable-legacy-routing' has no meaning here: each gateway keeps the primary routing state\n" P
          ":12:3: 'auto-failback' has no effect in this version\n");
    load_fini(&load);
}

#define SPLIT                                                                                                          \
    "pipeline:\n  name: P\n  type: realtime\n  processes: {tp: {}, hdb: {}}\n  proc-layout:\n"                         \
    "    - {tp.0: primary-server, tp.1: secondary-server, hdb.0: primary-server, hdb.1: secondary-server}\n"

static void test_several_servers_in_the_only_item_are_a_warning_with_the_likely_form(void **state)
{
    (void)state;
    struct load load;
    load_one(&load, P, SPLIT);
    assert_string_equal(load.mistakes.data, "");
    assert_string_equal(
        load.warnings.data,
        P ":2:9: no table feeds the pipeline, got 'P'\n" P
          ":6:7: several servers share the only item, so that there is one instance and nothing to fail over to; "
          "likely meant: proc-layout: [{tp.0: primary-server, hdb.0: primary-server}, {tp.0: secondary-server, hdb.0: "
          "secondary-server}], or proc-layout-numbers: instances\n");
    assert_int_equal(load.layout->process_count, 4);
    assert_string_equal(load.layout->processes[1].name, "P.0.tp.1");
    load_fini(&load);
}

static void test_numbers_can_stand_for_instances(void **state)
{
    (void)state;
    struct load load;
    load_one(&load, P, SPLIT "  proc-layout-numbers: instances\n");
    assert_int_equal(load.result, 0);
    assert_int_equal(load.layout->pipelines[0].instance_count, 2);
    assert_int_equal(load.layout->process_count, 4);
    assert_string_equal(load.layout->processes[2].name, "P.1.tp.0");
    assert_string_equal(load.layout->processes[2].host, "bbb");
    load_fini(&load);
}

/* ---- the example system ---- */

/* The folder etc/ of the tree that this test was built in. */
static void find_etc(char *path, size_t size)
{
    char self[900];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    self[length] = '\0';
    for (char *slash = strrchr(self, '/'); slash != NULL; slash = strrchr(self, '/')) {
        *slash = '\0';
        snprintf(path, size, "%s/etc/pipelines/DemoPipeline.yaml", self);
        if (access(path, R_OK) != 0)
            continue;
        snprintf(path, size, "%s/etc", self);
        return;
    }
    fail_msg("no etc/ above the test");
}

static void test_the_example_system_loads_as_it_is(void **state)
{
    (void)state;
    char etc[1000];
    struct error_list mistakes = {0};
    struct error_list warnings = {0};
    struct layout *layout = NULL;
    struct text printed;
    text_init(&printed, 10000);
    find_etc(etc, sizeof etc);
    int result = layout_load_folder(&layout, etc, &mistakes, &warnings);
    error_list_print(&mistakes, &printed);
    assert_string_equal(printed.data, "");
    assert_int_equal(result, 0);
    assert_int_equal(warnings.count, 1);
    assert_string_equal(warnings.items[0].sentence,
                        "'delta-messaging-server' has no meaning here: the control is the registry");
    assert_int_equal(warnings.items[0].line, 19);
    assert_int_equal(warnings.items[0].column, 3);
    assert_int_equal(layout->pipeline_count, 3);
    assert_int_equal(layout->process_count, 2 + 12 + 2);
    assert_int_equal(layout->workflow_count, 4);
    layout_destroy(&layout);
    text_fini(&printed);
    error_list_fini(&mistakes);
    error_list_fini(&warnings);
}

static void test_messages_show_the_path_as_it_was_given(void **state)
{
    (void)state;
    struct error_list mistakes = {0};
    struct error_list warnings = {0};
    struct layout *layout = NULL;
    char folder[] = "/tmp/gemel-layout-XXXXXX";
    char path[100];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(layout_load_folder(&layout, folder, &mistakes, &warnings), -ENOENT);
    snprintf(path, sizeof path, "%s/system.yaml", folder);
    assert_string_equal(mistakes.items[0].file, path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs("system: 3\n", file);
    fclose(file);
    error_list_fini(&mistakes);
    assert_int_equal(layout_load_folder(&layout, folder, &mistakes, &warnings), -EINVAL);
    assert_string_equal(mistakes.items[0].file, path);
    assert_int_equal(mistakes.items[0].column, 9);
    unlink(path);
    rmdir(folder);
    error_list_fini(&mistakes);
    error_list_fini(&warnings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes_of_a_pipeline_have_places_and_sentences),
        cmocka_unit_test(test_mistakes_of_a_process_have_places_and_sentences),
        cmocka_unit_test(test_mistakes_of_a_proc_layout_have_places_and_sentences),
        cmocka_unit_test(test_mistakes_of_tables_and_workflows_have_places_and_sentences),
        cmocka_unit_test(test_mistakes_of_the_system_have_places_and_sentences),
        cmocka_unit_test(test_all_mistakes_of_all_files_come_in_one_run),
        cmocka_unit_test(test_known_keys_of_the_original_are_warnings_that_say_what_serves),
        cmocka_unit_test(test_several_servers_in_the_only_item_are_a_warning_with_the_likely_form),
        cmocka_unit_test(test_numbers_can_stand_for_instances),
        cmocka_unit_test(test_the_example_system_loads_as_it_is),
        cmocka_unit_test(test_messages_show_the_path_as_it_was_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
