/* workflow: tasks of etc/workflows, each after those that it needs. */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/detach.h"
#include "cli/waiting.h"
#include "common/base/memory.h"
#include "common/layout/load/layout_load.h"

enum {
    ON_FAILURE_DEPTH_MAX = 4, /* workflows that run because others failed */
    COMMAND_ARGUMENTS_MAX = 256
};

#define OUR_PROGRAMS "gemel-"

static const char *const COLUMNS[] = {"workflow", "task", "does", "state", "why", NULL};

/* What became of a task. */
enum task_state {
    TASK_WAITING,
    TASK_DONE,
    TASK_SKIPPED, /* needs what this version does not have; what needs it goes on */
    TASK_FAILED
};

struct run {
    struct cli *cli;
    const struct layout *layout;
    const struct layout_workflow *workflow;
    Gemel__Table *table;
    enum task_state *states;
    unsigned depth;
};

/* `pipeline DefaultEntrypoint 0`, `command gemel-dos`, `process P.0.rdb.0` */
static const char *describe(struct cli *cli, const struct layout_task *task)
{
    if (task->pipeline.text != NULL && task->instance.value >= 0)
        return report_cell(&cli->report, "pipeline %s, instance %lld", task->pipeline.text,
                           (long long)task->instance.value);
    if (task->pipeline.text != NULL)
        return report_cell(&cli->report, "pipeline %s", task->pipeline.text);
    if (task->process.text != NULL)
        return report_cell(&cli->report, "process %s", task->process.text);
    return report_cell(&cli->report, "command %s", task->command.items[0].text);
}

static void note(struct run *run, const struct layout_task *task, const char *state, const char *why)
{
    report_row(&run->cli->report, run->table,
               (const char *[]){run->workflow->name.text, task->name.text, describe(run->cli, task), state, why});
}

/* ------------------------------------------------------------------------------------------------- one task */

/* The request for the processes of a task; `verb` such as "start". */
static Gemel__AdminRequest *build(struct cli *cli, const struct layout_task *task, const char *verb)
{
    struct arena *arena = &cli->report.arena;
    Gemel__AdminRequest *request = ask_request(cli, arena_printf(arena, "pipeline.%s", verb));
    struct process_id id;
    if (task->process.text != NULL && process_id_parse(task->process.text, &id) == 0) {
        request_add(arena, request, "pipeline", id.pipeline);
        request_add(arena, request, "instance", arena_printf(arena, "%u", id.instance));
        request_add(arena, request, "process", arena_printf(arena, "%s.%u", id.type, id.index));
        return request;
    }
    request_add(arena, request, "pipeline", task->pipeline.text);
    if (task->instance.value >= 0)
        request_add(arena, request, "instance", arena_printf(arena, "%lld", (long long)task->instance.value));
    return request;
}

/* Asks without touching the command's report; what was said comes in *message (in the report's arena). */
static enum cli_exit ask_quietly(struct cli *cli, Gemel__AdminRequest *request, const char **message)
{
    struct report kept = cli->report;
    struct report answer;
    report_init(&cli->report);
    const bool answered = ask_control(cli, request, COMMAND_TIMEOUT_MS, &answer);
    const Gemel__AdminReply *reply = answered ? &answer.reply : &cli->report.reply;
    const enum cli_exit code = (enum cli_exit)reply->exit_code;
    *message = arena_strdup(&kept.arena, reply->error[0] != '\0' ? reply->error : reply->message);
    if (answered)
        report_fini(&answer);
    report_fini(&cli->report);
    cli->report = kept;
    return code;
}

static bool is_needed(const struct layout_workflow *workflow, const struct layout_task *task)
{
    for (size_t i = 0; i < workflow->task_count; i++)
        for (size_t j = 0; j < workflow->tasks[i].needs.count; j++)
            if (strcmp(workflow->tasks[i].needs.items[j].text, task->name.text) == 0)
                return true;
    return false;
}

static enum task_state start_processes(struct run *run, const struct layout_task *task)
{
    struct cli *cli = run->cli;
    const char *message = "";
    const bool single = task->process.text != NULL;
    const enum cli_exit code = ask_quietly(cli, build(cli, task, single ? "force-start" : "start"), &message);
    if (code != CLI_EXIT_DONE) {
        note(run, task, "failed", message);
        (void)report_fail(&cli->report, code, "task %s of %s failed: %s", task->name.text, run->workflow->name.text,
                          message);
        return TASK_FAILED;
    }
    const bool wait = invocation_has(cli->invocation, CLI_OPTION_WAIT) || is_needed(run->workflow, task);
    if (wait && !waiting_for(cli, build(cli, task, "status"), describe(cli, task), PROGRESS_READY)) {
        note(run, task, "failed", cli->report.reply.error);
        return TASK_FAILED;
    }
    note(run, task, wait ? "ready" : "started", message);
    return TASK_DONE;
}

/* Is it one of our own programs that this version does not bring? */
static bool is_missing_program(const struct layout_task *task)
{
    char path[DETACH_PATH_BYTES];
    const char *program = task->command.items[0].text;
    return strncmp(program, OUR_PROGRAMS, strlen(OUR_PROGRAMS)) == 0 && detach_find(program, path, NULL) != 0;
}

static enum task_state run_command(struct run *run, const struct layout_task *task)
{
    struct cli *cli = run->cli;
    char *arguments[COMMAND_ARGUMENTS_MAX + 1] = {NULL};
    if (is_missing_program(task)) {
        note(run, task, "skipped", report_cell(&cli->report, "%s is not in this version", task->command.items[0].text));
        return TASK_SKIPPED;
    }
    for (size_t i = 0; i < task->command.count && i < COMMAND_ARGUMENTS_MAX; i++)
        arguments[i] = arena_strdup(&cli->report.arena, task->command.items[i].text);
    posix_spawn_file_actions_t files;
    (void)posix_spawn_file_actions_init(&files);
    /* Standard output is the command's own result, JSON perhaps. */
    (void)posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    pid_t pid = 0;
    int status = 0;
    const int result = posix_spawnp(&pid, arguments[0], &files, NULL, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    while (result == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (result == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        note(run, task, "done", "");
        return TASK_DONE;
    }
    const char *why = result != 0           ? strerror(result)
                      : WIFSIGNALED(status) ? report_cell(&cli->report, "signal %d", WTERMSIG(status))
                                            : report_cell(&cli->report, "exit code %d", WEXITSTATUS(status));
    note(run, task, "failed", why);
    (void)report_fail(&cli->report, CLI_EXIT_FAILED, "task %s of %s failed: %s: %s", task->name.text,
                      run->workflow->name.text, arguments[0], why);
    return TASK_FAILED;
}

/* Asks the operator when the task wants that. Without a terminal nobody can say yes. */
static bool is_approved(struct run *run, const struct layout_task *task)
{
    char answer[16] = "";
    if (task->approve.value == 0)
        return true;
    if (isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1) {
        (void)fprintf(stderr, "task %s: %s - go on? [y/N] ", task->name.text, describe(run->cli, task));
        if (fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y'))
            return true;
    }
    note(run, task, "refused", "not approved");
    (void)report_fail(&run->cli->report, CLI_EXIT_REFUSED,
                      "task %s of %s wants approval and got none: run it on a terminal and say yes", task->name.text,
                      run->workflow->name.text);
    return false;
}

/* ------------------------------------------------------------------------------------------------ all tasks */

static const struct layout_workflow *find_workflow(struct cli *cli, const struct layout *layout, const char *name)
{
    const struct layout_workflow *workflow = layout_find_workflow(layout, name);
    if (workflow == NULL)
        (void)report_fail(&cli->report, CLI_EXIT_FAILED, "there is no workflow '%s': put it into etc/workflows/%s.yaml",
                          name, name);
    return workflow;
}

/* The position of the first task that waits and whose needs are met; task_count when there is none. */
static size_t next_task(const struct run *run, bool *blocked)
{
    const struct layout_workflow *workflow = run->workflow;
    *blocked = false;
    for (size_t i = 0; i < workflow->task_count; i++) {
        bool met = run->states[i] == TASK_WAITING;
        for (size_t j = 0; met && j < workflow->tasks[i].needs.count; j++)
            for (size_t k = 0; k < workflow->task_count; k++)
                if (strcmp(workflow->tasks[k].name.text, workflow->tasks[i].needs.items[j].text) == 0)
                    met = run->states[k] == TASK_DONE || run->states[k] == TASK_SKIPPED;
        if (met)
            return i;
        *blocked = *blocked || run->states[i] == TASK_WAITING;
    }
    return workflow->task_count;
}

static void run_workflow(struct cli *cli, const struct layout *layout, const char *name, Gemel__Table *table,
                         unsigned depth);

static enum task_state run_task(struct run *run, const struct layout_task *task)
{
    if (!is_approved(run, task))
        return TASK_FAILED;
    const enum task_state state = task->command.count > 0 ? run_command(run, task) : start_processes(run, task);
    if (state == TASK_FAILED && task->on_failure.text != NULL && run->depth < ON_FAILURE_DEPTH_MAX)
        run_workflow(run->cli, run->layout, task->on_failure.text, run->table, run->depth + 1);
    return state;
}

static void run_workflow(struct cli *cli, const struct layout *layout, const char *name, Gemel__Table *table,
                         unsigned depth)
{
    struct run run = {.cli = cli, .layout = layout, .table = table, .depth = depth};
    run.workflow = find_workflow(cli, layout, name);
    if (run.workflow == NULL)
        return;
    run.states = memory_alloc_array(run.workflow->task_count, sizeof *run.states);
    bool blocked = false;
    for (size_t i = next_task(&run, &blocked); i < run.workflow->task_count; i = next_task(&run, &blocked))
        run.states[i] = run_task(&run, &run.workflow->tasks[i]);
    for (size_t i = 0; blocked && i < run.workflow->task_count; i++)
        if (run.states[i] == TASK_WAITING)
            note(&run, &run.workflow->tasks[i], "not started", "a task that it needs failed");
    memory_free(run.states);
}

static void stop_workflow(struct cli *cli, const struct layout *layout, const char *name, Gemel__Table *table)
{
    struct run run = {.cli = cli, .layout = layout, .table = table};
    run.workflow = find_workflow(cli, layout, name);
    for (size_t i = run.workflow != NULL ? run.workflow->task_count : 0; i-- > 0;) {
        const struct layout_task *task = &run.workflow->tasks[i];
        const char *message = "";
        if (task->command.count > 0) {
            note(&run, task, "skipped", "a command that has run cannot be stopped");
            continue;
        }
        const enum cli_exit code = ask_quietly(cli, build(cli, task, "stop"), &message);
        note(&run, task, code == CLI_EXIT_DONE ? "stopping" : "failed", message);
        if (code != CLI_EXIT_DONE)
            (void)report_fail(&cli->report, code, "task %s of %s: %s", task->name.text, name, message);
    }
}

static void show_workflow(struct cli *cli, const struct layout *layout, const struct layout_workflow *workflow,
                          Gemel__Table *table)
{
    struct run run = {.cli = cli, .layout = layout, .workflow = workflow, .table = table};
    for (size_t i = 0; i < workflow->task_count; i++) {
        const struct layout_task *task = &workflow->tasks[i];
        const char *message = "";
        if (task->command.count > 0) {
            note(&run, task, is_missing_program(task) ? "skipped" : "command",
                 is_missing_program(task) ? "not in this version" : "");
            continue;
        }
        const enum cli_exit code = ask_quietly(cli, build(cli, task, "status"), &message);
        note(&run, task,
             code == CLI_EXIT_DONE     ? "ready"
             : code == CLI_EXIT_PARTLY ? "partly running"
                                       : "not running",
             message);
        report_set_exit(&cli->report, code == CLI_EXIT_DONE ? CLI_EXIT_DONE : CLI_EXIT_PARTLY);
    }
}

/* The layouts of this home; NULL with the report failed. */
static struct layout *load_layout(struct cli *cli)
{
    struct error_list mistakes = {0}, warnings = {0};
    struct layout *layout = NULL;
    char etc[HOME_PATH_BYTES];
    home_path(&cli->site.home, "etc", etc);
    if (layout_load_folder(&layout, etc, &mistakes, &warnings) != 0)
        (void)report_fail(&cli->report, CLI_EXIT_FAILED, "the layouts in %s have mistakes: see `%s config --check`",
                          etc, cli->invocation->program);
    error_list_fini(&mistakes);
    error_list_fini(&warnings);
    return layout;
}

bool workflow_start_side(struct cli *cli)
{
    struct layout *layout = load_layout(cli);
    if (layout == NULL)
        return false;
    const bool is_a = strcmp(cli->site.settings.host, cli->site.settings.host_a) == 0;
    const int64_t side = is_a ? LAYOUT_ENVIRONMENT_A : LAYOUT_ENVIRONMENT_B;
    Gemel__Table *table = report_table(&cli->report, "tasks", NULL, COLUMNS);
    for (size_t i = 0; i < layout->workflow_count; i++)
        if (layout->workflows[i].environment.value == side)
            run_workflow(cli, layout, layout->workflows[i].name.text, table, 0);
    layout_destroy(&layout);
    return cli->report.reply.exit_code == CLI_EXIT_DONE;
}

void command_workflow(struct cli *cli)
{
    const enum cli_command_id id = cli_command_id(cli->invocation->command);
    const char *name = cli->invocation->argument_count > 0 ? cli->invocation->arguments[0] : NULL;
    struct layout *layout = load_layout(cli);
    if (layout == NULL)
        return;
    Gemel__Table *table = report_table(&cli->report, "tasks", NULL, COLUMNS);
    if (id == CLI_WORKFLOW_START)
        run_workflow(cli, layout, name, table, 0);
    else if (id == CLI_WORKFLOW_STOP)
        stop_workflow(cli, layout, name, table);
    else
        for (size_t i = 0; i < layout->workflow_count; i++)
            if (name == NULL || strcmp(layout->workflows[i].name.text, name) == 0)
                show_workflow(cli, layout, &layout->workflows[i], table);
    if (id == CLI_WORKFLOW_STATUS && name != NULL)
        (void)find_workflow(cli, layout, name);
    layout_destroy(&layout);
}
