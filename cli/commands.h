/* What the commands share, and the commands. Each one fills the report of its `struct cli`; only main prints it. Shell.
 *
 * Settings are read before a command runs, except for those of which commands_need_settings says no. */
#ifndef GEMEL_CLI_COMMANDS_H
#define GEMEL_CLI_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/command_line.h"
#include "cli/report.h"
#include "cli/site.h"
#include "cli/table_print.h"
#include "cli/transport.h"

enum {
    COMMAND_TIMEOUT_MS = 10 * 1000, /* for one answer */
    STATUS_TIMEOUT_MS = 700,        /* the same, where others can answer instead: more than a loaded host needs */
    WAIT_TIMEOUT_MS = 60 * 1000     /* for what --wait waits for */
};

struct cli {
    const struct invocation *invocation;
    struct site site;
    struct transport transport;
    struct report report; /* the result */
    FILE *live;           /* for lines while the command runs; NULL: nobody reads them (JSON) */
    bool terminal;        /* `live` is one: lines may be drawn over */
    struct table_view view;
};

/* Is etc/settings.conf needed for this command? */
bool commands_need_settings(enum cli_command_id id);

/* Runs the invocation's command. The exit code is in the report. */
void commands_run(struct cli *cli);

void command_application(struct cli *cli);
void command_process_manager(struct cli *cli);
void command_workflow(struct cli *cli);
void command_pipeline(struct cli *cli); /* pipeline, service-class */
void command_publish(struct cli *cli);
void command_query(struct cli *cli);
void command_failover(struct cli *cli);
void command_status(struct cli *cli);
void command_config(struct cli *cli);
void command_keys(struct cli *cli);
void command_logs(struct cli *cli);
void command_cluster_up(struct cli *cli);
void command_cluster_down(struct cli *cli);

/* Prints the message so far where somebody reads, before something that takes long; in JSON it stays in the report. */
void commands_flush_message(struct cli *cli);

/* Parts that `cluster --up` puts together. Each returns whether the report is still without a failure. */
bool application_start_control(struct cli *cli);
bool application_start_daemon(struct cli *cli);
bool process_manager_start(struct cli *cli, bool wait);
bool workflow_start_side(struct cli *cli); /* the workflows of this host's side */

#endif
