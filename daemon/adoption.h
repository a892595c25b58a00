/* What a former daemon left running or owed: found in the file of runs and in the store, told to the core. Shell.
 * Before anything else happens. */
#ifndef GEMEL_DAEMON_ADOPTION_H
#define GEMEL_DAEMON_ADOPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/loop/home.h"
#include "daemon/children.h"
#include "daemon/core/daemon_core.h"
#include "daemon/daemon_store.h"
#include "daemon/runs.h"

/* Everything is borrowed. */
struct adoption {
    struct runs *runs;
    struct children *children;
    const struct home *home;
    bool has_control;                                     /* a control belongs to this host */
    int (*step)(void *owner, struct daemon_event *event); /* gives the core an event; its answer */
    void *owner;
};

/* Tells the core of every process that the store or the runs know. Returns how many are alive. */
uint32_t adoption_take_all(const struct adoption *self, const struct daemon_stored *stored);

#endif
