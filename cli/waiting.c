#include "cli/waiting.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cli/ask.h"
#include "cli/table_print.h"
#include "common/loop/clock.h"

enum {
    POLL_FIRST_MS = 20,
    POLL_MAX_MS = 200
};

struct waiting {
    struct cli *cli;
    const char *what;
    enum progress_goal goal;
    struct progress progress;
    int64_t started_ms;
    int64_t timeout_ms;
    struct text why;
};

/* Looks once. The report of the command stays as it is: a missing answer is no failure yet. */
static enum progress_verdict look(struct waiting *waiting, Gemel__AdminRequest *request, struct report *last)
{
    struct cli *cli = waiting->cli;
    struct report kept = cli->report;
    struct report answer;
    report_init(&cli->report);
    const bool answered = ask_control(cli, request, COMMAND_TIMEOUT_MS, &answer);
    text_clear(&waiting->why);
    if (!answered)
        text_append_string(&waiting->why, cli->report.reply.error);
    report_fini(&cli->report);
    cli->report = kept;
    if (!answered)
        return PROGRESS_GOING;
    const Gemel__Table *table = report_find_table(&answer.reply, "processes");
    enum progress_verdict verdict = PROGRESS_GOING;
    if (table != NULL) {
        progress_show(&waiting->progress, table);
        verdict = progress_judge(table, waiting->goal, clock_now_ms() - waiting->started_ms, &waiting->why);
    } else {
        text_append_string(&waiting->why, answer.reply.error);
    }
    report_fini(last);
    *last = answer;
    return verdict;
}

/* Which processes have not reached the goal, for the sentence of a timeout. */
static void name_missing(struct waiting *waiting, const Gemel__Table *table)
{
    const char *wanted = waiting->goal == PROGRESS_READY ? "ready" : "stopped";
    for (size_t i = 0; table != NULL && i < table->n_rows; i++) {
        const char *state = report_get(table, i, "state");
        if (strcmp(state, wanted) != 0)
            text_printf(&waiting->why, "%s%s %s", waiting->why.length > 0 ? ", " : "", report_process(table, i), state);
    }
}

static bool conclude(struct waiting *waiting, enum progress_verdict verdict, const struct report *last)
{
    struct report *report = &waiting->cli->report;
    const Gemel__Table *table = report_find_table(&last->reply, "processes");
    const char *word = waiting->goal == PROGRESS_READY ? "ready" : "stopped";
    if (waiting->cli->live == NULL && table != NULL) {
        Gemel__AdminReply reply = GEMEL__ADMIN_REPLY__INIT;
        reply.n_tables = last->reply.n_tables;
        reply.tables = last->reply.tables;
        report_take(report, &reply);
    }
    switch (verdict) {
    case PROGRESS_DONE:
        report_message(report, "%s is %s: %zu of %zu", waiting->what, word, table->n_rows, table->n_rows);
        return true;
    case PROGRESS_FAILED:
        (void)report_fail(report, CLI_EXIT_FAILED, "%s failed: %s", waiting->what, waiting->why.data);
        return false;
    case PROGRESS_GOING:
        name_missing(waiting, table);
        (void)report_fail(report, CLI_EXIT_TIMEOUT, "%s is not %s after %lld s: %s", waiting->what, word,
                          (long long)(waiting->timeout_ms / 1000), waiting->why.data);
        return false;
    }
    return false;
}

void commands_flush_message(struct cli *cli)
{
    char **message = &cli->report.reply.message;
    if (cli->live == NULL || (*message)[0] == '\0')
        return;
    struct text text;
    Gemel__AdminReply reply = GEMEL__ADMIN_REPLY__INIT;
    text_init(&text, MESSAGE_BYTES_MAX);
    reply.message = *message;
    table_print_reply(&text, &reply, NULL);
    (void)fputs(text.data, cli->live);
    (void)fflush(cli->live);
    text_fini(&text);
    *message = arena_strdup(&cli->report.arena, "");
}

static struct progress_screen look_at_screen(const struct cli *cli)
{
    struct winsize size = {0};
    if (!cli->terminal || ioctl(fileno(cli->live), TIOCGWINSZ, &size) != 0)
        return (struct progress_screen){0};
    return (struct progress_screen){.columns = size.ws_col, .rows = size.ws_row};
}

bool waiting_for(struct cli *cli, Gemel__AdminRequest *request, const char *what, enum progress_goal goal)
{
    struct waiting waiting = {.cli = cli,
                              .what = what,
                              .goal = goal,
                              .started_ms = clock_now_ms(),
                              .timeout_ms =
                                  invocation_duration_ms(cli->invocation, CLI_OPTION_TIMEOUT, WAIT_TIMEOUT_MS)};
    struct report last;
    commands_flush_message(cli);
    report_init(&last);
    text_init(&waiting.why, ERROR_SENTENCE_BYTES);
    progress_init(&waiting.progress, cli->live, look_at_screen(cli));
    int poll_ms = POLL_FIRST_MS;
    enum progress_verdict verdict = look(&waiting, request, &last);
    while (verdict == PROGRESS_GOING && clock_now_ms() - waiting.started_ms < waiting.timeout_ms) {
        (void)poll(NULL, 0, poll_ms);
        poll_ms = poll_ms * 2 < POLL_MAX_MS ? poll_ms * 2 : POLL_MAX_MS;
        verdict = look(&waiting, request, &last);
    }
    const bool reached = conclude(&waiting, verdict, &last);
    progress_fini(&waiting.progress);
    text_fini(&waiting.why);
    report_fini(&last);
    return reached;
}
