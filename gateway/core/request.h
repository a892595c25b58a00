/* The queries that a gateway holds: an array of slots, found by index and generation. Pure.
 *
 * The request id of the upstream hop is `slot | generation << 32`; the generation rises whenever a query is sent or its
 * slot is used anew, so that a late answer of an earlier attempt, or of another query, never matches. Each query is in
 * one *place* (the running list of a process or the waiting list of a route), in the list of its client, and in a heap
 * by deadline. All is done in place: taking up and ending a query allocates nothing once the table has grown. */
#ifndef GEMEL_GATEWAY_CORE_REQUEST_H
#define GEMEL_GATEWAY_CORE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_NONE UINT32_MAX

enum {
    REQUEST_ATTEMPTS_MAX = 2 /* no query ever starts on a third process */
};

/* name, operator's word */
#define REQUEST_STATES(X)                                                                                              \
    X(REQUEST_FREE, "free")       /* -> waiting */                                                                     \
    X(REQUEST_WAITING, "waiting") /* in its route's queue -> running, free */                                          \
    X(REQUEST_RUNNING, "running") /* sent to a process -> waiting (repeat), running (repeat), free */

#define REQUEST_STATE_NAME(name, word) name,
enum request_state {
    REQUEST_STATES(REQUEST_STATE_NAME)
};
#undef REQUEST_STATE_NAME

/* Threads requests in order; owned by whoever embeds it. Starts with request_list_init. */
struct request_list {
    uint32_t first;
    uint32_t last;
    uint32_t count;
};

void request_list_init(struct request_list *list);

struct request_links {
    uint32_t next;
    uint32_t previous;
};

struct request {
    uint64_t client_request_id;
    uint64_t fingerprint; /* equal bodies have equal ones */
    int64_t deadline_ms;  /* INT64_MAX: none */
    int64_t started_ms;   /* of the running attempt */
    uint32_t timeout_ms;  /* as granted; 0: none */
    uint32_t generation;
    uint32_t client;
    uint32_t route;
    uint32_t process;        /* running: where */
    uint32_t failed_process; /* that failed it first; REQUEST_NONE: none */
    uint32_t bytes;          /* of its body */
    uint8_t attempts;        /* sends so far */
    bool idempotent;
    enum request_state state;   /* written by enter() alone */
    struct request_list *place; /* borrowed: where it is threaded */
    struct request_links in_place;
    struct request_links in_client;
    uint32_t heap_position; /* REQUEST_NONE: without deadline */
};

struct requests;

/* A table for at most `max` queries. */
void requests_create(struct requests **requests, uint32_t max);
void requests_destroy(struct requests **requests);

/* What request_open is told; copied. */
struct request_facts {
    uint32_t client;
    uint64_t client_request_id;
    uint32_t route;
    uint32_t bytes;
    uint64_t fingerprint;
    uint32_t timeout_ms;
    int64_t deadline_ms;
    bool idempotent;
};

/* Takes up a query as waiting at the end of `place`, and of its `client` list. Returns its slot; REQUEST_NONE when the
 * table is full. */
uint32_t requests_open(struct requests *requests, const struct request_facts *facts, struct request_list *place,
                       struct request_list *client);

/* It is sent to `process`: moves it to the end of `place`, raises attempts and generation.
 * Returns the request id of the upstream hop. */
uint64_t requests_run(struct requests *requests, uint32_t slot, struct request_list *place, uint32_t process,
                      int64_t now_ms);

/* It waits again: moves it to the end of `place`. */
void requests_wait(struct requests *requests, uint32_t slot, struct request_list *place);

/* It ended: takes it out of every list; the slot is free. */
void requests_close(struct requests *requests, uint32_t slot, struct request_list *client);

/* The query in a slot (borrowed until the next requests_open); the slot must be in use. */
struct request *requests_at(struct requests *requests, uint32_t slot);

/* The request id of the upstream hop of a running query. */
uint64_t requests_upstream_id(const struct requests *requests, uint32_t slot);

/* The slot of a running query by the id of its upstream hop; REQUEST_NONE when it ended or moved on. */
uint32_t requests_match(const struct requests *requests, uint64_t upstream_id);

/* The next in a place, in a client's list; REQUEST_NONE at the end. */
uint32_t requests_next_in_place(const struct requests *requests, uint32_t slot);
uint32_t requests_next_of_client(const struct requests *requests, uint32_t slot);

/* The earliest deadline; INT64_MAX: none. */
int64_t requests_next_deadline_ms(const struct requests *requests);
/* A query whose deadline is not after now; REQUEST_NONE: none. */
uint32_t requests_expired(const struct requests *requests, int64_t now_ms);

uint32_t requests_count(const struct requests *requests);
uint64_t requests_bytes(const struct requests *requests);

/* What becomes of a running query whose process was lost. */
enum request_fate {
    REQUEST_REPEAT,     /* send it once more */
    REQUEST_NOT_AGAIN,  /* it may not be repeated */
    REQUEST_SECOND_LOSS /* its second process was lost, too */
};
enum request_fate request_fate(const struct request *request);

const char *request_state_name(enum request_state state);

#endif
