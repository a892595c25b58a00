/* Where processes are: the registry that a control sends, corrected by what this daemon knows of its own host, and the
 * look-ups of workers that are answered again when it changes. Pure; owned by daemon_core. */
#ifndef GEMEL_DAEMON_CORE_DAEMON_LOOKUP_H
#define GEMEL_DAEMON_CORE_DAEMON_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire/gemel.pb-c.h"
#include "daemon/core/daemon_core.h"

struct daemon_lookup;

void daemon_lookup_create(struct daemon_lookup **lookup, const char *host);
void daemon_lookup_destroy(struct daemon_lookup **lookup);

/* What a control says. Entries of this host are left out: the daemon knows better. -ENOSPC when the table is full. */
int daemon_lookup_take(struct daemon_lookup *lookup, const Gemel__Registry *registry);

/* What this daemon knows: `endpoint` "" means gone. */
int daemon_lookup_set(struct daemon_lookup *lookup, const char *process, const char *endpoint, bool ready);

/* Answers a look-up now, and keeps it when it watches. -ENOSPC over DAEMON_WATCHES_MAX (answered all the same). */
int daemon_lookup_ask(struct daemon_lookup *lookup, uint64_t link, uint64_t request_id, const Gemel__Lookup *request,
                      struct daemon_actions *actions);

/* Forgets the watches of a link. */
void daemon_lookup_close(struct daemon_lookup *lookup, uint64_t link);

/* Answers the watches whose entries changed since the last call. */
void daemon_lookup_publish(struct daemon_lookup *lookup, struct daemon_actions *actions);

/* Does a full name fit a pattern: the same parts, where `*` stands for any one part? */
bool daemon_lookup_matches(const char *pattern, const char *process);

#endif
