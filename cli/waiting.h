/* --wait: asks for the state of what was ordered until it is there, has failed, or its time is over. Shell. */
#ifndef GEMEL_CLI_WAITING_H
#define GEMEL_CLI_WAITING_H

#include <stdbool.h>

#include "cli/commands.h"
#include "cli/progress.h"

/* Repeats `request` (pipeline.status, service-class.status, ...), whose answer has a table `processes`, until `goal`.
 * Shows progress on cli->live. The report then says `what` is ready, or has exit code 1 or 5 with why; in JSON it also
 * gets the table. Returns whether the goal was reached. An answer that is missing meanwhile (a leader is lost, the next
 * one comes) is waited for too. */
bool waiting_for(struct cli *cli, Gemel__AdminRequest *request, const char *what, enum progress_goal goal);

#endif
