/* The spawner: a new process by clone(CLONE_VM | CLONE_VFORK) on a stack of its own. Shell only; one call at a time.
 *
 * The child borrows our memory until it executes, so starting costs the same whatever the size of the daemon, and what
 * fails in it comes back through that memory: the step and its errno. Nothing in the child may allocate, lock or touch
 * what the parent relies on: only system calls on values that were prepared before.
 *
 *     parent                                   child (same memory, own stack, own signal table)
 *     blocks all signals
 *     clone3 or clone, sleeps in the kernel
 *                                              handlers back to default: ours must not run in here
 *                                              unblocks signals
 *                                              group, limits, CPUs, nice, user, folder, descriptors
 *                                              execve: takes a memory of its own, wakes the parent
 *                                              (or writes step and errno, _exit 127: wakes the parent)
 *     restores its signals, reads the failure
 *
 * The child is the leader of a group of its own, has only descriptors 0 to 2, and is in its cgroup from its first
 * instruction when there is one (moving it there later would wait for an RCU grace period: 10 ms). It stays in the
 * daemon's session: a session of its own is a scheduling group of its own where the kernel groups by session, and on a
 * loaded machine a new one waits half a millisecond longer for its first turn. */
#ifndef GEMEL_DAEMON_SPAWN_H
#define GEMEL_DAEMON_SPAWN_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "common/base/error.h"

enum {
    SPAWN_LIMITS_MAX = 16,
    SPAWN_GROUPS_MAX = 256,
    SPAWN_UMASK = 022
};

/* What can fail in the child: name, words for "cannot ...". */
#define SPAWN_STEPS(X)                                                                                                 \
    X(GROUP, "lead a process group")                                                                                   \
    X(LIMIT, "set the resource limits")                                                                                \
    X(CPUS, "set the CPUs")                                                                                            \
    X(NICE, "set the niceness")                                                                                        \
    X(GROUPS, "set the groups of the user")                                                                            \
    X(USER, "become the user")                                                                                         \
    X(FOLDER, "change to folder")                                                                                      \
    X(OUTPUT, "set up input and output")                                                                               \
    X(EXECUTE, "execute")

enum spawn_step {
    SPAWN_STEP_NONE,
#define X(name, words) SPAWN_STEP_##name,
    SPAWN_STEPS(X)
#undef X
};

struct spawn_limit {
    int resource; /* RLIMIT_NOFILE, ... */
    struct rlimit value;
};

/* Everything is borrowed for the call. */
struct spawn_request {
    const char *executable; /* a path */
    char *const *arguments; /* NULL at the end */
    char *const *environment;
    const char *folder; /* NULL: stays where the daemon is */
    int input_fd;       /* becomes 0 */
    int output_fd;      /* becomes 1 and 2 */
    int cgroup_fd;      /* folder of a cgroup v2; -1: none */
    struct spawn_limit limits[SPAWN_LIMITS_MAX];
    size_t limit_count;
    bool has_cpus;
    cpu_set_t cpus;
    int niceness; /* 0: as the daemon */
    bool has_user;
    uid_t user;
    gid_t group;
    gid_t groups[SPAWN_GROUPS_MAX];
    size_t group_count;
};

struct spawn_child {
    pid_t pid;
    int pidfd; /* close-on-exec; the caller closes it */
};

/* Starts a process. Returns 0; on failure a negative errno with a sentence such as "cannot execute /x/y: no such file
 * or directory", and nothing is left behind. */
int spawn_process(const struct spawn_request *request, struct spawn_child *child, struct error *error);

#endif
