#include "tests/sim/disk.h"

#include <errno.h>
#include <string.h>

#include "common/base/memory.h"

enum {
    FSYNC_MIN_US = 80,
    FSYNC_MAX_US = 1500
};

struct disk {
    void *image;
    struct disk_job *jobs; /* waiting and under way, in order */
    size_t count;
    size_t capacity;
    size_t under_way;      /* the first ones, covered by the present fsync */
    uint64_t fsync;        /* number of the present one */
    struct disk_job *lied; /* said to be durable, and not so */
    size_t lied_count;
    int64_t slow_us;
    bool full;
    bool lying;
};

void disk_create(struct disk **disk, void *image)
{
    *disk = memory_alloc(sizeof **disk);
    (*disk)->image = image;
}

static void release_job(const struct disk_job *job)
{
    if (job->release != NULL)
        job->release(job->data);
    else
        memory_free(job->data);
}

static void drop_lied(struct disk *disk)
{
    for (size_t i = 0; i < disk->lied_count; i++)
        release_job(&disk->lied[i]);
    memory_free(disk->lied);
    disk->lied = NULL;
    disk->lied_count = 0;
}

static void keep_lied(struct disk *disk, const struct disk_job *job)
{
    disk->lied = memory_resize(disk->lied, (disk->lied_count + 1) * sizeof *disk->lied);
    disk->lied[disk->lied_count++] = *job;
}

void disk_destroy(struct disk **disk)
{
    if (*disk == NULL)
        return;
    for (size_t i = 0; i < (*disk)->count; i++)
        release_job(&(*disk)->jobs[i]);
    drop_lied(*disk);
    memory_free((*disk)->jobs);
    memory_free(*disk);
    *disk = NULL;
}

struct fsync_end {
    struct disk *disk;
    uint64_t number;
};

static void start_fsync(struct world *world, struct disk *disk, struct node *node);

static void run_fsync_end(struct world *world, struct node *node, void *data)
{
    const struct fsync_end *end = data;
    struct disk *disk = end->disk;
    if (end->number != disk->fsync)
        return;
    size_t count = disk->full ? disk->count : disk->under_way;
    int result = disk->full ? -ENOSPC : 0;
    struct disk_job *done = memory_alloc_array(count, sizeof *done);
    memcpy(done, disk->jobs, count * sizeof *done);
    disk->count -= count;
    memmove(disk->jobs, disk->jobs + count, disk->count * sizeof *disk->jobs);
    disk->under_way = 0;
    for (size_t i = 0; i < count; i++)
        if (result == 0 && !disk->lying)
            done[i].apply(disk->image, done[i].data);
    for (size_t i = 0; i < count; i++) {
        if (done[i].done != NULL)
            done[i].done(world, node, done[i].data, result);
        if (disk->lying)
            keep_lied(disk, &done[i]);
        else
            release_job(&done[i]);
    }
    memory_free(done);
    if (disk->under_way == 0 && disk->count > 0 && node->alive)
        start_fsync(world, disk, node);
}

static void start_fsync(struct world *world, struct disk *disk, struct node *node)
{
    int64_t duration_us = chance_between(&world->chance, FSYNC_MIN_US, FSYNC_MAX_US);
    if (disk->slow_us > 0)
        duration_us += chance_between(&world->chance, 0, disk->slow_us);
    disk->under_way = disk->count;
    struct fsync_end *end = memory_alloc(sizeof *end);
    *end = (struct fsync_end){.disk = disk, .number = ++disk->fsync};
    world_after(world, duration_us, node, run_fsync_end, end);
}

void disk_submit(struct world *world, struct disk *disk, struct node *node, const struct disk_job *job)
{
    if (disk->count == disk->capacity) {
        disk->capacity = disk->capacity > 0 ? 2 * disk->capacity : 16;
        disk->jobs = memory_resize(disk->jobs, disk->capacity * sizeof *disk->jobs);
    }
    disk->jobs[disk->count++] = *job;
    if (disk->under_way == 0)
        start_fsync(world, disk, node);
}

void disk_abandon(struct world *world, struct disk *disk)
{
    size_t done = disk->full ? 0 : (size_t)chance_below(&world->chance, disk->count + 1);
    for (size_t i = 0; i < disk->count; i++) {
        if (i < done && !disk->lying)
            disk->jobs[i].apply(disk->image, disk->jobs[i].data);
        release_job(&disk->jobs[i]);
    }
    drop_lied(disk);
    disk->count = 0;
    disk->under_way = 0;
    disk->fsync++;
}

void disk_set_slow(struct disk *disk, int64_t slow_us)
{
    disk->slow_us = slow_us;
}

void disk_set_full(struct disk *disk, bool full)
{
    disk->full = full;
}

void disk_set_lying(struct disk *disk, bool lying)
{
    disk->lying = lying;
}
