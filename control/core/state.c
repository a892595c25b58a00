#include "control/core/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/bounds.h"
#include "common/base/memory.h"
#include "common/base/process_id.h"
#include "common/base/text.h"
#include "common/wire/wire.h"

struct state {
    struct state_row *kinds[STATE_KIND_COUNT];
    uint64_t revision;      /* of the newest */
    uint64_t route_version; /* highest given */
};

/* ---- changes */

void state_changes_init(struct state_changes *changes)
{
    *changes = (struct state_changes){0};
    arena_init(&changes->arena);
}

void state_changes_reset(struct state_changes *changes)
{
    changes->count = 0;
    arena_reset(&changes->arena);
}

void state_changes_fini(struct state_changes *changes)
{
    arena_fini(&changes->arena);
    memory_free(changes->items);
    *changes = (struct state_changes){0};
}

static struct state_change *add_change(struct state_changes *changes, enum state_kind kind, const char *key)
{
    if (changes->count == changes->capacity) {
        changes->capacity = changes->capacity == 0 ? 16 : changes->capacity * 2;
        changes->items = memory_resize(changes->items, changes->capacity * sizeof *changes->items);
    }
    struct state_change *change = &changes->items[changes->count++];
    *change = (struct state_change){.kind = kind, .key = arena_strdup(&changes->arena, key)};
    return change;
}

/* ---- kinds */

const char *state_kind_word(enum state_kind kind)
{
    static const char *const words[] = {
#define X(name, word, descriptor) word,
        STATE_KINDS(X)
#undef X
    };
    ASSERT((size_t)kind < COUNT_OF(words));
    return words[kind];
}

static const ProtobufCMessageDescriptor *descriptor_of(enum state_kind kind)
{
    static const ProtobufCMessageDescriptor *const descriptors[] = {
#define X(name, word, descriptor) &descriptor,
        STATE_KINDS(X)
#undef X
    };
    return descriptors[kind];
}

/* ---- rows */

static struct state_row *find_row(const struct state *state, enum state_kind kind, const char *key)
{
    struct state_row *row = NULL;
    HASH_FIND_STR(state->kinds[kind], key, row);
    return row;
}

static void drop_row(struct state *state, enum state_kind kind, struct state_row *row)
{
    HASH_DEL(state->kinds[kind], row);
    wire_free(row->message);
    memory_free(row);
}

/* Puts a message (taken) under a key, in place of the one that was there. */
static void put_row(struct state *state, enum state_kind kind, const char *key, ProtobufCMessage *message)
{
    struct state_row *row = find_row(state, kind, key);
    if (row == NULL) {
        row = memory_alloc(sizeof *row);
        text_copy(row->key, sizeof row->key, key);
        HASH_ADD_STR(state->kinds[kind], key, row);
    } else {
        wire_free(row->message);
    }
    row->message = message;
}

/* The same with a message that is packed here (borrowed), and says so in `changes`. */
static void put_and_tell(struct state *state, enum state_kind kind, const char *key, const ProtobufCMessage *message,
                         struct state_changes *changes)
{
    struct state_change *change = add_change(changes, kind, key);
    change->value = wire_pack_arena(&changes->arena, message, &change->value_bytes);
    ProtobufCMessage *copy = NULL;
    int result = wire_unpack(descriptor_of(kind), change->value, change->value_bytes, &copy);
    ASSERT(result == 0);
    put_row(state, kind, key, copy);
}

/* Keeps at most `max` rows of a kind whose keys are numbers: the lowest go. */
static void drop_oldest(struct state *state, enum state_kind kind, size_t max, struct state_changes *changes)
{
    while (HASH_COUNT(state->kinds[kind]) > max) {
        struct state_row *oldest = state->kinds[kind];
        for (struct state_row *row = oldest; row != NULL; row = row->hh.next)
            if (strcmp(row->key, oldest->key) < 0)
                oldest = row;
        add_change(changes, kind, oldest->key);
        drop_row(state, kind, oldest);
    }
}

void state_create(struct state **state)
{
    *state = memory_alloc(sizeof **state);
}

void state_clear(struct state *state)
{
    for (int kind = 0; kind < STATE_KIND_COUNT; kind++)
        while (state->kinds[kind] != NULL)
            drop_row(state, (enum state_kind)kind, state->kinds[kind]);
    state->revision = state->route_version = 0;
}

void state_destroy(struct state **state)
{
    if (*state == NULL)
        return;
    state_clear(*state);
    memory_free(*state);
    *state = NULL;
}

/* Numbers that follow from the rows. */
static void take_numbers(struct state *state, enum state_kind kind, const struct state_row *row)
{
    if (kind == STATE_REVISION) {
        uint64_t number = strtoull(row->key, NULL, 10);
        if (number > state->revision)
            state->revision = number;
    } else if (kind == STATE_ROUTE) {
        const Gemel__Route *route = (const Gemel__Route *)row->message;
        if (route->version > state->route_version)
            state->route_version = route->version;
    }
}

int state_load(struct state *state, const char *kind, const char *key, const uint8_t *value, size_t value_bytes)
{
    for (int i = 0; i < STATE_KIND_COUNT; i++) {
        if (strcmp(kind, state_kind_word((enum state_kind)i)) != 0)
            continue;
        ProtobufCMessage *message = NULL;
        if (strlen(key) >= STATE_KEY_BYTES ||
            wire_unpack(descriptor_of((enum state_kind)i), value, value_bytes, &message) != 0)
            return -EBADMSG;
        put_row(state, (enum state_kind)i, key, message);
        take_numbers(state, (enum state_kind)i, find_row(state, (enum state_kind)i, key));
        return 0;
    }
    return -EBADMSG;
}

/* ---- what an operation must have */

static bool is_process(const char *name)
{
    struct process_id id;
    return process_id_parse(name, &id) == 0;
}

static bool is_revision(const Gemel__OpRevision *revision)
{
    size_t bytes = 0;
    for (size_t i = 0; i < revision->n_files; i++)
        bytes += strlen(revision->files[i]->path) + strlen(revision->files[i]->content);
    return revision->n_files > 0 && bytes <= REVISION_BYTES_MAX;
}

static bool is_wanted(const Gemel__OpWanted *wanted)
{
    for (size_t i = 0; i < wanted->n_processes; i++)
        if (!is_process(wanted->processes[i]))
            return false;
    return wanted->n_processes > 0 && wanted->n_processes <= PROCESSES_MAX;
}

int state_check(const Gemel__Op *op)
{
    bool is_good = false;
    if (op->body_case == GEMEL__OP__BODY_LEAD)
        is_good = op->lead->host[0] != '\0';
    else if (op->body_case == GEMEL__OP__BODY_REVISION)
        is_good = is_revision(op->revision);
    else if (op->body_case == GEMEL__OP__BODY_WANTED)
        is_good = is_wanted(op->wanted);
    else if (op->body_case == GEMEL__OP__BODY_PLACE)
        is_good =
            is_process(op->place->process) && op->place->host[0] != '\0' && strlen(op->place->host) < HOST_NAME_BYTES;
    else if (op->body_case == GEMEL__OP__BODY_ROUTE)
        is_good = process_id_is_name(op->route->pipeline, PIPELINE_NAME_BYTES) &&
                  process_id_is_name(op->route->type, TYPE_NAME_BYTES) && op->route->instance < INSTANCES_MAX;
    else if (op->body_case == GEMEL__OP__BODY_EVENT)
        is_good = op->event->sentence[0] != '\0';
    return is_good ? 0 : -EBADMSG;
}

/* ---- apply */

static void number_key(char key[STATE_KEY_BYTES], uint64_t number)
{
    snprintf(key, STATE_KEY_BYTES, "%020llu", (unsigned long long)number);
}

static void route_key(char key[STATE_KEY_BYTES], const char *pipeline, const char *type, uint32_t index)
{
    snprintf(key, STATE_KEY_BYTES, "%s.%s.%u", pipeline, type, index);
}

static void apply_revision(struct state *state, const Gemel__Op *op, struct state_changes *changes)
{
    char key[STATE_KEY_BYTES];
    number_key(key, ++state->revision);
    put_and_tell(state, STATE_REVISION, key, &op->base, changes);
    drop_oldest(state, STATE_REVISION, STATE_REVISIONS_MAX, changes);
}

static void apply_wanted(struct state *state, const Gemel__Op *op, struct state_changes *changes)
{
    for (size_t i = 0; i < op->wanted->n_processes; i++) {
        const Gemel__WantedState *before = state_find_wanted(state, op->wanted->processes[i]);
        Gemel__WantedState wanted;
        gemel__wanted_state__init(&wanted);
        wanted.process = op->wanted->processes[i];
        wanted.up = op->wanted->up;
        wanted.clear_failed = (before != NULL ? before->clear_failed : 0) + (op->wanted->clear_failed ? 1 : 0);
        wanted.author = op->author;
        wanted.wall_ns = op->wall_ns;
        wanted.why = op->wanted->why;
        put_and_tell(state, STATE_WANTED, wanted.process, &wanted.base, changes);
    }
}

static void apply_place(struct state *state, const Gemel__Op *op, struct state_changes *changes)
{
    const Gemel__Placement *before = state_find_placement(state, op->place->process);
    Gemel__Placement placement;
    gemel__placement__init(&placement);
    placement.process = op->place->process;
    placement.host = op->place->host;
    placement.placement = (before != NULL ? before->placement : 0) + 1;
    put_and_tell(state, STATE_PLACEMENT, placement.process, &placement.base, changes);
}

static void apply_route(struct state *state, const Gemel__Op *op, struct state_changes *changes)
{
    char key[STATE_KEY_BYTES];
    route_key(key, op->route->pipeline, op->route->type, op->route->index);
    Gemel__Route route;
    gemel__route__init(&route);
    route.pipeline = op->route->pipeline;
    route.type = op->route->type;
    route.index = op->route->index;
    route.instance = op->route->instance;
    route.why = op->route->why;
    route.forced = op->route->forced;
    route.wall_ns = op->wall_ns;
    route.version = ++state->route_version;
    put_and_tell(state, STATE_ROUTE, key, &route.base, changes);
}

/* What operators want to find again stands among the events too, without what is long. */
static void apply_event(struct state *state, uint64_t index, const Gemel__Op *op, struct state_changes *changes)
{
    char key[STATE_KEY_BYTES];
    Gemel__Op event = *op;
    Gemel__OpRevision revision;
    gemel__op_revision__init(&revision);
    Gemel__OpWanted wanted;
    gemel__op_wanted__init(&wanted);
    if (op->body_case == GEMEL__OP__BODY_REVISION) {
        revision.comment = op->revision->comment;
        event.revision = &revision;
    } else if (op->body_case == GEMEL__OP__BODY_WANTED) {
        wanted.up = op->wanted->up;
        wanted.why = op->wanted->why;
        event.wanted = &wanted;
    }
    number_key(key, index);
    put_and_tell(state, STATE_EVENT, key, &event.base, changes);
    drop_oldest(state, STATE_EVENT, STATE_EVENTS_MAX, changes);
}

static void apply_op(struct state *state, uint64_t index, const Gemel__Op *op, struct state_changes *changes)
{
    if (op->body_case == GEMEL__OP__BODY_LEAD) {
        put_and_tell(state, STATE_LEAD, "last", &op->base, changes);
    } else if (op->body_case == GEMEL__OP__BODY_REVISION) {
        apply_revision(state, op, changes);
    } else if (op->body_case == GEMEL__OP__BODY_WANTED) {
        apply_wanted(state, op, changes);
    } else if (op->body_case == GEMEL__OP__BODY_PLACE) {
        apply_place(state, op, changes);
    } else if (op->body_case == GEMEL__OP__BODY_ROUTE) {
        apply_route(state, op, changes);
    }
    if (op->body_case != GEMEL__OP__BODY_PLACE)
        apply_event(state, index, op, changes);
}

int state_apply(struct state *state, const Gemel__LogEntry *entry, struct state_changes *changes)
{
    ProtobufCMessage *message = NULL;
    if (wire_unpack(&gemel__op__descriptor, entry->op.data, entry->op.len, &message) != 0)
        return -EBADMSG;
    const Gemel__Op *op = (const Gemel__Op *)message;
    int result = state_check(op);
    if (result == 0)
        apply_op(state, entry->index, op, changes);
    wire_free(message);
    return result;
}

/* ---- questions */

const struct state_row *state_first(const struct state *state, enum state_kind kind)
{
    return state->kinds[kind];
}

const struct state_row *state_next(const struct state_row *row)
{
    return row->hh.next;
}

size_t state_count(const struct state *state, enum state_kind kind)
{
    return HASH_COUNT(state->kinds[kind]);
}

static int compare_rows(const void *one, const void *other)
{
    const struct state_row *const *left = one;
    const struct state_row *const *right = other;
    return strcmp((*left)->key, (*right)->key);
}

const struct state_row **state_sorted(const struct state *state, enum state_kind kind, struct arena *arena)
{
    size_t count = state_count(state, kind);
    const struct state_row **rows = arena_alloc(arena, (count + 1) * sizeof(struct state_row *));
    size_t at = 0;
    for (const struct state_row *row = state_first(state, kind); row != NULL; row = state_next(row))
        rows[at++] = row;
    qsort(rows, count, sizeof(struct state_row *), compare_rows);
    return rows;
}

static const ProtobufCMessage *find_message(const struct state *state, enum state_kind kind, const char *key)
{
    const struct state_row *row = find_row(state, kind, key);
    return row != NULL ? row->message : NULL;
}

uint64_t state_revision(const struct state *state)
{
    return state->revision;
}

const Gemel__Op *state_find_revision(const struct state *state, uint64_t number)
{
    char key[STATE_KEY_BYTES];
    number_key(key, number);
    return (const Gemel__Op *)find_message(state, STATE_REVISION, key);
}

const Gemel__WantedState *state_find_wanted(const struct state *state, const char *process)
{
    return (const Gemel__WantedState *)find_message(state, STATE_WANTED, process);
}

const Gemel__Placement *state_find_placement(const struct state *state, const char *process)
{
    return (const Gemel__Placement *)find_message(state, STATE_PLACEMENT, process);
}

const Gemel__Route *state_find_route(const struct state *state, const char *pipeline, const char *type, uint32_t index)
{
    char key[STATE_KEY_BYTES];
    route_key(key, pipeline, type, index);
    return (const Gemel__Route *)find_message(state, STATE_ROUTE, key);
}

uint64_t state_route_version(const struct state *state)
{
    return state->route_version;
}

const Gemel__Op *state_find_lead(const struct state *state)
{
    return (const Gemel__Op *)find_message(state, STATE_LEAD, "last");
}
