#include <errno.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/text.h"
#include "gateway/core/gateway_state.h"

enum {
    PATTERN_PARTS = 4 /* Pipeline.instance.type.index */
};

/* ---- reports ---- */

static bool is_running_state(Gemel__ProcessState state)
{
    return state == GEMEL__PROCESS_STATE__PROCESS_READY || state == GEMEL__PROCESS_STATE__PROCESS_STOPPING;
}

static void copy_facts(struct candidate *candidate, uint32_t host, const Gemel__ProcessReport *report)
{
    candidate->known = true;
    candidate->host = host;
    candidate->token = (struct token){.placement = report->placement, .start = report->start};
    candidate->state = report->state;
    candidate->routable = report->routable && report->expose_to_gw;
    candidate->hung_reported = report->hung;
    candidate->lag_rows = report->lag_rows;
    text_copy(candidate->endpoint, sizeof candidate->endpoint, report->endpoint);
    text_copy(candidate->stale, sizeof candidate->stale, report->stale);
    text_copy(candidate->why, sizeof candidate->why, report->why);
}

/* What the report says about the link in use: a link to a run that has ended is closed, whatever TCP says. */
static void check_link(struct gateway_core *core, struct candidate *candidate, const char *old_endpoint,
                       struct gateway_actions *actions)
{
    if (candidate->link_state == CANDIDATE_LINK_NONE)
        return;
    bool has_token = token_compare(candidate->link_token, (struct token){0}) != 0;
    int order = has_token ? token_compare(candidate->link_token, candidate->token) : 0;
    if (order > 0)
        return; /* the link knows a newer run than the report does */
    if (candidate->hung_reported)
        gateway_drop_link(core, candidate, true, true, "hung, says its daemon", actions);
    else if (!is_running_state(candidate->state) || order < 0)
        gateway_drop_link(core, candidate, true, false,
                          candidate->why[0] != '\0' ? candidate->why : "its run has ended", actions);
    else if (strcmp(old_endpoint, candidate->endpoint) != 0 && candidate->state == GEMEL__PROCESS_STATE__PROCESS_READY)
        gateway_drop_link(core, candidate, true, false, "it serves elsewhere now", actions);
}

static void attach_to_route(struct gateway_core *core, struct candidate *candidate)
{
    const struct process_id *id = &candidate->id;
    if (candidate->route != ROUTE_NONE || !candidate->routable || id->instance >= INSTANCES_MAX)
        return;
    struct route *route = gateway_add_route(core, id->pipeline, id->type, id->index);
    if (route != NULL)
        gateway_attach(core, candidate, route);
}

static void take_report(struct gateway_core *core, uint32_t host, const Gemel__ProcessReport *report,
                        struct gateway_actions *actions)
{
    struct process_id id;
    if (process_id_parse(report->process, &id) != 0) {
        gateway_log(actions, GATEWAY_LOG_WARN, "Report of a process without a proper name [ Host: %s ]",
                    core->hosts[host].name);
        return;
    }
    struct candidate *candidate = gateway_add_process(core, report->process);
    if (candidate == NULL)
        return;
    struct token token = {.placement = report->placement, .start = report->start};
    /* A late word about an earlier run, or from the host where it was before. */
    if (candidate->known && candidate->host != host && token_compare(token, candidate->token) <= 0)
        return;
    char old_endpoint[ADDRESS_BYTES];
    memcpy(old_endpoint, candidate->endpoint, sizeof old_endpoint);
    bool was_wanted = candidate->known && candidate->state == GEMEL__PROCESS_STATE__PROCESS_READY &&
                      token_compare(token, candidate->token) == 0;
    bool was_known = candidate->known;
    Gemel__ProcessState old_state = candidate->state;
    candidate->id = id;
    copy_facts(candidate, host, report);
    check_link(core, candidate, old_endpoint, actions);
    bool same = strcmp(old_endpoint, candidate->endpoint) == 0 && was_known && old_state == candidate->state;
    core->directory_changed = core->directory_changed || !same;
    if (!was_wanted)
        gateway_dial_soon(core, candidate);
    attach_to_route(core, candidate);
    gateway_touch(core, candidate);
}

static bool is_named(const Gemel__ProcessReports *reports, const char *name)
{
    for (size_t i = 0; i < reports->n_reports; i++)
        if (strcmp(reports->reports[i]->process, name) == 0)
            return true;
    return false;
}

/* A full report leaves out what its host does not know any more. */
static void forget_unnamed(struct gateway_core *core, uint32_t host, const Gemel__ProcessReports *reports,
                           struct gateway_actions *actions)
{
    for (uint32_t i = 0; i < core->process_count; i++) {
        struct candidate *candidate = core->processes[i];
        if (!candidate->known || candidate->host != host || is_named(reports, candidate->name))
            continue;
        candidate->known = false;
        candidate->state = GEMEL__PROCESS_STATE__PROCESS_STOPPED;
        core->directory_changed = true;
        gateway_drop_link(core, candidate, true, false, "no daemon reports it", actions);
        gateway_touch(core, candidate);
    }
}

void gateway_take_reports(struct gateway_core *core, uint32_t host, const Gemel__ProcessReports *reports,
                          struct gateway_actions *actions)
{
    for (size_t i = 0; i < reports->n_reports; i++)
        take_report(core, host, reports->reports[i], actions);
    if (reports->full)
        forget_unnamed(core, host, reports, actions);
}

/* ---- look-ups ---- */

/* Part by part, '*' for any. */
static bool matches(const char *pattern, const char *name)
{
    for (int part = 0; part < PATTERN_PARTS; part++) {
        size_t pattern_bytes = strcspn(pattern, ".");
        size_t name_bytes = strcspn(name, ".");
        bool any = pattern_bytes == 1 && pattern[0] == '*';
        if (!any && (pattern_bytes != name_bytes || memcmp(pattern, name, name_bytes) != 0))
            return false;
        pattern += pattern_bytes;
        name += name_bytes;
        if (*pattern != *name)
            return false;
        if (*pattern == '\0')
            return true;
        pattern++;
        name++;
    }
    return false;
}

static void answer_lookup(const struct gateway_core *core, uint32_t client, uint64_t request_id, const char *pattern,
                          struct gateway_actions *actions)
{
    Gemel__LookupReply *reply = arena_alloc(&actions->arena, sizeof *reply);
    gemel__lookup_reply__init(reply);
    reply->entries = arena_alloc(&actions->arena, (core->process_count + 1) * sizeof *reply->entries);
    for (uint32_t i = 0; i < core->process_count; i++) {
        const struct candidate *candidate = core->processes[i];
        if (!candidate->known || !matches(pattern, candidate->name))
            continue;
        Gemel__RegistryEntry *entry = arena_alloc(&actions->arena, sizeof *entry);
        gemel__registry_entry__init(entry);
        entry->process = arena_strdup(&actions->arena, candidate->name);
        entry->ready = candidate->state == GEMEL__PROCESS_STATE__PROCESS_READY;
        entry->endpoint = arena_strdup(&actions->arena, is_running_state(candidate->state) ? candidate->endpoint : "");
        entry->host = arena_strdup(&actions->arena, core->is_forwarder ? "" : core->hosts[candidate->host].name);
        reply->entries[reply->n_entries++] = entry;
    }
    struct gateway_action *action = gateway_add(actions, GATEWAY_ACTION_LOOKUP_REPLY);
    action->lookup.client = client;
    action->lookup.request_id = request_id;
    action->lookup.reply = reply;
}

static bool add_watch(struct gateway_core *core, uint32_t client, uint64_t request_id, const char *pattern)
{
    if (core->watch_count == GATEWAY_WATCHES_MAX)
        return false;
    if (core->watch_count == core->watch_capacity) {
        core->watch_capacity = core->watch_capacity == 0 ? 16 : core->watch_capacity * 2;
        core->watches = memory_resize(core->watches, core->watch_capacity * sizeof *core->watches);
    }
    struct gateway_watch *watch = &core->watches[core->watch_count++];
    *watch = (struct gateway_watch){.client = client, .request_id = request_id};
    text_copy(watch->pattern, sizeof watch->pattern, pattern);
    core->clients[client].watch_count++;
    return true;
}

static void refuse_lookup(struct gateway_core *core, const struct gateway_event *event, int code, const char *sentence,
                          struct gateway_actions *actions)
{
    Gemel__Failure *failure = arena_alloc(&actions->arena, sizeof *failure);
    gemel__failure__init(failure);
    failure->code = code;
    failure->sentence = arena_printf(&actions->arena, "%s: %s", core->name, sentence);
    struct gateway_action *action = gateway_add(actions, GATEWAY_ACTION_FAIL);
    action->request.client = event->lookup.client;
    action->request.request_id = event->lookup.request_id;
    action->request.slot = GATEWAY_NO_SLOT;
    action->request.failure = failure;
}

int gateway_on_lookup(struct gateway_core *core, const struct gateway_event *event, struct gateway_actions *actions)
{
    uint32_t client = event->lookup.client;
    const Gemel__Lookup *lookup = event->lookup.lookup;
    if (client >= GATEWAY_CLIENTS_MAX || !core->clients[client].open || lookup == NULL)
        return -EINVAL;
    if (strlen(lookup->pattern) >= PROCESS_NAME_BYTES) {
        refuse_lookup(core, event, -EINVAL, "the pattern is longer than any name", actions);
        return 0;
    }
    if (lookup->watch && !add_watch(core, client, event->lookup.request_id, lookup->pattern)) {
        refuse_lookup(core, event, -EAGAIN, "too many watched look-ups; try again later", actions);
        return 0;
    }
    answer_lookup(core, client, event->lookup.request_id, lookup->pattern, actions);
    return 0;
}

void gateway_tell_watchers(struct gateway_core *core, struct gateway_actions *actions)
{
    core->directory_changed = false;
    for (uint32_t i = 0; i < core->watch_count; i++) {
        const struct gateway_watch *watch = &core->watches[i];
        answer_lookup(core, watch->client, watch->request_id, watch->pattern, actions);
    }
}

void gateway_forget_watches(struct gateway_core *core, uint32_t client)
{
    if (core->clients[client].watch_count == 0)
        return;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < core->watch_count; i++)
        if (core->watches[i].client != client)
            core->watches[kept++] = core->watches[i];
    core->watch_count = kept;
    core->clients[client].watch_count = 0;
}
