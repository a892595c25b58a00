/* gemel-tp: takes batches from publishers in sequence, journals them, hands them to subscribers.
 *
 * Shell only, loop's thread; only fsync runs beside it (common/journal). A batch goes its way in this order:
 * checked (tp_accept.c) -> appended to the journal -> sent to subscribers (tp_subscribers.c) -> fsynced ->
 * acknowledged. What a tp missed comes from the publisher's buffer or from the tps of the other instances (tp_peers.c):
 * each second, and whenever a gap shows, it asks each of them for what lies above its own marks. */
#ifndef GEMEL_PIPELINES_TP_TP_H
#define GEMEL_PIPELINES_TP_TP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/journal/journal.h"
#include "pipelines/feed/marks.h"
#include "worker/process.h"

enum tp_mode {
    TP_DIRECT,              /* subscribers get a batch at once */
    TP_TIMER,               /* each pub-freq-ms */
    TP_TIMER_WITH_ROW_BATCH /* as soon as pub-row-limit rows came, at the latest each pub-freq-ms */
};

struct tp_publisher; /* tp_accept.c */
struct subscriber;   /* tp_subscribers.c */
struct peer;         /* tp_peers.c */
struct tp_pending;   /* tp_accept.c */

struct tp {
    struct gemel_worker *worker;
    struct journal *journal;
    enum tp_mode mode;
    uint64_t frequency_ms;
    uint64_t row_limit;
    struct marks marks;          /* accepted, in the journal; not all of it fsynced */
    struct marks *segment_marks; /* marks at the start of each segment */
    size_t segment_count;
    uint64_t batch_count; /* in the journal */
    uint64_t row_count;
    struct tp_publisher *publishers; /* hash by name */
    struct tp_pending *pending;      /* appended, not fsynced; ring */
    size_t pending_first;
    size_t pending_count;
    size_t pending_capacity;
    uint64_t doubled; /* batches that were here already */
    uint64_t late;    /* batches that came out of sequence */
    uint64_t refused; /* batches that fit no table, or could not be written */
    struct subscriber *subscribers;
    uint64_t rows_waiting; /* since subscribers were last served, in a timer mode */
    uv_idle_t serving;     /* active while subscribers have work */
    struct peer *peers;
    void (*on_equal)(struct tp *tp);
    bool ready;
};

/* Reads the journal's records at the start (journal's on_record). */
void tp_on_record(void *owner, size_t segment, uint64_t position, const struct record *record);
/* Everything below `position` is durable (journal's on_synced). */
void tp_on_synced(void *owner, uint64_t position, int result);

/* A link says who publishes on it: it is told what we have of it. */
void tp_greet_publisher(struct tp *tp, struct link *link);
void tp_forget_publisher(struct tp *tp, const struct link *link);
/* A PUBLISH frame. */
void tp_take_publish(struct tp *tp, struct link *link, const struct frame_header *header, const uint8_t *body);
/* A batch of a peer. Returns 0 when it was accepted or was here already; -EILSEQ when batches before it are missing. */
int tp_take_batch(struct tp *tp, const Gemel__Batch *batch);
/* After the journal was read: an empty one has a first segment too. */
void tp_note_first_segment(struct tp *tp);
void tp_accept_fini(struct tp *tp);

/* ---- tp_subscribers.c */

void subscribers_init(struct tp *tp);
void subscribers_fini(struct tp *tp);
void subscribers_take(struct tp *tp, struct link *link, const struct frame_header *header, const uint8_t *body);
void subscribers_forget(struct tp *tp, const struct link *link);
/* A batch was appended and ends at journal_end; `body` is a packed Batch (borrowed) with its checksum. */
void subscribers_publish(struct tp *tp, uint64_t from, const uint8_t *body, size_t size, uint32_t crc, uint32_t rows);
/* Serves those that are behind, from now on until they are not. */
void subscribers_serve(struct tp *tp);
/* The same for those that are behind already: a link took what was queued. */
void subscribers_resume(struct tp *tp);
size_t subscribers_count(const struct tp *tp);

/* ---- tp_peers.c */

/* Looks for the tps of the other instances; `on_equal` is called once, when nobody who can be reached has more. */
void peers_start(struct tp *tp, void (*on_equal)(struct tp *tp));
void peers_stop(struct tp *tp);
/* A gap shows: asks the peers now. */
void peers_ask(struct tp *tp);

#endif
