/* Processes by pidfd: opening, watching in the loop, signalling, reaping. Shell only, loop's thread.
 *
 * A pidfd names one process for ever: its number is never reused under our hands, whatever happens to the pid. It
 * becomes readable when the process has ended, child of ours or not. Only a child can be reaped, and until it is, its
 * pid and process group stay taken: kill what is left of a group before reaping its leader. */
#ifndef GEMEL_LOOP_PIDFD_H
#define GEMEL_LOOP_PIDFD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <uv.h>

struct pidfd_watch;

/* How a process ended. */
struct pidfd_status {
    bool known;          /* false: not our child, or reaped by somebody else; the rest is 0 */
    int code;            /* exit code; 0 when a signal ended it */
    int signal;          /* 0: it exited */
    struct rusage usage; /* its own and its reaped children's */
};

/* Opens a pidfd of a running or unreaped process. Returns it (close-on-exec, the caller closes it), -ESRCH when there
 * is none, or another negative errno. */
int pidfd_get(pid_t pid);

/* Sends a signal. Returns 0; -ESRCH when the process has ended and was reaped; another negative errno. */
int pidfd_kill(int pidfd, int signal);

/* Has the process ended (reaped or not)? */
bool pidfd_has_ended(int pidfd);

/* Takes up the status of an ended child and releases its pid. Returns 0 with *status; -EAGAIN while it still runs. A
 * process that is not our child gives 0 and `known` false once it has ended. */
int pidfd_reap(int pidfd, struct pidfd_status *status);

/* Calls `on_exit` once, from the loop, when the process has ended; it is not reaped. A process that has ended already
 * is reported in the next turn of the loop.
 * `pidfd` is borrowed and must stay open until pidfd_watch_destroy; one watch for one pidfd. Returned in *watch
 * (release with pidfd_watch_destroy, also after on_exit, also from within it). Returns 0 or a negative errno. */
int pidfd_watch_create(struct pidfd_watch **watch, uv_loop_t *loop, int pidfd, void (*on_exit)(void *owner),
                       void *owner);

/* Stops watching at once: the pidfd may be closed when this returns. The memory goes in the next turn of the loop, so
 * the loop must run once more. NULL inside is allowed. */
void pidfd_watch_destroy(struct pidfd_watch **watch);

#endif
