/* libs: gemel_test_gateway gemel_gateway_core gemel_wire gemel_base */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "tests/unit/gateway_world.h"
#include "tests/unit/testing.h"

/* ---- any order of deaths, hangs, restarts, orders and queries ---- */

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void act_at_random(struct world *w, uint32_t *random)
{
    int host = (int)(next_random(random) % HOSTS);
    struct process *process = &w->processes[host];
    switch (next_random(random) % 12) {
    case 0:
        world_kill_process(w, host);
        break;
    case 1:
        if (!process->up)
            world_start_process(w, host);
        break;
    case 2:
        if (process->up)
            process->mute = !process->mute;
        break;
    case 3:
        if (!process->up)
            world_report(w, host, GEMEL__PROCESS_STATE__PROCESS_BACKOFF, "exited: signal 9", "");
        else
            world_report(w, host, GEMEL__PROCESS_STATE__PROCESS_READY, "", next_random(random) % 2 ? "" : "tp down");
        break;
    case 4:
        world_publish(w, (uint32_t)host, next_random(random) % 50, 256 + next_random(random) % 3);
        break;
    case 5:
        w->daemon_mute[host] = !w->daemon_mute[host];
        break;
    case 6:
        world_run_until(w, w->now_ms + next_random(random) % 500);
        break;
    default:
        for (uint32_t i = next_random(random) % 8; i > 0; i--)
            world_ask_target(w, 0, "P.rdb.0", next_random(random) % 10 != 0, 1 + next_random(random) % 3000);
        if (!process->mute && process->linked)
            world_answer_all(w, host);
        break;
    }
}

static void heal(struct world *w)
{
    for (int host = 0; host < HOSTS; host++) {
        w->daemon_mute[host] = false;
        world_kill_process(w, host);
        world_start_process(w, host);
    }
    world_run_until(w, w->now_ms + 2500);
    assert_true(gateway_core_is_registered(w->core, "P.0.rdb.0"));
    assert_true(gateway_core_is_registered(w->core, "P.1.rdb.0"));
    assert_int_not_equal(gateway_core_primary(w->core, "P.rdb.0"), UINT32_MAX);
}

static void test_every_query_ends_once_whatever_dies_when(void **state)
{
    (void)state;
    const char *given = getenv("GEMEL_SEED");
    uint32_t first = given != NULL ? (uint32_t)strtoul(given, NULL, 10) : 1;
    uint32_t last = given != NULL ? first : 1000;
    for (uint32_t seed = first; seed <= last; seed++) {
        uint32_t random = seed;
        struct world *w = world_create();
        for (int i = 0; i < 300; i++) {
            act_at_random(w, &random);
            if (!w->processes[0].mute && w->processes[0].linked)
                world_answer_all(w, 0);
        }
        heal(w);
        world_answer_all(w, 0);
        world_answer_all(w, 1);
        world_run_until(w, w->now_ms + 4000);
        for (uint32_t i = 0; i < w->query_count; i++)
            if (w->queries[i].fate == PENDING)
                fail_msg("seed %u: query %u has neither an answer nor an error", seed, i);
        uint32_t query = world_ask(w);
        world_answer_all(w, (int)gateway_core_primary(w->core, "P.rdb.0"));
        assert_int_equal(w->queries[query].fate, ANSWERED);
        struct gateway_counters counters;
        gateway_core_count(w->core, &counters);
        assert_int_equal(counters.waiting + counters.running, 0);
        assert_int_equal(counters.queries, counters.answered + counters.failed);
        world_destroy(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_query_ends_once_whatever_dies_when),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
