#include "worker/pool.h"

#include <pthread.h>
#include <stdbool.h>

#include "common/base/assert.h"
#include "common/base/memory.h"

struct pool {
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    struct pool_job *first;
    struct pool_job **last; /* where the next one goes */
    bool stopping;
    unsigned thread_count; /* set by pool_create */
    pthread_t threads[POOL_THREADS_MAX];
};

static void *pool_thread(void *data)
{
    struct pool *pool = data;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (pool->first == NULL && !pool->stopping)
            pthread_cond_wait(&pool->changed, &pool->mutex);
        struct pool_job *job = pool->first;
        if (job == NULL)
            break;
        pool->first = job->next;
        if (pool->first == NULL)
            pool->last = &pool->first;
        pthread_mutex_unlock(&pool->mutex);
        job->run(job);
        pthread_mutex_lock(&pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

int pool_create(struct pool **pool, unsigned threads)
{
    ASSERT(threads > 0 && threads <= POOL_THREADS_MAX);
    struct pool *made = memory_alloc(sizeof *made);
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->changed, NULL);
    made->last = &made->first;
    int result = 0;
    while (result == 0 && made->thread_count < threads) {
        result = -pthread_create(&made->threads[made->thread_count], NULL, pool_thread, made);
        if (result == 0)
            made->thread_count++;
    }
    if (result != 0)
        pool_destroy(&made);
    else
        *pool = made;
    return result;
}

void pool_destroy(struct pool **pool)
{
    if (*pool == NULL)
        return;
    pthread_mutex_lock(&(*pool)->mutex);
    (*pool)->stopping = true;
    pthread_cond_broadcast(&(*pool)->changed);
    pthread_mutex_unlock(&(*pool)->mutex);
    for (unsigned i = 0; i < (*pool)->thread_count; i++)
        pthread_join((*pool)->threads[i], NULL);
    pthread_mutex_destroy(&(*pool)->mutex);
    pthread_cond_destroy(&(*pool)->changed);
    memory_free(*pool);
    *pool = NULL;
}

void pool_submit(struct pool *pool, struct pool_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&pool->mutex);
    *pool->last = job;
    pool->last = &job->next;
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}
