/* gemel (and refinery): the operator's shell. Reads the command line, runs one command, prints its report. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/json_print.h"
#include "cli/printable.h"
#include "cli/table_print.h"
#include "cli/wire_transport.h"
#include "common/base/bounds.h"

enum {
    HELP_BYTES_MAX = 64 * 1024,
    PRINTED_BYTES_MAX = 1024 * 1024 * 1024 /* 14 MiB of the smallest rows as JSON are half of it */
};

/* How tables fit the terminal. What a query answers is shown as it is, and so is all that no terminal reads. */
static void look_at_terminal(const struct invocation *invocation, struct table_view *view)
{
    struct winsize size = {0};
    const time_t now = time(NULL);
    struct tm date;
    if (isatty(STDOUT_FILENO) != 1 || cli_command_id(invocation->command) == CLI_QUERY)
        return;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        view->width = size.ws_col;
    if (gmtime_r(&now, &date) != NULL)
        (void)strftime(view->today, sizeof view->today, "%Y-%m-%d", &date);
}

/* Prints a report to standard output, and in tables its error to standard error. Returns the exit code. */
static int print_report(const struct invocation *invocation, const struct report *report, const struct table_view *view)
{
    const Gemel__AdminReply *reply = &report->reply;
    struct text text;
    text_init(&text, PRINTED_BYTES_MAX);
    if (invocation->json)
        json_print_reply(&text, reply);
    else
        table_print_reply(&text, reply, view);
    bool written = fputs(text.data, stdout) != EOF && fflush(stdout) != EOF;
    if (text.truncated) {
        (void)fprintf(stderr, "%s: the output is over %d MiB and was cut; select less\n", invocation->program,
                      PRINTED_BYTES_MAX / 1024 / 1024);
        written = false;
    }
    if (!invocation->json && reply->error[0] != '\0') {
        text_clear(&text);
        printable_append(&text, reply->error);
        (void)fprintf(stderr, "%s: %s\n", invocation->program, text.data);
    }
    text_fini(&text);
    return written || reply->exit_code != CLI_EXIT_DONE ? reply->exit_code : CLI_EXIT_FAILED;
}

static int print_help(const struct invocation *invocation)
{
    struct text text;
    text_init(&text, HELP_BYTES_MAX);
    help_print(invocation, &text);
    const bool written = fputs(text.data, stdout) != EOF && fflush(stdout) != EOF;
    text_fini(&text);
    return written ? CLI_EXIT_DONE : CLI_EXIT_FAILED;
}

/* Home and settings. Returns false with the report failed. */
static bool open_site(struct cli *cli)
{
    struct error error = {0};
    const char *folder = invocation_text(cli->invocation, CLI_OPTION_HOME, NULL);
    if (site_open(&cli->site, folder, &error) != 0) {
        (void)report_fail(&cli->report, CLI_EXIT_FAILED, "%s", error.sentence);
        return false;
    }
    struct text mistakes;
    text_init(&mistakes, SITE_MISTAKES_BYTES_MAX);
    const int result = site_load_settings(&cli->site, &mistakes);
    const bool usable = result == 0 || !commands_need_settings(cli_command_id(cli->invocation->command));
    if (!usable) {
        report_lines(&cli->report, mistakes.data);
        (void)report_fail(&cli->report, CLI_EXIT_FAILED,
                          "%s/etc/settings.conf cannot be used: correct it, or give --home", cli->site.home.folder);
    }
    text_fini(&mistakes);
    return usable;
}

static int run(const struct invocation *invocation)
{
    struct cli cli = {
        .invocation = invocation, .live = invocation->json ? NULL : stdout, .terminal = isatty(STDOUT_FILENO) == 1};
    struct wire_transport *wire = NULL;
    look_at_terminal(invocation, &cli.view);
    report_init(&cli.report);
    if (cli_command_id(invocation->command) == CLI_VERSION) {
        commands_run(&cli);
    } else if (open_site(&cli)) {
        wire_transport_create(&wire, &cli.site);
        cli.transport = wire_transport_interface(wire);
        commands_run(&cli);
        wire_transport_destroy(&wire);
    }
    const int exit_code = print_report(invocation, &cli.report, &cli.view);
    report_fini(&cli.report);
    site_close(&cli.site);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct invocation invocation;
    struct error error = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    if (invocation_parse(argc, argv, &invocation, &error) != 0) {
        struct report report;
        report_init(&report);
        (void)report_fail(&report, CLI_EXIT_USAGE, "%s", error.sentence);
        const int exit_code = print_report(&invocation, &report, NULL);
        report_fini(&report);
        return exit_code;
    }
    return invocation.help ? print_help(&invocation) : run(&invocation);
}
