#include "tests/sim/faults.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "tests/sim/cluster.h"
#include "tests/sim/network.h"

enum {
    US_PER_MS = 1000,
    GAP_MIN_US = 100 * US_PER_MS, /* between the beginnings of two faults */
    GAP_MAX_US = 6000 * US_PER_MS,
    LONG_MAX_US = 12000 * US_PER_MS,
    SHORT_MAX_US = 1500 * US_PER_MS,
    LATE_MAX_US = 300 * US_PER_MS,
    SLOW_MAX_US = 700 * US_PER_MS,
    DOUBLING_MAX_PER_MILLE = 200,
    CLOCK_JUMP_MAX_S = 100000
};

struct fault_kind {
    const char *word;
    const char *what;
    unsigned weight;
};

static const struct fault_kind kinds[FAULT_COUNT] = {
#define X(name, word, what, weight) [name] = {word, what, weight},
    FAULTS(X)
#undef X
};

/* One fault, from its beginning to its end; drawn when it begins. */
struct occurrence {
    enum fault fault;
    int host;
    int other_host;
    struct node *node; /* hang */
    uint64_t life;
    int64_t until_us; /* of the whole fault time */
};

static void run_end(struct world *world, struct node *unused, void *data)
{
    (void)unused;
    const struct occurrence *one = data;
    world->fault_at_us = world->now_us;
    story_line(&world->story, world->now_us, "world", "%s ends", kinds[one->fault].word);
    switch (one->fault) {
    case FAULT_CRASH:
    case FAULT_BREAK:
    case FAULT_CLOCK:
        break;
    case FAULT_HANG:
        if (one->node != NULL && one->node->life == one->life)
            node_resume(world, one->node);
        break;
    case FAULT_POWER:
        host_power_on(world, one->host);
        break;
    case FAULT_CUT:
    case FAULT_CUT_ONE_WAY:
        if (world->cluster->tooth == TOOTH_LASTING_CUT)
            break;
        network_set_cut(world, one->host, one->other_host, false);
        if (one->fault == FAULT_CUT)
            network_set_cut(world, one->other_host, one->host, false);
        break;
    case FAULT_LATE:
        network_set_late(world, 0);
        break;
    case FAULT_DOUBLE:
        network_set_doubling(world, 0);
        break;
    case FAULT_SLOW_DISK:
        disk_set_slow(world->cluster->control_disks[one->host], 0);
        break;
    case FAULT_FULL_DISK:
        disk_set_full(world->cluster->control_disks[one->host], false);
        break;
    case FAULT_COUNT:
        break;
    }
}

/* Any living program of the two sides. */
static struct node *draw_node(struct world *world)
{
    struct node *living[NODES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < world->node_count; i++)
        if (world->nodes[i]->alive && !world->nodes[i]->hung && world->nodes[i]->host != HOST_CLIENTS)
            living[count++] = world->nodes[i];
    return count > 0 ? living[chance_below(&world->chance, count)] : NULL;
}

static void begin(struct world *world, struct occurrence *one)
{
    struct chance *chance = &world->chance;
    switch (one->fault) {
    case FAULT_CRASH:
        if (one->node != NULL)
            node_kill(world, one->node, 9);
        break;
    case FAULT_HANG:
        if (one->node != NULL)
            node_hang(world, one->node);
        break;
    case FAULT_POWER:
        host_power_off(world, one->host);
        break;
    case FAULT_CUT:
        network_set_cut(world, one->host, one->other_host, true);
        network_set_cut(world, one->other_host, one->host, true);
        break;
    case FAULT_CUT_ONE_WAY:
        network_set_cut(world, one->host, one->other_host, true);
        break;
    case FAULT_BREAK:
        network_break(world, one->host, one->other_host);
        break;
    case FAULT_LATE:
        network_set_late(world, chance_between(chance, US_PER_MS, LATE_MAX_US));
        break;
    case FAULT_DOUBLE:
        network_set_doubling(world, (unsigned)chance_between(chance, 10, DOUBLING_MAX_PER_MILLE));
        break;
    case FAULT_CLOCK:
        world->hosts[one->host].wall_offset_ns =
            chance_between(chance, -CLOCK_JUMP_MAX_S, CLOCK_JUMP_MAX_S) * INT64_C(1000000000);
        break;
    case FAULT_SLOW_DISK:
        disk_set_slow(world->cluster->control_disks[one->host], chance_between(chance, US_PER_MS, SLOW_MAX_US));
        break;
    case FAULT_FULL_DISK:
        disk_set_full(world->cluster->control_disks[one->host], true);
        break;
    case FAULT_COUNT:
        break;
    }
}

static void run_begin(struct world *world, struct node *unused, void *data)
{
    (void)unused;
    struct occurrence *one = memory_copy(data, sizeof *one);
    struct chance *chance = &world->chance;
    one->host = (int)chance_below(chance, SIDES);
    bool clients_too = !world->cluster->pair_only && chance_hits(chance, 250);
    one->other_host = clients_too ? HOST_CLIENTS : SIDES - 1 - one->host;
    one->node = one->fault == FAULT_CRASH || one->fault == FAULT_HANG ? draw_node(world) : NULL;
    one->life = one->node != NULL ? one->node->life : 0;
    int64_t length_us = chance_between(chance, US_PER_MS, chance_hits(chance, 400) ? LONG_MAX_US : SHORT_MAX_US);
    if (length_us > one->until_us - world->now_us)
        length_us = one->until_us - world->now_us;
    world->fault_at_us = world->now_us;
    story_line(&world->story, world->now_us, "world", "%s begins: host %s%s%s%s%s for %.3f s", kinds[one->fault].word,
               world->hosts[one->host].name, one->node == NULL ? ", other host " : "",
               one->node == NULL ? world->hosts[one->other_host].name : "", one->node != NULL ? ", " : "",
               one->node != NULL ? one->node->name : "", (double)length_us / 1e6);
    begin(world, one);
    world_after(world, length_us, NULL, run_end, one);
}

static enum fault draw_fault(struct chance *chance, uint32_t allowed)
{
    unsigned total = 0;
    for (unsigned fault = 0; fault < FAULT_COUNT; fault++)
        total += (allowed >> fault & 1) != 0 ? kinds[fault].weight : 0;
    ASSERT(total > 0);
    uint64_t drawn = chance_below(chance, total);
    unsigned fault = 0;
    for (; fault < FAULT_COUNT - 1; fault++) {
        unsigned weight = (allowed >> fault & 1) != 0 ? kinds[fault].weight : 0;
        if (drawn < weight)
            break;
        drawn -= weight;
    }
    return (enum fault)fault;
}

size_t faults_schedule(struct world *world, uint32_t allowed, int64_t from_us, int64_t until_us)
{
    size_t count = 0;
    if (allowed == 0)
        return 0;
    /* Some runs are rough, some have one fault at a time. */
    int64_t gap_max_us = chance_between(&world->chance, 2 * GAP_MIN_US, GAP_MAX_US);
    int64_t at_us = from_us + chance_between(&world->chance, 0, gap_max_us);
    while (at_us < until_us) {
        struct occurrence *one = memory_alloc(sizeof *one);
        one->fault = draw_fault(&world->chance, allowed);
        one->until_us = until_us;
        world_after(world, at_us - world->now_us, NULL, run_begin, one);
        count++;
        at_us += chance_between(&world->chance, GAP_MIN_US, gap_max_us);
    }
    return count;
}

bool faults_parse(const char *list, uint32_t *allowed)
{
    *allowed = 0;
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        unsigned fault = 0;
        while (fault < FAULT_COUNT &&
               (strlen(kinds[fault].word) != length || strncmp(kinds[fault].word, list, length) != 0))
            fault++;
        if (fault == FAULT_COUNT)
            return strncmp(list, "none", length) == 0;
        *allowed |= 1U << fault;
        list += length + (list[length] == ',');
    }
    return true;
}

void faults_print_list(void)
{
    for (unsigned fault = 0; fault < FAULT_COUNT; fault++)
        printf("  %-12s %s\n", kinds[fault].word, kinds[fault].what);
}
