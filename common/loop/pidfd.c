#include "common/loop/pidfd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/memory.h"

struct pidfd_watch {
    uv_poll_t poll;
    void (*on_exit)(void *owner);
    void *owner;
};

int pidfd_get(pid_t pid)
{
    int fd = pidfd_open(pid, 0);
    return fd < 0 ? -errno : fd;
}

int pidfd_kill(int pidfd, int signal)
{
    return pidfd_send_signal(pidfd, signal, NULL, 0) != 0 ? -errno : 0;
}

bool pidfd_has_ended(int pidfd)
{
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    int count = 0;
    do {
        count = poll(&ended, 1, 0);
    } while (count < 0 && errno == EINTR);
    return count == 1;
}

int pidfd_reap(int pidfd, struct pidfd_status *status)
{
    siginfo_t info = {0};
    struct rusage usage = {0};
    /* The system call and not the C function: only it tells the resources. */
    if (syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOHANG, &usage) != 0) {
        if (errno == EAGAIN)
            return -EAGAIN;
        if (errno != ECHILD)
            return -errno;
        if (!pidfd_has_ended(pidfd))
            return -EAGAIN;
        *status = (struct pidfd_status){0};
        return 0;
    }
    if (info.si_pid == 0)
        return -EAGAIN;
    bool exited = info.si_code == CLD_EXITED;
    *status = (struct pidfd_status){
        .known = true,
        .code = exited ? info.si_status : 0,
        .signal = exited ? 0 : info.si_status,
        .usage = usage,
    };
    return 0;
}

static void on_ended(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct pidfd_watch *watch = poll->data;
    uv_poll_stop(poll);
    watch->on_exit(watch->owner);
}

int pidfd_watch_create(struct pidfd_watch **watch, uv_loop_t *loop, int pidfd, void (*on_exit)(void *owner),
                       void *owner)
{
    struct pidfd_watch *made = memory_alloc(sizeof *made);
    made->on_exit = on_exit;
    made->owner = owner;
    int result = uv_poll_init(loop, &made->poll, pidfd);
    if (result != 0) {
        memory_free(made);
        return result;
    }
    made->poll.data = made;
    result = uv_poll_start(&made->poll, UV_READABLE, on_ended);
    if (result != 0) {
        pidfd_watch_destroy(&made);
        return result;
    }
    *watch = made;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    memory_free(handle->data);
}

void pidfd_watch_destroy(struct pidfd_watch **watch)
{
    if (*watch == NULL)
        return;
    uv_close((uv_handle_t *)&(*watch)->poll, on_closed);
    *watch = NULL;
}
