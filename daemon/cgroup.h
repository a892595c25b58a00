/* A cgroup v2 folder for each process, where there is a writable hierarchy: only there nothing escapes a SIGKILL.
 * Shell only. Without one everything here does nothing, and the process group has to do. */
#ifndef GEMEL_DAEMON_CGROUP_H
#define GEMEL_DAEMON_CGROUP_H

#include <stdbool.h>

enum {
    CGROUP_PATH_BYTES = 512
};

struct cgroup_base {
    char folder[CGROUP_PATH_BYTES]; /* below it, one folder a process; empty: there is no cgroup v2 that we may write */
    char why[CGROUP_PATH_BYTES];    /* not, for the log */
    int lock_fd;                    /* of the folder: says that a daemon lives; -1: none */
};

/* Finds the hierarchy in /proc/self/mountinfo, makes `gemel-HASH` below the daemon's own cgroup and removes what is
 * empty in it. `hash` (borrowed) tells the homes of one machine apart. */
void cgroup_open(struct cgroup_base *base, const char *hash);

/* Removes the folders below the base, and the base, that have no process. */
void cgroup_close(struct cgroup_base *base);

/* The folders of one process are numbered: one that was killed is never used again, because since Linux 6.14 a process
 * that is cloned into a cgroup in which cgroup.kill was ever written is killed at birth. */

/* One folder, kept open: looking into it is on the way from a death to its replacement. */
struct cgroup_leaf {
    int folder_fd; /* -1: there is none */
    int events_fd;
    int kill_fd;
};

/* Makes the folder of a process if need be and opens it. Release with cgroup_leaf_close. */
void cgroup_leaf_open(struct cgroup_leaf *leaf, const struct cgroup_base *base, const char *process, unsigned number);
void cgroup_leaf_close(struct cgroup_leaf *leaf);

/* SIGKILL to all in it, also to what is forked meanwhile. Returns true when there was somebody and the kernel took the
 * order: then the number is used up. */
bool cgroup_leaf_kill(const struct cgroup_leaf *leaf);

/* Removes a folder; one that is not empty yet stays. */
void cgroup_drop(const struct cgroup_base *base, const char *process, unsigned number);

#endif
