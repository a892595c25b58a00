/* What must hold after each event, and at the end. Pure.
 *
 * The judge sees what programs do to the world, not what they think. It keeps the first broken rule. */
#ifndef GEMEL_TESTS_SIM_JUDGE_H
#define GEMEL_TESTS_SIM_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/token.h"
#include "common/wire/gemel.pb-c.h"
#include "control/core/oplog.h"
#include "tests/sim/world.h"

struct judge;

struct judge_counts {
    uint64_t acknowledged; /* operations */
    uint64_t solo;         /* of them, by one host alone */
    uint64_t leaderships;
    uint64_t spawns;
    uint64_t answered; /* queries */
    uint64_t failed;   /* of them, with an error, none being ready */
};

void judge_create(struct judge **judge);
void judge_destroy(struct judge **judge);

/* A rule is broken: keeps the sentence, the first one only. */
void judge_fail(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The broken rule; NULL: none so far. */
const char *judge_failure(const struct world *world);
struct judge_counts *judge_counts(struct world *world);

/* The pair: one leader an epoch; one operation at an (index, epoch); committed in order; acknowledged only when fsynced
 * here and, unless alone, by the other. */
void judge_on_leading(struct world *world, const struct node *node, uint64_t epoch);
void judge_on_committed(struct world *world, const struct node *node, const Gemel__LogEntry *entry,
                        uint64_t committed_before);
void judge_on_acknowledged(struct world *world, const struct node *node, const struct oplog *log, uint64_t index,
                           bool solo);
/* Daemons: orders of a stale epoch change nothing; one living process of a name; its tokens rise. */
void judge_on_orders(struct world *world, const struct node *daemon, uint64_t epoch, bool has_effect);
void judge_on_spawn(struct world *world, const struct node *process, struct token token);
/* Every wanted process serves and every gateway knows it, after the heal. */
void judge_processes_at_end(struct world *world);

/* Routes: watches all gateways from now on. Where a primary is gone and another process is ready, the route moves
 * within its bound; a query ends with an error only when no process was ready all the time. */
void judge_start(struct world *world);
void judge_on_query_failed(struct world *world, const struct node *gateway, const char *target, int64_t asked_us);

/* After the heal: one leader, logs and hashes equal, nothing lost that was acknowledged. */
void judge_pair_at_end(struct world *world);

#endif
