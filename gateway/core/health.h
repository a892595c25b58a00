/* Signs of life of one peer (a process or a daemon) that is pinged. Pure; a value that its owner embeds.
 *
 * Silence is judged by time *and* by the number of pings that were sent into it: a gateway that woke up late sees a
 * long time but few pings, so that its own stall is never taken for the peer's. Times are monotonic milliseconds. */
#ifndef GEMEL_GATEWAY_CORE_HEALTH_H
#define GEMEL_GATEWAY_CORE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

enum {
    HEALTH_HOST_PINGS = 3,       /* missed by a daemon and all its processes: the host is silent */
    HEALTH_JITTER_MAX_MS = 2000, /* what the bound may grow by on a bad link */
    HEALTH_ROUND_TRIP_SCALE = 8  /* round trips are averaged in eighths of a millisecond */
};

struct health {
    int64_t heard_at_ms;  /* last sign of life: any frame */
    int64_t pinged_at_ms; /* last ping; 0: none since health_start */
    uint32_t unanswered;  /* pings sent since heard_at_ms */
    uint32_t average;     /* round trip, in 1/8 ms */
    uint32_t deviation;   /* of it, in 1/8 ms */
    bool measured;        /* average and deviation mean something */
};

/* A link was opened: counts as a sign of life. What was measured is kept. */
void health_start(struct health *health, int64_t now_ms);

/* A sign of life. */
void health_heard(struct health *health, int64_t now_ms);

/* An answer to the last ping: a sign of life, and a round trip (RFC 6298's averages). */
void health_answered(struct health *health, int64_t now_ms);

/* A ping was sent. */
void health_pinged(struct health *health, int64_t now_ms);

/* Is it time for the next ping? */
bool health_wants_ping(const struct health *health, int64_t interval_ms, int64_t now_ms);

/* Silent for `bound_ms`, with all but one of the pings that belong into it unanswered? */
bool health_is_silent(const struct health *health, int64_t bound_ms, int64_t interval_ms, int64_t now_ms);

/* How much later than usual an answer may come on this link: four deviations, at most HEALTH_JITTER_MAX_MS. */
int64_t health_jitter_ms(const struct health *health);

#endif
