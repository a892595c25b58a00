/* What a process tells its daemon, by systemd's notify protocol and our additions. Internal to libgemel, loop's thread.
 *
 * The state is kept here and sent again when the daemon may have missed it: a datagram to a daemon that restarts is
 * lost. */
#ifndef GEMEL_WORKER_NOTIFY_H
#define GEMEL_WORKER_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    NOTIFY_LINE_BYTES = 1024
};

struct notify {
    const char *path; /* borrowed; NULL: nobody listens */
    int fd;           /* -1: none */
    bool ready;
    bool stopping;
    char endpoint[NOTIFY_LINE_BYTES]; /* "": none yet */
    char status[NOTIFY_LINE_BYTES];
    char stale[NOTIFY_LINE_BYTES];
    uint64_t lag;
    bool missed; /* the last notify_send_state did not arrive: do it again */
};

/* `path` as in NOTIFY_SOCKET, `@` for an abstract one; NULL: everything below does nothing. */
void notify_init(struct notify *notify, const char *path);
void notify_fini(struct notify *notify);

/* Sends one or more lines without keeping them, such as WATCHDOG=1. Did they arrive? */
bool notify_send(struct notify *notify, const char *lines);
/* Sends all of the state. */
void notify_send_state(struct notify *notify);

#endif
