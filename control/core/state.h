/* What the committed operations have made: revisions, wanted, placements, routes, events. Pure.
 *
 * state_apply takes one operation and says which rows of the table state(kind, key, value) change; the shell writes
 * them in the transaction that raises applied_index. Loading these rows gives the same state again. Values are packed
 * messages: "revision" and "event" and "lead" hold a whole Op, "wanted" a WantedState, "placement" a Placement,
 * "route" a Route. The state owns its messages. */
#ifndef GEMEL_CONTROL_CORE_STATE_H
#define GEMEL_CONTROL_CORE_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/map.h"
#include "common/wire/gemel.pb-c.h"

enum {
    STATE_EVENTS_MAX = 1000,   /* the oldest goes */
    STATE_REVISIONS_MAX = 100, /* kept for --history and --rollback; the oldest goes */
    STATE_KEY_BYTES = 160
};

/* name, the kind in the table, the message in the value */
#define STATE_KINDS(X)                                                                                                 \
    X(STATE_REVISION, "revision", gemel__op__descriptor)          /* key: number, 20 digits */                         \
    X(STATE_WANTED, "wanted", gemel__wanted_state__descriptor)    /* key: process */                                   \
    X(STATE_PLACEMENT, "placement", gemel__placement__descriptor) /* key: process */                                   \
    X(STATE_ROUTE, "route", gemel__route__descriptor)             /* key: Pipeline.type.index */                       \
    X(STATE_EVENT, "event", gemel__op__descriptor)                /* key: index in the log, 20 digits */               \
    X(STATE_LEAD, "lead", gemel__op__descriptor)                  /* key: "last" */

enum state_kind {
#define X(name, word, descriptor) name,
    STATE_KINDS(X)
#undef X
    STATE_KIND_COUNT
};

struct state_row {
    char key[STATE_KEY_BYTES];
    ProtobufCMessage *message;
    UT_hash_handle hh;
};

struct state_change {
    enum state_kind kind;
    const char *key;
    const uint8_t *value; /* NULL: delete the row */
    size_t value_bytes;
};

/* Changes of one or more operations, in order; everything in the arena. */
struct state_changes {
    struct arena arena;
    struct state_change *items;
    size_t count;
    size_t capacity;
};

void state_changes_init(struct state_changes *changes);
void state_changes_reset(struct state_changes *changes);
void state_changes_fini(struct state_changes *changes);

struct state;

void state_create(struct state **state);
void state_destroy(struct state **state);
/* Forgets everything, as before the first operation. */
void state_clear(struct state *state);

/* Takes a row of the table, in any order. Returns 0, or -EBADMSG for an unknown kind or a malformed value. */
int state_load(struct state *state, const char *kind, const char *key, const uint8_t *value, size_t value_bytes);

/* Applies a committed entry (borrowed) and appends the changed rows to `changes`. Returns 0, or -EBADMSG when its
 * operation cannot be read or does not hold together: nothing has changed then, on every host alike. */
int state_apply(struct state *state, const Gemel__LogEntry *entry, struct state_changes *changes);

/* The rows of a kind: first, next (NULL: no more). In no promised order. */
const struct state_row *state_first(const struct state *state, enum state_kind kind);
const struct state_row *state_next(const struct state_row *row);
size_t state_count(const struct state *state, enum state_kind kind);
/* All rows of a kind ordered by key, in the arena. */
const struct state_row **state_sorted(const struct state *state, enum state_kind kind, struct arena *arena);

/* Number of the newest revision; 0: none. */
uint64_t state_revision(const struct state *state);
/* NULL when unknown. Borrowed until the next change. */
const Gemel__Op *state_find_revision(const struct state *state, uint64_t number);
const Gemel__WantedState *state_find_wanted(const struct state *state, const char *process);
const Gemel__Placement *state_find_placement(const struct state *state, const char *process);
const Gemel__Route *state_find_route(const struct state *state, const char *pipeline, const char *type, uint32_t index);
/* The highest route version given so far. */
uint64_t state_route_version(const struct state *state);
const Gemel__Op *state_find_lead(const struct state *state);

/* Has the operation what it needs (names, bounds)? Returns 0 or -EBADMSG. For whoever proposes one. */
int state_check(const Gemel__Op *op);

const char *state_kind_word(enum state_kind kind);

#endif
