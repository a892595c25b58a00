/* The frame of a program: command line, home, single instance, loop, signals, clean end. Shell only.
 *
 *     int main(int argc, char **argv)
 *     {
 *         struct program program;
 *         int exit_code = 0;
 *         if (!program_start(&program, &about, argc, argv, &exit_code))
 *             return exit_code;
 *         struct shell *shell = NULL;
 *         if (shell_create(&shell, &program) == 0) {
 *             program_on_stop(&program, on_stop, shell);       SIGTERM or SIGINT: ends by program_stop
 *             program_run(&program);
 *         } else {
 *             program_stop(&program, 1);
 *         }
 *         shell_destroy(&shell);                               closes its handles
 *         return program_finish(&program);                     lets them finish, closes the loop
 *     }
 *
 * Every program knows `--home DIR`, `--log-format text|json`, `--help`, `--version`; what else it takes stands in its
 * table. */
#ifndef GEMEL_LOOP_PROGRAM_H
#define GEMEL_LOOP_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/loop/home.h"

/* An option of one program. A switch (no `argument`) puts "" into *value. */
struct program_option {
    const char *name;     /* without dashes */
    const char *argument; /* what the help calls its value; NULL: a switch */
    const char *help;
    const char **value; /* where the value goes (borrowed from argv); left alone when absent */
};

struct program_about {
    const char *name;     /* "gemel-control" */
    const char *purpose;  /* one line of help */
    const char *pid_name; /* run/NAME.pid is held; NULL: may run several times */
    const struct program_option *options;
    size_t option_count;
};

struct program {
    uv_loop_t loop;
    struct home home;
    bool log_json;
    uint64_t nofile_soft; /* RLIMIT_NOFILE as it was found; it is raised to its hard limit, children get this back */

    /* The rest is program.c's own. */
    uv_signal_t terminate;
    uv_signal_t interrupt;
    uv_timer_t deadline;
    void (*on_stop)(void *owner, int signal);
    void *owner;
    int exit_code;
};

/* Reads the command line, opens and locks the home, sets up loop and signals (SIGPIPE ignored, umask 027). Returns true
 * to go on. Returns false with everything released, *exit_code set and the reason on standard error: help and version
 * (0), usage (2), no usable home or a second instance (1). */
bool program_start(struct program *program, const struct program_about *about, int argc, char **argv, int *exit_code);

/* Who is told of SIGTERM and SIGINT; without it they are program_stop(program, 0). */
void program_on_stop(struct program *program, void (*on_stop)(void *owner, int signal), void *owner);

/* Runs the loop until program_stop. */
void program_run(struct program *program);

/* Ends program_run after this turn; the first exit code that is not 0 stays. */
void program_stop(struct program *program, int exit_code);

/* Lets closed handles finish (at most 2 s), gives up the pid file, closes the loop. Returns the exit code; a handle
 * that was left open is named on standard error. */
int program_finish(struct program *program);

/* "0.1.0" */
const char *program_version(void);

#endif
