#include "control/control.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/layout/load/settings_load.h"
#include "common/loop/clock.h"
#include "common/wire/wire.h"
#include "control/control_parts.h"

/* ---- turns */

static void drain_deferred(struct control *self)
{
    while (self->deferred_first != NULL) {
        struct deferred *one = self->deferred_first;
        self->deferred_first = one->next;
        if (self->deferred_first == NULL)
            self->deferred_last = &self->deferred_first;
        self->deferred_count--;
        struct pair_event event = {.type = PAIR_EVENT_STALE_EPOCH, .epoch_now = one->epoch_now};
        if (one->op != NULL)
            event = (struct pair_event){.type = PAIR_EVENT_PROPOSE,
                                        .propose = {.op = one->op, .op_bytes = one->op_bytes, .tag = one->tag}};
        control_step_pair(self, &event);
        memory_free(one->op);
        memory_free(one);
    }
}

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct control *self)
{
    int64_t at_ms = pair_next_wakeup_ms(self->pair);
    int64_t registry_ms = registry_next_wakeup_ms(self->registry);
    int64_t request_ms = control_request_next_ms(self);
    at_ms = registry_ms < at_ms ? registry_ms : at_ms;
    at_ms = request_ms < at_ms ? request_ms : at_ms;
    if (at_ms == INT64_MAX) {
        uv_timer_stop(&self->timer);
        return;
    }
    int64_t after_ms = at_ms - clock_now_ms();
    uv_update_time(&self->program->loop);
    uv_timer_start(&self->timer, on_timer, after_ms > 0 ? (uint64_t)after_ms : 0, 0);
}

void control_enter(struct control *self)
{
    self->depth++;
}

void control_leave(struct control *self)
{
    ASSERT(self->depth > 0);
    if (self->depth == 1) {
        drain_deferred(self);
        arm_timer(self);
    }
    self->depth--;
}

static void on_timer(uv_timer_t *timer)
{
    struct control *self = timer->data;
    control_enter(self);
    int64_t now_ms = clock_now_ms();
    if (pair_next_wakeup_ms(self->pair) <= now_ms)
        control_step_pair(self, &(struct pair_event){.type = PAIR_EVENT_TICK});
    if (registry_next_wakeup_ms(self->registry) <= now_ms)
        control_step_registry(self, &(struct registry_event){.type = REGISTRY_EVENT_TICK});
    control_request_tick(self, now_ms);
    control_leave(self);
}

static struct deferred *defer(struct control *self)
{
    struct deferred *one = memory_alloc(sizeof *one);
    *self->deferred_last = one;
    self->deferred_last = &one->next;
    self->deferred_count++;
    return one;
}

void control_propose(struct control *self, const Gemel__Op *op, uint64_t tag)
{
    /* What nobody waits for is proposed again by the registry. */
    if (tag == 0 && self->deferred_count >= CONTROL_PROPOSALS_QUEUE_MAX)
        return;
    struct deferred *one = defer(self);
    one->op = wire_pack(&op->base, &one->op_bytes);
    one->tag = tag;
}

/* ---- the pair's actions */

static void write_log(int level, const char *sentence)
{
    if (level == PAIR_INFO)
        log_info("%s", sentence);
    else if (level == PAIR_WARN)
        log_warn("%s", sentence);
    else
        log_error("%s", sentence);
}

static void apply_committed(struct control *self, const struct pair_action *action)
{
    uint64_t revision = state_revision(self->state);
    state_changes_reset(&self->changes);
    for (size_t i = 0; i < action->committed.entry_count; i++) {
        const Gemel__LogEntry *entry = action->committed.entries[i];
        if (state_apply(self->state, entry, &self->changes) != 0)
            log_warn("An operation means nothing to this version and changes nothing [ Index: %llu ]",
                     (unsigned long long)entry->index);
    }
    control_store_apply(self->store, &self->changes,
                        action->committed.entries[action->committed.entry_count - 1]->index);
    if (state_revision(self->state) != revision)
        log_info("Configuration revision %llu is here", (unsigned long long)state_revision(self->state));
    control_step_registry(self, &(struct registry_event){.type = REGISTRY_EVENT_STATE_CHANGED});
}

static void take_role(struct control *self, bool leading, const struct pair_action *action)
{
    bool changed = self->leading != leading;
    self->leading = leading;
    text_copy(self->leader, sizeof self->leader, action->role.leader);
    if (changed)
        control_step_registry(self,
                              &(struct registry_event){.type = REGISTRY_EVENT_ROLE,
                                                       .role = {.leading = leading, .epoch = action->role.epoch}});
    control_request_role_changed(self);
    if (leading)
        control_config_first(self);
}

static void write_store(struct control *self, const struct pair_action *action)
{
    if (action->type == PAIR_ACTION_STORE_META)
        plane_set_cluster_id(self->plane, action->store_meta.meta.cluster_id);
    if (action->type == PAIR_ACTION_STORE_TRUNCATE && action->store_truncate.reset_state)
        state_clear(self->state);
    control_store_write(self->store, action);
}

static void carry_pair_action(struct control *self, const struct pair_action *action)
{
    switch (action->type) {
    case PAIR_ACTION_SEND:
        if (self->dealer != NULL)
            dealer_send(self->dealer, action->send); /* what is lost is sent again: the pair counts on nothing */
        break;
    case PAIR_ACTION_STORE_APPEND:
    case PAIR_ACTION_STORE_TRUNCATE:
    case PAIR_ACTION_STORE_META:
        write_store(self, action);
        break;
    case PAIR_ACTION_COMMITTED:
        apply_committed(self, action);
        break;
    case PAIR_ACTION_LEADING:
        take_role(self, true, action);
        break;
    case PAIR_ACTION_FOLLOWING:
        take_role(self, false, action);
        break;
    case PAIR_ACTION_ACKNOWLEDGED:
        control_request_on_acknowledged(self, action->acknowledged.tag, action->acknowledged.solo);
        break;
    case PAIR_ACTION_REFUSED:
        control_request_on_refused(self, action->refused.tag, action->refused.code, action->refused.sentence);
        break;
    case PAIR_ACTION_LOG:
        write_log((int)action->log.level, action->log.sentence);
        break;
    case PAIR_ACTION_ARBITER_READ:
    case PAIR_ACTION_ARBITER_APPEND:
        ASSERT(self->pair_config.arbiter != PAIR_ARBITER_NONE);
        break;
    }
}

void control_step_pair(struct control *self, struct pair_event *event)
{
    static struct log_limit limit;
    struct pair_actions actions;
    pair_actions_init(&actions);
    event->now_ms = clock_now_ms();
    event->wall_ns = clock_wall_ns();
    int result = pair_step(self->pair, event, &actions);
    uint64_t dropped = 0;
    if (result != 0 && log_allowed(&limit, event->now_ms, 1000, &dropped))
        log_warn("An event made no sense to the pair and was dropped [ Event: %d ] [ Error: %s ] [ Others: %llu ]",
                 (int)event->type, strerror(-result), (unsigned long long)dropped);
    for (size_t i = 0; i < actions.count; i++)
        carry_pair_action(self, &actions.items[i]);
    pair_actions_fini(&actions);
}

/* ---- the registry's actions */

void control_peer_gone(struct control *self, uint64_t peer)
{
    control_peers_forget(self->peers, peer);
    control_request_peer_gone(self, peer);
    control_step_registry(self, &(struct registry_event){.type = REGISTRY_EVENT_PEER_GONE, .gone = peer});
}

static void carry_registry_action(struct control *self, const struct registry_action *action)
{
    const struct plane_peer *peer = NULL;
    switch (action->type) {
    case REGISTRY_ACTION_SEND:
        peer = control_peers_get(self->peers, action->send.peer);
        if (peer != NULL && router_send(self->router, peer, action->send.envelope) == -EHOSTUNREACH)
            control_peer_gone(self, action->send.peer);
        break;
    case REGISTRY_ACTION_PROPOSE:
        control_propose(self, action->propose, 0);
        break;
    case REGISTRY_ACTION_STALE_EPOCH:
        defer(self)->epoch_now = action->epoch_now;
        break;
    case REGISTRY_ACTION_LOG:
        write_log(action->log.level, action->log.sentence);
        break;
    }
}

void control_step_registry(struct control *self, struct registry_event *event)
{
    static struct log_limit limit;
    struct registry_actions actions;
    registry_actions_init(&actions);
    event->now_ms = clock_now_ms();
    event->wall_ns = clock_wall_ns();
    int result = registry_step(self->registry, event, &actions);
    uint64_t dropped = 0;
    if (result != 0 && log_allowed(&limit, event->now_ms, 1000, &dropped))
        log_warn("A message made no sense and was dropped [ Event: %d ] [ Error: %s ] [ Others: %llu ]",
                 (int)event->type, strerror(-result), (unsigned long long)dropped);
    for (size_t i = 0; i < actions.count; i++)
        carry_registry_action(self, &actions.items[i]);
    registry_actions_fini(&actions);
}

/* ---- the store's answers */

static void on_stored(void *owner, uint64_t sequence)
{
    struct control *self = owner;
    control_enter(self);
    control_step_pair(self, &(struct pair_event){.type = PAIR_EVENT_STORED, .stored = sequence});
    control_leave(self);
}

static void on_store_failed(void *owner, uint64_t sequence, int code, const char *why)
{
    struct control *self = owner;
    log_error("The store refused a write [ Error: %s ]", why);
    control_enter(self);
    control_step_pair(self, &(struct pair_event){.type = PAIR_EVENT_STORE_FAILED,
                                                 .store_failed = {.sequence = sequence, .code = code}});
    control_leave(self);
}

static const struct control_store_handlers store_handlers = {.on_stored = on_stored, .on_failed = on_store_failed};

/* ---- life */

static int read_settings(struct control *self, struct error *error)
{
    char path[HOME_PATH_BYTES];
    struct error_list mistakes = {0};
    home_path(&self->program->home, "etc/settings.conf", path);
    int result = settings_load(&self->settings, path, &mistakes);
    struct text text;
    text_init(&text, 64 * 1024);
    error_list_print(&mistakes, &text);
    if (result != 0)
        error_set(error, result, "the settings cannot be used: %s", text.data);
    else if (self->settings.node == 0)
        result =
            error_set(error, -EINVAL, "%s is not one of the control hosts of etc/settings.conf, no control runs here",
                      self->settings.host);
    text_fini(&text);
    error_list_fini(&mistakes);
    if (result == 0)
        settings_control_address(&self->settings, self->settings.node, self->address);
    return result;
}

static int open_plane(struct control *self, struct error *error)
{
    char folder[HOME_PATH_BYTES];
    char sender[HOST_NAME_BYTES + 16];
    home_path(&self->program->home, self->settings.keys, folder);
    int result = keys_load(&self->keys, folder, error);
    if (result != 0)
        return result;
    snprintf(sender, sizeof sender, "control@%s", self->settings.host);
    return plane_create(&self->plane, &self->program->loop, self->keys, self->settings.host, sender, error);
}

static void fill_pair_config(struct control *self)
{
    struct pair_config *config = &self->pair_config;
    const struct settings *settings = &self->settings;
    uint64_t random[2] = {0};
    text_copy(config->host, sizeof config->host, settings->host);
    config->node = (uint8_t)settings->node;
    config->clustered = settings->clustering;
    if (settings->clustering) {
        text_copy(config->peer_host, sizeof config->peer_host, settings->peer_host);
        settings_control_address(settings, 3 - settings->node, config->peer);
    }
    config->policy = settings->peer_loss == PEER_LOSS_FREEZE ? PAIR_FREEZE : PAIR_PROMOTE;
    config->arbiter = PAIR_ARBITER_NONE;
    config->heartbeat_ms = (uint32_t)settings->heartbeat_ms;
    config->suspect_ms = (uint32_t)settings->suspect_ms;
    config->lease_ms = (uint32_t)settings->lease_ms;
    config->margin_ms = (uint32_t)settings->lease_margin_ms;
    config->discovery_ms = (uint32_t)settings->discovery_time_ms;
    config->incarnation = plane_incarnation(self->plane);
    ssize_t length = getrandom(random, sizeof random, 0);
    ASSERT(length == (ssize_t)sizeof random);
    snprintf(config->new_cluster_id, sizeof config->new_cluster_id, "%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
}

static int create_cores(struct control *self, struct error *error)
{
    fill_pair_config(self);
    int result = pair_create(&self->pair, &self->pair_config);
    if (result != 0)
        return error_set(error, result, "the timings of etc/settings.conf do not fit together");
    state_create(&self->state);
    struct registry_config config = {.ping_ms = (uint32_t)self->settings.ping_interval_ms,
                                     .silent_ms = (uint32_t)self->settings.hang_timeout_ms,
                                     .missing_timeout_ms = (uint32_t)self->settings.missing_timeout_ms};
    text_copy(config.host, sizeof config.host, self->settings.host);
    text_copy(config.hosts[0], sizeof config.hosts[0], self->settings.host_a);
    text_copy(config.hosts[1], sizeof config.hosts[1], self->settings.host_b);
    return registry_create(&self->registry, &config, self->state);
}

/* Opens the store and starts the pair with what is in it. */
static int start_pair(struct control *self, struct error *error)
{
    char path[HOME_PATH_BYTES];
    struct control_stored stored;
    home_path(&self->program->home, "var/lib/control.db", path);
    int result = control_store_open(&self->store, &self->program->loop, path, self->state, &stored, &store_handlers,
                                    self, error);
    if (result != 0)
        return result;
    plane_set_cluster_id(self->plane, stored.meta.cluster_id);
    struct pair_event event = {.type = PAIR_EVENT_START,
                               .start = {.meta = &stored.meta,
                                         .entries = (const Gemel__LogEntry *const *)stored.entries,
                                         .entry_count = stored.entry_count,
                                         .applied_index = stored.applied_index}};
    control_enter(self);
    control_step_pair(self, &event);
    control_stored_fini(&stored);
    struct pair_status status;
    pair_get_status(self->pair, &status);
    if (status.state == PAIR_IDLE) {
        self->depth--;
        return error_set(error, -EUCLEAN,
                         "the operation log in %s does not hold together: move it away, and this control takes "
                         "everything from its peer",
                         path);
    }
    control_leave(self);
    return 0;
}

static int open_sockets(struct control *self, struct error *error)
{
    char socket[ADDRESS_BYTES];
    char path[HOME_PATH_BYTES];
    char name[HOST_NAME_BYTES + 16];
    int result = router_create(&self->router, self->plane, self->address, control_on_router_message, self, error);
    if (result == 0 && self->settings.clustering)
        result =
            dealer_create(&self->dealer, self->plane, self->pair_config.peer, &control_dealer_handlers, self, error);
    if (result != 0)
        return result;
    home_path(&self->program->home, "run/daemon.sock", path);
    snprintf(socket, sizeof socket, "unix:%.250s", path);
    snprintf(name, sizeof name, "control@%s", self->settings.host);
    daemon_watch_create(&self->watch, &self->program->loop, socket, name, self->pair_config.incarnation);
    return 0;
}

int control_create(struct control **control, struct program *program, struct error *error)
{
    struct control *self = memory_alloc(sizeof *self);
    self->program = program;
    self->deferred_last = &self->deferred_first;
    self->started_wall_ns = clock_wall_ns();
    state_changes_init(&self->changes);
    control_peers_create(&self->peers);
    int result = read_settings(self, error);
    if (result == 0)
        result = open_plane(self, error);
    if (result == 0)
        result = create_cores(self, error);
    if (result == 0) {
        uv_timer_init(&program->loop, &self->timer);
        self->timer.data = self;
        self->timer_is_open = true;
        result = open_sockets(self, error);
    }
    if (result == 0)
        result = start_pair(self, error);
    if (result != 0) {
        control_destroy(&self);
        return result;
    }
    log_info("Control started [ Host: %s ] [ Address: %s ] [ Promise: %s ]", self->settings.host, self->address,
             pair_promise(&self->pair_config));
    *control = self;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    memory_free(handle->data);
}

static void release_deferred(struct control *self)
{
    while (self->deferred_first != NULL) {
        struct deferred *one = self->deferred_first;
        self->deferred_first = one->next;
        memory_free(one->op);
        memory_free(one);
    }
}

void control_destroy(struct control **control)
{
    struct control *self = *control;
    if (self == NULL)
        return;
    daemon_watch_destroy(&self->watch);
    control_store_close(&self->store); /* its completions still meet living cores */
    control_request_clear(self);
    dealer_destroy(&self->dealer);
    router_destroy(&self->router);
    registry_destroy(&self->registry);
    pair_destroy(&self->pair);
    state_destroy(&self->state);
    plane_destroy(&self->plane);
    keys_destroy(&self->keys);
    control_peers_destroy(&self->peers);
    state_changes_fini(&self->changes);
    release_deferred(self);
    *control = NULL;
    if (self->timer_is_open)
        uv_close((uv_handle_t *)&self->timer, on_timer_closed);
    else
        memory_free(self);
}

void control_stop(struct control *control)
{
    log_info("Control stops");
    control_enter(control);
    control_step_pair(control, &(struct pair_event){.type = PAIR_EVENT_STOP});
    control_leave(control);
    if (control->watch != NULL)
        daemon_watch_say_stopping(control->watch);
    program_stop(control->program, 0);
}
