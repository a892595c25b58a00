/* The link to the daemon: its pings, and look-ups that go on. */
#include <errno.h>
#include <string.h>

#include "common/base/memory.h"
#include "worker/failure.h"
#include "worker/worker_state.h"

enum {
    REDIAL_MS = 100, /* a daemon restarts within a second and its children shall be found soon */
    WATCHES_MAX = 1000
};

struct watch {
    uint64_t id; /* request id of its frames */
    char pattern[PROCESS_NAME_BYTES];
    gemel_on_lookup on_lookup;
    void *data;
    struct watch *next;
};

static void send_watch(struct gemel_worker *worker, const struct watch *watch)
{
    Gemel__Lookup lookup = GEMEL__LOOKUP__INIT;
    lookup.pattern = (char *)(uintptr_t)watch->pattern;
    lookup.watch = true;
    link_send_message(worker->daemon, FRAME_LOOKUP, watch->id, &lookup.base);
}

static void on_open(void *owner, struct link *link)
{
    struct gemel_worker *worker = owner;
    const struct watch *watch = NULL;
    (void)link;
    /* A daemon that was restarted has not heard what was told to the one before. */
    notify_send_state(&worker->notify);
    LL_FOREACH (worker->watches, watch)
        send_watch(worker, watch);
}

static void take_reply(struct gemel_worker *worker, const struct frame_header *header, const uint8_t *body)
{
    struct watch *watch = NULL;
    ProtobufCMessage *message = NULL;
    LL_SEARCH_SCALAR(worker->watches, watch, id, header->request_id);
    if (watch == NULL || wire_unpack(&gemel__lookup_reply__descriptor, body, header->body_bytes, &message) != 0)
        return;
    const Gemel__LookupReply *reply = (const Gemel__LookupReply *)message;
    struct gemel_process *found = memory_alloc_array(reply->n_entries, sizeof *found);
    for (size_t i = 0; i < reply->n_entries; i++)
        found[i] = (struct gemel_process){.name = reply->entries[i]->process,
                                          .endpoint = reply->entries[i]->endpoint,
                                          .host = reply->entries[i]->host,
                                          .ready = reply->entries[i]->ready};
    watch->on_lookup(watch->data, found, reply->n_entries);
    memory_free(found);
    wire_free(message);
}

static void on_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct gemel_worker *worker = owner;
    if (header->type == FRAME_PING)
        link_send(link, FRAME_PONG, header->request_id, NULL, 0);
    else if (header->type == FRAME_LOOKUP_REPLY)
        take_reply(worker, header, body);
}

static void on_redial(uv_timer_t *timer);

static void on_close(void *owner, struct link *link, int reason, const char *why)
{
    struct gemel_worker *worker = owner;
    (void)link;
    (void)reason;
    (void)why;
    worker->daemon = NULL;
    uv_timer_start(&worker->redial, on_redial, REDIAL_MS, 0);
}

static void on_redial(uv_timer_t *timer)
{
    static const struct link_handlers handlers = {.on_open = on_open, .on_frame = on_frame, .on_close = on_close};
    struct gemel_worker *worker = timer->data;
    struct link_self self = worker_self(worker);
    if (link_connect(&worker->daemon, &worker->loop, worker->environment.daemon, &self, &handlers, worker, NULL) != 0)
        uv_timer_start(&worker->redial, on_redial, REDIAL_MS, 0);
}

void registry_start(struct gemel_worker *worker)
{
    if (worker->environment.daemon != NULL)
        on_redial(&worker->redial);
}

void registry_stop(struct gemel_worker *worker)
{
    if (worker->daemon != NULL)
        link_close(worker->daemon);
    worker->daemon = NULL;
    while (worker->watches != NULL) {
        struct watch *watch = worker->watches;
        LL_DELETE(worker->watches, watch);
        memory_free(watch);
    }
}

int gemel_worker_watch(struct gemel_worker *worker, const char *pattern, gemel_on_lookup on_lookup, void *data)
{
    struct watch *made = memory_alloc(sizeof *made);
    *made = (struct watch){.id = ++worker->next_watch_id, .on_lookup = on_lookup, .data = data};
    if (pattern[0] == '\0' || !text_copy(made->pattern, sizeof made->pattern, pattern) || made->id > WATCHES_MAX) {
        memory_free(made);
        return failure_set(-EINVAL, "cannot watch '%s': at most %d names of %d bytes", pattern, WATCHES_MAX,
                           PROCESS_NAME_BYTES - 1);
    }
    LL_APPEND(worker->watches, made);
    if (worker->daemon != NULL && link_peer(worker->daemon) != NULL)
        send_watch(worker, made);
    return 0;
}
