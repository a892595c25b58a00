/* logs: the last lines of a process's log, from the daemon of its host, else from the files of this home. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/ask.h"
#include "cli/detach.h"
#include "common/base/assert.h"
#include "common/base/process_id.h"

enum {
    LINES_DEFAULT = 50,
    FILE_BYTES_MAX = 4 * 1024 * 1024 /* read from the end of a file of this home */
};

/* Names of our own programs, and their logs. */
static const struct {
    const char *name;
    const char *other_name;
    const char *log;
} PROGRAMS[] = {{"control", "DeltaControl", "deltaControl"},
                {"daemon", "DeltaDaemon", "deltaDaemon"},
                {"procmgr", "DeltaProcmgr", "deltaProcmgr"}};

/* The program's short name, or NULL when `name` is none of them. */
static const char *program_of(const char *name, const char **log)
{
    for (size_t i = 0; i < COUNT_OF(PROGRAMS); i++)
        if (strcasecmp(name, PROGRAMS[i].name) == 0 || strcasecmp(name, PROGRAMS[i].other_name) == 0) {
            *log = PROGRAMS[i].log;
            return PROGRAMS[i].name;
        }
    return NULL;
}

/* The host whose daemon knows the process; NULL when none does. */
static const char *find_host(struct cli *cli, const char *process)
{
    const char *hosts[SETTINGS_HOSTS_MAX];
    struct call calls[SETTINGS_HOSTS_MAX];
    const size_t count = site_hosts(&cli->site, hosts);
    const char *found = NULL;
    bool found_running = false;
    for (size_t i = 0; i < count; i++) {
        char address[ADDRESS_BYTES];
        settings_daemon_address_of(&cli->site.settings, hosts[i], address);
        call_init(&calls[i], CALL_PLANE, address, ask_request(cli, "daemon.processes"), STATUS_TIMEOUT_MS);
    }
    cli->transport.run(cli->transport.owner, calls, count);
    for (size_t i = 0; i < count; i++) {
        const Gemel__Table *table = report_find_table(&calls[i].answer.reply, "processes");
        for (size_t row = 0; table != NULL && row < table->n_rows; row++) {
            const bool running = strcmp(report_get(table, row, "state"), "stopped") != 0;
            if (strcmp(report_process(table, row), process) != 0 || (found != NULL && found_running >= running))
                continue;
            found = hosts[i];
            found_running = running;
        }
        call_fini(&calls[i]);
    }
    return found;
}

/* Adds the last `lines` lines of the file. Returns whether it is there. */
static bool show_file(struct cli *cli, const char *log, uint32_t lines)
{
    char below[HOME_PATH_BYTES], path[HOME_PATH_BYTES];
    (void)snprintf(below, sizeof below, "var/log/%s.log", log);
    home_path(&cli->site.home, below, path);
    struct text text;
    text_init(&text, FILE_BYTES_MAX + 1);
    const bool there = detach_tail(path, FILE_BYTES_MAX, &text);
    size_t at = text.length;
    for (uint32_t left = lines; there && at > 0; at--) {
        if (text.data[at - 1] == '\n' && at < text.length && --left == 0)
            break;
    }
    if (there)
        report_lines(&cli->report, text.data + at);
    text_fini(&text);
    return there;
}

/* Asks the daemon of a host. Returns whether it answered with lines. */
static bool ask_lines(struct cli *cli, const char *host, const char *process, uint32_t lines)
{
    struct call call;
    char address[ADDRESS_BYTES];
    settings_daemon_address_of(&cli->site.settings, host, address);
    Gemel__AdminRequest *request = ask_request(cli, "logs.tail");
    request_add(&cli->report.arena, request, "process", process);
    request_add(&cli->report.arena, request, "lines", report_cell(&cli->report, "%u", lines));
    ask_call(cli, &call, CALL_PLANE, address, request, COMMAND_TIMEOUT_MS);
    const bool answered = call.result == 0 && call.answer.reply.exit_code == CLI_EXIT_DONE;
    if (answered)
        report_take(&cli->report, &call.answer.reply);
    call_fini(&call);
    return answered;
}

void command_logs(struct cli *cli)
{
    const char *name = invocation_text(cli->invocation, CLI_OPTION_PROCESS_NAME, "");
    const uint32_t lines = invocation_number(cli->invocation, CLI_OPTION_LINES, LINES_DEFAULT);
    const char *log = name;
    const char *program = program_of(name, &log);
    struct process_id id;
    if (program == NULL && process_id_parse(name, &id) != 0) {
        (void)report_fail(
            &cli->report, CLI_EXIT_USAGE,
            "'%s' is no process: give a full name such as DemoPipeline.0.rdb.0, or control, daemon, procmgr", name);
        return;
    }
    const char *host = program != NULL ? cli->site.settings.host : find_host(cli, name);
    if (host != NULL && ask_lines(cli, host, program != NULL ? program : name, lines))
        return;
    if (show_file(cli, log, lines))
        return;
    (void)report_fail(&cli->report, CLI_EXIT_FAILED,
                      "there is no log of %s: no daemon knows it and this home has no var/log/%s.log", name, log);
}
