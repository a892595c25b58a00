/* When a process that ended is started again. Pure values; the caller owns them.
 *
 * The first restart is immediate, then 100 ms doubling to 30 s with jitter, forgotten after 30 s of being ready. The
 * fifth failure within 60 s is worth an alarm, once until it was ready for 30 s; the tries go on. */
#ifndef GEMEL_DAEMON_CORE_RESTART_H
#define GEMEL_DAEMON_CORE_RESTART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/gemel.pb-c.h"

enum {
    RESTART_FIRST_MS = 100,
    RESTART_MAX_MS = 30000,
    RESTART_RESET_MS = 30000,
    RESTART_ALARM_FAILURES = 5,
    RESTART_ALARM_WITHIN_MS = 60000,
    RESTART_PERMANENT_CODE = 125 /* a process that must not be started again says so by this exit code */
};

/* Counts of one process; starts as zeroes. */
struct restart_history {
    uint32_t failures;                            /* in a row, since the last reset */
    int64_t failed_at_ms[RESTART_ALARM_FAILURES]; /* ring of the last ones */
    bool alarmed;
};

/* How a run ended, as the policy sees it. */
enum restart_end {
    RESTART_END_CLEAN,
    RESTART_END_FAILURE,
    RESTART_END_PERMANENT
};

enum restart_verdict {
    RESTART_VERDICT_AGAIN, /* after restart_delay_ms */
    RESTART_VERDICT_STOPPED,
    RESTART_VERDICT_FAILED
};

/* Judges an exit. `said_stopping`: STOPPING=1 came; `was_ready`: the run had been ready. An end with code 0 before
 * readiness is a failure, as in systemd's notify protocol, unless the spec lists 0 as a clean end. */
enum restart_end restart_judge(const Gemel__ProcessSpec *spec, bool unknown, int32_t code, int32_t signal,
                               bool said_stopping, bool was_ready);

/* What the policy makes of it. */
enum restart_verdict restart_decide(Gemel__Restart policy, enum restart_end end);

/* Notes a failure. Returns true when it is the one that is worth an alarm. */
bool restart_note_failure(struct restart_history *history, int64_t now_ms);

/* How long to wait before the start that follows the noted failures: 0, then 100 ms doubling to 30 s, each within a
 * tenth of it either way and never above 30 s. `random` is any 64 random bits. */
int64_t restart_delay_ms(const struct restart_history *history, uint64_t random);

/* Forgets everything: it was ready for RESTART_RESET_MS, or the operator says so. */
void restart_reset(struct restart_history *history);

/* The next 64 random bits of a generator with this state. Source: splitmix64 (Steele, Lea, Flood 2014). */
uint64_t restart_draw(uint64_t *state);

#endif
