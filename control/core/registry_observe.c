#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/process_id.h"
#include "common/base/text.h"
#include "common/base/token.h"
#include "common/wire/wire.h"
#include "control/core/registry_parts.h"

struct observed *registry_observe_find(const struct registry_core *core, const char *process)
{
    struct observed *observed = NULL;
    HASH_FIND_STR(core->observed, process, observed);
    return observed;
}

static void drop_observed(struct registry_core *core, struct observed *observed)
{
    HASH_DEL(core->observed, observed);
    wire_free(&observed->report->base);
    memory_free(observed);
}

void registry_observe_clear(struct registry_core *core)
{
    while (core->observed != NULL)
        drop_observed(core, core->observed);
}

static struct token token_of(const Gemel__ProcessReport *report)
{
    return (struct token){.placement = report->placement, .start = report->start};
}

/* Is the report older than what is known: a late one, or one about a predecessor that lives on another host? */
static bool is_outdated(const struct observed *observed, uint64_t incarnation, const Gemel__ProcessReport *report)
{
    if (strcmp(observed->report->host, report->host) == 0)
        return observed->daemon_incarnation == incarnation && report->sequence < observed->report->sequence;
    return token_compare(token_of(report), token_of(observed->report)) < 0;
}

/* What others look up: has it changed? */
static bool is_same_entry(const Gemel__ProcessReport *one, const Gemel__ProcessReport *other)
{
    bool ready = one->state == GEMEL__PROCESS_STATE__PROCESS_READY;
    bool other_ready = other->state == GEMEL__PROCESS_STATE__PROCESS_READY;
    return ready == other_ready && strcmp(one->endpoint, other->endpoint) == 0 && strcmp(one->host, other->host) == 0;
}

/* An end that nobody asked for is something that operators want to find again. */
static void tell_exit(struct registry_core *core, const Gemel__ProcessReport *before,
                      const Gemel__ProcessReport *report)
{
    bool was_down = before->state == GEMEL__PROCESS_STATE__PROCESS_BACKOFF ||
                    before->state == GEMEL__PROCESS_STATE__PROCESS_FAILED ||
                    before->state == GEMEL__PROCESS_STATE__PROCESS_STOPPED;
    bool is_down = report->state == GEMEL__PROCESS_STATE__PROCESS_BACKOFF ||
                   report->state == GEMEL__PROCESS_STATE__PROCESS_FAILED ||
                   (report->state == GEMEL__PROCESS_STATE__PROCESS_STARTING && !was_down &&
                    before->start != report->start); /* started again within one report */
    if (!core->leading || !report->exited || !is_down || report->why[0] == '\0')
        return;
    if (before->exited && before->start == report->start && before->state == report->state)
        return;
    struct arena *arena = &core->actions->arena;
    Gemel__OpEvent *event = arena_alloc(arena, sizeof *event);
    gemel__op_event__init(event);
    event->level = arena_strdup(arena, report->state == GEMEL__PROCESS_STATE__PROCESS_FAILED ? "ERROR" : "WARN");
    event->subject = arena_strdup(arena, report->process);
    event->sentence = arena_strdup(arena, report->why);
    Gemel__Op *op = registry_compose_op(core, GEMEL__OP__BODY_EVENT);
    op->event = event;
    char key[STATE_KEY_BYTES];
    snprintf(key, sizeof key, "exit %s", report->process);
    registry_propose(core, key, op);
}

static void take_report(struct registry_core *core, uint64_t incarnation, const Gemel__ProcessReport *report)
{
    struct process_id id;
    if (process_id_parse(report->process, &id) != 0)
        return;
    struct observed *observed = registry_observe_find(core, report->process);
    if (observed != NULL && is_outdated(observed, incarnation, report))
        return;
    if (observed == NULL && HASH_COUNT(core->observed) >= PROCESSES_MAX)
        return;
    bool same_entry = observed != NULL && is_same_entry(observed->report, report);
    if (observed == NULL) {
        observed = memory_alloc(sizeof *observed);
        text_copy(observed->process, sizeof observed->process, report->process);
        HASH_ADD_STR(core->observed, process, observed);
    } else {
        tell_exit(core, observed->report, report);
        wire_free(&observed->report->base);
    }
    observed->report = (Gemel__ProcessReport *)wire_copy(&report->base);
    observed->daemon_incarnation = incarnation;
    if (!same_entry)
        observed->entry_version = ++core->entry_version;
}

static bool is_named(const Gemel__ProcessReports *reports, const char *process)
{
    for (size_t i = 0; i < reports->n_reports; i++)
        if (strcmp(reports->reports[i]->process, process) == 0)
            return true;
    return false;
}

/* A full report: what the host's daemon does not name, it does not know (any more). */
static void drop_unnamed(struct registry_core *core, const Gemel__ProcessReports *reports)
{
    struct observed *one = NULL, *next = NULL;
    bool dropped = false;
    HASH_ITER (hh, core->observed, one, next) {
        if (strcmp(one->report->host, reports->host) != 0 || is_named(reports, one->process))
            continue;
        drop_observed(core, one);
        dropped = true;
    }
    for (struct registry_peer *peer = core->peers; dropped && peer != NULL; peer = peer->hh.next)
        peer->entries_sent = 0; /* the whole list again: a delta cannot say it */
}

int registry_observe_reports(struct registry_core *core, struct registry_peer *peer, uint64_t incarnation,
                             const Gemel__ProcessReports *reports)
{
    if (peer->kind != REGISTRY_KIND_DAEMON || strcmp(peer->host, reports->host) != 0)
        return -EBADMSG;
    for (size_t i = 0; i < reports->n_reports; i++)
        if (strcmp(reports->reports[i]->host, reports->host) == 0)
            take_report(core, incarnation, reports->reports[i]);
    if (reports->full) {
        drop_unnamed(core, reports);
        peer->reported = true;
    }
    core->input_due = true;
    return 0;
}

/* ---- questions */

const Gemel__ProcessReport *registry_find_process(const struct registry_core *core, const char *process)
{
    const struct observed *observed = registry_observe_find(core, process);
    return observed != NULL ? observed->report : NULL;
}

static int compare_reports(const void *one, const void *other)
{
    const Gemel__ProcessReport *const *left = one;
    const Gemel__ProcessReport *const *right = other;
    struct process_id first, second;
    if (process_id_parse((*left)->process, &first) != 0 || process_id_parse((*right)->process, &second) != 0)
        return strcmp((*left)->process, (*right)->process);
    return process_id_compare(&first, &second);
}

const Gemel__ProcessReport **registry_processes(const struct registry_core *core, struct arena *arena, size_t *count)
{
    size_t total = HASH_COUNT(core->observed);
    const Gemel__ProcessReport **reports = arena_alloc(arena, (total + 1) * sizeof(const Gemel__ProcessReport *));
    size_t at = 0;
    for (const struct observed *one = core->observed; one != NULL; one = one->hh.next)
        reports[at++] = one->report;
    qsort(reports, total, sizeof(const Gemel__ProcessReport *), compare_reports);
    *count = total;
    return reports;
}
