/* What remains of a run when its main process is gone: members of its group, and descendants that left the group
 * (setsid). Shell only.
 *
 * Orphans of our children are children of ours, because the daemon is a child subreaper; those of an adopted process
 * are init's. They are known by GEMEL_PROCESS and GEMEL_TOKEN in /proc/PID/environ. */
#ifndef GEMEL_DAEMON_LEFTOVER_H
#define GEMEL_DAEMON_LEFTOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/bounds.h"
#include "common/base/token.h"

/* Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); 0 when there is none or it is a
 * zombie. With the boot id it names a process for ever. */
uint64_t leftover_start_ticks(pid_t pid);

/* Does the environment of `pid` name this process and token? */
bool leftover_is_of(pid_t pid, const char *process, struct token token);

/* SIGKILL to every process that carries this name and token, but `spare` (0: none). `everywhere` looks at all processes
 * of the machine, else only at children of ours. Returns how many were killed. */
size_t leftover_kill(const char *process, struct token token, pid_t spare, bool everywhere);

/* The leader of a run of which no pid was noted: a group leader that carries the name and token. 0: none. */
pid_t leftover_find_leader(const char *process, struct token token);

#endif
