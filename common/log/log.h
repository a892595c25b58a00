/* The log lines of our programs: `time|LEVEL|process-pid|type|message [ Key: value ]`. Shells only; one log a program.
 *
 * A line is one write of at most LOG_LINE_BYTES, so that several programs may append to one file and logrotate's
 * copytruncate loses nothing that was written. Never waits for a reader: what a full disk or a full pipe does not take
 * is dropped and counted, and the next line that gets through says how many were lost. Control characters and bytes
 * that are not UTF-8 are written escaped: nobody can forge a line. No secrets. Any thread may write. */
#ifndef GEMEL_LOG_LOG_H
#define GEMEL_LOG_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

enum {
    LOG_LINE_BYTES = 4096 /* PIPE_BUF: a longer line is cut, ends in "..." and stays one atomic write */
};

enum log_level {
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR
};

struct log_options {
    const char *path;    /* file to append to; NULL: standard error */
    const char *process; /* "deltaControl", "DefaultEntrypoint.0.gw.0" */
    const char *type;    /* "control", "daemon", "procmgr", "gw", ... */
    bool json;           /* one JSON object a line */
};

/* Opens the program's log (strings are copied; a log that is open is closed). Returns 0 or a negative errno with
 * `error`. Before it and after log_close, lines go to standard error. */
int log_open(const struct log_options *options, struct error *error);
void log_close(void);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

/* A repeat limiter for one place in the code: static storage, starts as zeroes. */
struct log_limit {
    int64_t next_ms;
    uint64_t dropped;
};

/* May a line be written now, at most one each `every_ms`? The number that was held back since the last goes to
 * *dropped. */
bool log_allowed(struct log_limit *limit, int64_t now_ms, int64_t every_ms, uint64_t *dropped);

/* Lines that could not be written since the start of the program. */
uint64_t log_lost_count(void);

#endif
