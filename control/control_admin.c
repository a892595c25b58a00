#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/process_id.h"
#include "common/base/text.h"
#include "common/base/token.h"
#include "common/loop/clock.h"
#include "common/wire/wire.h"
#include "control/control_parts.h"

enum {
    EVENTS_SHOWN = 50,
    VERB_BYTES_MAX = 64
};

/* ---- views */

static Gemel__AdminReply *show_status(struct control *self, const Gemel__AdminRequest *request, struct arena *arena)
{
    (void)request;
    struct pair_status status;
    pair_get_status(self->pair, &status);
    const char *peer = self->settings.clustering ? self->settings.peer_host : "";
    const char *in_sync = self->settings.host;
    if (self->settings.clustering && status.peer == PAIR_PEER_IN_SYNC)
        in_sync = arena_printf(arena, "%s,%s", self->settings.host, peer);
    else if (!status.acting)
        in_sync = status.leader;
    const Gemel__Op *lead = state_find_lead(self->state);
    int64_t since_wall_ns = clock_wall_ns() - (clock_now_ms() - status.since_ms) * 1000000;
    Gemel__AdminReply *reply = admin_reply_create(arena);
    if (status.solo)
        reply->message = arena_printf(arena, "one host only: %s is %s", peer, pair_peer_state_word(status.peer));
    Gemel__Table *table = admin_reply_table(
        arena, reply, "control", "host role leader epoch peer peerState lag inSync promise revision pid since why", 1);
    const char *cells[] = {self->settings.host,
                           status.acting ? "leader" : "follower",
                           status.leader,
                           admin_number(arena, epoch_counter(status.epoch)),
                           peer,
                           self->settings.clustering ? pair_peer_state_word(status.peer) : "none",
                           admin_number(arena, status.lag),
                           in_sync,
                           pair_promise(&self->pair_config),
                           admin_number(arena, state_revision(self->state)),
                           admin_number(arena, (uint64_t)getpid()),
                           admin_date(arena, (uint64_t)since_wall_ns),
                           status.acting && lead != NULL ? lead->lead->why : status.why};
    admin_reply_row(arena, table, cells);
    return reply;
}

static const char *state_word(Gemel__ProcessState state)
{
    static const char *const words[] = {"stopped", "starting", "ready", "stopping", "back-off", "failed"};
    return (size_t)state < COUNT_OF(words) ? words[state] : "unknown";
}

static void add_process(struct control *self, Gemel__Table *table, const Gemel__ProcessReport *report,
                        struct arena *arena)
{
    const Gemel__WantedState *wanted = state_find_wanted(self->state, report->process);
    const char *cells[] = {report->process,
                           report->host,
                           state_word(report->state),
                           wanted == NULL ? ""
                           : wanted->up   ? "up"
                                          : "down",
                           report->pid != 0 ? arena_printf(arena, "%d", report->pid) : "",
                           admin_date(arena, report->since_wall_ns),
                           report->endpoint,
                           admin_number(arena, report->restarts),
                           report->status,
                           report->why,
                           registry_host_is_fresh(self->registry, report->host) ? "yes" : "no"};
    admin_reply_row(arena, table, cells);
}

static Gemel__AdminReply *list_processes(struct control *self, const Gemel__AdminRequest *request, struct arena *arena)
{
    size_t count = 0;
    const char *pipeline = wire_argument(request, "pipeline");
    const Gemel__ProcessReport **reports = registry_processes(self->registry, arena, &count);
    Gemel__AdminReply *reply = admin_reply_create(arena);
    Gemel__Table *table = admin_reply_table(
        arena, reply, "processes", "processName host state wanted pid since endpoint restarts status why fresh", count);
    for (size_t i = 0; i < count; i++) {
        struct process_id id;
        if (pipeline != NULL && (process_id_parse(reports[i]->process, &id) != 0 || strcmp(id.pipeline, pipeline) != 0))
            continue;
        add_process(self, table, reports[i], arena);
    }
    return reply;
}

/* What an operation was, in words. */
static void describe_event(const Gemel__Op *op, struct arena *arena, const char **level, const char **subject,
                           const char **sentence)
{
    *level = "INFO";
    *subject = op->author;
    *sentence = "";
    if (op->body_case == GEMEL__OP__BODY_EVENT) {
        *level = op->event->level;
        *subject = op->event->subject;
        *sentence = op->event->sentence;
    } else if (op->body_case == GEMEL__OP__BODY_LEAD) {
        *subject = op->lead->host;
        *sentence = arena_printf(arena, "leads: %s", op->lead->why);
    } else if (op->body_case == GEMEL__OP__BODY_REVISION) {
        *sentence = arena_printf(arena, "new configuration revision: %s", op->revision->comment);
    } else if (op->body_case == GEMEL__OP__BODY_WANTED) {
        *sentence = op->wanted->why;
    } else if (op->body_case == GEMEL__OP__BODY_ROUTE) {
        *subject = arena_printf(arena, "%s.%s.%u", op->route->pipeline, op->route->type, op->route->index);
        *sentence = arena_printf(arena, "instance %u is primary: %s", op->route->instance, op->route->why);
    }
}

static Gemel__AdminReply *list_events(struct control *self, const Gemel__AdminRequest *request, struct arena *arena)
{
    const char *wanted = wire_argument(request, "count");
    size_t shown = wanted != NULL ? strtoull(wanted, NULL, 10) : EVENTS_SHOWN;
    size_t count = state_count(self->state, STATE_EVENT);
    const struct state_row **rows = state_sorted(self->state, STATE_EVENT, arena);
    Gemel__AdminReply *reply = admin_reply_create(arena);
    Gemel__Table *table = admin_reply_table(arena, reply, "events", "time level subject event", count);
    for (size_t i = count > shown ? count - shown : 0; i < count; i++) {
        const Gemel__Op *op = (const Gemel__Op *)rows[i]->message;
        const char *cells[4] = {admin_date(arena, op->wall_ns)};
        describe_event(op, arena, &cells[1], &cells[2], &cells[3]);
        admin_reply_row(arena, table, cells);
    }
    return reply;
}

static Gemel__AdminReply *show_config(struct control *self, const Gemel__AdminRequest *request, struct arena *arena)
{
    return control_config_show(self, request, arena);
}

static Gemel__AdminReply *list_revisions(struct control *self, const Gemel__AdminRequest *request, struct arena *arena)
{
    (void)request;
    return control_config_history(self, arena);
}

/* ---- commands */

static void stop(struct control *self, const struct asker *asker, const Gemel__AdminRequest *request)
{
    (void)request;
    struct arena arena;
    arena_init(&arena);
    control_reply(self, asker, admin_reply_done(&arena, "control of %s stops", self->settings.host));
    arena_fini(&arena);
    control_stop(self);
}

static Gemel__AdminReply *preview_routes(struct arena *arena, Gemel__OpRoute *const *routes, size_t count)
{
    Gemel__AdminReply *reply = admin_reply_done(arena, "%zu routes would move, nothing was done", count);
    Gemel__Table *table = admin_reply_table(arena, reply, "routes", "pipeline type index instance", count);
    for (size_t i = 0; i < count; i++) {
        const char *cells[] = {routes[i]->pipeline, routes[i]->type, admin_number(arena, routes[i]->index),
                               admin_number(arena, routes[i]->instance)};
        admin_reply_row(arena, table, cells);
    }
    return reply;
}

/* Gateways take a route when its process is ready and fresh: what was forced may move later than it was ordered. */
static void log_routes(struct control *self, const struct asker *asker, const Gemel__AdminRequest *request,
                       Gemel__OpRoute *const *routes, size_t count, struct arena *arena)
{
    bool forced = wire_argument(request, "force") != NULL;
    const Gemel__Op **ops = arena_alloc(arena, count * sizeof *ops);
    for (size_t i = 0; i < count; i++) {
        Gemel__Op *op = arena_alloc(arena, sizeof *op);
        gemel__op__init(op);
        op->wall_ns = (uint64_t)clock_wall_ns();
        op->author = arena_strdup(arena, request->author);
        op->body_case = GEMEL__OP__BODY_ROUTE;
        op->route = routes[i];
        ops[i] = op;
    }
    control_request_log(self, asker, ops, count,
                        admin_reply_done(arena, "instance %u of %s is primary for %zu routes%s", routes[0]->instance,
                                         routes[0]->pipeline, count,
                                         forced ? "; each moves as soon as its process is ready" : ""),
                        false);
}

static void set_route(struct control *self, const struct asker *asker, const Gemel__AdminRequest *request)
{
    struct arena arena;
    struct error error = {0};
    Gemel__OpRoute **routes = NULL;
    size_t count = 0;
    char *end = NULL;
    const char *pipeline = wire_argument(request, "pipeline");
    const char *to_instance = wire_argument(request, "to-instance");
    unsigned long instance = to_instance != NULL ? strtoul(to_instance, &end, 10) : 0;
    arena_init(&arena);
    if (pipeline == NULL || to_instance == NULL || end == to_instance || *end != '\0' || instance >= INSTANCES_MAX) {
        control_reply(self, asker,
                      admin_reply_failed(&arena, ADMIN_USAGE, "say which: --pipeline NAME --to-instance NUMBER"));
        arena_fini(&arena);
        return;
    }
    const char *why = arena_printf(&arena, "failover --failover --to-instance %lu", instance);
    int result = registry_plan_failover(self->registry, pipeline, wire_argument(request, "process"), (uint32_t)instance,
                                        wire_argument(request, "force") != NULL, why, &arena, &routes, &count, &error);
    if (result != 0)
        control_reply(
            self, asker,
            admin_reply_failed(&arena, result == -EAGAIN ? ADMIN_REFUSED : ADMIN_FAILED, "%s", error.sentence));
    else if (wire_argument(request, "dry-run") != NULL)
        control_reply(self, asker, preview_routes(&arena, routes, count));
    else
        log_routes(self, asker, request, routes, count, &arena);
    arena_fini(&arena);
}

/* ---- the table of verbs */

struct verb {
    const char *name; /* ending in '.': every verb that begins with it */
    enum key_role role;
    bool anywhere; /* answered by each control, not by the leader only */
    Gemel__AdminReply *(*view)(struct control *, const Gemel__AdminRequest *, struct arena *);
    void (*command)(struct control *, const struct asker *, const Gemel__AdminRequest *);
};

static const struct verb verbs[] = {
    {"control.status", KEY_ROLE_VIEW, true, show_status, NULL},
    {"control.stop", KEY_ROLE_ADMIN, true, NULL, stop},
    {"config.apply", KEY_ROLE_ADMIN, false, NULL, control_config_apply},
    {"config.rollback", KEY_ROLE_ADMIN, false, NULL, control_config_rollback},
    {"config.show", KEY_ROLE_VIEW, false, show_config, NULL},
    {"config.history", KEY_ROLE_VIEW, false, list_revisions, NULL},
    {"processes.list", KEY_ROLE_VIEW, false, list_processes, NULL},
    {"events.list", KEY_ROLE_VIEW, false, list_events, NULL},
    {"route.set", KEY_ROLE_OPERATE, false, NULL, set_route},
    {"pipeline.status", KEY_ROLE_VIEW, false, NULL, control_request_to_procmgr},
    {"pipeline.list", KEY_ROLE_VIEW, false, NULL, control_request_to_procmgr},
    {"pipeline.", KEY_ROLE_OPERATE, false, NULL, control_request_to_procmgr},
    {"service-class.status", KEY_ROLE_VIEW, false, NULL, control_request_to_procmgr},
    {"service-class.", KEY_ROLE_OPERATE, false, NULL, control_request_to_procmgr},
    {"procmgr.status", KEY_ROLE_VIEW, false, NULL, control_request_to_procmgr},
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        size_t length = strlen(verbs[i].name);
        bool is_family = verbs[i].name[length - 1] == '.';
        if (is_family ? strncmp(name, verbs[i].name, length) == 0 : strcmp(name, verbs[i].name) == 0)
            return &verbs[i];
    }
    return NULL;
}

/* Publishers may command nothing; a node's key is its host's operator when there is no other. */
static bool may_ask(enum key_role role, enum key_role needed)
{
    return role != KEY_ROLE_PUBLISH && role >= needed;
}

/* The one that this command was passed on by takes it back, and holds it. */
static void refuse_passed_on(struct control *self, const struct asker *asker)
{
    struct arena arena;
    arena_init(&arena);
    Gemel__AdminReply *reply =
        admin_reply_failed(&arena, ADMIN_NO_LEADER, "the control of %s does not lead: try again", self->settings.host);
    reply->redirect = arena_strdup(&arena, self->leader);
    control_reply(self, asker, reply);
    arena_fini(&arena);
}

/* May it be given to a second one that could have been carried out by the first? Not what logs something new. */
static bool is_repeatable(const struct verb *verb)
{
    return verb->view != NULL || verb->command == control_request_to_procmgr;
}

void control_admin_run(struct control *self, const struct asker *asker, const Gemel__AdminRequest *request)
{
    const struct verb *verb = find_verb(request->verb);
    ASSERT(verb != NULL);
    if ((verb->anywhere || self->leading) && verb->view != NULL) {
        struct arena arena;
        arena_init(&arena);
        control_reply(self, asker, verb->view(self, request, &arena));
        arena_fini(&arena);
    } else if (verb->anywhere || self->leading) {
        verb->command(self, asker, request);
    } else if (asker->passed_on) {
        refuse_passed_on(self, asker);
    } else if (self->dealer != NULL && strcmp(self->leader, self->settings.peer_host) == 0) {
        control_request_forward(self, asker, request, is_repeatable(verb));
    } else {
        control_request_hold(self, asker, request, AWAITED_LEADER);
    }
}

/* `author` is who asked first: a control that passes a command on says it, others are who their key says. */
void control_admin_request(struct control *self, const struct plane_peer *from, const Gemel__Envelope *envelope)
{
    struct asker asker = {.peer = *from, .request_id = envelope->request_id, .asked_ms = clock_now_ms()};
    Gemel__AdminRequest request = *envelope->admin_request; /* borrowed but for the author */
    asker.passed_on = from->role == KEY_ROLE_NODE && strcmp(from->user, self->settings.peer_host) == 0 &&
                      strncmp(envelope->sender, "control@", 8) == 0;
    if (!asker.passed_on || request.author[0] == '\0')
        request.author = asker.peer.user;
    const struct verb *verb = find_verb(request.verb);
    struct arena arena;
    arena_init(&arena);
    if (verb == NULL)
        control_reply(self, &asker,
                      admin_reply_failed(&arena, ADMIN_USAGE, "a control does not know the command '%.*s'",
                                         VERB_BYTES_MAX, request.verb));
    else if (!may_ask(from->role, verb->role))
        control_reply(self, &asker,
                      admin_reply_failed(&arena, ADMIN_REFUSED, "the key '%s' has the role %s, '%s' needs %s",
                                         from->user, key_role_name(from->role), verb->name, key_role_name(verb->role)));
    else
        control_admin_run(self, &asker, &request);
    arena_fini(&arena);
}
