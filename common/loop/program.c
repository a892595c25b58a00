#include "common/loop/program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/base/assert.h"

enum {
    FINISH_MS = 2000,
    EXIT_USAGE = 2
};

/* What every program takes; the values land here. */
struct common_options {
    const char *home;
    const char *log_format;
    const char *help;
    const char *version;
};

const char *program_version(void)
{
    return GEMEL_VERSION;
}

/* ---- the command line */

static const struct program_option *find_option(const struct program_option *options, size_t count, const char *name,
                                                size_t name_bytes)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(options[i].name) == name_bytes && memcmp(options[i].name, name, name_bytes) == 0)
            return &options[i];
    return NULL;
}

/* Takes up argv[*at], `--name value`, `--name=value` or a switch. */
static int take_option(const struct program_about *about, const struct program_option *common, size_t common_count,
                       int argc, char **argv, int *at)
{
    const char *given = argv[*at];
    if (strncmp(given, "--", 2) != 0) {
        fprintf(stderr, "%s: unexpected argument '%s': try %s --help\n", about->name, given, about->name);
        return -EINVAL;
    }
    const char *name = given + 2;
    size_t name_bytes = strcspn(name, "=");
    const struct program_option *option = find_option(common, common_count, name, name_bytes);
    if (option == NULL)
        option = find_option(about->options, about->option_count, name, name_bytes);
    if (option == NULL) {
        fprintf(stderr, "%s: unknown option '%s': try %s --help\n", about->name, given, about->name);
        return -EINVAL;
    }
    if (option->argument == NULL) {
        if (name[name_bytes] == '=') {
            fprintf(stderr, "%s: --%s takes no value\n", about->name, option->name);
            return -EINVAL;
        }
        *option->value = "";
    } else if (name[name_bytes] == '=') {
        *option->value = name + name_bytes + 1;
    } else if (*at + 1 < argc) {
        *option->value = argv[++*at];
    } else {
        fprintf(stderr, "%s: --%s needs a value: --%s %s\n", about->name, option->name, option->name, option->argument);
        return -EINVAL;
    }
    return 0;
}

static void print_options(const struct program_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s %s", options[i].name, options[i].argument != NULL ? options[i].argument : "");
        printf("  %-26s %s\n", left, options[i].help);
    }
}

static void print_help(const struct program_about *about, const struct program_option *common, size_t common_count)
{
    printf("%s: %s\n\nusage: %s [options]\n\n", about->name, about->purpose, about->name);
    print_options(about->options, about->option_count);
    print_options(common, common_count);
    printf("\nexample: %s --home /var/lib/gemel\n", about->name);
}

/* Returns true to go on; else *exit_code is set. */
static bool read_command_line(const struct program_about *about, int argc, char **argv, struct common_options *found,
                              int *exit_code)
{
    const struct program_option common[] = {
        {"home", "DIR", "home folder (else GEMEL_HOME, else /var/lib/gemel)", &found->home},
        {"log-format", "FORMAT", "text (default) or json", &found->log_format},
        {"help", NULL, "print this", &found->help},
        {"version", NULL, "print the version", &found->version},
    };
    *exit_code = EXIT_USAGE;
    for (int at = 1; at < argc; at++)
        if (take_option(about, common, COUNT_OF(common), argc, argv, &at) != 0)
            return false;
    if (found->log_format != NULL && strcmp(found->log_format, "text") != 0 && strcmp(found->log_format, "json") != 0) {
        fprintf(stderr, "%s: --log-format is text or json, got '%s'\n", about->name, found->log_format);
        return false;
    }
    *exit_code = 0;
    if (found->help != NULL)
        print_help(about, common, COUNT_OF(common));
    else if (found->version != NULL)
        printf("%s %s\n", about->name, program_version());
    return found->help == NULL && found->version == NULL;
}

/* ---- start */

/* Connections are descriptors, and the soft limit of 1,024 is for programs that use select. */
static uint64_t raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    uint64_t found = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return found;
}

static void on_signal(uv_signal_t *handle, int signal)
{
    struct program *program = handle->data;
    if (program->on_stop != NULL)
        program->on_stop(program->owner, signal);
    else
        program_stop(program, 0);
}

static void start_loop(struct program *program)
{
    ASSERT(uv_loop_init(&program->loop) == 0);
    ASSERT(uv_timer_init(&program->loop, &program->deadline) == 0);
    uv_unref((uv_handle_t *)&program->deadline);
    const struct {
        uv_signal_t *handle;
        int number;
    } signals[] = {{&program->terminate, SIGTERM}, {&program->interrupt, SIGINT}};
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        ASSERT(uv_signal_init(&program->loop, signals[i].handle) == 0);
        signals[i].handle->data = program;
        ASSERT(uv_signal_start(signals[i].handle, on_signal, signals[i].number) == 0);
        /* Waiting for a signal is no work: the loop may end without it. */
        uv_unref((uv_handle_t *)signals[i].handle);
    }
}

bool program_start(struct program *program, const struct program_about *about, int argc, char **argv, int *exit_code)
{
    struct common_options options = {0};
    if (!read_command_line(about, argc, argv, &options, exit_code))
        return false;
    *program = (struct program){.log_json = options.log_format != NULL && strcmp(options.log_format, "json") == 0};
    umask(027);
    struct error error;
    int result = home_open(&program->home, options.home, &error);
    if (result == 0 && about->pid_name != NULL) {
        result = home_lock_pid(&program->home, about->pid_name, &error);
        if (result != 0)
            home_close(&program->home);
    }
    if (result != 0) {
        fprintf(stderr, "%s: %s\n", about->name, error.sentence);
        *exit_code = 1;
        return false;
    }
    signal(SIGPIPE, SIG_IGN);
    program->nofile_soft = raise_descriptor_limit();
    start_loop(program);
    return true;
}

void program_on_stop(struct program *program, void (*on_stop)(void *owner, int signal), void *owner)
{
    program->on_stop = on_stop;
    program->owner = owner;
}

/* ---- run and end */

void program_run(struct program *program)
{
    uv_run(&program->loop, UV_RUN_DEFAULT);
}

void program_stop(struct program *program, int exit_code)
{
    if (program->exit_code == 0)
        program->exit_code = exit_code;
    uv_stop(&program->loop);
}

static void on_deadline(uv_timer_t *timer)
{
    bool *late = timer->data;
    *late = true;
}

static void name_left_handle(uv_handle_t *handle, void *data)
{
    (void)data;
    if (!uv_is_closing(handle))
        fprintf(stderr, "the loop ends with an open handle: %s\n", uv_handle_type_name(handle->type));
}

int program_finish(struct program *program)
{
    uv_close((uv_handle_t *)&program->terminate, NULL);
    uv_close((uv_handle_t *)&program->interrupt, NULL);
    bool late = false;
    program->deadline.data = &late;
    uv_timer_start(&program->deadline, on_deadline, FINISH_MS, 0);
    /* Turn by turn: a program_stop that no program_run has met makes the first turn an empty one. */
    while (uv_run(&program->loop, UV_RUN_ONCE) != 0 && !late)
        continue;
    uv_close((uv_handle_t *)&program->deadline, NULL);
    uv_run(&program->loop, UV_RUN_NOWAIT);
    if (uv_loop_close(&program->loop) != 0)
        uv_walk(&program->loop, name_left_handle, NULL);
    home_close(&program->home);
    return program->exit_code;
}
