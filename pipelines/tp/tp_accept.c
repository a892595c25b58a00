/* Which batches a tp takes, and how it acknowledges them. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/loop/clock.h"
#include "pipelines/feed/table_check.h"
#include "pipelines/tp/tp.h"

enum {
    PENDING_FIRST = 1024,
    LOG_EVERY_MS = 1000
};

/* A publisher that is connected, or was. */
struct tp_publisher {
    char name[PUBLISHER_NAME_BYTES];
    struct link *link; /* NULL: not connected now */
    uint64_t synced;   /* acknowledged */
    uint64_t late;
    bool told;     /* of the latest fsync */
    bool greeting; /* it waits to hear where it left off */
    UT_hash_handle hh;
};

/* Waits for the fsync that covers `end`. */
struct tp_pending {
    uint64_t end; /* journal position behind the record */
    uint64_t sequence;
    struct tp_publisher *publisher;
};

static struct tp_publisher *get_publisher(struct tp *tp, const char *name)
{
    struct tp_publisher *publisher = NULL;
    HASH_FIND_STR(tp->publishers, name, publisher);
    if (publisher != NULL)
        return publisher;
    publisher = memory_alloc(sizeof *publisher);
    text_copy(publisher->name, sizeof publisher->name, name);
    /* Until now nothing of it was accepted in this run: all that is there was fsynced when the journal was opened. */
    publisher->synced = marks_get(&tp->marks, name);
    HASH_ADD_STR(tp->publishers, name, publisher);
    return publisher;
}

/* A greeting waits until all that was accepted is durable, too: who is told less would give its numbers to other rows.
 */
static void send_published(const struct tp *tp, struct tp_publisher *publisher)
{
    Gemel__Published published = GEMEL__PUBLISHED__INIT;
    if (publisher->greeting && publisher->synced < marks_get(&tp->marks, publisher->name))
        return;
    publisher->greeting = false;
    published.publisher = (char *)(uintptr_t)publisher->name;
    published.sequence = publisher->synced;
    published.late = publisher->late;
    if (publisher->link != NULL)
        link_send_message(publisher->link, FRAME_PUBLISHED, 0, &published.base);
}

static void send_failure(struct tp *tp, struct link *link, uint64_t request_id, int code, const char *sentence,
                         bool retry)
{
    Gemel__Failure failure = GEMEL__FAILURE__INIT;
    failure.code = code;
    failure.sentence = (char *)(uintptr_t)sentence;
    failure.retry = retry;
    failure.process = (char *)(uintptr_t)gemel_worker_name(tp->worker);
    link_send_message(link, FRAME_FAILURE, request_id, &failure.base);
}

/* ---- the journal */

/* At the start of segment `segment` the marks are as they are now. */
static void note_segment(struct tp *tp, size_t segment, const struct marks *marks)
{
    if (segment < tp->segment_count)
        return;
    tp->segment_marks = memory_resize(tp->segment_marks, (segment + 1) * sizeof tp->segment_marks[0]);
    for (; tp->segment_count <= segment; tp->segment_count++) {
        tp->segment_marks[tp->segment_count] = (struct marks){0};
        marks_copy(&tp->segment_marks[tp->segment_count], marks);
    }
}

void tp_note_first_segment(struct tp *tp)
{
    note_segment(tp, journal_segment_count(tp->journal) - 1, &tp->marks);
}

void tp_on_record(void *owner, size_t segment, uint64_t position, const struct record *record)
{
    struct tp *tp = owner;
    char name[PUBLISHER_NAME_BYTES];
    (void)position;
    note_segment(tp, segment, &tp->marks);
    if (record->op != RECORD_BATCH || record->int_count < 3 || record->string_count < 3 ||
        record->strings[0].size >= sizeof name)
        return;
    memcpy(name, record->strings[0].bytes, record->strings[0].size);
    name[record->strings[0].size] = '\0';
    marks_set(&tp->marks, name, (uint64_t)record->ints[0]);
    tp->batch_count++;
    tp->row_count += (uint64_t)record->ints[1];
}

static int append(struct tp *tp, const Gemel__Batch *batch)
{
    struct record record = {
        .op = RECORD_BATCH,
        .int_count = 3,
        .string_count = 3,
        .tag = (uint64_t)gemel_worker_instance(tp->worker),
        .ints = {(int64_t)batch->sequence, batch->row_count, batch->column_count},
        .strings = {{(const uint8_t *)batch->publisher, strlen(batch->publisher)},
                    {(const uint8_t *)batch->table, strlen(batch->table)},
                    {batch->rows.data, batch->rows.len}},
    };
    int result = journal_append(tp->journal, &record);
    if (result != 0)
        return result;
    note_segment(tp, journal_segment_count(tp->journal) - 1, &tp->marks); /* before this batch */
    result = marks_set(&tp->marks, batch->publisher, batch->sequence);
    ASSERT(result == 0); /* checked before */
    tp->batch_count++;
    tp->row_count += batch->row_count;
    return 0;
}

static void push_pending(struct tp *tp, struct tp_publisher *publisher, uint64_t sequence)
{
    if (tp->pending_count == tp->pending_capacity) {
        size_t capacity = tp->pending_capacity > 0 ? tp->pending_capacity * 2 : PENDING_FIRST;
        struct tp_pending *grown = memory_alloc_array(capacity, sizeof *grown);
        for (size_t i = 0; i < tp->pending_count; i++)
            grown[i] = tp->pending[(tp->pending_first + i) % tp->pending_capacity];
        memory_free(tp->pending);
        tp->pending = grown;
        tp->pending_capacity = capacity;
        tp->pending_first = 0;
    }
    tp->pending[(tp->pending_first + tp->pending_count++) % tp->pending_capacity] =
        (struct tp_pending){.end = journal_end(tp->journal), .sequence = sequence, .publisher = publisher};
}

void tp_on_synced(void *owner, uint64_t position, int result)
{
    struct tp *tp = owner;
    if (result != 0) {
        /* The page cache cannot be believed any more: start again and read what is really there. */
        log_error("The journal cannot be made durable, ending [ Error: %s ]", strerror(-result));
        exit(1);
    }
    while (tp->pending_count > 0 && tp->pending[tp->pending_first].end <= position) {
        const struct tp_pending *pending = &tp->pending[tp->pending_first];
        pending->publisher->synced = pending->sequence;
        pending->publisher->told = false;
        tp->pending_first = (tp->pending_first + 1) % tp->pending_capacity;
        tp->pending_count--;
    }
    for (struct tp_publisher *publisher = tp->publishers; publisher != NULL; publisher = publisher->hh.next) {
        if (!publisher->told)
            send_published(tp, publisher);
        publisher->told = true;
    }
}

/* ---- publishers */

void tp_greet_publisher(struct tp *tp, struct link *link)
{
    const char *name = link_peer(link)->name;
    if (name[0] == '\0') {
        send_failure(tp, link, 0, -EINVAL, "a publisher says its name in its hello", false);
        return;
    }
    struct tp_publisher *publisher = get_publisher(tp, name);
    /* A second one of the same name takes over. What the first one has sent and nobody has read yet must not be
     * accepted after the second was told where to go on. */
    if (publisher->link != NULL)
        worker_link_cut(publisher->link);
    publisher->link = link;
    publisher->greeting = true;
    send_published(tp, publisher);
}

void tp_forget_publisher(struct tp *tp, const struct link *link)
{
    struct tp_publisher *publisher = NULL;
    struct tp_publisher *next = NULL;
    HASH_ITER (hh, tp->publishers, publisher, next) {
        if (publisher->link != link)
            continue;
        publisher->link = NULL;
        /* A name that never published anything is not kept. */
        if (marks_get(&tp->marks, publisher->name) == 0) {
            HASH_DEL(tp->publishers, publisher);
            memory_free(publisher);
        }
    }
}

/* Why this batch cannot be taken at all; 0: it can, if it is in sequence. */
static int refuse(struct tp *tp, const Gemel__Batch *batch, struct error *error)
{
    const struct environment *environment = worker_environment(tp->worker);
    struct marks *marks = &tp->marks;
    if (batch->sequence == 0)
        return error_set(error, -EINVAL, "sequences start at 1");
    if (strlen(batch->publisher) >= PUBLISHER_NAME_BYTES || batch->publisher[0] == '\0')
        return error_set(error, -EINVAL, "a publisher's name has 1 to %d bytes", PUBLISHER_NAME_BYTES - 1);
    if (marks_get(marks, batch->publisher) == 0 && marks_set(marks, batch->publisher, 0) != 0)
        return error_set(error, -ENOSPC, "this pipeline knows %d publishers already", MARKS_MAX);
    return table_check_batch(environment->tables, environment->table_count, batch, error);
}

static void log_refusal(struct tp *tp, const char *from, const char *sentence)
{
    static struct log_limit limit;
    uint64_t dropped = 0;
    tp->refused++;
    if (log_allowed(&limit, clock_now_ms(), LOG_EVERY_MS, &dropped))
        log_warn("Batch refused [ From: %s ] [ Reason: %s ] [ Refused: %" PRIu64 " ]", from, sentence, tp->refused);
}

/* Takes a batch that is next in sequence. `body` is it packed. */
static int accept_batch(struct tp *tp, const Gemel__Batch *batch, const uint8_t *body, size_t size, uint32_t crc)
{
    struct tp_publisher *publisher = get_publisher(tp, batch->publisher);
    uint64_t from = journal_end(tp->journal);
    int result = append(tp, batch);
    if (result != 0)
        return result;
    push_pending(tp, publisher, batch->sequence);
    subscribers_publish(tp, from, body, size, crc, batch->row_count);
    return 0;
}

static void take_in_sequence(struct tp *tp, struct link *link, const Gemel__Batch *batch,
                             const struct frame_header *header, const uint8_t *body)
{
    struct error error = {0};
    int result = refuse(tp, batch, &error);
    if (result != 0) {
        log_refusal(tp, batch->publisher, error.sentence);
        send_failure(tp, link, header->request_id, result, error.sentence, false);
        return;
    }
    result = accept_batch(tp, batch, body, header->body_bytes, header->body_crc32c);
    if (result != 0) {
        log_refusal(tp, batch->publisher, strerror(-result));
        send_failure(tp, link, header->request_id, result, strerror(-result), true);
    }
}

void tp_take_publish(struct tp *tp, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    ProtobufCMessage *message = NULL;
    if (wire_unpack(&gemel__batch__descriptor, body, header->body_bytes, &message) != 0) {
        log_refusal(tp, link_peer_address(link), "malformed");
        send_failure(tp, link, header->request_id, -EBADMSG, "the batch is malformed", false);
        return;
    }
    const Gemel__Batch *batch = (const Gemel__Batch *)message;
    if (strcmp(batch->publisher, link_peer(link)->name) != 0) {
        log_refusal(tp, link_peer(link)->name, "the batch names another publisher");
        send_failure(tp, link, header->request_id, -EPERM, "the batch names another publisher than the hello", false);
        wire_free(message);
        return;
    }
    uint64_t have = marks_get(&tp->marks, batch->publisher);
    struct tp_publisher *publisher = get_publisher(tp, batch->publisher);
    if (publisher->link != link) {
        log_refusal(tp, batch->publisher, "another connection of this publisher has taken over");
    } else if (batch->sequence == have + 1) {
        take_in_sequence(tp, link, batch, header, body);
    } else if (batch->sequence <= have) {
        tp->doubled++;
        send_published(tp, publisher);
    } else {
        /* What is missing before it may be at a peer; the publisher sends this one again when it has heard. */
        tp->late++;
        publisher->late++;
        send_published(tp, publisher);
        peers_ask(tp);
    }
    wire_free(message);
}

int tp_take_batch(struct tp *tp, const Gemel__Batch *batch)
{
    struct error error = {0};
    uint64_t have = marks_get(&tp->marks, batch->publisher);
    if (batch->sequence <= have)
        return 0;
    if (batch->sequence != have + 1)
        return -EILSEQ;
    int result = refuse(tp, batch, &error);
    if (result != 0) {
        log_refusal(tp, "peer", error.sentence);
        return result;
    }
    size_t size = 0;
    uint8_t *body = wire_pack(&batch->base, &size);
    result = accept_batch(tp, batch, body, size, crc32c(body, size));
    memory_free(body);
    return result;
}

void tp_accept_fini(struct tp *tp)
{
    struct tp_publisher *publisher = NULL;
    struct tp_publisher *next = NULL;
    HASH_ITER (hh, tp->publishers, publisher, next) {
        HASH_DEL(tp->publishers, publisher);
        memory_free(publisher);
    }
    for (size_t i = 0; i < tp->segment_count; i++)
        marks_fini(&tp->segment_marks[i]);
    memory_free(tp->segment_marks);
    memory_free(tp->pending);
    marks_fini(&tp->marks);
}
