/* Whom a command asks, and what it does when nobody answers. Shell; sends only through the transport. */
#ifndef GEMEL_CLI_ASK_H
#define GEMEL_CLI_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/commands.h"

/* A request in the report's arena. */
Gemel__AdminRequest *ask_request(struct cli *cli, const char *verb);
/* Adds an option of the command line under its own name, when it was given. A switch becomes "yes". */
void ask_add_option(struct cli *cli, Gemel__AdminRequest *request, enum cli_option option);

/* Asks the control of this host, else its peer; goes on to the leader when told where it is. On success *answer holds
 * the answer (release with report_fini), whatever its exit code. Else the report has exit code 4 or 5 and says what to
 * do, and *answer is untouched. `timeout_ms` is for each of them. */
bool ask_control(struct cli *cli, Gemel__AdminRequest *request, int64_t timeout_ms, struct report *answer);

/* The same, and takes the answer into the report. Returns whether its exit code was 0. */
bool ask_control_take(struct cli *cli, Gemel__AdminRequest *request, int64_t timeout_ms);

/* Asks the daemon of a host. As ask_control; the report has exit code 1 when it does not answer. */
bool ask_daemon(struct cli *cli, const char *host, Gemel__AdminRequest *request, int64_t timeout_ms,
                struct report *answer);

/* One call without judgement; release with call_fini. */
void ask_call(struct cli *cli, struct call *call, enum call_via via, const char *address, Gemel__AdminRequest *request,
              int64_t timeout_ms);

struct gateway {
    char process[PROCESS_NAME_BYTES]; /* empty: only its address is known, from the settings */
    char address[ADDRESS_BYTES];
};

/* The gateways of the cluster: from the daemons of all hosts, for a host whose daemon is silent from the settings.
 * Returns how many (at most `max`), in the order of their names. */
size_t ask_gateways(struct cli *cli, struct gateway *gateways, size_t max);

/* Adds those of one host behind the first `count`, from a call of daemon.processes to its daemon. Returns how many
 * there are now. */
size_t ask_gateways_of(const struct cli *cli, const char *host, const struct call *processes, struct gateway *gateways,
                       size_t count, size_t max);

#endif
