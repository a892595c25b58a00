#include "daemon/core/restart.h"

enum {
    RESTART_DOUBLINGS_MAX = 9 /* 100 ms << 9 is above 30 s */
};

static bool is_listed(const Gemel__ProcessSpec *spec, int32_t code)
{
    for (size_t i = 0; i < spec->n_success_exit; i++)
        if (spec->success_exit[i] == code)
            return true;
    return false;
}

enum restart_end restart_judge(const Gemel__ProcessSpec *spec, bool unknown, int32_t code, int32_t signal,
                               bool said_stopping, bool was_ready)
{
    if (unknown)
        return said_stopping ? RESTART_END_CLEAN : RESTART_END_FAILURE;
    if (signal != 0)
        return RESTART_END_FAILURE;
    if (is_listed(spec, code))
        return RESTART_END_CLEAN;
    if (code == RESTART_PERMANENT_CODE)
        return RESTART_END_PERMANENT;
    return code == 0 && was_ready ? RESTART_END_CLEAN : RESTART_END_FAILURE;
}

enum restart_verdict restart_decide(Gemel__Restart policy, enum restart_end end)
{
    if (end == RESTART_END_PERMANENT)
        return RESTART_VERDICT_FAILED;
    if (policy == GEMEL__RESTART__RESTART_ALWAYS)
        return RESTART_VERDICT_AGAIN;
    if (end == RESTART_END_CLEAN)
        return RESTART_VERDICT_STOPPED;
    return policy == GEMEL__RESTART__RESTART_MANUAL ? RESTART_VERDICT_FAILED : RESTART_VERDICT_AGAIN;
}

bool restart_note_failure(struct restart_history *history, int64_t now_ms)
{
    int64_t *slot = &history->failed_at_ms[history->failures % RESTART_ALARM_FAILURES];
    *slot = now_ms;
    if (history->failures < UINT32_MAX)
        history->failures++;
    if (history->alarmed || history->failures < RESTART_ALARM_FAILURES)
        return false;
    int64_t oldest_ms = history->failed_at_ms[history->failures % RESTART_ALARM_FAILURES];
    history->alarmed = now_ms - oldest_ms <= RESTART_ALARM_WITHIN_MS;
    return history->alarmed;
}

int64_t restart_delay_ms(const struct restart_history *history, uint64_t random)
{
    if (history->failures <= 1)
        return 0;
    uint32_t doublings = history->failures - 2;
    if (doublings > RESTART_DOUBLINGS_MAX)
        doublings = RESTART_DOUBLINGS_MAX;
    int64_t delay_ms = (int64_t)RESTART_FIRST_MS << doublings;
    if (delay_ms > RESTART_MAX_MS)
        delay_ms = RESTART_MAX_MS;
    int64_t tenth_ms = delay_ms / 10;
    delay_ms += (int64_t)(random % (uint64_t)(2 * tenth_ms + 1)) - tenth_ms;
    return delay_ms < RESTART_MAX_MS ? delay_ms : RESTART_MAX_MS;
}

void restart_reset(struct restart_history *history)
{
    *history = (struct restart_history){0};
}

uint64_t restart_draw(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = *state;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}
