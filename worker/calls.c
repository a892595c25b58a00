/* Serving: links of gateways, calls on them, the threads beside the loop. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/memory.h"
#include "common/loop/clock.h"
#include "worker/failure.h"
#include "worker/worker_state.h"

enum {
    PAYLOAD_BYTES_MAX = 15 * 1024 * 1024,      /* leaves room for the route header below a frame's bound */
    ANSWER_QUEUE_BYTES_MAX = 16 * 1024 * 1024, /* on its way to one peer; what comes then is held */
    HELD_FULL_BYTES = 64 * 1024 * 1024,        /* held answers of all peers: above it threads wait before the next */
    HELD_BYTES_MAX = 512 * 1024 * 1024,        /* the loop cannot wait: above it the peer's link is closed */
    HELD_CHECK_MS = 500,
    HELD_STUCK_CHECKS = 4, /* a peer that takes nothing for 2 s is gone: its answers must not stop others' */
    ROOM_LOOK_MS = 20      /* between looks of a waiting thread: is its call cancelled? */
};

struct session {
    struct gemel_worker *worker;
    struct link *link;
    struct gemel_call *calls; /* by request id */
    struct gemel_call *held;  /* answered, while the link's queue is long; in order */
    struct gemel_call **held_last;
    size_t queued_before; /* at the last check */
    unsigned stuck;       /* checks in a row at which nothing had gone out */
    void *data;           /* of who handles the other frames */
    bool cut;             /* it does not take its answers: closed in the next turn */
    struct session *prev, *next;
};

enum call_outcome {
    CALL_OPEN,
    CALL_REPLIED,
    CALL_FAILED
};

/* A call belongs to the loop until its handler has it, then to whoever answers it, then to the loop again. */
struct gemel_call {
    struct pool_job job;
    struct gemel_worker *worker;
    struct session *session; /* loop's thread; NULL: nobody waits any more */
    uint64_t request_id;
    int64_t deadline_ms; /* INT64_MAX: none */
    atomic_bool cancelled;
    const uint8_t *payload;
    size_t payload_size;
    uint8_t *owned; /* holds the payload once the handler keeps the call; NULL: borrowed from the link */
    enum call_outcome outcome;
    uint8_t *answer; /* of another thread; released after it was sent */
    size_t answer_size;
    int code;
    bool retry;
    char sentence[256];
    UT_hash_handle hh;
    struct gemel_call *next; /* free, answered by a thread, or held */
};

/* ---- the end of a call, on the loop's thread */

static void release_call(struct gemel_call *call)
{
    struct calls *calls = &call->worker->calls;
    if (call->session != NULL)
        HASH_DEL(call->session->calls, call);
    memory_free(call->owned);
    memory_free(call->answer);
    calls->count--;
    /* Only what is small and clean is kept for reuse. */
    *call = (struct gemel_call){.worker = call->worker, .next = calls->free_calls};
    calls->free_calls = call;
}

/* Closes a link whose peer does not take its answers; not at once, because a frame of it may be in work. */
static void cut_session(struct session *session)
{
    session->cut = true;
    uv_async_send(&session->worker->calls.wake);
}

static void send_failure(struct session *session, uint64_t request_id, int code, const char *sentence, bool retry)
{
    Gemel__Failure failure = GEMEL__FAILURE__INIT;
    failure.code = code;
    failure.sentence = (char *)(uintptr_t)sentence;
    failure.retry = retry;
    failure.process = session->worker->environment.name;
    if (link_send_message(session->link, FRAME_FAILURE, request_id, &failure.base) == -EAGAIN)
        cut_session(session);
}

/* Puts route header, our name and the answer together and sends it. */
static void send_answer(struct gemel_call *call, const void *payload, size_t size)
{
    struct gemel_worker *worker = call->worker;
    struct calls *calls = &worker->calls;
    size_t name_bytes = strlen(worker->environment.name);
    size_t total = FRAME_ROUTE_BYTES + name_bytes + size;
    if (total > calls->scratch_capacity) {
        calls->scratch = memory_resize(calls->scratch, total * 2);
        calls->scratch_capacity = total * 2;
    }
    frame_route_encode(calls->scratch, worker->environment.name, 0);
    if (size > 0)
        memcpy(calls->scratch + FRAME_ROUTE_BYTES + name_bytes, payload, size);
    if (link_send(call->session->link, FRAME_ANSWER, call->request_id, calls->scratch, total) == -EAGAIN)
        cut_session(call->session);
}

/* ---- answers that are held: a peer that asks for much at once gets it as fast as it takes it */

static void add_held_bytes(struct calls *calls, size_t more, size_t less)
{
    pthread_mutex_lock(&calls->mutex);
    calls->held_bytes = calls->held_bytes + more - less;
    bool full = calls->held_bytes > HELD_BYTES_MAX;
    pthread_cond_broadcast(&calls->room);
    pthread_mutex_unlock(&calls->mutex);
    if (!full || more == 0)
        return;
    struct session *session = NULL;
    DL_FOREACH (calls->sessions, session)
        if (session->held != NULL)
            cut_session(session);
}

static void on_held_check(uv_timer_t *timer)
{
    struct gemel_worker *worker = timer->data;
    struct session *session = NULL;
    bool any = false;
    DL_FOREACH (worker->calls.sessions, session) {
        size_t queued = link_queued_bytes(session->link);
        bool stands = session->held != NULL && queued == session->queued_before;
        session->stuck = stands ? session->stuck + 1 : 0;
        session->queued_before = queued;
        any = any || session->held != NULL;
        if (session->stuck >= HELD_STUCK_CHECKS)
            cut_session(session);
    }
    if (!any)
        uv_timer_stop(timer);
}

static void hold_answer(struct gemel_call *call, const void *payload, size_t size)
{
    struct session *session = call->session;
    struct calls *calls = &call->worker->calls;
    if (call->answer == NULL)
        call->answer = memory_copy(payload, size);
    call->answer_size = size;
    call->next = NULL;
    if (session->held == NULL)
        session->held_last = &session->held;
    *session->held_last = call;
    session->held_last = &call->next;
    if (!uv_is_active((const uv_handle_t *)&calls->held_check))
        uv_timer_start(&calls->held_check, on_held_check, HELD_CHECK_MS, HELD_CHECK_MS);
    add_held_bytes(calls, size, 0);
}

static bool is_queue_long(const struct session *session)
{
    return link_queued_bytes(session->link) >= ANSWER_QUEUE_BYTES_MAX;
}

/* The link has room: sends what fits now. */
static void send_held(struct session *session)
{
    while (session->held != NULL && !session->cut && !is_queue_long(session)) {
        struct gemel_call *call = session->held;
        session->held = call->next;
        add_held_bytes(&session->worker->calls, 0, call->answer_size);
        if (!atomic_load_explicit(&call->cancelled, memory_order_relaxed))
            send_answer(call, call->answer, call->answer_size);
        release_call(call);
    }
}

static void drop_held(struct session *session)
{
    while (session->held != NULL) {
        struct gemel_call *call = session->held;
        session->held = call->next;
        add_held_bytes(&session->worker->calls, 0, call->answer_size);
        release_call(call);
    }
}

/* On a thread: waits until the answers before are on their way, so that memory is bounded by what peers take. */
static void wait_for_room(struct gemel_call *call)
{
    struct calls *calls = &call->worker->calls;
    pthread_mutex_lock(&calls->mutex);
    while (calls->held_bytes >= HELD_FULL_BYTES && !atomic_load(&calls->ending) && !gemel_call_cancelled(call)) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)ROOM_LOOK_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&calls->room, &calls->mutex, &until);
    }
    pthread_mutex_unlock(&calls->mutex);
}

static void finish_call(struct gemel_call *call, const void *payload, size_t size)
{
    struct session *session = call->session;
    if (session != NULL && call->outcome == CALL_REPLIED) {
        if (session->held != NULL || is_queue_long(session)) {
            hold_answer(call, payload, size);
            return;
        }
        send_answer(call, payload, size);
    } else if (session != NULL) {
        send_failure(session, call->request_id, call->code, call->sentence, call->retry);
    }
    release_call(call);
}

static void hand_back(struct gemel_call *call)
{
    struct calls *calls = &call->worker->calls;
    pthread_mutex_lock(&calls->mutex);
    call->next = calls->answered;
    calls->answered = call;
    pthread_mutex_unlock(&calls->mutex);
    uv_async_send(&calls->wake);
}

static bool is_loop_thread(const struct gemel_worker *worker)
{
    return pthread_equal(worker->loop_thread, pthread_self()) != 0;
}

/* Nobody waits for the calls of this link any more; those that run end by themselves. */
static void drop_session(struct session *session)
{
    struct gemel_call *call = NULL;
    struct gemel_call *next = NULL;
    drop_held(session);
    HASH_ITER (hh, session->calls, call, next) {
        HASH_DEL(session->calls, call);
        call->session = NULL;
        atomic_store_explicit(&call->cancelled, true, memory_order_relaxed);
    }
    DL_DELETE(session->worker->calls.sessions, session);
    memory_free(session);
}

/* Closes a link from our side: its owner is told as if the peer had closed it. */
static void end_session(struct session *session, const char *why)
{
    const struct calls *calls = &session->worker->calls;
    if (calls->frames != NULL && calls->frames->on_close != NULL)
        calls->frames->on_close(calls->frames_owner, session->link, 0, why);
    link_close(session->link);
    drop_session(session);
}

static void on_wake(uv_async_t *wake)
{
    struct gemel_worker *worker = wake->data;
    pthread_mutex_lock(&worker->calls.mutex);
    struct gemel_call *call = worker->calls.answered;
    worker->calls.answered = NULL;
    pthread_mutex_unlock(&worker->calls.mutex);
    while (call != NULL) {
        struct gemel_call *next = call->next;
        finish_call(call, call->answer, call->answer_size);
        call = next;
    }
    struct session *session = NULL;
    struct session *following = NULL;
    DL_FOREACH_SAFE (worker->calls.sessions, session, following)
        if (session->cut)
            end_session(session, "the peer does not take its answers");
}

void gemel_call_reply(struct gemel_call *call, const void *payload, size_t size)
{
    ASSERT(call->outcome == CALL_OPEN);
    if (size > PAYLOAD_BYTES_MAX) {
        gemel_call_fail(call, -EMSGSIZE, "the answer is over 15 MiB; ask for less", false);
        return;
    }
    call->outcome = CALL_REPLIED;
    if (is_loop_thread(call->worker)) {
        finish_call(call, payload, size);
        return;
    }
    wait_for_room(call);
    call->answer = memory_copy(payload, size);
    call->answer_size = size;
    hand_back(call);
}

void gemel_call_fail(struct gemel_call *call, int code, const char *sentence, bool retry)
{
    ASSERT(call->outcome == CALL_OPEN && code < 0);
    call->outcome = CALL_FAILED;
    call->code = code;
    call->retry = retry;
    text_copy(call->sentence, sizeof call->sentence, sentence);
    if (is_loop_thread(call->worker))
        finish_call(call, NULL, 0);
    else
        hand_back(call);
}

/* ---- what a handler asks */

const uint8_t *gemel_call_payload(const struct gemel_call *call, size_t *size)
{
    *size = call->payload_size;
    return call->payload;
}

int64_t gemel_call_left_ms(const struct gemel_call *call)
{
    if (call->deadline_ms == INT64_MAX)
        return INT64_MAX;
    int64_t left = call->deadline_ms - clock_now_ms();
    return left > 0 ? left : 0;
}

bool gemel_call_cancelled(const struct gemel_call *call)
{
    return atomic_load_explicit(&call->cancelled, memory_order_relaxed) || gemel_call_left_ms(call) == 0;
}

/* ---- the start of a call */

static void run_call(struct pool_job *job)
{
    struct gemel_call *call = (struct gemel_call *)(void *)job; /* its first member */
    if (gemel_call_cancelled(call))
        gemel_call_fail(call, -ECANCELED, "nobody waited for the answer any more", false);
    else
        call->worker->calls.handler(call->worker->calls.handler_data, call);
}

static struct gemel_call *make_call(struct session *session, const struct frame_header *header,
                                    const struct frame_route *route)
{
    struct calls *calls = &session->worker->calls;
    struct gemel_call *call = calls->free_calls;
    if (call != NULL)
        calls->free_calls = call->next;
    else
        call = memory_alloc(sizeof *call);
    *call = (struct gemel_call){
        .job.run = run_call,
        .worker = session->worker,
        .session = session,
        .request_id = header->request_id,
        .deadline_ms = route->timeout_ms > 0 ? clock_now_ms() + route->timeout_ms : INT64_MAX,
        .payload = route->payload,
        .payload_size = route->payload_bytes,
    };
    calls->count++;
    HASH_ADD(hh, session->calls, request_id, sizeof call->request_id, call);
    return call;
}

/* Why this query cannot be taken; NULL: it can. */
static const char *refuse_query(const struct session *session, const struct frame_header *header,
                                const struct frame_route *route)
{
    const struct calls *calls = &session->worker->calls;
    struct gemel_call *same = NULL;
    HASH_FIND(hh, session->calls, &header->request_id, sizeof header->request_id, same);
    if (same != NULL)
        return "the request id is in use";
    if (session->worker->stopping)
        return "the process is stopping";
    if (calls->handler == NULL)
        return "this process answers no queries";
    if (calls->count >= CALLS_MAX)
        return "10,000 calls wait here already";
    /* A port may belong to another process by now. */
    if (route->name_bytes != strlen(calls->route) || memcmp(route->name, calls->route, route->name_bytes) != 0)
        return "the query is for another process";
    return NULL;
}

static void take_query(struct session *session, const struct frame_header *header, const uint8_t *body)
{
    struct calls *calls = &session->worker->calls;
    struct frame_route route;
    if (frame_route_decode(body, header->body_bytes, &route) != 0) {
        send_failure(session, header->request_id, -EBADMSG, "the query's route is malformed", false);
        return;
    }
    const char *refusal = refuse_query(session, header, &route);
    if (refusal != NULL) {
        send_failure(session, header->request_id, -EAGAIN, refusal, true);
        return;
    }
    struct gemel_call *call = make_call(session, header, &route);
    uint64_t request_id = header->request_id;
    if (calls->pool != NULL) {
        call->owned = memory_copy(call->payload, call->payload_size);
        call->payload = call->owned;
        pool_submit(calls->pool, &call->job);
        return;
    }
    calls->handler(calls->handler_data, call);
    /* The handler kept the call: the payload must outlive this frame. */
    HASH_FIND(hh, session->calls, &request_id, sizeof request_id, call);
    if (call != NULL && call->owned == NULL) {
        call->owned = memory_copy(call->payload, call->payload_size);
        call->payload = call->owned;
    }
}

static void take_cancel(struct session *session, uint64_t request_id)
{
    struct gemel_call *call = NULL;
    HASH_FIND(hh, session->calls, &request_id, sizeof request_id, call);
    if (call != NULL)
        atomic_store_explicit(&call->cancelled, true, memory_order_relaxed);
}

/* ---- links */

static void on_open(void *owner, struct link *link)
{
    struct gemel_worker *worker = owner;
    struct session *session = memory_alloc(sizeof *session);
    session->worker = worker;
    session->link = link;
    link_set_owner(link, session);
    DL_APPEND(worker->calls.sessions, session);
    if (worker->calls.frames != NULL && worker->calls.frames->on_open != NULL)
        worker->calls.frames->on_open(worker->calls.frames_owner, link);
}

static void on_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct session *session = owner;
    const struct calls *calls = &session->worker->calls;
    if (header->type == FRAME_QUERY)
        take_query(session, header, body);
    else if (header->type == FRAME_CANCEL)
        take_cancel(session, header->request_id);
    else if (header->type == FRAME_PING)
        link_send(link, FRAME_PONG, header->request_id, NULL, 0);
    else if (calls->frames != NULL && calls->frames->on_frame != NULL)
        calls->frames->on_frame(calls->frames_owner, link, header, body);
}

static void on_close(void *owner, struct link *link, int reason, const char *why)
{
    struct session *session = owner;
    const struct calls *calls = &session->worker->calls;
    if (calls->frames != NULL && calls->frames->on_close != NULL)
        calls->frames->on_close(calls->frames_owner, link, reason, why);
    drop_session(session);
}

static void on_drained(void *owner, struct link *link)
{
    struct session *session = owner;
    const struct calls *calls = &session->worker->calls;
    send_held(session);
    if (calls->frames != NULL && calls->frames->on_drained != NULL)
        calls->frames->on_drained(calls->frames_owner, link);
}

void worker_handle_frames(struct gemel_worker *worker, const struct worker_frames *frames, void *owner)
{
    worker->calls.frames = frames;
    worker->calls.frames_owner = owner;
}

void worker_link_set_data(struct link *link, void *data)
{
    ((struct session *)link_owner(link))->data = data;
}

void *worker_link_data(const struct link *link)
{
    return ((const struct session *)link_owner(link))->data;
}

void worker_link_cut(struct link *link)
{
    cut_session(link_owner(link));
}

int worker_listen(struct gemel_worker *worker)
{
    static const struct link_handlers handlers = {
        .on_open = on_open, .on_frame = on_frame, .on_close = on_close, .on_drained = on_drained};
    struct error error = {0};
    struct link_self self = worker_self(worker);
    int result =
        link_listen(&worker->calls.server, &worker->loop, worker->environment.listen, &self, &handlers, worker, &error);
    if (result != 0)
        return failure_take(&error);
    text_copy(worker->notify.endpoint, sizeof worker->notify.endpoint, link_server_address(worker->calls.server));
    notify_send_state(&worker->notify);
    return 0;
}

int gemel_worker_serve(struct gemel_worker *worker, gemel_handler handler, void *data, unsigned threads)
{
    struct calls *calls = &worker->calls;
    if (threads > POOL_THREADS_MAX)
        return failure_set(-EINVAL, "a worker has at most %d threads", POOL_THREADS_MAX);
    calls->handler = handler;
    calls->handler_data = data;
    int result = threads > 0 ? pool_create(&calls->pool, threads) : 0;
    if (result != 0)
        return failure_set(result, "cannot start %u threads: %s", threads, strerror(-result));
    return worker_listen(worker);
}

void calls_init(struct calls *calls, struct gemel_worker *worker)
{
    const struct process_id *id = &worker->environment.id;
    snprintf(calls->route, sizeof calls->route, "%s.%s.%u", id->pipeline, id->type, id->index);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&calls->room, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&calls->mutex, NULL);
    uv_async_init(&worker->loop, &calls->wake, on_wake);
    uv_timer_init(&worker->loop, &calls->held_check);
    calls->wake.data = calls->held_check.data = worker;
}

void calls_fini(struct calls *calls)
{
    struct session *session = NULL;
    struct session *next = NULL;
    link_server_destroy(&calls->server);
    DL_FOREACH_SAFE (calls->sessions, session, next) {
        struct link *link = session->link;
        if (calls->frames != NULL && calls->frames->on_close != NULL)
            calls->frames->on_close(calls->frames_owner, link, 0, "the process ends");
        link_close(link);
        drop_session(session);
    }
    pool_destroy(&calls->pool);
    on_wake(&calls->wake);
    while (calls->free_calls != NULL) {
        struct gemel_call *call = calls->free_calls;
        calls->free_calls = call->next;
        memory_free(call);
    }
    pthread_mutex_destroy(&calls->mutex);
    pthread_cond_destroy(&calls->room);
    memory_free(calls->scratch);
    calls->scratch = NULL;
    uv_close((uv_handle_t *)&calls->wake, NULL);
    uv_close((uv_handle_t *)&calls->held_check, NULL);
}
