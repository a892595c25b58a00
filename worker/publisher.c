/* A publisher: a buffer of batches, a cursor for the tp of each instance.
 *
 * Each tp takes batches only in sequence and says up to where everything is fsynced. A cursor runs ahead of that by a
 * bounded window; when a tp restarts, refuses a batch as late, or stands still, its cursor goes back to what it has.
 * What left the buffer because another instance has it, a tp gets from its peer: its cursor waits for that. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/process_id.h"
#include "common/wire/rows.h"
#include "worker/failure.h"
#include "worker/gateways.h"
#include "worker/gemel.h"

enum {
    BUFFER_BYTES_DEFAULT = 64 * 1024 * 1024,
    BATCHES_MAX = 65536,            /* in the buffer */
    WINDOW_BATCHES = 1024,          /* sent to a tp and not acknowledged */
    WINDOW_BYTES = 8 * 1024 * 1024, /* queued for a tp in this process */
    PAYLOAD_BYTES_MAX = 15 * 1024 * 1024,
    OPEN_TIMEOUT_MS = 5000,
    OPEN_SETTLE_MS = 500, /* with GEMEL_ACK_ANY: the other instances are waited for so long */
    OWN_NAME_BYTES = 17,  /* `~` and 16 digits */
    REDIAL_MS = 100,
    CHECK_MS = 200, /* between looks at who stands still */
    STALL_MS = 1000
};

struct batch {
    uint8_t *body; /* packed Batch */
    size_t size;
    uint32_t crc;
};

struct tp {
    struct gemel_publisher *publisher;
    uint32_t instance;
    char name[PROCESS_NAME_BYTES];
    char endpoint[ADDRESS_BYTES]; /* "": nowhere now */
    struct link *link;            /* NULL: none */
    bool known;                   /* it said on this link what it has */
    uint64_t acknowledged;
    uint64_t late;
    uint64_t cursor; /* next sequence to send */
    uint64_t progress_ms;
    uv_timer_t redial;
    struct tp *prev, *next; /* by instance */
};

struct gemel_publisher {
    uv_loop_t loop;
    struct gateways *registry; /* the daemon or the gateways: who knows where the tps are */
    char pipeline[PIPELINE_NAME_BYTES];
    char name[PROCESS_NAME_BYTES];
    enum gemel_ack ack;
    uint32_t tp_index;
    size_t instances; /* that there are, known or not; 0: nobody said */
    struct tp *tps;
    struct batch *batches; /* ring of BATCHES_MAX */
    uint64_t first;        /* sequence of the oldest in the buffer; == next_sequence: none */
    uint64_t next_sequence;
    bool opened; /* next_sequence is known */
    uint64_t buffered_bytes;
    uint64_t buffer_bytes_max;
    uv_timer_t check;
    uv_timer_t limit;
    bool limit_over;
    int failure; /* sticky: a batch was refused; negative errno */
    char failure_sentence[512];
    char lookup_error[512]; /* why nobody is found */
};

static struct batch *batch_at(struct gemel_publisher *publisher, uint64_t sequence)
{
    return &publisher->batches[sequence % BATCHES_MAX];
}

/* ---- acknowledgements */

static uint64_t least_acknowledged(const struct gemel_publisher *publisher)
{
    const struct tp *tp = NULL;
    uint64_t least = publisher->tps != NULL ? UINT64_MAX : 0;
    DL_FOREACH (publisher->tps, tp)
        least = tp->acknowledged < least ? tp->acknowledged : least;
    return least;
}

static uint64_t most_acknowledged(const struct gemel_publisher *publisher)
{
    const struct tp *tp = NULL;
    uint64_t most = 0;
    DL_FOREACH (publisher->tps, tp)
        most = tp->acknowledged > most ? tp->acknowledged : most;
    return most;
}

uint64_t gemel_publisher_acknowledged(const struct gemel_publisher *publisher)
{
    return publisher->ack == GEMEL_ACK_ANY ? most_acknowledged(publisher) : least_acknowledged(publisher);
}

static void drop_first(struct gemel_publisher *publisher)
{
    struct batch *batch = batch_at(publisher, publisher->first);
    publisher->buffered_bytes -= batch->size;
    memory_free(batch->body);
    *batch = (struct batch){0};
    publisher->first++;
}

static void drop_acknowledged(struct gemel_publisher *publisher)
{
    uint64_t least = least_acknowledged(publisher);
    while (publisher->first < publisher->next_sequence && publisher->first <= least)
        drop_first(publisher);
}

/* Makes room for `size` bytes. What one instance has, the others can get from it. */
static bool make_room(struct gemel_publisher *publisher, size_t size)
{
    uint64_t most = most_acknowledged(publisher);
    while (publisher->first < publisher->next_sequence &&
           (publisher->buffered_bytes + size > publisher->buffer_bytes_max ||
            publisher->next_sequence - publisher->first >= BATCHES_MAX)) {
        if (publisher->first > most)
            return false;
        drop_first(publisher);
    }
    return true;
}

/* ---- sending */

static void pump(struct tp *tp)
{
    struct gemel_publisher *publisher = tp->publisher;
    while (tp->link != NULL && tp->known && tp->cursor >= publisher->first && tp->cursor < publisher->next_sequence &&
           tp->cursor <= tp->acknowledged + WINDOW_BATCHES && link_queued_bytes(tp->link) < WINDOW_BYTES) {
        const struct batch *batch = batch_at(publisher, tp->cursor);
        struct frame_header header = {.type = FRAME_PUBLISH,
                                      .request_id = tp->cursor,
                                      .body_bytes = (uint32_t)batch->size,
                                      .body_crc32c = batch->crc};
        if (link_send_frame(tp->link, &header, batch->body) != 0)
            return;
        tp->cursor++;
    }
}

/* From now on `tp` is sent what it does not have. */
static void go_back(struct tp *tp)
{
    tp->cursor = tp->acknowledged + 1;
    tp->progress_ms = uv_now(&tp->publisher->loop);
}

static void on_check(uv_timer_t *timer)
{
    struct gemel_publisher *publisher = timer->data;
    struct tp *tp = NULL;
    DL_FOREACH (publisher->tps, tp) {
        if (tp->known && tp->cursor > tp->acknowledged + 1 && uv_now(&publisher->loop) - tp->progress_ms > STALL_MS)
            go_back(tp);
        pump(tp);
    }
}

/* ---- links to tps */

static void dial(struct tp *tp);

static void on_redial(uv_timer_t *timer)
{
    dial(timer->data);
}

/* What we have not sent is there: rows of others would count as ours. */
static void refuse_foreign(const struct tp *tp, uint64_t sequence)
{
    struct gemel_publisher *publisher = tp->publisher;
    publisher->failure = -EEXIST;
    snprintf(publisher->failure_sentence, sizeof publisher->failure_sentence,
             "%s has batch %" PRIu64 " of publisher %s, which has sent up to %" PRIu64
             " here: one publisher of a name at a time, and it starts when every instance is reached",
             tp->name, sequence, publisher->name, publisher->next_sequence - 1);
}

static void take_published(struct tp *tp, const uint8_t *body, size_t size)
{
    ProtobufCMessage *message = NULL;
    if (wire_unpack(&gemel__published__descriptor, body, size, &message) != 0)
        return;
    const Gemel__Published *published = (const Gemel__Published *)message;
    bool ours = strcmp(published->publisher, tp->publisher->name) == 0;
    if (ours && tp->publisher->opened && published->sequence >= tp->publisher->next_sequence) {
        refuse_foreign(tp, published->sequence);
    } else if (ours) {
        bool refused = published->late > tp->late;
        if (published->sequence != tp->acknowledged)
            tp->progress_ms = uv_now(&tp->publisher->loop);
        tp->acknowledged = published->sequence;
        tp->late = published->late;
        if (!tp->known || refused || tp->cursor <= tp->acknowledged)
            go_back(tp);
        tp->known = true;
        drop_acknowledged(tp->publisher);
        pump(tp);
    }
    wire_free(message);
}

static void take_failure(struct tp *tp, const uint8_t *body, size_t size)
{
    struct gemel_publisher *publisher = tp->publisher;
    ProtobufCMessage *message = NULL;
    if (wire_unpack(&gemel__failure__descriptor, body, size, &message) != 0)
        return;
    const Gemel__Failure *failure = (const Gemel__Failure *)message;
    if (!failure->retry && publisher->failure == 0) {
        publisher->failure = failure->code < 0 ? failure->code : -EIO;
        snprintf(publisher->failure_sentence, sizeof publisher->failure_sentence, "%s refused a batch: %s", tp->name,
                 failure->sentence);
    }
    wire_free(message);
}

static void on_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct tp *tp = owner;
    if (header->type == FRAME_PUBLISHED)
        take_published(tp, body, header->body_bytes);
    else if (header->type == FRAME_FAILURE)
        take_failure(tp, body, header->body_bytes);
    else if (header->type == FRAME_PING)
        link_send(link, FRAME_PONG, header->request_id, NULL, 0);
}

static void on_open(void *owner, struct link *link)
{
    (void)owner;
    (void)link; /* the tp speaks first: it says what it has of this publisher */
}

static void on_close(void *owner, struct link *link, int reason, const char *why)
{
    struct tp *tp = owner;
    (void)link;
    (void)reason;
    (void)why;
    tp->link = NULL;
    tp->known = false;
    uv_timer_start(&tp->redial, on_redial, REDIAL_MS, 0);
}

static void on_drained(void *owner, struct link *link)
{
    (void)link;
    pump(owner);
}

static void dial(struct tp *tp)
{
    static const struct link_handlers handlers = {
        .on_open = on_open, .on_frame = on_frame, .on_close = on_close, .on_drained = on_drained};
    struct link_self self = {.kind = GEMEL__LINK_KIND__LINK_CLIENT, .name = tp->publisher->name};
    struct error error = {0};
    if (tp->endpoint[0] == '\0' || tp->link != NULL)
        return;
    if (link_connect(&tp->link, &tp->publisher->loop, tp->endpoint, &self, &handlers, tp, &error) != 0)
        text_copy(tp->publisher->lookup_error, sizeof tp->publisher->lookup_error, error.sentence);
}

/* ---- finding tps */

static int compare_instances(const struct tp *one, const struct tp *other)
{
    return one->instance < other->instance ? -1 : one->instance > other->instance;
}

static struct tp *find_tp(struct gemel_publisher *publisher, const char *name, uint32_t instance)
{
    struct tp *tp = NULL;
    DL_SEARCH_SCALAR(publisher->tps, tp, instance, instance);
    if (tp != NULL)
        return tp;
    tp = memory_alloc(sizeof *tp);
    *tp = (struct tp){.publisher = publisher, .instance = instance};
    text_copy(tp->name, sizeof tp->name, name);
    uv_timer_init(&publisher->loop, &tp->redial);
    tp->redial.data = tp;
    DL_INSERT_INORDER(publisher->tps, tp, compare_instances);
    return tp;
}

static void take_entry(struct gemel_publisher *publisher, const Gemel__RegistryEntry *entry)
{
    struct process_id id;
    if (process_id_parse(entry->process, &id) != 0 || strcmp(id.pipeline, publisher->pipeline) != 0 ||
        strcmp(id.type, "tp") != 0 || id.index != publisher->tp_index || id.instance >= INSTANCES_MAX)
        return;
    struct tp *tp = find_tp(publisher, entry->process, id.instance);
    if (strcmp(tp->endpoint, entry->endpoint) == 0)
        return;
    if (tp->link != NULL)
        link_close(tp->link);
    tp->link = NULL;
    tp->known = false;
    text_copy(tp->endpoint, sizeof tp->endpoint, entry->endpoint);
    dial(tp);
}

static void on_lookup_frame(void *owner, const struct frame_header *header, const uint8_t *body)
{
    struct gemel_publisher *publisher = owner;
    ProtobufCMessage *message = NULL;
    if (header->type == FRAME_LOOKUP_REPLY &&
        wire_unpack(&gemel__lookup_reply__descriptor, body, header->body_bytes, &message) == 0) {
        const Gemel__LookupReply *reply = (const Gemel__LookupReply *)message;
        for (size_t i = 0; i < reply->n_entries; i++)
            take_entry(publisher, reply->entries[i]);
    } else if (header->type == FRAME_FAILURE &&
               wire_unpack(&gemel__failure__descriptor, body, header->body_bytes, &message) == 0) {
        text_copy(publisher->lookup_error, sizeof publisher->lookup_error, ((Gemel__Failure *)message)->sentence);
    }
    wire_free(message);
}

static void on_registry_active(void *owner, struct link *link)
{
    struct gemel_publisher *publisher = owner;
    char pattern[PROCESS_NAME_BYTES];
    Gemel__Lookup lookup = GEMEL__LOOKUP__INIT;
    snprintf(pattern, sizeof pattern, "%s.*.tp.%" PRIu32, publisher->pipeline, publisher->tp_index);
    lookup.pattern = pattern;
    lookup.watch = true;
    link_send_message(link, FRAME_LOOKUP, 1, &lookup.base);
}

static void on_registry_lost(void *owner, const char *why)
{
    struct gemel_publisher *publisher = owner;
    text_copy(publisher->lookup_error, sizeof publisher->lookup_error, why);
}

static const struct gateways_handlers registry_handlers = {
    .on_active = on_registry_active, .on_lost = on_registry_lost, .on_frame = on_lookup_frame};

/* ---- running the loop */

static void on_limit(uv_timer_t *timer)
{
    ((struct gemel_publisher *)timer->data)->limit_over = true;
}

static int sticky_failure(const struct gemel_publisher *publisher)
{
    return failure_set(publisher->failure, "%s", publisher->failure_sentence);
}

/* Serves the network until `is_done` or the time is over. Returns whether it was done. */
static bool run_until(struct gemel_publisher *publisher, bool (*is_done)(struct gemel_publisher *publisher, uint64_t),
                      uint64_t argument, uint64_t timeout_ms)
{
    uv_update_time(&publisher->loop);
    publisher->limit_over = false;
    uv_timer_start(&publisher->limit, on_limit, timeout_ms, 0);
    while (publisher->failure == 0 && !is_done(publisher, argument) && !publisher->limit_over)
        uv_run(&publisher->loop, UV_RUN_ONCE);
    uv_timer_stop(&publisher->limit);
    return publisher->failure == 0 && is_done(publisher, argument);
}

static bool is_never(struct gemel_publisher *publisher, uint64_t unused)
{
    (void)publisher;
    (void)unused;
    return false;
}

static bool is_acknowledged(struct gemel_publisher *publisher, uint64_t sequence)
{
    return gemel_publisher_acknowledged(publisher) >= sequence;
}

/* Did at least one, and all that are known, say what they have? */
static bool is_everybody_known(struct gemel_publisher *publisher, uint64_t unused)
{
    const struct tp *tp = NULL;
    (void)unused;
    size_t count = 0;
    DL_FOREACH (publisher->tps, tp) {
        if (!tp->known)
            return false;
        count++;
    }
    return count > 0 && count >= publisher->instances;
}

static bool is_anybody_known(struct gemel_publisher *publisher, uint64_t unused)
{
    const struct tp *tp = NULL;
    (void)unused;
    DL_FOREACH (publisher->tps, tp)
        if (tp->known)
            return true;
    return false;
}

/* ---- open and close */

static int check_options(const struct gemel_publisher_options *options)
{
    if (options->pipeline == NULL || !process_id_is_name(options->pipeline, PIPELINE_NAME_BYTES))
        return failure_set(-EINVAL, "a publisher needs the name of a pipeline");
    if (options->name == NULL || options->name[0] == '\0' || strlen(options->name) >= PROCESS_NAME_BYTES)
        return failure_set(-EINVAL, "a publisher needs a name of 1 to %d bytes", PROCESS_NAME_BYTES - 1);
    return 0;
}

/* Who is asked where the tps are. */
static const char *choose_registry(const struct gemel_publisher_options *options)
{
    const char *daemon = getenv("GEMEL_DAEMON");
    if (options->gateways != NULL)
        return options->gateways;
    return daemon != NULL && daemon[0] != '\0' ? daemon : getenv("GEMEL_GATEWAYS");
}

/* Whoever is not reached may have batches of this name that nobody else has: under another name no number is given to
 * two different batches. The tps are dialled again, because a hello says the name. */
static int take_name_of_its_own(struct gemel_publisher *publisher)
{
    struct tp *tp = NULL;
    size_t length = strlen(publisher->name);
    int added = snprintf(publisher->name + length, sizeof publisher->name - length, "~%" PRIx64, uv_hrtime());
    if (added < 0 || (size_t)added >= sizeof publisher->name - length)
        return failure_set(-ENAMETOOLONG, "a publisher that does not reach every tp needs a name of at most %d bytes",
                           PROCESS_NAME_BYTES - 1 - OWN_NAME_BYTES);
    DL_FOREACH (publisher->tps, tp) {
        if (tp->link != NULL)
            link_close(tp->link);
        tp->link = NULL;
        tp->known = false;
        tp->acknowledged = tp->late = 0;
        dial(tp);
    }
    return 0;
}

static int find_everybody(struct gemel_publisher *publisher, uint64_t timeout_ms)
{
    const struct tp *tp = NULL;
    bool any = publisher->ack == GEMEL_ACK_ANY;
    if (run_until(publisher, is_everybody_known, 0, any && timeout_ms > OPEN_SETTLE_MS ? OPEN_SETTLE_MS : timeout_ms))
        return 0;
    if (any && run_until(publisher, is_anybody_known, 0, timeout_ms)) {
        int result = take_name_of_its_own(publisher);
        if (result != 0 || run_until(publisher, is_anybody_known, 0, timeout_ms))
            return result;
    }
    DL_FOREACH (publisher->tps, tp)
        if (!tp->known)
            return failure_set(-ETIMEDOUT, "%s was not reached within %" PRIu64 " ms%s%s", tp->name, timeout_ms,
                               tp->endpoint[0] != '\0' ? " at " : ": it is not running", tp->endpoint);
    if (publisher->tps != NULL)
        return failure_set(-ETIMEDOUT,
                           "of %zu tps of pipeline %s only %zu were found within %" PRIu64
                           " ms: the host of another one was not heard of",
                           publisher->instances, publisher->pipeline, gemel_publisher_instances(publisher, NULL, 0),
                           timeout_ms);
    return failure_set(-ETIMEDOUT, "no tp of pipeline %s was found within %" PRIu64 " ms%s%s", publisher->pipeline,
                       timeout_ms, publisher->lookup_error[0] != '\0' ? ": " : "", publisher->lookup_error);
}

static void set_up(struct gemel_publisher *publisher, const struct gemel_publisher_options *options)
{
    text_copy(publisher->pipeline, sizeof publisher->pipeline, options->pipeline);
    text_copy(publisher->name, sizeof publisher->name, options->name);
    publisher->ack = options->ack;
    publisher->tp_index = options->tp_index;
    publisher->instances = options->instances;
    publisher->buffer_bytes_max = options->buffer_bytes > 0 ? options->buffer_bytes : BUFFER_BYTES_DEFAULT;
    publisher->batches = memory_alloc_array(BATCHES_MAX, sizeof publisher->batches[0]);
    publisher->first = publisher->next_sequence = 1;
    uv_timer_init(&publisher->loop, &publisher->check);
    uv_timer_init(&publisher->loop, &publisher->limit);
    publisher->check.data = publisher->limit.data = publisher;
    uv_timer_start(&publisher->check, on_check, CHECK_MS, CHECK_MS);
}

int gemel_publisher_open(struct gemel_publisher **publisher, const struct gemel_publisher_options *options)
{
    struct error error = {0};
    const char *registry = choose_registry(options);
    int result = check_options(options);
    if (result != 0)
        return result;
    if (registry == NULL || registry[0] == '\0')
        return failure_set(-EINVAL, "no gateways: give host:port,host:port or set GEMEL_GATEWAYS");
    struct gemel_publisher *made = memory_alloc(sizeof *made);
    result = uv_loop_init(&made->loop);
    if (result != 0) {
        memory_free(made);
        return failure_set(result, "cannot make an event loop: %s", uv_strerror(result));
    }
    set_up(made, options);
    result = gateways_create(&made->registry, &made->loop, registry, options->name, &registry_handlers, made, &error);
    if (result != 0)
        failure_take(&error);
    else
        result = find_everybody(made, options->open_timeout_ms > 0 ? options->open_timeout_ms : OPEN_TIMEOUT_MS);
    if (result != 0) {
        gemel_publisher_close(&made);
        return result;
    }
    made->first = made->next_sequence = most_acknowledged(made) + 1;
    made->opened = true;
    *publisher = made;
    return 0;
}

static void on_tp_closed(uv_handle_t *handle)
{
    memory_free(handle->data);
}

void gemel_publisher_close(struct gemel_publisher **publisher)
{
    struct gemel_publisher *closing = *publisher;
    if (closing == NULL)
        return;
    *publisher = NULL;
    while (closing->tps != NULL) {
        struct tp *tp = closing->tps;
        DL_DELETE(closing->tps, tp);
        if (tp->link != NULL)
            link_close(tp->link);
        uv_close((uv_handle_t *)&tp->redial, on_tp_closed);
    }
    gateways_destroy(&closing->registry);
    uv_close((uv_handle_t *)&closing->check, NULL);
    uv_close((uv_handle_t *)&closing->limit, NULL);
    uv_run(&closing->loop, UV_RUN_DEFAULT);
    int result = uv_loop_close(&closing->loop);
    ASSERT(result == 0);
    while (closing->first < closing->next_sequence)
        drop_first(closing);
    memory_free(closing->batches);
    memory_free(closing);
}

/* ---- publishing */

static int pack_rows(const struct gemel_value *cells, uint64_t count, struct rows_writer *writer)
{
    int result = 0;
    rows_writer_init(writer, PAYLOAD_BYTES_MAX);
    for (uint64_t i = 0; result == 0 && i < count; i++) {
        struct rows_cell cell = {.kind = (enum rows_kind)cells[i].kind,
                                 .integer = cells[i].integer,
                                 .real = cells[i].real,
                                 .bytes = cells[i].bytes,
                                 .size = cells[i].size};
        result = rows_write(writer, &cell);
    }
    return result;
}

static void put_batch(struct gemel_publisher *publisher, const char *table, const struct rows_writer *rows,
                      uint32_t row_count, uint32_t column_count)
{
    Gemel__Batch message = GEMEL__BATCH__INIT;
    struct batch *batch = batch_at(publisher, publisher->next_sequence);
    message.publisher = publisher->name;
    message.sequence = publisher->next_sequence;
    message.table = (char *)(uintptr_t)table;
    message.row_count = row_count;
    message.column_count = column_count;
    message.rows.data = rows->bytes;
    message.rows.len = rows->size;
    batch->body = wire_pack(&message.base, &batch->size);
    batch->crc = crc32c(batch->body, batch->size);
    publisher->buffered_bytes += batch->size;
    publisher->next_sequence++;
}

int gemel_publish(struct gemel_publisher *publisher, const char *table, const struct gemel_value *cells,
                  uint32_t row_count, uint32_t column_count, uint64_t *sequence)
{
    struct rows_writer rows;
    if (publisher->failure != 0)
        return sticky_failure(publisher);
    int result = pack_rows(cells, (uint64_t)row_count * column_count, &rows);
    if (result != 0) {
        failure_set(result, "a batch has at most 15 MiB; send fewer rows in one");
    } else if (!make_room(publisher, rows.size)) {
        uv_run(&publisher->loop, UV_RUN_NOWAIT); /* so that whoever tries again and again gets on */
        result = failure_set(-EAGAIN, "the buffer is full of batches that no tp has acknowledged");
    } else {
        struct tp *tp = NULL;
        if (sequence != NULL)
            *sequence = publisher->next_sequence;
        put_batch(publisher, table, &rows, row_count, column_count);
        uv_update_time(&publisher->loop);
        DL_FOREACH (publisher->tps, tp)
            pump(tp);
        uv_run(&publisher->loop, UV_RUN_NOWAIT);
    }
    rows_writer_fini(&rows);
    return result;
}

int gemel_publisher_wait(struct gemel_publisher *publisher, uint64_t sequence, uint32_t timeout_ms)
{
    const struct tp *tp = NULL;
    if (run_until(publisher, is_acknowledged, sequence, timeout_ms))
        return 0;
    if (publisher->failure != 0)
        return sticky_failure(publisher);
    DL_FOREACH (publisher->tps, tp)
        if (tp->acknowledged < sequence)
            return failure_set(-ETIMEDOUT, "%s has acknowledged up to batch %" PRIu64 " of %" PRIu64 " after %u ms%s",
                               tp->name, tp->acknowledged, sequence, timeout_ms,
                               tp->link == NULL ? ": it is not reached" : "");
    return failure_set(-ETIMEDOUT, "no tp is known");
}

int gemel_publisher_run(struct gemel_publisher *publisher, uint32_t timeout_ms)
{
    run_until(publisher, is_never, 0, timeout_ms);
    return publisher->failure != 0 ? sticky_failure(publisher) : 0;
}

uint64_t gemel_publisher_next(const struct gemel_publisher *publisher)
{
    return publisher->next_sequence;
}

size_t gemel_publisher_instances(const struct gemel_publisher *publisher, struct gemel_publisher_instance *items,
                                 size_t max)
{
    const struct tp *tp = NULL;
    size_t count = 0;
    DL_FOREACH (publisher->tps, tp) {
        if (count < max)
            items[count] = (struct gemel_publisher_instance){
                .instance = tp->instance, .connected = tp->known, .acknowledged = tp->acknowledged, .late = tp->late};
        count++;
    }
    return count;
}
