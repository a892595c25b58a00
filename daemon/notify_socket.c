#include "daemon/notify_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/memory.h"

/* ---- reading */

/* Digits only, at most INT64_MAX. */
static bool read_number(const char *text, int64_t *number)
{
    int64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || value > (INT64_MAX - (*text - '0')) / 10)
            return false;
        value = value * 10 + (*text - '0');
    }
    *number = value;
    return true;
}

static void take_line(const char *key, const char *value, struct daemon_notify *notify)
{
    int64_t number = 0;
    if (strcmp(key, "READY") == 0) {
        notify->ready |= strcmp(value, "1") == 0;
    } else if (strcmp(key, "STOPPING") == 0) {
        notify->stopping |= strcmp(value, "1") == 0;
    } else if (strcmp(key, "WATCHDOG") == 0) {
        notify->watchdog |= strcmp(value, "1") == 0;
        notify->watchdog_trigger |= strcmp(value, "trigger") == 0;
    } else if (strcmp(key, "EXTEND_TIMEOUT_USEC") == 0) {
        if (read_number(value, &number))
            notify->extend_us = number;
    } else if (strcmp(key, "STATUS") == 0) {
        notify->status = value;
    } else if (strcmp(key, "X_GEMEL_ENDPOINT") == 0) {
        notify->endpoint = value;
    } else if (strcmp(key, "X_GEMEL_STALE") == 0) {
        notify->stale = value;
    } else if (strcmp(key, "X_GEMEL_LAG") == 0 && read_number(value, &number)) {
        notify->has_lag = true;
        notify->lag_rows = (uint64_t)number;
    }
}

void notify_parse(char *text, size_t size, struct daemon_notify *notify)
{
    *notify = (struct daemon_notify){0};
    char *end = text + size;
    *end = '\0';
    for (char *line = text; line < end;) {
        char *line_end = memchr(line, '\n', (size_t)(end - line));
        if (line_end == NULL)
            line_end = end;
        *line_end = '\0';
        char *equals = strchr(line, '=');
        if (equals != NULL && equals > line) {
            *equals = '\0';
            take_line(line, equals + 1, notify);
        }
        line = line_end + 1;
    }
}

/* ---- the socket */

struct notify_socket {
    uv_poll_t poll;
    int fd;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    notify_on_message on_message;
    void *owner;
    char text[NOTIFY_BYTES_MAX + 1];
};

static pid_t sender_of(struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS)
            continue;
        struct ucred credentials;
        memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
        return credentials.pid;
    }
    return 0;
}

/* A process can send descriptors along (FDSTORE, which we do not offer): what came is closed. */
static void close_descriptors(struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd = -1;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            close(fd);
        }
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct notify_socket *self = poll->data;
    for (int i = 0; i < NOTIFY_DATAGRAMS_A_TURN; i++) {
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(16 * sizeof(int))];
        struct iovec bytes = {.iov_base = self->text, .iov_len = NOTIFY_BYTES_MAX};
        struct msghdr message = {
            .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t length = recvmsg(self->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (length < 0)
            return;
        close_descriptors(&message);
        pid_t sender = sender_of(&message);
        if ((message.msg_flags & MSG_TRUNC) != 0 || sender <= 0)
            continue;
        struct daemon_notify notify;
        notify_parse(self->text, (size_t)length, &notify);
        self->on_message(self->owner, sender, &notify);
    }
}

static int bind_socket(struct notify_socket *self, const char *path, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return error_set(error, -ENAMETOOLONG, "the path of the notify socket is too long: %s", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    memcpy(self->path, path, strlen(path) + 1);
    self->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0)
        return error_set(error, -errno, "cannot make the notify socket: %s", strerror(errno));
    int on = 1;
    unlink(path);
    /* Any user whom a process runs as may write: the kernel says who it is, and strangers are passed over. */
    if (setsockopt(self->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
        bind(self->fd, (struct sockaddr *)&address, sizeof address) != 0 || chmod(path, 0666) != 0)
        return error_set(error, -errno, "cannot bind the notify socket %s: %s", path, strerror(errno));
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    memory_free(handle->data);
}

int notify_socket_create(struct notify_socket **socket, uv_loop_t *loop, const char *path, notify_on_message on_message,
                         void *owner, struct error *error)
{
    struct notify_socket *self = memory_alloc(sizeof *self);
    self->on_message = on_message;
    self->owner = owner;
    self->fd = -1;
    int result = bind_socket(self, path, error);
    if (result == 0) {
        result = uv_poll_init(loop, &self->poll, self->fd);
        if (result != 0)
            error_set(error, result, "cannot watch the notify socket: %s", uv_strerror(result));
    }
    if (result != 0) {
        if (self->fd >= 0)
            close(self->fd);
        memory_free(self);
        return result;
    }
    self->poll.data = self;
    uv_poll_start(&self->poll, UV_READABLE, on_readable);
    *socket = self;
    return 0;
}

void notify_socket_destroy(struct notify_socket **socket)
{
    struct notify_socket *self = *socket;
    if (self == NULL)
        return;
    uv_poll_stop(&self->poll);
    unlink(self->path);
    close(self->fd);
    uv_close((uv_handle_t *)&self->poll, on_closed);
    *socket = NULL;
}
