/* A daemon for tests of the built-in types: a thread that answers look-ups, and hears what the processes that the test
 * starts notify. Everything waits for events. Included by one test file, so that its functions are static. */
#ifndef GEMEL_TESTS_UNIT_FAKE_DAEMON_H
#define GEMEL_TESTS_UNIT_FAKE_DAEMON_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/net/link.h"
#include "tests/unit/testing.h"

enum {
    PROCESSES = 8,
    WAIT_S = 20
};

/* ---- the daemon */

struct known {
    char name[64];
    char endpoint[64]; /* "": down */
    char status[256];
    char stale[256];
    bool ready;
    pid_t pid; /* 0: not running */
};

struct watcher {
    struct link *link;
    uint64_t id;
    char pattern[64];
};

struct daemon {
    char folder[64];
    char address[128]; /* unix:... */
    uv_loop_t loop;
    uv_async_t changed;
    uv_poll_t poll;
    int notify_fd[PROCESSES];
    uv_poll_t polls[PROCESSES];
    struct link_server *server;
    struct watcher watchers[64];
    size_t watcher_count;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t news;
    bool stopping;
    struct known known[PROCESSES];
    size_t known_count;
};

static bool matches(const char *pattern, const char *name)
{
    while (*pattern != '\0' && *name != '\0') {
        if (*pattern == '*') {
            name += strcspn(name, ".");
            pattern++;
        } else if (*pattern++ != *name++) {
            return false;
        }
    }
    return *pattern == *name;
}

static void answer(struct daemon *daemon, const struct watcher *watcher)
{
    Gemel__LookupReply reply = GEMEL__LOOKUP_REPLY__INIT;
    Gemel__RegistryEntry entries[PROCESSES];
    Gemel__RegistryEntry *pointers[PROCESSES];
    reply.entries = pointers;
    pthread_mutex_lock(&daemon->mutex);
    for (size_t i = 0; i < daemon->known_count; i++) {
        if (!matches(watcher->pattern, daemon->known[i].name))
            continue;
        gemel__registry_entry__init(&entries[reply.n_entries]);
        entries[reply.n_entries].process = daemon->known[i].name;
        entries[reply.n_entries].endpoint = daemon->known[i].endpoint;
        entries[reply.n_entries].ready = daemon->known[i].ready;
        pointers[reply.n_entries] = &entries[reply.n_entries];
        reply.n_entries++;
    }
    link_send_message(watcher->link, FRAME_LOOKUP_REPLY, watcher->id, &reply.base);
    pthread_mutex_unlock(&daemon->mutex);
}

static void on_daemon_open(void *owner, struct link *link)
{
    (void)owner;
    (void)link;
}

static void on_daemon_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct daemon *daemon = owner;
    ProtobufCMessage *message = NULL;
    if (header->type != FRAME_LOOKUP)
        return;
    assert_int_equal(wire_unpack(&gemel__lookup__descriptor, body, header->body_bytes, &message), 0);
    struct watcher *watcher = &daemon->watchers[daemon->watcher_count++];
    watcher->link = link;
    watcher->id = header->request_id;
    text_copy(watcher->pattern, sizeof watcher->pattern, ((Gemel__Lookup *)message)->pattern);
    wire_free(message);
    answer(daemon, watcher);
}

static void on_daemon_close(void *owner, struct link *link, int reason, const char *why)
{
    struct daemon *daemon = owner;
    size_t kept = 0;
    (void)reason;
    (void)why;
    for (size_t i = 0; i < daemon->watcher_count; i++)
        if (daemon->watchers[i].link != link)
            daemon->watchers[kept++] = daemon->watchers[i];
    daemon->watcher_count = kept;
}

static void on_changed(uv_async_t *async)
{
    struct daemon *daemon = async->data;
    pthread_mutex_lock(&daemon->mutex);
    if (daemon->stopping)
        uv_stop(&daemon->loop);
    pthread_mutex_unlock(&daemon->mutex);
    for (size_t i = 0; i < daemon->watcher_count; i++)
        answer(daemon, &daemon->watchers[i]);
}

static void take_line(struct known *known, const char *line)
{
    if (strncmp(line, "X_GEMEL_ENDPOINT=", 17) == 0)
        text_copy(known->endpoint, sizeof known->endpoint, line + 17);
    else if (strncmp(line, "STATUS=", 7) == 0)
        text_copy(known->status, sizeof known->status, line + 7);
    else if (strncmp(line, "X_GEMEL_STALE=", 14) == 0)
        text_copy(known->stale, sizeof known->stale, line + 14);
    else if (strcmp(line, "READY=1") == 0)
        known->ready = true;
}

static void on_notify(uv_poll_t *poll, int status, int events)
{
    struct daemon *daemon = poll->data;
    size_t index = (size_t)(poll - daemon->polls);
    char message[4096];
    ssize_t size = 0;
    (void)status;
    (void)events;
    while ((size = recv(daemon->notify_fd[index], message, sizeof message - 1, MSG_DONTWAIT)) > 0) {
        char *save = NULL;
        message[size] = '\0';
        pthread_mutex_lock(&daemon->mutex);
        char before[64];
        text_copy(before, sizeof before, daemon->known[index].endpoint);
        for (char *line = strtok_r(message, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
            if (daemon->known[index].pid != 0)
                take_line(&daemon->known[index], line);
        bool moved = strcmp(before, daemon->known[index].endpoint) != 0;
        pthread_cond_broadcast(&daemon->news);
        pthread_mutex_unlock(&daemon->mutex);
        if (moved)
            on_changed(&daemon->changed);
    }
}

static void *daemon_thread(void *data)
{
    struct daemon *daemon = data;
    uv_run(&daemon->loop, UV_RUN_DEFAULT);
    return NULL;
}

static void daemon_start(struct daemon *daemon)
{
    static const struct link_handlers handlers = {
        .on_open = on_daemon_open, .on_frame = on_daemon_frame, .on_close = on_daemon_close};
    struct link_self self = {.kind = GEMEL__LINK_KIND__LINK_DAEMON, .name = "daemon@test"};
    struct error error = {0};
    memset(daemon, 0, sizeof *daemon);
    snprintf(daemon->folder, sizeof daemon->folder, "/tmp/gemel-pipelines-XXXXXX");
    assert_non_null(mkdtemp(daemon->folder));
    snprintf(daemon->address, sizeof daemon->address, "unix:%s/daemon.sock", daemon->folder);
    pthread_mutex_init(&daemon->mutex, NULL);
    pthread_cond_init(&daemon->news, NULL);
    uv_loop_init(&daemon->loop);
    uv_async_init(&daemon->loop, &daemon->changed, on_changed);
    daemon->changed.data = daemon;
    for (size_t i = 0; i < PROCESSES; i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s/notify.%zu", daemon->folder, i);
        daemon->notify_fd[i] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(daemon->notify_fd[i], (struct sockaddr *)&address, sizeof address), 0);
        uv_poll_init(&daemon->loop, &daemon->polls[i], daemon->notify_fd[i]);
        daemon->polls[i].data = daemon;
        uv_poll_start(&daemon->polls[i], UV_READABLE, on_notify);
    }
    assert_int_equal(link_listen(&daemon->server, &daemon->loop, daemon->address, &self, &handlers, daemon, &error), 0);
    assert_int_equal(pthread_create(&daemon->thread, NULL, daemon_thread, daemon), 0);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static void daemon_stop(struct daemon *daemon)
{
    pthread_mutex_lock(&daemon->mutex);
    daemon->stopping = true;
    pthread_mutex_unlock(&daemon->mutex);
    uv_async_send(&daemon->changed);
    pthread_join(daemon->thread, NULL);
    link_server_destroy(&daemon->server);
    uv_close((uv_handle_t *)&daemon->changed, NULL);
    for (size_t i = 0; i < PROCESSES; i++)
        uv_close((uv_handle_t *)&daemon->polls[i], NULL);
    uv_run(&daemon->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&daemon->loop), 0);
    for (size_t i = 0; i < PROCESSES; i++)
        close(daemon->notify_fd[i]);
    nftw(daemon->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- processes */

/* GEMEL_TABLES of every process. */
static const char tables[] = "DemoTable\tsym\ttime\ttime:timestamp:sorted,sym:symbol:grouped,price:float:\n"
                             "Other\tsym\t\tsym:symbol:";

static struct known *find(struct daemon *daemon, const char *name)
{
    for (size_t i = 0; i < daemon->known_count; i++)
        if (strcmp(daemon->known[i].name, name) == 0)
            return &daemon->known[i];
    struct known *known = &daemon->known[daemon->known_count++];
    text_copy(known->name, sizeof known->name, name);
    return known;
}

static void program_path(const char *name, char *path, size_t size)
{
    char own[256] = "";
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    assert_true(length > 0);
    *strrchr(own, '/') = '\0';
    snprintf(path, size, "%s/../bin/gemel-%s", own, name);
}

/* Starts Demo.INSTANCE.TYPE.0; does not wait. */
static void start(struct daemon *daemon, unsigned instance, const char *type, const char *options)
{
    char name[64];
    char path[512];
    char env[8][512];
    char *environment[9] = {0};
    char *arguments[] = {path, NULL};
    program_path(type, path, sizeof path);
    snprintf(name, sizeof name, "Demo.%u.%s.0", instance, type);
    pthread_mutex_lock(&daemon->mutex);
    struct known *known = find(daemon, name);
    size_t index = (size_t)(known - daemon->known);
    snprintf(env[0], sizeof env[0], "GEMEL_PROCESS=%s", name);
    snprintf(env[1], sizeof env[1], "GEMEL_DAEMON=%s", daemon->address);
    snprintf(env[2], sizeof env[2], "NOTIFY_SOCKET=%s/notify.%zu", daemon->folder, index);
    snprintf(env[3], sizeof env[3], "GEMEL_DATA=%s/%s", daemon->folder, name);
    snprintf(env[4], sizeof env[4], "GEMEL_TABLES=%s", tables);
    snprintf(env[5], sizeof env[5], "GEMEL_OPTIONS=%s", options);
    snprintf(env[6], sizeof env[6], "GEMEL_TOKEN=1-%d", (int)index);
    for (size_t i = 0; i < 7; i++)
        environment[i] = env[i];
    mkdir(env[3] + 11, 0700);
    known->ready = false;
    known->endpoint[0] = known->stale[0] = known->status[0] = '\0';
    /* Output goes into a file: a pipe of the test's caller must not be held open by a process that hangs. */
    posix_spawn_file_actions_t actions;
    char log[128];
    snprintf(log, sizeof log, "%s/%s.log", daemon->folder, name);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    assert_int_equal(posix_spawn(&known->pid, path, &actions, NULL, arguments, environment), 0);
    posix_spawn_file_actions_destroy(&actions);
    pthread_mutex_unlock(&daemon->mutex);
}

static void kill_now(struct daemon *daemon, const char *name)
{
    pthread_mutex_lock(&daemon->mutex);
    struct known *known = find(daemon, name);
    pid_t pid = known->pid;
    known->pid = 0;
    known->ready = false;
    known->endpoint[0] = '\0';
    pthread_mutex_unlock(&daemon->mutex);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    uv_async_send(&daemon->changed);
}

static void end_all(struct daemon *daemon)
{
    bool clean = true;
    for (size_t i = 0; i < daemon->known_count; i++) {
        int status = 0;
        if (daemon->known[i].pid == 0)
            continue;
        kill(daemon->known[i].pid, SIGTERM);
        waitpid(daemon->known[i].pid, &status, 0);
        clean = clean && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    assert_true(clean);
}

static bool is_ready(const struct known *known)
{
    return known->ready;
}

static void wait_until(struct daemon *daemon, const char *name, bool (*condition)(const struct known *known))
{
    struct timespec deadline;
    int result = 0;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += WAIT_S;
    pthread_mutex_lock(&daemon->mutex);
    const struct known *known = find(daemon, name);
    while (!condition(known) && result == 0)
        result = pthread_cond_timedwait(&daemon->news, &daemon->mutex, &deadline);
    bool good = condition(known);
    pthread_mutex_unlock(&daemon->mutex);
    if (!good)
        fail_msg("%s: status '%s', stale '%s', ready %d", name, known->status, known->stale, known->ready);
}

static void start_and_wait(struct daemon *daemon, unsigned instance, const char *type, const char *options)
{
    char name[64];
    snprintf(name, sizeof name, "Demo.%u.%s.0", instance, type);
    start(daemon, instance, type, options);
    wait_until(daemon, name, is_ready);
}

#endif
