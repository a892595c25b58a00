/* bench/restart: SIGKILL to the replacement's first instruction, under a real gemel-daemon and under a bare vfork
 * parent. This program plays the control that gives the order, kills, and reads the births from a FIFO. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/assert.h"
#include "common/net/keys.h"
#include "common/net/plane.h"

#define PROCESS "Bench.0.thing.0"
#define HOST    "127.0.0.1"

enum {
    RUNS_MAX = 100000,
    GIVE_UP_MS = 10000,
    SETTLE_MS = 20, /* between a birth and the next kill: both parents sleep again */
    PATH_BYTES = 512,
    CONTENDER_BYTES = 16
};

struct birth {
    int64_t ns;
    int32_t pid;
    char contender[CONTENDER_BYTES];
};

struct stage {
    char home[64];
    char fifo[PATH_BYTES];
    char programs[PATH_BYTES];
    char child[PATH_BYTES];
    char control[64];
    int daemon_port;
    int fifo_fd;
    uv_loop_t loop;
    uv_timer_t timer;
    bool late;
    struct keys *keys;
    struct plane *plane;
    struct router *router;
    struct plane_peer peer;
    bool connected;
    uint64_t cleared; /* generation that the daemon has reported as ready */
    pid_t daemon;
    pid_t bare;
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "bench-restart: %s\n", what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- the control's part */

static void on_message(void *owner, const struct plane_peer *from, const Gemel__Envelope *message)
{
    struct stage *stage = owner;
    if (message->body_case == GEMEL__ENVELOPE__BODY_DAEMON_HELLO) {
        stage->peer = *from;
        stage->connected = true;
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_PROCESS_REPORTS) {
        for (size_t i = 0; i < message->process_reports->n_reports; i++)
            if (message->process_reports->reports[i]->state == GEMEL__PROCESS_STATE__PROCESS_READY)
                stage->cleared = message->process_reports->reports[i]->clear_failed;
    }
}

/* A higher generation forgets the failures so far, so that each kill meets an immediate restart. */
static void order(struct stage *stage, uint64_t clear_failed)
{
    char contender[] = "gemel";
    char *command[] = {stage->child, stage->fifo, contender};
    Gemel__ProcessSpec spec = GEMEL__PROCESS_SPEC__INIT;
    Gemel__OrderItem item = GEMEL__ORDER_ITEM__INIT;
    Gemel__OrderItem *items[] = {&item};
    Gemel__Orders orders = GEMEL__ORDERS__INIT;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    spec.process = item.process = (char[]){PROCESS};
    spec.command = command;
    spec.n_command = COUNT_OF(command);
    spec.readiness = GEMEL__READINESS__READINESS_NOW;
    item.placement = 1;
    item.run = true;
    item.spec = &spec;
    item.clear_failed = clear_failed;
    item.why = (char[]){"the bench wants it"};
    orders.host = (char[]){HOST};
    orders.items = items;
    orders.n_items = 1;
    envelope.epoch = 0x101;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ORDERS;
    envelope.orders = &orders;
    if (router_send(stage->router, &stage->peer, &envelope) != 0)
        fail("the daemon is gone");
}

static void on_late(uv_timer_t *timer)
{
    ((struct stage *)timer->data)->late = true;
}

static void run_for(struct stage *stage, uint64_t ms)
{
    stage->late = false;
    uv_timer_start(&stage->timer, on_late, ms, 0);
}

static void wait_until_cleared(struct stage *stage, uint64_t generation)
{
    run_for(stage, GIVE_UP_MS);
    while (stage->cleared != generation && !stage->late)
        uv_run(&stage->loop, UV_RUN_ONCE);
    if (stage->late)
        fail("the daemon did not report the process as ready");
    run_for(stage, SETTLE_MS);
    while (!stage->late)
        uv_run(&stage->loop, UV_RUN_ONCE);
}

/* ---- the two parents */

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        fail("no free port");
    close(fd);
    return ntohs(address.sin_port);
}

static void make_home(struct stage *stage)
{
    char path[PATH_BYTES];
    struct error error;
    int control_port = free_port();
    stage->daemon_port = free_port();
    strcpy(stage->home, "/tmp/gemel-restart-XXXXXX");
    if (mkdtemp(stage->home) == NULL)
        fail("cannot make a folder in /tmp");
    snprintf(stage->control, sizeof stage->control, HOST ":%d", control_port);
    snprintf(stage->fifo, sizeof stage->fifo, "%s/births", stage->home);
    snprintf(path, sizeof path, "%s/etc", stage->home);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/etc/settings.conf", stage->home);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        fail("cannot write the settings");
    fprintf(file, "host = " HOST "\ncontrol-primary = %s\ndaemon-port = %d\n", stage->control, stage->daemon_port);
    fclose(file);
    snprintf(path, sizeof path, "%s/etc/keys", stage->home);
    mkdir(path, 0700);
    if (keys_create_pair(path, HOST, KEY_ROLE_NODE, &error) != 0 || keys_load(&stage->keys, path, &error) != 0)
        fail(error.sentence);
    stage->fifo_fd = mkfifo(stage->fifo, 0600) == 0 ? open(stage->fifo, O_RDWR | O_CLOEXEC) : -1;
    if (stage->fifo_fd < 0)
        fail("cannot make the FIFO");
}

/* All that a supervisor must do, and nothing else. */
static void start_bare(struct stage *stage)
{
    stage->bare = fork();
    if (stage->bare != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    char contender[] = "vfork";
    char *arguments[] = {stage->child, stage->fifo, contender, NULL};
    for (;;) {
        pid_t pid = vfork();
        if (pid == 0) {
            execv(stage->child, arguments);
            _exit(127);
        }
        waitpid(pid, NULL, 0);
    }
}

static void start_daemon(struct stage *stage)
{
    char program[PATH_BYTES + 16];
    struct error error;
    snprintf(program, sizeof program, "%s/gemel-daemon", stage->programs);
    uv_loop_init(&stage->loop);
    uv_timer_init(&stage->loop, &stage->timer);
    stage->timer.data = stage;
    if (plane_create(&stage->plane, &stage->loop, stage->keys, HOST, "control@" HOST, &error) != 0 ||
        router_create(&stage->router, stage->plane, stage->control, on_message, stage, &error) != 0)
        fail(error.sentence);
    stage->daemon = fork();
    if (stage->daemon == 0) {
        execl(program, program, "--home", stage->home, (char *)NULL);
        _exit(127);
    }
    run_for(stage, GIVE_UP_MS);
    while (!stage->connected && !stage->late)
        uv_run(&stage->loop, UV_RUN_ONCE);
    if (!stage->connected)
        fail("the daemon did not come up");
}

/* ---- measuring */

static struct birth next_birth(const struct stage *stage, const char *contender)
{
    struct birth birth;
    if (read(stage->fifo_fd, &birth, sizeof birth) != (ssize_t)sizeof birth)
        fail("a birth cannot be read");
    birth.contender[CONTENDER_BYTES - 1] = '\0';
    if (strcmp(birth.contender, contender) != 0)
        fail("somebody was born who should not");
    return birth;
}

/* Kills `*pid`, which becomes its replacement's. Returns microseconds. */
static double measure(const struct stage *stage, const char *contender, pid_t *pid)
{
    int64_t killed_ns = now_ns();
    kill(*pid, SIGKILL);
    struct birth birth = next_birth(stage, contender);
    *pid = birth.pid;
    return (double)(birth.ns - killed_ns) / 1000.0;
}

static int by_value(const void *left, const void *right)
{
    double one = *(const double *)left;
    double other = *(const double *)right;
    return one < other ? -1 : one > other;
}

static void tell(const char *contender, double *us, size_t runs)
{
    qsort(us, runs, sizeof *us, by_value);
    printf("bench=restart contender=%s runs=%zu restart_ms_p50=%.3f restart_ms_p90=%.3f restart_ms_max=%.3f\n",
           contender, runs, us[runs / 2] / 1000, us[runs * 9 / 10] / 1000, us[runs - 1] / 1000);
}

static void finish(struct stage *stage, pid_t bare_child)
{
    char command[PATH_BYTES];
    if (stage->bare > 0) {
        kill(stage->bare, SIGKILL);
        waitpid(stage->bare, NULL, 0);
        kill(bare_child, SIGKILL);
    }
    Gemel__Argument argument = GEMEL__ARGUMENT__INIT;
    Gemel__Argument *arguments[] = {&argument};
    Gemel__AdminRequest request = GEMEL__ADMIN_REQUEST__INIT;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    argument.name = (char[]){"processes"};
    argument.value = (char[]){"stop"};
    request.verb = (char[]){"daemon.stop"};
    request.arguments = arguments;
    request.n_arguments = 1;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REQUEST;
    envelope.admin_request = &request;
    router_send(stage->router, &stage->peer, &envelope);
    run_for(stage, GIVE_UP_MS);
    while (waitpid(stage->daemon, NULL, WNOHANG) == 0 && !stage->late)
        uv_run(&stage->loop, UV_RUN_NOWAIT);
    snprintf(command, sizeof command, "rm -rf %s", stage->home);
    if (system(command) != 0)
        fprintf(stderr, "bench-restart: %s is left\n", stage->home);
}

int main(int argc, char **argv)
{
    static struct stage stage;
    long runs = 50;
    bool ours_only = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--ours-only") == 0)
            ours_only = true;
        else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc)
            runs = strtol(argv[++i], NULL, 10);
    }
    if (runs < 1 || runs > RUNS_MAX)
        fail("--runs is a number from 1");
    ssize_t length = readlink("/proc/self/exe", stage.programs, sizeof stage.programs - 32);
    if (length <= 0)
        fail("cannot find the programs");
    *strrchr(stage.programs, '/') = '\0';
    snprintf(stage.child, sizeof stage.child, "%.480s/bench-restart-child", stage.programs);
    make_home(&stage);
    pid_t bare_child = 0;
    if (!ours_only) {
        start_bare(&stage);
        bare_child = next_birth(&stage, "vfork").pid;
    }
    start_daemon(&stage);
    order(&stage, 1);
    pid_t child = next_birth(&stage, "gemel").pid;
    double *ours = calloc((size_t)runs, sizeof *ours);
    double *bare = calloc((size_t)runs, sizeof *bare);
    for (long i = 0; i < runs; i++) {
        if (i > 0)
            order(&stage, (uint64_t)i + 1);
        wait_until_cleared(&stage, (uint64_t)i + 1);
        ours[i] = measure(&stage, "gemel", &child);
        if (!ours_only)
            bare[i] = measure(&stage, "vfork", &bare_child);
    }
    tell("gemel", ours, (size_t)runs);
    if (!ours_only)
        tell("vfork", bare, (size_t)runs);
    finish(&stage, bare_child);
    free(ours);
    free(bare);
    return 0;
}
