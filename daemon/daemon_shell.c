#include "daemon/daemon_shell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/loop/clock.h"
#include "daemon/adoption.h"
#include "daemon/cgroup.h"
#include "daemon/children.h"
#include "daemon/core/daemon_core.h"
#include "daemon/daemon_admin.h"
#include "daemon/daemon_links.h"
#include "daemon/daemon_place.h"
#include "daemon/daemon_plane.h"
#include "daemon/daemon_store.h"
#include "daemon/launch.h"
#include "daemon/notify_socket.h"
#include "daemon/probe.h"
#include "daemon/run_base.h"
#include "daemon/runs.h"

enum {
    BOOT_ID_BYTES = RUNS_BOOT_ID_BYTES,
    HASH_TEXT_BYTES = 9,
    RESULT_TEXT_BYTES = 1024,
    NS_PER_S = 1000000000,
    PROCMGR_HANG_TIMEOUTS = 3 /* until a process manager without a sign of life is taken for hung */
};

/* The result of an action, kept until the list that it stood in is carried out. */
struct result {
    struct daemon_event event;
    char process[PROCESS_NAME_BYTES];
    char text[RESULT_TEXT_BYTES];
    struct result *next;
};

struct daemon_shell {
    struct program *program;
    const struct settings *settings;
    struct daemon_core *core;
    struct daemon_actions actions;
    struct result *results; /* oldest first */
    bool stepping;
    bool ended;  /* events are passed over from here on */
    bool closed; /* released as soon as no probe is under way */
    unsigned probes;
    uv_timer_t timer;
    uv_timer_t control_timer; /* its end waits for its last words */
    struct daemon_exit control_exit;
    struct sockaddr_storage address; /* of this host, for probes */

    struct daemon_store *store;
    struct runs *runs;
    struct children *children;
    struct notify_socket *notify;
    struct daemon_links *links;
    struct daemon_plane *plane;
    struct cgroup_base cgroups;
    struct launch_site site;

    char boot_id[BOOT_ID_BYTES];
    char run_base[HOME_PATH_BYTES];
    char programs[HOME_PATH_BYTES];
    char daemon_socket[HOME_PATH_BYTES];
    char notify_socket[HOME_PATH_BYTES];
    int64_t started_wall_ns;
    uint32_t adopted;
};

/* ---- actions */

static void send_to_peers(struct daemon_shell *self, const struct daemon_action *action)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    Gemel__StaleEpoch stale = GEMEL__STALE_EPOCH__INIT;
    uint64_t peer = 0;
    if (self->plane == NULL)
        return; /* nobody is connected yet; who comes gets a full report */
    if (action->type == DAEMON_ACTION_SEND_HELLO) {
        peer = action->hello.peer;
        envelope.body_case = GEMEL__ENVELOPE__BODY_DAEMON_HELLO;
        envelope.daemon_hello = action->hello.hello;
    } else if (action->type == DAEMON_ACTION_SEND_REPORTS) {
        peer = action->reports.peer;
        envelope.body_case = GEMEL__ENVELOPE__BODY_PROCESS_REPORTS;
        envelope.process_reports = action->reports.reports;
    } else {
        peer = action->stale.peer;
        stale.epoch_now = action->stale.epoch_now;
        envelope.body_case = GEMEL__ENVELOPE__BODY_STALE_EPOCH;
        envelope.stale_epoch = &stale;
    }
    daemon_plane_send(self->plane, peer, &envelope);
}

static void write_log(const struct daemon_action *action)
{
    static const enum log_level levels[] = {
        [DAEMON_LOG_INFO] = LOG_INFO, [DAEMON_LOG_WARN] = LOG_WARN, [DAEMON_LOG_ERROR] = LOG_ERROR};
    log_write(levels[action->log.level], "%s", action->log.sentence);
}

static void on_probed(void *owner, const char *name, bool is_open);

static void probe_port(struct daemon_shell *self, const struct daemon_action *action)
{
    const struct sockaddr *host = (const struct sockaddr *)&self->address;
    if (probe_start(&self->program->loop, host, action->probe.port, action->process, on_probed, self) == 0)
        self->probes++;
}

static void carry_out(struct daemon_shell *self, const struct daemon_action *action)
{
    switch (action->type) {
    case DAEMON_ACTION_SPAWN:
        children_spawn(self->children, action);
        break;
    case DAEMON_ACTION_KILL:
        children_kill(self->children, action);
        break;
    case DAEMON_ACTION_PROBE_PORT:
        probe_port(self, action);
        break;
    case DAEMON_ACTION_PING:
        if (self->links != NULL)
            daemon_links_ping(self->links, action->process);
        break;
    case DAEMON_ACTION_RECORD_RUN:
        children_record(self->children, action);
        break;
    case DAEMON_ACTION_STORE_ORDER:
        daemon_store_put_order(self->store, action);
        break;
    case DAEMON_ACTION_STORE_EPOCH:
        daemon_store_put_epoch(self->store, action->epoch);
        break;
    case DAEMON_ACTION_RESERVE_STARTS:
        daemon_store_put_starts(self->store, action->starts_end);
        break;
    case DAEMON_ACTION_SEND_HELLO:
    case DAEMON_ACTION_SEND_REPORTS:
    case DAEMON_ACTION_SEND_STALE_EPOCH:
        send_to_peers(self, action);
        break;
    case DAEMON_ACTION_LOOKUP_REPLY:
        if (self->links != NULL)
            daemon_links_answer(self->links, action->lookup.link, action->lookup.request_id, action->lookup.reply);
        break;
    case DAEMON_ACTION_LOG:
        write_log(action);
        break;
    case DAEMON_ACTION_EXIT:
        program_stop(self->program, action->exit.code);
        break;
    }
}

/* ---- events */

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct daemon_shell *self)
{
    int64_t next_ms = daemon_core_next_wakeup_ms(self->core);
    if (next_ms == INT64_MAX) {
        uv_timer_stop(&self->timer);
        return;
    }
    int64_t wait_ms = next_ms - clock_now_ms();
    uv_update_time(&self->program->loop);
    uv_timer_start(&self->timer, on_timer, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

static int step_once(struct daemon_shell *self, struct daemon_event *event)
{
    event->now_ms = clock_now_ms();
    event->wall_ns = (uint64_t)clock_wall_ns();
    int result = daemon_core_step(self->core, event, &self->actions);
    for (size_t i = 0; i < self->actions.count; i++)
        carry_out(self, &self->actions.items[i]);
    daemon_actions_reset(&self->actions);
    return result;
}

/* One event, then the results of its actions, then what can wait until replacements run. Returns the core's answer to
 * the event. */
static int step(struct daemon_shell *self, struct daemon_event *event)
{
    if (self->ended)
        return -ESHUTDOWN;
    ASSERT(!self->stepping);
    self->stepping = true;
    int result = step_once(self, event);
    for (int round = 0; round < 2; round++) {
        while (self->results != NULL) {
            struct result *next = self->results;
            LL_DELETE(self->results, next);
            step_once(self, &next->event);
            memory_free(next);
        }
        if (round == 0)
            children_finish_exits(self->children);
    }
    self->stepping = false;
    arm_timer(self);
    return result;
}

/* A fact that may come from within an action: then it waits for the end of the list. */
static struct result *new_result(enum daemon_event_type type, const char *process)
{
    struct result *result = memory_alloc(sizeof *result);
    text_copy(result->process, sizeof result->process, process);
    result->event = (struct daemon_event){.type = type, .process = result->process};
    return result;
}

static void give_result(struct daemon_shell *self, struct result *result)
{
    LL_APPEND(self->results, result);
    if (self->stepping || self->ended)
        return;
    LL_DELETE(self->results, result);
    step(self, &result->event);
    memory_free(result);
}

static void on_timer(uv_timer_t *timer)
{
    struct daemon_event event = {.type = DAEMON_EVENT_TICK};
    step(timer->data, &event);
}

static void free_when_unused(struct daemon_shell *self)
{
    if (self->closed && self->probes == 0)
        memory_free(self);
}

static void on_probed(void *owner, const char *name, bool is_open)
{
    struct daemon_shell *self = owner;
    struct daemon_event event = {.type = DAEMON_EVENT_PORT_OPEN, .process = name};
    self->probes--;
    if (is_open)
        step(self, &event);
    free_when_unused(self);
}

/* ---- facts from the children */

static void on_spawned(void *owner, const char *process, struct token token, int32_t pid)
{
    struct result *result = new_result(DAEMON_EVENT_SPAWNED, process);
    result->event.spawned.token = token;
    result->event.spawned.pid = pid;
    give_result(owner, result);
}

static void on_spawn_failed(void *owner, const char *process, struct token token, const char *sentence)
{
    struct result *result = new_result(DAEMON_EVENT_SPAWN_FAILED, process);
    text_copy(result->text, sizeof result->text, sentence);
    result->event.spawn_failed.token = token;
    result->event.spawn_failed.sentence = result->text;
    give_result(owner, result);
}

/* "I stop on purpose" and the end of the control may come in one turn of the loop, in any order: the end waits until
 * the turn has read everything. */
static void on_control_timer(uv_timer_t *timer)
{
    struct daemon_shell *self = timer->data;
    struct daemon_event event = {.type = DAEMON_EVENT_EXITED, .process = DAEMON_CONTROL, .exited = self->control_exit};
    step(self, &event);
}

static void on_exited(void *owner, const char *process, const struct daemon_exit *exit)
{
    struct daemon_shell *self = owner;
    struct daemon_event event = {.type = DAEMON_EVENT_EXITED, .process = process, .exited = *exit};
    if (strcmp(process, DAEMON_CONTROL) == 0) {
        self->control_exit = *exit;
        uv_timer_start(&self->control_timer, on_control_timer, 0, 0);
    } else {
        step(self, &event);
    }
}

static void on_last_words(void *owner, const char *process, struct token token, const char *words)
{
    struct daemon_event event = {
        .type = DAEMON_EVENT_LAST_WORDS, .process = process, .last_words = {.token = token, .text = words}};
    step_once(owner, &event); /* it comes from children_finish_exits, within a step */
}

static void on_notify(void *owner, pid_t pid, const struct daemon_notify *notify)
{
    struct daemon_shell *self = owner;
    const char *name = children_name_of(self->children, pid);
    if (name == NULL)
        return;
    struct daemon_event event = {.type = DAEMON_EVENT_NOTIFY, .process = name, .notify = *notify};
    step(self, &event);
}

/* ---- facts from disk */

static void on_epoch_stored(void *owner, uint64_t epoch)
{
    struct daemon_event event = {.type = DAEMON_EVENT_EPOCH_STORED, .epoch = epoch};
    step(owner, &event);
}

static void on_starts_reserved(void *owner, uint64_t end)
{
    struct daemon_event event = {.type = DAEMON_EVENT_STARTS_RESERVED, .starts_end = end};
    step(owner, &event);
}

/* ---- facts from the Unix socket */

static bool on_linked(void *owner, const char *name, int32_t pid, struct token token)
{
    struct daemon_shell *self = owner;
    struct daemon_event event = {.type = DAEMON_EVENT_LINKED, .process = name, .linked = {.pid = pid, .token = token}};
    if (strcmp(name, DAEMON_CONTROL) == 0 && children_watch_stranger(self->children, name, pid) != 0)
        return false;
    return step(self, &event) == 0;
}

static void on_unlinked(void *owner, const char *name)
{
    give_result(owner, new_result(DAEMON_EVENT_UNLINKED, name)); /* a send within an action may have closed it */
}

static void on_pong(void *owner, const char *name)
{
    struct daemon_event event = {.type = DAEMON_EVENT_PONG, .process = name};
    step(owner, &event);
}

static void on_lookup(void *owner, uint64_t link, uint64_t request_id, const Gemel__Lookup *lookup)
{
    struct daemon_event event = {.type = DAEMON_EVENT_LOOKUP,
                                 .lookup = {.link = link, .request_id = request_id, .lookup = lookup}};
    step(owner, &event);
}

static void on_lookup_closed(void *owner, uint64_t link)
{
    struct result *result = new_result(DAEMON_EVENT_LOOKUP_CLOSED, "");
    result->event.link = link;
    give_result(owner, result);
}

static void on_control_stopping(void *owner)
{
    struct daemon_event event = {.type = DAEMON_EVENT_CONTROL_STOPPING, .process = DAEMON_CONTROL};
    step(owner, &event);
}

/* ---- facts from the control plane */

static void on_peer(void *owner, uint64_t peer)
{
    struct daemon_event event = {.type = DAEMON_EVENT_PEER_UP, .peer = peer};
    step(owner, &event);
}

static void on_orders(void *owner, uint64_t peer, uint64_t epoch, const Gemel__Orders *orders)
{
    struct daemon_event event = {.type = DAEMON_EVENT_ORDERS,
                                 .orders = {.peer = peer, .epoch = epoch, .orders = orders}};
    step(owner, &event);
}

static void on_registry(void *owner, const Gemel__Registry *registry)
{
    struct daemon_event event = {.type = DAEMON_EVENT_REGISTRY, .registry = registry};
    step(owner, &event);
}

static void change(struct daemon_shell *self, enum daemon_event_type type, const char *done, Gemel__AdminReply *reply,
                   struct arena *arena)
{
    struct daemon_event event = {.type = type};
    if (step(self, &event) == 0)
        reply->message = arena_strdup(arena, done);
    else
        daemon_admin_refuse(reply, 1, "this daemon cannot do that now: no control is configured here, or it is ending",
                            arena);
}

static void stop(struct daemon_shell *self, const Gemel__AdminRequest *request, Gemel__AdminReply *reply,
                 struct arena *arena)
{
    const char *processes = wire_argument(request, "processes");
    if (processes == NULL || strcmp(processes, "keep") == 0)
        change(self, DAEMON_EVENT_STOP_KEEP, "the daemon ends, its processes run on", reply, arena);
    else if (strcmp(processes, "stop") == 0)
        change(self, DAEMON_EVENT_STOP_ALL, "the daemon stops its processes and ends", reply, arena);
    else
        daemon_admin_refuse(reply, 2, "processes is keep or stop, such as --processes stop", arena);
}

static void on_admin(void *owner, const Gemel__AdminRequest *request, bool may_change, struct arena *arena,
                     Gemel__AdminReply *reply)
{
    struct daemon_shell *self = owner;
    const char *verb = request->verb;
    Gemel__ProcessReports *reports = daemon_core_reports(self->core, arena, clock_now_ms(), false);
    Gemel__ProcessReports *own = daemon_core_reports(self->core, arena, clock_now_ms(), true);
    struct daemon_admin_status status = {.host = self->settings->host,
                                         .started_wall_ns = self->started_wall_ns,
                                         .adopted = self->adopted,
                                         .controls = daemon_plane_controls(self->plane, arena)};
    if (strcmp(verb, "daemon.status") == 0)
        daemon_admin_status(reply, &status, reports, own, arena);
    else if (strcmp(verb, "daemon.processes") == 0)
        daemon_admin_processes(reply, reports, own, arena);
    else if (strcmp(verb, "logs.tail") == 0)
        daemon_admin_logs(reply, &self->program->home, request, arena);
    else if (!may_change)
        daemon_admin_refuse(reply, 6, "this key may only look: use one with the role operate or admin", arena);
    else if (strcmp(verb, "daemon.stop") == 0)
        stop(self, request, reply, arena);
    else if (strcmp(verb, "daemon.procmgr-start") == 0)
        change(self, DAEMON_EVENT_PROCMGR_START, "the process manager is started", reply, arena);
    else if (strcmp(verb, "daemon.procmgr-stop") == 0)
        change(self, DAEMON_EVENT_PROCMGR_STOP, "the process manager is stopped", reply, arena);
    else
        daemon_admin_refuse(reply, 2, arena_printf(arena, "a daemon does not know '%s': ask a control", verb), arena);
}

/* ---- making */

static int prepare_places(struct daemon_shell *self, struct error *error)
{
    const struct home *home = &self->program->home;
    char hash[HASH_TEXT_BYTES];
    char fifo_folder[HOME_PATH_BYTES];
    snprintf(hash, sizeof hash, "%08x", (unsigned)crc32c(home->folder, strlen(home->folder)));
    home_path(home, "run/fifo", fifo_folder);
    home_path(home, "run/daemon.sock", self->daemon_socket);
    home_path(home, "run/notify.sock", self->notify_socket);
    daemon_place_boot_id(self->boot_id, sizeof self->boot_id);
    int result = home_make_folder(fifo_folder, HOME_FOLDER_MODE);
    if (result != 0)
        return error_set(error, result, "cannot make %s: %s", fifo_folder, strerror(-result));
    result = daemon_place_programs(self->programs, sizeof self->programs, error);
    if (result == 0)
        result = daemon_place_address(&self->program->loop, self->settings->host, &self->address, error);
    if (result == 0)
        result = run_base_open(home->folder, hash, self->run_base, sizeof self->run_base, error);
    cgroup_open(&self->cgroups, hash);
    if (self->cgroups.folder[0] == '\0')
        log_info("No cgroups: processes are killed by group and token [ Why: %s ]", self->cgroups.why);
    self->site = (struct launch_site){
        .home = home->folder,
        .host = self->settings->host,
        .run_base = self->run_base,
        .programs = self->programs,
        .daemon_socket = self->daemon_socket,
        .notify_socket = self->notify_socket,
        .nofile_soft = self->program->nofile_soft,
    };
    return result;
}

static int open_files(struct daemon_shell *self, struct error *error)
{
    static const struct daemon_store_handlers store_handlers = {.on_epoch = on_epoch_stored,
                                                                .on_starts = on_starts_reserved};
    char path[HOME_PATH_BYTES];
    home_path(&self->program->home, "var/lib/daemon.db", path);
    int result = daemon_store_open(&self->store, &self->program->loop, path, &store_handlers, self, error);
    if (result != 0)
        return result;
    home_path(&self->program->home, "run/runs", path);
    result = runs_open(&self->runs, path, self->boot_id, error);
    if (result != 0)
        return result;
    struct children_config config = {
        .loop = &self->program->loop,
        .home = self->program->home.folder,
        .site = &self->site,
        .cgroups = &self->cgroups,
        .runs = self->runs,
        .handlers = {.on_spawned = on_spawned,
                     .on_spawn_failed = on_spawn_failed,
                     .on_exited = on_exited,
                     .on_last_words = on_last_words},
        .owner = self,
    };
    return children_create(&self->children, &config, error);
}

static int make_core(struct daemon_shell *self, const struct daemon_stored *stored, struct error *error)
{
    Gemel__ProcessSpec control;
    Gemel__ProcessSpec procmgr;
    char *control_command[3] = {(char *)(uintptr_t) "gemel-control"};
    uint32_t hang_timeout_ms = (uint32_t)self->settings->hang_timeout_ms;
    char *procmgr_command[3] = {(char *)(uintptr_t) "gemel-procmgr"};
    daemon_place_own_spec(&control, DAEMON_CONTROL, control_command, self->program->home.folder, hang_timeout_ms);
    daemon_place_own_spec(&procmgr, DAEMON_PROCMGR, procmgr_command, self->program->home.folder, hang_timeout_ms);
    procmgr.readiness = GEMEL__READINESS__READINESS_NOW;
    /* It has no link here that could be pinged, and a layout of thousands of processes takes it a moment. */
    procmgr.watchdog_ms = PROCMGR_HANG_TIMEOUTS * hang_timeout_ms;
    bool has_control = self->settings->node != 0;
    struct daemon_core_config config = {
        .host = self->settings->host,
        .boot_id = self->boot_id,
        .version = program_version(),
        .epoch_seen = stored->epoch,
        .start_next = stored->starts_end,
        .start_end = stored->starts_end + DAEMON_STARTS_BLOCK,
        .ping_interval_ms = (uint32_t)self->settings->ping_interval_ms,
        .control_spec = has_control ? &control : NULL,
        .procmgr_spec = has_control ? &procmgr : NULL,
    };
    if (getrandom(&config.seed, sizeof config.seed, 0) != (ssize_t)sizeof config.seed)
        return error_set(error, -errno, "no random number: %s", strerror(errno));
    daemon_core_create(&self->core, &config);
    return 0;
}

static int on_adopted(void *owner, struct daemon_event *event)
{
    return step(owner, event);
}

static int take_up(struct daemon_shell *self, struct error *error)
{
    struct arena arena;
    struct daemon_stored stored;
    arena_init(&arena);
    /* A new file begins at the date in seconds, so that a host whose disk was replaced goes on above what its
     * predecessor gave out. */
    uint64_t first_start = (uint64_t)clock_wall_ns() / NS_PER_S;
    int result = daemon_store_load(self->store, DAEMON_STARTS_BLOCK, first_start, &arena, &stored, error);
    if (result == 0)
        result = make_core(self, &stored, error);
    struct adoption adoption = {.runs = self->runs,
                                .children = self->children,
                                .home = &self->program->home,
                                .has_control = self->settings->node != 0,
                                .step = on_adopted,
                                .owner = self};
    if (result == 0)
        self->adopted = adoption_take_all(&adoption, &stored);
    arena_fini(&arena);
    return result;
}

static int open_sockets(struct daemon_shell *self, const struct keys *keys, struct error *error)
{
    static const struct daemon_links_handlers link_handlers = {
        .on_linked = on_linked,
        .on_unlinked = on_unlinked,
        .on_pong = on_pong,
        .on_lookup = on_lookup,
        .on_lookup_closed = on_lookup_closed,
        .on_control_stopping = on_control_stopping,
    };
    static const struct daemon_plane_handlers plane_handlers = {
        .on_peer = on_peer, .on_orders = on_orders, .on_registry = on_registry, .on_admin = on_admin};
    uv_loop_t *loop = &self->program->loop;
    int result =
        daemon_links_create(&self->links, loop, self->daemon_socket, self->settings->host, &link_handlers, self, error);
    if (result == 0)
        result = daemon_plane_create(&self->plane, loop, self->settings, keys, &plane_handlers, self, error);
    return result;
}

int daemon_shell_create(struct daemon_shell **shell, struct program *program, const struct settings *settings,
                        const struct keys *keys, struct error *error)
{
    struct daemon_shell *self = memory_alloc(sizeof *self);
    self->program = program;
    self->settings = settings;
    self->started_wall_ns = clock_wall_ns();
    daemon_actions_init(&self->actions);
    uv_timer_init(&program->loop, &self->timer);
    self->timer.data = self;
    uv_timer_init(&program->loop, &self->control_timer);
    self->control_timer.data = self;
    int result = prepare_places(self, error);
    /* Processes are told the notify socket, so it is there before the first of them. */
    if (result == 0)
        result = notify_socket_create(&self->notify, &program->loop, self->notify_socket, on_notify, self, error);
    if (result == 0)
        result = open_files(self, error);
    if (result == 0)
        result = take_up(self, error);
    if (result == 0)
        result = open_sockets(self, keys, error);
    if (result != 0) {
        daemon_shell_destroy(&self);
        return result;
    }
    *shell = self;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct daemon_shell *self = handle->data;
    self->closed = true;
    free_when_unused(self);
}

void daemon_shell_destroy(struct daemon_shell **shell)
{
    struct daemon_shell *self = *shell;
    if (self == NULL)
        return;
    self->ended = true;
    daemon_plane_destroy(&self->plane);
    daemon_links_destroy(&self->links);
    notify_socket_destroy(&self->notify);
    children_destroy(&self->children);
    daemon_store_close(&self->store);
    if (self->run_base[0] != '\0' && self->runs != NULL)
        run_base_close(self->run_base, self->runs);
    runs_close(&self->runs);
    cgroup_close(&self->cgroups);
    daemon_core_destroy(&self->core);
    daemon_actions_fini(&self->actions);
    struct result *result = NULL;
    struct result *next = NULL;
    LL_FOREACH_SAFE (self->results, result, next) {
        memory_free(result);
    }
    uv_close((uv_handle_t *)&self->control_timer, NULL);
    uv_close((uv_handle_t *)&self->timer, on_closed); /* the later one */
    *shell = NULL;
}

void daemon_shell_end(struct daemon_shell *shell)
{
    struct daemon_event event = {.type = DAEMON_EVENT_STOP_KEEP};
    step(shell, &event);
}
