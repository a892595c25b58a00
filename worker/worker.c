/* A process of a pipeline: environment, loop, what it tells its daemon. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "worker/failure.h"
#include "worker/worker_state.h"

enum {
    STOP_MS = 1000, /* calls that run are given this when the process ends */
    STOP_CHECK_MS = 5
};

struct gemel_timer {
    uv_timer_t handle;
    struct gemel_worker *worker;
    void (*fire)(void *data);
    void *data;
    struct gemel_timer *prev, *next;
};

struct gemel_descriptor {
    uv_poll_t handle;
    struct gemel_worker *worker;
    void (*ready)(void *data, int events);
    void *data;
    struct gemel_descriptor *prev, *next;
};

/* ---- open and close */

static const char *get_variable(const char *name)
{
    return getenv(name);
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    gemel_worker_stop(signal->data);
}

static void on_heartbeat(uv_timer_t *timer)
{
    struct gemel_worker *worker = timer->data;
    notify_beat(&worker->notify);
}

static void start_handles(struct gemel_worker *worker)
{
    uint64_t beat_ms = worker->notify.beat_ms;
    uv_timer_init(&worker->loop, &worker->redial);
    uv_timer_init(&worker->loop, &worker->heartbeat);
    uv_timer_init(&worker->loop, &worker->stop_check);
    uv_signal_init(&worker->loop, &worker->terminate);
    uv_signal_init(&worker->loop, &worker->interrupt);
    worker->redial.data = worker->heartbeat.data = worker->stop_check.data = worker;
    worker->terminate.data = worker->interrupt.data = worker;
    uv_timer_start(&worker->heartbeat, on_heartbeat, beat_ms, beat_ms);
    uv_signal_start(&worker->terminate, on_signal, SIGTERM);
    uv_signal_start(&worker->interrupt, on_signal, SIGINT);
}

int gemel_worker_open(struct gemel_worker **worker)
{
    struct error error = {0};
    struct gemel_worker *made = memory_alloc(sizeof *made);
    int result = environment_read(&made->environment, get_variable, &error);
    if (result == 0) {
        result = uv_loop_init(&made->loop);
        if (result != 0) {
            error_set(&error, result, "cannot make an event loop: %s", uv_strerror(result));
            environment_fini(&made->environment);
        }
    }
    if (result != 0) {
        memory_free(made);
        return failure_take(&error);
    }
    if (getrandom(&made->incarnation, sizeof made->incarnation, 0) != (ssize_t)sizeof made->incarnation)
        made->incarnation = uv_hrtime();
    made->loop_thread = pthread_self();
    notify_init(&made->notify, made->environment.notify_socket, made->environment.watchdog_ms);
    start_handles(made);
    calls_init(&made->calls, made);
    registry_start(made);
    *worker = made;
    return 0;
}

static void close_handles(struct gemel_worker *worker)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&worker->redial, (uv_handle_t *)&worker->heartbeat,
                              (uv_handle_t *)&worker->stop_check, (uv_handle_t *)&worker->terminate,
                              (uv_handle_t *)&worker->interrupt};
    for (size_t i = 0; i < COUNT_OF(handles); i++)
        uv_close(handles[i], NULL);
    while (worker->timers != NULL) {
        struct gemel_timer *timer = worker->timers;
        gemel_timer_stop(&timer);
    }
    while (worker->descriptors != NULL) {
        struct gemel_descriptor *descriptor = worker->descriptors;
        gemel_descriptor_stop(&descriptor);
    }
}

void gemel_worker_close(struct gemel_worker **worker)
{
    struct gemel_worker *closing = *worker;
    if (closing == NULL)
        return;
    *worker = NULL;
    calls_fini(&closing->calls);
    registry_stop(closing);
    close_handles(closing);
    uv_run(&closing->loop, UV_RUN_DEFAULT);
    int result = uv_loop_close(&closing->loop);
    ASSERT(result == 0); /* who put a handle into the loop closes it first */
    notify_fini(&closing->notify);
    environment_fini(&closing->environment);
    memory_free(closing);
}

/* ---- who it is */

struct link_self worker_self(const struct gemel_worker *worker)
{
    return (struct link_self){.kind = GEMEL__LINK_KIND__LINK_PROCESS,
                              .name = worker->environment.name,
                              .token = worker->environment.token,
                              .incarnation = worker->incarnation};
}

uv_loop_t *worker_loop(struct gemel_worker *worker)
{
    return &worker->loop;
}

const struct environment *worker_environment(const struct gemel_worker *worker)
{
    return &worker->environment;
}

const char *gemel_worker_name(const struct gemel_worker *worker)
{
    return worker->environment.name;
}

const char *gemel_worker_pipeline(const struct gemel_worker *worker)
{
    return worker->environment.id.pipeline;
}

const char *gemel_worker_type(const struct gemel_worker *worker)
{
    return worker->environment.id.type;
}

uint32_t gemel_worker_instance(const struct gemel_worker *worker)
{
    return worker->environment.id.instance;
}

uint32_t gemel_worker_index(const struct gemel_worker *worker)
{
    return worker->environment.id.index;
}

const char *gemel_worker_data_folder(const struct gemel_worker *worker)
{
    return worker->environment.data_folder;
}

const char *gemel_worker_run_folder(const struct gemel_worker *worker)
{
    return worker->environment.run_folder;
}

const char *gemel_worker_option(const struct gemel_worker *worker, const char *name)
{
    return environment_option(&worker->environment, name);
}

size_t gemel_worker_table_count(const struct gemel_worker *worker)
{
    return worker->environment.table_count;
}

const struct gemel_table *gemel_worker_table(const struct gemel_worker *worker, size_t position)
{
    ASSERT(position < worker->environment.table_count);
    return &worker->environment.tables[position];
}

/* ---- what it tells */

void gemel_worker_ready(struct gemel_worker *worker)
{
    worker->notify.ready = true;
    notify_send_state(&worker->notify);
}

/* A line is one line: what would end it early becomes a space. */
static void keep_line(char line[NOTIFY_LINE_BYTES])
{
    for (char *at = line; *at != '\0'; at++)
        if (*at == '\n' || *at == '\r')
            *at = ' ';
}

void gemel_worker_status(struct gemel_worker *worker, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(worker->notify.status, sizeof worker->notify.status, format, arguments);
    va_end(arguments);
    keep_line(worker->notify.status);
    notify_send_state(&worker->notify);
}

void gemel_worker_stale(struct gemel_worker *worker, const char *why)
{
    if (strcmp(worker->notify.stale, why) == 0)
        return;
    text_copy(worker->notify.stale, sizeof worker->notify.stale, why);
    keep_line(worker->notify.stale);
    notify_send_state(&worker->notify);
}

void gemel_worker_lag(struct gemel_worker *worker, uint64_t rows)
{
    if (worker->notify.lag == rows)
        return;
    worker->notify.lag = rows;
    notify_send_state(&worker->notify);
}

/* ---- timers and descriptors */

static void on_timer(uv_timer_t *handle)
{
    struct gemel_timer *timer = handle->data;
    timer->fire(timer->data);
}

struct gemel_timer *gemel_worker_timer(struct gemel_worker *worker, uint64_t first_ms, uint64_t repeat_ms,
                                       void (*fire)(void *data), void *data)
{
    struct gemel_timer *made = memory_alloc(sizeof *made);
    *made = (struct gemel_timer){.worker = worker, .fire = fire, .data = data};
    uv_timer_init(&worker->loop, &made->handle);
    made->handle.data = made;
    uv_timer_start(&made->handle, on_timer, first_ms, repeat_ms);
    DL_APPEND(worker->timers, made);
    return made;
}

static void on_freed(uv_handle_t *handle)
{
    memory_free(handle->data);
}

void gemel_timer_stop(struct gemel_timer **timer)
{
    if (*timer == NULL)
        return;
    DL_DELETE((*timer)->worker->timers, *timer);
    uv_close((uv_handle_t *)&(*timer)->handle, on_freed);
    *timer = NULL;
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
    const struct gemel_descriptor *descriptor = handle->data;
    int seen = 0;
    /* An error is something to read: the reader finds it. */
    if (status != 0 || (events & UV_READABLE) != 0)
        seen |= GEMEL_READABLE;
    if ((events & UV_WRITABLE) != 0)
        seen |= GEMEL_WRITABLE;
    descriptor->ready(descriptor->data, seen);
}

int gemel_worker_descriptor(struct gemel_worker *worker, struct gemel_descriptor **descriptor, int fd, int events,
                            void (*ready)(void *data, int events), void *data)
{
    struct gemel_descriptor *made = memory_alloc(sizeof *made);
    *made = (struct gemel_descriptor){.worker = worker, .ready = ready, .data = data};
    int result = uv_poll_init(&worker->loop, &made->handle, fd);
    if (result != 0) {
        memory_free(made);
        return failure_set(result, "cannot watch descriptor %d: %s", fd, uv_strerror(result));
    }
    made->handle.data = made;
    int wanted =
        ((events & GEMEL_READABLE) != 0 ? UV_READABLE : 0) | ((events & GEMEL_WRITABLE) != 0 ? UV_WRITABLE : 0);
    uv_poll_start(&made->handle, wanted, on_ready);
    DL_APPEND(worker->descriptors, made);
    *descriptor = made;
    return 0;
}

void gemel_descriptor_stop(struct gemel_descriptor **descriptor)
{
    if (*descriptor == NULL)
        return;
    DL_DELETE((*descriptor)->worker->descriptors, *descriptor);
    uv_close((uv_handle_t *)&(*descriptor)->handle, on_freed);
    *descriptor = NULL;
}

/* ---- run and stop */

static void on_stop_check(uv_timer_t *timer)
{
    struct gemel_worker *worker = timer->data;
    if (worker->calls.count == 0 || uv_now(&worker->loop) >= worker->stop_deadline_ms)
        uv_stop(&worker->loop);
}

int gemel_worker_run(struct gemel_worker *worker)
{
    worker->loop_thread = pthread_self();
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    return 0;
}

void gemel_worker_stop(struct gemel_worker *worker)
{
    if (worker->stopping)
        return;
    worker->stopping = true;
    atomic_store(&worker->calls.ending, true);
    worker->notify.stopping = true;
    notify_send_state(&worker->notify);
    worker->stop_deadline_ms = uv_now(&worker->loop) + STOP_MS;
    uv_timer_start(&worker->stop_check, on_stop_check, 0, STOP_CHECK_MS);
}
