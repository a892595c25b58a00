#include "tests/sim/cluster.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "tests/sim/faults.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_control.h"
#include "tests/sim/sim_daemon.h"
#include "tests/sim/sim_gateway.h"
#include "tests/sim/sim_layout.h"
#include "tests/sim/sim_operator.h"
#include "tests/sim/sim_process.h"
#include "tests/sim/sim_procmgr.h"

enum {
    US_PER_S = 1000 * 1000,
    FAULTS_FROM_US = 2 * US_PER_S,
    FAULTS_UNTIL_US = 60 * US_PER_S,
    SETTLED_AT_US = 115 * US_PER_S, /* nothing is asked of the cluster any more */
    END_US = 120 * US_PER_S,
    BOOT_MAX_US = 800 * 1000, /* until a host's programs are started */
    INIT_RESTART_MAX_US = US_PER_S,
    STANDSTILL_MAX = 20000 /* events of one microsecond: more is a program that wakes itself for nothing */
};

/* ---- what init does on each host */

static void run_start(struct world *world, struct node *unused, void *data)
{
    (void)unused;
    struct node *node = *(struct node **)data;
    node_start(world, node);
}

static void start_later(struct world *world, struct node *node, int64_t most_us)
{
    world_after(world, chance_between(&world->chance, 1, most_us), NULL, run_start, memory_copy(&node, sizeof(node)));
}

static void on_death(struct world *world, struct node *node)
{
    struct cluster *cluster = world->cluster;
    bool is_watched = !cluster->pair_only && sim_daemon_on_death(world, node);
    bool stays_dead = cluster->tooth == TOOTH_DEAD_CONTROL && node->actor == &sim_control_actor;
    /* The daemon starts the control that it watches; init takes care of one that nobody watches. */
    if (cluster->daemons_start_controls && node->actor == &sim_daemon_actor)
        start_later(world, cluster->controls[node->host], INIT_RESTART_MAX_US);
    bool is_daemons = cluster->daemons_start_controls && is_watched && node->actor == &sim_control_actor;
    if (node->wanted && !is_daemons && !stays_dead && world->hosts[node->host].powered)
        start_later(world, node, INIT_RESTART_MAX_US);
}

static void on_power(struct world *world, int host)
{
    for (size_t i = 0; i < world->node_count; i++)
        if (world->nodes[i]->host == host && world->nodes[i]->wanted)
            start_later(world, world->nodes[i], BOOT_MAX_US);
}

/* ---- the cluster */

static void build_pair(struct world *world, struct cluster *cluster)
{
    for (int host = 0; host < SIDES; host++) {
        char name[NODE_NAME_BYTES];
        snprintf(name, sizeof name, "control@%s", world->hosts[host].name);
        cluster->controls[host] = world_add_node(world, name, host, &sim_control_actor);
        disk_create(&cluster->control_disks[host], &cluster->control_images[host]);
        disk_set_lying(cluster->control_disks[host], cluster->tooth == TOOTH_LYING_DISK);
    }
}

static struct node *add_supervised(struct world *world, const char *name, int host, const struct actor *actor, int port)
{
    struct node *node = world_add_node(world, name, host, actor);
    world->cluster->names[node->slot] = strchr(name, '@') != NULL ? DAEMON_PROCMGR : node->name;
    world->cluster->ports[node->slot] = port;
    return node;
}

static void build_side(struct world *world, struct cluster *cluster, int host)
{
    static const struct {
        const char *name;
        int port;
    } types[] = {{"tp", SIM_PORT_TP}, {"rdb", SIM_PORT_RDB}, {"idb", SIM_PORT_IDB}};
    char name[NODE_NAME_BYTES];
    snprintf(name, sizeof name, "daemon@%s", world->hosts[host].name);
    cluster->daemons[host] = world_add_node(world, name, host, &sim_daemon_actor);
    disk_create(&cluster->daemon_disks[host], &cluster->daemon_images[host]);
    snprintf(name, sizeof name, "procmgr@%s", world->hosts[host].name);
    cluster->procmgrs[host] = add_supervised(world, name, host, &sim_procmgr_actor, 0);
    snprintf(name, sizeof name, "DefaultEntrypoint.%d.gw.0", host);
    cluster->gateways[host] = add_supervised(world, name, host, &sim_gateway_actor, SIM_PORT_GW);
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        snprintf(name, sizeof name, "DemoPipeline.%d.%s.0", host, types[i].name);
        (void)add_supervised(world, name, host, &sim_process_actor, types[i].port);
    }
}

static void build(struct world *world, struct cluster *cluster)
{
    build_pair(world, cluster);
    cluster->daemons_start_controls = !cluster->pair_only && chance_hits(&world->chance, 500);
    for (int host = 0; host < SIDES && !cluster->pair_only; host++) {
        build_side(world, cluster, host);
        cluster->daemons[host]->wanted = true;
    }
    for (int host = 0; host < SIDES; host++) {
        cluster->controls[host]->wanted = true;
        start_later(world, cluster->controls[host], BOOT_MAX_US);
        if (!cluster->pair_only)
            start_later(world, cluster->daemons[host], BOOT_MAX_US);
    }
    cluster->operator_node = world_add_node(world, "operator", HOST_CLIENTS, &sim_operator_actor);
    start_later(world, cluster->operator_node, BOOT_MAX_US);
    if (cluster->pair_only)
        return;
    cluster->client = world_add_node(world, "client", HOST_CLIENTS, &sim_client_actor);
    start_later(world, cluster->client, BOOT_MAX_US);
}

static void demolish(struct cluster *cluster)
{
    for (int host = 0; host < SIDES; host++) {
        disk_destroy(&cluster->control_disks[host]);
        control_image_fini(&cluster->control_images[host]);
        disk_destroy(&cluster->daemon_disks[host]);
        daemon_image_fini(&cluster->daemon_images[host]);
    }
}

static void run_until(struct world *world, int64_t until_us)
{
    while (judge_failure(world) == NULL && world_step(world, until_us))
        if (world->standstill_count > STANDSTILL_MAX)
            judge_fail(world, "a program spins: %d events and the clock stands still", (int)STANDSTILL_MAX);
}

void cluster_run(const struct run_options *options, struct run_result *result)
{
    struct world world;
    struct cluster *cluster = memory_alloc(sizeof *cluster);
    cluster->tooth = options->tooth;
    cluster->pair_only = options->pair_only;
    *result = (struct run_result){0};
    world_init(&world, options->seed, options->story);
    world.cluster = cluster;
    world.on_death = on_death;
    world.on_power = on_power;
    judge_create(&world.judge);
    network_start(&world);
    build(&world, cluster);
    if (!cluster->pair_only)
        judge_start(&world);
    result->fault_count = faults_schedule(&world, options->faults, FAULTS_FROM_US, FAULTS_UNTIL_US);
    run_until(&world, SETTLED_AT_US);
    node_kill(&world, cluster->operator_node, SIGNAL_KILL);
    run_until(&world, END_US);
    if (judge_failure(&world) == NULL)
        judge_pair_at_end(&world);
    if (judge_failure(&world) == NULL && !cluster->pair_only)
        judge_processes_at_end(&world);
    if (judge_failure(&world) != NULL) {
        story_line(&world.story, world.now_us, "judge", "%s", judge_failure(&world));
        text_copy(result->failure, sizeof result->failure, judge_failure(&world));
    }
    story_print_tail(&world.story);
    result->event_count = world.event_count;
    result->counts = *judge_counts(&world);
    result->network = network_counts(&world);
    world_fini(&world);
    judge_destroy(&world.judge);
    demolish(cluster);
    memory_free(cluster);
}
