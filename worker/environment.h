/* What a process finds in its environment (docs/architecture.md), read and checked once. Internal to libgemel and the
 * built-in types; the strings live in the arena until environment_fini. */
#ifndef GEMEL_WORKER_ENVIRONMENT_H
#define GEMEL_WORKER_ENVIRONMENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/process_id.h"
#include "common/base/token.h"
#include "worker/gemel.h"

enum {
    ENVIRONMENT_OPTIONS_MAX = 1000,
    ENVIRONMENT_TABLES_MAX = 1000,
    ENVIRONMENT_COLUMNS_MAX = 1000 /* of one table */
};

struct environment_option {
    const char *name;
    const char *value;
};

struct environment {
    struct arena arena;
    char name[PROCESS_NAME_BYTES]; /* GEMEL_PROCESS */
    struct process_id id;
    struct token token;        /* zeroes without GEMEL_TOKEN */
    const char *listen;        /* GEMEL_HOST:GEMEL_PORT, 127.0.0.1 and 0 by default */
    const char *daemon;        /* NULL: no daemon */
    const char *notify_socket; /* NULL: nobody listens */
    const char *data_folder;   /* "." by default */
    const char *run_folder;    /* the data folder by default */
    uint64_t watchdog_ms;      /* 0: none */
    struct environment_option *options;
    size_t option_count;
    struct gemel_table *tables;
    size_t table_count;
};

/* Reads it by `get`, getenv or a test's own. Returns 0; -EINVAL with a sentence that names the variable. */
int environment_read(struct environment *environment, const char *(*get)(const char *name), struct error *error);
void environment_fini(struct environment *environment);

/* The value of a layout's option; NULL when it is not set. */
const char *environment_option(const struct environment *environment, const char *name);

#endif
