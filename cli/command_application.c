/* application: control and daemon of this host; process-manager, which the daemon starts. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/ask.h"
#include "cli/detach.h"
#include "common/base/process_id.h"
#include "common/loop/clock.h"

enum {
    START_TIMEOUT_MS = 20 * 1000,
    STOP_TIMEOUT_MS = 30 * 1000, /* a daemon that stops its processes waits for their stop-timeout */
    ANSWER_MS = 500,             /* for one try while a program starts */
    RETRY_MS = 20
};

/* What differs between the control and the daemon. */
struct application {
    const char *name; /* also that of its pid file */
    const char *program;
    const char *status_verb;
    const char *stop_verb;
    const char *log;
};

static const struct application CONTROL = {"control", "gemel-control", "control.status", "control.stop",
                                           "var/log/deltaControl.log"};
static const struct application DAEMON = {"daemon", "gemel-daemon", "daemon.status", "daemon.stop",
                                          "var/log/deltaDaemon.log"};

static void own_address(const struct cli *cli, const struct application *application, char address[ADDRESS_BYTES])
{
    const struct settings *settings = &cli->site.settings;
    if (application == &CONTROL)
        settings_control_address_of(settings, settings->host, address);
    else
        settings_daemon_address_of(settings, settings->host, address);
}

static bool answers(struct cli *cli, const struct application *application)
{
    char address[ADDRESS_BYTES];
    struct call call;
    own_address(cli, application, address);
    ask_call(cli, &call, CALL_PLANE, address, ask_request(cli, application->status_verb), ANSWER_MS);
    const bool answered = call.result == 0;
    call_fini(&call);
    return answered;
}

/* The last lines that a program left: what it printed, else its log. */
static void show_last_words(struct cli *cli, const struct application *application)
{
    char below[HOME_PATH_BYTES], path[HOME_PATH_BYTES];
    struct text tail;
    text_init(&tail, DETACH_TAIL_BYTES + 1);
    (void)snprintf(below, sizeof below, "var/log/%s.out", application->program);
    home_path(&cli->site.home, below, path);
    bool any = detach_tail(path, DETACH_TAIL_BYTES, &tail);
    if (!any) {
        home_path(&cli->site.home, application->log, path);
        any = detach_tail(path, DETACH_TAIL_BYTES, &tail);
    }
    if (any)
        report_message(&cli->report, "end of %s:\n%s", path, tail.data);
    text_fini(&tail);
}

static void fail_ended(struct cli *cli, const struct application *application, int status)
{
    show_last_words(cli, application);
    if (WIFSIGNALED(status))
        (void)report_fail(&cli->report, CLI_EXIT_FAILED, "the %s ended at once by signal %d: its last words are above",
                          application->name, WTERMSIG(status));
    else
        (void)report_fail(&cli->report, CLI_EXIT_FAILED,
                          "the %s ended at once with exit code %d: its last words are above", application->name,
                          WEXITSTATUS(status));
}

enum outcome {
    ANSWERED,
    GONE, /* it was started by somebody else, and has ended */
    FAILED
};

/* Waits until the program answers. `detached` NULL: it was started by somebody else. A failure is in the report. */
static enum outcome wait_answer(struct cli *cli, const struct application *application, struct detached *detached)
{
    const int64_t timeout_ms = invocation_duration_ms(cli->invocation, CLI_OPTION_TIMEOUT, START_TIMEOUT_MS);
    const int64_t deadline_ms = clock_now_ms() + timeout_ms;
    while (!answers(cli, application)) {
        int status = 0;
        pid_t pid = 0;
        if (detached != NULL && detach_ended(detached, RETRY_MS, &status)) {
            /* Somebody else may have been faster: then ours ended because of it, and theirs serves as well. */
            if (home_read_pid(&cli->site.home, application->name, &pid) != -ESRCH) {
                detached = NULL;
                continue;
            }
            fail_ended(cli, application, status);
            return FAILED;
        }
        if (detached == NULL)
            (void)poll(NULL, 0, RETRY_MS);
        if (clock_now_ms() >= deadline_ms) {
            (void)report_fail(&cli->report, CLI_EXIT_TIMEOUT,
                              "the %s runs but does not answer after %lld ms: look into %s", application->name,
                              (long long)timeout_ms, application->log);
            return FAILED;
        }
        if (detached == NULL && home_read_pid(&cli->site.home, application->name, &pid) == -ESRCH)
            return GONE;
    }
    return ANSWERED;
}

static bool can_start(struct cli *cli, const struct application *application)
{
    struct error error = {0};
    if (application == &CONTROL && cli->site.settings.node == 0) {
        (void)report_fail(&cli->report, CLI_EXIT_FAILED,
                          "%s runs no control: the settings name it neither as primary nor as secondary",
                          cli->site.settings.host);
        return false;
    }
    if (cli->site.keys == NULL && site_load_keys(&cli->site, &error) != 0) {
        (void)report_fail(&cli->report, CLI_EXIT_FAILED, "%s", error.sentence);
        return false;
    }
    return true;
}

static void start(struct cli *cli, const struct application *application)
{
    if (!can_start(cli, application))
        return;
    pid_t pid = 0;
    struct error error = {0};
    bool running = home_read_pid(&cli->site.home, application->name, &pid) != -ESRCH;
    struct detached detached = {.pid_fd = -1};
    enum outcome outcome = running ? wait_answer(cli, application, NULL) : GONE;
    if (outcome == GONE) { /* also when what ran was just ending */
        running = false;
        if (detach_start(&detached, &cli->site, application->program, &error) != 0) {
            (void)report_fail(&cli->report, CLI_EXIT_FAILED, "%s", error.sentence);
            return;
        }
        outcome = wait_answer(cli, application, &detached);
    }
    if (outcome == GONE)
        (void)report_fail(&cli->report, CLI_EXIT_FAILED, "the %s ended while it started: look into %s",
                          application->name, application->log);
    if (outcome == ANSWERED) {
        char address[ADDRESS_BYTES];
        own_address(cli, application, address);
        const bool known = home_read_pid(&cli->site.home, application->name, &pid) == 0;
        report_message(&cli->report, "%s %s, pid %d, %s", application->name, running ? "already running" : "running",
                       known ? (int)pid : 0, address);
    }
    detach_close(&detached);
}

bool application_start_control(struct cli *cli)
{
    start(cli, &CONTROL);
    return cli->report.reply.exit_code == CLI_EXIT_DONE;
}

bool application_start_daemon(struct cli *cli)
{
    start(cli, &DAEMON);
    return cli->report.reply.exit_code == CLI_EXIT_DONE;
}

/* Says how many processes a stopped daemon left behind. */
static void say_unattended(struct cli *cli, const Gemel__AdminReply *status)
{
    const Gemel__Table *table = report_find_table(status, "processes");
    size_t count = 0;
    for (size_t i = 0; table != NULL && i < table->n_rows; i++) {
        struct process_id id;
        const char *pid = report_get(table, i, "pid");
        if (process_id_parse(report_process(table, i), &id) == 0 && strcmp(pid, "0") != 0 && pid[0] != '\0')
            count++;
    }
    if (count > 0)
        report_message(&cli->report,
                       "%zu process%s run%s on unattended: the next daemon takes %s over (--with-processes stops them)",
                       count, count == 1 ? "" : "es", count == 1 ? "s" : "", count == 1 ? "it" : "them");
}

/* Asks it to stop; a program that does not answer gets SIGTERM, which is the same request. */
static void request_stop(struct cli *cli, const struct application *application, bool with_processes)
{
    char address[ADDRESS_BYTES];
    struct call call;
    own_address(cli, application, address);
    Gemel__AdminRequest *request = ask_request(cli, application->stop_verb);
    if (application == &DAEMON)
        request_add(&cli->report.arena, request, "processes", with_processes ? "stop" : "keep");
    ask_call(cli, &call, CALL_PLANE, address, request, with_processes ? STOP_TIMEOUT_MS : COMMAND_TIMEOUT_MS);
    if (call.result == 0)
        report_take(&cli->report, &call.answer.reply);
    else if (detach_terminate(&cli->site, application->name) == 0)
        report_message(&cli->report, "the %s does not answer (%s): it was sent SIGTERM", application->name,
                       call.error.sentence);
    call_fini(&call);
}

static void stop(struct cli *cli, const struct application *application)
{
    const bool with_processes = invocation_has(cli->invocation, CLI_OPTION_WITH_PROCESSES);
    const int64_t timeout_ms = invocation_duration_ms(cli->invocation, CLI_OPTION_TIMEOUT, STOP_TIMEOUT_MS);
    pid_t pid = 0;
    if (home_read_pid(&cli->site.home, application->name, &pid) == -ESRCH) {
        report_message(&cli->report, "%s is not running", application->name);
        return;
    }
    struct report processes;
    report_init(&processes);
    if (application == &DAEMON && !with_processes) {
        struct call call;
        char address[ADDRESS_BYTES];
        own_address(cli, application, address);
        ask_call(cli, &call, CALL_PLANE, address, ask_request(cli, "daemon.processes"), STATUS_TIMEOUT_MS);
        report_take(&processes, &call.answer.reply);
        call_fini(&call);
    }
    request_stop(cli, application, with_processes);
    if (detach_wait_gone(&cli->site, application->name, timeout_ms) == 0) {
        report_message(&cli->report, "%s stopped", application->name);
        say_unattended(cli, &processes.reply);
    } else {
        (void)report_fail(&cli->report, CLI_EXIT_TIMEOUT, "the %s (pid %d) still runs after %lld ms: look into %s",
                          application->name, (int)pid, (long long)timeout_ms, application->log);
    }
    report_fini(&processes);
}

/* Columns that fit on a screen; JSON has all. */
static const char *const SHOWN[] = {"host",  "role",  "leader", "epoch",     "peerState", "lag",     "revision", "pid",
                                    "since", "ready", "failed", "processes", "control",   "procmgr", NULL};

/* Adds the rows of an answer's table to ours of the same name, each once by its first column. */
static void merge_table(struct cli *cli, const Gemel__Table *from, const char *name)
{
    Gemel__Table *into = NULL;
    for (size_t i = 0; i < cli->report.reply.n_tables; i++)
        if (strcmp(cli->report.reply.tables[i]->name, name) == 0)
            into = cli->report.reply.tables[i];
    if (into == NULL)
        into = report_table_like(&cli->report, from, name, NULL, cli->invocation->json ? NULL : SHOWN);
    for (size_t row = 0; row < from->n_rows; row++) {
        bool known = false;
        for (size_t i = 0; i < into->n_rows && into->n_columns > 0; i++)
            known = known || strcmp(into->rows[i]->cells[0], report_get(from, row, into->columns[0])) == 0;
        if (!known)
            report_copy_row(&cli->report, into, from, row);
    }
}

/* The promise that the controls run under, once. */
static void say_promise(struct cli *cli, const Gemel__Table *control)
{
    if (!cli->invocation->json && control->n_rows > 0 && cli->report.reply.n_tables == 0)
        report_message(&cli->report, "%s", report_get(control, 0, "promise"));
}

static void show_status(struct cli *cli)
{
    const char *hosts[SETTINGS_HOSTS_MAX];
    char controls[2][ADDRESS_BYTES];
    struct call calls[2 + SETTINGS_HOSTS_MAX];
    const size_t control_count = site_controls(&cli->site, controls);
    const size_t host_count = site_hosts(&cli->site, hosts);
    Gemel__AdminRequest *ask_controls = ask_request(cli, CONTROL.status_verb);
    Gemel__AdminRequest *ask_daemons = ask_request(cli, DAEMON.status_verb);
    for (size_t i = 0; i < control_count; i++)
        call_init(&calls[i], CALL_PLANE, controls[i], ask_controls, STATUS_TIMEOUT_MS);
    for (size_t i = 0; i < host_count; i++) {
        char address[ADDRESS_BYTES];
        settings_daemon_address_of(&cli->site.settings, hosts[i], address);
        call_init(&calls[control_count + i], CALL_PLANE, address, ask_daemons, STATUS_TIMEOUT_MS);
    }
    cli->transport.run(cli->transport.owner, calls, control_count + host_count);
    for (size_t i = 0; i < control_count + host_count; i++) {
        const struct call *call = &calls[i];
        const char *name = i < control_count ? CONTROL.name : DAEMON.name;
        const bool own = i == control_count || (i == 0 && cli->site.settings.node != 0);
        const Gemel__Table *table = report_find_table(&call->answer.reply, name);
        if (call->result == 0 && table != NULL) {
            say_promise(cli, table);
            merge_table(cli, table, name);
        } else if (call->result != 0)
            report_message(&cli->report, "no %s answers at %s: %s", name, call->address, call->error.sentence);
        if (call->result != 0 && own)
            report_set_exit(&cli->report, CLI_EXIT_FAILED);
    }
    for (size_t i = 0; i < control_count + host_count; i++)
        call_fini(&calls[i]);
}

void command_application(struct cli *cli)
{
    const enum cli_command_id id = cli_command_id(cli->invocation->command);
    if (id == CLI_APPLICATION_START_CONTROL)
        start(cli, &CONTROL);
    else if (id == CLI_APPLICATION_START_DAEMON)
        start(cli, &DAEMON);
    else if (id == CLI_APPLICATION_STOP_CONTROL)
        stop(cli, &CONTROL);
    else if (id == CLI_APPLICATION_STOP_DAEMON)
        stop(cli, &DAEMON);
    else
        show_status(cli);
}
