/* The log lines of our programs: `time|LEVEL|process-pid|type|message [ Key: value ]`. Shells only; one log a program.
 * Never blocks: a full disk drops lines and counts them. No secrets. */
#ifndef GEMEL_LOG_LOG_H
#define GEMEL_LOG_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

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

/* Opens the program's log (strings are copied). Returns 0 or a negative errno with `error`. */
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

/* May a line be written now, at most one each `every_ms`? The number that was held back since the last goes to *dropped. */
bool log_allowed(struct log_limit *limit, int64_t now_ms, int64_t every_ms, uint64_t *dropped);

/* Lines that could not be written. */
uint64_t log_lost_count(void);

#endif
