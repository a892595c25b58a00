/* Links to all gateways, one of which is used: the client's way to the cluster. Internal to libgemel, loop's thread.
 *
 * All are dialled at once and dialled again for ever, so that going on with another one costs no connect. */
#ifndef GEMEL_WORKER_GATEWAYS_H
#define GEMEL_WORKER_GATEWAYS_H

#include <uv.h>

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/net/link.h"

enum {
    GATEWAYS_MAX = 16
};

struct gateways;

struct gateways_handlers {
    /* A link is in use now: what is open is asked there. */
    void (*on_active)(void *owner, struct link *link);
    /* The link in use is gone; `why` names its end. on_active follows, at once when another link is open. */
    void (*on_lost)(void *owner, const char *why);
    /* A frame of the link in use. Answers of a link that was given up are dropped. */
    void (*on_frame)(void *owner, const struct frame_header *header, const uint8_t *body);
    /* The link in use has room again. May be NULL. */
    void (*on_drained)(void *owner);
};

/* Dials `addresses`, comma separated. `handlers` is borrowed for good; `name` for the call. Returns 0; -EINVAL, -EPERM
 * with a sentence. The first on_active comes from the loop. */
int gateways_create(struct gateways **gateways, uv_loop_t *loop, const char *addresses, const char *name,
                    const struct gateways_handlers *handlers, void *owner, struct error *error);
/* The loop runs once more afterwards. */
void gateways_destroy(struct gateways **gateways);

/* The link in use; NULL: none. */
struct link *gateways_active(const struct gateways *gateways);
/* Gives the link in use up, when its gateway does not do its work: another one is used if there is one. */
void gateways_leave(struct gateways *gateways, const char *why);
/* Something waits for an answer: from now on the gateway's silence is judged. */
void gateways_expect(struct gateways *gateways, bool waiting);
/* Why nobody is reached: the end of the last link, for sentences. */
const char *gateways_last_error(const struct gateways *gateways);

#endif
