/* What a process is apart from its state: its strings and spec, and its images outside (report, order to keep, run to
 * keep). Pure; for process_machine.c and daemon_core.c. */
#ifndef GEMEL_DAEMON_CORE_PROCESS_RECORD_H
#define GEMEL_DAEMON_CORE_PROCESS_RECORD_H

#include "daemon/core/process_machine.h"

/* Replaces an owned string by a copy of `text` (borrowed; NULL: empty). */
void process_set_string(char **target, const char *text);

/* The same when `text` differs; NULL leaves it. Returns whether it did. */
bool process_replace_string(char **target, const char *text);

/* Marks a change: the next step's end reports it. */
void process_touch(struct process *process);

/* A copy of the spec in the arena; NULL when there is none. */
Gemel__ProcessSpec *process_copy_spec(const struct process *process, struct arena *arena);

/* Appends the action that keeps what is wanted. The control's is never kept: whoever starts it, wants it. */
void process_store_order(const struct process *process, const struct process_step *step);

/* Appends the action that keeps what the run said, for adoption by a later daemon. */
void process_record_run(const struct process *process, const struct process_step *step);

/* The last words went out with a report; they are told once. */
void process_forget_last_words(struct process *process);

/* What the spec says, or the default. */
int64_t process_startup_timeout_ms(const struct process *process);
int64_t process_stop_timeout_ms(const struct process *process);
uint32_t process_hang_timeout_ms(const struct process *process); /* 0: not judged by pings */

/* Writes how the last run ended: "signal 9", "code 1", "unknown, no daemon was there". */
void process_describe_exit(const struct process *process, char *cause, size_t size);

#endif
