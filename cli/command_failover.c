/* failover: the primary routing state of each gateway, and its change by the operator. */
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "common/base/assert.h"

enum {
    GATEWAYS_MAX = 64
};

/* Columns of the guide, in its order; --wide and JSON show all. */
static const char *const COLUMNS[] = {"processName", "pipeline", "pipelineInstance", "primary",
                                      "registered",  "busy",     "busySince",        NULL};

/* Sends one request to each gateway at once. Returns how many were asked; release with release_calls. */
static size_t ask_all(struct cli *cli, Gemel__AdminRequest *request, struct gateway *gateways, struct call *calls)
{
    const size_t count = ask_gateways(cli, gateways, GATEWAYS_MAX);
    for (size_t i = 0; i < count; i++)
        call_init(&calls[i], CALL_LINK, gateways[i].address, request, STATUS_TIMEOUT_MS);
    cli->transport.run(cli->transport.owner, calls, count);
    for (size_t i = 0; i < count; i++)
        if (gateways[i].process[0] == '\0')
            (void)text_copy(gateways[i].process, sizeof gateways[i].process, calls[i].peer);
    return count;
}

static void release_calls(struct call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        call_fini(&calls[i]);
}

static void say_silent(struct cli *cli, const struct gateway *gateway, const struct call *call)
{
    report_message(&cli->report, "no answer from %s%s%s: %s",
                   gateway->process[0] != '\0' ? gateway->process : "a gateway at ",
                   gateway->process[0] != '\0' ? " at " : "", gateway->address, call->error.sentence);
}

/* Takes over a gateway's table: in JSON each row names its gateway, else the title does. */
static void take_routes(struct cli *cli, const char *gateway, const Gemel__Table *table)
{
    const bool json = cli->invocation->json;
    const bool all = json || invocation_has(cli->invocation, CLI_OPTION_WIDE);
    struct arena *arena = &cli->report.arena;
    const size_t most = table->n_columns + COUNT_OF(COLUMNS) + 1;
    const char **columns = arena_alloc(arena, most * sizeof *columns);
    size_t count = 0;
    if (json)
        columns[count++] = "gateway";
    for (size_t i = 0; !all && COLUMNS[i] != NULL; i++)
        columns[count++] = COLUMNS[i];
    for (size_t i = 0; all && i < table->n_columns; i++)
        if (!json || strcmp(table->columns[i], "gateway") != 0)
            columns[count++] = table->columns[i];
    const char *title =
        report_cell(&cli->report, "[ %s ] Primary Routing State:%s", gateway, table->n_rows == 0 ? " none" : "");
    Gemel__Table *shown = report_table(&cli->report, "routes", title, columns);
    const char **cells = arena_alloc(arena, most * sizeof *cells);
    for (size_t row = 0; row < table->n_rows; row++) {
        for (size_t i = 0; i < count; i++)
            cells[i] = json && i == 0 ? gateway : report_get(table, row, columns[i]);
        report_row(&cli->report, shown, cells);
    }
}

static void show_status(struct cli *cli)
{
    struct gateway gateways[GATEWAYS_MAX];
    struct call calls[GATEWAYS_MAX];
    Gemel__AdminRequest *request = ask_request(cli, "failover.status");
    ask_add_option(cli, request, CLI_OPTION_PIPELINE);
    ask_add_option(cli, request, CLI_OPTION_WIDE);
    const size_t count = ask_all(cli, request, gateways, calls);
    size_t answered = 0;
    for (size_t i = 0; i < count; i++) {
        const Gemel__AdminReply *reply = &calls[i].answer.reply;
        if (calls[i].result != 0) {
            say_silent(cli, &gateways[i], &calls[i]);
            continue;
        }
        answered++;
        for (size_t j = 0; j < reply->n_tables; j++)
            take_routes(cli, gateways[i].process, reply->tables[j]);
        if (reply->exit_code != CLI_EXIT_DONE)
            (void)report_fail(&cli->report, (enum cli_exit)reply->exit_code, "%s: %s", gateways[i].process,
                              reply->error);
    }
    if (answered == 0)
        (void)report_fail(&cli->report, CLI_EXIT_FAILED,
                          "no gateway answers: start them with `%s pipeline --start DefaultEntrypoint`",
                          cli->invocation->program);
    else if (answered < count)
        report_set_exit(&cli->report, CLI_EXIT_PARTLY);
    release_calls(calls, count);
}

static Gemel__AdminRequest *build_failover(struct cli *cli, const char *verb)
{
    static const enum cli_option options[] = {CLI_OPTION_PIPELINE, CLI_OPTION_TO_INSTANCE, CLI_OPTION_PROCESS,
                                              CLI_OPTION_FORCE, CLI_OPTION_DRY_RUN};
    Gemel__AdminRequest *request = ask_request(cli, verb);
    for (size_t i = 0; i < COUNT_OF(options); i++)
        ask_add_option(cli, request, options[i]);
    return request;
}

/* Without a leader the route is not published: each gateway is told by itself. */
static void order_gateways(struct cli *cli, const char *why)
{
    struct gateway gateways[GATEWAYS_MAX];
    struct call calls[GATEWAYS_MAX];
    const size_t count = ask_all(cli, build_failover(cli, "failover.failover"), gateways, calls);
    size_t answered = 0;
    report_message(&cli->report, "%s; the order went straight to the gateways", why);
    for (size_t i = 0; i < count; i++) {
        if (calls[i].result == 0) {
            report_take(&cli->report, &calls[i].answer.reply);
            answered++;
        } else {
            say_silent(cli, &gateways[i], &calls[i]);
        }
    }
    if (answered == 0)
        (void)report_fail(
            &cli->report, CLI_EXIT_NO_LEADER,
            "neither a leader nor a gateway answers: start a control with `%s application --start-control`",
            cli->invocation->program);
    else if (answered < count)
        report_set_exit(&cli->report, CLI_EXIT_PARTLY);
    release_calls(calls, count);
}

static void fail_over(struct cli *cli)
{
    struct report answer;
    Gemel__AdminRequest *request = build_failover(cli, "route.set");
    /* A missing leader is no failure of this command yet: what is said of it is kept apart. */
    struct report kept = cli->report;
    report_init(&cli->report);
    const bool answered = ask_control(cli, request, COMMAND_TIMEOUT_MS, &answer);
    const bool no_leader =
        answered ? answer.reply.exit_code == CLI_EXIT_NO_LEADER : cli->report.reply.exit_code == CLI_EXIT_NO_LEADER;
    char why[ERROR_SENTENCE_BYTES];
    (void)text_copy(why, sizeof why, answered ? answer.reply.error : cli->report.reply.error);
    report_fini(&cli->report);
    cli->report = kept;
    if (no_leader)
        order_gateways(cli, why[0] != '\0' ? why : "no control leads");
    else if (answered)
        report_take(&cli->report, &answer.reply);
    else
        (void)report_fail(&cli->report, CLI_EXIT_FAILED, "%s", why);
    if (answered)
        report_fini(&answer);
}

void command_failover(struct cli *cli)
{
    if (cli_command_id(cli->invocation->command) == CLI_FAILOVER_STATUS)
        show_status(cli);
    else
        fail_over(cli);
}
