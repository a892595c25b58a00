#include <errno.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/loop/clock.h"
#include "common/wire/wire.h"
#include "control/control_parts.h"

enum request_place {
    REQUEST_HELD, /* here, until somebody can take it */
    REQUEST_AT_LEADER,
    REQUEST_AT_PROCMGR,
    REQUEST_AT_LOG
};

struct request {
    uint64_t number; /* the request id that was given on, or the tag of its operations */
    enum request_place place;
    struct asker asker;
    int64_t deadline_ms;
    Gemel__AdminRequest *command; /* to be given again when it is lost; NULL: it may not be; owned */
    uint64_t procmgr;             /* at the process manager: the number of its connection */
    Gemel__AdminReply *reply;     /* at the log: what is answered when it is done; owned */
    size_t ops_left;
    bool revision; /* the answer names the newest revision */
    bool solo;     /* some of it was acknowledged alone */
    UT_hash_handle hh;
};

/* ---- answers */

void control_reply(struct control *self, const struct asker *asker, Gemel__AdminReply *reply)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.request_id = asker->request_id;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REPLY;
    envelope.admin_reply = reply;
    int result = router_send(self->router, &asker->peer, &envelope);
    if (result != 0 && result != -EHOSTUNREACH)
        log_warn("An answer could not be sent [ User: %s ] [ Error: %s ]", asker->peer.user, strerror(-result));
}

static void reply_failed(struct control *self, const struct asker *asker, int exit_code, const char *sentence)
{
    Gemel__AdminReply reply = GEMEL__ADMIN_REPLY__INIT;
    char text[1024];
    text_copy(text, sizeof text, sentence);
    reply.exit_code = exit_code;
    reply.error = text;
    control_reply(self, asker, &reply);
}

/* ---- the table */

static struct request *find_request(const struct control *self, uint64_t number)
{
    struct request *request = NULL;
    HASH_FIND(hh, self->requests, &number, sizeof number, request);
    return request;
}

static void drop_request(struct control *self, struct request *request)
{
    HASH_DEL(self->requests, request);
    self->request_count--;
    self->held_count -= request->place == REQUEST_HELD ? 1 : 0;
    if (request->command != NULL)
        wire_free(&request->command->base);
    if (request->reply != NULL)
        wire_free(&request->reply->base);
    memory_free(request);
}

/* NULL when there are too many; that is answered. */
static struct request *add_request(struct control *self, const struct asker *asker, enum request_place place)
{
    if (self->request_count == CONTROL_REQUESTS_MAX) {
        reply_failed(self, asker, ADMIN_FAILED, "too many commands are waiting: try again");
        return NULL;
    }
    struct request *request = memory_alloc(sizeof *request);
    request->number = ++self->last_request;
    request->place = place;
    request->asker = *asker;
    request->deadline_ms = clock_now_ms() + CONTROL_REQUEST_MS;
    HASH_ADD(hh, self->requests, number, sizeof request->number, request);
    self->request_count++;
    return request;
}

void control_request_clear(struct control *self)
{
    while (self->requests != NULL) {
        reply_failed(self, &self->requests->asker, ADMIN_NO_LEADER,
                     self->requests->place == REQUEST_HELD
                         ? "this control stops: try again"
                         : "this control stops: ask for the status, it may have been done");
        drop_request(self, self->requests);
    }
}

/* ---- held */

static void fail_held(struct control *self, const struct asker *asker)
{
    char sentence[HOST_NAME_BYTES + 128];
    if (asker->awaited == AWAITED_PROCMGR) {
        reply_failed(self, asker, ADMIN_FAILED,
                     "no process manager runs beside the leader: start it with gemel process-manager --start");
    } else if (self->leader[0] != '\0') {
        snprintf(sentence, sizeof sentence, "the leader is not reached from here: try again, or give the command on %s",
                 self->leader);
        reply_failed(self, asker, ADMIN_NO_LEADER, sentence);
    } else {
        reply_failed(self, asker, ADMIN_NO_LEADER,
                     "no control leads at the moment: gemel application --status shows why, then try again");
    }
}

static int64_t held_until_ms(const struct control *self, const struct asker *asker)
{
    int64_t limit_ms = CONTROL_HELD_PROCMGR_MS;
    if (asker->awaited == AWAITED_LEADER)
        limit_ms = self->settings.lease_ms + self->settings.lease_margin_ms + CONTROL_HELD_LEADER_MS;
    int64_t until_ms = asker->awaited_since_ms + limit_ms;
    int64_t last_ms = asker->asked_ms + CONTROL_HELD_TOTAL_MS;
    return until_ms < last_ms ? until_ms : last_ms;
}

static void await(struct asker *asker, enum awaited awaited)
{
    if (asker->awaited == awaited)
        return;
    asker->awaited = awaited;
    asker->awaited_since_ms = clock_now_ms();
}

/* Keeps a copy in `request`, for the one that comes after who has it now. */
static void keep_command(struct request *request, const Gemel__AdminRequest *command)
{
    request->command = (Gemel__AdminRequest *)wire_copy(&command->base);
}

static void become_held(struct control *self, struct request *request, enum awaited awaited)
{
    await(&request->asker, awaited);
    request->place = REQUEST_HELD;
    request->deadline_ms = held_until_ms(self, &request->asker);
    if (self->held_count++ == 0)
        self->held_again_ms = clock_now_ms() + CONTROL_HELD_EVERY_MS;
}

void control_request_hold(struct control *self, const struct asker *asker, const Gemel__AdminRequest *command,
                          enum awaited awaited)
{
    struct asker waiting = *asker;
    await(&waiting, awaited);
    if (held_until_ms(self, &waiting) <= clock_now_ms()) {
        fail_held(self, &waiting);
        return;
    }
    if (self->held_count == CONTROL_HELD_MAX) {
        reply_failed(self, asker, ADMIN_FAILED, "too many commands are waiting: try again");
        return;
    }
    struct request *request = add_request(self, &waiting, REQUEST_HELD);
    if (request == NULL)
        return;
    keep_command(request, command);
    become_held(self, request, awaited);
}

/* Held ones go when the timer fires, not at once: what has changed may be half told. */
static void try_held_soon(struct control *self)
{
    self->held_again_ms = 0;
}

/* The one that had it is gone: the wait begins now. */
static void take_back(struct control *self, struct request *request, enum awaited awaited)
{
    if (request->command == NULL) {
        reply_failed(self, &request->asker, ADMIN_NO_LEADER,
                     "the leader was lost meanwhile: ask for the status, it may have been done, then try again");
        drop_request(self, request);
        return;
    }
    request->asker.awaited = AWAITED_NONE;
    become_held(self, request, awaited);
    try_held_soon(self);
}

static struct request *next_held(const struct control *self, uint64_t after, uint64_t last)
{
    for (struct request *one = self->requests; one != NULL; one = one->hh.next)
        if (one->place == REQUEST_HELD && one->number > after && one->number <= last)
            return one;
    return NULL;
}

/* Each of the held ones once, in their order; what must be held on is a new request behind `last`. */
static void try_held(struct control *self, int64_t now_ms)
{
    struct request *request = NULL;
    uint64_t after = 0;
    uint64_t last = self->last_request;
    self->held_again_ms = now_ms + CONTROL_HELD_EVERY_MS;
    while ((request = next_held(self, after, last)) != NULL) {
        struct asker asker = request->asker;
        Gemel__AdminRequest *command = request->command;
        after = request->number;
        request->command = NULL;
        drop_request(self, request);
        control_admin_run(self, &asker, command);
        wire_free(&command->base);
    }
}

/* ---- time, and what changes */

static void end_late(struct control *self, struct request *request)
{
    if (request->place == REQUEST_HELD)
        fail_held(self, &request->asker);
    else
        reply_failed(self, &request->asker, ADMIN_TIMEOUT,
                     request->place == REQUEST_AT_LOG
                         ? "the peer has not confirmed it in time: ask for the status, it may still be done"
                         : "no answer in time: ask for the status");
    drop_request(self, request);
}

void control_request_tick(struct control *self, int64_t now_ms)
{
    if (self->held_count > 0 && self->held_again_ms <= now_ms)
        try_held(self, now_ms);
    struct request *one = NULL, *next = NULL;
    HASH_ITER (hh, self->requests, one, next) {
        if (one->deadline_ms <= now_ms)
            end_late(self, one);
    }
}

int64_t control_request_next_ms(const struct control *self)
{
    int64_t at_ms = self->held_count > 0 ? self->held_again_ms : INT64_MAX;
    for (const struct request *one = self->requests; one != NULL; one = one->hh.next)
        if (one->deadline_ms < at_ms)
            at_ms = one->deadline_ms;
    return at_ms;
}

static void take_back_all(struct control *self, enum request_place place, enum awaited awaited)
{
    struct request *one = NULL, *next = NULL;
    HASH_ITER (hh, self->requests, one, next) {
        if (one->place == place)
            take_back(self, one, awaited);
    }
}

void control_request_role_changed(struct control *self)
{
    if (!self->leading)
        take_back_all(self, REQUEST_AT_PROCMGR, AWAITED_LEADER);
    if (strcmp(self->leader, self->settings.peer_host) != 0)
        take_back_all(self, REQUEST_AT_LEADER, AWAITED_LEADER);
    try_held_soon(self);
}

void control_request_leader_up(struct control *self)
{
    try_held_soon(self);
}

void control_request_leader_lost(struct control *self)
{
    take_back_all(self, REQUEST_AT_LEADER, AWAITED_LEADER);
}

/* Also what the one before has in hand: it may hang, and then never answers. */
void control_request_procmgr_came(struct control *self)
{
    take_back_all(self, REQUEST_AT_PROCMGR, AWAITED_PROCMGR);
    try_held_soon(self);
}

void control_request_peer_gone(struct control *self, uint64_t peer)
{
    struct request *one = NULL, *next = NULL;
    HASH_ITER (hh, self->requests, one, next) {
        if (one->place == REQUEST_AT_PROCMGR && one->procmgr == peer)
            take_back(self, one, AWAITED_PROCMGR);
    }
}

/* ---- passed on */

void control_request_forward(struct control *self, const struct asker *asker, const Gemel__AdminRequest *command,
                             bool repeatable)
{
    struct request *request = add_request(self, asker, REQUEST_AT_LEADER);
    if (request == NULL)
        return;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.request_id = request->number;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REQUEST;
    envelope.admin_request = (Gemel__AdminRequest *)(uintptr_t)command;
    if (dealer_send(self->dealer, &envelope) != 0) {
        drop_request(self, request);
        control_request_hold(self, asker, command, AWAITED_LEADER);
    } else if (repeatable) {
        keep_command(request, command);
    }
}

void control_request_to_procmgr(struct control *self, const struct asker *asker, const Gemel__AdminRequest *command)
{
    uint64_t number = registry_procmgr(self->registry);
    const struct plane_peer *procmgr = control_peers_get(self->peers, number);
    if (procmgr == NULL) {
        control_request_hold(self, asker, command, AWAITED_PROCMGR);
        return;
    }
    struct plane_peer to = *procmgr; /* the registry's step may find that it is gone */
    struct request *request = add_request(self, asker, REQUEST_AT_PROCMGR);
    if (request == NULL)
        return;
    keep_command(request, command);
    request->procmgr = number;
    control_step_registry(self, &(struct registry_event){.type = REGISTRY_EVENT_COMMAND});
    if (request->place == REQUEST_HELD)
        return; /* it was gone */
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.request_id = request->number;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REQUEST;
    envelope.admin_request = request->command;
    if (router_send(self->router, &to, &envelope) != 0)
        become_held(self, request, AWAITED_PROCMGR);
}

/* ---- logged before they are answered */

static void log_and_answer(struct control *self, struct request *request, const Gemel__Op *const *ops, size_t count,
                           const Gemel__AdminReply *reply)
{
    request->place = REQUEST_AT_LOG;
    request->ops_left = count;
    request->reply = (Gemel__AdminReply *)wire_copy(&reply->base);
    request->deadline_ms = clock_now_ms() + CONTROL_REQUEST_MS;
    for (size_t i = 0; i < count; i++)
        control_propose(self, ops[i], request->number);
}

void control_request_log(struct control *self, const struct asker *asker, const Gemel__Op *const *ops, size_t count,
                         const Gemel__AdminReply *reply, bool revision)
{
    ASSERT(count > 0);
    for (size_t i = 0; i < count; i++) {
        if (state_check(ops[i]) != 0) {
            reply_failed(self, asker, ADMIN_USAGE,
                         "the operation does not hold together: a name is wrong, or too long");
            return;
        }
    }
    struct request *request = add_request(self, asker, REQUEST_AT_LOG);
    if (request == NULL)
        return;
    request->revision = revision;
    log_and_answer(self, request, ops, count, reply);
}

/* Adds a sentence to the answer's message. */
static void add_sentence(Gemel__AdminReply *reply, const char *sentence)
{
    struct text text;
    text_init(&text, 64 * 1024);
    text_append_string(&text, reply->message);
    if (text.length > 0)
        text_append_string(&text, "\n");
    text_append_string(&text, sentence);
    if (reply->message != (char *)protobuf_c_empty_string)
        memory_free(reply->message);
    reply->message = text_take(&text);
    text_fini(&text);
}

void control_request_on_acknowledged(struct control *self, uint64_t tag, bool solo)
{
    struct request *request = find_request(self, tag);
    if (request == NULL)
        return;
    request->solo = request->solo || solo;
    if (--request->ops_left > 0)
        return;
    char sentence[128];
    snprintf(sentence, sizeof sentence, "revision %llu", (unsigned long long)state_revision(self->state));
    if (request->revision)
        add_sentence(request->reply, sentence);
    if (request->solo)
        add_sentence(request->reply, "one host only: the peer control is unseen, it follows when it is back");
    control_reply(self, &request->asker, request->reply);
    drop_request(self, request);
}

void control_request_on_refused(struct control *self, uint64_t tag, int code, const char *sentence)
{
    struct request *request = find_request(self, tag);
    if (request == NULL)
        return;
    reply_failed(self, &request->asker, code == -ENOTCONN || code == -EINPROGRESS ? ADMIN_NO_LEADER : ADMIN_FAILED,
                 sentence);
    drop_request(self, request);
}

/* The process manager's answer asks for operations: they are logged first. */
static void log_wanted(struct control *self, struct request *request, const Gemel__AdminReply *reply)
{
    struct arena arena;
    arena_init(&arena);
    const Gemel__Op **ops = arena_alloc(&arena, reply->n_wanted * sizeof *ops);
    bool is_good = true;
    for (size_t i = 0; i < reply->n_wanted; i++) {
        Gemel__Op *op = arena_alloc(&arena, sizeof *op);
        gemel__op__init(op);
        op->wall_ns = (uint64_t)clock_wall_ns();
        op->author = request->asker.peer.user;
        op->body_case = GEMEL__OP__BODY_WANTED;
        op->wanted = reply->wanted[i];
        ops[i] = op;
        is_good = is_good && state_check(op) == 0;
    }
    if (is_good) {
        Gemel__AdminReply answer = *reply;
        answer.n_wanted = 0;
        answer.wanted = NULL;
        log_and_answer(self, request, ops, reply->n_wanted, &answer);
    } else {
        reply_failed(self, &request->asker, ADMIN_FAILED, "the process manager asked for what cannot be logged");
        drop_request(self, request);
    }
    arena_fini(&arena);
}

void control_request_on_reply(struct control *self, uint64_t request_id, const Gemel__AdminReply *reply)
{
    struct request *request = find_request(self, request_id);
    if (request == NULL || request->place == REQUEST_AT_LOG || request->place == REQUEST_HELD)
        return; /* it has timed out, or was taken back */
    if (request->place == REQUEST_AT_LEADER && request->command != NULL && reply->exit_code == ADMIN_NO_LEADER) {
        become_held(self, request, AWAITED_LEADER); /* it leads no more, or does not yet */
        return;
    }
    if (request->place == REQUEST_AT_PROCMGR && reply->n_wanted > 0) {
        log_wanted(self, request, reply);
        return;
    }
    control_reply(self, &request->asker, (Gemel__AdminReply *)(uintptr_t)reply);
    request->deadline_ms = clock_now_ms() + CONTROL_REQUEST_MS;
    if (!reply->more) {
        drop_request(self, request);
    } else if (request->command != NULL) {
        wire_free(&request->command->base); /* a part of the answer is out: another one cannot begin it anew */
        request->command = NULL;
    }
}
