/* gemel-tp: see tp.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/log/log.h"
#include "pipelines/feed/option.h"
#include "pipelines/tp/tp.h"

enum {
    FREQUENCY_DEFAULT_MS = 100,
    ROW_LIMIT_DEFAULT = 1000,
    STATUS_MS = 1000
};

/* What a link is for shows in its first frame: SUBSCRIBE or PUBLISH; a client is told at once what we have of it. */
static void on_open(void *owner, struct link *link)
{
    if (link_peer(link)->kind == GEMEL__LINK_KIND__LINK_CLIENT)
        tp_greet_publisher(owner, link);
}

static void on_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    if (header->type == FRAME_PUBLISH)
        tp_take_publish(owner, link, header, body);
    else if (header->type == FRAME_SUBSCRIBE)
        subscribers_take(owner, link, header, body);
}

static void on_close(void *owner, struct link *link, int reason, const char *why)
{
    (void)reason;
    (void)why;
    tp_forget_publisher(owner, link);
    subscribers_forget(owner, link);
}

static void on_drained(void *owner, struct link *link)
{
    (void)link;
    subscribers_resume(owner);
}

static void report(void *data)
{
    struct tp *tp = data;
    if (tp->ready)
        gemel_worker_status(tp->worker,
                            "%" PRIu64 " rows in %" PRIu64 " batches, %zu subscribers, %" PRIu64 " doubled, %" PRIu64
                            " late, %" PRIu64 " refused",
                            tp->row_count, tp->batch_count, subscribers_count(tp), tp->doubled, tp->late, tp->refused);
}

static void on_equal(struct tp *tp)
{
    tp->ready = true;
    report(tp);
    gemel_worker_ready(tp->worker);
    log_info("Ready [ Batches: %" PRIu64 " ] [ Rows: %" PRIu64 " ]", tp->batch_count, tp->row_count);
}

static int read_options(struct tp *tp)
{
    const char *mode = gemel_worker_option(tp->worker, "pub-mode");
    if (mode == NULL || strcmp(mode, "direct") == 0) {
        tp->mode = TP_DIRECT;
    } else if (strcmp(mode, "timer") == 0) {
        tp->mode = TP_TIMER;
    } else if (strcmp(mode, "timer-with-row-batch") == 0) {
        tp->mode = TP_TIMER_WITH_ROW_BATCH;
    } else {
        log_error("Option pub-mode is direct, timer or timer-with-row-batch, got '%s'", mode);
        return -EINVAL;
    }
    tp->frequency_ms = option_duration_ms(tp->worker, "pub-freq-ms", FREQUENCY_DEFAULT_MS, 1);
    tp->frequency_ms = tp->frequency_ms > 0 ? tp->frequency_ms : 1;
    tp->row_limit = option_number(tp->worker, "pub-row-limit", ROW_LIMIT_DEFAULT);
    if (!option_flag(tp->worker, "log-to-journal", true))
        log_warn("Option log-to-journal: false is not followed, what is acknowledged is always journaled");
    return 0;
}

static int open_journal(struct tp *tp)
{
    char folder[512];
    struct error error = {0};
    struct journal_torn torn;
    struct journal_options options = {
        .folder = folder, .on_record = tp_on_record, .on_synced = tp_on_synced, .owner = tp};
    snprintf(folder, sizeof folder, "%s/journal", gemel_worker_data_folder(tp->worker));
    gemel_worker_status(tp->worker, "reading the journal");
    int result = journal_open(&tp->journal, worker_loop(tp->worker), &options, &torn, &error);
    if (result != 0)
        log_error("Cannot open the journal [ Reason: %s ]", error.sentence);
    else if (torn.bytes > 0)
        log_warn("Torn tail of the journal cut [ Bytes: %" PRIu64 " ] [ Position: %" PRIu64 " ] [ Kept: %s ]",
                 torn.bytes, torn.position, torn.kept);
    return result;
}

static int start(struct tp *tp)
{
    static const struct worker_frames frames = {
        .on_open = on_open, .on_frame = on_frame, .on_close = on_close, .on_drained = on_drained};
    int result = read_options(tp);
    if (result == 0)
        result = open_journal(tp);
    if (result != 0)
        return result;
    tp_note_first_segment(tp);
    subscribers_init(tp);
    worker_handle_frames(tp->worker, &frames, tp);
    result = worker_listen(tp->worker);
    if (result != 0) {
        log_error("Cannot listen [ Reason: %s ]", gemel_error_text());
        return result;
    }
    gemel_worker_timer(tp->worker, STATUS_MS, STATUS_MS, report, tp);
    peers_start(tp, on_equal);
    return 0;
}

int main(void)
{
    struct tp tp = {0};
    if (gemel_worker_open(&tp.worker) != 0) {
        fprintf(stderr, "%s\n", gemel_error_text());
        return 125; /* starting again does not help */
    }
    struct log_options log = {.process = gemel_worker_name(tp.worker), .type = "tp"};
    log_open(&log, NULL);
    int result = start(&tp);
    if (result == 0)
        result = gemel_worker_run(tp.worker);
    peers_stop(&tp);
    if (tp.journal != NULL)
        subscribers_fini(&tp);
    journal_close(&tp.journal);
    worker_handle_frames(tp.worker, NULL, NULL);
    tp_accept_fini(&tp);
    gemel_worker_close(&tp.worker);
    return result == 0 ? 0 : 1;
}
