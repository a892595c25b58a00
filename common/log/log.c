#include "common/log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/bounds.h"
#include "common/base/date.h"

_Static_assert(LOG_LINE_BYTES <= PIPE_BUF, "a line must be one atomic write to a pipe");

enum {
    LOG_TYPE_BYTES = 32,
    LOG_TAIL_BYTES = 8 /* kept free for "...", the end of a JSON object, the newline */
};

/* The one log of the program. Written by log_open and log_close alone, but for the counters. */
static struct {
    int fd; /* 0: standard error */
    bool json;
    bool may_block; /* a pipe, socket or terminal: ask before writing */
    char process[PROCESS_NAME_BYTES];
    char type[LOG_TYPE_BYTES];
    atomic_uint_fast64_t lost;
    atomic_uint_fast64_t lost_reported;
    atomic_bool torn; /* the last write was short: its line has no end */
} the_log = {.may_block = true};

static const char *const LEVELS[] = {[LOG_INFO] = "INFO", [LOG_WARN] = "WARN", [LOG_ERROR] = "ERROR"};

/* A line under construction. */
struct line {
    char bytes[LOG_LINE_BYTES];
    size_t length;
    bool cut;
};

int log_open(const struct log_options *options, struct error *error)
{
    int fd = STDERR_FILENO;
    if (options->path != NULL) {
        fd = open(options->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
        if (fd < 0)
            return error_set(error, -errno, "cannot write the log '%s': %s", options->path, strerror(errno));
    }
    log_close();
    struct stat found;
    the_log.fd = fd;
    the_log.may_block = fstat(fd, &found) != 0 || !S_ISREG(found.st_mode);
    the_log.json = options->json;
    text_copy(the_log.process, sizeof the_log.process, options->process);
    text_copy(the_log.type, sizeof the_log.type, options->type);
    return 0;
}

void log_close(void)
{
    if (the_log.fd > STDERR_FILENO)
        close(the_log.fd);
    the_log.fd = 0;
    the_log.may_block = true;
    the_log.json = false;
    the_log.process[0] = '\0';
    the_log.type[0] = '\0';
}

/* ---- building a line */

static void add(struct line *line, const char *bytes, size_t length)
{
    if (line->cut || length > sizeof line->bytes - LOG_TAIL_BYTES - line->length) {
        line->cut = true;
        return;
    }
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
}

static void add_string(struct line *line, const char *string)
{
    add(line, string, strlen(string));
}

/* Length of the UTF-8 sequence at `at`; 0 when it is none. Overlong forms and surrogates are none.
 * Source: RFC 3629, section 4. */
static size_t utf8_length(const unsigned char *at)
{
    static const struct {
        unsigned char first_low, first_high, second_low, second_high;
        size_t length;
    } FORMS[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++) {
        if (at[0] < FORMS[i].first_low || at[0] > FORMS[i].first_high)
            continue;
        if (at[1] < FORMS[i].second_low || at[1] > FORMS[i].second_high)
            return 0;
        for (size_t k = 2; k < FORMS[i].length; k++)
            if (at[k] < 0x80 || at[k] > 0xbf)
                return 0;
        return FORMS[i].length;
    }
    return 0;
}

/* One control character, backslash (JSON), quote (JSON) or byte that is not UTF-8. */
static void add_special(struct line *line, unsigned char byte, bool json)
{
    char escaped[8];
    if (byte == '\n')
        snprintf(escaped, sizeof escaped, "\\n");
    else if (byte == '"' || byte == '\\')
        snprintf(escaped, sizeof escaped, "\\%c", byte);
    else if (json && byte >= 0x80)
        snprintf(escaped, sizeof escaped, "\\ufffd");
    else if (json)
        snprintf(escaped, sizeof escaped, "\\u%04x", byte);
    else
        snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    add_string(line, escaped);
}

static void add_escaped(struct line *line, const char *string, bool json)
{
    const unsigned char *at = (const unsigned char *)string;
    while (*at != '\0') {
        bool special = *at < 0x20 || *at == 0x7f || (json && (*at == '"' || *at == '\\'));
        size_t length = *at < 0x80 ? 1 : utf8_length(at);
        if (special || length == 0)
            add_special(line, *at, json);
        else
            add(line, (const char *)at, length);
        at += length > 0 ? length : 1;
    }
}

static void build_line(struct line *line, enum log_level level, const char *message)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    char time[DATE_TEXT_BYTES];
    date_format((int64_t)now.tv_sec * 1000000000 + now.tv_nsec, time, sizeof time);
    char head[DATE_TEXT_BYTES + PROCESS_NAME_BYTES + LOG_TYPE_BYTES + 96];
    if (the_log.json)
        snprintf(head, sizeof head,
                 "{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"pid\":%ld,\"type\":\"%s\",\"message\":\"",
                 time, LEVELS[level], the_log.process, (long)getpid(), the_log.type);
    else
        snprintf(head, sizeof head, "%s|%s|%s-%ld|%s|", time, LEVELS[level], the_log.process, (long)getpid(),
                 the_log.type);
    line->length = 0;
    line->cut = false;
    add_string(line, head);
    add_escaped(line, message, the_log.json);
    /* LOG_TAIL_BYTES were kept free for these. */
    char tail[LOG_TAIL_BYTES];
    int length = snprintf(tail, sizeof tail, "%s%s\n", line->cut ? "..." : "", the_log.json ? "\"}" : "");
    memcpy(line->bytes + line->length, tail, (size_t)length);
    line->length += (size_t)length;
}

/* ---- writing it */

/* May a write of one line be made without waiting? A pipe that is writable has room for PIPE_BUF bytes. */
static bool has_room(int fd)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    return poll(&room, 1, 0) == 1 && (room.revents & (POLLERR | POLLNVAL)) == 0;
}

static bool write_bytes(const char *bytes, size_t length)
{
    int fd = the_log.fd > 0 ? the_log.fd : STDERR_FILENO;
    if (the_log.may_block && !has_room(fd))
        return false;
    ssize_t written = 0;
    do {
        written = write(fd, bytes, length);
    } while (written < 0 && errno == EINTR);
    if (written > 0)
        atomic_store(&the_log.torn, (size_t)written < length);
    return written == (ssize_t)length;
}

static void write_line(enum log_level level, const char *message)
{
    struct line line;
    build_line(&line, level, message);
    if (atomic_load(&the_log.torn) && !write_bytes("\n", 1)) {
        atomic_fetch_add(&the_log.lost, 1);
        return;
    }
    if (!write_bytes(line.bytes, line.length))
        atomic_fetch_add(&the_log.lost, 1);
}

/* Two threads may both find lost lines; the exchange lets one of them tell. */
static void report_lost(void)
{
    uint64_t lost = atomic_load(&the_log.lost);
    uint64_t reported = atomic_load(&the_log.lost_reported);
    if (lost == reported || !atomic_compare_exchange_strong(&the_log.lost_reported, &reported, lost))
        return;
    char message[96];
    snprintf(message, sizeof message, "Log lines could not be written [ Lost: %llu ]",
             (unsigned long long)(lost - reported));
    write_line(LOG_WARN, message);
}

void log_write(enum log_level level, const char *format, ...)
{
    char message[LOG_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    uint64_t lost_before = atomic_load(&the_log.lost);
    write_line(level, message);
    if (atomic_load(&the_log.lost) == lost_before)
        report_lost();
}

bool log_allowed(struct log_limit *limit, int64_t now_ms, int64_t every_ms, uint64_t *dropped)
{
    if (now_ms < limit->next_ms) {
        limit->dropped++;
        return false;
    }
    *dropped = limit->dropped;
    *limit = (struct log_limit){.next_ms = now_ms + every_ms};
    return true;
}

uint64_t log_lost_count(void)
{
    return atomic_load(&the_log.lost);
}
