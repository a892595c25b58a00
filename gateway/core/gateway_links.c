#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/text.h"
#include "gateway/core/gateway_state.h"

/* ---- the state of a link ---- */

static void enter_link(struct candidate *candidate, enum candidate_link state, int64_t now_ms)
{
    switch (candidate->link_state) {
    case CANDIDATE_LINK_NONE:
        ASSERT(state == CANDIDATE_LINK_DIALING);
        break;
    case CANDIDATE_LINK_DIALING:
        ASSERT(state != CANDIDATE_LINK_DIALING);
        break;
    case CANDIDATE_LINK_LIVE:
        ASSERT(state == CANDIDATE_LINK_NONE);
        break;
    }
    candidate->link_state = state;
    candidate->link_at_ms = now_ms;
}

static bool wants_link(const struct candidate *candidate)
{
    return candidate->known && candidate->routable && candidate->endpoint[0] != '\0' && !candidate->hung_reported &&
           candidate->state == GEMEL__PROCESS_STATE__PROCESS_READY;
}

static struct gateway_action *add_link_action(struct gateway_actions *actions, enum gateway_action_type type,
                                              const struct candidate *candidate)
{
    struct gateway_action *action = gateway_add(actions, type);
    action->link.process = candidate->number;
    action->link.link = candidate->link;
    return action;
}

void gateway_dial_soon(struct gateway_core *core, struct candidate *candidate)
{
    candidate->dial_delay_ms = GATEWAY_DIAL_FIRST_MS;
    candidate->dial_at_ms = core->now_ms;
}

void gateway_dial(struct gateway_core *core, struct candidate *candidate, struct gateway_actions *actions)
{
    if (candidate->link_state != CANDIDATE_LINK_NONE || !wants_link(candidate))
        return;
    if (core->now_ms < candidate->dial_at_ms) {
        gateway_set_alarm(core, candidate->dial_at_ms);
        return;
    }
    candidate->link++;
    candidate->link_token = (struct token){0};
    enter_link(candidate, CANDIDATE_LINK_DIALING, core->now_ms);
    struct gateway_action *action = add_link_action(actions, GATEWAY_ACTION_CONNECT, candidate);
    action->link.name = candidate->name;
    action->link.address = arena_strdup(&actions->arena, candidate->endpoint);
    gateway_set_alarm(core, core->now_ms + GATEWAY_DIAL_TIMEOUT_MS);
}

void gateway_drop_link(struct gateway_core *core, struct candidate *candidate, bool close, bool by_silence,
                       const char *why, struct gateway_actions *actions)
{
    if (candidate->link_state == CANDIDATE_LINK_NONE)
        return;
    if (close)
        add_link_action(actions, GATEWAY_ACTION_CLOSE, candidate);
    /* A dial that fails tells nothing new about a process that was left because it was silent. */
    if (candidate->link_state == CANDIDATE_LINK_LIVE || !candidate->left_by_silence) {
        candidate->left_by_silence = by_silence;
        text_copy(candidate->left_why, sizeof candidate->left_why, why);
    }
    enter_link(candidate, CANDIDATE_LINK_NONE, core->now_ms);
    candidate->dial_at_ms = core->now_ms + candidate->dial_delay_ms;
    candidate->dial_delay_ms *= 2;
    if (candidate->dial_delay_ms > GATEWAY_DIAL_LAST_MS)
        candidate->dial_delay_ms = GATEWAY_DIAL_LAST_MS;
    gateway_touch(core, candidate);
}

/* ---- events of links ---- */

/* Is it the process that was dialled, in the run that was reported or a newer one? Else gives the link up. A forwarder
 * does not ask: it knows its gateways by their addresses alone. */
static bool is_expected_peer(struct gateway_core *core, struct candidate *candidate, const struct gateway_event *event,
                             struct gateway_actions *actions)
{
    const char *peer = event->link.peer != NULL ? event->link.peer : "";
    if (strcmp(peer, candidate->name) != 0) {
        char why[ROUTE_WHY_BYTES];
        snprintf(why, sizeof why, "%s answers on its port", peer[0] != '\0' ? peer : "a stranger");
        if (strcmp(why, candidate->left_why) != 0) /* once, not with each dial */
            gateway_log(actions, GATEWAY_LOG_WARN,
                        "Process endpoint is in other hands [ Process: %s ] [ Endpoint: %s ] [ Peer: %s ]",
                        candidate->name, candidate->endpoint, peer);
        gateway_drop_link(core, candidate, true, false, why, actions);
        return false;
    }
    bool has_token = token_compare(event->link.token, (struct token){0}) != 0;
    if (has_token && token_compare(event->link.token, candidate->token) < 0) {
        gateway_drop_link(core, candidate, true, false, "an earlier run of it answers on its port", actions);
        return false;
    }
    return true;
}

static void on_open(struct gateway_core *core, struct candidate *candidate, const struct gateway_event *event,
                    struct gateway_actions *actions)
{
    if (!core->is_forwarder && !is_expected_peer(core, candidate, event, actions))
        return;
    enter_link(candidate, CANDIDATE_LINK_LIVE, core->now_ms);
    candidate->link_token = core->is_forwarder ? (struct token){0} : event->link.token;
    candidate->blocks_while_busy = event->link.blocks_while_busy;
    candidate->left_by_silence = false;
    candidate->dial_delay_ms = GATEWAY_DIAL_FIRST_MS;
    health_start(&candidate->health, core->now_ms);
    gateway_set_alarm(core, core->now_ms);
    gateway_touch(core, candidate);
}

int gateway_on_link(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions)
{
    if (event->link.process >= core->process_count)
        return -EINVAL;
    struct candidate *candidate = core->processes[event->link.process];
    if (event->link.link != candidate->link || candidate->link_state == CANDIDATE_LINK_NONE) {
        /* Of a link that was left meanwhile. */
        if (event->type == GATEWAY_EVENT_LINK_ANSWER)
            core->counters.late_answers++;
        return 0;
    }
    bool opening = event->type == GATEWAY_EVENT_LINK_OPEN || event->type == GATEWAY_EVENT_LINK_CLOSED;
    if (!opening && candidate->link_state != CANDIDATE_LINK_LIVE)
        return -EINVAL;
    if (event->type == GATEWAY_EVENT_LINK_OPEN) {
        if (candidate->link_state != CANDIDATE_LINK_DIALING)
            return -EINVAL;
        on_open(core, candidate, event, actions);
    } else if (event->type == GATEWAY_EVENT_LINK_CLOSED) {
        gateway_drop_link(core, candidate, false, false, event->link.why != NULL ? event->link.why : "closed", actions);
    } else if (event->type == GATEWAY_EVENT_LINK_PONG) {
        health_answered(&candidate->health, core->now_ms);
    } else if (event->type == GATEWAY_EVENT_LINK_ANSWER) {
        health_heard(&candidate->health, core->now_ms);
        gateway_on_answer(core, candidate, event->link.request_id, false, actions);
    } else {
        gateway_on_answer(core, candidate, event->link.request_id, true, actions);
    }
    return 0;
}

/* ---- events of daemons ---- */

static void subscribe(struct gateway_core *core, uint32_t number, uint64_t incarnation, struct gateway_actions *actions)
{
    core->hosts[number].incarnation = incarnation;
    gateway_add(actions, GATEWAY_ACTION_SUBSCRIBE)->host = number;
}

int gateway_on_daemon(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions)
{
    if (event->daemon.host >= core->host_count)
        return -EINVAL;
    struct gateway_host *host = &core->hosts[event->daemon.host];
    if (event->type == GATEWAY_EVENT_DAEMON_DOWN) {
        host->up = false;
        return 0;
    }
    if (event->type == GATEWAY_EVENT_DAEMON_UP) {
        host->up = true;
        health_start(&host->health, core->now_ms);
        gateway_set_alarm(core, core->now_ms);
        subscribe(core, event->daemon.host, 0, actions);
        return 0;
    }
    /* A daemon that was restarted behind a connection that never looked closed knows nothing of us. */
    if (host->incarnation != 0 && event->daemon.incarnation != host->incarnation)
        subscribe(core, event->daemon.host, event->daemon.incarnation, actions);
    host->incarnation = event->daemon.incarnation;
    if (event->type == GATEWAY_EVENT_DAEMON_PONG) {
        health_answered(&host->health, core->now_ms);
        return 0;
    }
    if (event->daemon.reports == NULL)
        return -EINVAL;
    health_heard(&host->health, core->now_ms);
    gateway_take_reports(core, event->daemon.host, event->daemon.reports, actions);
    if (event->daemon.reports->full)
        host->reported = true;
    return 0;
}

/* ---- silence ---- */

static int64_t larger(int64_t one, int64_t other)
{
    return one > other ? one : other;
}

/* What is known of a host's silence: of its daemon and of all its processes with a link. */
struct silence {
    bool any;            /* it has a live link at all */
    bool complete;       /* every one of them is silent */
    int64_t heard_at_ms; /* the last sign of life of any */
    int64_t due_ms;      /* when the last of them may be called silent */
};

static void add_member(const struct gateway_core *core, struct silence *silence, const struct health *health,
                       int64_t bound_ms)
{
    silence->heard_at_ms = larger(silence->heard_at_ms, health->heard_at_ms);
    silence->due_ms = larger(silence->due_ms, health->heard_at_ms + bound_ms);
    if (!health_is_silent(health, bound_ms, core->ping_interval_ms, core->now_ms))
        silence->complete = false;
}

/* The bound grows with the jitter seen on the links to the host: a lossy link costs time, not false alarms. */
static struct silence listen_to_host(const struct gateway_core *core, uint32_t number)
{
    const struct gateway_host *host = &core->hosts[number];
    int64_t bound_ms = HEALTH_HOST_PINGS * core->ping_interval_ms + health_jitter_ms(&host->health);
    struct silence silence = {.complete = true, .heard_at_ms = INT64_MIN, .due_ms = INT64_MIN};
    for (uint32_t i = 0; i < core->process_count; i++) {
        const struct candidate *candidate = core->processes[i];
        if (candidate->link_state != CANDIDATE_LINK_LIVE || candidate->host != number)
            continue;
        silence.any = true;
        add_member(core, &silence, &candidate->health, bound_ms + health_jitter_ms(&candidate->health));
    }
    if (host->up)
        add_member(core, &silence, &host->health, bound_ms);
    return silence;
}

static void drop_silent_host(struct gateway_core *core, uint32_t number, int64_t silence_ms,
                             struct gateway_actions *actions)
{
    char why[ROUTE_WHY_BYTES];
    snprintf(why, sizeof why, "host silent %lld ms", (long long)silence_ms);
    for (uint32_t i = 0; i < core->process_count; i++) {
        struct candidate *candidate = core->processes[i];
        if (candidate->host == number && candidate->link_state == CANDIDATE_LINK_LIVE)
            gateway_drop_link(core, candidate, true, true, why, actions);
    }
}

static void judge_hang(struct gateway_core *core, struct candidate *candidate, struct gateway_actions *actions)
{
    /* One that stands still while it works is judged by the deadlines of its queries. */
    if (candidate->blocks_while_busy && candidate->running.count > 0)
        return;
    int64_t bound_ms = core->hang_timeout_ms + health_jitter_ms(&candidate->health);
    if (!health_is_silent(&candidate->health, bound_ms, core->ping_interval_ms, core->now_ms)) {
        /* Over its time with too few pings sent: the next ping asks again. */
        int64_t due_ms = candidate->health.heard_at_ms + bound_ms;
        if (due_ms > core->now_ms)
            gateway_set_alarm(core, due_ms);
        return;
    }
    char why[ROUTE_WHY_BYTES];
    snprintf(why, sizeof why, "hung %lld ms", (long long)(core->now_ms - candidate->health.heard_at_ms));
    gateway_drop_link(core, candidate, true, true, why, actions);
}

static void tick_process(struct gateway_core *core, struct candidate *candidate, struct gateway_actions *actions)
{
    if (candidate->link_state == CANDIDATE_LINK_NONE) {
        gateway_dial(core, candidate, actions);
        return;
    }
    if (candidate->link_state == CANDIDATE_LINK_DIALING) {
        int64_t until_ms = candidate->link_at_ms + GATEWAY_DIAL_TIMEOUT_MS;
        if (core->now_ms >= until_ms)
            gateway_drop_link(core, candidate, true, false, "no answer to the dial", actions);
        else
            gateway_set_alarm(core, until_ms);
        return;
    }
    judge_hang(core, candidate, actions);
    if (candidate->link_state != CANDIDATE_LINK_LIVE)
        return;
    if (health_wants_ping(&candidate->health, core->ping_interval_ms, core->now_ms)) {
        add_link_action(actions, GATEWAY_ACTION_PING, candidate);
        health_pinged(&candidate->health, core->now_ms);
    }
    gateway_set_alarm(core, candidate->health.pinged_at_ms + core->ping_interval_ms);
}

static void tick_host(struct gateway_core *core, uint32_t number, struct gateway_actions *actions)
{
    struct gateway_host *host = &core->hosts[number];
    struct silence silence = listen_to_host(core, number);
    if (silence.any && silence.complete)
        drop_silent_host(core, number, core->now_ms - silence.heard_at_ms, actions);
    else if (silence.any && silence.due_ms > core->now_ms)
        gateway_set_alarm(core, silence.due_ms);
    if (!host->up)
        return;
    if (health_wants_ping(&host->health, core->ping_interval_ms, core->now_ms)) {
        gateway_add(actions, GATEWAY_ACTION_PING_DAEMON)->host = number;
        health_pinged(&host->health, core->now_ms);
    }
    gateway_set_alarm(core, host->health.pinged_at_ms + core->ping_interval_ms);
}

void gateway_tick_links(struct gateway_core *core, struct gateway_actions *actions)
{
    for (uint32_t number = 0; number < core->host_count; number++)
        tick_host(core, number, actions);
    for (uint32_t i = 0; i < core->process_count; i++)
        tick_process(core, core->processes[i], actions);
}
