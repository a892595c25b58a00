/* A ZeroMQ socket in a libuv loop: the one place that knows how ZMQ_FD behaves. Shell only, loop's thread.
 *
 * ZMQ_FD is edge-triggered and shared by sending and receiving: it becomes readable when the socket's state may have
 * changed, and any call on the socket may swallow that news. So a turn reads until EAGAIN, or, when its budget ends
 * before, an idle handle runs it again in the next turn of the loop; and each send is followed by a look at ZMQ_EVENTS
 * (zsocket_events), which does the same when something has arrived meanwhile. Without either a wake-up is lost. */
#ifndef GEMEL_NET_ZSOCKET_H
#define GEMEL_NET_ZSOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct zsocket;

/* Reads what has arrived, a bounded number of messages. Returns true when it stopped before EAGAIN. It may destroy the
 * zsocket. */
typedef bool (*zsocket_turn)(void *owner);

/* Puts `socket` (taken: closed by zsocket_destroy, and at once when this fails) into the loop. Returns 0 or a negative
 * errno. */
int zsocket_create(struct zsocket **zsocket, uv_loop_t *loop, void *socket, zsocket_turn turn, void *owner);

/* Closes the ZeroMQ socket at once and the loop's handles in its next turn; then `on_closed` (NULL allowed) is called.
 */
void zsocket_destroy(struct zsocket **zsocket, void (*on_closed)(void *owner), void *owner);

/* The ZeroMQ socket (borrowed). */
void *zsocket_socket(const struct zsocket *zsocket);

/* Reads ZMQ_EVENTS (ZMQ_POLLIN, ZMQ_POLLOUT); when something can be read, a turn follows soon. To be called before and
 * after each send. */
int zsocket_events(struct zsocket *zsocket);

/* A turn follows soon, whatever the socket says. */
void zsocket_wake(struct zsocket *zsocket);

/* Opens a PAIR socket that reads the monitor events `events` of `socket`; to be called before the socket binds or
 * connects. `number` names the monitor within the context and is never used twice. Returned in *pair. Returns 0 or a
 * negative errno. */
int zsocket_monitor_open(void *context, void *socket, int events, uint64_t number, void **pair);

/* Ends the monitor. Before the reading side is closed, else libzmq's own thread waits for it for ever. */
void zsocket_monitor_stop(void *socket);

/* Reads one event. Returns 0 or -EAGAIN. */
int zsocket_monitor_read(void *pair, uint16_t *event, uint32_t *value);

#endif
