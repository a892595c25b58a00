/* What the built-in process types use beside gemel.h: the loop, the process's own identity, and the frames that are no
 * queries. Not part of the public library. Everything on the loop's thread. */
#ifndef GEMEL_WORKER_PROCESS_H
#define GEMEL_WORKER_PROCESS_H

#include <uv.h>

#include "common/net/link.h"
#include "worker/environment.h"
#include "worker/gemel.h"

/* The worker's loop (borrowed): handles put into it are closed before gemel_worker_close. */
uv_loop_t *worker_loop(struct gemel_worker *worker);
/* Who it says it is when it dials; strings are borrowed from the worker. */
struct link_self worker_self(const struct gemel_worker *worker);
const struct environment *worker_environment(const struct gemel_worker *worker);

/* Frames on accepted links that are not QUERY, CANCEL or PING. on_open and on_close come for every link; link_owner is
 * the worker's own: keep what is yours with worker_link_set_data. Members may be NULL. */
struct worker_frames {
    void (*on_open)(void *owner, struct link *link);
    void (*on_frame)(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body);
    void (*on_close)(void *owner, struct link *link, int reason, const char *why);
    void (*on_drained)(void *owner, struct link *link);
};
/* Before gemel_worker_serve, or instead of it with worker_listen. `frames` is borrowed for good. */
void worker_handle_frames(struct gemel_worker *worker, const struct worker_frames *frames, void *owner);
void worker_link_set_data(struct link *link, void *data);
void *worker_link_data(const struct link *link);
/* Closes an accepted link in the next turn; on_close comes as if the peer had closed it. */
void worker_link_cut(struct link *link);
/* Binds and announces without answering queries. As gemel_worker_serve. */
int worker_listen(struct gemel_worker *worker);

#endif
