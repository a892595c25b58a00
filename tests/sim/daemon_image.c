#include "tests/sim/daemon_image.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/wire/wire.h"

void daemon_image_fini(struct daemon_image *image)
{
    for (size_t i = 0; i < DAEMON_KEPT_MAX; i++)
        memory_free(image->orders[i].spec);
}

struct kept_run *daemon_image_run(struct daemon_image *image, const char *process)
{
    for (size_t i = 0; i < DAEMON_KEPT_MAX; i++) {
        struct kept_run *run = &image->runs[i];
        if (run->process[0] == '\0')
            text_copy(run->process, sizeof run->process, process);
        if (strcmp(run->process, process) == 0)
            return run;
    }
    ASSERT(false);
    return NULL;
}

static struct kept_order *find_order(struct daemon_image *image, const char *process)
{
    for (size_t i = 0; i < DAEMON_KEPT_MAX; i++) {
        struct kept_order *order = &image->orders[i];
        if (order->process[0] == '\0' || strcmp(order->process, process) == 0)
            return order;
    }
    ASSERT(false);
    return NULL;
}

static void apply_job(void *image_of_disk, const void *data)
{
    struct daemon_image *image = image_of_disk;
    const struct daemon_job *job = data;
    switch (job->kind) {
    case DAEMON_JOB_EPOCH:
        image->epoch = job->number;
        break;
    case DAEMON_JOB_STARTS:
        image->starts_end = job->number;
        break;
    case DAEMON_JOB_ORDER: {
        struct kept_order *order = find_order(image, job->order.process);
        memory_free(order->spec);
        *order = job->order;
        if (job->order.spec != NULL)
            order->spec = memory_copy(job->order.spec, job->order.spec_bytes);
        break;
    }
    }
}

static void release_job(void *data)
{
    struct daemon_job *job = data;
    memory_free(job->order.spec);
    memory_free(job);
}

static void copy_order(struct kept_order *order, const struct daemon_action *action)
{
    text_copy(order->process, sizeof order->process, action->process);
    if (action->order.spec != NULL)
        order->spec = wire_pack(&action->order.spec->base, &order->spec_bytes);
    order->placement = action->order.placement;
    order->clear_failed = action->order.clear_failed;
    order->wanted = action->order.wanted;
    order->parked = action->order.parked;
    order->failed = action->order.failed;
    text_copy(order->why, sizeof order->why, action->order.why);
}

struct disk_job daemon_job_of(const struct daemon_action *action, disk_done done)
{
    struct daemon_job *job = memory_alloc(sizeof *job);
    if (action->type == DAEMON_ACTION_STORE_EPOCH) {
        job->kind = DAEMON_JOB_EPOCH;
        job->number = action->epoch;
    } else if (action->type == DAEMON_ACTION_RESERVE_STARTS) {
        job->kind = DAEMON_JOB_STARTS;
        job->number = action->starts_end;
    } else {
        ASSERT(action->type == DAEMON_ACTION_STORE_ORDER);
        job->kind = DAEMON_JOB_ORDER;
        copy_order(&job->order, action);
    }
    return (struct disk_job){.apply = apply_job, .done = done, .release = release_job, .data = job};
}
