/* A bounded pool of threads beside a loop. Jobs run in the order they came, each on one thread. Internal to libgemel
 * and the built-in types. */
#ifndef GEMEL_WORKER_POOL_H
#define GEMEL_WORKER_POOL_H

#include <stddef.h>

enum {
    POOL_THREADS_MAX = 256
};

struct pool;

/* A job: embedded in what it is about, which the job's owner keeps until it has run. */
struct pool_job {
    void (*run)(struct pool_job *job);
    struct pool_job *next; /* the pool's */
};

/* Starts 1 to POOL_THREADS_MAX threads. Returns 0 or the errno of thread creation. */
int pool_create(struct pool **pool, unsigned threads);
/* Runs what is queued, then ends the threads. NULL inside is allowed. */
void pool_destroy(struct pool **pool);
/* Queues a job; the caller bounds how many. From any thread. */
void pool_submit(struct pool *pool, struct pool_job *job);

#endif
