/* config: the layouts of this home checked and shown; revisions given to the leader and listed. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/layout/load/file_read.h"
#include "common/layout/load/layout_load.h"
#include "common/layout/load/settings_load.h"

enum {
    APPLY_TIMEOUT_MS = 30 * 1000, /* a large revision is stored on both hosts */
    KINDS_BYTES = 32
};

/* What was found in files. */
struct findings {
    struct error_list mistakes;
    struct error_list warnings;
};

static void findings_fini(struct findings *findings)
{
    error_list_fini(&findings->mistakes);
    error_list_fini(&findings->warnings);
}

static void add_table(struct cli *cli, const char *name, const struct error_list *list)
{
    Gemel__Table *table =
        report_table(&cli->report, name, NULL, (const char *[]){"file", "line", "column", "sentence", NULL});
    for (size_t i = 0; i < list->count; i++) {
        const struct error *error = &list->items[i];
        report_row(&cli->report, table,
                   (const char *[]){error->file, report_cell(&cli->report, "%u", error->line),
                                    report_cell(&cli->report, "%u", error->column), error->sentence});
    }
}

/* Mistakes and warnings, a line each: `file:line:column: sentence`. */
static void show_findings(struct cli *cli, const struct findings *findings)
{
    for (size_t i = 0; i < findings->warnings.count; i++) {
        struct text line;
        text_init(&line, ERROR_FILE_BYTES + ERROR_SENTENCE_BYTES + 64);
        error_print(&findings->warnings.items[i], &line);
        report_message(&cli->report, "warning: %s", line.data);
        text_fini(&line);
    }
    struct text lines;
    text_init(&lines, MESSAGE_BYTES_MAX);
    error_list_print(&findings->mistakes, &lines);
    report_lines(&cli->report, lines.data != NULL ? lines.data : "");
    text_fini(&lines);
    if (cli->invocation->json) {
        add_table(cli, "mistakes", &findings->mistakes);
        add_table(cli, "warnings", &findings->warnings);
    }
}

/* ------------------------------------------------------------------------------------------------- config --check */

/* The path below etc/ of a file that is given by name: from its folder's name, else from its first key. */
static const char *path_below_etc(struct arena *arena, const char *path, const char *content)
{
    static const struct {
        const char *folder;
        const char *key;
    } kinds[] = {{"pipelines", "pipeline:"}, {"tables", "table:"}, {"workflows", "workflow:"}};
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    if (strcmp(base, "system.yaml") == 0)
        return "system.yaml";
    const char *line = content;
    while (*line == '#' || *line == '\n' || *line == '\r' || strncmp(line, "---", 3) == 0) {
        line += strcspn(line, "\n");
        line += *line == '\n' ? 1 : 0;
    }
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const size_t length = strlen(kinds[i].folder);
        const bool inside =
            slash != NULL && (size_t)(slash - path) >= length && strncmp(slash - length, kinds[i].folder, length) == 0;
        if (inside || strncmp(line, kinds[i].key, strlen(kinds[i].key)) == 0)
            return arena_printf(arena, "%s/%s", kinds[i].folder, base);
    }
    return base;
}

/* Puts a given file in the place of the home's one of the same path, or adds it. */
static void overlay(struct layout_file *files, size_t *count, struct layout_file file)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(files[i].path, file.path) == 0) {
            files[i] = file;
            return;
        }
    files[(*count)++] = file;
}

/* Checks the given files within the layouts of this home. */
static void check_given(struct cli *cli, const char *etc, struct findings *findings)
{
    const struct invocation *invocation = cli->invocation;
    struct layout_files home = {0};
    struct arena arena;
    char *contents[CLI_ARGUMENTS_MAX] = {NULL};
    arena_init(&arena);
    struct error_list unread = {0};
    const bool home_read = layout_files_read(&home, etc, &unread, &findings->warnings) == 0;
    error_list_fini(&unread);
    size_t count = 0;
    struct layout_file *files = memory_alloc_array(home.count + invocation->argument_count, sizeof *files);
    for (size_t i = 0; home_read && i < home.count; i++)
        files[count++] = home.items[i];
    for (size_t i = 0; i < invocation->argument_count; i++) {
        size_t length = 0;
        struct error error = {0};
        const char *path = invocation->arguments[i];
        if (file_read(path, LAYOUT_FILE_BYTES_MAX, &contents[i], &length, &error) != 0) {
            error_list_add(&findings->mistakes, error.code, path, 0, 0, "%s", error.sentence);
            continue;
        }
        const char *below = path_below_etc(&arena, path, contents[i]);
        overlay(files, &count, (struct layout_file){.path = below, .content = contents[i], .length = length});
    }
    struct layout *layout = NULL;
    (void)layout_load_files(&layout, files, count, NULL, &findings->mistakes, &findings->warnings);
    layout_destroy(&layout);
    for (size_t i = 0; i < invocation->argument_count; i++)
        memory_free(contents[i]);
    memory_free(files);
    if (home_read)
        layout_files_fini(&home);
    arena_fini(&arena);
}

/* Checks etc/ of this home, the settings too. Returns the layout (release with layout_destroy), NULL with mistakes. */
static struct layout *check_home(struct cli *cli, const char *etc, struct findings *findings)
{
    struct layout *layout = NULL;
    char path[HOME_PATH_BYTES];
    home_path(&cli->site.home, "etc/settings.conf", path);
    if (settings_load(&cli->site.settings, path, &findings->mistakes) == 0) {
        settings_warn(&cli->site.settings, &findings->warnings);
        settings_warn_addresses(&cli->site.settings, &findings->warnings);
    }
    (void)layout_load_folder(&layout, etc, &findings->mistakes, &findings->warnings);
    return layout;
}

static void fail_with_mistakes(struct cli *cli, const struct findings *findings)
{
    const size_t count = findings->mistakes.count + findings->mistakes.dropped;
    (void)report_fail(&cli->report, CLI_EXIT_FAILED, "%zu mistake%s: correct %s and check again", count,
                      count == 1 ? "" : "s", count == 1 ? "it" : "them");
}

static void check(struct cli *cli, const char *etc)
{
    struct findings findings = {0};
    struct layout *layout = NULL;
    if (cli->invocation->argument_count > 0)
        check_given(cli, etc, &findings);
    else
        layout = check_home(cli, etc, &findings);
    show_findings(cli, &findings);
    if (findings.mistakes.count > 0)
        fail_with_mistakes(cli, &findings);
    else if (layout != NULL)
        report_message(&cli->report, "no mistakes: %zu pipelines, %zu processes, %zu tables, %zu workflows in %s",
                       layout->pipeline_count, layout->process_count, layout->table_count, layout->workflow_count, etc);
    else
        report_message(&cli->report, "no mistakes");
    layout_destroy(&layout);
    findings_fini(&findings);
}

/* ------------------------------------------------------------------------------------------ the other commands */

static void show_processes(struct cli *cli, const char *etc)
{
    struct findings findings = {0};
    struct layout *layout = NULL;
    if (layout_load_folder(&layout, etc, &findings.mistakes, &findings.warnings) != 0) {
        show_findings(cli, &findings);
        fail_with_mistakes(cli, &findings);
    }
    Gemel__Table *table = report_table(&cli->report, "processes", NULL,
                                       (const char *[]){"processName", "server", "host", "port", "restart", NULL});
    for (size_t i = 0; layout != NULL && i < layout->process_count; i++) {
        const struct layout_process *process = &layout->processes[i];
        const int64_t port = process->type->port.value;
        const enum layout_restart restart = (enum layout_restart)process->type->restart.value;
        report_row(&cli->report, table,
                   (const char *[]){process->name, process->server->name.text, process->host,
                                    port > 0 ? report_cell(&cli->report, "%lld", (long long)port) : "",
                                    layout_restart_name(restart)});
    }
    layout_destroy(&layout);
    findings_fini(&findings);
}

/* The leader checks again; mistakes are found here first, because here are the files that people edit. */
static void apply(struct cli *cli, const char *etc)
{
    struct findings findings = {0};
    struct layout_files files = {0};
    struct layout *layout = NULL;
    int result = layout_files_read(&files, etc, &findings.mistakes, &findings.warnings);
    const bool read = result == 0;
    if (read)
        result = layout_load_files(&layout, files.items, files.count, etc, &findings.mistakes, &findings.warnings);
    show_findings(cli, &findings);
    if (result != 0) {
        fail_with_mistakes(cli, &findings);
    } else {
        Gemel__AdminRequest *request = ask_request(cli, "config.apply");
        ask_add_option(cli, request, CLI_OPTION_COMMENT);
        for (size_t i = 0; i < files.count; i++)
            request_add_file(&cli->report.arena, request, files.items[i].path, files.items[i].content);
        (void)ask_control_take(cli, request,
                               invocation_duration_ms(cli->invocation, CLI_OPTION_TIMEOUT, APPLY_TIMEOUT_MS));
    }
    layout_destroy(&layout);
    if (read)
        layout_files_fini(&files);
    findings_fini(&findings);
}

void command_config(struct cli *cli)
{
    const enum cli_command_id id = cli_command_id(cli->invocation->command);
    char etc[HOME_PATH_BYTES];
    home_path(&cli->site.home, "etc", etc);
    if (id == CLI_CONFIG_CHECK)
        check(cli, etc);
    else if (id == CLI_CONFIG_APPLY)
        apply(cli, etc);
    else if (id == CLI_CONFIG_SHOW_PROCESSES)
        show_processes(cli, etc);
    else
        (void)ask_control_take(cli, ask_request(cli, "config.history"), COMMAND_TIMEOUT_MS);
}
