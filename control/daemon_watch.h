/* The control's link to the daemon of its host, over the daemon's Unix socket: by it the daemon knows the control's pid
 * and starts it again when it dies, unless the control has said that it is about to stop. Dials again each second; a
 * host without a daemon has a control that nobody watches. Shell, loop's thread. */
#ifndef GEMEL_CONTROL_DAEMON_WATCH_H
#define GEMEL_CONTROL_DAEMON_WATCH_H

#include <stdint.h>
#include <uv.h>

struct daemon_watch;

enum {
    DAEMON_WATCH_RETRY_MS = 100
};

/* `address` is unix:/path, `name` the control's sender; both are copied. */
void daemon_watch_create(struct daemon_watch **watch, uv_loop_t *loop, const char *address, const char *name,
                         uint64_t incarnation);
/* Says that the coming end of this control is wanted. */
void daemon_watch_say_stopping(struct daemon_watch *watch);
/* Closes the link after what was said has gone out. NULL inside is allowed. */
void daemon_watch_destroy(struct daemon_watch **watch);

#endif
