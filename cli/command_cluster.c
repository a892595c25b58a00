/* cluster --up: everything of this host, and all pipelines. cluster --down: everything on both hosts, in an order in
 * which nothing is started again by what still runs. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/detach.h"
#include "common/base/process_id.h"
#include "common/loop/clock.h"

enum {
    DOWN_TIMEOUT_MS = 60 * 1000, /* for each step: processes have their stop-timeout */
    DOWN_POLL_MS = 50,
    ORDER_TIMEOUT_MS = 3000,
    TARGETS_MAX = SETTINGS_HOSTS_MAX
};

/* A daemon or a control that shall end. */
struct target {
    char address[ADDRESS_BYTES];
    const char *host;
    bool seen;        /* it answered once, so it was there */
    bool unreachable; /* nobody even refuses: its host may be off, or cut off */
};

static int64_t timeout_of(const struct cli *cli)
{
    return invocation_duration_ms(cli->invocation, CLI_OPTION_TIMEOUT, DOWN_TIMEOUT_MS);
}

/* ------------------------------------------------------------------------------------------------------------- up */

/* Starts whatever does not run of every pipeline and service class. */
static void start_pipelines(struct cli *cli)
{
    struct report list;
    if (!ask_control(cli, ask_request(cli, "pipeline.list"), COMMAND_TIMEOUT_MS, &list))
        return;
    const Gemel__Table *table = report_find_table(&list.reply, "pipelines");
    for (size_t row = 0; table != NULL && row < table->n_rows; row++) {
        const bool service = strcmp(report_get(table, row, "type"), "service") == 0;
        Gemel__AdminRequest *request = ask_request(cli, service ? "service-class.start" : "pipeline.force-start");
        request_add(&cli->report.arena, request, service ? "template" : "pipeline", report_get(table, row, "pipeline"));
        struct report answer;
        if (!ask_control(cli, request, COMMAND_TIMEOUT_MS, &answer))
            break;
        report_message(&cli->report, "%s: %s", report_get(table, row, "pipeline"), answer.reply.message);
        if (answer.reply.exit_code != CLI_EXIT_DONE)
            (void)report_fail(&cli->report, (enum cli_exit)answer.reply.exit_code, "%s: %s",
                              report_get(table, row, "pipeline"), answer.reply.error);
        report_fini(&answer);
    }
    if (list.reply.exit_code != CLI_EXIT_DONE)
        report_take(&cli->report, &list.reply);
    report_fini(&list);
}

void command_cluster_up(struct cli *cli)
{
    const bool runs_control = cli->site.settings.node != 0;
    if ((!runs_control || application_start_control(cli)) && application_start_daemon(cli) &&
        (!runs_control || process_manager_start(cli, true)) && workflow_start_side(cli))
        start_pipelines(cli);
}

/* ---------------------------------------------------------------------- down: 1. pipelines and service classes */

/* Asks the leader without failing when there is none: what it would have stopped the daemons stop. */
static bool ask_leader(struct cli *cli, Gemel__AdminRequest *request, struct report *answer)
{
    struct report kept = cli->report;
    report_init(&cli->report);
    const bool answered = ask_control(cli, request, ORDER_TIMEOUT_MS, answer);
    report_fini(&cli->report);
    cli->report = kept;
    return answered;
}

/* Returns whether it will stop. */
static bool stop_one(struct cli *cli, const char *name, const char *type)
{
    const bool service = strcmp(type, "service") == 0;
    struct report answer;
    Gemel__AdminRequest *request = ask_request(cli, service ? "service-class.stop" : "pipeline.stop");
    request_add(&cli->report.arena, request, service ? "template" : "pipeline", name);
    if (!ask_leader(cli, request, &answer))
        return false;
    const bool done = answer.reply.exit_code == CLI_EXIT_DONE;
    if (!done)
        report_message(&cli->report, "%s: %s", name, answer.reply.error);
    report_fini(&answer);
    return done;
}

/* How many processes still run on the hosts whose daemon answers. */
static size_t count_running(struct cli *cli)
{
    const char *hosts[SETTINGS_HOSTS_MAX];
    struct call calls[SETTINGS_HOSTS_MAX];
    const size_t count = site_hosts(&cli->site, hosts);
    size_t running = 0;
    for (size_t i = 0; i < count; i++) {
        char address[ADDRESS_BYTES];
        settings_daemon_address_of(&cli->site.settings, hosts[i], address);
        call_init(&calls[i], CALL_PLANE, address, ask_request(cli, "daemon.processes"), STATUS_TIMEOUT_MS);
    }
    cli->transport.run(cli->transport.owner, calls, count);
    for (size_t i = 0; i < count; i++) {
        const Gemel__Table *table = report_find_table(&calls[i].answer.reply, "processes");
        for (size_t row = 0; table != NULL && row < table->n_rows; row++) {
            struct process_id id;
            const char *state = report_get(table, row, "state");
            /* The daemon also names our own programs there. */
            if (process_id_parse(report_process(table, row), &id) != 0)
                continue;
            running += strcmp(state, "stopped") != 0 && strcmp(state, "failed") != 0 ? 1 : 0;
        }
        call_fini(&calls[i]);
    }
    return running;
}

static void stop_pipelines(struct cli *cli)
{
    struct report list;
    const bool answered = ask_leader(cli, ask_request(cli, "pipeline.list"), &list);
    const Gemel__Table *table = answered ? report_find_table(&list.reply, "pipelines") : NULL;
    bool ordered = table != NULL;
    for (size_t row = 0; table != NULL && row < table->n_rows; row++)
        ordered = stop_one(cli, report_get(table, row, "pipeline"), report_get(table, row, "type")) && ordered;
    if (!ordered)
        report_message(&cli->report, "no leader with a process manager: the daemons stop the processes");
    if (answered)
        report_fini(&list);
    const int64_t deadline_ms = clock_now_ms() + timeout_of(cli);
    while (ordered && count_running(cli) > 0 && clock_now_ms() < deadline_ms)
        (void)poll(NULL, 0, DOWN_POLL_MS);
}

/* --------------------------------------------------------------- down: 2. process managers, daemons, controls */

/* Sends an order to every target, and notes who answered. */
static void order_all(struct cli *cli, struct target *targets, size_t count, Gemel__AdminRequest *request,
                      int64_t timeout_ms)
{
    struct call calls[TARGETS_MAX];
    for (size_t i = 0; i < count; i++)
        call_init(&calls[i], CALL_PLANE, targets[i].address, request, timeout_ms);
    cli->transport.run(cli->transport.owner, calls, count);
    for (size_t i = 0; i < count; i++) {
        targets[i].seen = targets[i].seen || calls[i].result == 0;
        targets[i].unreachable = calls[i].result == -ETIMEDOUT;
        call_fini(&calls[i]);
    }
}

/* Waits until nobody answers at any of the addresses. Returns how many still do. */
static size_t wait_gone(struct cli *cli, struct target *targets, size_t count, const char *status_verb)
{
    const int64_t deadline_ms = clock_now_ms() + timeout_of(cli);
    for (;;) {
        struct call calls[TARGETS_MAX];
        size_t there = 0;
        for (size_t i = 0; i < count; i++)
            call_init(&calls[i], CALL_PLANE, targets[i].address, ask_request(cli, status_verb), STATUS_TIMEOUT_MS);
        cli->transport.run(cli->transport.owner, calls, count);
        for (size_t i = 0; i < count; i++) {
            /* Silence of one that answered before may be a program that is about to end. */
            const bool still = calls[i].result == 0 || (calls[i].result == -ETIMEDOUT && targets[i].seen);
            targets[i].unreachable = calls[i].result == -ETIMEDOUT;
            there += still ? 1 : 0;
            call_fini(&calls[i]);
        }
        if (there == 0 || clock_now_ms() >= deadline_ms)
            return there;
        (void)poll(NULL, 0, DOWN_POLL_MS);
    }
}

/* One of this host that does not answer is asked by its signal. */
static void end_own(struct cli *cli, const char *pid_name)
{
    pid_t pid = 0;
    if (home_read_pid(&cli->site.home, pid_name, &pid) == -ESRCH ||
        detach_wait_gone(&cli->site, pid_name, ORDER_TIMEOUT_MS) == 0)
        return;
    if (detach_terminate(&cli->site, pid_name) == 0)
        report_message(&cli->report, "the %s of this host did not answer: it was sent SIGTERM", pid_name);
    if (detach_wait_gone(&cli->site, pid_name, timeout_of(cli)) != 0)
        (void)report_fail(&cli->report, CLI_EXIT_TIMEOUT, "the %s of this host (pid %d) still runs: look into its log",
                          pid_name, (int)pid);
}

static void judge(struct cli *cli, const struct target *targets, size_t count, const char *name, size_t there)
{
    if (there > 0)
        (void)report_fail(&cli->report, CLI_EXIT_TIMEOUT,
                          "%zu %s%s still run: repeat the command, or look into the log", there, name,
                          there == 1 ? "" : "s");
    for (size_t i = 0; i < count; i++)
        if (targets[i].unreachable && !targets[i].seen)
            (void)report_fail(
                &cli->report, CLI_EXIT_PARTLY,
                "%s does not answer at all: its %s may still run; repeat the command when it is reachable",
                targets[i].host, name);
}

/* Returns false when there is a host where no daemon was found. */
static bool stop_daemons(struct cli *cli)
{
    bool found = true;
    const char *hosts[SETTINGS_HOSTS_MAX];
    struct target targets[TARGETS_MAX] = {0};
    const size_t count = site_hosts(&cli->site, hosts);
    for (size_t i = 0; i < count; i++) {
        settings_daemon_address_of(&cli->site.settings, hosts[i], targets[i].address);
        targets[i].host = hosts[i];
    }
    order_all(cli, targets, count, ask_request(cli, "daemon.procmgr-stop"), ORDER_TIMEOUT_MS);
    Gemel__AdminRequest *stop = ask_request(cli, "daemon.stop");
    request_add(&cli->report.arena, stop, "processes", "stop");
    order_all(cli, targets, count, stop, timeout_of(cli));
    for (size_t i = 1; i < count; i++)
        if (!targets[i].seen && !targets[i].unreachable) {
            found = false;
            report_message(&cli->report, "no daemon runs on %s: if one was killed there, repeat this command there",
                           targets[i].host);
        }
    const size_t there = wait_gone(cli, targets, count, "daemon.status");
    end_own(cli, "daemon");
    judge(cli, targets, count, "daemon", there);
    return found;
}

static void stop_controls(struct cli *cli)
{
    char addresses[2][ADDRESS_BYTES];
    struct target targets[2] = {0};
    const size_t count = site_controls(&cli->site, addresses);
    for (size_t i = 0; i < count; i++) {
        (void)text_copy(targets[i].address, ADDRESS_BYTES, addresses[i]);
        targets[i].host = targets[i].address;
    }
    order_all(cli, targets, count, ask_request(cli, "control.stop"), ORDER_TIMEOUT_MS);
    const size_t there = wait_gone(cli, targets, count, "control.status");
    end_own(cli, "control");
    judge(cli, targets, count, "control", there);
}

/* Processes of this host outlive a daemon that was killed. Only a daemon stops them well: in their order, with their
 * signals and their time. */
static void attend_leftovers(struct cli *cli)
{
    pid_t pid = 0;
    const size_t count = detach_count_processes(&cli->site);
    if (count == 0 || home_read_pid(&cli->site.home, "daemon", &pid) != -ESRCH)
        return;
    report_message(&cli->report, "%zu processes run unattended on %s: a daemon is started to stop them", count,
                   cli->site.settings.host);
    (void)application_start_daemon(cli);
}

void command_cluster_down(struct cli *cli)
{
    attend_leftovers(cli);
    stop_pipelines(cli);
    const bool found = stop_daemons(cli);
    stop_controls(cli);
    if (cli->report.reply.exit_code == CLI_EXIT_DONE)
        report_message(&cli->report, found ? "everything is stopped" : "everything that was found is stopped");
}
