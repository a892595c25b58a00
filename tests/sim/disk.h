/* A simulated database file: jobs in order, each durable when its fsync is over, an image that outlives its program.
 * Pure.
 *
 * One fsync covers what was waiting when it began (group commit). A program that dies leaves a prefix of its jobs done:
 * it cannot know which, and neither can anybody. A full disk fails a job and all that were waiting with it. */
#ifndef GEMEL_TESTS_SIM_DISK_H
#define GEMEL_TESTS_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/world.h"

struct disk;

/* Makes a job's effect on the image; `data` is the job's own. */
typedef void (*disk_apply)(void *image, const void *data);
/* Tells the program, if it still lives: 0 or -ENOSPC. */
typedef void (*disk_done)(struct world *world, struct node *node, const void *data, int result);
/* Releases the job's data. */
typedef void (*disk_release)(void *data);

struct disk_job {
    disk_apply apply;
    disk_done done;       /* NULL: nobody waits */
    disk_release release; /* NULL: memory_free */
    void *data;           /* taken */
};

/* `image` is borrowed. */
void disk_create(struct disk **disk, void *image);
void disk_destroy(struct disk **disk);

/* Queues a job of a living node. */
void disk_submit(struct world *world, struct disk *disk, struct node *node, const struct disk_job *job);

/* The program that uses it is dead: a random prefix of what was under way gets done. */
void disk_abandon(struct world *world, struct disk *disk);

/* Faults: milliseconds that each fsync takes at most more; full or not. */
void disk_set_slow(struct disk *disk, int64_t slow_us);
void disk_set_full(struct disk *disk, bool full);
/* For teeth: says that jobs are durable while they are not; they are lost when the program dies. Once lying, always. */
void disk_set_lying(struct disk *disk, bool lying);

#endif
