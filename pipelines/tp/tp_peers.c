/* The tps of the other instances: what we missed comes from them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/process_id.h"
#include "common/log/log.h"
#include "pipelines/feed/feed.h"
#include "pipelines/tp/tp.h"

enum {
    ASK_MS = 1000,  /* so that a batch whose publisher is gone spreads, too */
    START_MS = 3000 /* a peer that is said to be there is waited for so long before we are ready */
};

struct peer {
    struct tp *tp;
    char name[PROCESS_NAME_BYTES];
    bool equal;      /* it has had its say since we started */
    bool reachable;  /* the registry knows an endpoint */
    uint64_t filled; /* batches taken from it in this exchange */
    struct feed *feed;
    struct peer *prev, *next;
};

static const struct marks *on_marks(void *owner)
{
    return &((struct peer *)owner)->tp->marks;
}

static void on_batch(void *owner, Gemel__Batch *batch)
{
    struct peer *peer = owner;
    uint64_t before = peer->tp->batch_count;
    tp_take_batch(peer->tp, batch);
    peer->filled += peer->tp->batch_count - before;
    wire_free(&batch->base);
}

/* Ready when nobody who can be reached has more. */
static void check_equal(struct tp *tp)
{
    const struct peer *peer = NULL;
    if (tp->ready)
        return;
    DL_FOREACH (tp->peers, peer)
        if (peer->reachable && !peer->equal)
            return;
    tp->on_equal(tp);
}

static void on_caught_up(void *owner, uint64_t left)
{
    struct peer *peer = owner;
    if (left > 0 && !peer->tp->ready)
        gemel_worker_status(peer->tp->worker, "taking %llu batches from %s", (unsigned long long)left, peer->name);
    if (left > 0)
        return;
    if (peer->filled > 0)
        log_info("Filled from peer [ Peer: %s ] [ Batches: %llu ]", peer->name, (unsigned long long)peer->filled);
    peer->filled = 0;
    peer->equal = true;
    check_equal(peer->tp);
}

static void on_down(void *owner, const char *why)
{
    const struct peer *peer = owner;
    log_info("Peer lost [ Peer: %s ] [ Reason: %s ]", peer->name, why);
}

static struct peer *find_peer(struct tp *tp, const char *name)
{
    static const struct feed_handlers handlers = {
        .marks = on_marks, .on_batch = on_batch, .on_caught_up = on_caught_up, .on_down = on_down};
    struct peer *peer = NULL;
    DL_FOREACH (tp->peers, peer)
        if (strcmp(peer->name, name) == 0)
            return peer;
    peer = memory_alloc(sizeof *peer);
    peer->tp = tp;
    text_copy(peer->name, sizeof peer->name, name);
    struct feed_options options = {.process = name, .handlers = &handlers, .owner = peer};
    feed_create(&peer->feed, tp->worker, &options);
    DL_APPEND(tp->peers, peer);
    return peer;
}

static void on_lookup(void *data, const struct gemel_process *processes, size_t count)
{
    struct tp *tp = data;
    for (size_t i = 0; i < count; i++) {
        struct process_id id;
        if (process_id_parse(processes[i].name, &id) != 0 || id.instance == gemel_worker_instance(tp->worker))
            continue;
        struct peer *peer = find_peer(tp, processes[i].name);
        peer->reachable = processes[i].endpoint[0] != '\0';
        feed_set_endpoint(peer->feed, processes[i].endpoint);
    }
    check_equal(tp);
}

void peers_ask(struct tp *tp)
{
    const struct peer *peer = NULL;
    DL_FOREACH (tp->peers, peer)
        feed_ask(peer->feed);
}

static void on_ask(void *data)
{
    peers_ask(data);
}

static void on_waited(void *data)
{
    struct tp *tp = data;
    if (!tp->ready)
        tp->on_equal(tp);
}

void peers_start(struct tp *tp, void (*on_equal)(struct tp *tp))
{
    char pattern[PROCESS_NAME_BYTES];
    tp->on_equal = on_equal;
    if (worker_environment(tp->worker)->daemon == NULL) {
        on_equal(tp);
        return;
    }
    snprintf(pattern, sizeof pattern, "%s.*.tp.%u", gemel_worker_pipeline(tp->worker), gemel_worker_index(tp->worker));
    gemel_worker_watch(tp->worker, pattern, on_lookup, tp);
    gemel_worker_timer(tp->worker, START_MS, 0, on_waited, tp);
    gemel_worker_timer(tp->worker, ASK_MS, ASK_MS, on_ask, tp);
}

void peers_stop(struct tp *tp)
{
    while (tp->peers != NULL) {
        struct peer *peer = tp->peers;
        DL_DELETE(tp->peers, peer);
        feed_destroy(&peer->feed);
        memory_free(peer);
    }
}
