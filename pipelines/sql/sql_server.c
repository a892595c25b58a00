#include "pipelines/sql/sql_server.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/loop/clock.h"
#include "pipelines/feed/option.h"
#include "pipelines/sql/sql_answer.h"
#include "worker/pool.h"

enum {
    LOOK_MS = 20, /* between looks at calls that wait for marks: have they time left? */
    THREADS_MAX = 64
};

struct pooled {
    struct sql_connection connection;
    uint64_t generation;
    struct pooled *next;
};

struct query {
    struct pool_job job; /* first member */
    struct sql_server *server;
    struct gemel_call *call;
    Gemel__SqlQuery *asked;
    int64_t deadline_ms;       /* of this process's own timeout; INT64_MAX: none */
    struct query *prev, *next; /* among those that wait for marks */
};

struct sql_server {
    struct gemel_worker *worker;
    struct sql_server_options options;
    struct pool *pool;
    struct query *waiting;
    struct gemel_timer *look;
    uint64_t timeout_ms; /* 0: none */
    bool ad_hoc;         /* option enable-analyst */
    atomic_bool stopping;
    atomic_uint_fast64_t generation;
    pthread_mutex_t mutex; /* guards `free` */
    struct pooled *free;
};

/* ---- connections */

static void close_pooled(struct pooled *pooled)
{
    sql_connection_fini(&pooled->connection);
    memory_free(pooled);
}

static int take_connection(struct sql_server *server, struct pooled **taken, struct error *error)
{
    uint64_t generation = atomic_load(&server->generation);
    for (;;) {
        pthread_mutex_lock(&server->mutex);
        struct pooled *pooled = server->free;
        if (pooled != NULL)
            server->free = pooled->next;
        pthread_mutex_unlock(&server->mutex);
        if (pooled == NULL)
            break;
        if (pooled->generation == generation) {
            *taken = pooled;
            return 0;
        }
        close_pooled(pooled);
    }
    sqlite3 *database = NULL;
    int result = server->options.open(server->options.owner, &database, error);
    if (result != 0)
        return result;
    struct pooled *made = memory_alloc(sizeof *made);
    made->generation = generation;
    result = sql_connection_init(&made->connection, database, server->options.with_marks, error);
    if (result != 0)
        memory_free(made);
    else
        *taken = made;
    return result;
}

static void give_back(struct sql_server *server, struct pooled *pooled)
{
    pthread_mutex_lock(&server->mutex);
    pooled->next = server->free;
    server->free = pooled;
    pthread_mutex_unlock(&server->mutex);
}

/* ---- running, on a thread of the pool */

static bool is_over(void *owner)
{
    const struct query *query = owner;
    return atomic_load(&query->server->stopping) || gemel_call_cancelled(query->call) ||
           (query->deadline_ms != INT64_MAX && clock_now_ms() >= query->deadline_ms);
}

static void release_query(struct query *query)
{
    wire_free(&query->asked->base);
    memory_free(query);
}

static void fail_query(struct query *query, int result, const struct error *error)
{
    if (result != -ECANCELED)
        gemel_call_fail(query->call, result, error->sentence, result == -EIO);
    else if (atomic_load(&query->server->stopping))
        gemel_call_fail(query->call, result, "the process is stopping", true);
    else if (gemel_call_left_ms(query->call) == 0)
        gemel_call_fail(query->call, -ETIMEDOUT, "the query took longer than its client waits", false);
    else if (clock_now_ms() >= query->deadline_ms)
        gemel_call_fail(query->call, -ETIMEDOUT, "the query took longer than this process allows (option timeout)",
                        false);
    else
        gemel_call_fail(query->call, result, "nobody waits for the answer any more", false);
}

static void run_query(struct pool_job *job)
{
    struct query *query = (struct query *)(void *)job;
    struct sql_server *server = query->server;
    struct sql_limits limits = {.row_limit = query->asked->row_limit, .is_over = is_over, .owner = query};
    struct error error = {0};
    struct pooled *pooled = NULL;
    uint8_t *answer = NULL;
    size_t size = 0;
    int result = is_over(query) ? error_set(&error, -ECANCELED, "nobody waited for the answer any more")
                                : take_connection(server, &pooled, &error);
    if (result == 0) {
        result = sql_answer(&pooled->connection, query->asked->sql, &limits, &answer, &size, &error);
        give_back(server, pooled);
    }
    if (result == 0)
        gemel_call_reply(query->call, answer, size);
    else
        fail_query(query, result, &error);
    memory_free(answer);
    release_query(query);
}

/* ---- taking calls, in the loop */

static void on_look(void *data)
{
    sql_server_look_again(data);
}

static void park(struct sql_server *server, struct query *query)
{
    DL_APPEND(server->waiting, query);
    if (server->look == NULL)
        server->look = gemel_worker_timer(server->worker, LOOK_MS, LOOK_MS, on_look, server);
}

static bool has_marks(const struct query *query)
{
    const struct sql_server_options *options = &query->server->options;
    return options->has == NULL || options->has(options->owner, query->asked->at_least, query->asked->n_at_least);
}

static void on_call(void *data, struct gemel_call *call)
{
    struct sql_server *server = data;
    ProtobufCMessage *message = NULL;
    size_t size = 0;
    const uint8_t *payload = gemel_call_payload(call, &size);
    if (!server->ad_hoc) {
        gemel_call_fail(call, -EPERM, "queries are not allowed on this process (option enable-analyst is false)",
                        false);
        return;
    }
    if (wire_unpack(&gemel__sql_query__descriptor, payload, size, &message) != 0) {
        gemel_call_fail(call, -EBADMSG, "this process answers SQL, and the request is no SqlQuery", false);
        return;
    }
    struct query *query = memory_alloc(sizeof *query);
    *query = (struct query){.job.run = run_query, .server = server, .call = call, .asked = (Gemel__SqlQuery *)message};
    query->deadline_ms = server->timeout_ms > 0 ? clock_now_ms() + (int64_t)server->timeout_ms : INT64_MAX;
    if (has_marks(query))
        pool_submit(server->pool, &query->job);
    else
        park(server, query);
}

void sql_server_look_again(struct sql_server *server)
{
    struct query *query = NULL;
    struct query *next = NULL;
    DL_FOREACH_SAFE (server->waiting, query, next) {
        if (has_marks(query)) {
            DL_DELETE(server->waiting, query);
            pool_submit(server->pool, &query->job);
        } else if (is_over(query)) {
            DL_DELETE(server->waiting, query);
            gemel_call_fail(query->call, -ETIMEDOUT, "what this client has seen before did not arrive here in time",
                            true);
            release_query(query);
        }
    }
    if (server->waiting == NULL)
        gemel_timer_stop(&server->look);
}

void sql_server_reopen(struct sql_server *server)
{
    atomic_fetch_add(&server->generation, 1);
}

int sql_server_create(struct sql_server **server, struct gemel_worker *worker, const struct sql_server_options *options)
{
    struct sql_server *made = memory_alloc(sizeof *made);
    made->worker = worker;
    made->options = *options;
    made->timeout_ms = option_duration_ms(worker, "timeout", 0, 1000);
    made->ad_hoc = option_flag(worker, "enable-analyst", true);
    pthread_mutex_init(&made->mutex, NULL);
    uint64_t threads = option_number(worker, "query-threads", SQL_THREADS_DEFAULT);
    threads = threads < 1 ? 1 : threads > THREADS_MAX ? THREADS_MAX : threads;
    *server = made;
    int result = pool_create(&made->pool, (unsigned)threads);
    if (result == 0)
        result = gemel_worker_serve(worker, on_call, made, 0);
    if (result != 0)
        sql_server_destroy(server);
    return result;
}

void sql_server_destroy(struct sql_server **server)
{
    struct sql_server *closing = *server;
    if (closing == NULL)
        return;
    *server = NULL;
    atomic_store(&closing->stopping, true);
    sql_server_look_again(closing);
    pool_destroy(&closing->pool);
    while (closing->free != NULL) {
        struct pooled *pooled = closing->free;
        closing->free = pooled->next;
        close_pooled(pooled);
    }
    pthread_mutex_destroy(&closing->mutex);
    memory_free(closing);
}
