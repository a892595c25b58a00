/* Links of the data plane: frames (common/wire/frame.h) over a libuv stream, TCP or Unix. Shell only, loop's thread.
 *
 * Addresses are `host:port` or `unix:/path`. A TCP address that is not loopback is refused (-EPERM, with a sentence)
 * until links speak TLS. Each side sends a HELLO first; frames before the peer's HELLO, a wrong checksum, an oversized
 * or unknown frame close the link with a reason. TCP_NODELAY; frames sent within one turn of the loop are gathered into
 * one write. A program that ignores nothing gets SIGPIPE ignored by its first link.
 *
 * A link is handed out by link_connect, or by on_open for an accepted one. It is released after its on_close returned;
 * on_close comes exactly once for each link that was handed out, except after link_close, which is silent. Handlers
 * are called from the loop, never from within link_connect, link_send or link_resume. */
#ifndef GEMEL_NET_LINK_H
#define GEMEL_NET_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/error.h"
#include "common/base/token.h"
#include "common/wire/frame.h"
#include "common/wire/wire.h"

enum {
    LINK_QUEUE_BYTES_MAX = 64 * 1024 * 1024, /* written but not taken by the kernel: above it link_send says -EAGAIN */
    LINKS_MAX = 10000,                       /* accepted links of one server */
    LINK_HELLO_MS = 5000                     /* a peer without HELLO is closed after this */
};

struct link;
struct link_server;

/* Who this program says it is; strings borrowed for the call. */
struct link_self {
    Gemel__LinkKind kind;
    const char *name;
    struct token token;
    uint64_t incarnation;
};

struct link_handlers {
    void (*on_open)(void *owner, struct link *link); /* the peer's HELLO is here */
    /* `body` is borrowed for the call and aligned to nothing; its checksum was verified. */
    void (*on_frame)(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body);
    void (*on_close)(void *owner, struct link *link, int reason, const char *why); /* negative errno; 0: peer closed */
    /* May be NULL. What could not go out at once is with the kernel now: more may be sent. */
    void (*on_drained)(void *owner, struct link *link);
};

/* Dials once (no retry: the caller's core decides when to try again). Returns 0; -EINVAL, -ENAMETOOLONG, -EPERM with a
 * sentence for an address that cannot be dialled; everything else (a name that is not found, a refusal, no HELLO within
 * LINK_HELLO_MS) comes as on_close. Frames sent before on_open wait. */
int link_connect(struct link **link, uv_loop_t *loop, const char *address, const struct link_self *self,
                 const struct link_handlers *handlers, void *owner, struct error *error);

/* Listens; each accepted link gets `handlers` and `owner`. Port 0 asks for any; link_server_address tells it. A Unix
 * socket file that is left over is replaced. Returns 0 or a negative errno with a sentence that names the address. */
int link_listen(struct link_server **server, uv_loop_t *loop, const char *address, const struct link_self *self,
                const struct link_handlers *handlers, void *owner, struct error *error);
const char *link_server_address(const struct link_server *server);
/* Accepted connections that were closed before a valid HELLO: garbage, silence, or more than LINKS_MAX. */
uint64_t link_server_refused_count(const struct link_server *server);
/* Stops listening and closes its links silently. */
void link_server_destroy(struct link_server **server);

/* Sends one frame, with its checksum; `body` is copied if it cannot go out at once. Returns 0; -EAGAIN when the queue
 * is full; -EPIPE when the link is closing; -EMSGSIZE when the body is over FRAME_BODY_BYTES_MAX. */
int link_send(struct link *link, enum frame_type type, uint64_t request_id, const uint8_t *body, size_t body_bytes);
/* The same with every field of the header by the caller: a router passes a body on with its checksum as it came. */
int link_send_frame(struct link *link, const struct frame_header *header, const uint8_t *body);
/* Packs and sends. */
int link_send_message(struct link *link, enum frame_type type, uint64_t request_id, const ProtobufCMessage *message);

/* Closes silently (no on_close), after what is queued was flushed or 1 s. */
void link_close(struct link *link);

/* Back-pressure: stop and go on reading from the peer. While paused, the peer's end is not seen either. */
void link_pause(struct link *link);
void link_resume(struct link *link);
/* Bytes sent but not taken by the kernel yet. */
size_t link_queued_bytes(const struct link *link);

/* The peer's HELLO (borrowed while the link is open), valid from on_open. */
const Gemel__LinkHello *link_peer(const struct link *link);
/* Its address for logs, "127.0.0.1:41522" or "unix pid 4711" (borrowed). */
const char *link_peer_address(const struct link *link);
/* A Unix peer's pid by SO_PEERCRED; 0 for TCP. */
int32_t link_peer_pid(const struct link *link);
/* Replaces the owner given to the handlers: an accepted link gets a session of its own. */
void link_set_owner(struct link *link, void *owner);
void *link_owner(const struct link *link);

#endif
