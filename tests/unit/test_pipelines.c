/* libs: gemel_worker gemel_link gemel_log gemel_loop gemel_wire gemel_base */
/* The real gemel-tp and gemel-rdb under a daemon of the test's own: a thread that answers look-ups and hears what they
 * notify. Everything waits for events, nothing sleeps. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/net/link.h"
#include "common/wire/rows.h"
#include "tests/unit/testing.h"
#include "worker/gemel.h"

enum {
    PROCESSES = 8,
    WAIT_S = 20,
    COLUMNS = 3
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
    bool stopping;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t news;
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
    if (daemon->stopping)
        uv_stop(&daemon->loop);
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
    daemon->stopping = true;
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

static bool is_stale(const struct known *known)
{
    return strcmp(known->stale, "tp down") == 0;
}

static bool is_fit(const struct known *known)
{
    return known->ready && known->stale[0] == '\0';
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

/* ---- publishing and asking */

static struct gemel_publisher *open_publisher(struct daemon *daemon, enum gemel_ack ack, uint64_t buffer_bytes)
{
    struct gemel_publisher *publisher = NULL;
    struct gemel_publisher_options options = {.pipeline = "Demo",
                                              .name = "feed",
                                              .gateways = daemon->address,
                                              .ack = ack,
                                              .buffer_bytes = buffer_bytes,
                                              .open_timeout_ms = WAIT_S * 1000};
    if (gemel_publisher_open(&publisher, &options) != 0)
        fail_msg("%s", gemel_error_text());
    return publisher;
}

/* One batch of `rows` rows whose prices are all 1. */
static uint64_t publish(struct gemel_publisher *publisher, uint32_t rows)
{
    static int64_t time_ns = 1764000000000000000;
    struct gemel_value *cells = memory_alloc_array(rows * COLUMNS, sizeof *cells);
    uint64_t sequence = 0;
    for (uint32_t i = 0; i < rows; i++) {
        cells[i * COLUMNS] = (struct gemel_value){.kind = GEMEL_INTEGER, .integer = time_ns++};
        cells[i * COLUMNS + 1] = (struct gemel_value){.kind = GEMEL_TEXT, .bytes = "SYM", .size = 3};
        cells[i * COLUMNS + 2] = (struct gemel_value){.kind = GEMEL_REAL, .real = 1.0};
    }
    int result = 0;
    while ((result = gemel_publish(publisher, "DemoTable", cells, rows, COLUMNS, &sequence)) == -EAGAIN)
        gemel_publisher_run(publisher, 10);
    if (result != 0)
        fail_msg("%s", gemel_error_text());
    memory_free(cells);
    return sequence;
}

static void wait_acknowledged(struct gemel_publisher *publisher, uint64_t sequence)
{
    if (gemel_publisher_wait(publisher, sequence, WAIT_S * 1000) != 0)
        fail_msg("%s", gemel_error_text());
}

static void get_endpoint(struct daemon *daemon, const char *name, char endpoint[64])
{
    pthread_mutex_lock(&daemon->mutex);
    text_copy(endpoint, 64, find(daemon, name)->endpoint);
    pthread_mutex_unlock(&daemon->mutex);
}

/* Rows that `name` has, once it has everything of `feed` up to the sequence. A process answers like a gateway. */
static int64_t count_rows(struct daemon *daemon, const char *name, uint64_t sequence)
{
    char endpoint[64];
    struct gemel_client *client = NULL;
    uint8_t *answer_bytes = NULL;
    size_t size = 0;
    get_endpoint(daemon, name, endpoint);
    assert_int_equal(gemel_client_open(&client, endpoint), 0);
    Gemel__Mark mark = GEMEL__MARK__INIT;
    Gemel__Mark *marks[] = {&mark};
    Gemel__SqlQuery query = GEMEL__SQL_QUERY__INIT;
    mark.publisher = (char *)(uintptr_t) "feed";
    mark.sequence = sequence;
    query.sql = (char *)(uintptr_t) "select count(*), count(distinct time), sum(price) from DemoTable";
    query.at_least = marks;
    query.n_at_least = 1;
    uint8_t *packed = wire_pack(&query.base, &size);
    if (gemel_request(client, "Demo.rdb.0", packed, size, WAIT_S * 1000, &answer_bytes, &size) != 0)
        fail_msg("%s", gemel_error_text());
    memory_free(packed);
    ProtobufCMessage *message = NULL;
    assert_int_equal(wire_unpack(&gemel__sql_answer__descriptor, answer_bytes, size, &message), 0);
    const Gemel__SqlAnswer *read = (const Gemel__SqlAnswer *)message;
    struct rows_reader reader = {.at = read->rows.data, .left = read->rows.len};
    struct rows_cell count;
    struct rows_cell distinct;
    assert_int_equal(rows_read(&reader, &count), 0);
    assert_int_equal(rows_read(&reader, &distinct), 0);
    assert_true(count.integer == distinct.integer); /* no row twice */
    wire_free(message);
    gemel_free(answer_bytes);
    gemel_client_close(&client);
    return count.integer;
}

static int set_up(void **state)
{
    struct daemon *daemon = memory_alloc(sizeof *daemon);
    daemon_start(daemon);
    *state = daemon;
    return 0;
}

static int tear_down(void **state)
{
    struct daemon *daemon = *state;
    end_all(daemon);
    daemon_stop(daemon);
    memory_free(daemon);
    return 0;
}

/* ---- the tests */

static void test_what_is_acknowledged_is_on_every_instance_exactly_once(void **state)
{
    struct daemon *daemon = *state;
    start(daemon, 0, "tp", "");
    start(daemon, 1, "tp", "pub-mode=timer\npub-freq-ms=20");
    wait_until(daemon, "Demo.0.tp.0", is_ready);
    wait_until(daemon, "Demo.1.tp.0", is_ready);
    start(daemon, 0, "rdb", "");
    start(daemon, 1, "rdb", "");
    wait_until(daemon, "Demo.0.rdb.0", is_ready);
    wait_until(daemon, "Demo.1.rdb.0", is_ready);
    struct gemel_publisher *publisher = open_publisher(daemon, GEMEL_ACK_SYNCED, 0);
    for (int i = 0; i < 300; i++)
        publish(publisher, 10);
    wait_acknowledged(publisher, 300);
    assert_int_equal(count_rows(daemon, "Demo.0.rdb.0", 300), 3000);
    assert_int_equal(count_rows(daemon, "Demo.1.rdb.0", 300), 3000);
    gemel_publisher_close(&publisher);
    publisher = open_publisher(daemon, GEMEL_ACK_SYNCED, 0);
    assert_int_equal(gemel_publisher_next(publisher), 301); /* goes on where it left off */
    gemel_publisher_close(&publisher);
}

static void test_an_rdb_that_is_killed_replays_all_of_it(void **state)
{
    struct daemon *daemon = *state;
    start_and_wait(daemon, 0, "tp", "");
    start_and_wait(daemon, 0, "rdb", "");
    struct gemel_publisher *publisher = open_publisher(daemon, GEMEL_ACK_SYNCED, 0);
    for (int i = 0; i < 100; i++)
        publish(publisher, 50);
    wait_acknowledged(publisher, 100);
    kill_now(daemon, "Demo.0.rdb.0");
    start_and_wait(daemon, 0, "rdb", "");
    assert_int_equal(count_rows(daemon, "Demo.0.rdb.0", 0), 5000); /* ready means all of it */
    publish(publisher, 50);
    assert_int_equal(count_rows(daemon, "Demo.0.rdb.0", 101), 5050);
    gemel_publisher_close(&publisher);
}

static void test_a_tp_that_is_killed_gets_again_what_it_missed(void **state)
{
    struct daemon *daemon = *state;
    start_and_wait(daemon, 0, "tp", "");
    start_and_wait(daemon, 0, "rdb", "");
    struct gemel_publisher *publisher = open_publisher(daemon, GEMEL_ACK_SYNCED, 0);
    for (int i = 0; i < 100; i++)
        publish(publisher, 10);
    wait_acknowledged(publisher, 50);
    kill_now(daemon, "Demo.0.tp.0");
    wait_until(daemon, "Demo.0.rdb.0", is_stale);
    for (int i = 0; i < 100; i++)
        publish(publisher, 10);
    assert_int_equal(gemel_publisher_wait(publisher, 200, 50), -ETIMEDOUT);
    assert_non_null(strstr(gemel_error_text(), "Demo.0.tp.0 has acknowledged up to batch"));
    start_and_wait(daemon, 0, "tp", "");
    wait_acknowledged(publisher, 200);
    wait_until(daemon, "Demo.0.rdb.0", is_fit);
    assert_int_equal(count_rows(daemon, "Demo.0.rdb.0", 200), 2000);
    gemel_publisher_close(&publisher);
}

static void test_a_tp_takes_from_its_peer_what_no_publisher_has_any_more(void **state)
{
    struct daemon *daemon = *state;
    start_and_wait(daemon, 0, "tp", "");
    struct gemel_publisher *publisher = open_publisher(daemon, GEMEL_ACK_ANY, 20000);
    for (int i = 0; i < 200; i++)
        wait_acknowledged(publisher, publish(publisher, 10));
    /* Instance 1 comes while the publisher runs; the buffer is far too small for what it misses. */
    start_and_wait(daemon, 1, "tp", "");
    start_and_wait(daemon, 1, "rdb", "");
    assert_int_equal(count_rows(daemon, "Demo.1.rdb.0", 200), 2000);
    for (int i = 0; i < 20; i++)
        publish(publisher, 10);
    wait_acknowledged(publisher, 220);
    gemel_publisher_close(&publisher);
    /* The publisher is gone: what instance 1 lacks can come from its peer alone. */
    assert_int_equal(count_rows(daemon, "Demo.1.rdb.0", 220), 2200);
}

/* ---- a publisher that does as it likes */

struct rude {
    uv_loop_t loop;
    struct link *link;
    uint64_t sequence;
    uint64_t late;
    int answers;
    int failures;
    int code;
    char sentence[256];
};

static void on_rude_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct rude *rude = owner;
    ProtobufCMessage *message = NULL;
    (void)link;
    if (header->type == FRAME_PUBLISHED) {
        assert_int_equal(wire_unpack(&gemel__published__descriptor, body, header->body_bytes, &message), 0);
        rude->sequence = ((Gemel__Published *)message)->sequence;
        rude->late = ((Gemel__Published *)message)->late;
        rude->answers++;
    } else if (header->type == FRAME_FAILURE) {
        assert_int_equal(wire_unpack(&gemel__failure__descriptor, body, header->body_bytes, &message), 0);
        rude->code = ((Gemel__Failure *)message)->code;
        text_copy(rude->sentence, sizeof rude->sentence, ((Gemel__Failure *)message)->sentence);
        rude->failures++;
    }
    wire_free(message);
}

static void on_rude_close(void *owner, struct link *link, int reason, const char *why)
{
    (void)link;
    (void)reason;
    ((struct rude *)owner)->link = NULL;
    fail_msg("the tp closed the link: %s", why);
}

static void rude_open(struct rude *rude, struct daemon *daemon)
{
    static const struct link_handlers handlers = {
        .on_open = on_daemon_open, .on_frame = on_rude_frame, .on_close = on_rude_close};
    struct link_self self = {.kind = GEMEL__LINK_KIND__LINK_CLIENT, .name = "feed"};
    char endpoint[64];
    memset(rude, 0, sizeof *rude);
    uv_loop_init(&rude->loop);
    get_endpoint(daemon, "Demo.0.tp.0", endpoint);
    assert_int_equal(link_connect(&rude->link, &rude->loop, endpoint, &self, &handlers, rude, NULL), 0);
    while (rude->answers == 0)
        uv_run(&rude->loop, UV_RUN_ONCE);
}

static void rude_close(struct rude *rude)
{
    link_close(rude->link);
    uv_run(&rude->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rude->loop), 0);
}

static void rude_publish(struct rude *rude, uint64_t sequence, const char *table, uint32_t columns)
{
    Gemel__Batch batch = GEMEL__BATCH__INIT;
    struct rows_writer rows;
    int before = rude->answers + rude->failures;
    rows_writer_init(&rows, 1000);
    for (uint32_t i = 0; i < columns; i++)
        rows_write(&rows, &(struct rows_cell){.kind = ROWS_INTEGER, .integer = (int64_t)sequence});
    batch.publisher = (char *)(uintptr_t) "feed";
    batch.sequence = sequence;
    batch.table = (char *)(uintptr_t)table;
    batch.row_count = 1;
    batch.column_count = columns;
    batch.rows.data = rows.bytes;
    batch.rows.len = rows.size;
    assert_int_equal(link_send_message(rude->link, FRAME_PUBLISH, sequence, &batch.base), 0);
    while (rude->answers + rude->failures == before)
        uv_run(&rude->loop, UV_RUN_ONCE);
    rows_writer_fini(&rows);
}

static void test_a_tp_takes_batches_in_sequence_only_and_each_once(void **state)
{
    struct daemon *daemon = *state;
    struct rude rude;
    start_and_wait(daemon, 0, "tp", "");
    start_and_wait(daemon, 0, "rdb", "");
    rude_open(&rude, daemon);
    assert_int_equal(rude.sequence, 0);
    rude_publish(&rude, 1, "DemoTable", 3);
    assert_int_equal(rude.sequence, 1);
    rude_publish(&rude, 3, "DemoTable", 3); /* a gap */
    assert_int_equal(rude.sequence, 1);
    assert_int_equal(rude.late, 1);
    rude_publish(&rude, 1, "DemoTable", 3); /* a double */
    assert_int_equal(rude.sequence, 1);
    rude_publish(&rude, 2, "DemoTable", 3);
    assert_int_equal(rude.sequence, 2);
    assert_int_equal(count_rows(daemon, "Demo.0.rdb.0", 2), 2);
    rude_close(&rude);
}

static void test_a_batch_that_fits_no_table_is_refused_with_a_sentence(void **state)
{
    struct daemon *daemon = *state;
    struct rude rude;
    start_and_wait(daemon, 0, "tp", "");
    rude_open(&rude, daemon);
    rude_publish(&rude, 1, "Missing", 3);
    assert_int_equal(rude.code, -EINVAL);
    assert_non_null(strstr(rude.sentence, "table Missing does not feed this pipeline"));
    rude_publish(&rude, 1, "DemoTable", 2);
    assert_string_equal(rude.sentence, "table DemoTable has 3 columns, the batch 2");
    rude_publish(&rude, 1, "DemoTable", 3);
    assert_int_equal(rude.sequence, 1); /* the refused ones took no number */
    rude_close(&rude);
}

static void test_an_rdb_refuses_to_write_and_says_so(void **state)
{
    struct daemon *daemon = *state;
    char endpoint[64];
    struct gemel_client *client = NULL;
    struct gemel_result *result = NULL;
    start_and_wait(daemon, 0, "tp", "");
    start_and_wait(daemon, 0, "rdb", "timeout=1");
    get_endpoint(daemon, "Demo.0.rdb.0", endpoint);
    assert_int_equal(gemel_client_open(&client, endpoint), 0);
    assert_int_equal(gemel_query(client, "Demo", "delete from DemoTable", 0, &result), -EPERM);
    assert_string_equal(gemel_error_text(), "Demo.0.rdb.0: queries only read here: DELETE is refused");
    assert_int_equal(gemel_query(client, "Demo", "select nothing from DemoTable", 0, &result), -EINVAL);
    static const char endless[] = "with recursive n(i) as (select 1 union all select i+1 from n) select sum(i) from n";
    assert_int_equal(gemel_query(client, "Demo", endless, 0, &result), -ETIMEDOUT);   /* its own timeout */
    assert_int_equal(gemel_query(client, "Demo", endless, 100, &result), -ETIMEDOUT); /* the client's */
    assert_int_equal(gemel_query(client, "Demo", "select count(*) as n, max(time) from DemoTable", 0, &result), 0);
    assert_string_equal(gemel_result_source(result), "Demo.0.rdb.0");
    assert_string_equal(gemel_result_column_name(result, 0), "n");
    assert_true(gemel_result_cell(result, 0, 1).kind == GEMEL_NULL);
    gemel_result_free(result);
    gemel_client_close(&client);
}

static void test_the_other_types_start_and_serve_empty_tables(void **state)
{
    struct daemon *daemon = *state;
    char endpoint[64];
    struct gemel_client *client = NULL;
    struct gemel_result *result = NULL;
    static const char *const types[] = {"idb", "hdb", "ipdb", "epdb"};
    for (size_t i = 0; i < 4; i++)
        start_and_wait(daemon, 0, types[i], "");
    get_endpoint(daemon, "Demo.0.hdb.0", endpoint);
    assert_int_equal(gemel_client_open(&client, endpoint), 0);
    assert_int_equal(gemel_query(client, "Demo.hdb.0", "select count(*) from DemoTable", 0, &result), 0);
    assert_int_equal(gemel_result_cell(result, 0, 0).integer, 0);
    gemel_result_free(result);
    gemel_client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_acknowledged_is_on_every_instance_exactly_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_rdb_that_is_killed_replays_all_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_tp_that_is_killed_gets_again_what_it_missed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_tp_takes_from_its_peer_what_no_publisher_has_any_more, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_tp_takes_batches_in_sequence_only_and_each_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_batch_that_fits_no_table_is_refused_with_a_sentence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_rdb_refuses_to_write_and_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_other_types_start_and_serve_empty_tables, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
