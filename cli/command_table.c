#include "cli/command_table.h"

#include <string.h>

#include "common/base/assert.h"

#define OPT(name)  ((uint64_t)1 << CLI_OPTION_##name)
#define EXIT(name) (1u << CLI_EXIT_##name)

enum {
    /* What every command that asks the leader can end with. */
    EXITS_LEADER = EXIT(DONE) | EXIT(FAILED) | EXIT(USAGE) | EXIT(NO_LEADER) | EXIT(TIMEOUT),
    EXITS_LOCAL = EXIT(DONE) | EXIT(FAILED) | EXIT(USAGE)
};

static const struct cli_noun NOUNS[] = {
    {"application", "start and stop the control and the daemon of this host"},
    {"process-manager", "start and stop the process manager of this host"},
    {"workflow", "run the tasks of a workflow file in their order"},
    {"pipeline", "start, stop and show the processes of a pipeline"},
    {"service-class", "start, stop and show processes that belong to no pipeline of data"},
    {"publish", "send rows to the tp of every instance of a pipeline"},
    {"query", "ask a pipeline with SQL, through the gateways"},
    {"failover", "show the primary routing state and move it"},
    {"status", "what matters on one screen, with the verdict in its first line"},
    {"config", "check, apply and show the layouts"},
    {"keys", "make and show the keys of the cluster"},
    {"logs", "show the log of any process of the cluster"},
    {"cluster", "everything at once"},
    {"version", "print the version"},
};

static const struct cli_option_text OPTIONS[CLI_OPTION_COUNT] = {
#define X(id, name, kind, value, help) [CLI_OPTION_##id] = {name, CLI_OPTION_##kind, value, help},
    CLI_OPTIONS(X)
#undef X
};

/* clang-format off */
static const struct cli_command COMMANDS[CLI_COMMAND_COUNT] = {
    [CLI_APPLICATION_START_CONTROL] = {
        .noun = "application", .verb = "start-control", .options = OPT(TIMEOUT), .exits = EXITS_LOCAL | EXIT(TIMEOUT),
        .help = "start the control of this host and return when it answers",
        .details = "A control that runs already is left alone (exit 0). When it ends at once, the end of what it\n"
                   "printed is shown. What it prints before its log opens is in var/log/gemel-control.out.",
        .example = "application --start-control"},
    [CLI_APPLICATION_START_DAEMON] = {
        .noun = "application", .verb = "start-daemon", .options = OPT(TIMEOUT), .exits = EXITS_LOCAL | EXIT(TIMEOUT),
        .help = "start the daemon of this host and return when it answers",
        .details = "A daemon that runs already is left alone (exit 0). A new one takes over the processes that run.",
        .example = "application --start-daemon"},
    [CLI_APPLICATION_STOP_CONTROL] = {
        .noun = "application", .verb = "stop-control", .options = OPT(TIMEOUT), .exits = EXITS_LOCAL | EXIT(TIMEOUT),
        .help = "stop the control of this host and return when it is gone",
        .details = "Processes and routes go on; the other control leads, if it runs.",
        .example = "application --stop-control"},
    [CLI_APPLICATION_STOP_DAEMON] = {
        .noun = "application", .verb = "stop-daemon", .options = OPT(TIMEOUT) | OPT(WITH_PROCESSES),
        .exits = EXITS_LOCAL | EXIT(TIMEOUT),
        .help = "stop the daemon of this host and return when it is gone",
        .details = "Its processes run on unattended, and the next daemon takes them over, unless --with-processes.",
        .example = "application --stop-daemon"},
    [CLI_APPLICATION_STATUS] = {
        .noun = "application", .verb = "status", .exits = EXITS_LOCAL,
        .help = "show whether control and daemon of this host run",
        .details = "Exit 0 when both answer, 1 when one of them does not.",
        .example = "application --status"},
    [CLI_PROCESS_MANAGER_START] = {
        .noun = "process-manager", .verb = "start", .options = OPT(WAIT) | OPT(TIMEOUT),
        .exits = EXITS_LOCAL | EXIT(TIMEOUT),
        .help = "start the process manager of this host",
        .details = "One runs beside each control; only the one beside the leader acts, the other stands by.",
        .example = "process-manager --start --wait"},
    [CLI_PROCESS_MANAGER_STOP] = {
        .noun = "process-manager", .verb = "stop", .options = OPT(WAIT) | OPT(TIMEOUT), .exits = EXITS_LOCAL | EXIT(TIMEOUT),
        .help = "stop the process manager of this host",
        .details = "What runs goes on; nothing new is started until one runs beside the leader again.",
        .example = "process-manager --stop"},
    [CLI_PROCESS_MANAGER_STATUS] = {
        .noun = "process-manager", .verb = "status", .exits = EXITS_LOCAL,
        .help = "show the process manager of each host, and which one acts",
        .example = "process-manager --status"},
    [CLI_WORKFLOW_START] = {
        .noun = "workflow", .verb = "start", .argument = "NAME", .arguments_min = 1,
        .options = OPT(WAIT) | OPT(TIMEOUT), .exits = EXITS_LEADER | EXIT(PARTLY),
        .help = "run the tasks of etc/workflows/NAME.yaml, each after those that it needs",
        .details = "A task that needs what this version does not have is listed as skipped, with why.",
        .example = "workflow --start REFINERY_ENTRYPOINT_0_a"},
    [CLI_WORKFLOW_STATUS] = {
        .noun = "workflow", .verb = "status", .argument = "NAME", .exits = EXITS_LEADER | EXIT(PARTLY),
        .help = "show the tasks of one workflow, or of all, and what they started",
        .example = "workflow --status"},
    [CLI_WORKFLOW_STOP] = {
        .noun = "workflow", .verb = "stop", .argument = "NAME", .arguments_min = 1, .exits = EXITS_LEADER,
        .help = "stop what the workflow started, in reverse order",
        .example = "workflow --stop REFINERY_ENTRYPOINT_0_a"},
    [CLI_PIPELINE_START] = {
        .noun = "pipeline", .verb = "start", .argument = "PIPELINE", .arguments_min = 1,
        .options = OPT(INSTANCE) | OPT(PROCESS) | OPT(WAIT) | OPT(TIMEOUT), .exits = EXITS_LEADER | EXIT(PARTLY),
        .help = "start a pipeline of which nothing runs",
        .details = "When all of it runs: `already running: 12 of 12` (exit 0). When a part of it runs, nothing is\n"
                   "started, and what is down is named (exit 3): use --force-start.",
        .example = "pipeline --start DemoPipeline --wait --timeout 60s"},
    [CLI_PIPELINE_FORCE_START] = {
        .noun = "pipeline", .verb = "force-start", .argument = "PIPELINE", .arguments_min = 1,
        .options = OPT(INSTANCE) | OPT(PROCESS) | OPT(WAIT) | OPT(TIMEOUT), .exits = EXITS_LEADER | EXIT(PARTLY),
        .help = "start what does not run of a pipeline, also what failed",
        .details = "Forgets failures and back-off of what it starts.",
        .example = "pipeline --force-start DemoPipeline --instance 0"},
    [CLI_PIPELINE_STOP] = {
        .noun = "pipeline", .verb = "stop", .argument = "PIPELINE", .arguments_min = 1,
        .options = OPT(INSTANCE) | OPT(PROCESS) | OPT(WAIT) | OPT(TIMEOUT), .exits = EXITS_LEADER | EXIT(PARTLY),
        .help = "stop a pipeline, or a part of it; it stays stopped until it is started by hand",
        .example = "pipeline --stop DemoPipeline --process rdb.0 --instance 1"},
    [CLI_PIPELINE_STATUS] = {
        .noun = "pipeline", .verb = "status", .argument = "PIPELINE", .arguments_min = 1,
        .options = OPT(INSTANCE) | OPT(PROCESS) | OPT(WAIT) | OPT(TIMEOUT), .exits = EXITS_LEADER | EXIT(PARTLY),
        .help = "show every process of a pipeline: state, host, pid, endpoint, why",
        .details = "Exit 0 when all of it is ready, 3 when a part is, 1 when nothing is.",
        .example = "pipeline --status DemoPipeline"},
    [CLI_PIPELINE_LIST] = {
        .noun = "pipeline", .verb = "list", .exits = EXITS_LEADER,
        .help = "show all pipelines of the layout",
        .example = "pipeline --list"},
    [CLI_SERVICE_CLASS_START] = {
        .noun = "service-class", .verb = "start-template", .argument = "NAME", .arguments_min = 1,
        .options = OPT(WAIT) | OPT(TIMEOUT), .exits = EXITS_LEADER | EXIT(PARTLY),
        .help = "start a service such as refinery-gw-client, the local forwarder to the gateways",
        .example = "service-class --start-template refinery-gw-client"},
    [CLI_SERVICE_CLASS_STOP] = {
        .noun = "service-class", .verb = "stop-template", .argument = "NAME", .arguments_min = 1,
        .options = OPT(WAIT) | OPT(TIMEOUT), .exits = EXITS_LEADER,
        .help = "stop a service",
        .example = "service-class --stop-template refinery-gw-client"},
    [CLI_SERVICE_CLASS_STATUS] = {
        .noun = "service-class", .verb = "status", .argument = "NAME", .arguments_min = 1, .exits = EXITS_LEADER | EXIT(PARTLY),
        .help = "show the processes of a service",
        .example = "service-class --status refinery-gw-client"},
    [CLI_PUBLISH] = {
        .noun = "publish", .options = OPT(PIPELINE) | OPT(TABLE) | OPT(GENERATE) | OPT(EVERY) | OPT(BATCHES) | OPT(TIME) | OPT(CSV) | OPT(TIMEOUT),
        .required = OPT(PIPELINE) | OPT(TABLE), .exits = EXITS_LOCAL | EXIT(NO_LEADER) | EXIT(TIMEOUT),
        .help = "send the same batches of rows to the tp of every instance",
        .details = "Give --generate N or --csv FILE. Each second it prints what every instance has journaled:\n"
                   "`published number 7 - total 7,000 rows`.",
        .example = "publish --pipeline DemoPipeline --table DemoTable --generate 1000 --every 1s"},
    [CLI_QUERY] = {
        .noun = "query", .argument = "SQL", .arguments_min = 1,
        .options = OPT(PIPELINE) | OPT(TYPE) | OPT(TIMEOUT), .required = OPT(PIPELINE),
        .exits = EXITS_LOCAL | EXIT(NO_LEADER) | EXIT(TIMEOUT),
        .help = "send one query to the primary instance, through a gateway",
        .example = "query --pipeline DemoPipeline \"select count(*), max(time) from DemoTable\""},
    [CLI_FAILOVER_STATUS] = {
        .noun = "failover", .verb = "status", .options = OPT(PIPELINE) | OPT(WIDE), .exits = EXITS_LOCAL | EXIT(PARTLY) | EXIT(NO_LEADER),
        .help = "show the primary routing state of each gateway",
        .details = "Exit 3 when a gateway that should run does not answer.",
        .example = "failover --status --pipeline DemoPipeline"},
    [CLI_FAILOVER_FAILOVER] = {
        .noun = "failover", .verb = "failover",
        .options = OPT(PIPELINE) | OPT(TO_INSTANCE) | OPT(PROCESS) | OPT(DRY_RUN) | OPT(FORCE),
        .required = OPT(PIPELINE) | OPT(TO_INSTANCE), .exits = EXITS_LEADER | EXIT(PARTLY) | EXIT(REFUSED),
        .help = "make another instance primary; queries in flight are not lost",
        .details = "A target that is down or stale is refused (exit 6) unless --force. Without a leader the order goes\n"
                   "straight to the gateways.",
        .example = "failover --failover --pipeline DemoPipeline --to-instance 0"},
    [CLI_STATUS] = {
        .noun = "status", .options = OPT(WATCH), .exits = EXIT(DONE) | EXIT(FAILED) | EXIT(USAGE) | EXIT(PARTLY),
        .help = "OK, DEGRADED or DOWN, and why; then hosts, controls, instances, routes, the last events",
        .details = "Exit 0 for OK, 3 for DEGRADED, 1 for DOWN. Works without a control and says how old what it shows is.",
        .example = "status --watch"},
    [CLI_CONFIG_CHECK] = {
        .noun = "config", .verb = "check", .argument = "FILE...", .exits = EXITS_LOCAL,
        .help = "name every mistake of the given files, or of all of etc/, as file:line:column",
        .details = "Works without a control. Warnings do not change the exit code; a mistake is exit 1.",
        .example = "config --check"},
    [CLI_CONFIG_APPLY] = {
        .noun = "config", .verb = "apply", .options = OPT(COMMENT) | OPT(TIMEOUT), .exits = EXITS_LEADER | EXIT(REFUSED),
        .help = "give the layouts of etc/ to the leader as a new revision",
        .details = "Applied whole or not at all; the other host gets it by itself.",
        .example = "config --apply --comment \"two more rdb\""},
    [CLI_CONFIG_SHOW_PROCESSES] = {
        .noun = "config", .verb = "show-processes", .exits = EXITS_LOCAL,
        .help = "show the full name, server and host of every process of etc/",
        .details = "Works without a control.",
        .example = "config --show-processes"},
    [CLI_CONFIG_HISTORY] = {
        .noun = "config", .verb = "history", .exits = EXITS_LEADER,
        .help = "show every revision: number, time, author, comment",
        .example = "config --history"},
    [CLI_KEYS_CREATE] = {
        .noun = "keys", .verb = "create", .options = OPT(NAME) | OPT(ROLE), .exits = EXITS_LOCAL,
        .help = "make the keys that are missing: one for each host of the settings, and the operator's",
        .details = "Copy the folder etc/keys to the other host by a safe way. Keys that are there are left alone.",
        .example = "keys --create"},
    [CLI_KEYS_SHOW] = {
        .noun = "keys", .verb = "show", .exits = EXITS_LOCAL,
        .help = "show the names, roles and public parts of the keys in etc/keys",
        .example = "keys --show"},
    [CLI_LOGS_VIEW] = {
        .noun = "logs", .verb = "view", .options = OPT(PROCESS_NAME) | OPT(LINES), .required = OPT(PROCESS_NAME),
        .exits = EXITS_LOCAL,
        .help = "show the last lines of a process's log, wherever it runs",
        .details = "control, daemon and procmgr (also DeltaControl, DeltaDaemon) name those of this host. Without a\n"
                   "daemon the files of this home are read.",
        .example = "logs --view --process DemoPipeline.0.rdb.0 --lines 100"},
    [CLI_CLUSTER_UP] = {
        .noun = "cluster", .verb = "up", .options = OPT(TIMEOUT), .exits = EXITS_LEADER | EXIT(PARTLY),
        .help = "start everything of this host, and all pipelines",
        .details = "Control, daemon, process manager, the workflows of this side, then every pipeline and service.\n"
                   "Type it on both hosts; it can be repeated.",
        .example = "cluster --up"},
    [CLI_CLUSTER_DOWN] = {
        .noun = "cluster", .verb = "down", .options = OPT(TIMEOUT), .exits = EXITS_LOCAL | EXIT(PARTLY) | EXIT(TIMEOUT),
        .help = "stop everything on both hosts: pipelines, services, process managers, daemons, controls",
        .details = "Can be repeated, and works when parts are gone already.",
        .example = "cluster --down"},
    [CLI_CLUSTER_STATUS] = {
        .noun = "cluster", .verb = "status", .exits = EXIT(DONE) | EXIT(FAILED) | EXIT(USAGE) | EXIT(PARTLY),
        .help = "the same as status",
        .example = "cluster --status"},
    [CLI_VERSION] = {
        .noun = "version", .exits = EXIT(DONE),
        .help = "print the version",
        .example = "version"},
};
/* clang-format on */

const struct cli_command *cli_command_at(enum cli_command_id id)
{
    ASSERT(id < CLI_COMMAND_COUNT);
    return &COMMANDS[id];
}

enum cli_command_id cli_command_id(const struct cli_command *command)
{
    return (enum cli_command_id)(command - COMMANDS);
}

const struct cli_noun *cli_noun_at(size_t position)
{
    ASSERT(position < COUNT_OF(NOUNS));
    return &NOUNS[position];
}

size_t cli_noun_count(void)
{
    return COUNT_OF(NOUNS);
}

const struct cli_option_text *cli_option_text(enum cli_option option)
{
    ASSERT(option < CLI_OPTION_COUNT);
    return &OPTIONS[option];
}

const char *cli_exit_meaning(enum cli_exit code)
{
    switch (code) {
#define X(name, number, meaning)                                                                                       \
    case CLI_EXIT_##name:                                                                                              \
        return meaning;
        CLI_EXITS(X)
#undef X
    }
    return "unknown";
}

const struct cli_noun *cli_noun_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(NOUNS); i++)
        if (strcmp(NOUNS[i].name, name) == 0)
            return &NOUNS[i];
    return NULL;
}

const struct cli_command *cli_command_find(const char *noun, const char *verb)
{
    for (size_t i = 0; i < CLI_COMMAND_COUNT; i++) {
        const struct cli_command *command = &COMMANDS[i];
        if (strcmp(command->noun, noun) != 0 || (verb == NULL) != (command->verb == NULL))
            continue;
        if (verb == NULL || strcmp(command->verb, verb) == 0)
            return command;
    }
    return NULL;
}

bool cli_command_takes(const struct cli_command *command, enum cli_option option)
{
    const uint64_t everywhere = OPT(HOME) | OPT(OUTPUT) | OPT(HELP);
    return ((command->options | everywhere) >> option & 1) != 0;
}

size_t cli_command_arguments_max(const struct cli_command *command)
{
    if (command->argument == NULL)
        return 0;
    const size_t length = strlen(command->argument);
    return length > 3 && strcmp(command->argument + length - 3, "...") == 0 ? CLI_ARGUMENTS_MAX : 1;
}
