#include "procmgr/core/procmgr.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/wire/wire.h"
#include "procmgr/core/picture.h"
#include "procmgr/core/pipeline_command.h"
#include "procmgr/core/plan.h"
#include "procmgr/core/reply.h"

struct procmgr_core {
    struct procmgr_config config;
    struct arena input_arena;   /* holds the input */
    Gemel__PlanInput *input;    /* the last one, without files; NULL: none yet */
    struct picture picture;     /* of it; valid with input */
    struct arena waiting_arena; /* holds the next */
    Gemel__Plan *waiting;       /* the sentences of the last plan, for procmgr.status; NULL: none, or standing by */
    int64_t missing_until_ms;   /* hosts may still report */
    int64_t wakeup_ms;
    bool leading;
};

/* ---- actions ---- */

void procmgr_actions_init(struct procmgr_actions *actions)
{
    *actions = (struct procmgr_actions){0};
    arena_init(&actions->arena);
}

void procmgr_actions_reset(struct procmgr_actions *actions)
{
    arena_reset(&actions->arena);
    actions->count = 0;
}

void procmgr_actions_fini(struct procmgr_actions *actions)
{
    arena_fini(&actions->arena);
    memory_free(actions->items);
    *actions = (struct procmgr_actions){0};
}

static void add_action(struct procmgr_actions *actions, struct procmgr_action action)
{
    if (actions->count == actions->capacity) {
        actions->capacity = actions->capacity == 0 ? 8 : actions->capacity * 2;
        actions->items = memory_resize(actions->items, actions->capacity * sizeof *actions->items);
    }
    actions->items[actions->count++] = action;
}

static void add_log(struct procmgr_actions *actions, enum procmgr_level level, const char *sentence)
{
    struct procmgr_action action = {.type = PROCMGR_ACTION_LOG};
    action.log.level = level;
    action.log.sentence = sentence;
    add_action(actions, action);
}

/* ---- life ---- */

void procmgr_create(struct procmgr_core **core, const struct procmgr_config *config)
{
    struct procmgr_core *made = memory_alloc(sizeof *made);
    made->config = *config;
    made->wakeup_ms = INT64_MAX;
    arena_init(&made->input_arena);
    arena_init(&made->waiting_arena);
    *core = made;
}

void procmgr_destroy(struct procmgr_core **core)
{
    if (*core == NULL)
        return;
    if ((*core)->input != NULL)
        picture_fini(&(*core)->picture);
    arena_fini(&(*core)->input_arena);
    arena_fini(&(*core)->waiting_arena);
    memory_free(*core);
    *core = NULL;
}

/* ---- planning ---- */

static void keep_sentences(struct procmgr_core *core, const Gemel__Plan *plan)
{
    arena_reset(&core->waiting_arena);
    core->waiting = arena_alloc(&core->waiting_arena, sizeof *core->waiting);
    gemel__plan__init(core->waiting);
    core->waiting->sentences = arena_alloc(&core->waiting_arena, (plan->n_sentences + 1) * sizeof(char *));
    for (size_t i = 0; i < plan->n_sentences; i++)
        core->waiting->sentences[core->waiting->n_sentences++] = arena_strdup(&core->waiting_arena, plan->sentences[i]);
}

/* Plans anew and tells it. */
static void plan(struct procmgr_core *core, int64_t now_ms, struct procmgr_actions *actions)
{
    struct procmgr_action action = {.type = PROCMGR_ACTION_PLAN};
    int64_t wait_ms = core->missing_until_ms > now_ms ? core->missing_until_ms - now_ms : 0;
    core->wakeup_ms = wait_ms > 0 ? core->missing_until_ms : INT64_MAX;
    action.plan = plan_make(&core->picture, &core->config, wait_ms, &actions->arena);
    keep_sentences(core, action.plan);
    add_action(actions, action);
}

/* Keeps a copy: commands and ticks come later. The files are the shell's business. */
static int keep_input(struct procmgr_core *core, const Gemel__PlanInput *message, const struct layout *layout)
{
    struct arena arena;
    size_t size = 0;
    Gemel__PlanInput shallow = *message;
    ProtobufCMessage *copy = NULL;
    shallow.n_files = 0;
    uint8_t *bytes = wire_pack(&shallow.base, &size);
    arena_init(&arena);
    int result = wire_unpack_arena(&arena, &gemel__plan_input__descriptor, bytes, size, &copy);
    memory_free(bytes);
    if (result < 0) {
        arena_fini(&arena);
        return result;
    }
    if (core->input != NULL)
        picture_fini(&core->picture);
    arena_fini(&core->input_arena);
    core->input_arena = arena;
    core->input = (Gemel__PlanInput *)copy;
    core->waiting = NULL;
    picture_init(&core->picture, core->input, layout);
    return 0;
}

static void tell_role(struct procmgr_core *core, struct procmgr_actions *actions)
{
    struct procmgr_action action = {.type = PROCMGR_ACTION_STATUS};
    core->leading = core->input->leading;
    action.status = core->leading ? "leading" : "standby";
    add_action(actions, action);
    add_log(actions, PROCMGR_LOG_INFO,
            core->leading ? "Process manager leads: its control is the leader"
                          : "Process manager stands by: another control is the leader");
}

static int on_input(struct procmgr_core *core, const struct procmgr_event *event, struct procmgr_actions *actions)
{
    const Gemel__PlanInput *message = event->input.message;
    if (message == NULL)
        return -EINVAL;
    bool first = core->input == NULL;
    int result = keep_input(core, message, event->input.layout);
    if (result < 0)
        return result;
    core->missing_until_ms =
        event->now_ms + (int64_t)(message->missing_wait_ms < INT32_MAX ? message->missing_wait_ms : INT32_MAX);
    if (first || core->leading != core->input->leading)
        tell_role(core, actions);
    core->wakeup_ms = INT64_MAX;
    if (core->leading)
        plan(core, event->now_ms, actions);
    return 0;
}

/* ---- requests ---- */

static int on_request(struct procmgr_core *core, const struct procmgr_event *event, struct procmgr_actions *actions)
{
    const Gemel__AdminRequest *request = event->request.message;
    struct procmgr_action action = {.type = PROCMGR_ACTION_REPLY};
    if (request == NULL)
        return -EINVAL;
    action.reply.id = event->request.id;
    if (core->input == NULL)
        action.reply.message =
            reply_error(&actions->arena, REPLY_NO_LEADER,
                        "the process manager on %s has not heard from its control yet: try again", core->config.host);
    else
        action.reply.message =
            pipeline_command_answer(&core->picture, &core->config, core->waiting, request, &actions->arena);
    add_action(actions, action);
    return 0;
}

int procmgr_step(struct procmgr_core *core, const struct procmgr_event *event, struct procmgr_actions *actions)
{
    switch (event->type) {
    case PROCMGR_EVENT_INPUT:
        return on_input(core, event, actions);
    case PROCMGR_EVENT_REQUEST:
        return on_request(core, event, actions);
    case PROCMGR_EVENT_TICK:
        if (core->wakeup_ms <= event->now_ms && core->leading)
            plan(core, event->now_ms, actions);
        return 0;
    }
    return -EINVAL;
}

int64_t procmgr_next_wakeup_ms(const struct procmgr_core *core)
{
    return core->wakeup_ms;
}
