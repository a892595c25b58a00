/* What remains of a run when its main process is gone: members of its group, and descendants that left the group
 * (setsid). Shell only.
 *
 * Orphans of our children are children of ours, because the daemon is a child subreaper; those of an adopted process
 * are init's. They are known by GEMEL_HOME, GEMEL_PROCESS and GEMEL_TOKEN in /proc/PID/environ: the home because
 * daemons of several homes on one machine run processes of the same names, and count their tokens alike. */
#ifndef GEMEL_DAEMON_LEFTOVER_H
#define GEMEL_DAEMON_LEFTOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/bounds.h"
#include "common/base/token.h"

/* One run, as the environment of its processes names it. */
struct leftover_run {
    const char *home; /* borrowed, as process */
    const char *process;
    struct token token;
};

/* Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); 0 when there is none or it is a
 * zombie. With the boot id it names a process for ever. */
uint64_t leftover_start_ticks(pid_t pid);

/* Is `pid` of this run? */
bool leftover_is_of(pid_t pid, const struct leftover_run *run);

/* SIGKILL to every process of this run. `everywhere` looks at all processes of the machine, else only at children of
 * ours. Returns how many were killed. */
size_t leftover_kill(const struct leftover_run *run, bool everywhere);

/* The leader of a run of which no pid was noted: a group leader that is of it. 0: none. */
pid_t leftover_find_leader(const struct leftover_run *run);

#endif
