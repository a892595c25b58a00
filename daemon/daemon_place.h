/* Where a daemon is: boot, folder of the programs, address of the host; and how its own processes are run. Shell only.
 */
#ifndef GEMEL_DAEMON_DAEMON_PLACE_H
#define GEMEL_DAEMON_DAEMON_PLACE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "common/base/error.h"
#include "common/wire/gemel.pb-c.h"

/* The id of this boot of the machine; empty where the kernel does not tell. */
void daemon_place_boot_id(char *boot_id, size_t size);

/* The folder of the running executable. Returns 0 or a negative errno with a sentence. */
int daemon_place_programs(char *folder, size_t size, struct error *error);

/* Looks up `host` (borrowed). Waits for the resolver: for start-up only. */
int daemon_place_address(uv_loop_t *loop, const char *host, struct sockaddr_storage *address, struct error *error);

/* Fills the spec of a program of ours; `command` (its first word is set by the caller) and the strings are borrowed by
 * the spec. */
void daemon_place_own_spec(Gemel__ProcessSpec *spec, const char *name, char *command[3], char *home,
                           uint32_t hang_timeout_ms);

#endif
