/* From a process spec to a spawn request: command line, environment, folders, limits, CPUs, user. Shell only: it looks
 * at files and users, and makes folders. Everything it gives lives in the arena of the caller. */
#ifndef GEMEL_DAEMON_LAUNCH_H
#define GEMEL_DAEMON_LAUNCH_H

#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/token.h"
#include "common/wire/gemel.pb-c.h"
#include "daemon/spawn.h"

/* Where this daemon starts processes: the same for all. Strings are borrowed and outlive it. */
struct launch_site {
    const char *home;          /* absolute */
    const char *host;          /* GEMEL_HOST */
    const char *run_base;      /* folders GEMEL_RUN are made below it */
    const char *programs;      /* folder of our own programs */
    const char *daemon_socket; /* path of run/daemon.sock */
    const char *notify_socket;
    uint64_t nofile_soft; /* RLIMIT_NOFILE of a process that asks for nothing; 0: the daemon's */
};

struct launch {
    struct spawn_request request; /* input, output and cgroup are the caller's to fill in */
    const char *trash;            /* the former GEMEL_RUN, moved aside, to be removed after the spawn; NULL: none */
    const char *warning;          /* what was left out, such as CPUs that do not exist; NULL: nothing */
};

/* Prepares everything that can be prepared in the parent, so that the child only does system calls. Removes (moves
 * aside) the process's GEMEL_RUN. Returns 0; a negative errno with a sentence such as "cannot execute foo: not found
 * beside our programs nor in PATH", "port 5010 of 127.0.0.1 is in use by another program". */
int launch_prepare(struct launch *launch, const struct launch_site *site, const Gemel__ProcessSpec *spec,
                   struct token token, struct arena *arena, struct error *error);

/* Replaces ${host}, ${port}, ${home}, ${data}, ${run} in `text`; others stay. In the arena. */
char *launch_replace(const char *text, const char *const names[], const char *const values[], size_t count,
                     struct arena *arena);

/* Reads a CPU list such as `0-3,7`. Returns 0 with those of `existing`; -EINVAL when malformed; -ENODEV when none
 * of them exists. */
int launch_read_cpus(const char *text, const cpu_set_t *existing, cpu_set_t *cpus);

/* Reads a resource limit: name such as `nofile`, value a number with K, M, G or `unlimited`. 0 or -EINVAL. */
int launch_read_limit(const char *name, const char *value, struct spawn_limit *limit);

#endif
