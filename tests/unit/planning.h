/* A small world for the tests of the process manager: a layout on two hosts, and a PlanInput that says what is wanted
 * and observed. Owned by the test: planning_init, planning_fini. */
#ifndef GEMEL_TESTS_UNIT_PLANNING_H
#define GEMEL_TESTS_UNIT_PLANNING_H

#include <string.h>

#include "common/base/arena.h"
#include "common/layout/load/layout_load.h"
#include "common/wire/gemel.pb-c.h"
#include "procmgr/core/procmgr.h"
#include "tests/unit/testing.h"

#define STATE(word) GEMEL__PROCESS_STATE__PROCESS_##word

enum {
    PLANNING_PROCESSES_MAX = 200
};

struct planning {
    struct layout *layout;
    struct arena arena;
    Gemel__PlanInput input;
    Gemel__WantedState *wanted[PLANNING_PROCESSES_MAX];
    Gemel__ProcessReport *observed[PLANNING_PROCESSES_MAX];
    Gemel__Placement *placements[PLANNING_PROCESSES_MAX];
    Gemel__HostState *hosts[2];
    struct procmgr_core *core;
    struct procmgr_actions actions;
};

static const char planning_system[] = "system:\n"
                                      "  layout:\n"
                                      "    - {name: one, nodes: [{host: aaa}]}\n"
                                      "    - {name: two, nodes: [{host: bbb}]}\n";

/* DemoPipeline's shape. */
static const char planning_demo[] = "pipeline:\n"
                                    "  name: Demo\n"
                                    "  type: realtime\n"
                                    "  expose-to-gw: true\n"
                                    "  proc-layout: [{all: one}, {all: two}]\n"
                                    "  processes:\n"
                                    "    tp: {port: 41221}\n"
                                    "    rdb: {timeout: 30}\n"
                                    "    hdb:\n"
                                    "    ipdb:\n"
                                    "    idb:\n"
                                    "    epdb:\n";

static inline void planning_init(struct planning *world, const struct layout_file *files, size_t count)
{
    struct error_list mistakes = {0};
    struct error_list warnings = {0};
    memset(world, 0, sizeof *world);
    int result = layout_load_files(&world->layout, files, count, NULL, &mistakes, &warnings);
    if (result < 0)
        print_error("%s:%u: %s\n", mistakes.items[0].file, mistakes.items[0].line, mistakes.items[0].sentence);
    assert_int_equal(result, 0);
    error_list_fini(&mistakes);
    error_list_fini(&warnings);
    arena_init(&world->arena);
    gemel__plan_input__init(&world->input);
    world->input.leading = true;
    world->input.revision = 7;
    world->input.wanted = world->wanted;
    world->input.observed = world->observed;
    world->input.placements = world->placements;
    world->input.hosts = world->hosts;
    world->input.n_hosts = 2;
    static const char *const names[] = {"aaa", "bbb"};
    for (size_t i = 0; i < 2; i++) {
        world->hosts[i] = arena_alloc(&world->arena, sizeof **world->hosts);
        gemel__host_state__init(world->hosts[i]);
        world->hosts[i]->host = arena_strdup(&world->arena, names[i]);
        world->hosts[i]->reported = true;
    }
    const struct procmgr_config config = {.host = "aaa", .hang_timeout_ms = 1000, .query_timeout_ms = 30000};
    procmgr_create(&world->core, &config);
    procmgr_actions_init(&world->actions);
}

static inline void planning_init_demo(struct planning *world)
{
    const struct layout_file files[] = {{"system.yaml", planning_system, strlen(planning_system)},
                                        {"pipelines/Demo.yaml", planning_demo, strlen(planning_demo)}};
    planning_init(world, files, 2);
}

static inline void planning_fini(struct planning *world)
{
    procmgr_actions_fini(&world->actions);
    procmgr_destroy(&world->core);
    layout_destroy(&world->layout);
    arena_fini(&world->arena);
}

static inline Gemel__WantedState *planning_want(struct planning *world, const char *process, bool up)
{
    for (size_t i = 0; i < world->input.n_wanted; i++)
        if (strcmp(world->wanted[i]->process, process) == 0) {
            world->wanted[i]->up = up;
            return world->wanted[i];
        }
    Gemel__WantedState *wanted = arena_alloc(&world->arena, sizeof *wanted);
    gemel__wanted_state__init(wanted);
    wanted->process = arena_strdup(&world->arena, process);
    wanted->up = up;
    wanted->wall_ns = 1000;
    wanted->why = arena_strdup(&world->arena, "pipeline --start Demo");
    world->wanted[world->input.n_wanted++] = wanted;
    return wanted;
}

static inline void planning_want_all(struct planning *world, bool up)
{
    for (size_t i = 0; i < world->layout->process_count; i++)
        planning_want(world, world->layout->processes[i].name, up);
}

static inline Gemel__ProcessReport *planning_observe(struct planning *world, const char *process, const char *host,
                                                     Gemel__ProcessState state)
{
    Gemel__ProcessReport *report = NULL;
    for (size_t i = 0; i < world->input.n_observed; i++)
        if (strcmp(world->observed[i]->process, process) == 0 && strcmp(world->observed[i]->host, host) == 0)
            report = world->observed[i];
    if (report == NULL) {
        report = arena_alloc(&world->arena, sizeof *report);
        gemel__process_report__init(report);
        report->process = arena_strdup(&world->arena, process);
        report->host = arena_strdup(&world->arena, host);
        world->observed[world->input.n_observed++] = report;
    }
    report->state = state;
    return report;
}

static inline void planning_observe_all(struct planning *world, Gemel__ProcessState state)
{
    for (size_t i = 0; i < world->layout->process_count; i++)
        planning_observe(world, world->layout->processes[i].name, world->layout->processes[i].host, state);
}

/* Steps with the input and returns the plan; NULL when there is none. */
static inline const Gemel__Plan *planning_plan(struct planning *world, int64_t now_ms)
{
    procmgr_actions_reset(&world->actions);
    struct procmgr_event event = {.type = PROCMGR_EVENT_INPUT, .now_ms = now_ms};
    event.input.message = &world->input;
    event.input.layout = world->layout;
    assert_int_equal(procmgr_step(world->core, &event, &world->actions), 0);
    for (size_t i = 0; i < world->actions.count; i++)
        if (world->actions.items[i].type == PROCMGR_ACTION_PLAN)
            return world->actions.items[i].plan;
    return NULL;
}

static inline const Gemel__PlanItem *planning_item(const Gemel__Plan *plan, const char *process)
{
    for (size_t i = 0; i < plan->n_items; i++)
        if (strcmp(plan->items[i]->process, process) == 0)
            return plan->items[i];
    return NULL;
}

#endif
