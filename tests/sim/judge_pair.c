#include <inttypes.h>
#include <string.h>

#include "common/base/crc32c.h"
#include "common/base/memory.h"
#include "common/wire/wire.h"
#include "tests/sim/cluster.h"
#include "tests/sim/judge.h"
#include "tests/sim/judge_state.h"
#include "tests/sim/sim_control.h"

void judge_on_leading(struct world *world, const struct node *node, uint64_t epoch)
{
    struct judge *judge = world->judge;
    struct judged_epoch *known = NULL;
    HASH_FIND(hh, judge->epochs, &epoch, sizeof epoch, known);
    if (known != NULL && (known->node != node || known->life != node->life)) {
        judge_fail(world, "two leaders of epoch %" PRIx64 ": %s, life %" PRIu64 " and %s, life %" PRIu64, epoch,
                   known->node->name, known->life, node->name, node->life);
        return;
    }
    if (known != NULL)
        return;
    judge->counts.leaderships++;
    known = memory_alloc(sizeof *known);
    *known = (struct judged_epoch){.epoch = epoch, .node = node, .life = node->life};
    HASH_ADD(hh, judge->epochs, epoch, sizeof known->epoch, known);
}

/* The entry at (index, epoch), which is the same operation wherever it stands. */
static struct judged_entry *judge_entry(struct world *world, const struct node *node, uint64_t index, uint64_t epoch,
                                        uint32_t checksum)
{
    struct judge *judge = world->judge;
    struct judged_place place = {.index = index, .epoch = epoch};
    struct judged_entry *entry = NULL;
    HASH_FIND(hh, judge->entries, &place, sizeof place, entry);
    if (entry == NULL) {
        entry = memory_alloc(sizeof *entry);
        *entry = (struct judged_entry){.place = place, .crc32c = checksum, .solo = true};
        HASH_ADD(hh, judge->entries, place, sizeof place, entry);
    }
    if (entry->crc32c != checksum)
        judge_fail(world, "%s has another operation at index %" PRIu64 " of epoch %" PRIx64 " than was seen before",
                   node->name, index, epoch);
    return entry;
}

void judge_on_committed(struct world *world, const struct node *node, const Gemel__LogEntry *entry,
                        uint64_t committed_before)
{
    if (entry->index != committed_before + 1)
        judge_fail(world, "%s commits index %" PRIu64 " after %" PRIu64, node->name, entry->index, committed_before);
    (void)judge_entry(world, node, entry->index, entry->epoch, crc32c(entry->op.data, entry->op.len));
}

/* Is this operation among durable entries? */
static bool entries_hold(const struct image_entries *entries, const struct judged_entry *wanted)
{
    for (size_t i = 0; i < entries->count; i++) {
        ProtobufCMessage *message = NULL;
        if (wire_unpack(&gemel__log_entry__descriptor, entries->items[i].bytes, entries->items[i].size, &message) != 0)
            continue;
        const Gemel__LogEntry *entry = (const Gemel__LogEntry *)message;
        bool same = entry->index == wanted->place.index && entry->epoch == wanted->place.epoch &&
                    crc32c(entry->op.data, entry->op.len) == wanted->crc32c;
        wire_free(message);
        if (same)
            return true;
    }
    return false;
}

static bool log_holds(const struct control_image *image, const struct judged_entry *wanted)
{
    uint64_t index = wanted->place.index;
    if (index == 0 || index > image->log.count)
        return false;
    struct image_entries one = {.items = image->log.items + index - 1, .count = 1};
    return entries_hold(&one, wanted);
}

void judge_on_acknowledged(struct world *world, const struct node *node, const struct oplog *log, uint64_t index,
                           bool solo)
{
    struct judge *judge = world->judge;
    struct oplog_entry given = oplog_entry(log, index);
    struct judged_entry *entry = judge_entry(world, node, index, given.epoch, crc32c(given.op, given.op_bytes));
    entry->acknowledged = true;
    entry->solo = entry->solo && solo;
    judge->counts.acknowledged++;
    judge->counts.solo += solo ? 1 : 0;
    const struct control_image *images = world->cluster->control_images;
    int other = node->host == HOST_A ? HOST_B : HOST_A;
    if (!log_holds(&images[node->host], entry))
        judge_fail(world, "%s acknowledges index %" PRIu64 " before it is fsynced there", node->name, index);
    if (!solo && !log_holds(&images[other], entry))
        judge_fail(world, "%s acknowledges index %" PRIu64 " as if both had it, and %s has not fsynced it", node->name,
                   index, world->cluster->controls[other]->name);
}

/* ---- at the end */

static void check_promise(struct world *world, int leader)
{
    const struct control_image *images = world->cluster->control_images;
    for (struct judged_entry *entry = world->judge->entries; entry != NULL; entry = entry->hh.next) {
        if (!entry->acknowledged || log_holds(&images[leader], entry))
            continue;
        bool kept = false;
        for (int host = 0; host < SIDES; host++)
            kept = kept || entries_hold(&images[host].diverged, entry);
        if (!kept)
            judge_fail(world, "the acknowledged operation at index %" PRIu64 " of epoch %" PRIx64 " is lost",
                       entry->place.index, entry->place.epoch);
        else if (!entry->solo)
            judge_fail(world,
                       "the operation at index %" PRIu64 " of epoch %" PRIx64
                       " that both hosts had acknowledged was cut as diverged",
                       entry->place.index, entry->place.epoch);
    }
}

void judge_pair_at_end(struct world *world)
{
    struct pair_status status[SIDES];
    int leader = -1;
    for (int host = 0; host < SIDES; host++) {
        const struct node *node = world->cluster->controls[host];
        if (!node->alive) {
            judge_fail(world, "%s is not running after the heal", node->name);
            return;
        }
        sim_control_status(node, &status[host]);
        if (status[host].acting && leader >= 0)
            judge_fail(world, "both controls lead after the heal");
        if (status[host].acting)
            leader = host;
    }
    if (leader < 0) {
        judge_fail(world, "nobody leads after the heal: a is %s (%s), b is %s (%s)", pair_state_word(status[0].state),
                   status[0].why, pair_state_word(status[1].state), status[1].why);
        return;
    }
    if (memcmp(&status[0].last, &status[1].last, sizeof status[0].last) != 0)
        judge_fail(world,
                   "the logs differ after the heal: a ends at %" PRIu64 " of %" PRIx64 ", b at %" PRIu64 " of %" PRIx64
                   ", or their hashes differ",
                   status[0].last.index, status[0].last.epoch, status[1].last.index, status[1].last.epoch);
    if (status[0].epoch != status[1].epoch)
        judge_fail(world, "the epochs differ after the heal: a %" PRIx64 ", b %" PRIx64, status[0].epoch,
                   status[1].epoch);
    if (status[leader].solo || status[leader].peer != PAIR_PEER_IN_SYNC)
        judge_fail(world, "the follower is not in sync after the heal: %s, solo %d",
                   pair_peer_state_word(status[leader].peer), (int)status[leader].solo);
    check_promise(world, leader);
}
