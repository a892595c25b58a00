#include "daemon/adoption.h"

#include <string.h>

#include "common/log/log.h"

/* A control that ends on purpose empties its pid file. */
static bool control_was_killed(const struct adoption *self)
{
    return home_was_killed(self->home, DAEMON_CONTROL);
}

/* Returns whether it is alive. */
static bool adopt_one(const struct adoption *self, const char *process, struct daemon_adopt adopt,
                      const struct run_slot *slot)
{
    struct arena arena;
    arena_init(&arena);
    if (slot != NULL) {
        struct run_slot before = *slot;
        adopt.run = children_adopt(self->children, slot, &adopt.pid);
        adopt.token = before.token;
        adopt.ready = before.ready != 0;
        adopt.stopping = before.stopping != 0;
        adopt.restarts = before.restarts;
        adopt.endpoint = arena_strdup(&arena, before.endpoint);
        adopt.status = arena_strdup(&arena, before.status);
        adopt.stale = arena_strdup(&arena, before.stale);
    }
    if (adopt.run == DAEMON_RUN_DEAD && strcmp(process, DAEMON_CONTROL) == 0)
        adopt.stopping = !control_was_killed(self); /* no daemon was there to be told */
    /* The process manager's specification is this daemon's own. */
    if (strcmp(process, DAEMON_PROCMGR) == 0)
        adopt.spec = NULL;
    struct daemon_event event = {.type = DAEMON_EVENT_ADOPT, .process = process, .adopt = adopt};
    int result = self->step(self->owner, &event);
    if (result != 0)
        log_error("A process cannot be taken up [ Process: %s ] [ Why: %s ]", process, strerror(-result));
    arena_fini(&arena);
    return adopt.run == DAEMON_RUN_ALIVE;
}

static const struct run_slot *find_slot(const struct adoption *self, const char *process)
{
    for (size_t i = 0; i < runs_count(self->runs); i++)
        if (strcmp(runs_at(self->runs, i)->process, process) == 0)
            return runs_at(self->runs, i);
    return NULL;
}

static bool is_ordered(const struct daemon_stored *stored, const char *process)
{
    for (size_t i = 0; i < stored->count; i++)
        if (strcmp(stored->orders[i].process, process) == 0)
            return true;
    return false;
}

/* A control that somebody else had started, or whose restart a former daemon still owed, left no run behind. */
static void revive_control(const struct adoption *self)
{
    struct daemon_adopt dead = {.run = DAEMON_RUN_DEAD, .wanted = true, .why = "it did not end on purpose"};
    struct daemon_event event = {.type = DAEMON_EVENT_ADOPT, .process = DAEMON_CONTROL, .adopt = dead};
    const struct run_slot *slot = find_slot(self, DAEMON_CONTROL);
    if (self->has_control && (slot == NULL || slot->phase == RUN_FREE) && control_was_killed(self))
        self->step(self->owner, &event);
}

uint32_t adoption_take_all(const struct adoption *self, const struct daemon_stored *stored)
{
    uint32_t alive = 0;
    size_t slots = runs_count(self->runs); /* those of former daemons: starting adds more */
    for (size_t i = 0; i < stored->count; i++)
        if (adopt_one(self, stored->orders[i].process, stored->orders[i].order,
                      find_slot(self, stored->orders[i].process)))
            alive++;
    for (size_t i = 0; i < slots; i++) {
        const struct run_slot *slot = runs_at(self->runs, i);
        struct daemon_adopt unknown = {
            .wanted = true, .placement = slot->token.placement, .why = "its order is not known"};
        if (slot->phase != RUN_FREE && !is_ordered(stored, slot->process) &&
            adopt_one(self, slot->process, unknown, slot))
            alive++;
    }
    revive_control(self);
    if (alive > 0)
        log_info("Processes of an earlier daemon were adopted [ Count: %u ]", (unsigned)alive);
    return alive;
}
