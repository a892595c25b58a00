#include <inttypes.h>

#include "tests/sim/judge.h"
#include "tests/sim/judge_state.h"

void judge_on_orders(struct world *world, const struct node *daemon, uint64_t epoch, bool has_effect)
{
    uint64_t *obeyed = &world->judge->epoch_obeyed[daemon->host];
    if (!has_effect)
        return;
    if (epoch < *obeyed)
        judge_fail(world, "%s obeys an order of epoch %" PRIx64 " after one of epoch %" PRIx64, daemon->name, epoch,
                   *obeyed);
    *obeyed = epoch > *obeyed ? epoch : *obeyed;
}

void judge_on_spawn(struct world *world, const struct node *process, struct token token)
{
    struct judge *judge = world->judge;
    judge->counts.spawns++;
    if (process->alive)
        judge_fail(world, "a second %s is started while one runs", process->name);
    if (token_compare(token, judge->tokens[process->slot]) <= 0)
        judge_fail(world, "%s is started with token %" PRIu64 "-%" PRIu64 " after %" PRIu64 "-%" PRIu64, process->name,
                   token.placement, token.start, judge->tokens[process->slot].placement,
                   judge->tokens[process->slot].start);
    judge->tokens[process->slot] = token;
}
