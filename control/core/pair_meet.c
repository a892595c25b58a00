#include <errno.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/text.h"
#include "common/base/token.h"
#include "control/core/pair_parts.h"

void pair_meet_send_hello(struct pair_core *core, const Gemel__Envelope *answered)
{
    struct arena *arena = &core->actions->arena;
    Gemel__PairHello *hello = arena_alloc(arena, sizeof *hello);
    gemel__pair_hello__init(hello);
    bool leads = core->state == PAIR_LEADING;
    hello->reply = answered != NULL;
    hello->host = arena_strdup(arena, core->config.host);
    hello->node = core->config.node;
    hello->role = leads ? GEMEL__PAIR_ROLE__PAIR_ROLE_LEADER : GEMEL__PAIR_ROLE__PAIR_ROLE_FOLLOWER;
    hello->leader_host = arena_strdup(arena, leads ? core->config.host : core->following ? core->config.peer_host : "");
    hello->epoch = core->meta.epoch_seen;
    hello->last = oplog_position_message(oplog_at(core->log, core->stored_index), arena);
    hello->commit_index = core->commit_index;
    hello->solo = leads && core->meta.record.members == PAIR_SELF_ALONE;
    hello->policy = arena_strdup(arena, core->config.policy == PAIR_PROMOTE ? "promote" : "freeze");
    hello->sequence = ++core->hello_sequence;
    hello->unfit = pair_is_unfit(core);
    hello->yields = core->yields;
    if (answered != NULL) {
        hello->answers_incarnation = answered->incarnation;
        hello->answers_sequence = answered->pair_hello->sequence;
    } else {
        core->hello_at_ms = core->now_ms + core->config.heartbeat_ms;
    }
    pair_compose(core, GEMEL__ENVELOPE__BODY_PAIR_HELLO, leads || core->following ? hello->epoch : 0)->pair_hello =
        hello;
}

/* ---- who the peer is */

static struct pair_retired *find_retired(struct pair_core *core, uint64_t incarnation)
{
    for (size_t i = 0; i < PAIR_RETIRED_MAX; i++)
        if (core->peer.retired[i].incarnation == incarnation)
            return &core->peer.retired[i];
    return NULL;
}

/* Is the message of this cluster, or of one that may become the same? */
static bool is_same_cluster(struct pair_core *core, const Gemel__Envelope *envelope)
{
    if (core->meta.cluster_id[0] == '\0' || envelope->cluster_id[0] == '\0' ||
        strcmp(core->meta.cluster_id, envelope->cluster_id) == 0)
        return true;
    text_copy(core->peer.error, sizeof core->peer.error, "its store belongs to another cluster");
    return false;
}

bool pair_meet_is_current(struct pair_core *core, const Gemel__Envelope *envelope)
{
    if (!is_same_cluster(core, envelope))
        return false;
    if (envelope->incarnation == core->peer.incarnation)
        return true;
    /* Late, or from an incarnation that is not known yet: a hello that is answered settles it. */
    if (core->now_ms >= core->hello_at_ms)
        pair_meet_send_hello(core, NULL);
    return false;
}

/* A hello of another incarnation than the known one. A former one counts only when it answers a hello that was sent
 * after it was retired: a late message must not bring back the dead, nor keep out the living. */
static bool is_alive(struct pair_core *core, const Gemel__Envelope *envelope)
{
    const Gemel__PairHello *hello = envelope->pair_hello;
    const struct pair_retired *retired = find_retired(core, envelope->incarnation);
    if (retired == NULL)
        return true;
    return hello->reply && hello->answers_incarnation == core->config.incarnation &&
           hello->answers_sequence > retired->hello_sequence;
}

/* The peer was restarted, or is met for the first time. Its old leadership, if any, is over (end of rule 10). */
static void on_new_incarnation(struct pair_core *core, uint64_t incarnation)
{
    struct pair_peer *peer = &core->peer;
    struct pair_retired *back = find_retired(core, incarnation);
    if (back != NULL)
        *back = (struct pair_retired){0};
    bool restarted = peer->incarnation != 0;
    if (restarted) {
        peer->retired[peer->retired_next] =
            (struct pair_retired){.incarnation = peer->incarnation, .hello_sequence = core->hello_sequence};
        peer->retired_next = (peer->retired_next + 1) % PAIR_RETIRED_MAX;
    }
    peer->incarnation = incarnation;
    peer->hello_sequence = 0;
    peer->answered = false;
    peer->leads = peer->has_leader = peer->yields = false;
    peer->unfit_until_ms = INT64_MIN;
    peer->announce_due = true;
    peer->met_ms = core->now_ms;
    /* Who is here now may be ahead: it gets the time to say so and to claim, however long nobody has led. */
    if (core->lead_alone_at_ms < core->now_ms + core->config.suspect_ms)
        core->lead_alone_at_ms = core->now_ms + core->config.suspect_ms;
    if (core->following)
        pair_follow_lose(core, "the leader's control was restarted");
}

void pair_meet_adopt_cluster(struct pair_core *core, const char *cluster_id)
{
    if (core->meta.cluster_id[0] != '\0' || cluster_id[0] == '\0' || strlen(cluster_id) >= PAIR_CLUSTER_ID_BYTES)
        return;
    text_copy(core->meta.cluster_id, sizeof core->meta.cluster_id, cluster_id);
    pair_store_fact(core);
}

static void take_hello(struct pair_core *core, const Gemel__PairHello *hello)
{
    struct pair_peer *peer = &core->peer;
    if (pair_is_silent(core, core->config.lease_ms) && !peer->announce_due) {
        peer->announce_due = true;
        peer->met_ms = core->now_ms;
    }
    peer->heard_ms = core->now_ms;
    peer->hello_sequence = hello->sequence;
    peer->leads = hello->role == GEMEL__PAIR_ROLE__PAIR_ROLE_LEADER;
    peer->has_leader = hello->leader_host[0] != '\0';
    peer->unfit_until_ms = hello->unfit ? core->now_ms + core->config.lease_ms : INT64_MIN;
    peer->yields = hello->yields;
    peer->last = oplog_position_from(hello->last);
    if (hello->reply && hello->answers_incarnation == core->config.incarnation)
        peer->answered = true;
}

/* ---- who leads when nobody does */

static bool is_ahead(const struct pair_core *core)
{
    const struct pair_peer *peer = &core->peer;
    if (pair_is_unfit(core) != pair_peer_is_unfit(core))
        return pair_peer_is_unfit(core);
    if (core->yields != peer->yields)
        return peer->yields;
    struct oplog_position own = oplog_at(core->log, core->stored_index);
    int order = oplog_compare(&own, &peer->last);
    return order != 0 ? order > 0 : core->config.node == 1;
}

/* Both are there, both have said where they stand, nobody leads: the one that is ahead claims, the other one waits.
 * Positions move only under a leader, so that an answer given since this incarnation of the peer was met still holds.
 */
static void elect(struct pair_core *core)
{
    const struct pair_peer *peer = &core->peer;
    if (core->state != PAIR_FOLLOWING || core->following || !peer->answered || peer->leads || peer->has_leader)
        return;
    if (!is_ahead(core) || pair_is_unfit(core))
        return;
    struct oplog_position own = oplog_at(core->log, core->stored_index);
    if (peer->yields)
        pair_lead_claim(core, "the former leader lacks operations that are here");
    else if (oplog_compare(&own, &peer->last) != 0)
        pair_lead_claim(core, "nobody led, and this host's log is ahead");
    else
        pair_lead_claim(core, "nobody led, and this host was chosen among equals");
}

void pair_meet_learn_epoch(struct pair_core *core, uint64_t epoch)
{
    if (epoch <= core->meta.epoch_seen)
        return;
    if (core->state == PAIR_LEADING)
        pair_lead_step_down(core, "another epoch is newer");
    else if (core->state == PAIR_CLAIMING && epoch >= core->claim.epoch)
        pair_enter(core, PAIR_FOLLOWING, "another epoch is newer");
    else if (core->following)
        pair_follow_lose(core, "another epoch is newer");
    core->meta.epoch_seen = epoch;
    pair_store_fact(core);
}

/* What the hello says about leadership. */
static void weigh_roles(struct pair_core *core, const Gemel__PairHello *hello, bool restarted)
{
    if (hello->role == GEMEL__PAIR_ROLE__PAIR_ROLE_LEADER) {
        pair_follow_accepts(core, hello->epoch);
        return;
    }
    pair_meet_learn_epoch(core, hello->epoch);
    if (core->following && hello->epoch >= core->meta.epoch_seen)
        pair_follow_lose(core, "the leader stepped down");
    if (core->state == PAIR_LEADING)
        pair_lead_on_position(core, core->peer.last, restarted);
    else
        elect(core);
}

int pair_meet_on_hello(struct pair_core *core, const Gemel__Envelope *envelope)
{
    const Gemel__PairHello *hello = envelope->pair_hello;
    if (hello->node < 1 || hello->node > 2 || hello->last == NULL)
        return -EBADMSG;
    if (hello->node == core->config.node) {
        text_copy(core->peer.error, sizeof core->peer.error, "it says that it is this host's control");
        return -EBADMSG;
    }
    if (strlen(envelope->cluster_id) >= PAIR_CLUSTER_ID_BYTES)
        return -EBADMSG;
    if (!is_same_cluster(core, envelope))
        return 0;
    bool restarted = envelope->incarnation != core->peer.incarnation;
    if (restarted && !is_alive(core, envelope)) {
        /* It is answered all the same: the other one may be in the same doubt about this control. */
        if (!hello->reply)
            pair_meet_send_hello(core, envelope);
        if (core->now_ms >= core->hello_at_ms)
            pair_meet_send_hello(core, NULL);
        return 0;
    }
    if (restarted)
        on_new_incarnation(core, envelope->incarnation);
    else if (hello->sequence <= core->peer.hello_sequence)
        return 0;
    pair_meet_adopt_cluster(core, envelope->cluster_id);
    take_hello(core, hello);
    weigh_roles(core, hello, restarted);
    if (!hello->reply)
        pair_meet_send_hello(core, envelope);
    if (!core->peer.answered)
        pair_meet_send_hello(core, NULL);
    return 0;
}

/* ---- what people read */

void pair_meet_announce(struct pair_core *core)
{
    struct pair_peer *peer = &core->peer;
    bool leads = core->state == PAIR_LEADING && core->acting;
    if (!peer->announce_due || (!leads && !core->following))
        return;
    bool in_sync = leads ? pair_follower_is_in_sync(core) && core->match_index >= core->commit_index : core->in_sync;
    if (!in_sync && core->now_ms - peer->met_ms < core->config.lease_ms)
        return; /* it will be in a moment */
    peer->announce_due = false;
    core->warn_at_ms = core->now_ms + PAIR_NOT_FOUND_EVERY_MS;
    pair_say(core, PAIR_INFO, "Peer control found [ Peer: %s ] [ Leader: %s ] [ Epoch: %llu ] [ In Sync: %s ]",
             core->config.peer, leads ? core->config.host : core->config.peer_host,
             (unsigned long long)epoch_counter(core->meta.epoch_seen), in_sync ? "yes" : "no");
}

void pair_meet_warn(struct pair_core *core)
{
    core->warn_at_ms = core->now_ms + PAIR_NOT_FOUND_EVERY_MS;
    if (!pair_is_silent(core, core->config.suspect_ms))
        return;
    pair_say(core, PAIR_WARN, "Peer control not found yet [ Peer: %s ] [ Last Error: %s ]", core->config.peer,
             core->peer.error[0] != '\0' ? core->peer.error : "no answer");
    if (core->meta.cluster_id[0] == '\0' && core->config.node != 1)
        pair_say(core, PAIR_WARN,
                 "This control has an empty store and waits for its peer, which has or makes the cluster [ Peer: %s ]",
                 core->config.peer);
}
