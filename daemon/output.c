#include "daemon/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/loop/clock.h"

enum {
    PATH_BYTES = 512,
    READ_BYTES = 64 * 1024,
    LOG_MODE = 0640,
    LOST_EVERY_MS = 10000
};

struct output {
    uv_poll_t poll;
    int fifo_fd;
    int log_fd;
    char fifo_path[PATH_BYTES];
    char log_path[PATH_BYTES];
    int64_t log_bytes;  /* length of the log file */
    int64_t run_offset; /* where the run's output begins in it */
    size_t end_bytes;   /* of the ended run, still in the pipe */
    uint64_t lost_bytes;
    uint64_t lost_told;
    struct log_limit lost_limit;
};

static void rotate(struct output *output)
{
    char old[PATH_BYTES + 2];
    snprintf(old, sizeof old, "%s.1", output->log_path);
    if (rename(output->log_path, old) != 0)
        return;
    int fd = open(output->log_path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, LOG_MODE);
    if (fd < 0)
        return;
    close(output->log_fd);
    output->log_fd = fd;
    output->log_bytes = 0;
    output->run_offset = 0;
}

static void count_lost(struct output *output, size_t bytes, int code)
{
    uint64_t held_back = 0;
    output->lost_bytes += bytes;
    if (!log_allowed(&output->lost_limit, clock_now_ms(), LOST_EVERY_MS, &held_back))
        return;
    log_warn("Output of a process is lost [ Log: %s ] [ Bytes: %llu ] [ Why: %s ]", output->log_path,
             (unsigned long long)(output->lost_bytes - output->lost_told), strerror(code));
    output->lost_told = output->lost_bytes;
}

static void append(struct output *output, const char *bytes, size_t length)
{
    if (output->log_bytes + (int64_t)length > OUTPUT_LOG_BYTES_MAX)
        rotate(output);
    while (length > 0) {
        ssize_t written = write(output->log_fd, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            count_lost(output, length, written < 0 ? errno : ENOSPC);
            return;
        }
        output->log_bytes += written;
        bytes += written;
        length -= (size_t)written;
    }
}

/* Moves at most `max` bytes from the pipe to the log. Returns how many. */
static size_t move(struct output *output, size_t max)
{
    char bytes[READ_BYTES];
    size_t moved = 0;
    while (moved < max) {
        size_t wanted = max - moved < sizeof bytes ? max - moved : sizeof bytes;
        ssize_t got = read(output->fifo_fd, bytes, wanted);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        append(output, bytes, (size_t)got);
        moved += (size_t)got;
    }
    return moved;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct output *output = poll->data;
    /* What belongs to an ended run waits for output_take_end, which comes in this turn or the next. */
    if (output->end_bytes == 0)
        move(output, OUTPUT_TURN_BYTES);
}

static int open_files(struct output *output, struct error *error)
{
    if (mkfifo(output->fifo_path, 0600) != 0 && errno != EEXIST)
        return error_set(error, -errno, "cannot make the FIFO %s: %s", output->fifo_path, strerror(errno));
    output->fifo_fd = open(output->fifo_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (output->fifo_fd < 0)
        return error_set(error, -errno, "cannot open the FIFO %s: %s", output->fifo_path, strerror(errno));
    fcntl(output->fifo_fd, F_SETPIPE_SZ, OUTPUT_PIPE_BYTES); /* beyond the user's pages it stays smaller */
    output->log_fd = open(output->log_path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, LOG_MODE);
    struct stat found;
    if (output->log_fd < 0 || fstat(output->log_fd, &found) != 0)
        return error_set(error, -errno, "cannot open the log %s: %s", output->log_path, strerror(errno));
    output->log_bytes = found.st_size;
    output->run_offset = found.st_size;
    return 0;
}

static void close_files(struct output *output)
{
    if (output->fifo_fd >= 0)
        close(output->fifo_fd);
    if (output->log_fd >= 0)
        close(output->log_fd);
}

int output_create(struct output **output, uv_loop_t *loop, const char *fifo_path, const char *log_path,
                  struct error *error)
{
    struct output *self = memory_alloc(sizeof *self);
    self->fifo_fd = -1;
    self->log_fd = -1;
    text_copy(self->fifo_path, sizeof self->fifo_path, fifo_path);
    text_copy(self->log_path, sizeof self->log_path, log_path);
    int result = open_files(self, error);
    if (result == 0 && (result = uv_poll_init(loop, &self->poll, self->fifo_fd)) != 0)
        error_set(error, result, "cannot watch the FIFO %s: %s", fifo_path, uv_strerror(result));
    if (result != 0) {
        close_files(self);
        memory_free(self);
        return result;
    }
    self->poll.data = self;
    uv_poll_start(&self->poll, UV_READABLE, on_readable);
    *output = self;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    memory_free(handle->data);
}

void output_destroy(struct output **output)
{
    struct output *self = *output;
    if (self == NULL)
        return;
    move(self, OUTPUT_PIPE_BYTES);
    uv_poll_stop(&self->poll);
    close_files(self);
    uv_close((uv_handle_t *)&self->poll, on_closed);
    *output = NULL;
}

int output_open_writer(struct output *output)
{
    int fd = open(output->fifo_path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int code = errno;
        close(fd);
        return code == EWOULDBLOCK ? -EBUSY : -code;
    }
    return fd;
}

void output_mark_end(struct output *output)
{
    int waiting = 0;
    if (ioctl(output->fifo_fd, FIONREAD, &waiting) == 0 && waiting > 0)
        output->end_bytes = (size_t)waiting;
}

void output_take_end(struct output *output, struct text *words)
{
    move(output, output->end_bytes);
    output->end_bytes = 0;
    int64_t length = output->log_bytes - output->run_offset;
    if (length > OUTPUT_LAST_WORDS_BYTES)
        length = OUTPUT_LAST_WORDS_BYTES;
    char *bytes = memory_alloc(OUTPUT_LAST_WORDS_BYTES);
    ssize_t got = length > 0 ? pread(output->log_fd, bytes, (size_t)length, output->log_bytes - length) : 0;
    for (ssize_t i = 0; i < got; i++)
        if (bytes[i] == '\0')
            bytes[i] = ' ';
    if (got > 0)
        text_append(words, bytes, (size_t)got);
    memory_free(bytes);
    output->run_offset = output->log_bytes;
}

uint64_t output_lost_bytes(const struct output *output)
{
    return output->lost_bytes;
}
