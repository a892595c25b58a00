/* The parts of a worker that its files share. Internal to libgemel. */
#ifndef GEMEL_WORKER_WORKER_STATE_H
#define GEMEL_WORKER_WORKER_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "common/base/map.h"
#include "common/loop/notify.h"
#include "common/net/link.h"
#include "worker/environment.h"
#include "worker/pool.h"
#include "worker/process.h"

enum {
    CALLS_MAX = 10000 /* that are not answered yet; a gateway's queue is as long */
};

struct session; /* an accepted link, calls.c */
struct watch;   /* a look-up that goes on, registry.c */

/* Calls and the links that they come on: owned by calls.c. */
struct calls {
    struct link_server *server;
    gemel_handler handler;
    void *handler_data;
    struct pool *pool; /* NULL: in the loop */
    struct session *sessions;
    struct gemel_call *free_calls;
    size_t count;     /* not answered yet */
    uint8_t *scratch; /* an answer being put together, on the loop's thread */
    size_t scratch_capacity;
    const struct worker_frames *frames;
    void *frames_owner;
    char route[PROCESS_NAME_BYTES]; /* Pipeline.type.index, what queries must be for */
    uv_async_t wake;
    uv_timer_t held_check;       /* active while a session holds answers */
    atomic_bool ending;          /* no thread waits for room any more */
    pthread_mutex_t mutex;       /* guards what follows */
    pthread_cond_t room;         /* held_bytes is lower, or a call is over */
    struct gemel_call *answered; /* by threads, newest first */
    size_t held_bytes;           /* of answers that wait until their peer has taken others */
};

struct gemel_worker {
    uv_loop_t loop;
    struct environment environment;
    struct notify notify;
    struct calls calls;
    pthread_t loop_thread;
    struct link *daemon; /* NULL: none, or dialling again soon */
    struct watch *watches;
    uint64_t next_watch_id;
    struct gemel_timer *timers;
    struct gemel_descriptor *descriptors;
    uv_timer_t redial;
    uv_timer_t heartbeat; /* watchdog, and what the daemon missed */
    uv_timer_t stop_check;
    uv_signal_t terminate;
    uv_signal_t interrupt;
    uint64_t incarnation;
    uint64_t stop_deadline_ms; /* of the loop's clock */
    bool stopping;
};

void calls_init(struct calls *calls, struct gemel_worker *worker);
/* Ends the threads, closes the links. The loop runs once more afterwards. */
void calls_fini(struct calls *calls);

/* Dials the daemon when there is one, for the registry and its pings. */
void registry_start(struct gemel_worker *worker);
void registry_stop(struct gemel_worker *worker);

#endif
