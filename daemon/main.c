/* gemel-daemon: the parent of every pipeline process on this host. daemon/core decides, the shell does; this file finds
 * out where it is and begins. */
#include <stdio.h>

#include "common/layout/load/settings_load.h"
#include "common/log/log.h"
#include "common/loop/program.h"
#include "common/net/keys.h"
#include "daemon/daemon_shell.h"

enum {
    EXIT_FAILED = 1
};

static int load_settings(struct settings *settings, const struct program *program, struct error *error)
{
    char path[HOME_PATH_BYTES];
    struct error_list mistakes = {0};
    home_path(&program->home, "etc/settings.conf", path);
    int result = settings_load(settings, path, &mistakes);
    for (size_t i = 0; i < mistakes.count; i++)
        log_error("Settings are wrong [ File: %s:%u ] [ Reason: %s ]", mistakes.items[i].file, mistakes.items[i].line,
                  mistakes.items[i].sentence);
    error_list_fini(&mistakes);
    return result == 0 ? 0 : error_set(error, result, "cannot use %s", path);
}

static int start(struct daemon_shell **shell, struct program *program, struct settings *settings, struct keys **keys,
                 struct error *error)
{
    char folder[HOME_PATH_BYTES];
    int result = load_settings(settings, program, error);
    if (result != 0)
        return result;
    home_path(&program->home, settings->keys, folder);
    result = keys_load(keys, folder, error);
    if (result == 0)
        result = daemon_shell_create(shell, program, settings, *keys, error);
    if (result == 0)
        log_info("Daemon started [ Host: %s ] [ Port: %u ]", settings->host, (unsigned)settings->daemon_port);
    return result;
}

static void on_stop(void *owner, int signal)
{
    log_info("Daemon ends, its processes run on [ Signal: %d ]", signal);
    daemon_shell_end(owner);
}

int main(int argc, char **argv)
{
    static struct program program;
    static struct settings settings;
    const struct program_about about = {
        .name = "gemel-daemon",
        .purpose = "starts and watches the processes of this host",
        .pid_name = "daemon",
    };
    int exit_code = 0;
    if (!program_start(&program, &about, argc, argv, &exit_code))
        return exit_code;
    struct keys *keys = NULL;
    struct daemon_shell *shell = NULL;
    struct error error = {0};
    char log_path[HOME_PATH_BYTES];
    home_path(&program.home, "var/log/deltaDaemon.log", log_path);
    const struct log_options log = {
        .path = log_path, .process = "deltaDaemon", .type = "daemon", .json = program.log_json};
    if (log_open(&log, &error) != 0 || start(&shell, &program, &settings, &keys, &error) != 0) {
        log_error("Daemon cannot start [ Reason: %s ]", error.sentence);
        fprintf(stderr, "gemel-daemon: %s\n", error.sentence);
        program_stop(&program, EXIT_FAILED);
    } else {
        program_on_stop(&program, on_stop, shell);
        program_run(&program);
        log_info("Daemon has ended");
    }
    daemon_shell_destroy(&shell);
    exit_code = program_finish(&program);
    log_close();
    keys_destroy(&keys);
    return exit_code;
}
