#include "daemon/children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/loop/pidfd.h"
#include "common/wire/wire.h"
#include "daemon/leftover.h"
#include "daemon/output.h"
#include "daemon/run_base.h"
#include "daemon/spawn.h"

enum {
    PATH_BYTES = 512,
    CGROUPS_DROPPED = 8 /* used up ones that are looked at; a process in the kernel keeps one for a while */
};

/* A name that ran at least once under this daemon. */
struct child {
    char process[PROCESS_NAME_BYTES];
    struct children *children;
    struct output *output; /* NULL: a stranger's */
    struct run_slot *slot; /* NULL: a stranger's, or the file is full */
    struct pidfd_watch *watch;
    int pidfd; /* -1: nothing runs */
    pid_t pid;
    struct token token;
    unsigned cgroup_number;
    struct cgroup_leaf cgroup;
    bool leads_group; /* we made it the leader of its group */
    bool adopted;     /* its orphans are not ours */

    bool ended; /* something is left for children_finish_exits */
    bool ended_ours;
    bool ended_adopted;
    struct token ended_token;
    int ended_pidfd; /* of the zombie; -1: reaped */

    /* A spawn that waits for leftovers to be gone. */
    uv_timer_t retry;
    Gemel__ProcessSpec *spec; /* owned; NULL: none waits */
    struct token spec_token;
    unsigned retries;

    UT_hash_handle hh;     /* by process */
    UT_hash_handle hh_pid; /* by pid, while it runs */
};

struct children {
    struct children_config config;
    struct child *by_name;
    struct child *by_pid;
    uv_signal_t reaper;
    int null_fd;
    bool has_exits;
    struct arena arena; /* of one launch */
};

/* A folder that is removed in the pool. */
struct trash {
    uv_work_t work;
    char path[PATH_BYTES];
};

/* ---- removing folders */

static void remove_folder(uv_work_t *work)
{
    struct trash *trash = work->data;
    run_base_remove(trash->path);
}

static void on_removed(uv_work_t *work, int status)
{
    (void)status;
    memory_free(work->data);
}

static void throw_away(struct children *children, const char *path)
{
    struct trash *trash = memory_alloc(sizeof *trash);
    text_copy(trash->path, sizeof trash->path, path);
    trash->work.data = trash;
    if (uv_queue_work(children->config.loop, &trash->work, remove_folder, on_removed) != 0)
        memory_free(trash);
}

/* ---- the tables */

static void open_output(struct child *child)
{
    const struct children_config *config = &child->children->config;
    char fifo[PATH_BYTES];
    char log[PATH_BYTES];
    struct error error;
    snprintf(fifo, sizeof fifo, "%s/run/fifo/%s", config->home, child->process);
    snprintf(log, sizeof log, "%s/var/log/%s.log", config->home, child->process);
    if (child->output == NULL && output_create(&child->output, config->loop, fifo, log, &error) != 0)
        log_error("A process has no log [ Process: %s ] [ Why: %s ]", child->process, error.sentence);
}

static struct child *find_or_add(struct children *children, const char *process)
{
    struct child *child = NULL;
    HASH_FIND_STR(children->by_name, process, child);
    if (child != NULL)
        return child;
    child = memory_alloc(sizeof *child);
    text_copy(child->process, sizeof child->process, process);
    child->children = children;
    child->pidfd = -1;
    child->ended_pidfd = -1;
    child->cgroup = (struct cgroup_leaf){.folder_fd = -1, .events_fd = -1, .kill_fd = -1};
    uv_timer_init(children->config.loop, &child->retry);
    child->retry.data = child;
    HASH_ADD_STR(children->by_name, process, child);
    return child;
}

static void take_slot(struct child *child)
{
    if (child->slot == NULL)
        child->slot = runs_take(child->children->config.runs, child->process);
    if (child->slot != NULL)
        child->cgroup_number = child->slot->cgroup_number;
}

static void on_child_closed(uv_handle_t *handle)
{
    memory_free(handle->data);
}

static void drop_spec(struct child *child)
{
    if (child->spec != NULL)
        wire_free(&child->spec->base);
    child->spec = NULL;
}

static void forget_process(struct child *child)
{
    if (child->pidfd < 0)
        return;
    HASH_DELETE(hh_pid, child->children->by_pid, child);
    pidfd_watch_destroy(&child->watch);
    close(child->pidfd);
    child->pidfd = -1;
    child->pid = 0;
}

static void on_ended(void *owner);

/* Takes the pidfd. */
static int watch_process(struct child *child, pid_t pid, int pidfd)
{
    forget_process(child);
    int result = pidfd_watch_create(&child->watch, child->children->config.loop, pidfd, on_ended, child);
    if (result != 0) {
        close(pidfd);
        return result;
    }
    child->pid = pid;
    child->pidfd = pidfd;
    HASH_ADD(hh_pid, child->children->by_pid, pid, sizeof child->pid, child);
    return 0;
}

const char *children_name_of(const struct children *children, pid_t pid)
{
    struct child *child = NULL;
    HASH_FIND(hh_pid, children->by_pid, &pid, sizeof pid, child);
    if (child == NULL) {
        pid_t group = getpgid(pid);
        HASH_FIND(hh_pid, children->by_pid, &group, sizeof group, child);
    }
    return child != NULL ? child->process : NULL;
}

/* ---- exits */

static size_t kill_run(const struct child *child, struct token token, bool everywhere)
{
    struct leftover_run run = {.home = child->children->config.home, .process = child->process, .token = token};
    return leftover_kill(&run, everywhere);
}

/* Kills all in its cgroup, which is used up by that. */
static void kill_cgroup(struct child *child)
{
    if (!cgroup_leaf_kill(&child->cgroup))
        return;
    cgroup_leaf_close(&child->cgroup);
    child->cgroup_number++;
    if (child->slot != NULL)
        child->slot->cgroup_number = child->cgroup_number;
}

/* Removes what used up cgroups are empty by now, and the present one when nothing runs. */
static void drop_cgroups(struct child *child)
{
    const struct cgroup_base *cgroups = child->children->config.cgroups;
    for (unsigned i = 1; i <= CGROUPS_DROPPED && i <= child->cgroup_number; i++)
        cgroup_drop(cgroups, child->process, child->cgroup_number - i);
    if (child->pidfd >= 0)
        return;
    cgroup_leaf_close(&child->cgroup);
    cgroup_drop(cgroups, child->process, child->cgroup_number);
}

/* Kills what is left of the group while its leader is not reaped: until then the kernel gives its number to nobody.
 *
 *     us                                  another program
 *     leader ends, pid 77 is a zombie
 *     kill(-77)  hits only our group
 *     reap 77                             from here on a new process may get pid 77 and group 77
 *
 * The leader of an adopted run was reaped by init, so its group is found by cgroup or token only. */
static void kill_leftovers(struct child *child)
{
    if (!child->leads_group)
        return;
    kill_cgroup(child);
    if (!child->adopted)
        kill(-child->pid, SIGKILL);
}

static void reap(struct child *child)
{
    struct pidfd_status status;
    if (child->ended_pidfd < 0)
        return;
    pidfd_reap(child->ended_pidfd, &status);
    close(child->ended_pidfd);
    child->ended_pidfd = -1;
}

/* How it ended, without reaping: that takes the kernel as long as half a start, and can wait. */
static struct daemon_exit look_at_end(const struct child *child)
{
    siginfo_t info = {0};
    struct daemon_exit exit = {.pid = child->pid, .unknown = true};
    if (waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return exit;
    exit.unknown = false;
    if (info.si_code == CLD_EXITED)
        exit.code = info.si_status;
    else
        exit.signal = info.si_status;
    return exit;
}

static void on_ended(void *owner)
{
    struct child *child = owner;
    struct children *children = child->children;
    struct daemon_exit exit = look_at_end(child);
    if (child->output != NULL)
        output_mark_end(child->output);
    kill_leftovers(child);
    reap(child); /* an earlier run's, when two ends came in one turn */
    child->ended = true;
    child->ended_ours = child->leads_group;
    child->ended_token = child->token;
    child->ended_adopted = child->adopted;
    child->ended_pidfd = child->pidfd;
    children->has_exits = true;
    HASH_DELETE(hh_pid, children->by_pid, child);
    pidfd_watch_destroy(&child->watch);
    child->pidfd = -1;
    child->pid = 0;
    if (child->slot != NULL)
        run_slot_end(child->slot);
    children->config.handlers.on_exited(children->config.owner, child->process, &exit);
}

/* What a process kept in memory goes with it. Moved aside first: its next start may come before all is removed. */
static void drop_run_folder(const struct child *child)
{
    char folder[PATH_BYTES];
    char trash[PATH_BYTES];
    snprintf(folder, sizeof folder, "%s/%s", child->children->config.site->run_base, child->process);
    int length = snprintf(trash, sizeof trash, "%s.trash-%llu", folder, (unsigned long long)child->ended_token.start);
    if (length < (int)sizeof trash && rmdir(folder) != 0 && errno != ENOENT && rename(folder, trash) == 0)
        throw_away(child->children, trash);
}

static void finish_exit(struct child *child)
{
    struct children *children = child->children;
    reap(child);
    child->ended = false;
    if (!child->ended_ours)
        return;
    /* A child that left the group and closed its output holds neither lock nor group: only its environment tells. */
    size_t killed = kill_run(child, child->ended_token, child->ended_adopted);
    if (killed > 0)
        log_warn("Leftovers of a process were killed [ Process: %s ] [ Count: %zu ]", child->process, killed);
    drop_cgroups(child);
    if (child->pidfd < 0 && child->spec == NULL)
        drop_run_folder(child);
    if (child->output == NULL)
        return;
    struct text words;
    text_init(&words, OUTPUT_LAST_WORDS_BYTES);
    output_take_end(child->output, &words);
    if (words.length > 0)
        children->config.handlers.on_last_words(children->config.owner, child->process, child->ended_token, words.data);
    text_fini(&words);
}

void children_finish_exits(struct children *children)
{
    if (!children->has_exits)
        return;
    children->has_exits = false;
    struct child *child = NULL;
    struct child *next = NULL;
    HASH_ITER (hh, children->by_name, child, next) {
        if (child->ended)
            finish_exit(child);
    }
}

/* Children of children that nobody else waits for come to us. Ours are left to their own watch. */
static void on_child_signal(uv_signal_t *handle, int number)
{
    (void)number;
    struct children *children = handle->data;
    for (int i = 0; i < CHILDREN_REAPS_A_TURN; i++) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            return;
        struct child *child = NULL;
        pid_t pid = info.si_pid;
        HASH_FIND(hh_pid, children->by_pid, &pid, sizeof pid, child);
        if (child != NULL)
            on_ended(child); /* it would stand before the others for ever */
        else
            waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG); /* an orphan, or one that has been looked at */
    }
}

/* ---- starting */

static void fail_spawn(struct child *child, struct token token, const char *sentence)
{
    const struct children_config *config = &child->children->config;
    if (child->slot != NULL)
        run_slot_end(child->slot);
    config->handlers.on_spawn_failed(config->owner, child->process, token, sentence);
}

static int open_cgroup(struct child *child)
{
    if (child->cgroup.folder_fd < 0)
        cgroup_leaf_open(&child->cgroup, child->children->config.cgroups, child->process, child->cgroup_number);
    return child->cgroup.folder_fd;
}

static void start(struct child *child, const Gemel__ProcessSpec *spec, struct token token, int writer_fd)
{
    struct children *children = child->children;
    const struct children_config *config = &children->config;
    struct launch launch;
    struct spawn_child made;
    struct error error;
    arena_reset(&children->arena);
    int result = launch_prepare(&launch, config->site, spec, token, &children->arena, &error);
    if (result == 0) {
        launch.request.input_fd = children->null_fd;
        launch.request.output_fd = writer_fd;
        launch.request.cgroup_fd = open_cgroup(child);
        result = spawn_process(&launch.request, &made, &error);
    }
    close(writer_fd);
    if (result == 0 && (result = watch_process(child, made.pid, made.pidfd)) != 0) {
        kill(-made.pid, SIGKILL);
        error_set(&error, result, "cannot watch the process: %s", strerror(-result));
    }
    if (result != 0) {
        fail_spawn(child, token, error.sentence);
    } else {
        child->token = token;
        child->leads_group = true;
        child->adopted = false;
        if (child->slot != NULL)
            run_slot_start(child->slot, made.pid, leftover_start_ticks(made.pid));
        config->handlers.on_spawned(config->owner, child->process, token, made.pid);
    }
    if (launch.warning != NULL)
        log_warn("A process runs otherwise than its layout says [ Process: %s ] [ Why: %s ]", child->process,
                 launch.warning);
    if (launch.trash != NULL)
        throw_away(children, launch.trash);
}

static void on_retry(uv_timer_t *timer);

/* Somebody of the last run still holds the output: it was killed and is dying, or it left the group. */
static void wait_for_leftovers(struct child *child, const Gemel__ProcessSpec *spec, struct token token,
                               struct token predecessor)
{
    size_t killed = kill_run(child, predecessor, true);
    if (killed > 0)
        log_warn("Leftovers of a process were killed before its start [ Process: %s ] [ Count: %zu ]", child->process,
                 killed);
    Gemel__ProcessSpec *copy = (Gemel__ProcessSpec *)wire_copy(&spec->base); /* `spec` may be the one that is dropped */
    drop_spec(child);
    child->spec = copy;
    child->spec_token = token;
    child->retries = 0;
    uv_timer_start(&child->retry, on_retry, CHILDREN_RETRY_MS, 0);
}

static void on_retry(uv_timer_t *timer)
{
    struct child *child = timer->data;
    Gemel__ProcessSpec *spec = child->spec;
    int writer_fd = output_open_writer(child->output);
    if (writer_fd == -EBUSY && ++child->retries < CHILDREN_RETRY_MAX) {
        uv_timer_start(&child->retry, on_retry, CHILDREN_RETRY_MS, 0);
        return;
    }
    child->spec = NULL;
    if (writer_fd >= 0)
        start(child, spec, child->spec_token, writer_fd);
    else
        fail_spawn(child, child->spec_token, "somebody of an earlier run still holds its output and cannot be killed");
    wire_free(&spec->base);
}

void children_spawn(struct children *children, const struct daemon_action *action)
{
    struct child *child = find_or_add(children, action->process);
    struct token token = action->spawn.token;
    take_slot(child);
    if (child->slot != NULL)
        run_slot_intend(child->slot, token);
    open_output(child);
    int writer_fd = child->output != NULL ? output_open_writer(child->output) : -EIO;
    if (writer_fd >= 0)
        start(child, action->spawn.spec, token, writer_fd);
    else if (writer_fd == -EBUSY)
        wait_for_leftovers(child, action->spawn.spec, token, action->spawn.predecessor);
    else
        fail_spawn(child, token, "cannot open its output FIFO below run/fifo");
}

/* ---- signals */

void children_kill(struct children *children, const struct daemon_action *action)
{
    struct child *child = NULL;
    HASH_FIND_STR(children->by_name, action->process, child);
    if (child == NULL || child->pidfd < 0 || child->pid != action->kill.pid)
        return;
    if (action->kill.whole && child->leads_group) {
        kill_cgroup(child);
        if (!pidfd_has_ended(child->pidfd))
            kill(-child->pid, action->kill.signal);
    }
    pidfd_kill(child->pidfd, action->kill.signal);
}

void children_record(struct children *children, const struct daemon_action *action)
{
    struct child *child = NULL;
    HASH_FIND_STR(children->by_name, action->process, child);
    if (child == NULL || child->slot == NULL || token_compare(child->slot->token, action->record.token) != 0)
        return;
    struct run_slot *slot = child->slot;
    slot->ready = action->record.ready;
    slot->stopping = action->record.stopping;
    slot->restarts = action->record.restarts;
    text_copy(slot->endpoint, sizeof slot->endpoint, action->record.endpoint);
    text_copy(slot->status, sizeof slot->status, action->record.status);
    text_copy(slot->stale, sizeof slot->stale, action->record.stale);
}

/* ---- what ran before */

static bool is_the_same(const struct run_slot *slot, pid_t pid, const struct leftover_run *run)
{
    uint64_t ticks = leftover_start_ticks(pid);
    if (ticks == 0)
        return false;
    return slot->start_ticks != 0 ? ticks == slot->start_ticks : leftover_is_of(pid, run);
}

enum daemon_run children_adopt(struct children *children, const struct run_slot *slot, int32_t *pid)
{
    if (slot->phase == RUN_FREE)
        return DAEMON_RUN_NONE;
    struct child *child = find_or_add(children, slot->process);
    take_slot(child);
    open_output(child);
    cgroup_leaf_open(&child->cgroup, children->config.cgroups, child->process, child->cgroup_number);
    struct leftover_run run = {.home = children->config.home, .process = slot->process, .token = slot->token};
    pid_t found = slot->phase == RUN_INTENT ? leftover_find_leader(&run) : slot->pid;
    /* The pidfd first: what the look says is then about the process that it names. */
    int pidfd = found > 0 ? pidfd_get(found) : -ESRCH;
    bool is_alive = pidfd >= 0 && is_the_same(slot, found, &run) && !pidfd_has_ended(pidfd);
    if (pidfd >= 0 && !is_alive)
        close(pidfd);
    if (is_alive && watch_process(child, found, pidfd) == 0) {
        child->token = slot->token;
        child->leads_group = true;
        child->adopted = true;
        run_slot_start(child->slot, found, leftover_start_ticks(found));
        *pid = found;
        return DAEMON_RUN_ALIVE;
    }
    bool was_running = slot->phase == RUN_RUNNING;
    kill_cgroup(child);
    leftover_kill(&run, true);
    run_slot_end(child->slot);
    return was_running ? DAEMON_RUN_DEAD : DAEMON_RUN_NONE;
}

int children_watch_stranger(struct children *children, const char *process, pid_t pid)
{
    struct child *child = find_or_add(children, process);
    if (child->pidfd >= 0 && child->pid == pid)
        return 0;
    int pidfd = pidfd_get(pid);
    if (pidfd < 0)
        return pidfd;
    int result = watch_process(child, pid, pidfd);
    if (result == 0)
        child->leads_group = false;
    return result;
}

/* ---- making */

int children_create(struct children **children, const struct children_config *config, struct error *error)
{
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0)
        return error_set(error, -errno, "cannot open /dev/null: %s", strerror(errno));
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        log_warn("Not a child subreaper: orphans of processes go to init [ Why: %s ]", strerror(errno));
    struct children *self = memory_alloc(sizeof *self);
    self->config = *config;
    self->null_fd = null_fd;
    arena_init(&self->arena);
    uv_signal_init(config->loop, &self->reaper);
    self->reaper.data = self;
    uv_signal_start(&self->reaper, on_child_signal, SIGCHLD);
    *children = self;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    memory_free(handle->data);
}

void children_destroy(struct children **children)
{
    struct children *self = *children;
    if (self == NULL)
        return;
    struct child *child = NULL;
    struct child *next = NULL;
    HASH_ITER (hh, self->by_name, child, next) {
        forget_process(child);
        reap(child);
        cgroup_leaf_close(&child->cgroup);
        output_destroy(&child->output);
        drop_spec(child);
        HASH_DEL(self->by_name, child);
        uv_close((uv_handle_t *)&child->retry, on_child_closed);
    }
    arena_fini(&self->arena);
    close(self->null_fd);
    uv_close((uv_handle_t *)&self->reaper, on_closed);
    *children = NULL;
}
