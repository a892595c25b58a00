#include "tests/sim/tell.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/assert.h"

static void print_pair(const Gemel__Envelope *message, char *text, size_t size)
{
    if (message->body_case == GEMEL__ENVELOPE__BODY_PAIR_HELLO) {
        const Gemel__PairHello *hello = message->pair_hello;
        snprintf(text, size, "hello%s (%s, leader '%s', epoch %" PRIx64 ", last %" PRIu64 ")",
                 hello->reply ? " reply" : "", hello->role == GEMEL__PAIR_ROLE__PAIR_ROLE_LEADER ? "leads" : "follows",
                 hello->leader_host, hello->epoch, hello->last != NULL ? hello->last->index : 0);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_PAIR_APPEND) {
        const Gemel__PairAppend *append = message->pair_append;
        uint64_t prev = append->prev != NULL ? append->prev->index : 0;
        snprintf(text, size, "append %zu after %" PRIu64 ", commit %" PRIu64, append->n_entries, prev,
                 append->commit_index);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_PAIR_APPEND_REPLY) {
        const Gemel__PairAppendReply *reply = message->pair_append_reply;
        snprintf(text, size, "append reply %s, stored %" PRIu64 ", beat %" PRIu64, reply->ok ? "ok" : "no",
                 reply->last != NULL ? reply->last->index : 0, reply->heartbeat_sequence);
    } else {
        snprintf(text, size, "heartbeat %" PRIu64 ", commit %" PRIu64, message->pair_heartbeat->sequence,
                 message->pair_heartbeat->commit_index);
    }
}

static void print_body(const Gemel__Envelope *message, char *text, size_t size)
{
    if (message->body_case >= GEMEL__ENVELOPE__BODY_PAIR_HELLO &&
        message->body_case <= GEMEL__ENVELOPE__BODY_PAIR_APPEND_REPLY) {
        print_pair(message, text, size);
        return;
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(&gemel__envelope__descriptor, (unsigned)message->body_case);
    snprintf(text, size, "%s", field != NULL ? field->name : "nothing");
}

void tell_received(struct world *world, const Gemel__Envelope *message)
{
    if (!story_is_told(&world->story))
        return;
    char text[160];
    print_body(message, text, sizeof text);
    story_fact(&world->story, "%s from %s [%" PRIx64 "]", text, message->sender, message->epoch);
}

void tell_sent(struct world *world, const struct node *to, const Gemel__Envelope *message)
{
    if (!story_is_told(&world->story))
        return;
    if (message->body_case == GEMEL__ENVELOPE__BODY_PING || message->body_case == GEMEL__ENVELOPE__BODY_PONG ||
        message->body_case == GEMEL__ENVELOPE__BODY_PAIR_HEARTBEAT ||
        (message->body_case == GEMEL__ENVELOPE__BODY_PAIR_APPEND_REPLY &&
         message->pair_append_reply->heartbeat_sequence != 0 && message->pair_append_reply->ok))
        return;
    char text[160];
    print_body(message, text, sizeof text);
    story_decision(&world->story, "send %s to %s", text, to->name);
}
