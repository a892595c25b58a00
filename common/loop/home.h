/* The home folder of a host: its sub-folders, paths below it, and the pid files that keep a program single. Shell only.
 *
 *   etc/ settings and keys   var/log/ logs   var/lib/ kept state   run/ pid files, sockets, FIFOs
 * A pid file is `run/NAME.pid`: the pid and a newline, under a flock that its program holds as long as it lives. It is
 * emptied and not removed at the end: removing it would let two programs lock two files of one name. */
#ifndef GEMEL_LOOP_HOME_H
#define GEMEL_LOOP_HOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"

enum {
    HOME_FOLDER_BYTES = 90, /* so that run/notify.sock below it fits into a socket address (108 bytes) */
    HOME_PATH_BYTES = 512,  /* any path below a home */
    HOME_FOLDER_MODE = 0750 /* of folders that are made */
};

struct home {
    char folder[HOME_FOLDER_BYTES]; /* absolute, without a final slash */
    int lock_fd;                    /* of the pid file; -1: none is held */
};

/* Makes `path` (borrowed) and the folders above it where they are missing. Returns 0 or a negative errno. */
int home_make_folder(const char *path, mode_t mode);

/* Takes `folder` (borrowed; NULL: GEMEL_HOME, else /var/lib/gemel), makes it and its sub-folders where they are missing
 * and writes the absolute path into *home (release with home_close). Returns 0; -ENAMETOOLONG; another negative errno
 * with a sentence that names the folder. */
int home_open(struct home *home, const char *folder, struct error *error);

/* Gives up the pid file. Zeroes are not an opened home; a second close is allowed. */
void home_close(struct home *home);

/* Writes the absolute path of `below`, such as "var/log/x.log"; "" gives the folder. An absolute `below` is taken as it
 * is. What does not fit into HOME_PATH_BYTES is a broken promise. */
void home_path(const struct home *home, const char *below, char path[HOME_PATH_BYTES]);

/* Holds run/NAME.pid from now to home_close or the end of the program, and writes the pid into it. Returns 0; -EEXIST
 * with a sentence that names the pid when another program holds it; another negative errno. */
int home_lock_pid(struct home *home, const char *name, struct error *error);

/* Who holds run/NAME.pid? Returns 0 with *pid; -ESRCH when nobody does; -EAGAIN when it starts just now; another
 * negative errno. */
int home_read_pid(const struct home *home, const char *name, pid_t *pid);

/* Did the last holder of run/NAME.pid end without home_close, as by SIGKILL or a power cut? False while one lives. */
bool home_was_killed(const struct home *home, const char *name);

#endif
