/* What matters at night: a verdict from facts that were gathered, and the tables below it. Pure.
 *
 * OK        every process that shall run is ready, on every host, and each instance could take over for the others
 * DEGRADED  queries are answered, but something is missing; the first reason stands in the first line
 * DOWN      queries of a pipeline cannot be answered, or nothing of the cluster answers */
#ifndef GEMEL_CLI_STATUS_VIEW_H
#define GEMEL_CLI_STATUS_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/report.h"
#include "common/base/bounds.h"

enum {
    STATUS_HOSTS_MAX = 64,
    STATUS_GATEWAYS_MAX = 128
};

/* Answers of one program; `reply` NULL: none came, `why` says so. All borrowed. */
struct status_answer {
    const char *name;    /* a host, or a gateway's process name */
    const char *address; /* where it was asked */
    const Gemel__AdminReply *reply;
    const char *why;
};

struct status_facts {
    const struct status_answer *controls; /* control.status: table `control` (host, role, ...) */
    size_t control_count;
    const struct status_answer *daemons; /* daemon.processes: table `processes` (processName, state, host, ...) */
    size_t daemon_count;
    const struct status_answer *gateways; /* failover.status: rows processName, primary, registered, ... */
    size_t gateway_count;
    const Gemel__AdminReply *processes; /* processes.list of a control, for hosts whose daemon is silent; NULL: none */
    const Gemel__AdminReply *events;    /* events.list of a control; NULL: none */
};

enum status_verdict {
    STATUS_OK,
    STATUS_DEGRADED,
    STATUS_DOWN
};

/* Fills the report: the verdict as the first line of the message, further reasons and what limits the view below it,
 * tables hosts, control, instances, routes (those away from home), events; exit code 0, 3, 1. */
enum status_verdict status_view_build(const struct status_facts *facts, struct report *report);

#endif
