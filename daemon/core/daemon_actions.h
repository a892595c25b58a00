/* The action list as the parts of the core fill it. Pure; owned by the caller of daemon_core_step. */
#ifndef GEMEL_DAEMON_CORE_DAEMON_ACTIONS_H
#define GEMEL_DAEMON_CORE_DAEMON_ACTIONS_H

#include "daemon/core/daemon_core.h"

/* Appends an action of zeroes; `process` (borrowed) is copied into the arena, NULL stays NULL. Returned pointer is good
 * until the next add. */
struct daemon_action *daemon_actions_add(struct daemon_actions *actions, enum daemon_action_type type,
                                         const char *process);

/* Appends a LOG action. */
void daemon_actions_log(struct daemon_actions *actions, enum daemon_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Moves what a restart waits for (KILL, SPAWN) before everything that was appended since position `from`, in the order
 * it has: log lines, reports and records come after the replacement runs. */
void daemon_actions_urgent_first(struct daemon_actions *actions, size_t from);

#endif
