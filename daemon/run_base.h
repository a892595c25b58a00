/* The folder that holds every GEMEL_RUN of a home: /dev/shm/gemel-HASH where that is a tmpfs, else HOME/run/processes.
 * Shell only. A link `.home` in it names the home, so that what a home left in memory can be removed when it is gone.
 */
#ifndef GEMEL_DAEMON_RUN_BASE_H
#define GEMEL_DAEMON_RUN_BASE_H

#include <stddef.h>

#include "common/base/error.h"
#include "daemon/runs.h"

enum {
    RUN_BASE_MODE = 0711 /* processes may run as other users: they pass through, they do not look around */
};

/* Finds and makes the folder, and removes those of homes that do not exist any more. `hash` (borrowed) tells the homes
 * of one machine apart. Returns 0 or a negative errno with a sentence. */
int run_base_open(const char *home, const char *hash, char *folder, size_t size, struct error *error);

/* Removes what belongs to no process that runs, and the folder when nothing is left. */
void run_base_close(const char *folder, const struct runs *runs);

/* Removes a folder with all in it, as far as that can be. May take long. */
void run_base_remove(const char *folder);

#endif
