#include "gateway/core/health.h"

void health_start(struct health *health, int64_t now_ms)
{
    health->heard_at_ms = now_ms;
    health->pinged_at_ms = 0;
    health->unanswered = 0;
}

void health_heard(struct health *health, int64_t now_ms)
{
    health->heard_at_ms = now_ms;
    health->unanswered = 0;
}

void health_answered(struct health *health, int64_t now_ms)
{
    if (health->pinged_at_ms != 0 && now_ms >= health->pinged_at_ms) {
        int64_t trip_ms = now_ms - health->pinged_at_ms;
        if (trip_ms > HEALTH_JITTER_MAX_MS)
            trip_ms = HEALTH_JITTER_MAX_MS;
        uint32_t trip = (uint32_t)trip_ms * HEALTH_ROUND_TRIP_SCALE;
        if (!health->measured) {
            health->average = trip;
            health->deviation = trip / 2;
            health->measured = true;
        } else {
            uint32_t error = trip > health->average ? trip - health->average : health->average - trip;
            health->deviation = (health->deviation * 3 + error) / 4;
            health->average = (health->average * 7 + trip) / 8;
        }
    }
    health_heard(health, now_ms);
}

void health_pinged(struct health *health, int64_t now_ms)
{
    health->pinged_at_ms = now_ms;
    health->unanswered++;
}

bool health_wants_ping(const struct health *health, int64_t interval_ms, int64_t now_ms)
{
    return health->pinged_at_ms == 0 || now_ms - health->pinged_at_ms >= interval_ms;
}

bool health_is_silent(const struct health *health, int64_t bound_ms, int64_t interval_ms, int64_t now_ms)
{
    int64_t pings_min = bound_ms / interval_ms - 1;
    if (pings_min < 1)
        pings_min = 1;
    return now_ms - health->heard_at_ms >= bound_ms && (int64_t)health->unanswered >= pings_min;
}

int64_t health_jitter_ms(const struct health *health)
{
    if (!health->measured)
        return 0;
    int64_t jitter_ms = (int64_t)health->deviation * 4 / HEALTH_ROUND_TRIP_SCALE;
    return jitter_ms > HEALTH_JITTER_MAX_MS ? HEALTH_JITTER_MAX_MS : jitter_ms;
}
