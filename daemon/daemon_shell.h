/* The daemon's shell: joins loop, core, children, store, control plane, Unix sockets. Decides nothing: facts become
 * events of daemon/core, its actions are carried out in order, their results are events again. */
#ifndef GEMEL_DAEMON_DAEMON_SHELL_H
#define GEMEL_DAEMON_DAEMON_SHELL_H

#include "common/base/error.h"
#include "common/layout/model/settings.h"
#include "common/loop/program.h"
#include "common/net/keys.h"

struct daemon_shell;

/* Adopts what runs, starts what is wanted, then listens and dials. All is borrowed and outlives the shell. Returned in
 * *shell (release with daemon_shell_destroy). Returns 0 or a negative errno with a sentence. */
int daemon_shell_create(struct daemon_shell **shell, struct program *program, const struct settings *settings,
                        const struct keys *keys, struct error *error);
/* What runs goes on. */
void daemon_shell_destroy(struct daemon_shell **shell);

/* SIGTERM: ends the program and leaves the processes running. */
void daemon_shell_end(struct daemon_shell *shell);

#endif
