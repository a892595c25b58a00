/* A client of the gateways: requests in flight, repeated at another gateway when one is lost. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "worker/failure.h"
#include "worker/gateways.h"
#include "worker/gemel.h"
#include "worker/result.h"
#include "worker/target.h"

enum {
    REQUESTS_MAX = 10000,
    PAYLOAD_BYTES_MAX = 15 * 1024 * 1024,
    TIMEOUT_DEFAULT_MS = 30000,
    RETRIES_MAX = 3, /* of a request that a gateway or process gave back with `retry` */
    RETRY_MS = 50,   /* before it is asked again */
    GRACE_MS = 50    /* the process knows the deadline too: its own word about it comes first */
};

struct request {
    uint64_t id;
    unsigned flags;
    bool sent;    /* on the link in use */
    bool lost;    /* its link is gone and it is not repeated */
    bool waiting; /* given back, is asked again at retry_at_ms */
    unsigned retries;
    uint64_t retry_at_ms;
    uint64_t deadline_ms;
    uint32_t timeout_ms;
    char route[PROCESS_NAME_BYTES];
    uint8_t *body; /* route header, route, payload */
    size_t body_bytes;
    gemel_reply reply;
    void *data;
    UT_hash_handle hh;
    struct request *prev, *next; /* by deadline */
};

struct gemel_client {
    uv_loop_t loop;
    struct gateways *gateways;
    struct request *by_id;
    struct request *by_deadline;
    uint64_t next_id;
    uv_timer_t deadline; /* of the first request, or of a retry */
    uv_timer_t limit;    /* of gemel_client_run */
    bool limit_over;
    int replies; /* in this run */
    struct seen_marks marks;
};

/* ---- the end of a request */

static void remove_request(struct gemel_client *client, struct request *request)
{
    HASH_DEL(client->by_id, request);
    DL_DELETE(client->by_deadline, request);
    gateways_expect(client->gateways, client->by_id != NULL);
}

static void release_request(struct request *request)
{
    memory_free(request->body);
    memory_free(request);
}

/* Tells the caller; the sentence of a failure was kept before. */
static void end_request(struct gemel_client *client, struct request *request, int code, const char *source,
                        const uint8_t *payload, size_t size)
{
    remove_request(client, request);
    client->replies++;
    request->reply(request->data, code, source, payload, size);
    release_request(request);
}

/* ---- sending */

static void send_request(struct gemel_client *client, struct request *request)
{
    struct link *link = gateways_active(client->gateways);
    if (link == NULL || request->waiting)
        return;
    uint64_t now = uv_now(&client->loop);
    uint64_t left = request->deadline_ms > now ? request->deadline_ms - now : 1;
    frame_route_encode(request->body, request->route, (uint32_t)left);
    struct frame_header header = {
        .type = FRAME_QUERY,
        .idempotent = (request->flags & GEMEL_REQUEST_ONCE) == 0,
        .request_id = request->id,
        .body_bytes = (uint32_t)request->body_bytes,
        .body_crc32c = crc32c(request->body, request->body_bytes),
    };
    /* A full queue or a closing link: it is sent when the link drains, or on the next one. */
    request->sent = link_send_frame(link, &header, request->body) == 0;
}

static void on_deadline(uv_timer_t *timer);

/* Sets the timer to the first deadline or retry. */
static void schedule(struct gemel_client *client)
{
    uint64_t at = UINT64_MAX;
    const struct request *request = client->by_deadline;
    if (request != NULL)
        at = request->deadline_ms + GRACE_MS;
    DL_FOREACH (client->by_deadline, request)
        if (request->waiting && request->retry_at_ms < at)
            at = request->retry_at_ms;
    if (at == UINT64_MAX) {
        uv_timer_stop(&client->deadline);
        return;
    }
    uint64_t now = uv_now(&client->loop);
    uv_timer_start(&client->deadline, on_deadline, at > now ? at - now : 0, 0);
}

static void time_out(struct gemel_client *client, struct request *request)
{
    struct link *link = gateways_active(client->gateways);
    int code = -ETIMEDOUT;
    if (link != NULL && request->sent) {
        link_send(link, FRAME_CANCEL, request->id, NULL, 0);
        failure_set(code, "no answer from %s within %u ms", request->route, request->timeout_ms);
    } else if (link != NULL) {
        failure_set(code, "the gateway took no more requests within %u ms", request->timeout_ms);
    } else {
        code = failure_set(-EHOSTUNREACH, "no gateway was reached within %u ms: %s", request->timeout_ms,
                           gateways_last_error(client->gateways));
    }
    end_request(client, request, code, "", NULL, 0);
}

static void on_deadline(uv_timer_t *timer)
{
    struct gemel_client *client = timer->data;
    uint64_t now = uv_now(&client->loop);
    while (client->by_deadline != NULL && client->by_deadline->deadline_ms + GRACE_MS <= now)
        time_out(client, client->by_deadline);
    struct request *request = NULL;
    DL_FOREACH (client->by_deadline, request) {
        if (request->waiting && request->retry_at_ms <= now) {
            request->waiting = false;
            send_request(client, request);
        }
    }
    schedule(client);
}

/* ---- what gateways say */

static void send_unsent(struct gemel_client *client)
{
    struct request *request = NULL;
    DL_FOREACH (client->by_deadline, request)
        if (!request->sent)
            send_request(client, request);
}

static void on_active(void *owner, struct link *link)
{
    struct gemel_client *client = owner;
    (void)link;
    send_unsent(client);
    gateways_expect(client->gateways, client->by_id != NULL);
}

static void on_drained(void *owner)
{
    send_unsent(owner);
}

static struct request *find_lost(const struct gemel_client *client)
{
    struct request *request = NULL;
    DL_FOREACH (client->by_deadline, request)
        if (request->lost)
            return request;
    return NULL;
}

/* The link in use is gone: what may be repeated is sent again, the rest ends. Called before the next link is used. */
static void forget_sent(struct gemel_client *client, const char *why)
{
    struct request *request = NULL;
    DL_FOREACH (client->by_deadline, request) {
        request->lost = request->sent && (request->flags & GEMEL_REQUEST_ONCE) != 0;
        request->sent = false;
    }
    /* Looked for anew each time, because a reply may start and cancel others. */
    while ((request = find_lost(client)) != NULL)
        end_request(client, request,
                    failure_set(-ECONNRESET, "the gateway was lost and the request is not repeated: %s", why), "", NULL,
                    0);
}

static void on_lost(void *owner, const char *why)
{
    forget_sent(owner, why);
}

static void take_failure(struct gemel_client *client, struct request *request, const struct frame_header *header,
                         const uint8_t *body)
{
    ProtobufCMessage *message = NULL;
    if (wire_unpack(&gemel__failure__descriptor, body, header->body_bytes, &message) != 0) {
        end_request(client, request, failure_set(-EBADMSG, "the gateway sent a malformed failure"), "", NULL, 0);
        return;
    }
    const Gemel__Failure *failure = (const Gemel__Failure *)message;
    uint64_t retry_at_ms = uv_now(&client->loop) + RETRY_MS;
    bool repeatable = failure->retry && (request->flags & GEMEL_REQUEST_ONCE) == 0;
    /* Without time for another try this is the last word, and it says more than a deadline would. */
    if (repeatable && request->retries < RETRIES_MAX && retry_at_ms < request->deadline_ms) {
        request->retries++;
        request->sent = false;
        request->waiting = true;
        request->retry_at_ms = retry_at_ms;
        schedule(client);
    } else {
        int code = failure->code < 0 ? failure->code : -EIO;
        failure_set(code, "%s%s%s", failure->process, failure->process[0] != '\0' ? ": " : "", failure->sentence);
        end_request(client, request, code, failure->process, NULL, 0);
    }
    wire_free(message);
}

static void on_frame(void *owner, const struct frame_header *header, const uint8_t *body)
{
    struct gemel_client *client = owner;
    struct request *request = NULL;
    struct frame_route route;
    char source[PROCESS_NAME_BYTES] = "";
    HASH_FIND(hh, client->by_id, &header->request_id, sizeof header->request_id, request);
    if (request == NULL)
        return;
    if (header->type == FRAME_FAILURE) {
        take_failure(client, request, header, body);
    } else if (header->type == FRAME_ANSWER && frame_route_decode(body, header->body_bytes, &route) == 0) {
        memcpy(source, route.name, route.name_bytes);
        end_request(client, request, 0, source, route.payload, route.payload_bytes);
    }
}

static const struct gateways_handlers gateways_handlers = {
    .on_active = on_active, .on_lost = on_lost, .on_frame = on_frame, .on_drained = on_drained};

/* ---- open and close */

int gemel_client_open(struct gemel_client **client, const char *gateways)
{
    struct error error = {0};
    char name[PROCESS_NAME_BYTES];
    if (gateways == NULL)
        gateways = getenv("GEMEL_GATEWAYS");
    if (gateways == NULL || gateways[0] == '\0')
        return failure_set(-EINVAL, "no gateways: give host:port,host:port or set GEMEL_GATEWAYS");
    struct gemel_client *made = memory_alloc(sizeof *made);
    int result = uv_loop_init(&made->loop);
    if (result != 0) {
        memory_free(made);
        return failure_set(result, "cannot make an event loop: %s", uv_strerror(result));
    }
    snprintf(name, sizeof name, "client-%d", (int)uv_os_getpid());
    uv_timer_init(&made->loop, &made->deadline);
    uv_timer_init(&made->loop, &made->limit);
    made->deadline.data = made->limit.data = made;
    result = gateways_create(&made->gateways, &made->loop, gateways, name, &gateways_handlers, made, &error);
    *client = made;
    if (result != 0) {
        gemel_client_close(client);
        return failure_take(&error);
    }
    return 0;
}

void gemel_client_close(struct gemel_client **client)
{
    struct gemel_client *closing = *client;
    if (closing == NULL)
        return;
    *client = NULL;
    while (closing->by_deadline != NULL)
        end_request(closing, closing->by_deadline, failure_set(-ECANCELED, "the client was closed"), "", NULL, 0);
    gateways_destroy(&closing->gateways);
    uv_close((uv_handle_t *)&closing->deadline, NULL);
    uv_close((uv_handle_t *)&closing->limit, NULL);
    uv_run(&closing->loop, UV_RUN_DEFAULT);
    int result = uv_loop_close(&closing->loop);
    ASSERT(result == 0);
    seen_marks_fini(&closing->marks);
    memory_free(closing);
}

/* ---- requests */

/* Most requests have the same timeout: the place is near the end. */
static void insert_by_deadline(struct gemel_client *client, struct request *request)
{
    struct request *after = client->by_deadline != NULL ? client->by_deadline->prev : NULL; /* the last one */
    while (after != NULL && after->deadline_ms > request->deadline_ms)
        after = after == client->by_deadline ? NULL : after->prev;
    if (after == NULL)
        DL_PREPEND(client->by_deadline, request);
    else
        DL_APPEND_ELEM(client->by_deadline, after, request);
}

int gemel_request_start(struct gemel_client *client, const char *target, const void *payload, size_t size,
                        uint32_t timeout_ms, unsigned flags, gemel_reply reply, void *data, uint64_t *id)
{
    char route[PROCESS_NAME_BYTES];
    if (target_route(target, route) != 0)
        return failure_set(-EINVAL, "a target is a pipeline or Pipeline.type.index, got '%s'", target);
    if (size > PAYLOAD_BYTES_MAX)
        return failure_set(-EMSGSIZE, "a request has at most 15 MiB, got %zu bytes", size);
    if (HASH_COUNT(client->by_id) >= REQUESTS_MAX)
        return failure_set(-EAGAIN, "%d requests are in flight already", REQUESTS_MAX);
    if (client->by_id == NULL)
        uv_update_time(&client->loop); /* it may have stood for long */
    struct request *request = memory_alloc(sizeof *request);
    size_t head = FRAME_ROUTE_BYTES + strlen(route);
    *request = (struct request){.id = ++client->next_id, .flags = flags, .reply = reply, .data = data};
    request->timeout_ms = timeout_ms > 0 ? timeout_ms : TIMEOUT_DEFAULT_MS;
    request->deadline_ms = uv_now(&client->loop) + request->timeout_ms;
    text_copy(request->route, sizeof request->route, route);
    request->body_bytes = head + size;
    request->body = memory_alloc(request->body_bytes);
    if (size > 0)
        memcpy(request->body + head, payload, size);
    HASH_ADD(hh, client->by_id, id, sizeof request->id, request);
    insert_by_deadline(client, request);
    if (id != NULL)
        *id = request->id;
    send_request(client, request);
    gateways_expect(client->gateways, true);
    if (client->by_deadline == request)
        schedule(client);
    return 0;
}

void gemel_cancel(struct gemel_client *client, uint64_t id)
{
    struct request *request = NULL;
    struct link *link = gateways_active(client->gateways);
    HASH_FIND(hh, client->by_id, &id, sizeof id, request);
    if (request == NULL)
        return;
    if (link != NULL && request->sent)
        link_send(link, FRAME_CANCEL, id, NULL, 0);
    end_request(client, request, failure_set(-ECANCELED, "cancelled"), "", NULL, 0);
}

static void on_limit(uv_timer_t *timer)
{
    ((struct gemel_client *)timer->data)->limit_over = true;
}

int gemel_client_run(struct gemel_client *client, int64_t timeout_ms)
{
    client->replies = 0;
    client->limit_over = timeout_ms == 0;
    if (timeout_ms > 0) {
        uv_update_time(&client->loop);
        uv_timer_start(&client->limit, on_limit, (uint64_t)timeout_ms, 0);
    }
    do
        uv_run(&client->loop, timeout_ms == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    while (client->replies == 0 && !client->limit_over);
    uv_timer_stop(&client->limit);
    return client->replies;
}

size_t gemel_client_in_flight(const struct gemel_client *client)
{
    return HASH_COUNT(client->by_id);
}

int gemel_client_descriptor(const struct gemel_client *client)
{
    return uv_backend_fd(&client->loop);
}

/* ---- one request, waited for */

struct waited {
    bool done;
    int code;
    char source[PROCESS_NAME_BYTES];
    uint8_t *payload;
    size_t size;
};

static void on_waited(void *data, int code, const char *source, const uint8_t *payload, size_t size)
{
    struct waited *waited = data;
    *waited = (struct waited){.done = true, .code = code, .size = size};
    text_copy(waited->source, sizeof waited->source, source);
    if (code == 0)
        waited->payload = memory_copy(payload, size);
}

static int request_and_wait(struct gemel_client *client, const char *target, const void *payload, size_t size,
                            uint32_t timeout_ms, struct waited *waited)
{
    *waited = (struct waited){0};
    int result = gemel_request_start(client, target, payload, size, timeout_ms, 0, on_waited, waited, NULL);
    while (result == 0 && !waited->done)
        gemel_client_run(client, -1);
    return result != 0 ? result : waited->code;
}

int gemel_request(struct gemel_client *client, const char *target, const void *payload, size_t size,
                  uint32_t timeout_ms, uint8_t **answer, size_t *answer_size)
{
    struct waited waited;
    int result = request_and_wait(client, target, payload, size, timeout_ms, &waited);
    if (result != 0)
        return result;
    *answer = waited.payload;
    *answer_size = waited.size;
    return 0;
}

void gemel_free(void *memory)
{
    memory_free(memory);
}

int gemel_query(struct gemel_client *client, const char *target, const char *sql, uint32_t timeout_ms,
                struct gemel_result **result)
{
    char route[PROCESS_NAME_BYTES];
    if (target_route(target, route) != 0)
        return failure_set(-EINVAL, "a target is a pipeline or Pipeline.type.index, got '%s'", target);
    struct arena arena;
    struct waited waited;
    size_t size = 0;
    Gemel__SqlQuery query = GEMEL__SQL_QUERY__INIT;
    arena_init(&arena);
    query.sql = (char *)(uintptr_t)sql;
    query.at_least = seen_marks_of(&client->marks, route, &arena, &query.n_at_least);
    uint8_t *payload = wire_pack_arena(&arena, &query.base, &size);
    int code = request_and_wait(client, route, payload, size, timeout_ms, &waited);
    arena_fini(&arena);
    if (code != 0)
        return code;
    if (result_read(waited.payload, waited.size, waited.source, result) != 0) {
        code = failure_set(-EBADMSG, "%s sent a malformed answer", waited.source);
    } else {
        const Gemel__SqlAnswer *answer = result_answer(*result);
        seen_marks_add(&client->marks, route, answer->marks, answer->n_marks);
    }
    memory_free(waited.payload);
    return code;
}
