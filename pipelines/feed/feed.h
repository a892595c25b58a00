/* A subscription to a tp: dials it where the registry says, asks for what lies above our marks, notices its silence.
 * Shell only, loop's thread. Used by rdb for its own tp and by a tp for its peers. */
#ifndef GEMEL_PIPELINES_FEED_FEED_H
#define GEMEL_PIPELINES_FEED_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire/wire.h"
#include "pipelines/feed/marks.h"
#include "worker/process.h"

struct feed;

struct feed_handlers {
    /* The marks above which batches are wanted, asked whenever a subscription starts (borrowed for the call). */
    const struct marks *(*marks)(void *owner);
    /* A batch in the order of the tp's journal. `batch` is taken: release with wire_free. */
    void (*on_batch)(void *owner, Gemel__Batch *batch);
    /* The tp has `left` batches for us; 0: we have all that it has, or had when it was asked. */
    void (*on_caught_up)(void *owner, uint64_t left);
    /* The tp is gone; the feed dials again by itself. */
    void (*on_down)(void *owner, const char *why);
};

struct feed_options {
    const char *process;                  /* full name of the tp; copied */
    bool follow;                          /* new batches too, for ever; else one answer for each feed_ask */
    const struct feed_handlers *handlers; /* borrowed for good */
    void *owner;
};

void feed_create(struct feed **feed, struct gemel_worker *worker, const struct feed_options *options);
/* The loop runs once more afterwards. NULL inside is allowed. */
void feed_destroy(struct feed **feed);

/* Where the tp is now, from the registry; "": nowhere. Dials. */
void feed_set_endpoint(struct feed *feed, const char *endpoint);
/* Asks again for what lies above our marks, unless an answer is under way. */
void feed_ask(struct feed *feed);
bool feed_is_open(const struct feed *feed);
/* Stops and goes on reading, when the owner cannot take more. */
void feed_pause(struct feed *feed);
void feed_resume(struct feed *feed);

#endif
