/* process-manager: a child of this host's daemon; the one beside the leader acts, the other stands by. */
#include <poll.h>
#include <string.h>

#include "cli/ask.h"
#include "common/loop/clock.h"

enum {
    PROCMGR_TIMEOUT_MS = 20 * 1000,
    PROCMGR_POLL_MS = 50
};

#define PROCMGR_PID "procmgr"

static bool is_running(const struct cli *cli, pid_t *pid)
{
    return home_read_pid(&cli->site.home, PROCMGR_PID, pid) == 0;
}

/* The host whose control leads, as the controls say themselves; false when none does. */
static bool find_leader(struct cli *cli, char leader[HOST_NAME_BYTES])
{
    char addresses[2][ADDRESS_BYTES];
    struct call calls[2];
    const size_t count = site_controls(&cli->site, addresses);
    for (size_t i = 0; i < count; i++)
        call_init(&calls[i], CALL_PLANE, addresses[i], ask_request(cli, "control.status"), STATUS_TIMEOUT_MS);
    cli->transport.run(cli->transport.owner, calls, count);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        const Gemel__Table *table = report_find_table(&calls[i].answer.reply, "control");
        for (size_t row = 0; table != NULL && row < table->n_rows; row++)
            if (strcmp(report_get(table, row, "role"), "leader") == 0) {
                (void)text_copy(leader, HOST_NAME_BYTES, report_get(table, row, "host"));
                found = true;
            }
        call_fini(&calls[i]);
    }
    return found;
}

/* Does the one beside the leader answer? */
static bool answers(struct cli *cli)
{
    struct report kept = cli->report;
    struct report answer;
    report_init(&cli->report);
    const bool answered = ask_control(cli, ask_request(cli, "procmgr.status"), STATUS_TIMEOUT_MS, &answer);
    const bool good = answered && answer.reply.exit_code == CLI_EXIT_DONE;
    if (answered)
        report_fini(&answer);
    report_fini(&cli->report);
    cli->report = kept;
    return good;
}

/* Says what the process manager of this host does now. Returns false while that is not clear yet. */
static bool say_role(struct cli *cli, bool must_answer)
{
    const char *own = cli->site.settings.host;
    char leader[HOST_NAME_BYTES];
    pid_t pid = 0;
    if (!is_running(cli, &pid) || !find_leader(cli, leader))
        return false;
    const bool acts = strcmp(leader, own) == 0;
    if (acts && must_answer && !answers(cli))
        return false;
    if (acts)
        report_message(&cli->report, "process manager of %s runs and acts, pid %d", own, (int)pid);
    else
        report_message(&cli->report, "process manager of %s runs as a standby, pid %d: %s leads", own, (int)pid,
                       leader);
    return true;
}

/* Waits until the process manager runs, with its role known, or until it is gone. */
static bool wait_for_state(struct cli *cli, bool up)
{
    const int64_t timeout_ms = invocation_duration_ms(cli->invocation, CLI_OPTION_TIMEOUT, PROCMGR_TIMEOUT_MS);
    const int64_t deadline_ms = clock_now_ms() + timeout_ms;
    pid_t pid = 0;
    while (up ? !say_role(cli, true) : is_running(cli, &pid)) {
        if (clock_now_ms() >= deadline_ms) {
            (void)report_fail(&cli->report, CLI_EXIT_TIMEOUT,
                              "the process manager of %s is not %s after %lld s: look into var/log/deltaProcmgr.log",
                              cli->site.settings.host, up ? "at work" : "gone", (long long)(timeout_ms / 1000));
            return false;
        }
        (void)poll(NULL, 0, PROCMGR_POLL_MS);
    }
    return true;
}

/* Start or stop, by the daemon of this host. */
static void order(struct cli *cli, const char *verb, bool up, bool wait)
{
    struct report answer;
    if (!ask_daemon(cli, cli->site.settings.host, ask_request(cli, verb), COMMAND_TIMEOUT_MS, &answer))
        return;
    report_take(&cli->report, &answer.reply);
    const bool ordered = answer.reply.exit_code == CLI_EXIT_DONE;
    report_fini(&answer);
    if (!ordered)
        return;
    if (wait)
        (void)wait_for_state(cli, up);
    else if (up)
        (void)say_role(cli, false);
}

bool process_manager_start(struct cli *cli, bool wait)
{
    order(cli, "daemon.procmgr-start", true, wait);
    return cli->report.reply.exit_code == CLI_EXIT_DONE;
}

static void show_status(struct cli *cli)
{
    const char *own = cli->site.settings.host;
    pid_t pid = 0;
    if (!is_running(cli, &pid))
        (void)report_fail(&cli->report, CLI_EXIT_FAILED,
                          "the process manager of %s does not run: start it with `%s process-manager --start`", own,
                          cli->invocation->program);
    else if (!say_role(cli, false))
        report_message(&cli->report, "process manager of %s runs, pid %d; no control leads now", own, (int)pid);
    struct report answer;
    struct report kept = cli->report;
    report_init(&cli->report);
    const bool answered = ask_control(cli, ask_request(cli, "procmgr.status"), STATUS_TIMEOUT_MS, &answer);
    report_fini(&cli->report);
    cli->report = kept;
    if (!answered)
        return;
    if (answer.reply.exit_code == CLI_EXIT_DONE)
        report_take(&cli->report, &answer.reply);
    report_fini(&answer);
}

void command_process_manager(struct cli *cli)
{
    const enum cli_command_id id = cli_command_id(cli->invocation->command);
    const bool wait = invocation_has(cli->invocation, CLI_OPTION_WAIT);
    if (id == CLI_PROCESS_MANAGER_START)
        (void)process_manager_start(cli, wait);
    else if (id == CLI_PROCESS_MANAGER_STOP)
        order(cli, "daemon.procmgr-stop", false, wait);
    else
        show_status(cli);
}
