/* Programs of ours started apart from the shell that started them, and the wait for their end. Shell. */
#ifndef GEMEL_CLI_DETACH_H
#define GEMEL_CLI_DETACH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/site.h"
#include "common/base/error.h"
#include "common/base/text.h"

enum {
    DETACH_PATH_BYTES = 4096,
    DETACH_TAIL_BYTES = 4096 /* of a log, shown when a program ends at once */
};

/* A program that was started here. */
struct detached {
    pid_t pid;
    int pid_fd; /* readable when it ends; -1: none */
};

/* Finds a program of ours: beside this one, else in PATH. Returns 0 or -ENOENT with a sentence. */
int detach_find(const char *program, char path[DETACH_PATH_BYTES], struct error *error);

/* Starts `program --home HOME` in a session of its own, standard input empty, output to var/log/PROGRAM.out (emptied
 * first). Returns 0 or a negative errno with a sentence. Release with detach_close; the program goes on. */
int detach_start(struct detached *detached, const struct site *site, const char *program, struct error *error);
void detach_close(struct detached *detached);

/* Waits up to `timeout_ms` for its end. Returns whether it ended; then *status is that of waitpid. */
bool detach_ended(struct detached *detached, int64_t timeout_ms, int *status);

/* Waits until no program holds run/NAME.pid any more. Returns 0 or -ETIMEDOUT. */
int detach_wait_gone(const struct site *site, const char *pid_name, int64_t timeout_ms);

/* SIGTERM to the program that holds run/NAME.pid. Returns 0, or -ESRCH when none does; another negative errno. */
int detach_terminate(const struct site *site, const char *pid_name);

/* How many processes of this home run here, by their environment: also those whose daemon is gone. */
size_t detach_count_processes(const struct site *site);

/* Appends the last whole lines of a file, at most `bytes_max`. Returns whether there were any. */
bool detach_tail(const char *path, size_t bytes_max, struct text *text);

#endif
