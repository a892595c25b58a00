/* What travels in channels, packed and unpacked as in reality: envelopes of the control plane, frames of the data
 * plane. Pure. Also gives the numbers by which nodes know each other. */
#ifndef GEMEL_TESTS_SIM_POST_H
#define GEMEL_TESTS_SIM_POST_H

#include <stddef.h>
#include <stdint.h>

#include "common/wire/frame.h"
#include "common/wire/wire.h"
#include "tests/sim/network.h"

/* Of the present life of a node: never 0, never the same again. */
uint64_t post_incarnation(const struct node *node);

/* Fills in protocol, sender and incarnation, packs and sends. `message` is borrowed. As network_send, network_answer.
 */
int post_envelope(struct world *world, struct channel *channel, struct node *from, Gemel__Envelope *message);
int post_answer(struct world *world, const struct address *to, struct node *from, Gemel__Envelope *message);

/* Unpacks what came (release with post_free). The network damages nothing, so that a failure is a broken promise. */
Gemel__Envelope *post_open(const uint8_t *bytes, size_t size);
void post_free(Gemel__Envelope *message);

/* Sends a frame; `body` is borrowed. */
int post_frame(struct world *world, struct channel *channel, struct node *from, enum frame_type type,
               uint64_t request_id, const uint8_t *body, size_t body_bytes);
int post_frame_message(struct world *world, struct channel *channel, struct node *from, enum frame_type type,
                       uint64_t request_id, const ProtobufCMessage *message);

/* Takes a frame apart; `body` points into `bytes`. */
void post_read_frame(const uint8_t *bytes, size_t size, struct frame_header *header, const uint8_t **body);

#endif
