#include "pipelines/feed/feed.h"

#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"

enum {
    REDIAL_MS = 100,
    PING_MS = 200,
    SILENT_MS = 800 /* a tp that hangs is told within a second */
};

struct feed {
    struct gemel_worker *worker;
    char process[PROCESS_NAME_BYTES];
    bool follow;
    const struct feed_handlers *handlers;
    void *owner;
    char endpoint[ADDRESS_BYTES]; /* "": nowhere */
    struct link *link;            /* NULL: none */
    bool open;
    bool asked; /* an answer is under way */
    bool paused;
    uint64_t heard_ms;
    uv_timer_t redial;
    uv_timer_t ping;
    unsigned handles; /* that are not closed yet, while destroying */
};

static void dial(struct feed *feed);

static void on_redial(uv_timer_t *timer)
{
    dial(timer->data);
}

static void go_down(struct feed *feed, const char *why)
{
    bool was_open = feed->open;
    feed->link = NULL;
    feed->open = feed->asked = false;
    uv_timer_stop(&feed->ping);
    uv_timer_start(&feed->redial, on_redial, REDIAL_MS, 0);
    if (was_open)
        feed->handlers->on_down(feed->owner, why);
}

static void on_ping(uv_timer_t *timer)
{
    struct feed *feed = timer->data;
    /* While we do not read, its answers are not seen. */
    if (!feed->paused && uv_now(worker_loop(feed->worker)) - feed->heard_ms > SILENT_MS) {
        link_close(feed->link);
        go_down(feed, "silent for 800 ms");
        return;
    }
    link_send(feed->link, FRAME_PING, 0, NULL, 0);
}

static void on_open(void *owner, struct link *link)
{
    struct feed *feed = owner;
    /* A port may belong to another process by now. */
    if (strcmp(link_peer(link)->name, feed->process) != 0) {
        link_close(link);
        go_down(feed, "another process answers there");
        return;
    }
    feed->open = true;
    feed->heard_ms = uv_now(worker_loop(feed->worker));
    uv_timer_start(&feed->ping, on_ping, PING_MS, PING_MS);
    if (feed->paused)
        link_pause(link);
    feed_ask(feed);
}

static void take_caught_up(struct feed *feed, const uint8_t *body, size_t size)
{
    ProtobufCMessage *message = NULL;
    if (wire_unpack(&gemel__caught_up__descriptor, body, size, &message) != 0)
        return;
    uint64_t left = ((const Gemel__CaughtUp *)message)->batches_left;
    if (left == 0)
        feed->asked = false;
    feed->handlers->on_caught_up(feed->owner, left);
    wire_free(message);
}

static void on_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct feed *feed = owner;
    ProtobufCMessage *message = NULL;
    feed->heard_ms = uv_now(worker_loop(feed->worker));
    if (header->type == FRAME_BATCH) {
        if (wire_unpack(&gemel__batch__descriptor, body, header->body_bytes, &message) == 0)
            feed->handlers->on_batch(feed->owner, (Gemel__Batch *)message);
    } else if (header->type == FRAME_CAUGHT_UP) {
        take_caught_up(feed, body, header->body_bytes);
    } else if (header->type == FRAME_PING) {
        link_send(link, FRAME_PONG, header->request_id, NULL, 0);
    }
}

static void on_close(void *owner, struct link *link, int reason, const char *why)
{
    (void)link;
    (void)reason;
    go_down(owner, why);
}

static void dial(struct feed *feed)
{
    static const struct link_handlers handlers = {.on_open = on_open, .on_frame = on_frame, .on_close = on_close};
    struct link_self self = worker_self(feed->worker);
    if (feed->endpoint[0] == '\0' || feed->link != NULL)
        return;
    if (link_connect(&feed->link, worker_loop(feed->worker), feed->endpoint, &self, &handlers, feed, NULL) != 0)
        uv_timer_start(&feed->redial, on_redial, REDIAL_MS, 0);
}

void feed_create(struct feed **feed, struct gemel_worker *worker, const struct feed_options *options)
{
    struct feed *made = memory_alloc(sizeof *made);
    *made = (struct feed){
        .worker = worker, .follow = options->follow, .handlers = options->handlers, .owner = options->owner};
    text_copy(made->process, sizeof made->process, options->process);
    uv_timer_init(worker_loop(worker), &made->redial);
    uv_timer_init(worker_loop(worker), &made->ping);
    made->redial.data = made->ping.data = made;
    *feed = made;
}

static void on_closed(uv_handle_t *handle)
{
    struct feed *feed = handle->data;
    if (--feed->handles == 0)
        memory_free(feed);
}

void feed_destroy(struct feed **feed)
{
    struct feed *closing = *feed;
    if (closing == NULL)
        return;
    *feed = NULL;
    if (closing->link != NULL)
        link_close(closing->link);
    closing->handles = 2;
    uv_close((uv_handle_t *)&closing->redial, on_closed);
    uv_close((uv_handle_t *)&closing->ping, on_closed);
}

void feed_set_endpoint(struct feed *feed, const char *endpoint)
{
    if (strcmp(feed->endpoint, endpoint) == 0)
        return;
    text_copy(feed->endpoint, sizeof feed->endpoint, endpoint);
    /* An open link to the old place may still be good; when it is not, its end is told. */
    dial(feed);
}

void feed_ask(struct feed *feed)
{
    if (!feed->open || feed->asked)
        return;
    struct arena arena;
    Gemel__SubscribeBatches subscribe = GEMEL__SUBSCRIBE_BATCHES__INIT;
    arena_init(&arena);
    subscribe.above = marks_export(feed->handlers->marks(feed->owner), &arena, &subscribe.n_above);
    subscribe.follow = feed->follow;
    feed->asked = link_send_message(feed->link, FRAME_SUBSCRIBE, 0, &subscribe.base) == 0;
    arena_fini(&arena);
}

bool feed_is_open(const struct feed *feed)
{
    return feed->open;
}

void feed_pause(struct feed *feed)
{
    if (feed->paused)
        return;
    feed->paused = true;
    if (feed->link != NULL)
        link_pause(feed->link);
}

void feed_resume(struct feed *feed)
{
    if (!feed->paused)
        return;
    feed->paused = false;
    feed->heard_ms = uv_now(worker_loop(feed->worker));
    if (feed->link != NULL)
        link_resume(feed->link);
}
