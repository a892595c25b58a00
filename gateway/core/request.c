#include "gateway/core/request.h"

#include "common/base/assert.h"
#include "common/base/memory.h"

enum {
    REQUESTS_FIRST = 256 /* slots of a new table; it doubles */
};

struct requests {
    struct request *slots;
    uint32_t capacity;
    uint32_t max;
    uint32_t free_first; /* threaded by in_place.next */
    uint32_t count;
    uint64_t bytes;
    uint32_t *heap; /* slots, by deadline; heap[0] is the earliest */
    uint32_t heap_count;
};

void request_list_init(struct request_list *list)
{
    *list = (struct request_list){.first = REQUEST_NONE, .last = REQUEST_NONE};
}

static void enter(struct request *request, enum request_state state)
{
    switch (request->state) {
    case REQUEST_FREE:
        ASSERT(state == REQUEST_WAITING);
        break;
    case REQUEST_WAITING:
        ASSERT(state != REQUEST_WAITING);
        break;
    case REQUEST_RUNNING:
        break;
    }
    request->state = state;
}

/* ---- lists ---- */

/* Which pair of links threads the list: the place or the client. */
enum thread {
    THREAD_PLACE,
    THREAD_CLIENT
};

static struct request_links *links_of(struct requests *requests, uint32_t slot, enum thread thread)
{
    struct request *request = &requests->slots[slot];
    return thread == THREAD_PLACE ? &request->in_place : &request->in_client;
}

static void append(struct requests *requests, struct request_list *list, uint32_t slot, enum thread thread)
{
    struct request_links *links = links_of(requests, slot, thread);
    links->next = REQUEST_NONE;
    links->previous = list->last;
    if (list->last == REQUEST_NONE)
        list->first = slot;
    else
        links_of(requests, list->last, thread)->next = slot;
    list->last = slot;
    list->count++;
}

static void take_out(struct requests *requests, struct request_list *list, uint32_t slot, enum thread thread)
{
    struct request_links *links = links_of(requests, slot, thread);
    ASSERT(list->count > 0);
    if (links->previous == REQUEST_NONE)
        list->first = links->next;
    else
        links_of(requests, links->previous, thread)->next = links->next;
    if (links->next == REQUEST_NONE)
        list->last = links->previous;
    else
        links_of(requests, links->next, thread)->previous = links->previous;
    list->count--;
}

static void move_to(struct requests *requests, uint32_t slot, struct request_list *place)
{
    struct request *request = &requests->slots[slot];
    take_out(requests, request->place, slot, THREAD_PLACE);
    append(requests, place, slot, THREAD_PLACE);
    request->place = place;
}

/* ---- deadlines: a binary heap of slots ---- */

static int64_t deadline_at(const struct requests *requests, uint32_t position)
{
    return requests->slots[requests->heap[position]].deadline_ms;
}

static void put(struct requests *requests, uint32_t position, uint32_t slot)
{
    requests->heap[position] = slot;
    requests->slots[slot].heap_position = position;
}

static void sift_up(struct requests *requests, uint32_t position)
{
    uint32_t slot = requests->heap[position];
    int64_t deadline_ms = requests->slots[slot].deadline_ms;
    while (position > 0 && deadline_at(requests, (position - 1) / 2) > deadline_ms) {
        put(requests, position, requests->heap[(position - 1) / 2]);
        position = (position - 1) / 2;
    }
    put(requests, position, slot);
}

static void sift_down(struct requests *requests, uint32_t position)
{
    uint32_t slot = requests->heap[position];
    int64_t deadline_ms = requests->slots[slot].deadline_ms;
    for (;;) {
        uint32_t child = position * 2 + 1;
        if (child >= requests->heap_count)
            break;
        if (child + 1 < requests->heap_count && deadline_at(requests, child + 1) < deadline_at(requests, child))
            child++;
        if (deadline_at(requests, child) >= deadline_ms)
            break;
        put(requests, position, requests->heap[child]);
        position = child;
    }
    put(requests, position, slot);
}

static void heap_add(struct requests *requests, uint32_t slot)
{
    put(requests, requests->heap_count++, slot);
    sift_up(requests, requests->heap_count - 1);
}

static void heap_remove(struct requests *requests, uint32_t slot)
{
    uint32_t position = requests->slots[slot].heap_position;
    if (position == REQUEST_NONE)
        return;
    requests->slots[slot].heap_position = REQUEST_NONE;
    requests->heap_count--;
    if (position == requests->heap_count)
        return;
    uint32_t moved = requests->heap[requests->heap_count];
    put(requests, position, moved);
    sift_up(requests, position);
    sift_down(requests, requests->slots[moved].heap_position);
}

/* ---- the table ---- */

void requests_create(struct requests **requests, uint32_t max)
{
    struct requests *made = memory_alloc(sizeof *made);
    made->max = max;
    made->free_first = REQUEST_NONE;
    *requests = made;
}

void requests_destroy(struct requests **requests)
{
    if (*requests == NULL)
        return;
    memory_free((*requests)->slots);
    memory_free((*requests)->heap);
    memory_free(*requests);
    *requests = NULL;
}

static void grow(struct requests *requests)
{
    uint32_t capacity = requests->capacity == 0 ? REQUESTS_FIRST : requests->capacity * 2;
    if (capacity > requests->max)
        capacity = requests->max;
    requests->slots = memory_resize(requests->slots, capacity * sizeof *requests->slots);
    requests->heap = memory_resize(requests->heap, capacity * sizeof *requests->heap);
    for (uint32_t slot = capacity; slot-- > requests->capacity;) {
        requests->slots[slot] = (struct request){.state = REQUEST_FREE, .heap_position = REQUEST_NONE};
        requests->slots[slot].in_place.next = requests->free_first;
        requests->free_first = slot;
    }
    requests->capacity = capacity;
}

uint32_t requests_open(struct requests *requests, const struct request_facts *facts, struct request_list *place,
                       struct request_list *client)
{
    if (requests->free_first == REQUEST_NONE) {
        if (requests->capacity == requests->max)
            return REQUEST_NONE;
        grow(requests);
    }
    uint32_t slot = requests->free_first;
    struct request *request = &requests->slots[slot];
    requests->free_first = request->in_place.next;
    *request = (struct request){
        .client_request_id = facts->client_request_id,
        .fingerprint = facts->fingerprint,
        .deadline_ms = facts->deadline_ms,
        .timeout_ms = facts->timeout_ms,
        .generation = request->generation + 1,
        .client = facts->client,
        .route = facts->route,
        .process = REQUEST_NONE,
        .failed_process = REQUEST_NONE,
        .bytes = facts->bytes,
        .idempotent = facts->idempotent,
        .state = request->state,
        .place = place,
        .heap_position = REQUEST_NONE,
    };
    enter(request, REQUEST_WAITING);
    append(requests, place, slot, THREAD_PLACE);
    append(requests, client, slot, THREAD_CLIENT);
    if (facts->deadline_ms != INT64_MAX)
        heap_add(requests, slot);
    requests->count++;
    requests->bytes += facts->bytes;
    return slot;
}

uint64_t requests_run(struct requests *requests, uint32_t slot, struct request_list *place, uint32_t process,
                      int64_t now_ms)
{
    struct request *request = requests_at(requests, slot);
    ASSERT(request->attempts < REQUEST_ATTEMPTS_MAX);
    enter(request, REQUEST_RUNNING);
    move_to(requests, slot, place);
    request->process = process;
    request->started_ms = now_ms;
    request->attempts++;
    request->generation++;
    return requests_upstream_id(requests, slot);
}

void requests_wait(struct requests *requests, uint32_t slot, struct request_list *place)
{
    struct request *request = requests_at(requests, slot);
    enter(request, REQUEST_WAITING);
    move_to(requests, slot, place);
    request->process = REQUEST_NONE;
}

void requests_close(struct requests *requests, uint32_t slot, struct request_list *client)
{
    struct request *request = requests_at(requests, slot);
    take_out(requests, request->place, slot, THREAD_PLACE);
    take_out(requests, client, slot, THREAD_CLIENT);
    heap_remove(requests, slot);
    requests->count--;
    requests->bytes -= request->bytes;
    enter(request, REQUEST_FREE);
    request->place = NULL;
    request->in_place.next = requests->free_first;
    requests->free_first = slot;
}

struct request *requests_at(struct requests *requests, uint32_t slot)
{
    ASSERT(slot < requests->capacity && requests->slots[slot].state != REQUEST_FREE);
    return &requests->slots[slot];
}

uint64_t requests_upstream_id(const struct requests *requests, uint32_t slot)
{
    return (uint64_t)requests->slots[slot].generation << 32 | slot;
}

uint32_t requests_match(const struct requests *requests, uint64_t upstream_id)
{
    uint32_t slot = (uint32_t)upstream_id;
    if (slot >= requests->capacity || requests->slots[slot].state != REQUEST_RUNNING ||
        requests->slots[slot].generation != (uint32_t)(upstream_id >> 32))
        return REQUEST_NONE;
    return slot;
}

uint32_t requests_next_in_place(const struct requests *requests, uint32_t slot)
{
    return requests->slots[slot].in_place.next;
}

uint32_t requests_next_of_client(const struct requests *requests, uint32_t slot)
{
    return requests->slots[slot].in_client.next;
}

int64_t requests_next_deadline_ms(const struct requests *requests)
{
    return requests->heap_count == 0 ? INT64_MAX : deadline_at(requests, 0);
}

uint32_t requests_expired(const struct requests *requests, int64_t now_ms)
{
    if (requests->heap_count == 0 || deadline_at(requests, 0) > now_ms)
        return REQUEST_NONE;
    return requests->heap[0];
}

uint32_t requests_count(const struct requests *requests)
{
    return requests->count;
}

uint64_t requests_bytes(const struct requests *requests)
{
    return requests->bytes;
}

enum request_fate request_fate(const struct request *request)
{
    if (request->attempts >= REQUEST_ATTEMPTS_MAX)
        return REQUEST_SECOND_LOSS;
    return request->idempotent ? REQUEST_REPEAT : REQUEST_NOT_AGAIN;
}

const char *request_state_name(enum request_state state)
{
#define REQUEST_STATE_WORD(name, word)                                                                                 \
    case name:                                                                                                         \
        return word;
    switch (state) {
        REQUEST_STATES(REQUEST_STATE_WORD)
    }
#undef REQUEST_STATE_WORD
    return "unknown";
}
