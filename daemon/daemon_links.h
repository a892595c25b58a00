/* The Unix socket run/daemon.sock: processes, gateways and the control of this host say HELLO, look others up and are
 * pinged. Shell only, loop's thread.
 *
 * A control says `control.stopping` (an ADMIN frame) before it ends on purpose; otherwise its end is a crash. */
#ifndef GEMEL_DAEMON_DAEMON_LINKS_H
#define GEMEL_DAEMON_DAEMON_LINKS_H

#include <stdint.h>
#include <uv.h>

#include "common/base/error.h"
#include "common/base/token.h"
#include "common/wire/wire.h"

struct daemon_links;

struct daemon_links_handlers {
    /* A process or (name "control") a control; `pid` is told by the kernel. False: it is not what it says it is, and is
     * served look-ups only. */
    bool (*on_linked)(void *owner, const char *name, int32_t pid, struct token token);
    void (*on_unlinked)(void *owner, const char *name);
    void (*on_pong)(void *owner, const char *name);
    void (*on_lookup)(void *owner, uint64_t link, uint64_t request_id, const Gemel__Lookup *lookup);
    void (*on_lookup_closed)(void *owner, uint64_t link);
    void (*on_control_stopping)(void *owner);
};

int daemon_links_create(struct daemon_links **links, uv_loop_t *loop, const char *path, const char *host,
                        const struct daemon_links_handlers *handlers, void *owner, struct error *error);
void daemon_links_destroy(struct daemon_links **links);

/* Pings the newest link of a process; none is no error. */
void daemon_links_ping(struct daemon_links *links, const char *process);

/* Answers a look-up; a link that is gone is no error. */
void daemon_links_answer(struct daemon_links *links, uint64_t link, uint64_t request_id,
                         const Gemel__LookupReply *reply);

#endif
