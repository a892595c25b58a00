/* The processes that run on this host, as the kernel knows them: pid, pidfd, output, run slot. Carries out SPAWN and
 * KILL, sees exits, takes up what ran before this daemon. Decides nothing. Shell only, loop's thread.
 *
 * The way from a death to its replacement is the first half of `on_ended` in children.c: what is not needed for it
 * (last words, leftovers that left the group, folders to remove) is done in children_finish_exits, after the core has
 * had its EXITED and the SPAWN that came of it was carried out. */
#ifndef GEMEL_DAEMON_CHILDREN_H
#define GEMEL_DAEMON_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "common/base/error.h"
#include "common/base/token.h"
#include "daemon/cgroup.h"
#include "daemon/core/daemon_core.h"
#include "daemon/launch.h"
#include "daemon/runs.h"

enum {
    CHILDREN_RETRY_MS = 2,    /* between two looks whether the leftovers of a run are gone */
    CHILDREN_RETRY_MAX = 250, /* looks; then the start has failed */
    CHILDREN_REAPS_A_TURN = 256
};

struct children;

/* Facts. They come from the loop or from within children_spawn; strings are borrowed for the call. */
struct children_handlers {
    void (*on_spawned)(void *owner, const char *process, struct token token, int32_t pid);
    void (*on_spawn_failed)(void *owner, const char *process, struct token token, const char *sentence);
    void (*on_exited)(void *owner, const char *process, const struct daemon_exit *exit);
    void (*on_last_words)(void *owner, const char *process, struct token token, const char *words);
};

struct children_config {
    uv_loop_t *loop;
    const char *home; /* borrowed, outlives it, as all below */
    const struct launch_site *site;
    const struct cgroup_base *cgroups;
    struct runs *runs;
    struct children_handlers handlers;
    void *owner;
};

/* Makes the daemon a child subreaper. Returned in *children (release with children_destroy). */
int children_create(struct children **children, const struct children_config *config, struct error *error);
/* Lets go of everything; what runs goes on. */
void children_destroy(struct children **children);

/* Carries out SPAWN: on_spawned or on_spawn_failed follows, at once or, when leftovers of the last run still die,
 * later.
 */
void children_spawn(struct children *children, const struct daemon_action *action);

/* Carries out KILL. */
void children_kill(struct children *children, const struct daemon_action *action);

/* Looks whether a run is still there, and watches it if so. */
enum daemon_run children_adopt(struct children *children, const struct run_slot *slot, int32_t *pid);

/* Watches a process that was started by somebody else (the control). Returns 0 or a negative errno. */
int children_watch_stranger(struct children *children, const char *process, pid_t pid);

/* Carries out RECORD_RUN. */
void children_record(struct children *children, const struct daemon_action *action);

/* The process that `pid` is, or whose group it is in; NULL: none. Borrowed until the next call. */
const char *children_name_of(const struct children *children, pid_t pid);

/* The rest of what exits need, after the replacements run. */
void children_finish_exits(struct children *children);

#endif
