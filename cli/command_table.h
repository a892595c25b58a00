/* Every command of the operator's shell: the one table from which parser, help and completion come. Pure.
 *
 * A command is a noun (`pipeline`) and, for most, a verb (`start`), typed as a flag (`pipeline --start P`) or as a word
 * (`pipeline start P`). Options are shared: one that occurs in several commands has the same shape in each of them.
 * All strings are static. */
#ifndef GEMEL_CLI_COMMAND_TABLE_H
#define GEMEL_CLI_COMMAND_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes of every command, and what help says about them. */
#define CLI_EXITS(X)                                                                                                   \
    X(DONE, 0, "done")                                                                                                 \
    X(FAILED, 1, "failed, or what was asked about is down")                                                            \
    X(USAGE, 2, "the command line is wrong")                                                                           \
    X(PARTLY, 3, "partly running, or degraded")                                                                        \
    X(NO_LEADER, 4, "no control answers, or none leads")                                                               \
    X(TIMEOUT, 5, "not finished within its time")                                                                      \
    X(REFUSED, 6, "refused by a safety rule; the sentence says which, and what overrides it")

enum cli_exit {
#define X(name, code, meaning) CLI_EXIT_##name = code,
    CLI_EXITS(X)
#undef X
};

enum cli_option_kind {
    CLI_OPTION_SWITCH,
    CLI_OPTION_TEXT,
    CLI_OPTION_NUMBER,   /* 0 to 1,000,000,000 */
    CLI_OPTION_DURATION, /* 250ms, 30s, 15m, 2h; a bare number is seconds */
    CLI_OPTION_CHOICE    /* one of the words in `value`, parted by '|' */
};

/* id, name without dashes, kind, what the value is called, help. */
#define CLI_OPTIONS(X)                                                                                                 \
    X(HOME, "home", TEXT, "DIR", "home folder of this host (default: GEMEL_HOME, else /var/lib/gemel)")                \
    X(OUTPUT, "output", CHOICE, "table|json", "how results are printed (default: table)")                              \
    X(HELP, "help", SWITCH, "", "print this and end")                                                                  \
    X(WAIT, "wait", SWITCH, "", "return when it is ready, with a line of progress for each process")                   \
    X(TIMEOUT, "timeout", DURATION, "TIME", "give up after this time, such as 60s")                                    \
    X(INSTANCE, "instance", NUMBER, "N", "only this instance")                                                         \
    X(PROCESS, "process", TEXT, "TYPE.N", "only this process of each instance, such as rdb.0")                         \
    X(PROCESS_NAME, "process", TEXT, "NAME", "a process by its full name, or control, daemon, procmgr")                \
    X(LINES, "lines", NUMBER, "N", "how many of the last lines (default: 50)")                                         \
    X(PIPELINE, "pipeline", TEXT, "PIPELINE", "the pipeline")                                                          \
    X(TABLE, "table", TEXT, "TABLE", "the table of the layout that the rows belong to")                                \
    X(GENERATE, "generate", NUMBER, "N", "make N rows a batch from the table's columns")                               \
    X(EVERY, "every", DURATION, "TIME", "time from batch to batch (default: 1s)")                                      \
    X(BATCHES, "batches", NUMBER, "N", "end after N batches (default: go on until it is interrupted)")                 \
    X(TIME, "time", CHOICE, "now|yesterday", "stamp of the rows (default: yesterday, one day back)")                   \
    X(CSV, "csv", TEXT, "FILE", "publish the rows of a CSV file with a header line")                                   \
    X(TYPE, "type", TEXT, "TYPE", "ask the processes of this type (default: rdb)")                                     \
    X(TO_INSTANCE, "to-instance", NUMBER, "N", "the instance that shall be primary")                                   \
    X(DRY_RUN, "dry-run", SWITCH, "", "say what would happen and change nothing")                                      \
    X(FORCE, "force", SWITCH, "", "also when the target is down or stale")                                             \
    X(WIDE, "wide", SWITCH, "", "add version, lag, since, reason and queue")                                           \
    X(WATCH, "watch", SWITCH, "", "show it again each second until it is interrupted")                                 \
    X(COMMENT, "comment", TEXT, "TEXT", "why, for the history")                                                        \
    X(WITH_PROCESSES, "with-processes", SWITCH, "", "stop the processes of this host too")                             \
    X(NAME, "name", TEXT, "NAME", "name of one key (default: operator and every host of the settings)")                \
    X(ROLE, "role", CHOICE, "view|publish|operate|admin|node", "what the holder of the key may do (default: node)")

enum cli_option {
#define X(id, name, kind, value, help) CLI_OPTION_##id,
    CLI_OPTIONS(X)
#undef X
    CLI_OPTION_COUNT
};

struct cli_option_text {
    const char *name;
    enum cli_option_kind kind;
    const char *value; /* what the value is called in help; the choices; "" for a switch */
    const char *help;
};

/* Every command; the dispatcher switches over it. */
enum cli_command_id {
    CLI_APPLICATION_START_CONTROL,
    CLI_APPLICATION_START_DAEMON,
    CLI_APPLICATION_STOP_CONTROL,
    CLI_APPLICATION_STOP_DAEMON,
    CLI_APPLICATION_STATUS,
    CLI_PROCESS_MANAGER_START,
    CLI_PROCESS_MANAGER_STOP,
    CLI_PROCESS_MANAGER_STATUS,
    CLI_WORKFLOW_START,
    CLI_WORKFLOW_STATUS,
    CLI_WORKFLOW_STOP,
    CLI_PIPELINE_START,
    CLI_PIPELINE_FORCE_START,
    CLI_PIPELINE_STOP,
    CLI_PIPELINE_STATUS,
    CLI_PIPELINE_LIST,
    CLI_SERVICE_CLASS_START,
    CLI_SERVICE_CLASS_STOP,
    CLI_SERVICE_CLASS_STATUS,
    CLI_PUBLISH,
    CLI_QUERY,
    CLI_FAILOVER_STATUS,
    CLI_FAILOVER_FAILOVER,
    CLI_STATUS,
    CLI_CONFIG_CHECK,
    CLI_CONFIG_APPLY,
    CLI_CONFIG_SHOW_PROCESSES,
    CLI_CONFIG_HISTORY,
    CLI_KEYS_CREATE,
    CLI_KEYS_SHOW,
    CLI_LOGS_VIEW,
    CLI_CLUSTER_UP,
    CLI_CLUSTER_DOWN,
    CLI_CLUSTER_STATUS,
    CLI_VERSION,
    CLI_COMMAND_COUNT
};

enum {
    CLI_OPTIONS_OF_COMMAND_MAX = 10,
    CLI_ARGUMENTS_MAX = 64 /* files of one config --check */
};

struct cli_command {
    const char *noun;
    const char *verb;     /* NULL: the noun is the whole command */
    const char *argument; /* what a positional argument is called; NULL: it takes none */
    unsigned
        arguments_min; /* positional arguments; the upper bound is 1, or CLI_ARGUMENTS_MAX when the name ends in ... */
    uint64_t options;  /* bits 1 << enum cli_option; HOME, OUTPUT and HELP belong to every command */
    uint64_t required; /* bits of the options that must be given */
    unsigned exits;    /* bits 1 << enum cli_exit */
    const char *help;  /* one sentence */
    const char *example; /* arguments after the program's name */
    const char *details; /* lines for help; NULL: none */
};

/* A noun and what it is about, in the order of help. */
struct cli_noun {
    const char *name;
    const char *help;
};

/* The tables; positions run from 0 to the count. */
const struct cli_command *cli_command_at(enum cli_command_id id);
enum cli_command_id cli_command_id(const struct cli_command *command);
const struct cli_noun *cli_noun_at(size_t position);
size_t cli_noun_count(void);
const struct cli_option_text *cli_option_text(enum cli_option option);
const char *cli_exit_meaning(enum cli_exit code);

/* By name; NULL when there is none. A verb NULL asks for the command that is the noun alone. */
const struct cli_noun *cli_noun_find(const char *name);
const struct cli_command *cli_command_find(const char *noun, const char *verb);

/* Does the command take the option? True for HOME, OUTPUT and HELP. */
bool cli_command_takes(const struct cli_command *command, enum cli_option option);

/* The most arguments that a command takes. */
size_t cli_command_arguments_max(const struct cli_command *command);

#endif
