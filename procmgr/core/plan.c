#include "procmgr/core/plan.h"

#include <string.h>

#include "common/base/text.h"
#include "procmgr/core/process_spec.h"

/* What is counted for a host while the plan is made. */
struct plan_host {
    const char *name;
    bool reported;
    uint32_t starting; /* start now, or are told to */
    size_t held;       /* would start, but for start_parallel */
    size_t absent;     /* shall run there, but its daemon has not reported */
};

struct planner {
    const struct picture *picture;
    const struct procmgr_config *config;
    struct arena *arena;
    Gemel__Plan *plan;
    struct process_spec_context context;
    struct plan_host hosts[HOSTS_MAX];
    size_t host_count;
    size_t sentences_dropped;
};

static void say(struct planner *planner, char *sentence)
{
    if (planner->plan->n_sentences == PLAN_SENTENCES_MAX)
        planner->sentences_dropped++;
    else
        planner->plan->sentences[planner->plan->n_sentences++] = sentence;
}

/* Hosts past the bound share the last place: they wait for each other, and nothing is lost. */
static struct plan_host *host_of(struct planner *planner, const char *name)
{
    for (size_t i = 0; i < planner->host_count; i++)
        if (strcmp(planner->hosts[i].name, name) == 0)
            return &planner->hosts[i];
    if (planner->host_count == HOSTS_MAX)
        return &planner->hosts[HOSTS_MAX - 1];
    struct plan_host *host = &planner->hosts[planner->host_count++];
    *host = (struct plan_host){.name = name, .reported = picture_is_reported(planner->picture, name)};
    return host;
}

/* ---- items ---- */

static Gemel__PlanItem *add_item(struct planner *planner, const struct picture_process *process, const char *host)
{
    Gemel__PlanItem *item = arena_alloc(planner->arena, sizeof *item);
    gemel__plan_item__init(item);
    item->process = arena_strdup(planner->arena, process->name);
    item->host = arena_strdup(planner->arena, host);
    if (process->wanted != NULL) {
        item->why = process->wanted->why;
        item->clear_failed = process->wanted->clear_failed;
    }
    planner->plan->items[planner->plan->n_items++] = item;
    return item;
}

static void run(struct planner *planner, const struct picture_process *process)
{
    Gemel__PlanItem *item = add_item(planner, process, process->host);
    item->run = true;
    item->spec = process_spec_make(&planner->context, process->layout, planner->arena);
}

/* ---- starting ---- */

/* The first process that must be ready before this one and is not; NULL: none. */
static const struct picture_process *find_unready(const struct planner *planner, const struct layout_process *layout)
{
    const struct layout_pipeline *pipeline = layout->pipeline;
    for (size_t i = 0; i < pipeline->process_count; i++) {
        const struct layout_process *other = &pipeline->processes[i];
        if (other->id.instance != layout->id.instance)
            continue;
        for (size_t j = 0; j < layout->type->requirement_count; j++) {
            if (layout->type->requirements[j] != other->type)
                continue;
            const struct picture_process *found = picture_find(planner->picture, other->name);
            if (picture_state(found) != GEMEL__PROCESS_STATE__PROCESS_READY)
                return found;
        }
    }
    return NULL;
}

static void say_waits(struct planner *planner, const struct picture_process *process,
                      const struct picture_process *unready)
{
    const char *word = picture_state_word(picture_state(unready));
    const char *advice = "";
    if (!picture_is_wanted(unready))
        advice = ", and is not wanted: start it";
    else if (picture_state(unready) == GEMEL__PROCESS_STATE__PROCESS_FAILED)
        advice = ": look at its log, then pipeline --force-start";
    say(planner,
        arena_printf(planner->arena, "%s waits for %s, which is %s%s", process->name, unready->name, word, advice));
}

/* A process that is down and shall run. */
static void start(struct planner *planner, const struct picture_process *process)
{
    struct plan_host *host = host_of(planner, process->host);
    uint32_t parallel = planner->config->start_parallel > 0 ? planner->config->start_parallel : PLAN_START_PARALLEL;
    const struct picture_process *unready = find_unready(planner, process->layout);
    if (unready != NULL) {
        say_waits(planner, process, unready);
    } else if (picture_has_ended(process)) {
        run(planner, process); /* its daemon keeps it down: it needs no place among those that start */
    } else if (host->starting >= parallel) {
        host->held++;
    } else {
        host->starting++;
        run(planner, process);
    }
}

/* Could a copy of the process still run on another host? Two of one name must never be. */
static bool is_elsewhere(struct planner *planner, const struct picture_process *process)
{
    if (process->elsewhere != NULL) {
        Gemel__PlanItem *item = add_item(planner, process, process->elsewhere->host);
        item->why = arena_printf(planner->arena, "moves to %s", process->host);
        say(planner, arena_printf(planner->arena, "%s waits for the end of its run on %s", process->name,
                                  process->elsewhere->host));
        return true;
    }
    const Gemel__Placement *placement = process->placement;
    if (placement == NULL || strcmp(placement->host, process->host) == 0 ||
        picture_is_reported(planner->picture, placement->host))
        return false;
    say(planner, arena_printf(planner->arena, "%s waits: whether its run on %s has ended is not known", process->name,
                              placement->host));
    return true;
}

static void plan_up(struct planner *planner, const struct picture_process *process)
{
    struct plan_host *host = host_of(planner, process->host);
    if (!host->reported) {
        host->absent++;
        return;
    }
    if (is_elsewhere(planner, process))
        return;
    switch (picture_state(process)) {
    case GEMEL__PROCESS_STATE__PROCESS_STARTING:
    case GEMEL__PROCESS_STATE__PROCESS_READY:
    case GEMEL__PROCESS_STATE__PROCESS_BACKOFF:
        run(planner, process);
        break;
    case GEMEL__PROCESS_STATE__PROCESS_STOPPED:
        start(planner, process);
        break;
    case GEMEL__PROCESS_STATE__PROCESS_FAILED:
        if (process->wanted->clear_failed > process->observed->clear_failed)
            start(planner, process);
        else
            run(planner, process); /* stays down: the daemon knows that it failed */
        break;
    case GEMEL__PROCESS_STATE__PROCESS_STOPPING:
        break; /* when it has ended it is stopped, and starts in its order */
    case _GEMEL__PROCESS_STATE_IS_INT_SIZE:
        break;
    }
}

/* ---- stopping ---- */

static bool requires(const struct layout_type *type, const struct layout_type *other)
{
    for (size_t i = 0; i < type->requirement_count; i++)
        if (type->requirements[i] == other)
            return true;
    return false;
}

/* A process of the same instance that needs this one and is on its way down, but still there. */
static const struct picture_process *find_dependent(const struct planner *planner, const struct layout_process *layout)
{
    const struct layout_pipeline *pipeline = layout->pipeline;
    for (size_t i = 0; i < pipeline->process_count; i++) {
        const struct layout_process *other = &pipeline->processes[i];
        if (other->id.instance != layout->id.instance || !requires(other->type, layout->type))
            continue;
        const struct picture_process *found = picture_find(planner->picture, other->name);
        /* What is up on purpose, or out of reach, does not hold up a stop. */
        if (!picture_is_wanted(found) && picture_is_active(picture_state(found)) &&
            picture_is_reported(planner->picture, found->host))
            return found;
    }
    return NULL;
}

static void plan_down(struct planner *planner, const struct picture_process *process)
{
    if (process->elsewhere != NULL)
        add_item(planner, process, process->elsewhere->host);
    if (process->observed == NULL)
        return;
    const struct picture_process *dependent = NULL;
    if (process->layout != NULL && picture_is_active(picture_state(process)))
        dependent = find_dependent(planner, process->layout);
    if (dependent != NULL)
        say(planner, arena_printf(planner->arena, "%s stops after %s", process->name, dependent->name));
    else
        add_item(planner, process, process->observed->host);
}

/* ---- all ---- */

/* What starts already has its place before anything else gets one. */
static void count_starting(struct planner *planner)
{
    for (size_t i = 0; i < planner->picture->layout_count; i++) {
        const struct picture_process *process = &planner->picture->processes[i];
        if (picture_state(process) == GEMEL__PROCESS_STATE__PROCESS_STARTING)
            host_of(planner, process->host)->starting++;
    }
}

static void say_hosts(struct planner *planner, int64_t missing_wait_ms)
{
    char wait[32];
    text_duration(wait, sizeof wait, (double)missing_wait_ms);
    for (size_t i = 0; i < planner->host_count; i++) {
        const struct plan_host *host = &planner->hosts[i];
        if (host->held > 0)
            say(planner, arena_printf(planner->arena, "%s: %zu processes wait for others of the host to be ready",
                                      host->name, host->held));
        if (host->absent > 0 && missing_wait_ms > 0)
            say(planner, arena_printf(planner->arena, "%s has not reported yet: %zu processes wait for it, up to %s",
                                      host->name, host->absent, wait));
        else if (host->absent > 0)
            say(planner, arena_printf(planner->arena, "%s is away: %zu processes wait for its daemon", host->name,
                                      host->absent));
    }
}

Gemel__Plan *plan_make(const struct picture *picture, const struct procmgr_config *config, int64_t missing_wait_ms,
                       struct arena *arena)
{
    struct planner planner = {.picture = picture, .config = config, .arena = arena};
    planner.plan = arena_alloc(arena, sizeof *planner.plan);
    gemel__plan__init(planner.plan);
    planner.plan->input_sequence = picture->input->sequence;
    planner.plan->revision = picture->input->revision;
    /* A process has at most an item for its home and one for another host. */
    planner.plan->items = arena_alloc(arena, (2 * picture->count + 1) * sizeof(Gemel__PlanItem *));
    planner.plan->sentences = arena_alloc(arena, (PLAN_SENTENCES_MAX + 1) * sizeof(char *));
    planner.context = (struct process_spec_context){
        .layout = picture->layout, .config = config, .revision = picture->input->revision, .gateways = ""};
    if (picture->layout != NULL)
        planner.context.gateways = process_spec_gateways(picture->layout, config, arena);
    count_starting(&planner);
    for (size_t i = 0; i < picture->count; i++) {
        const struct picture_process *process = &picture->processes[i];
        if (process->wanted == NULL)
            continue;
        if (!process->wanted->up)
            plan_down(&planner, process);
        else if (process->layout != NULL)
            plan_up(&planner, process);
        else
            say(&planner, arena_printf(arena, "%s is wanted and not in revision %llu: it is left as it is",
                                       process->name, (unsigned long long)picture->input->revision));
    }
    say_hosts(&planner, missing_wait_ms);
    if (planner.sentences_dropped > 0)
        planner.plan->sentences[planner.plan->n_sentences++] =
            arena_printf(arena, "and %zu more wait", planner.sentences_dropped);
    return planner.plan;
}
