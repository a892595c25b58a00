/* A configuration as values: the system, its servers, pipelines, tables and workflows (config.md). Pure.
 *
 * Everything lives in the layout's arena and stays as it is until layout_destroy; nothing points out of it. Values that
 * come from a file know their place, so that every later check can name it; line 0 says that it is a default.
 * common/layout/load makes layouts; durations are in milliseconds, flags are 0 or 1, choices are values of their enum.
 */
#ifndef GEMEL_LAYOUT_MODEL_LAYOUT_H
#define GEMEL_LAYOUT_MODEL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/bounds.h"
#include "common/base/process_id.h"
#include "common/base/text.h"

enum {
    TABLES_MAX = 1000,
    COLUMNS_MAX = 1000,
    WORKFLOWS_MAX = 1000,
    TABLES_TEXT_BYTES_MAX = 96 * 1024,  /* GEMEL_TABLES: the kernel takes 128 KiB for one variable */
    OPTIONS_TEXT_BYTES_MAX = 32 * 1024, /* GEMEL_OPTIONS */
    COLUMN_NAME_BYTES = 64
};

struct layout_place {
    const char *file;
    unsigned line; /* from 1; 0: not given, the value is a default */
    unsigned column;
};

struct layout_text {
    const char *text; /* NULL: absent */
    struct layout_place place;
};

struct layout_number {
    int64_t value;
    struct layout_place place;
};

struct layout_texts {
    const struct layout_text *items;
    size_t count;
    struct layout_place place;
};

/* A key and its value: a variable, a limit, an option. */
struct layout_pair {
    const char *name;
    const char *value;
    struct layout_place place;
};

struct layout_pairs {
    const struct layout_pair *items;
    size_t count;
    struct layout_place place;
};

/* ---- system.yaml ---- */

struct layout_server {
    struct layout_text name;
    struct layout_texts hosts; /* at least one: the first is home, the others are where its processes may move */
};

struct layout_system {
    struct layout_place place;
    const struct layout_server *servers;
    size_t server_count;
    struct layout_text default_cpu_taskset; /* NULL: every CPU */
    struct layout_texts data_hierarchy;     /* keys of taxonomies, outermost first */
    struct layout_text timezone;            /* "UTC" */
    struct layout_number time_sort;
};

/* ---- pipelines ---- */

enum layout_kind {
    LAYOUT_REALTIME,
    LAYOUT_ENTRYPOINT,
    LAYOUT_STREAM,
    LAYOUT_SERVICE
};

enum layout_builtin {
    BUILTIN_NONE, /* a type of the layout's own, with a command */
    BUILTIN_TP,
    BUILTIN_RDB,
    BUILTIN_IPDB,
    BUILTIN_IDB,
    BUILTIN_EPDB,
    BUILTIN_HDB,
    BUILTIN_GW,
    BUILTIN_SOURCE,
    BUILTIN_SINK
};

enum layout_restart {
    LAYOUT_RESTART_ON_FAILURE,
    LAYOUT_RESTART_ALWAYS,
    LAYOUT_RESTART_MANUAL
};

enum layout_ready {
    LAYOUT_READY_NOTIFY,   /* READY=1 on NOTIFY_SOCKET */
    LAYOUT_READY_TCP_PORT, /* ready_port accepts connections */
    LAYOUT_READY_NOW       /* running is ready */
};

enum layout_scope {
    LAYOUT_SCOPE_PROCESS, /* a route fails over by itself */
    LAYOUT_SCOPE_INSTANCE /* all routes of an instance together */
};

/* The options of one type of process within a pipeline, after the pipeline's defaults. */
struct layout_type {
    struct layout_text name;
    enum layout_builtin builtin;
    struct layout_number instances; /* processes of this type in each instance of the pipeline, from 1 */
    struct layout_number port;      /* 0: chosen by the daemon */
    struct layout_texts command;    /* argv without args; never empty */
    struct layout_texts args;
    struct layout_pairs env;
    struct layout_text cwd;
    struct layout_text user;
    struct layout_text cpu_taskset; /* NULL: the system's */
    struct layout_number nice;
    struct layout_pairs limits;
    struct layout_texts depends_on; /* types of the same pipeline, as given */
    struct layout_number ready;     /* enum layout_ready */
    struct layout_number ready_port;
    struct layout_number watchdog_ms; /* 0: none */
    struct layout_number restart;     /* enum layout_restart */
    struct layout_number stop_signal;
    struct layout_number stop_timeout_ms;
    const struct layout_number *success_exits;
    size_t success_exit_count;
    struct layout_number startup_timeout_ms;
    struct layout_number routable;
    struct layout_number timeout_ms;     /* of a query; -1: the settings' query-timeout, 0: none */
    struct layout_number enable_analyst; /* ad-hoc SQL is allowed */
    struct layout_pairs options;         /* of the built-in type, and what else travels in GEMEL_OPTIONS */

    /* What follows from the above. */
    unsigned level;                          /* 0 starts first */
    const struct layout_type **requirements; /* types whose processes must be ready before this one starts */
    size_t requirement_count;
};

struct layout_pipeline {
    struct layout_text name;
    struct layout_number kind; /* enum layout_kind */
    struct layout_number expose_to_gw;
    struct layout_number startup_timeout_ms; /* default of its processes */
    struct layout_number restart;            /* default of its processes */
    struct layout_number failover_scope;     /* enum layout_scope */
    struct layout_number max_lag;            /* rows; -1: none */
    struct layout_pairs taxonomy;
    const struct layout_type *types; /* in the order of the file */
    size_t type_count;
    size_t instance_count;
    const struct layout_process *processes; /* of all instances; part of layout.processes */
    size_t process_count;
};

/* One process by its full name. */
struct layout_process {
    struct process_id id;
    char name[PROCESS_NAME_BYTES];
    const struct layout_pipeline *pipeline;
    const struct layout_type *type;
    const struct layout_server *server;
    const char *host; /* the server's first */
};

/* ---- tables ---- */

struct layout_column {
    struct layout_text name;
    struct layout_text data_type;
    struct layout_text attribute; /* NULL: none */
};

struct layout_table {
    struct layout_text name;
    struct layout_text id_col;   /* NULL: none */
    struct layout_text time_col; /* NULL: none */
    struct layout_text intra_persist_type;
    struct layout_text end_persist_type;
    const struct layout_pairs *taxonomies; /* one of them must match */
    size_t taxonomy_count;
    const struct layout_column *columns;
    size_t column_count;
};

/* ---- workflows ---- */

enum layout_environment {
    LAYOUT_ENVIRONMENT_NONE,
    LAYOUT_ENVIRONMENT_A,
    LAYOUT_ENVIRONMENT_B
};

/* What to do is exactly one of command, pipeline and process. */
struct layout_task {
    struct layout_text name;
    struct layout_texts command;
    struct layout_text pipeline;
    struct layout_number instance; /* of the pipeline; -1: all */
    struct layout_text process;    /* full name */
    struct layout_texts needs;     /* names of other tasks */
    struct layout_number approve;
    struct layout_text on_failure; /* another workflow */
};

struct layout_workflow {
    struct layout_text name;
    struct layout_number environment; /* enum layout_environment */
    const struct layout_task *tasks;
    size_t task_count;
};

/* ---- all of it ---- */

struct layout {
    struct arena arena;
    struct layout_system system;
    const struct layout_pipeline *pipelines; /* by name */
    size_t pipeline_count;
    const struct layout_table *tables; /* by name */
    size_t table_count;
    const struct layout_workflow *workflows; /* by name */
    size_t workflow_count;
    const struct layout_process *processes; /* by pipeline, instance, level, order in the file, index */
    size_t process_count;
};

/* Releases the layout; NULL inside is allowed. */
void layout_destroy(struct layout **layout);

/* By name; NULL when unknown. Borrowed from the layout. */
const struct layout_pipeline *layout_find_pipeline(const struct layout *layout, const char *name);
const struct layout_type *layout_find_type(const struct layout_pipeline *pipeline, const char *name);
const struct layout_process *layout_find_process(const struct layout *layout, const char *name);
const struct layout_table *layout_find_table(const struct layout *layout, const char *name);
const struct layout_workflow *layout_find_workflow(const struct layout *layout, const char *name);
const struct layout_server *layout_find_server(const struct layout_system *system, const char *name);

/* The words of the layout. */
const char *layout_kind_name(enum layout_kind kind);
const char *layout_restart_name(enum layout_restart restart);
enum layout_builtin layout_builtin_of(const char *type);

/* Does a table feed a pipeline? For each key that one of the table's taxonomies and the pipeline both name, the values
 * must be equal or one of them `global` or `all`. When not and `why` is not NULL, appends the reason. */
bool layout_table_feeds(const struct layout_table *table, const struct layout_pipeline *pipeline, struct text *why);

/* GEMEL_TABLES of a pipeline: a line a table that feeds it, empty unless it is realtime or stream. */
void layout_print_tables(const struct layout *layout, const struct layout_pipeline *pipeline, struct text *text);

/* GEMEL_OPTIONS of a process: the effective options that its program must know, `key=value` a line, keys as in the
 * layout. A duration is a bare number of the key's unit where that is exact, else it has a unit. */
void layout_print_options(const struct layout_process *process, struct text *text);

#endif
