/* What a process tells its daemon, by systemd's notify protocol (sd_notify(3)) and our additions. Shell, loop's thread.
 *
 * The state is kept here and sent again when the daemon may have missed it: a datagram to a daemon that restarts is
 * lost. Each datagram goes to whoever has the socket's path now, so that a new daemon hears the next one. */
#ifndef GEMEL_LOOP_NOTIFY_H
#define GEMEL_LOOP_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    NOTIFY_LINE_BYTES = 1024
};

struct notify {
    const char *path; /* borrowed; NULL: nobody listens */
    int fd;           /* -1: none */
    bool watched;     /* the daemon waits for WATCHDOG=1 */
    uint64_t beat_ms; /* how often to call notify_beat */
    bool ready;
    bool stopping;
    char endpoint[NOTIFY_LINE_BYTES]; /* "": none yet */
    char status[NOTIFY_LINE_BYTES];
    char stale[NOTIFY_LINE_BYTES];
    uint64_t lag;
    bool missed; /* the last notify_send_state did not arrive: do it again */
};

/* `path` as in NOTIFY_SOCKET, `@` for an abstract one; NULL: everything below does nothing. A beat is a third of the
 * watchdog's time, or a second when there is no watchdog (0). */
void notify_init(struct notify *notify, const char *path, uint64_t watchdog_ms);
/* The same with NOTIFY_SOCKET and WATCHDOG_USEC of the environment. */
void notify_init_here(struct notify *notify);
void notify_fini(struct notify *notify);

/* Sends all of the state, never waiting for a daemon that hangs. Who has a link to the daemon does it when the link
 * opens: a datagram that the former daemon had not read went with it, and counts as arrived. */
void notify_send_state(struct notify *notify);
/* A sign of life, to a daemon that waits for it, and the state when it was missed. */
void notify_beat(struct notify *notify);

#endif
