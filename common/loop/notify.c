#include "common/loop/notify.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/text.h"

enum {
    BEAT_MS = 1000, /* when there is no watchdog: only what the daemon missed is sent again */
    BEATS = 3       /* in the time of the watchdog */
};

void notify_init(struct notify *notify, const char *path, uint64_t watchdog_ms)
{
    *notify = (struct notify){.path = path, .fd = -1, .watched = watchdog_ms > 0, .beat_ms = BEAT_MS};
    if (notify->watched)
        notify->beat_ms = watchdog_ms < BEATS ? 1 : watchdog_ms / BEATS;
    if (path != NULL)
        notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

void notify_init_here(struct notify *notify)
{
    const char *watchdog_usec = getenv("WATCHDOG_USEC");
    notify_init(notify, getenv("NOTIFY_SOCKET"), watchdog_usec != NULL ? strtoull(watchdog_usec, NULL, 10) / 1000 : 0);
}

void notify_fini(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

/* Sends one or more lines. Did they arrive? */
static bool send_lines(const struct notify *notify, const char *lines)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (notify->fd < 0 || !text_copy(address.sun_path, sizeof address.sun_path, notify->path))
        return true;
    size_t length = strlen(address.sun_path);
    if (address.sun_path[0] == '@')
        address.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return sendto(notify->fd, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)&address, size) >= 0;
}

void notify_send_state(struct notify *notify)
{
    struct text lines;
    text_init(&lines, 8 * NOTIFY_LINE_BYTES);
    if (notify->endpoint[0] != '\0')
        text_printf(&lines, "X_GEMEL_ENDPOINT=%s\n", notify->endpoint);
    if (notify->status[0] != '\0')
        text_printf(&lines, "STATUS=%s\n", notify->status);
    text_printf(&lines, "X_GEMEL_STALE=%s\nX_GEMEL_LAG=%" PRIu64 "\n", notify->stale, notify->lag);
    if (notify->ready)
        text_append_string(&lines, "READY=1\n");
    if (notify->stopping)
        text_append_string(&lines, "STOPPING=1\n");
    notify->missed = !send_lines(notify, lines.data);
    text_fini(&lines);
}

void notify_beat(struct notify *notify)
{
    if (notify->watched)
        send_lines(notify, "WATCHDOG=1\n");
    if (notify->missed)
        notify_send_state(notify);
}
