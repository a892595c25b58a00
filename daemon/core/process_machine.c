#include "daemon/core/process_machine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/text.h"
#include "daemon/core/daemon_actions.h"
#include "daemon/core/process_record.h"

enum {
    WHY_BYTES = 1024,
    CAUSE_BYTES = 64,
    DURATION_BYTES = 32
};

#define TO(state) (1u << PROCESS_STATE_##state)

static const struct {
    const char *word;
    unsigned successors;
} states[] = {
#define X(name, word, edges) [PROCESS_STATE_##name] = {word, edges},
    PROCESS_STATES(X)
#undef X
};

const char *process_state_name(enum process_state state)
{
    return states[state].word;
}

bool process_is_running(const struct process *process)
{
    return process->spawning || process->pid != 0;
}

/* The only writer of `state`. Every change is a line of the log and of the next report. */
static void enter(struct process *process, enum process_state state, const struct process_step *step, const char *why)
{
    ASSERT((states[process->state].successors & 1u << state) != 0);
    enum daemon_log_level level = DAEMON_LOG_INFO;
    if (state == PROCESS_STATE_BACKOFF)
        level = DAEMON_LOG_WARN;
    if (state == PROCESS_STATE_FAILED)
        level = DAEMON_LOG_ERROR;
    daemon_actions_log(step->actions, level,
                       "Process state changed [ Process: %s ] [ From: %s ] [ To: %s ] [ Why: %s ]", process->name,
                       states[process->state].word, states[state].word, why);
    process->state = state;
    process->since_ms = step->now_ms;
    process->since_wall_ns = step->wall_ns;
    process->deadline_ms = INT64_MAX;
    process->forget_ms = INT64_MAX;
    process->probe_ms = INT64_MAX;
    process->watchdog_ms = INT64_MAX;
    process_set_string(&process->why, why);
    process_touch(process);
}

/* ---- starting */

static void forget_run(struct process *process)
{
    process->pid = 0;
    process->spawning = false;
    process->unattended = false;
    process->linked = false;
    process->was_ready = false;
    process->said_stopping = false;
    process->hung = false;
    process->killed = false;
    process->ending = PROCESS_ENDING_NOT;
    process->lag_rows = 0;
    process_set_string(&process->endpoint, "");
    process_set_string(&process->status, "");
    process_set_string(&process->stale, "");
}

static void start(struct process *process, const struct process_step *step, const char *why)
{
    struct process_shared *shared = process->shared;
    if (shared->start_next >= shared->start_end) {
        /* Numbers are reserved half a block ahead: only a stuck disk brings us here. */
        if (process->state != PROCESS_STATE_BACKOFF)
            enter(process, PROCESS_STATE_BACKOFF, step, "waits for token numbers to be written to disk");
        process->deadline_ms = step->now_ms + PROCESS_TOKEN_WAIT_MS;
        return;
    }
    struct token predecessor = process->token;
    forget_run(process);
    process->token = (struct token){.placement = process->placement, .start = shared->start_next++};
    process->revision = process->spec->revision;
    process->spawning = true;
    process->started_ms = step->now_ms;
    enter(process, PROCESS_STATE_STARTING, step, why);
    process->deadline_ms = step->now_ms + process_startup_timeout_ms(process);
    struct daemon_action *action = daemon_actions_add(step->actions, DAEMON_ACTION_SPAWN, process->name);
    action->spawn.token = process->token;
    action->spawn.predecessor = predecessor;
    action->spawn.spec = process_copy_spec(process, &step->actions->arena);
}

/* A start that an order asks for: failures before it do not count. */
static void start_by_order(struct process *process, const struct process_step *step)
{
    restart_reset(&process->history);
    process->restarts = 0;
    start(process, step, process->order_why);
}

static void become_ready(struct process *process, const struct process_step *step, const char *how)
{
    char took[DURATION_BYTES];
    char why[CAUSE_BYTES + DURATION_BYTES];
    text_duration(took, sizeof took, (double)(step->now_ms - process->started_ms));
    snprintf(why, sizeof why, "%s after %s", how, took);
    enter(process, PROCESS_STATE_READY, step, why);
    process->was_ready = true;
    process->heard_ms = step->now_ms;
    process->ping_ms = step->now_ms;
    if (process->history.failures > 0)
        process->forget_ms = step->now_ms + RESTART_RESET_MS;
    /* An adopted one may talk to a socket that went with the former daemon: its watchdog begins with its first word. */
    if (process->spec != NULL && process->spec->watchdog_ms > 0 && !process->unattended)
        process->watchdog_ms = step->now_ms + process->spec->watchdog_ms;
    process_record_run(process, step);
}

/* ---- stopping */

static void send_signal(struct process *process, int32_t signal, bool whole, const struct process_step *step)
{
    if (process->pid == 0)
        return;
    struct daemon_action *action = daemon_actions_add(step->actions, DAEMON_ACTION_KILL, process->name);
    action->kill.pid = process->pid;
    action->kill.signal = signal;
    action->kill.whole = whole;
}

static void ask_to_stop(struct process *process, const struct process_step *step)
{
    uint32_t signal = process->spec != NULL ? process->spec->stop_signal : 0;
    send_signal(process, signal != 0 ? (int32_t)signal : SIGTERM, false, step);
    process->deadline_ms = step->now_ms + process_stop_timeout_ms(process);
}

static void kill_whole(struct process *process, const struct process_step *step)
{
    process->killed = true;
    send_signal(process, SIGKILL, true, step);
    process->deadline_ms = step->now_ms + PROCESS_KILL_AGAIN_MS;
}

/* Brings a process down that shall not run, or not with this token. */
static void stop(struct process *process, const struct process_step *step, const char *why)
{
    switch (process->state) {
    case PROCESS_STATE_STARTING:
    case PROCESS_STATE_READY:
        process->ending = PROCESS_ENDING_ORDER;
        enter(process, PROCESS_STATE_STOPPING, step, why);
        ask_to_stop(process, step);
        break;
    case PROCESS_STATE_STOPPING:
        process->ending = PROCESS_ENDING_ORDER;
        break;
    case PROCESS_STATE_BACKOFF:
    case PROCESS_STATE_FAILED:
        enter(process, PROCESS_STATE_STOPPED, step, why);
        break;
    case PROCESS_STATE_STOPPED:
        break;
    }
}

/* The run is beyond asking: hung. */
static void condemn(struct process *process, const struct process_step *step, const char *why)
{
    process->hung = true;
    process->ending = PROCESS_ENDING_FAULT;
    enter(process, PROCESS_STATE_STOPPING, step, why);
    kill_whole(process, step);
}

/* ---- orders */

/* Does a run hold an older writer token than the placement asks for? */
static bool is_outdated(const struct process *process)
{
    return process->kind == PROCESS_KIND_PIPELINE && process->placement > process->token.placement;
}

static void start_or_renew(struct process *process, bool cleared, const struct process_step *step)
{
    if (cleared) {
        process->parked = false;
        restart_reset(&process->history);
        process->forget_ms = INT64_MAX;
    }
    switch (process->state) {
    case PROCESS_STATE_STOPPED:
        if (!process->parked)
            start_by_order(process, step);
        break;
    case PROCESS_STATE_BACKOFF:
    case PROCESS_STATE_FAILED:
        if (cleared)
            start_by_order(process, step);
        break;
    case PROCESS_STATE_STARTING:
    case PROCESS_STATE_READY:
        if (is_outdated(process))
            stop(process, step, "placed anew: starts again with the new writer token");
        break;
    case PROCESS_STATE_STOPPING:
        break;
    }
}

int process_want(struct process *process, const struct process_order *order, const struct process_step *step)
{
    if (order->run && order->spec == NULL && process->spec == NULL)
        return -EINVAL;
    bool cleared = order->clear_failed > process->clear_failed;
    bool news = cleared || order->run != process->wanted || order->placement > process->placement;
    if (news) {
        process_set_string(&process->order_why, order->why);
        process_touch(process);
    }
    if (order->spec != NULL)
        news |= process_set_spec(process, order->spec);
    if (order->placement > process->placement)
        process->placement = order->placement;
    if (cleared)
        process->clear_failed = order->clear_failed;
    process->wanted = order->run;
    if (order->run) {
        start_or_renew(process, cleared, step);
    } else {
        process->parked = false;
        stop(process, step, process->order_why);
    }
    if (news)
        process_store_order(process, step);
    return 0;
}

void process_end(struct process *process, const struct process_step *step)
{
    stop(process, step, "the daemon stops all processes");
}

/* ---- the end of a run */

static void park(struct process *process, enum process_state state, const struct process_step *step, const char *why)
{
    process->parked = true;
    if (process->state != state)
        enter(process, state, step, why);
    else
        process_set_string(&process->why, why);
    process_store_order(process, step);
}

static void start_again(struct process *process, const struct process_step *step, const char *why)
{
    if (restart_note_failure(&process->history, step->now_ms))
        daemon_actions_log(step->actions, DAEMON_LOG_WARN,
                           "Process fails again and again [ Process: %s ] [ Failures: %d within %d s ] [ Last: %s ]",
                           process->name, RESTART_ALARM_FAILURES, RESTART_ALARM_WITHIN_MS / 1000, why);
    int64_t delay_ms = restart_delay_ms(&process->history, restart_draw(&process->shared->random));
    enter(process, PROCESS_STATE_BACKOFF, step, why);
    process->deadline_ms = step->now_ms + delay_ms;
    if (delay_ms == 0)
        process_tick(process, step);
}

/* Nothing runs any more: goes where wanted state and policy say. `why` is the end's cause in words. */
static void settle(struct process *process, enum restart_end end, const struct process_step *step, const char *why)
{
    enum process_ending ending = process->ending;
    forget_run(process);
    if (process->shared->ending || !process->wanted) {
        if (process->state != PROCESS_STATE_STOPPED)
            enter(process, PROCESS_STATE_STOPPED, step, process->shared->ending ? why : process->order_why);
        return;
    }
    if (ending == PROCESS_ENDING_ORDER) {
        enter(process, PROCESS_STATE_STOPPED, step, why);
        start_by_order(process, step);
        return;
    }
    if (process->spec == NULL) {
        process->wanted = false; /* adopted without its order, which did not reach the disk: the next order tells */
        enter(process, PROCESS_STATE_STOPPED, step, why);
        return;
    }
    switch (restart_decide(process->spec->restart, end)) {
    case RESTART_VERDICT_AGAIN:
        start_again(process, step, why);
        break;
    case RESTART_VERDICT_STOPPED:
        park(process, PROCESS_STATE_STOPPED, step, why);
        break;
    case RESTART_VERDICT_FAILED:
        park(process, PROCESS_STATE_FAILED, step, why);
        break;
    }
}

static enum restart_end judge(const struct process *process)
{
    if (process->ending == PROCESS_ENDING_FAULT || process->spec == NULL)
        return RESTART_END_FAILURE;
    return restart_judge(process->spec, process->exit_unknown, process->exit_code, process->exit_signal,
                         process->said_stopping, process->was_ready);
}

int process_exited(struct process *process, const struct daemon_exit *exit, const struct process_step *step)
{
    if (process->pid == 0 || exit->pid != process->pid)
        return -EINVAL;
    process->exited = true;
    process->exit_unknown = exit->unknown;
    process->exit_code = exit->unknown ? 0 : exit->code;
    process->exit_signal = exit->unknown ? 0 : exit->signal;
    process->exit_token = process->token;
    char cause[CAUSE_BYTES];
    char uptime[DURATION_BYTES];
    char why[WHY_BYTES];
    process_describe_exit(process, cause, sizeof cause);
    text_duration(uptime, sizeof uptime, (double)(step->now_ms - process->started_ms));
    if (process->ending == PROCESS_ENDING_FAULT)
        snprintf(why, sizeof why, "%s", process->why);
    else
        snprintf(why, sizeof why, "exited: %s%s", cause,
                 process->was_ready || process->ending != PROCESS_ENDING_NOT ? "" : ", before it was ready");
    daemon_actions_log(step->actions, DAEMON_LOG_INFO,
                       "Process has ended [ Process: %s ] [ Pid: %d ] [ Cause: %s ] [ Uptime: %s ]", process->name,
                       (int)process->pid, cause, uptime);
    settle(process, judge(process), step, why);
    return 0;
}

int process_said_last_words(struct process *process, struct token token, const char *text)
{
    if (!process->exited || token_compare(token, process->exit_token) != 0)
        return -EINVAL;
    process_set_string(&process->last_words, text);
    process_touch(process);
    return 0;
}

int process_spawn_failed(struct process *process, struct token token, const char *sentence,
                         const struct process_step *step)
{
    if (!process->spawning || token_compare(token, process->token) != 0)
        return -EINVAL;
    process->exited = false;
    settle(process, RESTART_END_FAILURE, step, sentence);
    return 0;
}

/* ---- facts about a run */

int process_spawned(struct process *process, struct token token, int32_t pid, const struct process_step *step)
{
    if (!process->spawning || token_compare(token, process->token) != 0 || pid <= 0)
        return -EINVAL;
    process->spawning = false;
    process->pid = pid;
    process_touch(process);
    if (process->state == PROCESS_STATE_STOPPING) {
        ask_to_stop(process, step);
        return 0;
    }
    switch (process->spec->readiness) {
    case GEMEL__READINESS__READINESS_NOW:
        become_ready(process, step, "running");
        break;
    case GEMEL__READINESS__READINESS_TCP_PORT:
        process->probe_ms = step->now_ms;
        break;
    case GEMEL__READINESS__READINESS_NOTIFY:
    case _GEMEL__READINESS_IS_INT_SIZE:
        break;
    }
    return 0;
}

static void extend(struct process *process, int64_t extend_us, const struct process_step *step)
{
    int64_t until_ms = step->now_ms + extend_us / 1000;
    int64_t *deadline_ms = process->state == PROCESS_STATE_READY ? &process->watchdog_ms : &process->deadline_ms;
    if (*deadline_ms != INT64_MAX && until_ms > *deadline_ms)
        *deadline_ms = until_ms;
}

int process_notified(struct process *process, const struct daemon_notify *notify, const struct process_step *step)
{
    if (process->pid == 0)
        return -EINVAL;
    bool news = process_replace_string(&process->status, notify->status);
    news |= process_replace_string(&process->endpoint, notify->endpoint);
    news |= process_replace_string(&process->stale, notify->stale);
    if (notify->has_lag && notify->lag_rows != process->lag_rows) {
        process->lag_rows = notify->lag_rows;
        process_touch(process);
    }
    if (notify->extend_us > 0)
        extend(process, notify->extend_us, step);
    if (notify->watchdog && process->state == PROCESS_STATE_READY && process->spec != NULL &&
        process->spec->watchdog_ms > 0)
        process->watchdog_ms = step->now_ms + process->spec->watchdog_ms;
    if (news) {
        process_touch(process);
        process_record_run(process, step);
    }
    if (notify->ready && process->state == PROCESS_STATE_STARTING)
        become_ready(process, step, "ready");
    if (notify->stopping && !process->said_stopping) {
        process->said_stopping = true;
        process_record_run(process, step);
        if (process->state == PROCESS_STATE_STARTING || process->state == PROCESS_STATE_READY) {
            process->ending = PROCESS_ENDING_SELF;
            enter(process, PROCESS_STATE_STOPPING, step, "the process says that it ends");
            process->deadline_ms = step->now_ms + process_stop_timeout_ms(process);
        }
    }
    if (notify->watchdog_trigger && process->state == PROCESS_STATE_READY)
        condemn(process, step, "hung: it asked for it by WATCHDOG=trigger");
    return 0;
}

int process_port_opened(struct process *process, const struct process_step *step)
{
    if (process->state != PROCESS_STATE_STARTING || process->pid == 0)
        return -EINVAL;
    become_ready(process, step, "port open");
    return 0;
}

/* ---- links */

/* A control is known by its link, whoever started it. */
static void take_control(struct process *process, int32_t pid, const struct process_step *step)
{
    if (process->pid == pid) {
        if (process->state == PROCESS_STATE_STARTING)
            become_ready(process, step, "linked");
        return;
    }
    forget_run(process);
    process->wanted = true;
    process->parked = false;
    process->pid = pid;
    process->started_ms = step->now_ms;
    process_touch(process);
    if (process->state == PROCESS_STATE_READY)
        return;
    if (process->state == PROCESS_STATE_STOPPING)
        enter(process, PROCESS_STATE_STOPPED, step, "another control took its place");
    if (process->state != PROCESS_STATE_STARTING)
        enter(process, PROCESS_STATE_STARTING, step, "a control linked to this daemon");
    become_ready(process, step, "linked");
}

int process_linked(struct process *process, int32_t pid, struct token token, const struct process_step *step)
{
    if (process->kind == PROCESS_KIND_CONTROL && pid > 0 && !process->shared->ending)
        take_control(process, pid, step);
    else if (process->pid == 0 || (token.start != 0 && token_compare(token, process->token) != 0))
        return -EINVAL;
    process->linked = true;
    process->heard_ms = step->now_ms;
    process->ping_ms = step->now_ms;
    return 0;
}

int process_unlinked(struct process *process)
{
    if (!process->linked)
        return -EINVAL;
    process->linked = false;
    return 0;
}

int process_ponged(struct process *process, const struct process_step *step)
{
    if (!process->linked)
        return -EINVAL;
    process->heard_ms = step->now_ms;
    return 0;
}

int process_announced_stop(struct process *process, const struct process_step *step)
{
    if (process->kind != PROCESS_KIND_CONTROL || process->pid == 0)
        return -EINVAL;
    process->wanted = false;
    process->said_stopping = true;
    process_set_string(&process->order_why, "it was stopped on purpose");
    if (process->state == PROCESS_STATE_STARTING || process->state == PROCESS_STATE_READY) {
        process->ending = PROCESS_ENDING_ORDER;
        enter(process, PROCESS_STATE_STOPPING, step, "the control says that it ends on purpose");
    }
    process_record_run(process, step);
    return 0;
}

/* ---- adoption */

static void adopt_alive(struct process *process, const struct daemon_adopt *adopt, const struct process_step *step)
{
    process->pid = adopt->pid;
    process->unattended = true;
    process->started_ms = step->now_ms;
    process->restarts = adopt->restarts;
    process->revision = process->spec != NULL ? process->spec->revision : 0;
    process_set_string(&process->endpoint, adopt->endpoint);
    process_set_string(&process->status, adopt->status);
    process_set_string(&process->stale, adopt->stale);
    enter(process, PROCESS_STATE_STARTING, step, "adopted: it ran when this daemon started");
    process->deadline_ms = step->now_ms + process_startup_timeout_ms(process);
    if (adopt->ready)
        become_ready(process, step, "adopted");
    else if (process->spec != NULL && process->spec->readiness == GEMEL__READINESS__READINESS_TCP_PORT)
        process->probe_ms = step->now_ms;
    else if (process->spec != NULL && process->spec->readiness == GEMEL__READINESS__READINESS_NOW)
        become_ready(process, step, "adopted");
    process->said_stopping = adopt->stopping;
    if (!process->wanted)
        stop(process, step, process->order_why);
    else if (is_outdated(process))
        stop(process, step, "placed anew: starts again with the new writer token");
}

static void adopt_dead(struct process *process, const struct process_step *step, bool said_stopping)
{
    process->exited = true;
    process->exit_unknown = true;
    process->exit_token = process->token;
    process->said_stopping = said_stopping;
    daemon_actions_log(step->actions, DAEMON_LOG_WARN,
                       "Process ended while no daemon was there [ Process: %s ] [ Cause: unknown ]", process->name);
    settle(process, judge(process), step, "exited: unknown, no daemon was there");
}

void process_adopt(struct process *process, const struct daemon_adopt *adopt, const struct process_step *step)
{
    if (adopt->spec != NULL)
        process_set_spec(process, adopt->spec);
    bool is_known = process->spec != NULL || adopt->run == DAEMON_RUN_ALIVE;
    /* Nobody orders a control: one that this host's daemon had started runs until it says that it stops. */
    bool is_control = process->kind == PROCESS_KIND_CONTROL;
    process->wanted = is_control ? adopt->run != DAEMON_RUN_NONE && !adopt->stopping : is_known && adopt->wanted;
    process->parked = adopt->parked;
    process->placement = adopt->placement;
    process->clear_failed = adopt->clear_failed;
    process->token = adopt->token;
    process->restarts = adopt->restarts;
    process_set_string(&process->order_why, adopt->why);
    process_set_string(&process->why, adopt->why);
    process->since_ms = step->now_ms;
    process->since_wall_ns = step->wall_ns;
    process_touch(process);
    switch (adopt->run) {
    case DAEMON_RUN_ALIVE:
        adopt_alive(process, adopt, step);
        break;
    case DAEMON_RUN_DEAD:
        adopt_dead(process, step, adopt->stopping);
        break;
    case DAEMON_RUN_NONE:
        if (process->parked && adopt->failed)
            enter(process, PROCESS_STATE_FAILED, step, process->order_why);
        else if (process->wanted && !process->parked)
            start(process, step, "wanted when this daemon started");
        break;
    }
}

/* ---- time */

static bool is_judged_by_pings(const struct process *process)
{
    return process->linked && process->state == PROCESS_STATE_READY && process_hang_timeout_ms(process) > 0;
}

static void tick_ready(struct process *process, const struct process_step *step)
{
    char why[CAUSE_BYTES + DURATION_BYTES];
    if (process->forget_ms <= step->now_ms) {
        process->forget_ms = INT64_MAX;
        restart_reset(&process->history);
    }
    if (process->watchdog_ms <= step->now_ms) {
        snprintf(why, sizeof why, "hung: no WATCHDOG=1 for %u ms", (unsigned)process->spec->watchdog_ms);
        condemn(process, step, why);
        return;
    }
    if (!is_judged_by_pings(process))
        return;
    if (step->now_ms - process->heard_ms >= (int64_t)process_hang_timeout_ms(process)) {
        snprintf(why, sizeof why, "hung: silent for %u ms", (unsigned)process_hang_timeout_ms(process));
        condemn(process, step, why);
        return;
    }
    if (process->ping_ms <= step->now_ms) {
        daemon_actions_add(step->actions, DAEMON_ACTION_PING, process->name);
        process->ping_ms = step->now_ms + process->shared->ping_interval_ms;
    }
}

static void tick_starting(struct process *process, const struct process_step *step)
{
    char why[CAUSE_BYTES + DURATION_BYTES];
    char waited[DURATION_BYTES];
    if (process->deadline_ms <= step->now_ms) {
        text_duration(waited, sizeof waited, (double)(step->now_ms - process->started_ms));
        snprintf(why, sizeof why, "not ready after %s", waited);
        process->ending = PROCESS_ENDING_FAULT;
        enter(process, PROCESS_STATE_STOPPING, step, why);
        ask_to_stop(process, step);
        return;
    }
    if (process->probe_ms <= step->now_ms) {
        struct daemon_action *action = daemon_actions_add(step->actions, DAEMON_ACTION_PROBE_PORT, process->name);
        action->probe.port = process->spec->readiness_port != 0 ? process->spec->readiness_port : process->spec->port;
        process->probe_ms = step->now_ms + DAEMON_PROBE_MS;
    }
}

static void tick_stopping(struct process *process, const struct process_step *step)
{
    if (process->deadline_ms > step->now_ms)
        return;
    if (!process->killed)
        daemon_actions_log(step->actions, DAEMON_LOG_WARN,
                           "Process did not end in time and is killed with its whole group [ Process: %s ]",
                           process->name);
    kill_whole(process, step);
}

void process_tick(struct process *process, const struct process_step *step)
{
    switch (process->state) {
    case PROCESS_STATE_STARTING:
        tick_starting(process, step);
        break;
    case PROCESS_STATE_READY:
        tick_ready(process, step);
        break;
    case PROCESS_STATE_STOPPING:
        tick_stopping(process, step);
        break;
    case PROCESS_STATE_BACKOFF:
        if (process->deadline_ms <= step->now_ms) {
            char why[WHY_BYTES];
            process->restarts++;
            snprintf(why, sizeof why, "restart %u, %s", (unsigned)process->restarts, process->why);
            start(process, step, why);
        }
        break;
    case PROCESS_STATE_STOPPED:
    case PROCESS_STATE_FAILED:
        break;
    }
}

static int64_t earlier(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

int64_t process_next_ms(const struct process *process)
{
    int64_t next_ms =
        earlier(earlier(process->deadline_ms, process->forget_ms), earlier(process->probe_ms, process->watchdog_ms));
    if (is_judged_by_pings(process))
        next_ms =
            earlier(next_ms, earlier(process->ping_ms, process->heard_ms + (int64_t)process_hang_timeout_ms(process)));
    return next_ms;
}

void process_forgive(struct process *process, int64_t late_ms)
{
    process->heard_ms += late_ms;
    if (process->watchdog_ms != INT64_MAX)
        process->watchdog_ms += late_ms;
}
