#include "common/net/plane.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/loop/clock.h"
#include "common/net/plane_internal.h"

enum {
    HEARTBEAT_MS = 1000, /* of libzmq: finds links that died without a word; says nothing about the program */
    HEARTBEAT_TIMEOUT_MS = 3000,
    HANDSHAKE_MS = 5000,
    MESSAGE_MARGIN_BYTES = 4096, /* CURVE adds 33 bytes; and what is little over the bound can still be named */
    ZAP_FRAMES = 7,              /* version, request id, domain, address, identity, mechanism, key */
    CURVE_KEY_BYTES = 32,
    ADDRESS_TEXT_BYTES = 64
};

static const char ZAP_ADDRESS[] = "inproc://zeromq.zap.01";

/* ---- frames */

size_t plane_receive(void *socket, zmq_msg_t *frames, size_t max)
{
    size_t count = 0;
    bool more = true;
    for (size_t i = 0; i < max; i++)
        zmq_msg_init(&frames[i]);
    while (more) {
        zmq_msg_t surplus;
        zmq_msg_init(&surplus);
        zmq_msg_t *frame = count < max ? &frames[count] : &surplus;
        if (zmq_msg_recv(frame, socket, ZMQ_DONTWAIT) < 0)
            return count;
        count++;
        more = zmq_msg_more(frame) != 0;
        zmq_msg_close(&surplus);
    }
    return count;
}

void plane_close_frames(zmq_msg_t *frames, size_t max)
{
    for (size_t i = 0; i < max; i++)
        zmq_msg_close(&frames[i]);
}

/* ---- who may come in: ZAP, RFC 27 */

/* The key behind a request, or NULL. */
static const struct key *find_caller(const struct plane *plane, zmq_msg_t *frames, size_t count)
{
    if (count != ZAP_FRAMES || zmq_msg_size(&frames[5]) != 5 || memcmp(zmq_msg_data(&frames[5]), "CURVE", 5) != 0 ||
        zmq_msg_size(&frames[6]) != CURVE_KEY_BYTES)
        return NULL;
    char public_text[KEY_TEXT_BYTES];
    if (zmq_z85_encode(public_text, zmq_msg_data(&frames[6]), CURVE_KEY_BYTES) == NULL)
        return NULL;
    return keys_find_public(plane->keys, public_text);
}

static void reply_frame(void *socket, const void *bytes, size_t length, int flags)
{
    /* A REP socket that has a request has room for its reply. */
    zmq_send(socket, bytes, length, ZMQ_DONTWAIT | flags);
}

/* Answers one request. Returns false when there is none. */
static bool answer_zap(struct plane *plane)
{
    void *socket = zsocket_socket(plane->zap);
    zmq_msg_t frames[ZAP_FRAMES];
    size_t count = plane_receive(socket, frames, ZAP_FRAMES);
    if (count > 0) {
        const struct key *key = find_caller(plane, frames, count);
        const char *code = key != NULL ? "200" : "400";
        const char *words = key != NULL ? "OK" : "unknown key";
        const char *user = key != NULL ? key->name : "";
        char address[ADDRESS_TEXT_BYTES] = "?";
        size_t address_bytes = zmq_msg_size(&frames[3]);
        if (address_bytes > 0 && address_bytes < sizeof address) {
            memcpy(address, zmq_msg_data(&frames[3]), address_bytes);
            address[address_bytes] = '\0';
        }
        reply_frame(socket, "1.0", 3, ZMQ_SNDMORE);
        reply_frame(socket, zmq_msg_data(&frames[1]), zmq_msg_size(&frames[1]), ZMQ_SNDMORE);
        reply_frame(socket, code, strlen(code), ZMQ_SNDMORE);
        reply_frame(socket, words, strlen(words), ZMQ_SNDMORE);
        reply_frame(socket, user, strlen(user), ZMQ_SNDMORE);
        reply_frame(socket, "", 0, 0);
        if (key == NULL)
            plane_refuse(plane, address, "its key is not in the key folder");
    }
    plane_close_frames(frames, ZAP_FRAMES);
    return count > 0;
}

static bool zap_turn(void *owner)
{
    struct plane *plane = owner;
    for (int done = 0; done < PLANE_TURN_BUDGET; done++)
        if (!answer_zap(plane))
            return false;
    return true;
}

/* Before any router binds: without a handler CURVE lets every key in. */
static int start_zap(struct plane *plane, struct error *error)
{
    int none = 0;
    void *socket = zmq_socket(plane->context, ZMQ_REP);
    if (socket == NULL)
        return error_set(error, -zmq_errno(), "cannot open a ZeroMQ socket: %s", zmq_strerror(zmq_errno()));
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
    int result = zmq_bind(socket, ZAP_ADDRESS) != 0 ? -zmq_errno() : 0;
    if (result != 0)
        zmq_close(socket);
    else
        result = zsocket_create(&plane->zap, plane->loop, socket, zap_turn, plane);
    if (result != 0)
        return error_set(error, result, "cannot start the check of keys: %s", zmq_strerror(-result));
    return 0;
}

/* ---- life */

int plane_create(struct plane **plane, uv_loop_t *loop, const struct keys *keys, const char *self, const char *sender,
                 struct error *error)
{
    const struct key *key = keys_find(keys, self);
    if (key == NULL)
        return error_set(error, -ENOENT, "no key of '%s' in '%s': make it with gemel keys --create", self,
                         keys_folder(keys));
    if (key->secret_text[0] == '\0')
        return error_set(
            error, -ENOENT,
            "only the public part of the key '%s' is in '%s': copy %s.key from where it was made, or remove "
            "%s.pub on all hosts and make both anew with gemel keys --create",
            self, keys_folder(keys), self, self);
    if (strlen(sender) >= PLANE_SENDER_BYTES)
        return error_set(error, -ENAMETOOLONG, "the name '%s' is too long", sender);
    struct plane *made = memory_alloc(sizeof *made);
    *made = (struct plane){.loop = loop, .keys = keys, .self = key, .cluster_id = memory_strdup("")};
    text_copy(made->sender, sizeof made->sender, sender);
    while (made->incarnation == 0)
        ASSERT(getrandom(&made->incarnation, sizeof made->incarnation, 0) == sizeof made->incarnation);
    made->context = zmq_ctx_new();
    ASSERT(made->context != NULL);
    int result = start_zap(made, error);
    if (result != 0) {
        zmq_ctx_term(made->context);
        memory_free(made->cluster_id);
        memory_free(made);
        return result;
    }
    *plane = made;
    return 0;
}

static void free_plane(void *owner)
{
    struct plane *plane = owner;
    memory_free(plane->cluster_id);
    memory_free(plane);
}

void plane_destroy(struct plane **plane)
{
    if (*plane == NULL)
        return;
    struct plane *gone = *plane;
    *plane = NULL;
    ASSERT(gone->users == 0);
    zsocket_destroy(&gone->zap, free_plane, gone);
    while (zmq_ctx_term(gone->context) != 0 && zmq_errno() == EINTR)
        continue;
}

uint64_t plane_incarnation(const struct plane *plane)
{
    return plane->incarnation;
}

void plane_set_cluster_id(struct plane *plane, const char *cluster_id)
{
    char *copy = memory_strdup(cluster_id);
    memory_free(plane->cluster_id);
    plane->cluster_id = copy;
}

uint64_t plane_refused_count(const struct plane *plane)
{
    return plane->refused;
}

void plane_refuse(struct plane *plane, const char *from, const char *why)
{
    plane->refused++;
    uint64_t held_back = 0;
    if (log_allowed(&plane->refused_limit, clock_now_ms(), PLANE_REFUSED_LOG_MS, &held_back))
        log_warn("Refused what came over the control plane [ From: %s ] [ Reason: %s ] [ Not Shown Before: %llu ]",
                 from, why, (unsigned long long)held_back);
}

/* ---- sockets */

static bool set_number(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

void *plane_open_socket(struct plane *plane, int type)
{
    void *socket = zmq_socket(plane->context, type);
    if (socket == NULL)
        return NULL;
    int64_t size_max = MESSAGE_BYTES_MAX + MESSAGE_MARGIN_BYTES;
    ASSERT(set_number(socket, ZMQ_LINGER, PLANE_LINGER_MS));
    ASSERT(zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &size_max, sizeof size_max) == 0);
    /* A reader at its bound stops listening to heartbeats too, and its link is cut as dead: what one sender may have
     * queued must fit with room to spare. */
    ASSERT(set_number(socket, ZMQ_SNDHWM, MESSAGE_QUEUE_MAX) && set_number(socket, ZMQ_RCVHWM, 2 * MESSAGE_QUEUE_MAX));
    ASSERT(set_number(socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS));
    ASSERT(set_number(socket, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS));
    ASSERT(set_number(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS));
    ASSERT(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, plane->self->secret_text, KEY_TEXT_BYTES) == 0);
    ASSERT(zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, plane->self->public_text, KEY_TEXT_BYTES) == 0);
    return socket;
}

/* ---- messages */

static const char *what_is_wrong(const struct plane *plane, const Gemel__Envelope *message)
{
    if (message->protocol != PLANE_PROTOCOL)
        return "it speaks another protocol version";
    if (message->cluster_id[0] != '\0' && plane->cluster_id[0] != '\0' &&
        strcmp(message->cluster_id, plane->cluster_id) != 0)
        return "it belongs to another cluster";
    return NULL;
}

Gemel__Envelope *plane_unpack(struct plane *plane, zmq_msg_t *message, const char *from)
{
    ProtobufCMessage *unpacked = NULL;
    int result = wire_unpack(&gemel__envelope__descriptor, zmq_msg_data(message), zmq_msg_size(message), &unpacked);
    if (result != 0) {
        plane_refuse(plane, from, result == -EMSGSIZE ? "message too large" : "malformed message");
        return NULL;
    }
    Gemel__Envelope *envelope = (Gemel__Envelope *)unpacked;
    const char *wrong = what_is_wrong(plane, envelope);
    if (wrong == NULL)
        return envelope;
    plane_refuse(plane, from, wrong);
    wire_free(unpacked);
    return NULL;
}

/* Packs `message` with this plane's stamps; its own fields are as before when this returns, so that a message that was
 * unpacked from the wire can be passed on and released. */
static int pack_stamped(struct plane *plane, Gemel__Envelope *message, zmq_msg_t *packed)
{
    Gemel__Envelope stamped = *message;
    stamped.protocol = PLANE_PROTOCOL;
    stamped.cluster_id = plane->cluster_id;
    stamped.sender = plane->sender;
    stamped.incarnation = plane->incarnation;
    size_t length = protobuf_c_message_get_packed_size(&stamped.base);
    if (length > MESSAGE_BYTES_MAX)
        return -EMSGSIZE;
    ASSERT(zmq_msg_init_size(packed, length) == 0);
    size_t written = protobuf_c_message_pack(&stamped.base, zmq_msg_data(packed));
    ASSERT(written == length);
    return 0;
}

int plane_send(struct plane *plane, struct zsocket *zsocket, const struct plane_peer *to, Gemel__Envelope *message)
{
    zmq_msg_t packed;
    int result = pack_stamped(plane, message, &packed);
    if (result != 0)
        return result;
    void *socket = zsocket_socket(zsocket);
    /* libzmq looks at its own news rarely while sending; this makes it see a peer that has just come or gone. */
    zsocket_events(zsocket);
    if (to != NULL && zmq_send(socket, to->routing, to->routing_bytes, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        result = -zmq_errno();
    if (result == 0 && zmq_msg_send(&packed, socket, ZMQ_DONTWAIT) < 0)
        result = -zmq_errno();
    zmq_msg_close(&packed);
    zsocket_events(zsocket);
    return result;
}
