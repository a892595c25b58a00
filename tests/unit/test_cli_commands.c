/* libs: gemel_cli_commands */
/* Commands with a fake in the place of the wire: who is asked, in which order, and what is made of the answers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/json_print.h"
#include "cli/table_print.h"
#include "common/base/assert.h"
#include "tests/unit/testing.h"

enum {
    ASKED_MAX = 64,
    SCRIPTS_MAX = 16,
    ARGUMENTS_MAX = 16
};

#define A "127.0.0.1"
#define B "127.0.0.2"

/* What an address answers to a verb: the replies in order, the last one again and again. */
struct script {
    const char *address;
    const char *verb;
    const Gemel__AdminReply *replies[4];
    size_t given;
    const char *redirect;
};

struct fake {
    struct script scripts[SCRIPTS_MAX];
    size_t script_count;
    char asked[ASKED_MAX][160]; /* "address verb name=value ..." */
    size_t asked_count;
    char folder[64];
    struct report replies[SCRIPTS_MAX]; /* what tests build answers in */
    size_t reply_count;
    struct invocation invocation;
    char words[ARGUMENTS_MAX][128];
    char *argv[ARGUMENTS_MAX];
    struct cli cli;
};

static void note_asked(struct fake *fake, const struct call *call)
{
    assert_true(fake->asked_count < ASKED_MAX);
    char *line = fake->asked[fake->asked_count++];
    size_t length = (size_t)snprintf(line, 160, "%s %s", call->address, call->request->verb);
    for (size_t i = 0; i < call->request->n_arguments && length < 160; i++)
        length += (size_t)snprintf(line + length, 160 - length, " %s=%s", call->request->arguments[i]->name,
                                   call->request->arguments[i]->value);
}

static void run_fake(void *owner, struct call *calls, size_t count)
{
    struct fake *fake = owner;
    for (size_t i = 0; i < count; i++) {
        struct call *call = &calls[i];
        note_asked(fake, call);
        call->result = error_set(&call->error, -ECONNREFUSED, "connection refused");
        for (size_t j = 0; j < fake->script_count; j++) {
            struct script *script = &fake->scripts[j];
            if (strcmp(script->address, call->address) != 0 || strcmp(script->verb, call->request->verb) != 0)
                continue;
            const Gemel__AdminReply *reply = script->replies[script->given];
            if (script->given + 1 < COUNT_OF(script->replies) && script->replies[script->given + 1] != NULL)
                script->given++;
            if (reply != NULL)
                call_take_part(call, reply);
            if (script->redirect != NULL)
                (void)text_copy(call->redirect, sizeof call->redirect, script->redirect);
            call->result = 0;
        }
    }
}

static void write_file(const struct fake *fake, const char *below, const char *content)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", fake->folder, below);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int begin(void **state)
{
    static struct fake fake;
    fake = (struct fake){.folder = "/tmp/gemel-cli-XXXXXX"};
    assert_non_null(mkdtemp(fake.folder));
    struct error error = {0};
    assert_int_equal(site_open(&fake.cli.site, fake.folder, &error), 0);
    write_file(&fake, "etc/settings.conf",
               "host = " A "\ncontrol-primary = " A "\ncontrol-secondary = " B "\nclustering = 1\n");
    struct text mistakes;
    text_init(&mistakes, 10000);
    if (site_load_settings(&fake.cli.site, &mistakes) != 0)
        fail_msg("%s", mistakes.data);
    text_fini(&mistakes);
    report_init(&fake.cli.report);
    fake.cli.transport = (struct transport){run_fake, &fake};
    fake.cli.invocation = &fake.invocation;
    *state = &fake;
    return 0;
}

static int end(void **state)
{
    struct fake *fake = *state;
    report_fini(&fake->cli.report);
    for (size_t i = 0; i < fake->reply_count; i++)
        report_fini(&fake->replies[i]);
    site_close(&fake->cli.site);
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", fake->folder);
    return system(command);
}

/* A reply to be built by the test. */
static struct report *new_reply(struct fake *fake)
{
    assert_true(fake->reply_count < SCRIPTS_MAX);
    struct report *report = &fake->replies[fake->reply_count++];
    report_init(report);
    return report;
}

static struct script *answer(struct fake *fake, const char *address, const char *verb, const struct report *reply)
{
    struct script *script = &fake->scripts[fake->script_count++];
    *script = (struct script){.address = address, .verb = verb, .replies = {reply != NULL ? &reply->reply : NULL}};
    return script;
}

static void parse(struct fake *fake, const char *line)
{
    int argc = 1;
    fake->argv[0] = strcpy(fake->words[0], "gemel");
    for (const char *at = line; *at != '\0'; argc++) {
        const size_t length = strcspn(at, " ");
        (void)snprintf(fake->words[argc], sizeof fake->words[argc], "%.*s", (int)length, at);
        fake->argv[argc] = fake->words[argc];
        at += length + (at[length] == ' ' ? 1 : 0);
    }
    struct error error = {0};
    if (invocation_parse(argc, fake->argv, &fake->invocation, &error) != 0)
        fail_msg("%s", error.sentence);
}

static void assert_asked(const struct fake *fake, size_t position, const char *line)
{
    assert_true(position < fake->asked_count);
    assert_string_equal(fake->asked[position], line);
}

static struct report *processes_reply(struct fake *fake, const char *state, const char *why)
{
    struct report *reply = new_reply(fake);
    Gemel__Table *table = report_table(reply, "processes", NULL, (const char *[]){"processName", "state", "why", NULL});
    report_row(reply, table, (const char *[]){"P.0.rdb.0", "ready", ""});
    report_row(reply, table, (const char *[]){"P.1.rdb.0", state, why});
    return reply;
}

static void test_nobody_answering_is_exit_4_with_the_next_step(void **state)
{
    struct fake *fake = *state;
    parse(fake, "pipeline --list");
    command_pipeline(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_NO_LEADER);
    assert_string_equal(fake->cli.report.reply.error,
                        "no control answers at " A ":2001 (connection refused), " B
                        ":2001 (connection refused): start one with `gemel application --start-control`");
}

static void test_the_peer_is_asked_when_the_own_control_is_gone(void **state)
{
    struct fake *fake = *state;
    struct report *reply = new_reply(fake);
    report_message(reply, "starting 12 processes");
    (void)answer(fake, B ":2001", "pipeline.start", reply);
    parse(fake, "pipeline --start P --instance 1 --process rdb.0");
    command_pipeline(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_DONE);
    assert_string_equal(fake->cli.report.reply.message, "starting 12 processes");
    assert_asked(fake, 0, A ":2001 pipeline.start pipeline=P instance=1 process=rdb.0");
    assert_int_equal(fake->asked_count, 2);
}

static void test_a_redirect_leads_to_the_leader(void **state)
{
    struct fake *fake = *state;
    answer(fake, A ":2001", "pipeline.list", new_reply(fake))->redirect = B;
    struct report *reply = new_reply(fake);
    report_message(reply, "from the leader");
    (void)answer(fake, B ":2001", "pipeline.list", reply);
    parse(fake, "pipeline --list");
    command_pipeline(&fake->cli);
    assert_string_equal(fake->cli.report.reply.message, "from the leader");
    assert_int_equal(fake->asked_count, 2);
}

static void test_one_that_knows_no_leader_does_not_hide_the_one_that_leads(void **state)
{
    struct fake *fake = *state;
    struct report *no_leader = new_reply(fake), *reply = new_reply(fake);
    (void)report_fail(no_leader, CLI_EXIT_NO_LEADER, "nobody leads");
    report_message(reply, "done");
    (void)answer(fake, A ":2001", "pipeline.list", no_leader);
    (void)answer(fake, B ":2001", "pipeline.list", reply);
    parse(fake, "pipeline --list");
    command_pipeline(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_DONE);
    assert_string_equal(fake->cli.report.reply.message, "done");
}

static void test_wait_shows_each_change_and_ends_with_ready(void **state)
{
    struct fake *fake = *state;
    struct report *started = new_reply(fake);
    report_message(started, "starting 2 processes");
    (void)answer(fake, A ":2001", "pipeline.start", started);
    struct script *script =
        answer(fake, A ":2001", "pipeline.status", processes_reply(fake, "starting", "waits for tp"));
    script->replies[1] = &processes_reply(fake, "starting", "waits for tp")->reply;
    script->replies[2] = &processes_reply(fake, "ready", "")->reply;
    char *lines = NULL;
    size_t size = 0;
    fake->cli.live = open_memstream(&lines, &size);
    parse(fake, "pipeline --start P --wait");
    command_pipeline(&fake->cli);
    assert_int_equal(fclose(fake->cli.live), 0);
    assert_string_equal(lines, "starting 2 processes\nP.0.rdb.0  ready\nP.1.rdb.0  starting\nP.1.rdb.0  ready\n");
    assert_string_equal(fake->cli.report.reply.message, "P is ready: 2 of 2");
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_DONE);
    free(lines);
}

static void test_wait_ends_with_failed_and_why_or_with_its_timeout(void **state)
{
    struct fake *fake = *state;
    (void)answer(fake, A ":2001", "pipeline.start", new_reply(fake));
    struct script *script = answer(fake, A ":2001", "pipeline.status", processes_reply(fake, "starting", "replaying"));
    parse(fake, "pipeline --start P --wait --timeout 30ms");
    command_pipeline(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_TIMEOUT);
    assert_non_null(strstr(fake->cli.report.reply.error, "P.1.rdb.0 starting"));
    report_reset(&fake->cli.report);
    script->replies[0] = &processes_reply(fake, "failed", "exit code 125")->reply;
    script->given = 0;
    parse(fake, "pipeline --start P --wait --timeout 20s");
    command_pipeline(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_FAILED);
    assert_string_equal(fake->cli.report.reply.error, "P failed: P.1.rdb.0 (exit code 125)");
}

static void test_a_partly_running_pipeline_is_not_waited_for(void **state)
{
    struct fake *fake = *state;
    struct report *reply = new_reply(fake);
    (void)report_fail(reply, CLI_EXIT_PARTLY, "P.1.rdb.0 is down: use --force-start");
    (void)answer(fake, A ":2001", "pipeline.start", reply);
    parse(fake, "pipeline --start P --wait");
    command_pipeline(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_PARTLY);
    assert_int_equal(fake->asked_count, 1);
}

/* A daemon that knows a gateway, and a gateway with two columns more than the guide shows. */
static void add_gateway(struct fake *fake)
{
    struct report *processes = new_reply(fake), *routes = new_reply(fake);
    Gemel__Table *table =
        report_table(processes, "processes", NULL, (const char *[]){"processName", "state", "endpoint", NULL});
    report_row(processes, table, (const char *[]){"E.0.gw.0", "ready", A ":5010"});
    report_row(processes, table, (const char *[]){"P.0.rdb.0", "ready", A ":41222"});
    (void)answer(fake, A ":2002", "daemon.processes", processes);
    table = report_table(routes, "E.0.gw.0", "its own title",
                         (const char *[]){"processName", "pipeline", "pipelineInstance", "primary", "registered",
                                          "busy", "busySince", "version", "queue", NULL});
    report_row(routes, table, (const char *[]){"P.0.rdb.0", "P", "0", "yes", "yes", "no", "", "3", "0"});
    (void)answer(fake, A ":5010", "failover.status", routes);
}

static void test_failover_status_shows_the_columns_of_the_guide(void **state)
{
    struct fake *fake = *state;
    add_gateway(fake);
    (void)answer(fake, B ":2002", "daemon.processes", processes_reply(fake, "ready", ""));
    parse(fake, "failover --status --pipeline P");
    command_failover(&fake->cli);
    struct text text;
    text_init(&text, 10000);
    table_print_reply(&text, &fake->cli.report.reply, NULL);
    assert_string_equal(text.data, "[ E.0.gw.0 ] Primary Routing State:\n"
                                   "processName pipeline pipelineInstance primary registered busy busySince\n"
                                   "----------- -------- ---------------- ------- ---------- ---- ---------\n"
                                   "P.0.rdb.0   P        0                yes     yes        no\n");
    text_fini(&text);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_DONE);
    assert_asked(fake, 2, A ":5010 failover.status pipeline=P");
}

static void test_failover_status_in_json_names_the_gateway_in_each_row(void **state)
{
    struct fake *fake = *state;
    add_gateway(fake);
    parse(fake, "failover --status --output json");
    command_failover(&fake->cli);
    const Gemel__Table *routes = report_find_table(&fake->cli.report.reply, "routes");
    assert_non_null(routes);
    assert_string_equal(report_get(routes, 0, "gateway"), "E.0.gw.0");
    assert_string_equal(report_get(routes, 0, "version"), "3");
    /* The daemon of B is silent, and so is the gateway that may be there. */
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_PARTLY);
    assert_non_null(strstr(fake->cli.report.reply.message, "no answer from a gateway at " B ":5010"));
}

static void test_failover_without_a_leader_goes_to_the_gateways_and_says_so(void **state)
{
    struct fake *fake = *state;
    add_gateway(fake);
    (void)answer(fake, B ":2002", "daemon.processes", processes_reply(fake, "ready", ""));
    struct report *moved = new_reply(fake);
    report_message(moved, "P.rdb.0 moved");
    (void)answer(fake, A ":5010", "failover.failover", moved);
    parse(fake, "failover --failover --pipeline P --to-instance 1 --force");
    command_failover(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_DONE);
    assert_non_null(strstr(fake->cli.report.reply.message, "the order went straight to the gateways"));
    assert_non_null(strstr(fake->cli.report.reply.message, "P.rdb.0 moved"));
    assert_asked(fake, 0, A ":2001 route.set pipeline=P to-instance=1 force=yes");
    assert_asked(fake, 4, A ":5010 failover.failover pipeline=P to-instance=1 force=yes");
}

static void test_a_refusal_of_the_leader_is_not_carried_to_the_gateways(void **state)
{
    struct fake *fake = *state;
    struct report *refused = new_reply(fake);
    (void)report_fail(refused, CLI_EXIT_REFUSED, "P.1.rdb.0 is down: --force overrides this");
    (void)answer(fake, A ":2001", "route.set", refused);
    parse(fake, "failover --failover --pipeline P --to-instance 1");
    command_failover(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_REFUSED);
    assert_int_equal(fake->asked_count, 1);
}

static void test_logs_fall_back_to_the_file_of_this_home(void **state)
{
    struct fake *fake = *state;
    write_file(fake, "var/log/deltaControl.log", "one\ntwo\nthree\n");
    parse(fake, "logs --view --process DeltaControl --lines 2");
    command_logs(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_DONE);
    assert_string_equal(fake->cli.report.reply.message, "two\nthree\n");
    report_reset(&fake->cli.report);
    parse(fake, "logs --view --process P.0.rdb.0");
    command_logs(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_FAILED);
    report_reset(&fake->cli.report);
    parse(fake, "logs --view --process nonsense");
    command_logs(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_USAGE);
}

static void test_logs_come_from_the_daemon_where_the_process_runs(void **state)
{
    struct fake *fake = *state;
    struct report *here = new_reply(fake), *there = new_reply(fake), *lines = new_reply(fake);
    const char *const columns[] = {"processName", "state", NULL};
    report_row(here, report_table(here, "processes", NULL, columns), (const char *[]){"P.0.rdb.0", "stopped"});
    report_row(there, report_table(there, "processes", NULL, columns), (const char *[]){"P.0.rdb.0", "ready"});
    report_message(lines, "a line");
    (void)answer(fake, A ":2002", "daemon.processes", here);
    (void)answer(fake, B ":2002", "daemon.processes", there);
    (void)answer(fake, B ":2002", "logs.tail", lines);
    parse(fake, "logs --view --process P.0.rdb.0");
    command_logs(&fake->cli);
    assert_string_equal(fake->cli.report.reply.message, "a line");
    assert_asked(fake, 2, B ":2002 logs.tail process=P.0.rdb.0 lines=50");
}

static void write_layout(const struct fake *fake)
{
    char path[256];
    const char *folders[] = {"etc/pipelines", "etc/tables", "etc/workflows"};
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", fake->folder, folders[i]);
        (void)mkdir(path, 0750);
    }
    write_file(fake, "etc/system.yaml", "system:\n  layout:\n    -\n      name: one\n      nodes: [{host: " A "}]\n");
    write_file(fake, "etc/pipelines/P.yaml",
               "pipeline:\n  name: P\n  type: service\n  proc-layout: [{all: one}]\n  processes:\n    w:\n"
               "      command: [/bin/true]\n");
    write_file(fake, "etc/workflows/W.yaml",
               "workflow:\n  name: W\n  tasks:\n"
               "    - {name: last, pipeline: P, instance: 0, needs: [shell]}\n"
               "    - {name: console, command: [gemel-no-such-program]}\n"
               "    - {name: shell, command: [/bin/true], needs: [console]}\n");
}

static void test_a_workflow_runs_in_the_order_of_needs_and_lists_what_it_skips(void **state)
{
    struct fake *fake = *state;
    write_layout(fake);
    (void)answer(fake, A ":2001", "pipeline.start", new_reply(fake));
    parse(fake, "workflow --start W");
    command_workflow(&fake->cli);
    assert_string_equal(fake->cli.report.reply.error, "");
    const Gemel__Table *tasks = report_find_table(&fake->cli.report.reply, "tasks");
    const char *expected[][2] = {{"console", "skipped"}, {"shell", "done"}, {"last", "started"}};
    assert_int_equal(tasks->n_rows, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(report_get(tasks, i, "task"), expected[i][0]);
        assert_string_equal(report_get(tasks, i, "state"), expected[i][1]);
    }
    assert_string_equal(report_get(tasks, 0, "why"), "gemel-no-such-program is not in this version");
    assert_asked(fake, 0, A ":2001 pipeline.start pipeline=P instance=0");
}

static void test_config_check_names_every_mistake_with_its_place(void **state)
{
    struct fake *fake = *state;
    write_layout(fake);
    parse(fake, "config --check");
    command_config(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_DONE);
    report_reset(&fake->cli.report);
    write_file(fake, "etc/pipelines/P.yaml", "pipeline:\n  name: P\n  typ: service\n  proc-layout: [{all: two}]\n");
    command_config(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_FAILED);
    assert_non_null(strstr(fake->cli.report.reply.message, "etc/pipelines/P.yaml:3:3: "));
    assert_non_null(strstr(fake->cli.report.reply.message, "'two'"));
    report_reset(&fake->cli.report);
    fake->asked_count = 0;
    parse(fake, "config --apply");
    command_config(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_FAILED);
    assert_int_equal(fake->asked_count, 0);
}

static void test_cluster_down_when_nothing_is_there_is_done(void **state)
{
    struct fake *fake = *state;
    parse(fake, "cluster --down");
    command_cluster_down(&fake->cli);
    assert_int_equal(fake->cli.report.reply.exit_code, CLI_EXIT_DONE);
    assert_non_null(strstr(fake->cli.report.reply.message, "everything that was found is stopped"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nobody_answering_is_exit_4_with_the_next_step),
        TEST(test_the_peer_is_asked_when_the_own_control_is_gone),
        TEST(test_a_redirect_leads_to_the_leader),
        TEST(test_one_that_knows_no_leader_does_not_hide_the_one_that_leads),
        TEST(test_wait_shows_each_change_and_ends_with_ready),
        TEST(test_wait_ends_with_failed_and_why_or_with_its_timeout),
        TEST(test_a_partly_running_pipeline_is_not_waited_for),
        TEST(test_failover_status_shows_the_columns_of_the_guide),
        TEST(test_failover_status_in_json_names_the_gateway_in_each_row),
        TEST(test_failover_without_a_leader_goes_to_the_gateways_and_says_so),
        TEST(test_a_refusal_of_the_leader_is_not_carried_to_the_gateways),
        TEST(test_logs_fall_back_to_the_file_of_this_home),
        TEST(test_logs_come_from_the_daemon_where_the_process_runs),
        TEST(test_a_workflow_runs_in_the_order_of_needs_and_lists_what_it_skips),
        TEST(test_config_check_names_every_mistake_with_its_place),
        TEST(test_cluster_down_when_nothing_is_there_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
