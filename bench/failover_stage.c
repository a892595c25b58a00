/* bench-failover: kills the primary under load, again and again, and says what the clients saw.
 *
 * The programs are the real ones: gemel-gateway, two gemel-example-worker and gemel-load. The stage itself plays the
 * daemons of two hosts (127.0.0.1 and 127.0.0.2): it starts the workers, starts a dead one again, and reports to the
 * gateway over the control plane. There is no control. What is measured is the data path: from the death of a process,
 * which the gateway sees as a closed connection, to the answer of the other one. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/loop/clock.h"
#include "common/net/keys.h"
#include "common/net/plane.h"

enum {
    HOSTS = 2,
    RUNS_MAX = 10000,
    SETTLE_MS = 300, /* both processes ready, before a window */
    WINDOW_MS = 300, /* measured, quiet and with a kill */
    HANG_WINDOW_MS = 1600,
    GIVE_UP_MS = 20000,
    LINE_BYTES = 1024,
    EXIT_USAGE = 2
};

enum phase {
    PHASE_SETTLING, /* waits for both processes and for the load */
    PHASE_QUIET,    /* a window without a fault, to know the machine's own noise */
    PHASE_FAULT,    /* a window with one */
    PHASE_ENDING
};

struct stage;

struct child {
    struct stage *stage;
    const char *program;
    uv_process_t process;
    bool running;
    bool ready;
    int64_t ready_at_ms;
    uint64_t start;
    char endpoint[ADDRESS_BYTES];
};

struct host {
    struct stage *stage;
    uint32_t number;
    const char *name;
    struct plane *plane;
    struct router *router;
    struct plane_peer gateway;
    bool subscribed;
    struct child worker;
};

struct stage {
    uv_loop_t loop;
    char folder[64];
    char bin[512];
    struct keys *keys;
    struct host hosts[HOSTS];
    struct child gateway;
    struct child load;
    uv_pipe_t load_out;
    char line[LINE_BYTES];
    size_t line_bytes;
    int notify_fd;
    uv_poll_t notify;
    uv_timer_t timer;
    enum phase phase;
    int64_t phase_at_ms;
    bool asked; /* the load for its figures */
    unsigned in_flight;
    unsigned runs;
    unsigned run;
    bool hang;
    double gaps_ms[RUNS_MAX];
    double quiet_ms[RUNS_MAX];
    unsigned long long lost;
    unsigned long long queries;
    bool failed;
};

static const char *const host_names[HOSTS] = {"127.0.0.1", "127.0.0.2"};
static const char *const worker_names[HOSTS] = {"Bench.0.echo.0", "Bench.1.echo.0"};

static void fail(struct stage *stage, const char *why)
{
    fprintf(stderr, "bench-failover: %s (logs in %s)\n", why, stage->folder);
    stage->failed = true;
    uv_stop(&stage->loop);
}

/* ---- children ---- */

static void spawn_worker(struct host *host);

static void on_child_closed(uv_handle_t *handle)
{
    struct child *child = handle->data;
    struct stage *stage = child->stage;
    child->running = false;
    for (int i = 0; i < HOSTS; i++)
        if (child == &stage->hosts[i].worker && stage->phase != PHASE_ENDING)
            spawn_worker(&stage->hosts[i]);
}

static void report(struct host *host, Gemel__ProcessState state, const char *why);

static void on_child_exit(uv_process_t *process, int64_t status, int signal)
{
    struct child *child = process->data;
    struct stage *stage = child->stage;
    (void)status;
    child->ready = false;
    for (int i = 0; i < HOSTS; i++)
        if (child == &stage->hosts[i].worker)
            report(&stage->hosts[i], GEMEL__PROCESS_STATE__PROCESS_BACKOFF,
                   signal == SIGKILL ? "exited: signal 9" : "");
    if (child == &stage->gateway && stage->phase != PHASE_ENDING)
        fail(stage, "the gateway has ended");
    if (child == &stage->load)
        uv_stop(&stage->loop);
    uv_close((uv_handle_t *)process, on_child_closed);
}

/* Arguments end with NULL; `extra` are lines for the environment, ending with NULL. */
static void spawn(struct stage *stage, struct child *child, const char *const *arguments, const char *const *extra,
                  uv_pipe_t *out)
{
    char path[600], log[128];
    char *environment[16];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/%s", stage->bin, arguments[0]);
    snprintf(log, sizeof log, "%s/%s.log", stage->folder, child->program);
    for (; extra[count] != NULL; count++)
        environment[count] = (char *)extra[count];
    environment[count] = NULL;
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD, .data.fd = fd}, {.flags = UV_INHERIT_FD, .data.fd = fd}};
    if (out != NULL) {
        stdio[1].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
        stdio[1].data.stream = (uv_stream_t *)out;
    }
    uv_process_options_t options = {
        .file = path,
        .args = (char **)arguments,
        .env = environment,
        .exit_cb = on_child_exit,
        .stdio = stdio,
        .stdio_count = 3,
    };
    child->stage = stage;
    child->process.data = child;
    int result = uv_spawn(&stage->loop, &child->process, &options);
    close(fd);
    if (result != 0) {
        fprintf(stderr, "bench-failover: %s: %s\n", path, uv_strerror(result));
        exit(1);
    }
    child->running = true;
}

static void spawn_worker(struct host *host)
{
    struct stage *stage = host->stage;
    struct child *child = &host->worker;
    char process[64], token[64], address[64], socket_line[128];
    child->program = worker_names[host->number];
    child->start++;
    child->endpoint[0] = '\0';
    snprintf(process, sizeof process, "GEMEL_PROCESS=%s", worker_names[host->number]);
    snprintf(token, sizeof token, "GEMEL_TOKEN=1-%llu", (unsigned long long)child->start);
    snprintf(address, sizeof address, "GEMEL_HOST=%s", host->name);
    snprintf(socket_line, sizeof socket_line, "NOTIFY_SOCKET=%s/notify.sock", stage->folder);
    spawn(stage, child, (const char *[]){"gemel-example-worker", NULL},
          (const char *[]){process, token, address, socket_line, NULL}, NULL);
}

static void spawn_gateway(struct stage *stage)
{
    char home[128], socket_line[128];
    stage->gateway.program = "Bench.0.gw.0";
    snprintf(home, sizeof home, "GEMEL_HOME=%s", stage->folder);
    snprintf(socket_line, sizeof socket_line, "NOTIFY_SOCKET=%s/notify.sock", stage->folder);
    spawn(
        stage, &stage->gateway, (const char *[]){"gemel-gateway", NULL},
        (const char *[]){"GEMEL_PROCESS=Bench.0.gw.0", "GEMEL_HOST=127.0.0.1", "GEMEL_PORT=0", home, socket_line, NULL},
        NULL);
}

/* ---- the load ---- */

static double read_number(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    return at != NULL ? strtod(at + strlen(key), NULL) : -1;
}

static void enter(struct stage *stage, enum phase phase)
{
    stage->phase = phase;
    stage->phase_at_ms = clock_now_ms();
    stage->asked = false;
}

static void inflict(struct stage *stage)
{
    struct child *victim = &stage->hosts[stage->run % HOSTS].worker;
    uv_process_kill(&victim->process, stage->hang ? SIGSTOP : SIGKILL);
}

/* The figures of the window that ends now. */
static void take_window(struct stage *stage, const char *line)
{
    double gap_ms = read_number(line, "\"gap_ms\": ");
    stage->lost += (unsigned long long)read_number(line, "\"lost\": ");
    stage->queries += (unsigned long long)read_number(line, "\"asked\": ");
    if (stage->phase == PHASE_SETTLING) {
        enter(stage, PHASE_QUIET);
    } else if (stage->phase == PHASE_QUIET) {
        stage->quiet_ms[stage->run] = gap_ms;
        enter(stage, PHASE_FAULT);
        inflict(stage);
    } else if (stage->phase == PHASE_FAULT) {
        stage->gaps_ms[stage->run] = gap_ms;
        if (stage->hang)
            uv_process_kill(&stage->hosts[stage->run % HOSTS].worker.process, SIGKILL);
        stage->run++;
        enter(stage, stage->run < stage->runs ? PHASE_SETTLING : PHASE_ENDING);
        if (stage->phase == PHASE_ENDING)
            uv_process_kill(&stage->load.process, SIGTERM);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct stage *stage = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(stage->line + stage->line_bytes, (unsigned)(LINE_BYTES - stage->line_bytes - 1));
}

static void on_load_out(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct stage *stage = stream->data;
    (void)buffer;
    if (count < 0) {
        uv_read_stop(stream);
        return;
    }
    stage->line_bytes += (size_t)count;
    stage->line[stage->line_bytes] = '\0';
    char *end;
    while ((end = strchr(stage->line, '\n')) != NULL) {
        *end = '\0';
        if (stage->line[0] == '{')
            take_window(stage, stage->line);
        stage->line_bytes -= (size_t)(end + 1 - stage->line);
        memmove(stage->line, end + 1, stage->line_bytes + 1);
    }
}

static void spawn_load(struct stage *stage)
{
    char number[16];
    snprintf(number, sizeof number, "%u", stage->in_flight);
    stage->load.program = "load";
    uv_pipe_init(&stage->loop, &stage->load_out, 0);
    stage->load_out.data = stage;
    spawn(stage, &stage->load,
          (const char *[]){"gemel-load", "--gateways", stage->gateway.endpoint, "--target", "Bench.echo.0",
                           "--in-flight", number, "--connections", number, NULL},
          (const char *[]){NULL}, &stage->load_out);
    uv_read_start((uv_stream_t *)&stage->load_out, on_alloc, on_load_out);
    enter(stage, PHASE_SETTLING);
}

/* ---- the daemons' side ---- */

static void report(struct host *host, Gemel__ProcessState state, const char *why)
{
    Gemel__ProcessReport one = GEMEL__PROCESS_REPORT__INIT;
    Gemel__ProcessReport *list[] = {&one};
    Gemel__ProcessReports reports = GEMEL__PROCESS_REPORTS__INIT;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    one.process = (char *)worker_names[host->number];
    one.host = (char *)host->name;
    one.placement = 1;
    one.start = host->worker.start;
    one.state = state;
    one.endpoint = host->worker.endpoint;
    one.routable = true;
    one.expose_to_gw = true;
    one.why = (char *)why;
    reports.host = (char *)host->name;
    reports.full = true;
    reports.n_reports = 1;
    reports.reports = list;
    envelope.body_case = GEMEL__ENVELOPE__BODY_PROCESS_REPORTS;
    envelope.process_reports = &reports;
    if (host->subscribed)
        router_send(host->router, &host->gateway, &envelope);
}

static void report_now(struct host *host)
{
    bool ready = host->worker.ready;
    report(host, ready ? GEMEL__PROCESS_STATE__PROCESS_READY : GEMEL__PROCESS_STATE__PROCESS_STARTING, "");
}

static void on_message(void *owner, const struct plane_peer *from, const Gemel__Envelope *message)
{
    struct host *host = owner;
    if (message->body_case == GEMEL__ENVELOPE__BODY_SUBSCRIBE) {
        host->gateway = *from;
        host->subscribed = true;
        report_now(host);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_PING) {
        Gemel__Pong pong = GEMEL__PONG__INIT;
        Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
        pong.sent_ms = message->ping->sent_ms;
        envelope.body_case = GEMEL__ENVELOPE__BODY_PONG;
        envelope.pong = &pong;
        router_send(host->router, from, &envelope);
    }
}

static struct child *child_of(struct stage *stage, pid_t pid)
{
    for (int i = 0; i < HOSTS; i++)
        if (stage->hosts[i].worker.running && stage->hosts[i].worker.process.pid == pid)
            return &stage->hosts[i].worker;
    return stage->gateway.running && stage->gateway.process.pid == pid ? &stage->gateway : NULL;
}

static void on_ready(struct stage *stage, struct child *child, const char *text)
{
    const char *endpoint = strstr(text, "X_GEMEL_ENDPOINT=");
    if (endpoint != NULL)
        snprintf(child->endpoint, sizeof child->endpoint, "%.*s", (int)strcspn(endpoint + 17, "\n"), endpoint + 17);
    if (strstr(text, "READY=1") == NULL)
        return;
    child->ready = true;
    child->ready_at_ms = clock_now_ms();
    if (child == &stage->gateway)
        spawn_load(stage);
    else
        report_now(child == &stage->hosts[0].worker ? &stage->hosts[0] : &stage->hosts[1]);
}

static void on_notify(uv_poll_t *poll, int status, int events)
{
    struct stage *stage = poll->data;
    char text[2048];
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control;
    struct iovec data = {.iov_base = text, .iov_len = sizeof text - 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    (void)status;
    (void)events;
    ssize_t length = recvmsg(stage->notify_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header == NULL || header->cmsg_type != SCM_CREDENTIALS)
        return;
    struct ucred peer;
    memcpy(&peer, CMSG_DATA(header), sizeof peer);
    text[length] = '\0';
    struct child *child = child_of(stage, peer.pid);
    if (child != NULL)
        on_ready(stage, child, text);
}

/* ---- the course of a run ---- */

static bool both_settled(const struct stage *stage, int64_t now_ms)
{
    for (int i = 0; i < HOSTS; i++)
        if (!stage->hosts[i].worker.ready || now_ms - stage->hosts[i].worker.ready_at_ms < SETTLE_MS)
            return false;
    return true;
}

static void on_timer(uv_timer_t *timer)
{
    struct stage *stage = timer->data;
    int64_t now_ms = clock_now_ms();
    int64_t since_ms = now_ms - stage->phase_at_ms;
    int64_t window_ms = stage->phase == PHASE_FAULT && stage->hang ? HANG_WINDOW_MS : WINDOW_MS;
    if (since_ms > GIVE_UP_MS) {
        fail(stage, "nothing goes on");
        return;
    }
    if (stage->asked || stage->phase == PHASE_ENDING || !stage->load.running || since_ms < window_ms)
        return;
    if (stage->phase == PHASE_SETTLING && !both_settled(stage, now_ms))
        return;
    stage->asked = true;
    uv_process_kill(&stage->load.process, SIGUSR1);
}

/* ---- start and end ---- */

static void write_settings(const struct stage *stage, const char *daemon_address)
{
    char path[128];
    snprintf(path, sizeof path, "%s/etc/settings.conf", stage->folder);
    FILE *out = fopen(path, "we");
    ASSERT(out != NULL);
    fprintf(out,
            "control-primary = %s\ncontrol-secondary = %s\nclustering = 1\nhost = %s\ndaemon-port = %s\n"
            "control-port = 1\n",
            host_names[0], host_names[1], host_names[0], strrchr(daemon_address, ':') + 1);
    fclose(out);
}

static void make_folder(struct stage *stage)
{
    char path[128];
    struct error error;
    snprintf(stage->folder, sizeof stage->folder, "/tmp/gemel-bench-XXXXXX");
    ASSERT(mkdtemp(stage->folder) != NULL);
    snprintf(path, sizeof path, "%s/etc", stage->folder);
    ASSERT(mkdir(path, 0700) == 0);
    snprintf(path, sizeof path, "%s/etc/keys", stage->folder);
    ASSERT(mkdir(path, 0700) == 0);
    for (int i = 0; i < HOSTS; i++)
        ASSERT(keys_create_pair(path, host_names[i], KEY_ROLE_NODE, &error) == 0);
    ASSERT(keys_load(&stage->keys, path, &error) == 0);
}

static void bind_daemons(struct stage *stage)
{
    struct error error;
    char address[ADDRESS_BYTES];
    for (uint32_t i = 0; i < HOSTS; i++) {
        struct host *host = &stage->hosts[i];
        char sender[64];
        *host = (struct host){.stage = stage, .number = i, .name = host_names[i]};
        snprintf(sender, sizeof sender, "daemon@%s", host->name);
        ASSERT(plane_create(&host->plane, &stage->loop, stage->keys, host->name, sender, &error) == 0);
        /* Both daemons on one port, as the settings have one for all hosts. */
        const char *port = i == 0 ? ":0" : strrchr(router_address(stage->hosts[0].router), ':');
        snprintf(address, sizeof address, "%s%s", host->name, port);
        if (router_create(&host->router, host->plane, address, on_message, host, &error) != 0) {
            fprintf(stderr, "bench-failover: %s\n", error.sentence);
            exit(1);
        }
    }
    write_settings(stage, router_address(stage->hosts[0].router));
}

static void bind_notify(struct stage *stage)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int on = 1;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify.sock", stage->folder);
    stage->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ASSERT(stage->notify_fd >= 0);
    ASSERT(setsockopt(stage->notify_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    ASSERT(bind(stage->notify_fd, (struct sockaddr *)&address, sizeof address) == 0);
    uv_poll_init(&stage->loop, &stage->notify, stage->notify_fd);
    stage->notify.data = stage;
    uv_poll_start(&stage->notify, UV_READABLE, on_notify);
}

static void end_children(struct stage *stage)
{
    struct child *children[] = {&stage->load, &stage->gateway, &stage->hosts[0].worker, &stage->hosts[1].worker};
    enter(stage, PHASE_ENDING);
    for (size_t i = 0; i < COUNT_OF(children); i++)
        if (children[i]->running)
            uv_process_kill(&children[i]->process, SIGKILL);
    bool any = true;
    while (any) {
        any = false;
        for (size_t i = 0; i < COUNT_OF(children); i++)
            any = any || children[i]->running;
        if (any)
            uv_run(&stage->loop, UV_RUN_ONCE);
    }
}

static int compare_numbers(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return a < b ? -1 : a > b;
}

static void print_result(struct stage *stage)
{
    qsort(stage->gaps_ms, stage->runs, sizeof(double), compare_numbers);
    qsort(stage->quiet_ms, stage->runs, sizeof(double), compare_numbers);
    printf("bench=failover contender=gemel fault=%s inflight=%u runs=%u queries=%llu lost=%llu gap_ms_p50=%.1f "
           "gap_ms_p90=%.1f gap_ms_max=%.1f quiet_ms_p50=%.1f quiet_ms_max=%.1f\n",
           stage->hang ? "stop" : "kill", stage->in_flight, stage->runs, stage->queries, stage->lost,
           stage->gaps_ms[stage->runs / 2], stage->gaps_ms[stage->runs * 9 / 10], stage->gaps_ms[stage->runs - 1],
           stage->quiet_ms[stage->runs / 2], stage->quiet_ms[stage->runs - 1]);
}

static int usage(void)
{
    fprintf(stderr, "usage: bench-failover [--runs N] [--in-flight N] [--fault kill|stop] [--keep]\n"
                    "  kills (or stops) the primary of two echo processes behind a gateway under load\n");
    return EXIT_USAGE;
}

static bool find_programs(struct stage *stage)
{
    ssize_t length = readlink("/proc/self/exe", stage->bin, sizeof stage->bin - 1);
    if (length <= 0)
        return false;
    stage->bin[length] = '\0';
    *strrchr(stage->bin, '/') = '\0';
    return true;
}

static void remove_folder(const struct stage *stage)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", stage->folder);
    if (system(command) != 0)
        fprintf(stderr, "bench-failover: %s is left\n", stage->folder);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"runs", required_argument, NULL, 'r'},
                                            {"in-flight", required_argument, NULL, 'n'},
                                            {"fault", required_argument, NULL, 'f'},
                                            {"keep", no_argument, NULL, 'k'},
                                            {NULL, 0, NULL, 0}};
    static struct stage stage = {.runs = 50, .in_flight = 64};
    bool keep = false;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'r')
            stage.runs = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'n')
            stage.in_flight = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'f' && (strcmp(optarg, "kill") == 0 || strcmp(optarg, "stop") == 0))
            stage.hang = strcmp(optarg, "stop") == 0;
        else if (option == 'k')
            keep = true;
        else
            return usage();
    }
    if (stage.runs == 0 || stage.runs > RUNS_MAX || stage.in_flight == 0 || !find_programs(&stage))
        return usage();
    const struct log_options log = {.process = "bench-failover", .type = "bench"};
    struct error error;
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&stage.loop);
    make_folder(&stage);
    ASSERT(log_open(&log, &error) == 0);
    bind_daemons(&stage);
    bind_notify(&stage);
    uv_timer_init(&stage.loop, &stage.timer);
    stage.timer.data = &stage;
    enter(&stage, PHASE_SETTLING);
    uv_timer_start(&stage.timer, on_timer, 20, 20);
    for (int i = 0; i < HOSTS; i++)
        spawn_worker(&stage.hosts[i]);
    spawn_gateway(&stage);
    uv_run(&stage.loop, UV_RUN_DEFAULT);
    end_children(&stage);
    if (!stage.failed)
        print_result(&stage);
    if (!keep && !stage.failed)
        remove_folder(&stage);
    return stage.failed || stage.lost > 0 ? 1 : 0;
}
