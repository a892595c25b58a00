#include "cli/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/process_id.h"

#define GATEWAY_TYPE "gw"

Gemel__AdminRequest *ask_request(struct cli *cli, const char *verb)
{
    return request_new(&cli->report.arena, verb);
}

void ask_add_option(struct cli *cli, Gemel__AdminRequest *request, enum cli_option option)
{
    const char *value = invocation_text(cli->invocation, option, NULL);
    const bool is_switch = cli_option_text(option)->kind == CLI_OPTION_SWITCH;
    request_add(&cli->report.arena, request, cli_option_text(option)->name, value != NULL && is_switch ? "yes" : value);
}

void ask_call(struct cli *cli, struct call *call, enum call_via via, const char *address, Gemel__AdminRequest *request,
              int64_t timeout_ms)
{
    call_init(call, via, address, request, timeout_ms);
    cli->transport.run(cli->transport.owner, call, 1);
}

/* Moves a call's answer out; the call is then released. */
static void take_answer(struct call *call, struct report *answer)
{
    *answer = call->answer;
}

/* Follows a redirect once. Returns whether the leader answered. */
static bool ask_leader_of(struct cli *cli, struct call *call, int64_t timeout_ms, struct report *answer)
{
    struct call next;
    char address[ADDRESS_BYTES];
    settings_control_address_of(&cli->site.settings, call->redirect, address);
    ask_call(cli, &next, CALL_PLANE, address, call->request, timeout_ms);
    if (next.result == 0 && next.redirect[0] == '\0') {
        take_answer(&next, answer);
        return true;
    }
    (void)report_fail(&cli->report, CLI_EXIT_NO_LEADER, "the leader %s does not answer: %s", address,
                      next.result != 0 ? next.error.sentence : "it leads no more, try again");
    call_fini(&next);
    return false;
}

static void fail_nobody_answers(struct cli *cli, const struct call *calls, size_t count)
{
    struct text who;
    bool late = count > 0;
    text_init(&who, ERROR_SENTENCE_BYTES);
    for (size_t i = 0; i < count; i++) {
        text_printf(&who, "%s%s (%s)", i > 0 ? ", " : "", calls[i].address, calls[i].error.sentence);
        late = late && calls[i].result == -ETIMEDOUT;
    }
    (void)report_fail(&cli->report, CLI_EXIT_NO_LEADER, "no control answers at %s: %s `%s application --start-control`",
                      who.data, late ? "look at it with `gemel status`, or start one with" : "start one with",
                      cli->invocation->program);
    text_fini(&who);
}

bool ask_control(struct cli *cli, Gemel__AdminRequest *request, int64_t timeout_ms, struct report *answer)
{
    char addresses[2][ADDRESS_BYTES];
    struct call calls[2];
    const size_t count = site_controls(&cli->site, addresses);
    size_t asked = 0;
    int answered = -1; /* the call whose answer is given when no other one is better */
    bool done = false;
    for (; asked < count && !done; asked++) {
        struct call *call = &calls[asked];
        ask_call(cli, call, CALL_PLANE, addresses[asked], request, timeout_ms);
        if (call->result != 0)
            continue;
        answered = answered < 0 ? (int)asked : answered;
        /* One that knows no leader may have a peer that leads already. */
        done = call->redirect[0] != '\0' || call->answer.reply.exit_code != CLI_EXIT_NO_LEADER;
        answered = done ? (int)asked : answered;
    }
    bool success = false;
    if (answered < 0) {
        fail_nobody_answers(cli, calls, asked);
    } else if (calls[answered].redirect[0] != '\0') {
        success = ask_leader_of(cli, &calls[answered], timeout_ms, answer);
        answered = -1;
    } else {
        take_answer(&calls[answered], answer);
        success = true;
    }
    for (size_t i = 0; i < asked; i++)
        if ((int)i != answered)
            call_fini(&calls[i]);
    return success;
}

bool ask_control_take(struct cli *cli, Gemel__AdminRequest *request, int64_t timeout_ms)
{
    struct report answer;
    if (!ask_control(cli, request, timeout_ms, &answer))
        return false;
    report_take(&cli->report, &answer.reply);
    const bool done = answer.reply.exit_code == CLI_EXIT_DONE;
    report_fini(&answer);
    return done;
}

bool ask_daemon(struct cli *cli, const char *host, Gemel__AdminRequest *request, int64_t timeout_ms,
                struct report *answer)
{
    struct call call;
    char address[ADDRESS_BYTES];
    settings_daemon_address_of(&cli->site.settings, host, address);
    ask_call(cli, &call, CALL_PLANE, address, request, timeout_ms);
    if (call.result == 0) {
        take_answer(&call, answer);
        return true;
    }
    (void)report_fail(&cli->report, CLI_EXIT_FAILED,
                      "the daemon at %s does not answer (%s): start it with `%s application --start-daemon` on %s",
                      address, call.error.sentence, cli->invocation->program, host);
    call_fini(&call);
    return false;
}

/* Adds the gateways in a daemon's table of processes. */
static size_t add_gateways(const Gemel__Table *table, struct gateway *gateways, size_t count, size_t max)
{
    for (size_t i = 0; i < table->n_rows && count < max; i++) {
        struct process_id id;
        const char *name = report_process(table, i);
        const char *endpoint = report_get(table, i, "endpoint");
        if (process_id_parse(name, &id) != 0 || strcmp(id.type, GATEWAY_TYPE) != 0 || endpoint[0] == '\0')
            continue;
        (void)text_copy(gateways[count].process, sizeof gateways[count].process, name);
        (void)text_copy(gateways[count].address, sizeof gateways[count].address, endpoint);
        count++;
    }
    return count;
}

static int compare_gateways(const void *one, const void *other)
{
    struct process_id ids[2];
    const struct gateway *gateways[] = {one, other};
    if (process_id_parse(gateways[0]->process, &ids[0]) == 0 && process_id_parse(gateways[1]->process, &ids[1]) == 0)
        return process_id_compare(&ids[0], &ids[1]);
    return strcmp(gateways[0]->address, gateways[1]->address);
}

size_t ask_gateways_of(const struct cli *cli, const char *host, const struct call *processes, struct gateway *gateways,
                       size_t count, size_t max)
{
    const Gemel__Table *table = report_find_table(&processes->answer.reply, "processes");
    if (processes->result == 0 && table != NULL)
        return add_gateways(table, gateways, count, max);
    if (count == max)
        return count;
    struct settings_address address = {.port = cli->site.settings.gateway_port};
    (void)text_copy(address.host, sizeof address.host, host);
    gateways[count] = (struct gateway){0};
    settings_address_format(&address, gateways[count].address);
    return count + 1;
}

size_t ask_gateways(struct cli *cli, struct gateway *gateways, size_t max)
{
    const char *hosts[SETTINGS_HOSTS_MAX];
    struct call calls[SETTINGS_HOSTS_MAX];
    const size_t host_count = site_hosts(&cli->site, hosts);
    Gemel__AdminRequest *request = ask_request(cli, "daemon.processes");
    for (size_t i = 0; i < host_count; i++) {
        char address[ADDRESS_BYTES];
        settings_daemon_address_of(&cli->site.settings, hosts[i], address);
        call_init(&calls[i], CALL_PLANE, address, request, STATUS_TIMEOUT_MS);
    }
    cli->transport.run(cli->transport.owner, calls, host_count);
    size_t count = 0;
    for (size_t i = 0; i < host_count; i++) {
        count = ask_gateways_of(cli, hosts[i], &calls[i], gateways, count, max);
        call_fini(&calls[i]);
    }
    qsort(gateways, count, sizeof *gateways, compare_gateways);
    return count;
}
