#include "procmgr/core/picture.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"

/* ---- making ---- */

static struct picture_process *find_mutable(const struct picture *picture, const char *name)
{
    struct picture_process *found = NULL;
    HASH_FIND_STR(picture->by_name, name, found);
    return found;
}

static struct picture_process *add_process(struct picture *picture, const char *name)
{
    struct picture_process *process = &picture->processes[picture->count++];
    process->name = name;
    HASH_ADD_KEYPTR(hh, picture->by_name, process->name, strlen(process->name), process);
    return process;
}

/* A process stays where it was placed while its server still names that host; else its server's first is its home. */
static const char *choose_host(const struct layout_process *layout, const Gemel__Placement *placement)
{
    for (size_t i = 0; placement != NULL && i < layout->server->hosts.count; i++)
        if (strcmp(layout->server->hosts.items[i].text, placement->host) == 0)
            return layout->server->hosts.items[i].text;
    return layout->host;
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Names that are wanted or reported and in no layout, each once, by name, so that equal inputs make equal plans. */
static void add_strangers(struct picture *picture, const Gemel__PlanInput *input)
{
    const char **names = arena_alloc(&picture->arena, (input->n_wanted + input->n_observed + 1) * sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < input->n_wanted; i++)
        if (find_mutable(picture, input->wanted[i]->process) == NULL)
            names[count++] = input->wanted[i]->process;
    for (size_t i = 0; i < input->n_observed; i++)
        if (find_mutable(picture, input->observed[i]->process) == NULL)
            names[count++] = input->observed[i]->process;
    if (count > 0)
        qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(names[i - 1], names[i]) != 0)
            add_process(picture, names[i]);
}

static void add_report(struct picture *picture, const Gemel__ProcessReport *report)
{
    struct picture_process *process = find_mutable(picture, report->process);
    bool at_home = process->host == NULL ? process->observed == NULL || !picture_is_active(process->observed->state)
                                         : strcmp(process->host, report->host) == 0;
    if (at_home)
        process->observed = report;
    else if (picture_is_active(report->state))
        process->elsewhere = report;
}

void picture_init(struct picture *picture, const Gemel__PlanInput *input, const struct layout *layout)
{
    *picture = (struct picture){.input = input, .layout = layout};
    arena_init(&picture->arena);
    size_t layout_count = layout != NULL ? layout->process_count : 0;
    size_t capacity = layout_count + input->n_wanted + input->n_observed + 1;
    picture->processes = arena_alloc(&picture->arena, capacity * sizeof *picture->processes);
    for (size_t i = 0; i < layout_count; i++)
        add_process(picture, layout->processes[i].name)->layout = &layout->processes[i];
    picture->layout_count = layout_count;
    add_strangers(picture, input);
    for (size_t i = 0; i < input->n_wanted; i++)
        find_mutable(picture, input->wanted[i]->process)->wanted = input->wanted[i];
    for (size_t i = 0; i < input->n_placements; i++) {
        struct picture_process *process = find_mutable(picture, input->placements[i]->process);
        if (process != NULL)
            process->placement = input->placements[i];
    }
    for (size_t i = 0; i < picture->layout_count; i++)
        picture->processes[i].host = choose_host(picture->processes[i].layout, picture->processes[i].placement);
    for (size_t i = 0; i < input->n_observed; i++)
        add_report(picture, input->observed[i]);
}

void picture_fini(struct picture *picture)
{
    HASH_CLEAR(hh, picture->by_name);
    arena_fini(&picture->arena);
}

/* ---- asking ---- */

const struct picture_process *picture_find(const struct picture *picture, const char *name)
{
    return find_mutable(picture, name);
}

bool picture_is_reported(const struct picture *picture, const char *host)
{
    for (size_t i = 0; i < picture->input->n_hosts; i++)
        if (strcmp(picture->input->hosts[i]->host, host) == 0)
            return picture->input->hosts[i]->reported;
    return false;
}

Gemel__ProcessState picture_state(const struct picture_process *process)
{
    return process->observed != NULL ? process->observed->state : GEMEL__PROCESS_STATE__PROCESS_STOPPED;
}

bool picture_is_wanted(const struct picture_process *process)
{
    return process->wanted != NULL && process->wanted->up;
}

bool picture_is_active(Gemel__ProcessState state)
{
    return state != GEMEL__PROCESS_STATE__PROCESS_STOPPED && state != GEMEL__PROCESS_STATE__PROCESS_FAILED;
}

bool picture_has_ended(const struct picture_process *process)
{
    const Gemel__ProcessReport *observed = process->observed;
    return observed != NULL && process->wanted != NULL && observed->exited &&
           observed->state == GEMEL__PROCESS_STATE__PROCESS_STOPPED &&
           observed->clear_failed >= process->wanted->clear_failed &&
           observed->since_wall_ns > process->wanted->wall_ns;
}

const char *picture_state_word(Gemel__ProcessState state)
{
    static const char *const words[] = {
        [GEMEL__PROCESS_STATE__PROCESS_STOPPED] = "stopped",  [GEMEL__PROCESS_STATE__PROCESS_STARTING] = "starting",
        [GEMEL__PROCESS_STATE__PROCESS_READY] = "ready",      [GEMEL__PROCESS_STATE__PROCESS_STOPPING] = "stopping",
        [GEMEL__PROCESS_STATE__PROCESS_BACKOFF] = "back-off", [GEMEL__PROCESS_STATE__PROCESS_FAILED] = "failed"};
    return (size_t)state < COUNT_OF(words) ? words[state] : "unknown";
}
