/* What the files of a link share: its state, and the steps between them. Internal to common/net.
 *
 * link.c       its life: made, dialled, handed out, closed, released
 * link_io.c    its bytes: gathering and writing, reading and taking frames apart
 * link_server.c  listening and accepting */
#ifndef GEMEL_NET_LINK_STATE_H
#define GEMEL_NET_LINK_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bounds.h"
#include "common/net/link.h"

/* name, words, what may follow */
#define LINK_STATES(X)                                                                                                 \
    X(CONNECTING, "connecting", 1u << LINK_GREETING | 1u << LINK_CLOSED)                                               \
    X(GREETING, "waiting for the peer's hello", 1u << LINK_OPEN | 1u << LINK_DRAINING | 1u << LINK_CLOSED)             \
    X(OPEN, "open", 1u << LINK_DRAINING | 1u << LINK_CLOSED)                                                           \
    X(DRAINING, "closing", 1u << LINK_CLOSED)                                                                          \
    X(CLOSED, "closed", 0u)

enum link_state {
#define X(name, words, next) LINK_##name,
    LINK_STATES(X)
#undef X
};

/* Bytes [start, end) of `data` are in use. */
struct buffer {
    uint8_t *data;
    size_t start;
    size_t end;
    size_t capacity;
};

struct link {
    uv_loop_t *loop;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } socket;
    uv_timer_t timer; /* deadline of the HELLO, then of the flush at the end */
    uv_idle_t turn;   /* runs once before the loop sleeps again; idle and not prepare, because an idle handle that is
                       * started in any phase keeps the loop from sleeping until it has run */
    uv_connect_t connect;
    uv_getaddrinfo_t resolve;
    uv_write_t write;
    uv_shutdown_t shutdown;
    enum link_state state;
    unsigned references; /* handles and requests that still point here; released at 0 */
    bool is_unix;
    bool handed_out;
    bool paused;
    bool writing_busy; /* `writing` belongs to `write` */
    bool shutting_down;
    int pending_error; /* of a write inside link_send, told in the next turn */
    struct buffer in;
    size_t wanted_bytes; /* of the frame that is incomplete in `in`; 0: not known */
    struct buffer out;   /* gathered in this turn, or while `writing` is busy */
    struct buffer writing;
    struct link_handlers handlers;
    void *owner;
    struct link_server *server; /* NULL: dialled, or the server is gone */
    struct link *prev, *next;   /* in the server's list */
    Gemel__LinkHello *peer;     /* NULL before on_open */
    char address[ADDRESS_BYTES];
    int32_t peer_pid;
};

struct link_server {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } socket;
    uv_loop_t *loop;
    bool is_unix;
    struct link_handlers handlers;
    void *owner;
    uint8_t *hello; /* packed LinkHello */
    size_t hello_bytes;
    struct link *links;
    unsigned link_count;
    uint64_t refused;
    char address[ADDRESS_BYTES];
};

/* ---- link.c */

/* A link in CONNECTING, its hello waiting to be sent; `hello` is borrowed. */
struct link *link_create(uv_loop_t *loop, bool is_unix, const uint8_t *hello, size_t hello_bytes,
                         const struct link_handlers *handlers, void *owner);
/* The packed LinkHello (release with memory_free). */
uint8_t *link_pack_hello(const struct link_self *self, size_t *size);
/* Sets SIGPIPE to be ignored when nobody handles it: writing to a closed socket is an error here, not an end. */
void link_ignore_broken_pipe(void);
/* The connection stands: both sides say hello. */
void link_greet(struct link *link);
/* The one writer of the state. */
void link_enter(struct link *link, enum link_state state);
bool link_is_connected(const struct link *link);
void link_leave_server(struct link *link);
/* Closes without telling. */
void link_close_now(struct link *link);
/* Ends the link for a reason that its owner did not choose. */
void link_fail(struct link *link, int reason, const char *why);
void link_fail_errno(struct link *link, int reason);
/* One handle or request less points to the link. */
void link_release(struct link *link);

/* ---- link_io.c */

int link_start_reading(struct link *link);
/* Writes what is gathered. */
void link_flush(struct link *link);
/* Flushes before the loop sleeps. */
void link_schedule_turn(struct link *link);

#endif
