#include <stdio.h>
#include <string.h>

#include "common/wire/wire.h"
#include "tests/sim/post.h"
#include "tests/sim/sim_control_state.h"

static void answer_admin(struct world *world, struct control *control, const struct address *origin,
                         uint64_t request_id, int exit_code)
{
    Gemel__AdminReply reply = GEMEL__ADMIN_REPLY__INIT;
    reply.exit_code = exit_code;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.request_id = request_id;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REPLY;
    envelope.admin_reply = &reply;
    (void)post_answer(world, origin, control->node, &envelope);
}

static struct wait *find_wait(struct control *control, uint64_t tag)
{
    for (size_t i = 0; i < WAITS_MAX; i++)
        if (tag != 0 && control->waits[i].tag == tag)
            return &control->waits[i];
    return NULL;
}

static struct wait *add_wait(struct control *control, const struct address *origin, uint64_t request_id)
{
    struct wait *wait = &control->waits[control->next_tag % WAITS_MAX]; /* the oldest is given up */
    *wait = (struct wait){.tag = ++control->next_tag, .origin = *origin, .request_id = request_id};
    return wait;
}

static void finish_wait(struct world *world, struct control *control, struct wait *wait)
{
    answer_admin(world, control, &wait->origin, wait->request_id, wait->failed ? 1 : 0);
    *wait = (struct wait){0};
}

void sim_command_propose(struct world *world, struct control *control, Gemel__Op *op, uint64_t tag)
{
    op->wall_ns = op->wall_ns != 0 ? op->wall_ns : node_wall_ns(world, control->node);
    struct work work = {.kind = WORK_PROPOSE, .number = tag};
    work.op = wire_pack(&op->base, &work.op_bytes);
    sim_control_add_work(control, work);
}

static void note(struct world *world, struct control *control, struct wait *wait, const Gemel__AdminRequest *request)
{
    const char *text = wire_argument(request, "text");
    Gemel__OpEvent event = GEMEL__OP_EVENT__INIT;
    event.level = (char *)(uintptr_t) "INFO";
    event.subject = (char *)(uintptr_t) "operator";
    event.sentence = (char *)(uintptr_t)(text != NULL ? text : "");
    Gemel__Op op = GEMEL__OP__INIT;
    op.author = (char *)(uintptr_t) "operator";
    op.body_case = GEMEL__OP__BODY_EVENT;
    op.event = &event;
    wait->acknowledgements = 1;
    sim_command_propose(world, control, &op, wait->tag);
}

static void apply_configuration(struct world *world, struct control *control, struct wait *wait)
{
    Gemel__LayoutFile file = GEMEL__LAYOUT_FILE__INIT;
    file.path = (char *)(uintptr_t) "system.yaml";
    Gemel__LayoutFile *files[] = {&file};
    Gemel__OpRevision revision = GEMEL__OP_REVISION__INIT;
    revision.files = files;
    revision.n_files = 1;
    Gemel__Op op = GEMEL__OP__INIT;
    op.author = (char *)(uintptr_t) "operator";
    op.body_case = GEMEL__OP__BODY_REVISION;
    op.revision = &revision;
    wait->acknowledgements = 1;
    sim_command_propose(world, control, &op, wait->tag);
}

static void set_route(struct world *world, struct control *control, struct wait *wait,
                      const Gemel__AdminRequest *request)
{
    struct arena arena;
    arena_init(&arena);
    Gemel__OpRoute **routes = NULL;
    size_t count = 0;
    struct error error = {0};
    const char *instance = wire_argument(request, "to-instance");
    int result = registry_plan_failover(control->registry, wire_argument(request, "pipeline"), NULL,
                                        instance != NULL && instance[0] == '1' ? 1 : 0, false, "failover", &arena,
                                        &routes, &count, &error);
    wait->failed = result != 0;
    wait->acknowledgements = result == 0 ? count : 0;
    for (size_t i = 0; i < wait->acknowledgements; i++) {
        Gemel__Op op = GEMEL__OP__INIT;
        op.author = (char *)(uintptr_t) "operator";
        op.body_case = GEMEL__OP__BODY_ROUTE;
        op.route = routes[i];
        sim_command_propose(world, control, &op, wait->tag);
    }
    if (wait->acknowledgements == 0)
        finish_wait(world, control, wait);
    arena_fini(&arena);
}

static void hand_to_procmgr(struct world *world, struct control *control, struct wait *wait,
                            const Gemel__Envelope *message)
{
    const struct peer *peer = peers_find(&control->peers, registry_procmgr(control->registry));
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.request_id = wait->tag;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REQUEST;
    envelope.admin_request = message->admin_request;
    if (peer != NULL && post_answer(world, &peer->address, control->node, &envelope) == 0)
        return;
    wait->failed = true;
    finish_wait(world, control, wait);
}

void sim_command_on_request(struct world *world, struct control *control, const struct address *origin,
                            const Gemel__Envelope *message)
{
    struct pair_status status;
    pair_get_status(control->pair, &status);
    if (!status.acting) {
        answer_admin(world, control, origin, message->request_id, 4);
        return;
    }
    const Gemel__AdminRequest *request = message->admin_request;
    struct wait *wait = add_wait(control, origin, message->request_id);
    if (strcmp(request->verb, "sim.note") == 0)
        note(world, control, wait, request);
    else if (strcmp(request->verb, "config.apply") == 0)
        apply_configuration(world, control, wait);
    else if (strcmp(request->verb, "route.set") == 0)
        set_route(world, control, wait, request);
    else
        hand_to_procmgr(world, control, wait, message);
}

/* The process manager's answer: what it wants logged is logged before the operator hears of it. */
void sim_command_on_reply(struct world *world, struct control *control, const Gemel__Envelope *message)
{
    struct wait *wait = find_wait(control, message->request_id);
    if (wait == NULL || wait->acknowledgements > 0)
        return;
    const Gemel__AdminReply *reply = message->admin_reply;
    wait->failed = reply->exit_code != 0;
    wait->acknowledgements = reply->n_wanted;
    for (size_t i = 0; i < reply->n_wanted; i++) {
        Gemel__Op op = GEMEL__OP__INIT;
        op.author = (char *)(uintptr_t) "operator";
        op.body_case = GEMEL__OP__BODY_WANTED;
        op.wanted = reply->wanted[i];
        sim_command_propose(world, control, &op, wait->tag);
    }
    if (reply->n_wanted == 0)
        finish_wait(world, control, wait);
}

void sim_command_on_acknowledged(struct world *world, struct control *control, uint64_t tag)
{
    struct wait *wait = find_wait(control, tag);
    if (wait != NULL && wait->acknowledgements > 0 && --wait->acknowledgements == 0)
        finish_wait(world, control, wait);
}

void sim_command_on_refused(struct world *world, struct control *control, uint64_t tag)
{
    struct wait *wait = find_wait(control, tag);
    if (wait == NULL)
        return;
    wait->failed = true;
    sim_command_on_acknowledged(world, control, tag);
}
