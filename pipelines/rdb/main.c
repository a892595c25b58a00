/* gemel-rdb: today's rows in memory, answering SQL.
 *
 * The tables are a SQLite file in the run folder, made anew at each start and filled by replaying the journal of the tp
 * of its own instance; ready when it has all that the tp had. Rows that go to an index come from there, never from
 * another instance, so that two copies never depend on each other. The loop takes batches in and calls, a thread writes
 * (apply.c), a pool reads (pipelines/sql). */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/process_id.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/loop/clock.h"
#include "pipelines/feed/feed.h"
#include "pipelines/feed/table_check.h"
#include "pipelines/rdb/apply.h"
#include "pipelines/sql/sql_server.h"

enum {
    REPORT_MS = 250,
    PATH_BYTES = 512
};

struct rdb {
    struct gemel_worker *worker;
    char path[PATH_BYTES];
    char tp[PROCESS_NAME_BYTES];
    struct feed *feed;
    struct apply *apply;
    struct sql_server *sql;
    struct marks received;
    bool ready;
    bool caught_up;
    uint64_t marker;       /* of the catch-up that is under way; an older one's marker says nothing */
    uint64_t replay_total; /* batches; 0: not known */
    uint64_t replay_done;
    int64_t replay_start_ms;
    uint64_t gaps;
};

/* ---- the feed */

static const struct marks *on_marks(void *owner)
{
    return &((struct rdb *)owner)->received;
}

static void on_batch(void *owner, Gemel__Batch *batch)
{
    struct rdb *rdb = owner;
    const struct environment *environment = worker_environment(rdb->worker);
    uint64_t have = marks_get(&rdb->received, batch->publisher);
    struct error error = {0};
    rdb->replay_done++;
    if (batch->sequence != have + 1) {
        /* Below: it was here already. Above: a tp that lost its journal; what is missing will never come from it. */
        if (batch->sequence > have && rdb->gaps++ == 0)
            log_error("Gap in the feed [ Tp: %s ] [ Publisher: %s ] [ Have: %" PRIu64 " ] [ Got: %" PRIu64 " ]",
                      rdb->tp, batch->publisher, have, batch->sequence);
        wire_free(&batch->base);
        return;
    }
    if (table_check_batch(environment->tables, environment->table_count, batch, &error) != 0) {
        /* Journaled under an older layout: its rows fit no table now, and the mark goes on. */
        log_warn("Batch left out [ Publisher: %s ] [ Reason: %s ]", batch->publisher, error.sentence);
        batch->row_count = 0;
    }
    marks_set(&rdb->received, batch->publisher, batch->sequence);
    apply_batch(rdb->apply, batch);
    if (apply_waiting_bytes(rdb->apply) > APPLY_QUEUE_BYTES_MAX)
        feed_pause(rdb->feed);
}

static void on_caught_up(void *owner, uint64_t left)
{
    struct rdb *rdb = owner;
    if (left > 0) {
        rdb->replay_total = left;
        rdb->replay_done = 0;
        rdb->replay_start_ms = clock_now_ms();
    } else {
        /* Everything is here, but the writer may be behind. */
        apply_marker(rdb->apply, ++rdb->marker);
    }
}

static void on_down(void *owner, const char *why)
{
    struct rdb *rdb = owner;
    log_warn("Tp lost [ Process: %s ] [ Reason: %s ]", rdb->tp, why);
    rdb->caught_up = false;
    rdb->marker++;
    gemel_worker_stale(rdb->worker, "tp down");
}

static void on_lookup(void *data, const struct gemel_process *processes, size_t count)
{
    struct rdb *rdb = data;
    for (size_t i = 0; i < count; i++)
        if (strcmp(processes[i].name, rdb->tp) == 0)
            feed_set_endpoint(rdb->feed, processes[i].endpoint);
}

/* ---- the writer */

static void on_applied(void *owner)
{
    struct rdb *rdb = owner;
    sql_server_look_again(rdb->sql);
    if (apply_waiting_bytes(rdb->apply) < APPLY_QUEUE_BYTES_MAX / 2)
        feed_resume(rdb->feed);
}

static void report(void *data);

static void on_marker(void *owner, uint64_t marker)
{
    struct rdb *rdb = owner;
    if (marker != rdb->marker)
        return;
    rdb->caught_up = true;
    gemel_worker_stale(rdb->worker, "");
    report(rdb);
    if (!rdb->ready)
        gemel_worker_ready(rdb->worker);
    log_info("%s [ Rows: %" PRIu64 " ] [ Tp: %s ]", rdb->ready ? "Caught up" : "Ready", apply_rows(rdb->apply),
             rdb->tp);
    rdb->ready = true;
}

static void on_broken(void *owner, const char *why)
{
    struct rdb *rdb = owner;
    char stale[320];
    log_error("Rows cannot be written [ Reason: %s ]", why);
    snprintf(stale, sizeof stale, "rows cannot be written: %s", why);
    /* What is there can still be asked, when no better instance is left. */
    gemel_worker_stale(rdb->worker, stale);
    feed_destroy(&rdb->feed);
}

/* ---- status */

static void report_replay(struct rdb *rdb)
{
    char left[40];
    if (rdb->feed == NULL || !feed_is_open(rdb->feed)) {
        gemel_worker_status(rdb->worker, "waiting for %s", rdb->tp);
        return;
    }
    uint64_t waiting = apply_waiting_rows(rdb->apply);
    double rows = (double)apply_rows(rdb->apply);
    double got = rdb->replay_total > 0 ? (double)rdb->replay_done / (double)rdb->replay_total : 1.0;
    double part = rows > 0 ? got * rows / (rows + (double)waiting) : 0.0;
    double spent_ms = (double)(clock_now_ms() - rdb->replay_start_ms);
    text_duration(left, sizeof left, part > 0.01 ? spent_ms / part * (1.0 - part) : 0.0);
    if (part > 0.01)
        gemel_worker_status(rdb->worker, "replaying %d %%, about %s", (int)(part * 100.0), left);
    else
        gemel_worker_status(rdb->worker, "replaying 0 %%");
}

static void report(void *data)
{
    struct rdb *rdb = data;
    char rows[32];
    gemel_worker_lag(rdb->worker, apply_waiting_rows(rdb->apply));
    if (!rdb->caught_up) {
        report_replay(rdb);
        return;
    }
    text_count(rows, sizeof rows, apply_rows(rdb->apply));
    gemel_worker_status(rdb->worker, "%s rows", rows);
}

/* ---- queries */

static int open_connection(void *owner, sqlite3 **database, struct error *error)
{
    const struct rdb *rdb = owner;
    sqlite3 *opened = NULL;
    if (sqlite3_open_v2(rdb->path, &opened, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        error_set(error, -EIO, "cannot open %s: %s", rdb->path, sqlite3_errmsg(opened));
        sqlite3_close(opened);
        return -EIO;
    }
    sqlite3_busy_timeout(opened, 1000);
    *database = opened;
    return 0;
}

static bool has(void *owner, Gemel__Mark *const *marks, size_t count)
{
    return marks_cover(apply_marks(((const struct rdb *)owner)->apply), marks, count);
}

/* ---- start and end */

static int start(struct rdb *rdb)
{
    static const struct feed_handlers handlers = {
        .marks = on_marks, .on_batch = on_batch, .on_caught_up = on_caught_up, .on_down = on_down};
    const struct environment *environment = worker_environment(rdb->worker);
    struct error error = {0};
    struct process_id tp = environment->id;
    text_copy(tp.type, sizeof tp.type, "tp");
    process_id_format(&tp, rdb->tp);
    snprintf(rdb->path, sizeof rdb->path, "%s/rdb.db", environment->run_folder);
    struct apply_options apply = {.path = rdb->path,
                                  .tables = environment->tables,
                                  .table_count = environment->table_count,
                                  .on_applied = on_applied,
                                  .on_marker = on_marker,
                                  .on_broken = on_broken,
                                  .owner = rdb};
    int result = apply_create(&rdb->apply, worker_loop(rdb->worker), &apply, &error);
    if (result != 0) {
        log_error("Cannot start [ Reason: %s ]", error.sentence);
        return result;
    }
    struct sql_server_options sql = {.open = open_connection, .with_marks = true, .has = has, .owner = rdb};
    result = sql_server_create(&rdb->sql, rdb->worker, &sql);
    if (result != 0) {
        log_error("Cannot serve [ Reason: %s ]", gemel_error_text());
        return result;
    }
    struct feed_options feed = {.process = rdb->tp, .follow = true, .handlers = &handlers, .owner = rdb};
    feed_create(&rdb->feed, rdb->worker, &feed);
    gemel_worker_watch(rdb->worker, rdb->tp, on_lookup, rdb);
    gemel_worker_timer(rdb->worker, REPORT_MS, REPORT_MS, report, rdb);
    return 0;
}

int main(void)
{
    struct rdb rdb = {0};
    if (gemel_worker_open(&rdb.worker) != 0) {
        fprintf(stderr, "%s\n", gemel_error_text());
        return 125; /* starting again does not help */
    }
    struct log_options log = {.process = gemel_worker_name(rdb.worker), .type = "rdb"};
    log_open(&log, NULL);
    int result = start(&rdb);
    if (result == 0)
        result = gemel_worker_run(rdb.worker);
    feed_destroy(&rdb.feed);
    sql_server_destroy(&rdb.sql);
    apply_destroy(&rdb.apply);
    marks_fini(&rdb.received);
    gemel_worker_close(&rdb.worker);
    return result == 0 ? 0 : 1;
}
