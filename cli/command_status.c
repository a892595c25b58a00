/* status: asks everybody at once, shortly, and shows what answered. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/status_view.h"
#include "cli/table_print.h"
#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/loop/clock.h"

enum {
    WATCH_EVERY_MS = 1000,
    CALLS_MAX = 4 + 4 * SETTINGS_HOSTS_MAX
};

/* Everything that was asked in one round. */
struct round {
    char controls[2][ADDRESS_BYTES];
    const char *control_hosts[2];
    size_t control_count;
    const char *hosts[SETTINGS_HOSTS_MAX];
    size_t host_count;
    struct call calls[CALLS_MAX]; /* controls: status, processes, events each; then daemons */
    size_t call_count;
    struct gateway gateways[STATUS_GATEWAYS_MAX];
    struct call gateway_calls[STATUS_GATEWAYS_MAX];
    size_t gateway_count;
};

static void add_call(struct round *round, const char *address, Gemel__AdminRequest *request)
{
    call_init(&round->calls[round->call_count++], CALL_PLANE, address, request, STATUS_TIMEOUT_MS);
}

/* Controls and daemons first: the daemons know where the gateways are. */
static void ask_programs(struct cli *cli, struct round *round)
{
    static const char *const verbs[] = {"control.status", "processes.list", "events.list"};
    const struct settings *settings = &cli->site.settings;
    round->control_count = site_controls(&cli->site, round->controls);
    for (size_t i = 0; i < round->control_count; i++) {
        const size_t own = settings->node == 2 ? 1 : 0;
        round->control_hosts[i] = settings->controls[(own + i) % settings->control_count].host;
        for (size_t j = 0; j < COUNT_OF(verbs); j++)
            add_call(round, round->controls[i], ask_request(cli, verbs[j]));
    }
    round->host_count = site_hosts(&cli->site, round->hosts);
    for (size_t i = 0; i < round->host_count; i++) {
        char address[ADDRESS_BYTES];
        settings_daemon_address_of(settings, round->hosts[i], address);
        add_call(round, address, ask_request(cli, "daemon.processes"));
    }
    cli->transport.run(cli->transport.owner, round->calls, round->call_count);
}

static void ask_all_gateways(struct cli *cli, struct round *round)
{
    Gemel__AdminRequest *request = ask_request(cli, "failover.status");
    request_add(&cli->report.arena, request, "wide", "yes");
    for (size_t i = 0; i < round->gateway_count; i++)
        call_init(&round->gateway_calls[i], CALL_LINK, round->gateways[i].address, request, STATUS_TIMEOUT_MS);
    cli->transport.run(cli->transport.owner, round->gateway_calls, round->gateway_count);
}

static struct status_answer answer_of(const char *name, const struct call *call)
{
    return (struct status_answer){.name = name,
                                  .address = call->address,
                                  .reply = call->result == 0 ? &call->answer.reply : NULL,
                                  .why = call->error.sentence};
}

/* The first good answer to a question that every control was asked. */
static const Gemel__AdminReply *first_answer(const struct round *round, size_t question, const char *table)
{
    for (size_t i = 0; i < round->control_count; i++) {
        const struct call *call = &round->calls[i * 3 + question];
        if (call->result == 0 && call->answer.reply.exit_code == CLI_EXIT_DONE &&
            (table == NULL || report_find_table(&call->answer.reply, table) != NULL))
            return &call->answer.reply;
    }
    return NULL;
}

static void build(struct cli *cli, const struct round *round)
{
    struct status_answer controls[2], daemons[SETTINGS_HOSTS_MAX], gateways[STATUS_GATEWAYS_MAX];
    for (size_t i = 0; i < round->control_count; i++)
        controls[i] = answer_of(round->control_hosts[i], &round->calls[i * 3]);
    for (size_t i = 0; i < round->host_count; i++)
        daemons[i] = answer_of(round->hosts[i], &round->calls[round->control_count * 3 + i]);
    size_t gateway_count = 0;
    for (size_t i = 0; i < round->gateway_count; i++) {
        const struct call *call = &round->gateway_calls[i];
        const bool known = round->gateways[i].process[0] != '\0';
        /* Where the daemon is silent a gateway is only supposed: its silence tells nothing new. */
        if (known || call->result == 0)
            gateways[gateway_count++] = answer_of(known ? round->gateways[i].process : call->peer, call);
    }
    const struct status_facts facts = {.controls = controls,
                                       .control_count = round->control_count,
                                       .daemons = daemons,
                                       .daemon_count = round->host_count,
                                       .gateways = gateways,
                                       .gateway_count = gateway_count,
                                       .processes = first_answer(round, 1, "processes"),
                                       .events = first_answer(round, 2, NULL)};
    (void)status_view_build(&facts, &cli->report);
}

static void look(struct cli *cli)
{
    struct round *round = memory_alloc(sizeof *round);
    ask_programs(cli, round);
    for (size_t i = 0; i < round->host_count; i++) {
        const struct call *call = &round->calls[round->control_count * 3 + i];
        round->gateway_count =
            ask_gateways_of(cli, round->hosts[i], call, round->gateways, round->gateway_count, STATUS_GATEWAYS_MAX);
    }
    ask_all_gateways(cli, round);
    build(cli, round);
    for (size_t i = 0; i < round->call_count; i++)
        call_fini(&round->calls[i]);
    for (size_t i = 0; i < round->gateway_count; i++)
        call_fini(&round->gateway_calls[i]);
    memory_free(round);
}

/* Shows it again each second; ends by SIGINT, as any command. */
static void watch(struct cli *cli)
{
    for (;;) {
        struct text text;
        text_init(&text, MESSAGE_BYTES_MAX);
        look(cli);
        if (cli->terminal)
            text_append_string(&text, "\033[H\033[J");
        table_print_reply(&text, &cli->report.reply, &cli->view);
        if (fputs(text.data, cli->live) == EOF || fflush(cli->live) == EOF)
            return;
        text_fini(&text);
        report_reset(&cli->report);
        (void)poll(NULL, 0, WATCH_EVERY_MS);
    }
}

void command_status(struct cli *cli)
{
    if (invocation_has(cli->invocation, CLI_OPTION_WATCH) && cli->live != NULL)
        watch(cli);
    else
        look(cli);
}
