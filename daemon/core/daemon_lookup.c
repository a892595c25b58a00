#include "daemon/core/daemon_lookup.h"

#include <errno.h>
#include <string.h>

#include "common/base/bounds.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "daemon/core/daemon_actions.h"

struct place {
    char process[PROCESS_NAME_BYTES];
    char endpoint[ADDRESS_BYTES];
    char host[HOST_NAME_BYTES];
    bool ready;
    bool changed; /* since the last publish */
    bool stale;   /* not in the full registry that is being taken */
    UT_hash_handle hh;
};

struct watch {
    uint64_t link;
    uint64_t request_id;
    char pattern[PROCESS_NAME_BYTES];
    struct watch *next;
};

struct daemon_lookup {
    char host[HOST_NAME_BYTES];
    struct place *places; /* by process */
    size_t place_count;
    struct watch *watches;
    size_t watch_count;
    bool changed;
};

void daemon_lookup_create(struct daemon_lookup **lookup, const char *host)
{
    struct daemon_lookup *self = memory_alloc(sizeof *self);
    text_copy(self->host, sizeof self->host, host);
    *lookup = self;
}

void daemon_lookup_destroy(struct daemon_lookup **lookup)
{
    struct daemon_lookup *self = *lookup;
    if (self == NULL)
        return;
    struct place *place = NULL;
    struct place *place_next = NULL;
    HASH_ITER (hh, self->places, place, place_next) {
        HASH_DEL(self->places, place);
        memory_free(place);
    }
    struct watch *watch = NULL;
    struct watch *watch_next = NULL;
    LL_FOREACH_SAFE (self->watches, watch, watch_next) {
        memory_free(watch);
    }
    memory_free(self);
    *lookup = NULL;
}

bool daemon_lookup_matches(const char *pattern, const char *process)
{
    for (;;) {
        size_t pattern_part = strcspn(pattern, ".");
        size_t process_part = strcspn(process, ".");
        bool any = pattern_part == 1 && *pattern == '*';
        if (!any && (pattern_part != process_part || memcmp(pattern, process, process_part) != 0))
            return false;
        pattern += pattern_part;
        process += process_part;
        if (*pattern != *process)
            return false;
        if (*pattern == '\0')
            return true;
        pattern++;
        process++;
    }
}

static int set_place(struct daemon_lookup *lookup, const char *process, const char *endpoint, const char *host,
                     bool ready)
{
    struct place *place = NULL;
    if (strlen(process) >= PROCESS_NAME_BYTES || strlen(endpoint) >= ADDRESS_BYTES || strlen(host) >= HOST_NAME_BYTES)
        return -EINVAL;
    HASH_FIND_STR(lookup->places, process, place);
    if (place == NULL) {
        if (lookup->place_count == PROCESSES_MAX)
            return -ENOSPC;
        place = memory_alloc(sizeof *place);
        text_copy(place->process, sizeof place->process, process);
        HASH_ADD_STR(lookup->places, process, place);
        lookup->place_count++;
        place->changed = true;
    }
    place->changed |= place->ready != ready || strcmp(place->endpoint, endpoint) != 0 || strcmp(place->host, host) != 0;
    place->ready = ready;
    place->stale = false;
    text_copy(place->endpoint, sizeof place->endpoint, endpoint);
    text_copy(place->host, sizeof place->host, host);
    lookup->changed |= place->changed;
    return 0;
}

static void clear_place(struct daemon_lookup *lookup, struct place *place)
{
    if (place->endpoint[0] == '\0' && !place->ready)
        return;
    place->endpoint[0] = '\0';
    place->ready = false;
    place->changed = true;
    lookup->changed = true;
}

int daemon_lookup_take(struct daemon_lookup *lookup, const Gemel__Registry *registry)
{
    int result = 0;
    struct place *place = NULL;
    struct place *next = NULL;
    HASH_ITER (hh, lookup->places, place, next) {
        place->stale = registry->full && strcmp(place->host, lookup->host) != 0;
    }
    for (size_t i = 0; i < registry->n_entries; i++) {
        const Gemel__RegistryEntry *entry = registry->entries[i];
        if (strcmp(entry->host, lookup->host) == 0)
            continue;
        int set = set_place(lookup, entry->process, entry->endpoint, entry->host, entry->ready);
        result = set != 0 ? set : result;
    }
    HASH_ITER (hh, lookup->places, place, next) {
        if (place->stale)
            clear_place(lookup, place);
        place->stale = false;
    }
    return result;
}

int daemon_lookup_set(struct daemon_lookup *lookup, const char *process, const char *endpoint, bool ready)
{
    struct place *place = NULL;
    HASH_FIND_STR(lookup->places, process, place);
    /* A process that moved away stays known as its new host reports it, when it is gone here. */
    bool is_elsewhere = place != NULL && place->endpoint[0] != '\0' && strcmp(place->host, lookup->host) != 0;
    if (endpoint[0] == '\0' && (place == NULL || is_elsewhere))
        return 0;
    return set_place(lookup, process, endpoint, lookup->host, ready);
}

static void answer(const struct daemon_lookup *lookup, uint64_t link, uint64_t request_id, const char *pattern,
                   struct daemon_actions *actions)
{
    struct arena *arena = &actions->arena;
    Gemel__LookupReply *reply = arena_alloc(arena, sizeof *reply);
    gemel__lookup_reply__init(reply);
    size_t count = 0;
    const struct place *place = NULL;
    for (place = lookup->places; place != NULL; place = place->hh.next)
        count += daemon_lookup_matches(pattern, place->process) ? 1 : 0;
    reply->entries = arena_alloc(arena, (count + 1) * sizeof *reply->entries);
    for (place = lookup->places; place != NULL; place = place->hh.next) {
        if (!daemon_lookup_matches(pattern, place->process))
            continue;
        Gemel__RegistryEntry *entry = arena_alloc(arena, sizeof *entry);
        gemel__registry_entry__init(entry);
        entry->process = arena_strdup(arena, place->process);
        entry->endpoint = arena_strdup(arena, place->endpoint);
        entry->host = arena_strdup(arena, place->host);
        entry->ready = place->ready;
        reply->entries[reply->n_entries++] = entry;
    }
    struct daemon_action *action = daemon_actions_add(actions, DAEMON_ACTION_LOOKUP_REPLY, NULL);
    action->lookup.link = link;
    action->lookup.request_id = request_id;
    action->lookup.reply = reply;
}

int daemon_lookup_ask(struct daemon_lookup *lookup, uint64_t link, uint64_t request_id, const Gemel__Lookup *request,
                      struct daemon_actions *actions)
{
    if (strlen(request->pattern) >= PROCESS_NAME_BYTES)
        return -EINVAL;
    answer(lookup, link, request_id, request->pattern, actions);
    if (!request->watch)
        return 0;
    if (lookup->watch_count == DAEMON_WATCHES_MAX)
        return -ENOSPC;
    struct watch *watch = memory_alloc(sizeof *watch);
    watch->link = link;
    watch->request_id = request_id;
    text_copy(watch->pattern, sizeof watch->pattern, request->pattern);
    LL_PREPEND(lookup->watches, watch);
    lookup->watch_count++;
    return 0;
}

void daemon_lookup_close(struct daemon_lookup *lookup, uint64_t link)
{
    struct watch *watch = NULL;
    struct watch *next = NULL;
    LL_FOREACH_SAFE (lookup->watches, watch, next) {
        if (watch->link != link)
            continue;
        LL_DELETE(lookup->watches, watch);
        memory_free(watch);
        lookup->watch_count--;
    }
}

static bool has_news(const struct daemon_lookup *lookup, const struct watch *watch)
{
    for (const struct place *place = lookup->places; place != NULL; place = place->hh.next)
        if (place->changed && daemon_lookup_matches(watch->pattern, place->process))
            return true;
    return false;
}

void daemon_lookup_publish(struct daemon_lookup *lookup, struct daemon_actions *actions)
{
    if (!lookup->changed)
        return;
    const struct watch *watch = NULL;
    LL_FOREACH (lookup->watches, watch) {
        if (has_news(lookup, watch))
            answer(lookup, watch->link, watch->request_id, watch->pattern, actions);
    }
    lookup->changed = false;
    for (struct place *place = lookup->places; place != NULL; place = place->hh.next)
        place->changed = false;
}
