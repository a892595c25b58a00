#include "tests/sim/world.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "tests/sim/network.h"

enum {
    US_PER_MS = 1000,
    WALL_START_S = 1763700000 /* any date */
};

/* ---- the queue */

static bool is_before(const struct event *one, const struct event *other)
{
    return one->at_us != other->at_us ? one->at_us < other->at_us : one->sequence < other->sequence;
}

static void append_event(struct event_queue *queue, const struct event *event)
{
    if (queue->count == queue->capacity) {
        queue->capacity = queue->capacity > 0 ? 2 * queue->capacity : 1024;
        queue->items = memory_resize(queue->items, queue->capacity * sizeof *queue->items);
    }
    queue->items[queue->count++] = *event;
}

static void push_event(struct event_queue *queue, const struct event *event)
{
    append_event(queue, event);
    size_t at = queue->count - 1;
    while (at > 0 && is_before(event, &queue->items[(at - 1) / 2])) {
        queue->items[at] = queue->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    queue->items[at] = *event;
}

static struct event pop_event(struct event_queue *queue)
{
    struct event first = queue->items[0];
    struct event last = queue->items[--queue->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= queue->count)
            break;
        if (child + 1 < queue->count && is_before(&queue->items[child + 1], &queue->items[child]))
            child++;
        if (!is_before(&queue->items[child], &last))
            break;
        queue->items[at] = queue->items[child];
        at = child;
    }
    if (queue->count > 0)
        queue->items[at] = last;
    return first;
}

static void release_queue(struct event_queue *queue)
{
    for (size_t i = 0; i < queue->count; i++)
        memory_free(queue->items[i].data);
    memory_free(queue->items);
}

/* ---- the world */

void world_init(struct world *world, uint64_t seed, enum story_mode mode)
{
    static const char *const names[HOSTS_COUNT] = {"a", "b", "clients"};
    *world = (struct world){0};
    chance_init(&world->chance, seed);
    story_init(&world->story, mode);
    for (int host = 0; host < HOSTS_COUNT; host++) {
        world->hosts[host].name = names[host];
        world->hosts[host].powered = true;
        world->hosts[host].boot = 1;
        world->hosts[host].monotonic_offset_us = chance_between(&world->chance, 1, 1000000) * US_PER_MS;
    }
    network_create(&world->network);
}

void world_fini(struct world *world)
{
    for (size_t i = 0; i < world->node_count; i++) {
        struct node *node = world->nodes[i];
        if (node->alive)
            node->actor->stop(world, node);
        memory_free(node);
    }
    network_destroy(&world->network);
    release_queue(&world->queue);
    release_queue(&world->waiting);
    story_fini(&world->story);
}

struct node *world_add_node(struct world *world, const char *name, int host, const struct actor *actor)
{
    ASSERT(world->node_count < NODES_MAX);
    ASSERT(world_find_node(world, name) == NULL);
    struct node *node = memory_alloc(sizeof *node);
    text_copy(node->name, sizeof node->name, name);
    node->host = host;
    node->actor = actor;
    node->slot = world->node_count;
    world->nodes[world->node_count++] = node;
    return node;
}

struct node *world_find_node(const struct world *world, const char *name)
{
    for (size_t i = 0; i < world->node_count; i++)
        if (strcmp(world->nodes[i]->name, name) == 0)
            return world->nodes[i];
    return NULL;
}

void world_after(struct world *world, int64_t delay_us, struct node *node, event_run run, void *data)
{
    ASSERT(delay_us >= 0);
    struct event event = {
        .at_us = world->now_us + delay_us,
        .sequence = world->next_sequence++,
        .node = node,
        .life = node != NULL ? node->life : 0,
        .run = run,
        .data = data,
    };
    push_event(&world->queue, &event);
}

bool world_step(struct world *world, int64_t until_us)
{
    if (world->queue.count == 0 || world->queue.items[0].at_us > until_us) {
        world->now_us = until_us;
        return false;
    }
    struct event event = pop_event(&world->queue);
    world->standstill_count = event.at_us > world->now_us ? 0 : world->standstill_count + 1;
    world->now_us = event.at_us;
    struct node *node = event.node;
    if (node != NULL && node->alive && node->life == event.life && node->hung) {
        append_event(&world->waiting, &event);
        return true;
    }
    if (node == NULL || (node->alive && node->life == event.life)) {
        world->event_count++;
        event.run(world, node, event.data);
    }
    memory_free(event.data);
    return true;
}

/* ---- clocks */

int64_t node_now_ms(const struct world *world, const struct node *node)
{
    return (world->now_us + world->hosts[node->host].monotonic_offset_us) / US_PER_MS;
}

uint64_t node_wall_ns(const struct world *world, const struct node *node)
{
    int64_t wall_ns = WALL_START_S * INT64_C(1000000000) + world->now_us * 1000;
    return (uint64_t)(wall_ns + world->hosts[node->host].wall_offset_ns);
}

struct wakeup {
    uint64_t number;
};

static void run_wakeup(struct world *world, struct node *node, void *data)
{
    const struct wakeup *wakeup = data;
    if (wakeup->number != node->wakeup)
        return;
    node->wakeup_at_us = INT64_MAX;
    node->actor->on_wakeup(world, node);
}

void node_wake_at(struct world *world, struct node *node, int64_t at_ms)
{
    if (at_ms == INT64_MAX) {
        node->wakeup++;
        node->wakeup_at_us = INT64_MAX;
        return;
    }
    bool is_due = at_ms <= node_now_ms(world, node);
    int64_t at_us = is_due ? world->now_us : at_ms * US_PER_MS - world->hosts[node->host].monotonic_offset_us;
    if (at_us == node->wakeup_at_us)
        return;
    node->wakeup_at_us = at_us;
    struct wakeup *wakeup = memory_alloc(sizeof *wakeup);
    wakeup->number = ++node->wakeup;
    world_after(world, at_us - world->now_us, node, run_wakeup, wakeup);
}

/* ---- life and death */

void node_start(struct world *world, struct node *node)
{
    if (node->alive || !world->hosts[node->host].powered)
        return;
    node->alive = true;
    node->hung = false;
    node->life++;
    node->wakeup_at_us = INT64_MAX;
    story_line(&world->story, world->now_us, node->name, "starts");
    node->actor->start(world, node);
}

/* Drops or hands back what waited for a hung node. */
static void release_waiting(struct world *world, struct node *node, bool run)
{
    size_t kept = 0;
    for (size_t i = 0; i < world->waiting.count; i++) {
        struct event event = world->waiting.items[i];
        if (event.node != node) {
            world->waiting.items[kept++] = event;
        } else if (run) {
            event.at_us = world->now_us;
            event.sequence = world->next_sequence++;
            push_event(&world->queue, &event);
        } else {
            memory_free(event.data);
        }
    }
    world->waiting.count = kept;
}

static void end_life(struct world *world, struct node *node)
{
    release_waiting(world, node, false);
    node->alive = false;
    node->hung = false;
    node->died_of_power = !world->hosts[node->host].powered;
    node->actor->stop(world, node);
    node->state = NULL;
    network_on_death(world, node);
    if (world->on_death != NULL)
        world->on_death(world, node);
}

void node_kill(struct world *world, struct node *node, int32_t signal)
{
    if (!node->alive)
        return;
    story_line(&world->story, world->now_us, node->name, "dies of signal %d", (int)signal);
    node->signal = signal;
    node->code = 0;
    end_life(world, node);
}

void node_exit(struct world *world, struct node *node, int32_t code)
{
    if (!node->alive)
        return;
    story_line(&world->story, world->now_us, node->name, "exits with %d", (int)code);
    node->signal = 0;
    node->code = code;
    end_life(world, node);
}

void node_hang(struct world *world, struct node *node)
{
    if (!node->alive || node->hung)
        return;
    story_line(&world->story, world->now_us, node->name, "hangs");
    node->hung = true;
}

void node_resume(struct world *world, struct node *node)
{
    if (!node->alive || !node->hung)
        return;
    story_line(&world->story, world->now_us, node->name, "goes on");
    node->hung = false;
    release_waiting(world, node, true);
}

void host_power_off(struct world *world, int host)
{
    if (!world->hosts[host].powered)
        return;
    story_line(&world->story, world->now_us, world->hosts[host].name, "loses power");
    world->hosts[host].powered = false;
    for (size_t i = 0; i < world->node_count; i++)
        if (world->nodes[i]->host == host)
            node_kill(world, world->nodes[i], 9);
}

void host_power_on(struct world *world, int host)
{
    if (world->hosts[host].powered)
        return;
    story_line(&world->story, world->now_us, world->hosts[host].name, "has power again");
    world->hosts[host].powered = true;
    world->hosts[host].boot++;
    world->hosts[host].monotonic_offset_us = chance_between(&world->chance, 1, 10000) * US_PER_MS - world->now_us;
    if (world->on_power != NULL)
        world->on_power(world, host);
}
