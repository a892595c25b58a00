/* Subscribers of a tp. Each is at a position of the journal and is served from there; one that is at the end gets new
 * batches as they come. A slow one costs no memory: it falls back to the journal, and is cut when it takes nothing at
 * all. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/crc32c.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "pipelines/tp/tp.h"

enum {
    QUEUE_BYTES_MAX = 4 * 1024 * 1024, /* of one subscriber; above it the journal is its queue */
    TURN_BYTES = 1024 * 1024,          /* read for one subscriber in one turn of the loop */
    STUCK_MS = 30000,                  /* a subscriber that takes nothing for so long is cut */
    CHECK_MS = 1000
};

struct subscriber {
    struct link *link;
    bool follow;
    bool behind;        /* served from the journal */
    bool announced;     /* CAUGHT_UP was sent */
    uint64_t position;  /* everything before it was sent, or is not wanted */
    struct marks above; /* of its subscription: what is at or below is not wanted */
    uint64_t start_end; /* end of the journal when it subscribed: behind it everything is wanted */
    struct journal_cursor *cursor;
    size_t queued_before; /* at the last check */
    uint64_t stuck_ms;
    struct subscriber *prev, *next;
};

static void end_subscriber(struct tp *tp, struct subscriber *subscriber)
{
    DL_DELETE(tp->subscribers, subscriber);
    journal_cursor_close(&subscriber->cursor);
    marks_fini(&subscriber->above);
    memory_free(subscriber);
}

static void send_caught_up(struct tp *tp, const struct subscriber *subscriber, uint64_t left)
{
    struct arena arena;
    Gemel__CaughtUp message = GEMEL__CAUGHT_UP__INIT;
    arena_init(&arena);
    message.marks = marks_export(&tp->marks, &arena, &message.n_marks);
    message.batches_total = tp->batch_count;
    message.batches_left = left;
    link_send_message(subscriber->link, FRAME_CAUGHT_UP, 0, &message.base);
    arena_fini(&arena);
}

/* ---- from the journal */

static bool is_wanted(const struct subscriber *subscriber, const char *publisher, uint64_t sequence, uint64_t position)
{
    return position >= subscriber->start_end || sequence > marks_get(&subscriber->above, publisher);
}

static void send_record(const struct subscriber *subscriber, const struct record *record, uint64_t position)
{
    char publisher[PUBLISHER_NAME_BYTES];
    char table[PUBLISHER_NAME_BYTES];
    const struct record_string *strings = record->strings;
    if (record->op != RECORD_BATCH || record->int_count < 3 || record->string_count < 3 ||
        strings[0].size >= sizeof publisher || strings[1].size >= sizeof table)
        return;
    memcpy(publisher, strings[0].bytes, strings[0].size);
    publisher[strings[0].size] = '\0';
    memcpy(table, strings[1].bytes, strings[1].size);
    table[strings[1].size] = '\0';
    if (!is_wanted(subscriber, publisher, (uint64_t)record->ints[0], position))
        return;
    Gemel__Batch batch = GEMEL__BATCH__INIT;
    batch.publisher = publisher;
    batch.table = table;
    batch.sequence = (uint64_t)record->ints[0];
    batch.row_count = (uint32_t)record->ints[1];
    batch.column_count = (uint32_t)record->ints[2];
    batch.rows.data = (uint8_t *)(uintptr_t)strings[2].bytes;
    batch.rows.len = strings[2].size;
    link_send_message(subscriber->link, FRAME_BATCH, 0, &batch.base);
}

/* A cursor in the segment of the subscriber's position, or before it in the same one. */
static int place_cursor(struct tp *tp, struct subscriber *subscriber)
{
    size_t segment = journal_segment_of(tp->journal, subscriber->position);
    uint64_t start = journal_segment_start(tp->journal, segment);
    if (subscriber->cursor != NULL && journal_cursor_position(subscriber->cursor) >= start &&
        journal_cursor_position(subscriber->cursor) <= subscriber->position)
        return 0;
    journal_cursor_close(&subscriber->cursor);
    return journal_cursor_open(&subscriber->cursor, tp->journal, segment);
}

/* Sends what fits now. Returns -ENODATA when it has all; 0 when there is more; another negative errno. */
static int send_some(struct tp *tp, struct subscriber *subscriber)
{
    uint64_t turn_end = subscriber->position + TURN_BYTES;
    int result = place_cursor(tp, subscriber);
    while (result == 0 && subscriber->position < turn_end && link_queued_bytes(subscriber->link) < QUEUE_BYTES_MAX) {
        struct record record;
        uint64_t position = journal_cursor_position(subscriber->cursor);
        result = journal_cursor_next(subscriber->cursor, &record);
        if (result == 0 && position >= subscriber->position) {
            send_record(subscriber, &record, position);
            subscriber->position = journal_cursor_position(subscriber->cursor);
        }
    }
    return result;
}

/* Returns false when the subscriber is gone. */
static bool serve(struct tp *tp, struct subscriber *subscriber)
{
    int result = send_some(tp, subscriber);
    if (result == 0)
        return true;
    if (result != -ENODATA) {
        log_error("Subscriber cut [ Subscriber: %s ] [ Reason: reading the journal: %s ]",
                  link_peer(subscriber->link)->name, strerror(-result));
        worker_link_cut(subscriber->link);
        end_subscriber(tp, subscriber);
        return false;
    }
    subscriber->behind = false;
    if (!subscriber->announced)
        send_caught_up(tp, subscriber, 0);
    subscriber->announced = true;
    if (subscriber->follow)
        return true;
    end_subscriber(tp, subscriber);
    return false;
}

static void on_serving(uv_idle_t *idle)
{
    struct tp *tp = idle->data;
    struct subscriber *subscriber = NULL;
    struct subscriber *next = NULL;
    bool more = false;
    DL_FOREACH_SAFE (tp->subscribers, subscriber, next) {
        if (!subscriber->behind || link_queued_bytes(subscriber->link) >= QUEUE_BYTES_MAX)
            continue;
        if (serve(tp, subscriber) && subscriber->behind)
            more = more || link_queued_bytes(subscriber->link) < QUEUE_BYTES_MAX;
    }
    if (!more)
        uv_idle_stop(idle);
}

void subscribers_serve(struct tp *tp)
{
    struct subscriber *subscriber = NULL;
    bool work = false;
    DL_FOREACH (tp->subscribers, subscriber) {
        if (!subscriber->behind && subscriber->position < journal_end(tp->journal))
            subscriber->behind = true;
        work = work || subscriber->behind;
    }
    tp->rows_waiting = 0;
    if (work)
        uv_idle_start(&tp->serving, on_serving);
}

void subscribers_resume(struct tp *tp)
{
    const struct subscriber *subscriber = NULL;
    DL_FOREACH (tp->subscribers, subscriber)
        if (subscriber->behind)
            uv_idle_start(&tp->serving, on_serving);
}

/* ---- new batches */

static void publish_to(struct subscriber *subscriber, uint64_t end, const struct frame_header *header,
                       const uint8_t *body)
{
    if (subscriber->behind)
        return;
    if (link_queued_bytes(subscriber->link) >= QUEUE_BYTES_MAX || link_send_frame(subscriber->link, header, body) != 0)
        subscriber->behind = true;
    else
        subscriber->position = end;
}

void subscribers_publish(struct tp *tp, uint64_t from, const uint8_t *body, size_t size, uint32_t crc, uint32_t rows)
{
    struct frame_header header = {.type = FRAME_BATCH, .body_bytes = (uint32_t)size, .body_crc32c = crc};
    uint64_t end = journal_end(tp->journal);
    struct subscriber *subscriber = NULL;
    if (tp->mode != TP_DIRECT) {
        tp->rows_waiting += rows;
        if (tp->mode == TP_TIMER_WITH_ROW_BATCH && tp->rows_waiting >= tp->row_limit)
            subscribers_serve(tp);
        return;
    }
    DL_FOREACH (tp->subscribers, subscriber) {
        if (subscriber->position == from)
            publish_to(subscriber, end, &header, body);
    }
}

/* ---- subscriptions */

/* The last segment before which everything is at or below `above`. */
static size_t first_segment(const struct tp *tp, const struct marks *above)
{
    size_t segment = 0;
    while (segment + 1 < tp->segment_count && marks_include(above, &tp->segment_marks[segment + 1]))
        segment++;
    return segment;
}

void subscribers_take(struct tp *tp, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    ProtobufCMessage *message = NULL;
    if (wire_unpack(&gemel__subscribe_batches__descriptor, body, header->body_bytes, &message) != 0)
        return;
    const Gemel__SubscribeBatches *wanted = (const Gemel__SubscribeBatches *)message;
    subscribers_forget(tp, link); /* a second subscription replaces the first */
    struct subscriber *subscriber = memory_alloc(sizeof *subscriber);
    *subscriber = (struct subscriber){
        .link = link, .follow = wanted->follow, .behind = true, .start_end = journal_end(tp->journal)};
    marks_raise(&subscriber->above, wanted->above, wanted->n_above);
    uint64_t left = marks_distance(&tp->marks, &subscriber->above);
    if (left > 0) {
        subscriber->position = journal_segment_start(tp->journal, first_segment(tp, &subscriber->above));
        send_caught_up(tp, subscriber, left);
    } else {
        subscriber->position = subscriber->start_end;
    }
    DL_APPEND(tp->subscribers, subscriber);
    wire_free(message);
    uv_idle_start(&tp->serving, on_serving);
}

void subscribers_forget(struct tp *tp, const struct link *link)
{
    struct subscriber *subscriber = NULL;
    DL_SEARCH_SCALAR(tp->subscribers, subscriber, link, link);
    if (subscriber != NULL)
        end_subscriber(tp, subscriber);
}

size_t subscribers_count(const struct tp *tp)
{
    const struct subscriber *subscriber = NULL;
    size_t count = 0;
    DL_FOREACH (tp->subscribers, subscriber)
        count += subscriber->follow;
    return count;
}

static void on_tick(void *data)
{
    subscribers_serve(data);
}

/* Cuts who takes nothing. */
static void on_check(void *data)
{
    struct tp *tp = data;
    struct subscriber *subscriber = NULL;
    struct subscriber *next = NULL;
    DL_FOREACH_SAFE (tp->subscribers, subscriber, next) {
        size_t queued = link_queued_bytes(subscriber->link);
        bool stuck = queued > 0 && queued >= subscriber->queued_before;
        subscriber->stuck_ms = stuck ? subscriber->stuck_ms + CHECK_MS : 0;
        subscriber->queued_before = queued;
        if (subscriber->stuck_ms < STUCK_MS)
            continue;
        log_warn("Subscriber cut [ Subscriber: %s ] [ Reason: took nothing for 30 s ]",
                 link_peer(subscriber->link)->name);
        worker_link_cut(subscriber->link);
        end_subscriber(tp, subscriber);
    }
}

void subscribers_init(struct tp *tp)
{
    uv_idle_init(worker_loop(tp->worker), &tp->serving);
    tp->serving.data = tp;
    if (tp->mode != TP_DIRECT)
        gemel_worker_timer(tp->worker, tp->frequency_ms, tp->frequency_ms, on_tick, tp);
    gemel_worker_timer(tp->worker, CHECK_MS, CHECK_MS, on_check, tp);
}

void subscribers_fini(struct tp *tp)
{
    while (tp->subscribers != NULL)
        end_subscriber(tp, tp->subscribers);
    uv_close((uv_handle_t *)&tp->serving, NULL);
}
