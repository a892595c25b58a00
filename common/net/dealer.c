#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/loop/clock.h"
#include "common/net/dial.h"
#include "common/net/endpoint.h"
#include "common/net/plane_internal.h"

enum {
    RECONNECT_MS = 20, /* first wait, ours and libzmq's; doubles up to the next */
    RECONNECT_MAX_MS = 1000,
    CONNECT_TIMEOUT_MS = 2000, /* a host that is off does not answer at all */
    PROBE_EVERY_MS = 2000,     /* asking why a connection fails */
    PROBE_PATIENCE_MS = 1500,  /* a probe without an answer for so long says "no answer" */
    LOOKUP_EVERY_MS = 5000,    /* while nobody answers: the name may have moved */
    REASON_BYTES = 256,
    MONITOR_EVENTS = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                     ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                     ZMQ_EVENT_HANDSHAKE_FAILED_AUTH,
    HANDLES = 3 /* data, monitor, timer: the dealer is freed after the last */
};

struct dealer {
    struct plane *plane;
    struct zsocket *data; /* NULL: destroyed */
    struct zsocket *monitor;
    const struct dealer_handlers *handlers;
    void *owner;
    int open_handles;

    struct endpoint endpoint;        /* as asked for */
    struct sockaddr_storage dialled; /* what libzmq dials */
    char url[ADDRESS_BYTES + 8];     /* the same for libzmq; empty: the name is not known yet */
    uv_timer_t redial;               /* the next try, when libzmq has none running */
    int64_t redial_ms;               /* its wait */
    struct dial_lookup *lookup;      /* NULL: none runs */
    struct dial_probe *probe;        /* NULL: none runs */
    int64_t looked_up_at_ms;
    int64_t probed_at_ms;

    bool dialling;      /* libzmq has a session for url: it tries, or it is connected */
    bool tcp_connected; /* of that session */
    bool up;
    bool ending;                /* it went down; told when what it brought before has been handed over */
    char failure[REASON_BYTES]; /* of the handshake that fails now */
    char last_error[REASON_BYTES];
};

/* ---- telling the owner */

static void tell_up(struct dealer *dealer)
{
    dealer->up = true;
    dealer->redial_ms = RECONNECT_MS;
    dealer->last_error[0] = '\0';
    dealer->handlers->on_up(dealer->owner);
}

/* Once for each end of a connection; while there is none, once for each new reason. */
static void tell_down(struct dealer *dealer, const char *why)
{
    if (!dealer->up && strcmp(dealer->last_error, why) == 0)
        return;
    dealer->up = false;
    text_copy(dealer->last_error, sizeof dealer->last_error, why);
    dealer->handlers->on_down(dealer->owner, dealer->last_error);
}

/* ---- why nobody answers */

static void on_probed(void *owner, const char *why)
{
    struct dealer *dealer = owner;
    dealer->probe = NULL;
    /* Accepted: it has come back meanwhile, libzmq finds it with its next try. */
    if (why[0] != '\0' && !dealer->up)
        tell_down(dealer, why);
}

/* A try of libzmq failed before TCP was connected. */
static void ask_why(struct dealer *dealer)
{
    int64_t now_ms = clock_now_ms();
    if (dealer->probe != NULL) {
        if (now_ms - dealer->probed_at_ms < PROBE_PATIENCE_MS)
            return;
        dial_probe_cancel(&dealer->probe);
        tell_down(dealer, "no answer");
        return;
    }
    if (dealer->probed_at_ms != 0 && now_ms - dealer->probed_at_ms < PROBE_EVERY_MS)
        return;
    dealer->probed_at_ms = now_ms;
    int result =
        dial_probe_start(&dealer->probe, dealer->plane->loop, (struct sockaddr *)&dealer->dialled, on_probed, dealer);
    if (result != 0)
        tell_down(dealer, uv_strerror(result));
}

/* ---- dialling: one session of libzmq for one connection
 *
 * libzmq would dial again by itself, but a new session is better: what waited in the old one for a peer that is gone
 * does not reach the next one; and after a breach of protocol (another program on the port, a message over the bound)
 * libzmq gives the address up for ever and does not say so. IMMEDIATE=1, which has the first of these effects, throws
 * away what has arrived and was not read yet. */

static void set_linger(struct dealer *dealer, int linger_ms)
{
    ASSERT(zmq_setsockopt(zsocket_socket(dealer->data), ZMQ_LINGER, &linger_ms, sizeof linger_ms) == 0);
}

static void hang_up(struct dealer *dealer)
{
    if (!dealer->dialling)
        return;
    set_linger(dealer, 0);
    zmq_disconnect(zsocket_socket(dealer->data), dealer->url);
    set_linger(dealer, PLANE_LINGER_MS);
    dealer->dialling = false;
    dealer->tcp_connected = false;
}

static void start_session(struct dealer *dealer)
{
    void *socket = zsocket_socket(dealer->data);
    int v6 = dealer->dialled.ss_family == AF_INET6;
    zmq_setsockopt(socket, ZMQ_IPV6, &v6, sizeof v6);
    /* The address is numeric: libzmq has nothing to refuse but its own end. */
    ASSERT(zmq_connect(socket, dealer->url) == 0);
    dealer->dialling = true;
}

/* Notes an address; returns false when it is the one that is known. */
static bool set_address(struct dealer *dealer, const struct sockaddr *address)
{
    char numeric[ADDRESS_BYTES];
    char url[sizeof dealer->url];
    endpoint_format(address, numeric, sizeof numeric);
    snprintf(url, sizeof url, "tcp://%s", numeric);
    if (strcmp(url, dealer->url) == 0)
        return false;
    hang_up(dealer);
    text_copy(dealer->url, sizeof dealer->url, url);
    memcpy(&dealer->dialled, address,
           address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    return true;
}

static void on_redial(uv_timer_t *timer);

static void try_later(struct dealer *dealer)
{
    uv_timer_start(&dealer->redial, on_redial, (uint64_t)dealer->redial_ms, 0);
    dealer->redial_ms = dealer->redial_ms * 2 < RECONNECT_MAX_MS ? dealer->redial_ms * 2 : RECONNECT_MAX_MS;
}

static void on_looked_up(void *owner, const struct sockaddr *address, const char *why)
{
    struct dealer *dealer = owner;
    dealer->lookup = NULL;
    dealer->looked_up_at_ms = clock_now_ms();
    if (dealer->up)
        return;
    if (address != NULL && set_address(dealer, address)) {
        uv_timer_start(&dealer->redial, on_redial, 0, 0);
    } else if (dealer->url[0] == '\0') {
        try_later(dealer);
        char reason[REASON_BYTES];
        snprintf(reason, sizeof reason, "cannot find the address of '%.100s': %s", dealer->endpoint.host, why);
        tell_down(dealer, reason);
    }
}

static void start_lookup(struct dealer *dealer)
{
    if (dealer->lookup != NULL)
        return;
    int result = dial_lookup_start(&dealer->lookup, dealer->plane->loop, dealer->endpoint.host, dealer->endpoint.port,
                                   on_looked_up, dealer);
    if (result != 0)
        on_looked_up(dealer, NULL, uv_strerror(result));
}

static void look_up_again(struct dealer *dealer)
{
    if (dealer->data != NULL && !dealer->endpoint.is_numeric &&
        clock_now_ms() - dealer->looked_up_at_ms >= LOOKUP_EVERY_MS)
        start_lookup(dealer);
}

static void on_redial(uv_timer_t *timer)
{
    struct dealer *dealer = timer->data;
    if (dealer->dialling)
        return;
    if (dealer->url[0] == '\0') {
        start_lookup(dealer);
        return;
    }
    /* What the monitor still holds is about the session before. */
    uint16_t event = 0;
    uint32_t value = 0;
    while (zsocket_monitor_read(zsocket_socket(dealer->monitor), &event, &value) == 0)
        continue;
    start_session(dealer);
}

/* ---- what the monitor says */

static void note_failure(struct dealer *dealer, uint16_t event, uint32_t value)
{
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        snprintf(dealer->failure, sizeof dealer->failure,
                 "key not accepted: '%.100s' does not know the key of '%.100s'", dealer->endpoint.host,
                 dealer->plane->self->name);
    else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
        snprintf(dealer->failure, sizeof dealer->failure,
                 "handshake failed: whoever answers has not the key of '%.100s'", dealer->endpoint.host);
    else if (value != 0)
        snprintf(dealer->failure, sizeof dealer->failure, "handshake failed: %s", zmq_strerror((int)value));
}

/* The connection is over and all that it brought was handed over. */
static void end_session(struct dealer *dealer, const char *why)
{
    hang_up(dealer);
    try_later(dealer);
    look_up_again(dealer);
    if (dealer->data != NULL)
        tell_down(dealer, why);
}

static void on_disconnected(struct dealer *dealer)
{
    dealer->tcp_connected = false;
    if (dealer->up)
        dealer->ending = true;
    else if (dealer->failure[0] != '\0')
        end_session(dealer, dealer->failure);
    else
        end_session(dealer, "connection closed in the handshake: whoever answers is not a program of this cluster");
}

/* Handles one event. Returns false when there is none. */
static bool take_event(struct dealer *dealer)
{
    uint16_t event = 0;
    uint32_t value = 0;
    if (zsocket_monitor_read(zsocket_socket(dealer->monitor), &event, &value) != 0)
        return false;
    /* An old session's "up" was read as the new one's: that was ended silently, and this is the new one. */
    if (dealer->up && event != ZMQ_EVENT_DISCONNECTED) {
        tell_down(dealer, "connection closed");
        if (dealer->data == NULL)
            return true;
    }
    switch (event) {
    case ZMQ_EVENT_CONNECTED:
        dealer->tcp_connected = true;
        dealer->failure[0] = '\0';
        break;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        tell_up(dealer);
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        note_failure(dealer, event, value);
        break;
    case ZMQ_EVENT_DISCONNECTED:
        on_disconnected(dealer);
        break;
    case ZMQ_EVENT_CLOSED:
        if (!dealer->tcp_connected)
            ask_why(dealer);
        look_up_again(dealer);
        break;
    default:
        break;
    }
    return true;
}

/* ---- receiving */

/* Handles one message. Returns false when there is none. */
static bool take_message(struct dealer *dealer)
{
    zmq_msg_t frame;
    size_t count = plane_receive(zsocket_socket(dealer->data), &frame, 1);
    /* The monitor spoke before this message came, but after it was looked at. */
    while (count > 0 && dealer->data != NULL && !dealer->up && take_event(dealer))
        continue;
    if (count > 0 && dealer->data != NULL && dealer->up) {
        Gemel__Envelope *message = NULL;
        if (count == 1)
            message = plane_unpack(dealer->plane, &frame, dealer->endpoint.host);
        else
            plane_refuse(dealer->plane, dealer->endpoint.host, "not a message of ours");
        if (message != NULL)
            dealer->handlers->on_message(dealer->owner, message);
        wire_free((ProtobufCMessage *)message);
    }
    plane_close_frames(&frame, 1);
    return count > 0;
}

/* One turn for both sockets, so that the owner sees up, messages, down in the order in which they happened:
 *
 *     libzmq's thread            monitor socket         data socket
 *     handshake done             SUCCEEDED
 *     a message arrives                                 message
 *     the peer hangs up          DISCONNECTED
 *
 * An event is taken before a message; the end of a connection is told only when no message is left, and until then no
 * further event is taken. */
static bool dealer_turn(void *owner)
{
    struct dealer *dealer = owner;
    for (int done = 0; done < PLANE_TURN_BUDGET; done++) {
        if (dealer->data == NULL)
            return false;
        if (!dealer->ending && take_event(dealer))
            continue;
        if (dealer->data == NULL)
            return false;
        if (take_message(dealer))
            continue;
        if (dealer->data == NULL || !dealer->ending)
            return false;
        dealer->ending = false;
        end_session(dealer, "connection closed");
    }
    return dealer->data != NULL;
}

/* ---- life */

static void on_handle_closed(void *owner)
{
    struct dealer *dealer = owner;
    if (--dealer->open_handles == 0)
        memory_free(dealer);
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

/* Checks address and key; fills in endpoint. Returned in *server: the key of the host. */
static int read_address(const struct plane *plane, const char *address, struct endpoint *endpoint,
                        const struct key **server, struct error *error)
{
    int result = endpoint_parse(address, endpoint, error);
    if (result != 0)
        return result;
    if (endpoint->is_unix || strcmp(endpoint->port, "0") == 0)
        return error_set(error, -EINVAL, "the control plane needs host:port, got '%s'", address);
    *server = keys_find(plane->keys, endpoint->host);
    if (*server == NULL)
        return error_set(error, -ENOENT, "no key of '%s' in '%s': copy its .pub file there", endpoint->host,
                         keys_folder(plane->keys));
    return 0;
}

/* Opens both sockets with the options of a dealer. */
static int open_sockets(struct plane *plane, const struct key *server, void **socket, void **pair)
{
    const struct {
        int option;
        int value;
    } numbers[] = {{ZMQ_RECONNECT_IVL, RECONNECT_MS},
                   {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS},
                   {ZMQ_CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS}};
    void *made = plane_open_socket(plane, ZMQ_DEALER);
    if (made == NULL)
        return -zmq_errno();
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        ASSERT(zmq_setsockopt(made, numbers[i].option, &numbers[i].value, sizeof numbers[i].value) == 0);
    ASSERT(zmq_setsockopt(made, ZMQ_CURVE_SERVERKEY, server->public_text, KEY_TEXT_BYTES) == 0);
    int result = zsocket_monitor_open(plane->context, made, MONITOR_EVENTS, plane->monitors_made++, pair);
    if (result != 0) {
        zmq_close(made);
        return result;
    }
    *socket = made;
    return 0;
}

int dealer_create(struct dealer **dealer, struct plane *plane, const char *address,
                  const struct dealer_handlers *handlers, void *owner, struct error *error)
{
    struct endpoint endpoint;
    const struct key *server = NULL;
    int result = read_address(plane, address, &endpoint, &server, error);
    if (result != 0)
        return result;
    void *socket = NULL;
    void *pair = NULL;
    result = open_sockets(plane, server, &socket, &pair);
    if (result != 0)
        return error_set(error, result, "cannot open a ZeroMQ socket: %s", zmq_strerror(-result));
    struct dealer *made = memory_alloc(sizeof *made);
    *made = (struct dealer){.plane = plane, .handlers = handlers, .owner = owner, .endpoint = endpoint};
    made->open_handles = HANDLES;
    made->redial_ms = RECONNECT_MS;
    /* The loop's handles of a new descriptor cannot fail but for a broken epoll. */
    ASSERT(uv_timer_init(plane->loop, &made->redial) == 0);
    made->redial.data = made;
    ASSERT(zsocket_create(&made->monitor, plane->loop, pair, dealer_turn, made) == 0);
    ASSERT(zsocket_create(&made->data, plane->loop, socket, dealer_turn, made) == 0);
    plane->users++;
    if (endpoint.is_numeric) {
        set_address(made, (const struct sockaddr *)&endpoint.address);
        start_session(made);
    } else {
        uv_timer_start(&made->redial, on_redial, 0, 0);
    }
    *dealer = made;
    return 0;
}

void dealer_destroy(struct dealer **dealer)
{
    if (*dealer == NULL)
        return;
    struct dealer *gone = *dealer;
    *dealer = NULL;
    dial_lookup_cancel(&gone->lookup);
    dial_probe_cancel(&gone->probe);
    uv_close((uv_handle_t *)&gone->redial, on_timer_closed);
    zsocket_monitor_stop(zsocket_socket(gone->data));
    zsocket_destroy(&gone->monitor, on_handle_closed, gone);
    zsocket_destroy(&gone->data, on_handle_closed, gone);
    gone->plane->users--;
}

int dealer_send(struct dealer *dealer, Gemel__Envelope *message)
{
    return dealer->up && !dealer->ending ? plane_send(dealer->plane, dealer->data, NULL, message) : -EHOSTUNREACH;
}

bool dealer_is_up(const struct dealer *dealer)
{
    return dealer->up;
}

const char *dealer_last_error(const struct dealer *dealer)
{
    return dealer->last_error;
}
