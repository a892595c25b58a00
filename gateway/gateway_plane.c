#include "gateway/gateway_plane.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/loop/clock.h"
#include "common/loop/home.h"
#include "common/net/plane.h"

enum {
    EPOCH_TEXT_BYTES = 24
};

/* A daemon or a control. */
struct peer {
    struct gateway_plane *plane;
    uint32_t number; /* of the host, or of the control */
    bool is_control;
    struct dealer *dealer;
    char address[ADDRESS_BYTES];
};

/* Writes the epoch in the pool: the loop does not wait for the disk. */
struct epoch_work {
    uv_work_t work;
    char path[HOME_PATH_BYTES];
    uint64_t epoch;
    int result;
    struct gateway_plane *plane; /* NULL: it is gone */
};

struct gateway_plane {
    uv_loop_t *loop;
    struct plane *plane;
    struct relay *relay;
    char name[PROCESS_NAME_BYTES];
    char epoch_file[HOME_PATH_BYTES]; /* empty: nowhere */
    struct epoch_work *saving;        /* NULL: none under way */
    uint64_t epoch_wanted;            /* to be saved next; 0: none */
    size_t peer_count;
    struct peer peers[SETTINGS_HOSTS_MAX + GATEWAY_CONTROLS_MAX];
};

/* ---- the saved epoch ---- */

uint64_t gateway_plane_read_epoch(const char *path)
{
    char text[EPOCH_TEXT_BYTES] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    return length > 0 ? strtoull(text, NULL, 10) : 0;
}

static int write_epoch(const char *path, uint64_t epoch)
{
    char beside[HOME_PATH_BYTES + 8];
    char text[EPOCH_TEXT_BYTES];
    int length = snprintf(text, sizeof text, "%llu\n", (unsigned long long)epoch);
    snprintf(beside, sizeof beside, "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    int result = write(fd, text, (size_t)length) == length && fsync(fd) == 0 ? 0 : -EIO;
    close(fd);
    if (result == 0 && rename(beside, path) != 0)
        result = -errno;
    return result;
}

static void save_in_pool(uv_work_t *work)
{
    struct epoch_work *saving = work->data;
    saving->result = write_epoch(saving->path, saving->epoch);
}

static void save_epoch(struct gateway_plane *plane);

static void on_saved(uv_work_t *work, int status)
{
    struct epoch_work *saving = work->data;
    struct gateway_plane *plane = saving->plane;
    (void)status;
    if (saving->result != 0)
        log_warn("Epoch cannot be saved [ File: %s ] [ Error: %s ]", saving->path, uv_strerror(saving->result));
    memory_free(saving);
    if (plane == NULL)
        return;
    plane->saving = NULL;
    if (plane->epoch_wanted != 0)
        save_epoch(plane);
}

static void save_epoch(struct gateway_plane *plane)
{
    if (plane->saving != NULL)
        return;
    struct epoch_work *saving = memory_alloc(sizeof *saving);
    saving->plane = plane;
    saving->epoch = plane->epoch_wanted;
    saving->work.data = saving;
    text_copy(saving->path, sizeof saving->path, plane->epoch_file);
    plane->epoch_wanted = 0;
    plane->saving = saving;
    if (uv_queue_work(plane->loop, &saving->work, save_in_pool, on_saved) != 0) {
        plane->saving = NULL;
        memory_free(saving);
    }
}

/* ---- messages in ---- */

static void answer_ping(struct peer *peer, const Gemel__Envelope *message)
{
    Gemel__Pong pong = GEMEL__PONG__INIT;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    pong.sent_ms = message->ping->sent_ms;
    envelope.request_id = message->request_id;
    envelope.body_case = GEMEL__ENVELOPE__BODY_PONG;
    envelope.pong = &pong;
    dealer_send(peer->dealer, &envelope);
}

static void on_daemon_message(struct peer *peer, const Gemel__Envelope *message)
{
    struct gateway_event event = {.daemon = {.host = peer->number, .incarnation = message->incarnation}};
    if (message->body_case == GEMEL__ENVELOPE__BODY_PONG) {
        event.type = GATEWAY_EVENT_DAEMON_PONG;
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_PROCESS_REPORTS) {
        event.type = GATEWAY_EVENT_DAEMON_REPORTS;
        event.daemon.reports = message->process_reports;
    } else {
        return;
    }
    relay_step(peer->plane->relay, &event);
}

static void on_control_message(struct peer *peer, const Gemel__Envelope *message)
{
    struct gateway_event event = {0};
    if (message->body_case == GEMEL__ENVELOPE__BODY_ROUTES) {
        event.type = GATEWAY_EVENT_ROUTES;
        event.control.control = peer->number;
        event.control.epoch = message->epoch;
        event.control.routes = message->routes;
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_ADMIN_REQUEST) {
        event.type = GATEWAY_EVENT_ADMIN;
        event.admin.origin =
            (struct gateway_origin){.is_control = true, .id = peer->number, .request_id = message->request_id};
        event.admin.request = message->admin_request;
        event.admin.wall_ns = clock_wall_ns();
    } else {
        return;
    }
    relay_step(peer->plane->relay, &event);
}

static void on_message(void *owner, const Gemel__Envelope *message)
{
    struct peer *peer = owner;
    if (message->body_case == GEMEL__ENVELOPE__BODY_PING)
        answer_ping(peer, message);
    else if (peer->is_control)
        on_control_message(peer, message);
    else
        on_daemon_message(peer, message);
}

static void tell_state(struct peer *peer, bool up)
{
    struct gateway_event event = {0};
    if (peer->is_control) {
        event.type = up ? GATEWAY_EVENT_CONTROL_UP : GATEWAY_EVENT_CONTROL_DOWN;
        event.control.control = peer->number;
    } else {
        event.type = up ? GATEWAY_EVENT_DAEMON_UP : GATEWAY_EVENT_DAEMON_DOWN;
        event.daemon.host = peer->number;
    }
    relay_step(peer->plane->relay, &event);
}

static void on_up(void *owner)
{
    struct peer *peer = owner;
    log_info("%s connected [ Address: %s ]", peer->is_control ? "Control" : "Daemon", peer->address);
    tell_state(peer, true);
}

static void on_down(void *owner, const char *why)
{
    struct peer *peer = owner;
    log_warn("%s not connected [ Address: %s ] [ Reason: %s ]", peer->is_control ? "Control" : "Daemon", peer->address,
             why);
    tell_state(peer, false);
}

static const struct dealer_handlers handlers = {.on_message = on_message, .on_up = on_up, .on_down = on_down};

/* ---- messages out ---- */

/* What cannot be sent is said again when the peer is connected again, or asked again by the core. */
static void send_to(struct gateway_plane *plane, bool is_control, uint32_t number, Gemel__Envelope *message)
{
    for (size_t i = 0; i < plane->peer_count; i++)
        if (plane->peers[i].is_control == is_control && plane->peers[i].number == number)
            dealer_send(plane->peers[i].dealer, message);
}

static void subscribe(struct gateway_plane *plane, uint32_t host)
{
    Gemel__Subscribe subscribe = GEMEL__SUBSCRIBE__INIT;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    subscribe.process = plane->name;
    envelope.body_case = GEMEL__ENVELOPE__BODY_SUBSCRIBE;
    envelope.subscribe = &subscribe;
    send_to(plane, false, host, &envelope);
}

static void ping(struct gateway_plane *plane, uint32_t host)
{
    Gemel__Ping body = GEMEL__PING__INIT;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    body.sent_ms = (uint64_t)clock_now_ms();
    envelope.body_case = GEMEL__ENVELOPE__BODY_PING;
    envelope.ping = &body;
    send_to(plane, false, host, &envelope);
}

static void hello(struct gateway_plane *plane, const struct gateway_action *action)
{
    Gemel__GatewayHello hello = GEMEL__GATEWAY_HELLO__INIT;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    hello.process = plane->name;
    hello.route_version = action->control.route_version;
    envelope.body_case = GEMEL__ENVELOPE__BODY_GATEWAY_HELLO;
    envelope.gateway_hello = &hello;
    send_to(plane, true, action->control.control, &envelope);
}

static void report(struct gateway_plane *plane, const struct gateway_action *action)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ROUTE_REPORT;
    envelope.route_report = (Gemel__RouteReport *)action->control.report;
    send_to(plane, true, action->control.control, &envelope);
}

static void refuse_epoch(struct gateway_plane *plane, const struct gateway_action *action)
{
    Gemel__StaleEpoch stale = GEMEL__STALE_EPOCH__INIT;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    stale.epoch_now = action->control.epoch;
    envelope.epoch = action->control.epoch;
    envelope.body_case = GEMEL__ENVELOPE__BODY_STALE_EPOCH;
    envelope.stale_epoch = &stale;
    send_to(plane, true, action->control.control, &envelope);
}

static void reply(struct gateway_plane *plane, const struct gateway_action *action)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    envelope.request_id = action->admin.origin.request_id;
    envelope.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REPLY;
    envelope.admin_reply = (Gemel__AdminReply *)action->admin.reply;
    send_to(plane, true, action->admin.origin.id, &envelope);
}

void gateway_plane_carry_out(struct gateway_plane *plane, const struct gateway_action *action)
{
    if (action->type == GATEWAY_ACTION_SUBSCRIBE) {
        subscribe(plane, action->host);
    } else if (action->type == GATEWAY_ACTION_PING_DAEMON) {
        ping(plane, action->host);
    } else if (action->type == GATEWAY_ACTION_HELLO) {
        hello(plane, action);
    } else if (action->type == GATEWAY_ACTION_REPORT) {
        report(plane, action);
    } else if (action->type == GATEWAY_ACTION_STALE_EPOCH) {
        refuse_epoch(plane, action);
    } else if (action->type == GATEWAY_ACTION_ADMIN_REPLY) {
        reply(plane, action);
    } else if (action->type == GATEWAY_ACTION_SAVE_EPOCH && plane->epoch_file[0] != '\0') {
        plane->epoch_wanted = action->control.epoch;
        save_epoch(plane);
    }
}

/* ---- create and destroy ---- */

static int add_peer(struct gateway_plane *plane, bool is_control, uint32_t number, const char *address,
                    struct error *error)
{
    struct peer *peer = &plane->peers[plane->peer_count];
    *peer = (struct peer){.plane = plane, .number = number, .is_control = is_control};
    text_copy(peer->address, sizeof peer->address, address);
    int result = dealer_create(&peer->dealer, plane->plane, address, &handlers, peer, error);
    if (result == 0)
        plane->peer_count++;
    return result;
}

static int add_peers(struct gateway_plane *plane, const struct settings *settings, struct error *error)
{
    char address[ADDRESS_BYTES];
    int result = 0;
    for (uint32_t host = 0; host < settings->host_count && result == 0; host++) {
        settings_daemon_address_of(settings, settings->hosts[host], address);
        result = add_peer(plane, false, host, address, error);
    }
    for (uint32_t node = 1; node <= settings->control_count && result == 0; node++) {
        settings_control_address(settings, node, address);
        result = add_peer(plane, true, node - 1, address, error);
    }
    return result;
}

int gateway_plane_create(struct gateway_plane **plane, uv_loop_t *loop, const struct gateway_plane_config *config,
                         struct error *error)
{
    struct gateway_plane *made = memory_alloc(sizeof *made);
    made->loop = loop;
    made->relay = config->relay;
    text_copy(made->name, sizeof made->name, config->name);
    if (config->epoch_file != NULL)
        text_copy(made->epoch_file, sizeof made->epoch_file, config->epoch_file);
    int result = plane_create(&made->plane, loop, config->keys, config->settings->host, config->name, error);
    if (result == 0)
        result = add_peers(made, config->settings, error);
    if (result != 0) {
        gateway_plane_destroy(&made);
        return result;
    }
    *plane = made;
    return 0;
}

void gateway_plane_destroy(struct gateway_plane **plane)
{
    struct gateway_plane *self = *plane;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->peer_count; i++)
        dealer_destroy(&self->peers[i].dealer);
    if (self->plane != NULL)
        plane_destroy(&self->plane);
    if (self->saving != NULL)
        self->saving->plane = NULL;
    memory_free(self);
    *plane = NULL;
}
