/* Answers of the daemon to people: tables made of reports, ends of log files. Shell only. Everything that goes into a
 * reply lives in the arena of the caller. */
#ifndef GEMEL_DAEMON_DAEMON_ADMIN_H
#define GEMEL_DAEMON_DAEMON_ADMIN_H

#include <stdint.h>

#include "common/base/arena.h"
#include "common/loop/home.h"
#include "common/wire/wire.h"

enum {
    LOGS_TAIL_BYTES_MAX = 1024 * 1024,
    LOGS_TAIL_LINES = 50 /* when nobody says how many */
};

/* What daemon.status tells beside the reports. Borrowed. */
struct daemon_admin_status {
    const char *host;
    int64_t started_wall_ns;
    uint32_t adopted;
    const char *controls; /* which are connected */
};

/* daemon.status: host, pid, since, processes, ready, failed, control, procmgr, adopted, connected. */
void daemon_admin_status(Gemel__AdminReply *reply, const struct daemon_admin_status *status,
                         const Gemel__ProcessReports *reports, const Gemel__ProcessReports *own, struct arena *arena);

/* daemon.processes: process, state, pid, endpoint, since, restarts, token, exit, why, status. */
void daemon_admin_processes(Gemel__AdminReply *reply, const Gemel__ProcessReports *reports,
                            const Gemel__ProcessReports *own, struct arena *arena);

/* logs.tail {process, lines}: the last lines of a log of this host, at most LOGS_TAIL_BYTES_MAX. `process` is a full
 * name, or one of DeltaControl, control, daemon, DeltaDaemon, procmgr, DeltaProcmgr; nothing else reaches a path. */
void daemon_admin_logs(Gemel__AdminReply *reply, const struct home *home, const Gemel__AdminRequest *request,
                       struct arena *arena);

/* A refusal: exit code and one sentence that says what to do next. */
void daemon_admin_refuse(Gemel__AdminReply *reply, int exit_code, const char *sentence, struct arena *arena);

#endif
