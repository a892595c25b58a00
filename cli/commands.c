#include "cli/commands.h"

#include "common/loop/program.h"

bool commands_need_settings(enum cli_command_id id)
{
    /* These must work on a host that has none yet, or wrong ones. */
    return id != CLI_VERSION && id != CLI_CONFIG_CHECK && id != CLI_CONFIG_SHOW_PROCESSES && id != CLI_KEYS_SHOW;
}

static void command_version(struct cli *cli)
{
    report_message(&cli->report, "%s %s", cli->invocation->program, program_version());
}

void commands_run(struct cli *cli)
{
    static void (*const run[CLI_COMMAND_COUNT])(struct cli *) = {
        [CLI_APPLICATION_START_CONTROL] = command_application,
        [CLI_APPLICATION_START_DAEMON] = command_application,
        [CLI_APPLICATION_STOP_CONTROL] = command_application,
        [CLI_APPLICATION_STOP_DAEMON] = command_application,
        [CLI_APPLICATION_STATUS] = command_application,
        [CLI_PROCESS_MANAGER_START] = command_process_manager,
        [CLI_PROCESS_MANAGER_STOP] = command_process_manager,
        [CLI_PROCESS_MANAGER_STATUS] = command_process_manager,
        [CLI_WORKFLOW_START] = command_workflow,
        [CLI_WORKFLOW_STATUS] = command_workflow,
        [CLI_WORKFLOW_STOP] = command_workflow,
        [CLI_PIPELINE_START] = command_pipeline,
        [CLI_PIPELINE_FORCE_START] = command_pipeline,
        [CLI_PIPELINE_STOP] = command_pipeline,
        [CLI_PIPELINE_STATUS] = command_pipeline,
        [CLI_PIPELINE_LIST] = command_pipeline,
        [CLI_SERVICE_CLASS_START] = command_pipeline,
        [CLI_SERVICE_CLASS_STOP] = command_pipeline,
        [CLI_SERVICE_CLASS_STATUS] = command_pipeline,
        [CLI_PUBLISH] = command_publish,
        [CLI_QUERY] = command_query,
        [CLI_FAILOVER_STATUS] = command_failover,
        [CLI_FAILOVER_FAILOVER] = command_failover,
        [CLI_STATUS] = command_status,
        [CLI_CONFIG_CHECK] = command_config,
        [CLI_CONFIG_APPLY] = command_config,
        [CLI_CONFIG_SHOW_PROCESSES] = command_config,
        [CLI_CONFIG_HISTORY] = command_config,
        [CLI_KEYS_CREATE] = command_keys,
        [CLI_KEYS_SHOW] = command_keys,
        [CLI_LOGS_VIEW] = command_logs,
        [CLI_CLUSTER_UP] = command_cluster_up,
        [CLI_CLUSTER_DOWN] = command_cluster_down,
        [CLI_CLUSTER_STATUS] = command_status,
        [CLI_VERSION] = command_version,
    };
    run[cli_command_id(cli->invocation->command)](cli);
}
