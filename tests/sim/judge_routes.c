#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "tests/sim/judge.h"
#include "tests/sim/judge_state.h"
#include "tests/sim/network.h"
#include "tests/sim/sim_gateway.h"
#include "tests/sim/sim_process.h"

enum {
    US_PER_MS = 1000,
    WATCH_US = 5 * US_PER_MS,
    SEEN_BOUND_US = 15 * US_PER_MS,     /* a death that a kernel tells: 5 ms, the way, and the judge's own grain */
    UNSEEN_BOUND_US = 2500 * US_PER_MS, /* hung or silent: hang-timeout, a dial that is given up, and grain */
    GATEWAY_YOUNG_US = (GATEWAY_STARTUP_MS + 2500) * US_PER_MS
};

static const char *const types[JUDGED_ROUTES] = {"rdb", "idb"};

static struct node *find_process(const struct world *world, size_t route, int instance)
{
    char name[NODE_NAME_BYTES];
    snprintf(name, sizeof name, "DemoPipeline.%d.%s.0", instance, types[route]);
    return world_find_node(world, name);
}

static bool is_reached(const struct world *world, const struct node *gateway, const struct node *process)
{
    return !network_is_cut(world, gateway->host, process->host) && !network_is_cut(world, process->host, gateway->host);
}

/* Would a query that this gateway sends there now be answered, and does the gateway know? */
static bool is_usable(const struct world *world, const struct node *gateway, const struct node *process)
{
    return gateway->alive && !gateway->hung && sim_process_is_serving(process) && is_reached(world, gateway, process) &&
           sim_gateway_is_registered(gateway, process->name);
}

static void watch_usable(struct world *world, int side, size_t route)
{
    for (int instance = 0; instance < SIDES; instance++) {
        int64_t *since_us = &world->judge->usable_since_us[side][route][instance];
        const struct node *process = world->judge->processes[route][instance];
        if (!is_usable(world, world->cluster->gateways[side], process))
            *since_us = INT64_MAX;
        else if (*since_us == INT64_MAX)
            *since_us = world->now_us;
    }
}

/* Did its own host's kernel close the links of a dead primary, so that the gateway heard of it? */
static bool is_death_seen(const struct world *world, const struct node *gateway, const struct node *process)
{
    return !process->alive && !process->died_of_power && is_reached(world, gateway, process);
}

static bool has_other_ready(const struct world *world, int side, size_t route, int64_t bound_us)
{
    for (int instance = 0; instance < SIDES; instance++) {
        int64_t usable_us = world->judge->usable_since_us[side][route][instance];
        if (usable_us != INT64_MAX && world->now_us - usable_us > bound_us)
            return true;
    }
    return false;
}

/* How a misrouting began says how soon the gateway can have moved. Who has no primary may wait for one. */
static int64_t misroute_bound_us(const struct world *world, const struct node *gateway, const struct node *process)
{
    if (process == NULL)
        return GATEWAY_STARTUP_MS * US_PER_MS + UNSEEN_BOUND_US;
    return is_death_seen(world, gateway, process) ? SEEN_BOUND_US + network_late_us(world) : UNSEEN_BOUND_US;
}

static void check_route(struct world *world, int side, size_t route)
{
    struct judge *judge = world->judge;
    const struct node *gateway = world->cluster->gateways[side];
    struct judged_misroute *misroute = &judge->misroutes[side][route];
    char name[NODE_NAME_BYTES];
    snprintf(name, sizeof name, "DemoPipeline.%s.0", types[route]);
    bool is_old = gateway->alive && !gateway->hung &&
                  world->now_us - world->cluster->started_us[gateway->slot] > GATEWAY_YOUNG_US;
    uint32_t primary = is_old ? sim_gateway_primary(gateway, name) : UINT32_MAX;
    const struct node *process = primary < SIDES ? judge->processes[route][primary] : NULL;
    bool is_good = process != NULL && sim_process_is_serving(process) && is_reached(world, gateway, process);
    if (!is_old || is_good) {
        misroute->since_us = INT64_MAX;
        return;
    }
    if (misroute->since_us == INT64_MAX || misroute->primary != primary) {
        misroute->primary = primary;
        misroute->since_us = world->now_us;
        misroute->bound_us = misroute_bound_us(world, gateway, process);
    }
    int64_t from_us = misroute->since_us > world->fault_at_us ? misroute->since_us : world->fault_at_us;
    if (world->now_us - from_us > misroute->bound_us && has_other_ready(world, side, route, misroute->bound_us))
        judge_fail(world, "%s routes %s to %s for %" PRId64 " ms, and another instance is ready", gateway->name, name,
                   process != NULL ? process->name : "nobody", (world->now_us - misroute->since_us) / US_PER_MS);
}

static void run_watch(struct world *world, struct node *node, void *data)
{
    (void)node;
    (void)data;
    for (int side = 0; side < SIDES; side++)
        for (size_t route = 0; route < JUDGED_ROUTES; route++) {
            watch_usable(world, side, route);
            check_route(world, side, route);
        }
    world_after(world, WATCH_US, NULL, run_watch, NULL);
}

void judge_start(struct world *world)
{
    struct judge *judge = world->judge;
    for (size_t route = 0; route < JUDGED_ROUTES; route++)
        for (int side = 0; side < SIDES; side++) {
            judge->processes[route][side] = find_process(world, route, side);
            judge->misroutes[side][route].since_us = INT64_MAX;
            for (int instance = 0; instance < SIDES; instance++)
                judge->usable_since_us[side][route][instance] = INT64_MAX;
        }
    world_after(world, WATCH_US, NULL, run_watch, NULL);
}

void judge_on_query_failed(struct world *world, const struct node *gateway, const char *target, int64_t asked_us)
{
    struct judge *judge = world->judge;
    judge->counts.failed++;
    for (size_t route = 0; route < JUDGED_ROUTES; route++) {
        char name[NODE_NAME_BYTES];
        snprintf(name, sizeof name, "DemoPipeline.%s.0", types[route]);
        for (int instance = 0; instance < SIDES && strcmp(name, target) == 0; instance++)
            if (judge->usable_since_us[gateway->host][route][instance] < asked_us)
                judge_fail(world, "%s ends a query to %s with an error, and %s was ready all the time", gateway->name,
                           target, judge->processes[route][instance]->name);
    }
}

/* ---- at the end */

void judge_processes_at_end(struct world *world)
{
    for (size_t i = 0; i < world->node_count; i++) {
        const struct node *node = world->nodes[i];
        if (node->host == HOST_CLIENTS)
            continue;
        if (!node->alive)
            judge_fail(world, "%s is not running after the heal", node->name);
        else if (node->actor == &sim_process_actor && !sim_process_is_serving(node))
            judge_fail(world, "%s is not ready after the heal", node->name);
    }
    for (int side = 0; side < SIDES && judge_failure(world) == NULL; side++)
        for (size_t route = 0; route < JUDGED_ROUTES; route++)
            for (int instance = 0; instance < SIDES; instance++)
                if (world->judge->usable_since_us[side][route][instance] == INT64_MAX)
                    judge_fail(world, "%s does not know %s after the heal", world->cluster->gateways[side]->name,
                               world->judge->processes[route][instance]->name);
}
