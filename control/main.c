/* gemel-control: one of the pair that rules the cluster. This file reads the command line; control.c is the shell. */
#include <stdio.h>

#include "common/log/log.h"
#include "common/loop/program.h"
#include "control/control.h"

static void on_stop(void *owner, int signal)
{
    (void)signal;
    control_stop(owner);
}

static int open_log(const struct program *program, struct error *error)
{
    char path[HOME_PATH_BYTES];
    home_path(&program->home, "var/log/deltaControl.log", path);
    struct log_options options = {
        .path = path, .process = "deltaControl", .type = "control", .json = program->log_json};
    return log_open(&options, error);
}

int main(int argc, char **argv)
{
    static const struct program_about about = {.name = "gemel-control",
                                               .purpose = "one of the pair of controls that rules the cluster",
                                               .pid_name = "control"};
    struct program program;
    struct control *control = NULL;
    struct error error = {0};
    int exit_code = 0;
    if (!program_start(&program, &about, argc, argv, &exit_code))
        return exit_code;
    int result = open_log(&program, &error);
    if (result == 0)
        result = control_create(&control, &program, &error);
    if (result == 0) {
        program_on_stop(&program, on_stop, control);
        program_run(&program);
    } else {
        log_error("Control cannot start [ Reason: %s ]", error.sentence);
        fprintf(stderr, "gemel-control: %s\n", error.sentence);
        program_stop(&program, 1);
    }
    control_destroy(&control);
    exit_code = program_finish(&program);
    log_close();
    return exit_code;
}
