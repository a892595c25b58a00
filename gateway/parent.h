/* What a process of a pipeline owes the daemon that started it: readiness and the watchdog by datagrams on
 * NOTIFY_SOCKET (systemd's protocol), and a link to the daemon's socket on which its pings are answered by the loop
 * that does the work. Without a daemon (no such variables) it does nothing. Shell. */
#ifndef GEMEL_GATEWAY_PARENT_H
#define GEMEL_GATEWAY_PARENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/token.h"

struct parent;

/* What the environment says of this process; strings are borrowed from it. */
struct parent_place {
    const char *process; /* GEMEL_PROCESS; NULL: started by hand */
    struct token token;  /* GEMEL_TOKEN */
    const char *host;    /* GEMEL_HOST; NULL: not given */
    const char *port;    /* GEMEL_PORT; NULL: not given */
    const char *data;    /* GEMEL_DATA; NULL: not given */
};

/* Reads the environment. */
void parent_find_place(struct parent_place *place);

/* An option of the layout by name, from GEMEL_OPTIONS, into `value`. Returns false when it is not set. */
bool parent_option(const char *name, char *value, size_t size);

/* Connects to the daemon and goes on doing so. Never NULL. */
void parent_create(struct parent **parent, uv_loop_t *loop, const struct parent_place *place, uint64_t incarnation);
void parent_destroy(struct parent **parent);

/* Says `READY=1` and where this process serves. */
void parent_ready(struct parent *parent, const char *endpoint);
/* Says `STOPPING=1`. */
void parent_stopping(struct parent *parent);

#endif
