/* A daemon core under a clock of the test's own, for the tests of daemon/core. */
#ifndef GEMEL_TESTS_UNIT_DAEMON_BED_H
#define GEMEL_TESTS_UNIT_DAEMON_BED_H

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "daemon/core/daemon_core.h"
#include "daemon/core/restart.h"
#include "tests/unit/testing.h"

#define RDB "DemoPipeline.0.rdb.0"

/* A core under a clock of the test's own. Every step's actions stay readable until the next. */
struct bed {
    struct daemon_core *core;
    struct daemon_actions actions;
    int64_t now_ms;
    Gemel__ProcessSpec spec;
    char *command[1];
    uint64_t clear_failed;
    uint64_t placement;
};

static char program[] = "/bin/thing";

static inline int setup(void **state)
{
    static struct bed bed;
    bed = (struct bed){.now_ms = 1000000, .placement = 1, .command = {program}};
    gemel__process_spec__init(&bed.spec);
    bed.spec.process = (char *)(uintptr_t)RDB;
    bed.spec.command = bed.command;
    bed.spec.n_command = 1;
    bed.spec.stop_timeout_ms = 5000;
    bed.spec.startup_timeout_ms = 8000;
    Gemel__ProcessSpec own = bed.spec;
    own.restart = GEMEL__RESTART__RESTART_ALWAYS;
    own.hang_timeout_ms = 1000;
    struct daemon_core_config config = {
        .host = "127.0.0.1",
        .boot_id = "boot",
        .version = "1",
        .seed = 7,
        .epoch_seen = 0x101,
        .start_next = 100,
        .start_end = 1100,
        .control_spec = &own,
        .procmgr_spec = &own,
    };
    daemon_core_create(&bed.core, &config);
    daemon_actions_init(&bed.actions);
    *state = &bed;
    return 0;
}

static inline int teardown(void **state)
{
    struct bed *bed = *state;
    daemon_core_destroy(&bed->core);
    daemon_actions_fini(&bed->actions);
    return 0;
}

static inline int step(struct bed *bed, struct daemon_event event)
{
    daemon_actions_reset(&bed->actions);
    event.now_ms = bed->now_ms;
    event.wall_ns = (uint64_t)bed->now_ms * 1000000;
    return daemon_core_step(bed->core, &event, &bed->actions);
}

static inline const struct daemon_action *action(const struct bed *bed, enum daemon_action_type type)
{
    for (size_t i = 0; i < bed->actions.count; i++)
        if (bed->actions.items[i].type == type)
            return &bed->actions.items[i];
    return NULL;
}

static inline bool has_log(const struct bed *bed, enum daemon_log_level level, const char *part)
{
    for (size_t i = 0; i < bed->actions.count; i++)
        if (bed->actions.items[i].type == DAEMON_ACTION_LOG && bed->actions.items[i].log.level == level &&
            strstr(bed->actions.items[i].log.sentence, part) != NULL)
            return true;
    return false;
}

/* The report about `name` as a newcomer would get it; good until the next step. */
static inline const Gemel__ProcessReport *report(struct bed *bed, const char *name)
{
    bool own = strchr(name, '.') == NULL;
    Gemel__ProcessReports *reports = daemon_core_reports(bed->core, &bed->actions.arena, bed->now_ms, own);
    for (size_t i = 0; i < reports->n_reports; i++)
        if (strcmp(reports->reports[i]->process, name) == 0)
            return reports->reports[i];
    fail_msg("no report about %s", name);
    return NULL;
}

static inline int order_epoch(struct bed *bed, const char *name, bool run, uint64_t epoch)
{
    Gemel__OrderItem item = GEMEL__ORDER_ITEM__INIT;
    item.process = (char *)(uintptr_t)name;
    item.placement = bed->placement;
    item.run = run;
    item.spec = run ? &bed->spec : NULL;
    item.clear_failed = bed->clear_failed;
    item.why = (char *)(uintptr_t)(run ? "pipeline --start" : "pipeline --stop");
    Gemel__OrderItem *items[] = {&item};
    Gemel__Orders orders = GEMEL__ORDERS__INIT;
    orders.host = (char *)(uintptr_t) "127.0.0.1";
    orders.items = items;
    orders.n_items = 1;
    return step(bed, (struct daemon_event){.type = DAEMON_EVENT_ORDERS,
                                           .orders = {.peer = 5, .epoch = epoch, .orders = &orders}});
}

static inline int order(struct bed *bed, bool run)
{
    return order_epoch(bed, RDB, run, 0x101);
}

/* Answers the SPAWN of the last step. */
static inline struct token spawned(struct bed *bed, const char *name, int32_t pid)
{
    const struct daemon_action *spawn = action(bed, DAEMON_ACTION_SPAWN);
    assert_non_null(spawn);
    assert_string_equal(spawn->process, name);
    struct token token = spawn->spawn.token;
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_SPAWNED,
                                                     .process = name,
                                                     .spawned = {.token = token, .pid = pid}}),
                     0);
    return token;
}

static inline int notify(struct bed *bed, struct daemon_notify said)
{
    return step(bed, (struct daemon_event){.type = DAEMON_EVENT_NOTIFY, .process = RDB, .notify = said});
}

static inline int exits(struct bed *bed, const char *name, int32_t pid, int32_t code, int32_t signal)
{
    return step(bed, (struct daemon_event){.type = DAEMON_EVENT_EXITED,
                                           .process = name,
                                           .exited = {.pid = pid, .code = code, .signal = signal}});
}

static inline void tick(struct bed *bed)
{
    assert_int_equal(step(bed, (struct daemon_event){.type = DAEMON_EVENT_TICK}), 0);
}

/* Goes to the next deadline. */
static inline int64_t wake(struct bed *bed)
{
    int64_t next_ms = daemon_core_next_wakeup_ms(bed->core);
    assert_true(next_ms != INT64_MAX);
    int64_t waited_ms = next_ms - bed->now_ms;
    if (next_ms > bed->now_ms)
        bed->now_ms = next_ms;
    tick(bed);
    return waited_ms;
}

static inline struct token run_until_ready(struct bed *bed, int32_t pid)
{
    assert_int_equal(order(bed, true), 0);
    struct token token = spawned(bed, RDB, pid);
    assert_int_equal(notify(bed, (struct daemon_notify){.ready = true}), 0);
    return token;
}

#endif
