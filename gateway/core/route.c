#include "gateway/core/route.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/text.h"

bool candidate_is_registered(const struct candidate *candidate)
{
    if (candidate->link_state != CANDIDATE_LINK_LIVE || !candidate->known || candidate->hung_reported ||
        candidate->state != GEMEL__PROCESS_STATE__PROCESS_READY)
        return false;
    /* A process that was restarted may answer on its port before it says ready, while the report of its old run still
     * says so: only the run that was reported counts. */
    return token_compare(candidate->link_token, (struct token){0}) == 0 ||
           token_compare(candidate->link_token, candidate->token) == 0;
}

static const char *process_state_word(Gemel__ProcessState state)
{
    switch (state) {
    case GEMEL__PROCESS_STATE__PROCESS_STOPPED:
        return "stopped";
    case GEMEL__PROCESS_STATE__PROCESS_STARTING:
        return "starting";
    case GEMEL__PROCESS_STATE__PROCESS_READY:
        return "ready";
    case GEMEL__PROCESS_STATE__PROCESS_STOPPING:
        return "stopping";
    case GEMEL__PROCESS_STATE__PROCESS_BACKOFF:
        return "back-off";
    case GEMEL__PROCESS_STATE__PROCESS_FAILED:
        return "failed";
    case _GEMEL__PROCESS_STATE_IS_INT_SIZE:
        break;
    }
    return "unknown";
}

enum candidate_obstacle candidate_obstacle(const struct candidate *candidate, bool forced, char why[ROUTE_WHY_BYTES])
{
    why[0] = '\0';
    if (!candidate->known) {
        text_copy(why, ROUTE_WHY_BYTES, "no daemon reports it");
        return CANDIDATE_GONE;
    }
    if (candidate->hung_reported) {
        text_copy(why, ROUTE_WHY_BYTES, "hung, says its daemon");
        return CANDIDATE_SILENT;
    }
    if (candidate->link_state != CANDIDATE_LINK_LIVE && candidate->left_by_silence) {
        text_copy(why, ROUTE_WHY_BYTES, candidate->left_why);
        return CANDIDATE_SILENT;
    }
    if (candidate->state != GEMEL__PROCESS_STATE__PROCESS_READY) {
        snprintf(why, ROUTE_WHY_BYTES, "%s%s%s", process_state_word(candidate->state),
                 candidate->why[0] != '\0' ? ": " : "", candidate->why);
        return CANDIDATE_GONE;
    }
    if (candidate->link_state != CANDIDATE_LINK_LIVE) {
        bool never = candidate->left_why[0] == '\0';
        snprintf(why, ROUTE_WHY_BYTES, "%s%s", never ? "not connected yet" : "disconnected: ", candidate->left_why);
        return CANDIDATE_GONE;
    }
    if (!candidate_is_registered(candidate)) {
        text_copy(why, ROUTE_WHY_BYTES, "its new run has not said ready yet");
        return CANDIDATE_GONE;
    }
    if (candidate->stale[0] != '\0' && !forced) {
        snprintf(why, ROUTE_WHY_BYTES, "stale: %s", candidate->stale);
        return CANDIDATE_STALE;
    }
    return CANDIDATE_FIT;
}

bool candidate_is_down(const struct candidate *candidate)
{
    switch (candidate->state) {
    case GEMEL__PROCESS_STATE__PROCESS_STOPPED:
    case GEMEL__PROCESS_STATE__PROCESS_BACKOFF:
    case GEMEL__PROCESS_STATE__PROCESS_FAILED:
        return true;
    case GEMEL__PROCESS_STATE__PROCESS_STARTING:
    case GEMEL__PROCESS_STATE__PROCESS_READY:
    case GEMEL__PROCESS_STATE__PROCESS_STOPPING:
    case _GEMEL__PROCESS_STATE_IS_INT_SIZE:
        break;
    }
    return candidate->hung_reported || (candidate->left_by_silence && candidate->link_state != CANDIDATE_LINK_LIVE);
}

void route_init(struct route *route, const char *pipeline, const char *type, uint32_t index, int64_t now_ms)
{
    memset(route, 0, sizeof *route);
    text_copy(route->pipeline, sizeof route->pipeline, pipeline);
    text_copy(route->type, sizeof route->type, type);
    route->index = index;
    snprintf(route->name, sizeof route->name, "%s.%s.%u", pipeline, type, index);
    request_list_init(&route->waiting);
    route->state = ROUTE_WAITING;
    route->state_at_ms = now_ms;
    route->primary = ROUTE_NONE;
    route->last_primary = ROUTE_NONE;
    route->wait_since_ms = INT64_MAX;
}

static bool is_fit(const struct route *route, uint32_t instance, bool forced)
{
    char why[ROUTE_WHY_BYTES];
    const struct candidate *candidate = instance < INSTANCES_MAX ? route->candidates[instance] : NULL;
    return candidate != NULL && candidate_obstacle(candidate, forced, why) == CANDIDATE_FIT;
}

static bool is_lagging(const struct candidate *candidate, const struct route_rules *rules)
{
    return rules->max_lag_rows != 0 && candidate->lag_rows > rules->max_lag_rows;
}

uint32_t route_best(const struct route *route, const struct route_rules *rules, uint32_t except)
{
    uint32_t best = ROUTE_NONE;
    for (uint32_t instance = 0; instance < route->candidate_end; instance++) {
        if (instance == except || !is_fit(route, instance, false))
            continue;
        if (best == ROUTE_NONE) {
            best = instance;
            continue;
        }
        const struct candidate *one = route->candidates[instance];
        const struct candidate *other = route->candidates[best];
        bool fresher = is_lagging(other, rules) && !is_lagging(one, rules);
        if (fresher || one->lag_rows < other->lag_rows)
            best = instance;
    }
    return best;
}

bool route_is_publication_pending(const struct route *route, int64_t now_ms)
{
    return route->published && now_ms < route->published_until_ms &&
           (route->published_version != route->taken_version || route->published_epoch != route->taken_epoch);
}

bool route_is_local(const struct route *route)
{
    if (route->state != ROUTE_SERVED)
        return false;
    return route->primary != (route->published ? route->published_instance : 0);
}

static void note_taken(struct route *route)
{
    route->taken_version = route->published_version;
    route->taken_epoch = route->published_epoch;
}

bool route_publish(struct route *route, uint32_t instance, bool forced, uint64_t version, uint64_t epoch,
                   int64_t until_ms)
{
    if (route->published && epoch <= route->published_epoch && version <= route->published_version)
        return false;
    if (route->published && version == route->published_version && instance == route->published_instance) {
        /* The same table from a new leader. */
        bool pending = route->published_version != route->taken_version || route->published_epoch != route->taken_epoch;
        route->published_epoch = epoch;
        if (!pending)
            route->taken_epoch = epoch;
        return false;
    }
    route->published = true;
    route->published_instance = instance;
    route->published_forced = forced;
    route->published_version = version;
    route->published_epoch = epoch;
    route->published_until_ms = until_ms;
    if (route->state == ROUTE_WAITING && !route->forced)
        route->preferred = instance;
    if (route->state == ROUTE_SERVED && route->primary == instance) {
        route->forced = forced;
        note_taken(route);
    }
    return true;
}

/* ---- decisions, one function a state ---- */

static void decide_move(struct route_decision *decision, uint32_t instance)
{
    decision->verdict = ROUTE_MOVE;
    decision->instance = instance;
}

static void decide_waiting(struct route *route, const struct route_rules *rules, int64_t now_ms,
                           struct route_decision *decision)
{
    if (is_fit(route, route->preferred, route->forced)) {
        decide_move(decision, route->preferred);
        snprintf(decision->why, sizeof decision->why, "%s",
                 route->forced      ? "forced by the operator"
                 : route->published ? "as published"
                                    : "first choice");
        return;
    }
    uint32_t best = route_best(route, rules, ROUTE_NONE);
    if (best == ROUTE_NONE) {
        route->wait_since_ms = INT64_MAX;
        return;
    }
    const struct candidate *preferred = route->candidates[route->preferred];
    bool down = preferred != NULL && candidate_is_down(preferred) && !route->forced;
    if (route->wait_since_ms == INT64_MAX)
        route->wait_since_ms = now_ms;
    if (!down && now_ms < route_wakeup_ms(route, rules))
        return;
    decide_move(decision, best);
    snprintf(decision->why, sizeof decision->why, "instance %u is %s", route->preferred,
             down ? "down" : "not ready in its time");
}

static void decide_served(const struct route *route, const struct route_rules *rules, int64_t now_ms,
                          struct route_decision *decision)
{
    const struct candidate *primary = route->candidates[route->primary];
    decision->obstacle = candidate_obstacle(primary, route->forced, decision->why);
    if (decision->obstacle != CANDIDATE_FIT) {
        decision->instance = route_best(route, rules, route->primary);
        decision->verdict = decision->instance == ROUTE_NONE ? ROUTE_LEAVE : ROUTE_MOVE;
        return;
    }
    if (route_is_publication_pending(route, now_ms) && route->published_instance != route->primary &&
        is_fit(route, route->published_instance, route->published_forced)) {
        decide_move(decision, route->published_instance);
        decision->forced = route->published_forced;
        snprintf(decision->why, sizeof decision->why, "published route, version %llu",
                 (unsigned long long)route->published_version);
        return;
    }
    if (is_lagging(primary, rules) && !route->forced) {
        uint32_t best = route_best(route, rules, route->primary);
        if (best != ROUTE_NONE && !is_lagging(route->candidates[best], rules)) {
            decide_move(decision, best);
            decision->obstacle = CANDIDATE_STALE;
            snprintf(decision->why, sizeof decision->why, "lag %llu rows", (unsigned long long)primary->lag_rows);
        }
    }
}

static bool is_all_stopped(const struct route *route)
{
    for (uint32_t instance = 0; instance < route->candidate_end; instance++) {
        const struct candidate *candidate = route->candidates[instance];
        if (candidate != NULL && candidate->known && candidate->state != GEMEL__PROCESS_STATE__PROCESS_STOPPED)
            return false;
    }
    return true;
}

static void decide_vacant(const struct route *route, const struct route_rules *rules, int64_t now_ms,
                          struct route_decision *decision)
{
    bool pending = route_is_publication_pending(route, now_ms);
    if (pending && is_fit(route, route->published_instance, route->published_forced)) {
        decide_move(decision, route->published_instance);
        decision->forced = route->published_forced;
        text_copy(decision->why, sizeof decision->why, "as published");
        return;
    }
    uint32_t best = route_best(route, rules, ROUTE_NONE);
    if (best != ROUTE_NONE) {
        decide_move(decision, best);
        text_copy(decision->why, sizeof decision->why, "available again");
    } else if (is_all_stopped(route)) {
        decision->verdict = ROUTE_AWAIT;
        decision->instance = pending ? route->published_instance : route->last_primary;
    }
}

void route_decide(struct route *route, const struct route_rules *rules, int64_t now_ms, struct route_decision *decision)
{
    *decision = (struct route_decision){.verdict = ROUTE_KEEP, .instance = ROUTE_NONE, .obstacle = CANDIDATE_FIT};
    switch (route->state) {
    case ROUTE_WAITING:
        decide_waiting(route, rules, now_ms, decision);
        break;
    case ROUTE_SERVED:
        decide_served(route, rules, now_ms, decision);
        break;
    case ROUTE_VACANT:
        decide_vacant(route, rules, now_ms, decision);
        break;
    }
}

void route_enter(struct route *route, enum route_state state, uint32_t primary, int64_t now_ms)
{
    ASSERT((state == ROUTE_SERVED) == (primary != ROUTE_NONE));
    ASSERT(state != ROUTE_VACANT || route->state == ROUTE_SERVED);
    if (route->state == ROUTE_SERVED) {
        route->last_primary = route->primary;
        route->left_token = route->candidates[route->primary]->token;
    }
    /* Taken: its target is the primary now. Declined: its target was waited for in vain. */
    if (state == ROUTE_SERVED && route->published &&
        (primary == route->published_instance || route->state == ROUTE_WAITING))
        note_taken(route);
    route->state = state;
    route->state_at_ms = now_ms;
    route->primary = primary;
    route->wait_since_ms = INT64_MAX;
}

int64_t route_wakeup_ms(const struct route *route, const struct route_rules *rules)
{
    if (route->state != ROUTE_WAITING || route->wait_since_ms == INT64_MAX)
        return INT64_MAX;
    /* Whose host is lost is in no report: it must not cost the whole start-up time of a process. */
    const struct candidate *preferred = route->candidates[route->preferred];
    bool known = preferred != NULL && preferred->known;
    bool shorter = !known && !route->forced && rules->unknown_timeout_ms < rules->startup_timeout_ms;
    return route->wait_since_ms + (shorter ? rules->unknown_timeout_ms : rules->startup_timeout_ms);
}

const char *route_state_name(enum route_state state)
{
#define ROUTE_STATE_WORD(name, word)                                                                                   \
    case name:                                                                                                         \
        return word;
    switch (state) {
        ROUTE_STATES(ROUTE_STATE_WORD)
    }
#undef ROUTE_STATE_WORD
    return "unknown";
}
