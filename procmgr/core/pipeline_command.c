#include "procmgr/core/pipeline_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/date.h"
#include "common/base/text.h"
#include "common/layout/model/near.h"
#include "common/wire/wire.h"
#include "procmgr/core/reply.h"

enum {
    NAMES_SHOWN_MAX = 10 /* processes named in one sentence; the rest is counted */
};

/* Everything that answers one request. */
struct command {
    const struct picture *picture;
    const struct procmgr_config *config;
    const Gemel__Plan *plan;
    const Gemel__AdminRequest *request;
    struct arena *arena;
    bool service;    /* service-class.* */
    const char *why; /* "pipeline --start DemoPipeline" */
    /* The processes that the arguments name. */
    const char *name; /* of the pipeline; NULL: all */
    const struct picture_process **scope;
    size_t scope_count;
};

/* ---- what the arguments name ---- */

/* A service class is a pipeline of type service: the pipeline verbs know it too. */
static bool is_kind(const struct command *command, const struct layout_pipeline *pipeline)
{
    return !command->service || pipeline->kind.value == LAYOUT_SERVICE;
}

static Gemel__AdminReply *refuse_pipeline(const struct command *command, const char *name)
{
    const struct layout *layout = command->picture->layout;
    const struct layout_pipeline *other = layout_find_pipeline(layout, name);
    struct near near;
    char hint[NEAR_HINT_BYTES];
    if (other != NULL)
        return reply_error(command->arena, REPLY_FAILED,
                           "'%s' is a pipeline and no service class: use pipeline --start %s", name, name);
    near_init(&near, name);
    for (size_t i = 0; i < layout->pipeline_count; i++)
        if (is_kind(command, &layout->pipelines[i]))
            near_offer(&near, layout->pipelines[i].name.text);
    return reply_error(command->arena, REPLY_FAILED, "unknown %s%s, got '%s'; pipeline --list names them all",
                       command->service ? "service class" : "pipeline", near_hint(&near, hint), name);
}

/* A number below `end`, or -1. */
static int64_t parse_number(const char *text, size_t end)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 6 || text[digits] != '\0')
        return -1;
    int64_t number = 0;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (text[i] - '0');
    return (size_t)number < end ? number : -1;
}

/* The process argument: TYPE or TYPE.N. Fills *type and *index (-1: all); NULL, or the reply that refuses it. */
static Gemel__AdminReply *parse_process(const struct command *command, const struct layout_pipeline *pipeline,
                                        const char *text, const struct layout_type **type, int64_t *index)
{
    struct near near;
    char hint[NEAR_HINT_BYTES];
    char name[TYPE_NAME_BYTES];
    size_t length = strcspn(text, ".");
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), text);
    *type = layout_find_type(pipeline, name);
    if (*type == NULL) {
        near_init(&near, name);
        for (size_t i = 0; i < pipeline->type_count; i++)
            near_offer(&near, pipeline->types[i].name.text);
        return reply_error(command->arena, REPLY_FAILED, "%s has no process of this type%s, got '%s'",
                           pipeline->name.text, near_hint(&near, hint), text);
    }
    *index = -1;
    if (text[length] == '\0')
        return NULL;
    *index = parse_number(text + length + 1, (size_t)(*type)->instances.value);
    if (*index < 0)
        return reply_error(command->arena, REPLY_FAILED, "%s has %lld processes of type %s, numbered from 0, got '%s'",
                           pipeline->name.text, (long long)(*type)->instances.value, name, text);
    return NULL;
}

static void add_scope(struct command *command, const struct layout_pipeline *pipeline, int64_t instance,
                      const struct layout_type *type, int64_t index)
{
    for (size_t i = 0; i < pipeline->process_count; i++) {
        const struct layout_process *process = &pipeline->processes[i];
        if (instance >= 0 && process->id.instance != (uint64_t)instance)
            continue;
        if (type != NULL && (process->type != type || (index >= 0 && process->id.index != (uint64_t)index)))
            continue;
        command->scope[command->scope_count++] = picture_find(command->picture, process->name);
    }
}

/* Finds the processes of one pipeline that the arguments name; NULL, or the reply that refuses them. */
static Gemel__AdminReply *find_scope(struct command *command, const char *name)
{
    const struct layout_pipeline *pipeline = layout_find_pipeline(command->picture->layout, name);
    const char *instance_text = wire_argument(command->request, "instance");
    const char *process_text = wire_argument(command->request, "process");
    const struct layout_type *type = NULL;
    int64_t instance = -1;
    int64_t index = -1;
    if (pipeline == NULL || !is_kind(command, pipeline))
        return refuse_pipeline(command, name);
    if (instance_text != NULL) {
        instance = parse_number(instance_text, pipeline->instance_count);
        if (instance < 0)
            return reply_error(command->arena, REPLY_FAILED, "%s has %zu instances, numbered from 0, got '%s'", name,
                               pipeline->instance_count, instance_text);
    }
    Gemel__AdminReply *refusal =
        process_text != NULL ? parse_process(command, pipeline, process_text, &type, &index) : NULL;
    if (refusal != NULL)
        return refusal;
    command->name = pipeline->name.text;
    add_scope(command, pipeline, instance, type, index);
    if (command->scope_count == 0)
        return reply_error(command->arena, REPLY_FAILED, "%s has no such process in this instance, got '%s'", name,
                           process_text != NULL ? process_text : "");
    return NULL;
}

/* ---- counting ---- */

struct tally {
    size_t ready;
    size_t active; /* there, or back by itself */
    size_t coming; /* ready, or asked for and on its way */
    size_t wanted;
};

/* Asked for, and it needs nobody to become ready. */
static bool is_coming(const struct picture_process *process)
{
    Gemel__ProcessState state = picture_state(process);
    if (state == GEMEL__PROCESS_STATE__PROCESS_READY)
        return picture_is_wanted(process);
    if (state == GEMEL__PROCESS_STATE__PROCESS_FAILED)
        return picture_is_wanted(process) && process->wanted->clear_failed > process->observed->clear_failed;
    return picture_is_wanted(process) && !picture_has_ended(process) && state != GEMEL__PROCESS_STATE__PROCESS_BACKOFF;
}

static struct tally count(const struct command *command)
{
    struct tally tally = {0};
    for (size_t i = 0; i < command->scope_count; i++) {
        const struct picture_process *process = command->scope[i];
        Gemel__ProcessState state = picture_state(process);
        tally.ready += state == GEMEL__PROCESS_STATE__PROCESS_READY ? 1 : 0;
        tally.active += picture_is_active(state) ? 1 : 0;
        tally.coming += is_coming(process) ? 1 : 0;
        tally.wanted += picture_is_wanted(process) ? 1 : 0;
    }
    return tally;
}

/* `DemoPipeline.0.rdb.0 (failed: exited: signal 9), ...` of those that are not coming. */
static void print_down(const struct command *command, struct text *text)
{
    size_t shown = 0;
    size_t hidden = 0;
    for (size_t i = 0; i < command->scope_count; i++) {
        const struct picture_process *process = command->scope[i];
        if (is_coming(process))
            continue;
        if (shown == NAMES_SHOWN_MAX) {
            hidden++;
            continue;
        }
        bool leaving = picture_is_active(picture_state(process)) && !picture_is_wanted(process);
        const char *word = leaving ? "stopping" : picture_state_word(picture_state(process));
        text_printf(text, "%s%s (%s", shown > 0 ? ", " : "", process->name, word);
        if (process->observed != NULL && process->observed->why[0] != '\0' && process->observed->exited)
            text_printf(text, ": %s", process->observed->why);
        text_append_string(text, ")");
        shown++;
    }
    if (hidden > 0)
        text_printf(text, " and %zu more", hidden);
}

/* ---- start and stop ---- */

typedef bool (*chooses)(const struct picture_process *process);

static bool choose_all(const struct picture_process *process)
{
    (void)process;
    return true;
}

static bool choose_down(const struct picture_process *process)
{
    Gemel__ProcessState state = picture_state(process);
    bool up = state == GEMEL__PROCESS_STATE__PROCESS_READY || state == GEMEL__PROCESS_STATE__PROCESS_STARTING;
    return !up || !picture_is_wanted(process);
}

static bool choose_up(const struct picture_process *process)
{
    return picture_is_wanted(process) || (picture_is_active(picture_state(process)) &&
                                          picture_state(process) != GEMEL__PROCESS_STATE__PROCESS_STOPPING);
}

/* Adds the operation about the chosen processes of the scope; returns how many they are. */
static size_t want(const struct command *command, Gemel__AdminReply *reply, chooses choose, bool up, bool clear_failed)
{
    Gemel__OpWanted *wanted = arena_alloc(command->arena, sizeof *wanted);
    gemel__op_wanted__init(wanted);
    wanted->processes = arena_alloc(command->arena, (command->scope_count + 1) * sizeof(char *));
    wanted->up = up;
    wanted->clear_failed = clear_failed;
    wanted->why = reply_text(command->why);
    for (size_t i = 0; i < command->scope_count; i++)
        if (choose(command->scope[i]))
            wanted->processes[wanted->n_processes++] = arena_strdup(command->arena, command->scope[i]->name);
    if (wanted->n_processes > 0)
        reply->wanted[reply->n_wanted++] = wanted;
    return wanted->n_processes;
}

static bool has_failed(const struct command *command)
{
    for (size_t i = 0; i < command->scope_count; i++)
        if (picture_state(command->scope[i]) == GEMEL__PROCESS_STATE__PROCESS_FAILED)
            return true;
    return false;
}

static Gemel__AdminReply *answer_start(struct command *command)
{
    Gemel__AdminReply *reply = reply_make(command->arena, 0, 1);
    struct tally tally = count(command);
    size_t total = command->scope_count;
    if (tally.ready == total && tally.wanted == total) {
        reply->message = arena_printf(command->arena, "already running: %zu of %zu", total, total);
    } else if (tally.coming == total) {
        reply->message = arena_printf(command->arena, "already starting: %zu of %zu ready", tally.ready, total);
    } else if (tally.coming == 0 && (tally.active == 0 || tally.wanted == 0)) {
        /* What failed does not run either, and the operator asks for all. */
        size_t started = want(command, reply, choose_all, true, has_failed(command));
        reply->message = arena_printf(command->arena, "starting: %zu of %zu", started, total);
    } else {
        struct text down;
        text_init(&down, 4096);
        print_down(command, &down);
        reply->exit_code = REPLY_DEGRADED;
        reply->error = arena_printf(command->arena,
                                    "%s is partly running, %zu of %zu ready, nothing was started; down: %s; start what "
                                    "is down with %s",
                                    command->name, tally.ready, total, down.data,
                                    command->service ? "service-class --stop-template, then --start-template"
                                                     : "pipeline --force-start");
        text_fini(&down);
    }
    return reply;
}

static Gemel__AdminReply *answer_force_start(struct command *command)
{
    Gemel__AdminReply *reply = reply_make(command->arena, 0, 1);
    size_t total = command->scope_count;
    size_t started = want(command, reply, choose_down, true, true);
    if (started == 0 && count(command).ready == total)
        reply->message = arena_printf(command->arena, "already running: %zu of %zu", total, total);
    else if (started == 0)
        reply->message =
            arena_printf(command->arena, "already starting: %zu of %zu ready", count(command).ready, total);
    else
        reply->message = arena_printf(command->arena, "starting: %zu of %zu", started, total);
    return reply;
}

static Gemel__AdminReply *answer_stop(struct command *command)
{
    Gemel__AdminReply *reply = reply_make(command->arena, 0, 1);
    size_t total = command->scope_count;
    size_t stopped = want(command, reply, choose_up, false, false);
    if (stopped > 0)
        reply->message = arena_printf(command->arena, "stopping: %zu of %zu", stopped, total);
    else if (count(command).active > 0)
        reply->message =
            arena_printf(command->arena, "already stopping: %zu of %zu left", count(command).active, total);
    else
        reply->message = arena_printf(command->arena, "already stopped: %zu of %zu", total, total);
    return reply;
}

/* ---- status ---- */

/* `2026-11-21T21:10:02Z`: whole seconds are enough for people. Empty for 0. */
static const char *print_date(struct arena *arena, uint64_t wall_ns)
{
    char seconds[20];
    if (wall_ns == 0)
        return "";
    date_format((int64_t)wall_ns, seconds, sizeof seconds);
    return arena_printf(arena, "%sZ", seconds);
}

/* Why it is in its state, in the best words there are. */
static const char *explain(const struct picture_process *process)
{
    const Gemel__ProcessReport *observed = process->observed;
    if (observed != NULL && observed->stale[0] != '\0')
        return observed->stale;
    if (observed != NULL && observed->status[0] != '\0' && picture_is_active(observed->state))
        return observed->status;
    if (observed != NULL && observed->why[0] != '\0')
        return observed->why;
    return process->wanted != NULL ? process->wanted->why : "";
}

static void add_process_row(const struct command *command, Gemel__Table *table, const struct picture_process *process)
{
    const Gemel__ProcessReport *observed = process->observed;
    struct arena *arena = command->arena;
    bool pid = observed != NULL && observed->pid != 0;
    bool reported = picture_is_reported(command->picture, process->host);
    const char *cells[] = {
        process->name,
        process->host,
        reported || observed != NULL ? picture_state_word(picture_state(process)) : "unknown",
        picture_is_wanted(process) ? "yes" : "no",
        pid ? arena_printf(arena, "%d", (int)observed->pid) : "",
        observed != NULL ? observed->endpoint : "",
        observed != NULL ? print_date(arena, observed->since_wall_ns) : "",
        observed != NULL ? arena_printf(arena, "%u", (unsigned)observed->restarts) : "0",
        explain(process),
    };
    reply_add_row(table, arena, cells);
}

static Gemel__AdminReply *answer_status(struct command *command)
{
    static const char *const columns[] = {"processName", "host",  "state",    "wanted", "pid",
                                          "endpoint",    "since", "restarts", "why",    NULL};
    static const char *const summary_columns[] = {"pipeline", "ready", "total", "wanted", NULL};
    Gemel__AdminReply *reply = reply_make(command->arena, 2, 0);
    Gemel__Table *table = reply_add_table(reply, command->arena, "processes", columns, command->scope_count);
    struct tally tally = count(command);
    for (size_t i = 0; i < command->scope_count; i++) {
        add_process_row(command, table, command->scope[i]);
        bool ready = picture_state(command->scope[i]) == GEMEL__PROCESS_STATE__PROCESS_READY;
        if (picture_is_wanted(command->scope[i]) && !ready)
            reply->exit_code = REPLY_DEGRADED;
    }
    const char *cells[] = {command->name != NULL ? command->name : "", arena_printf(command->arena, "%zu", tally.ready),
                           arena_printf(command->arena, "%zu", command->scope_count),
                           arena_printf(command->arena, "%zu", tally.wanted)};
    reply_add_row(reply_add_table(reply, command->arena, "summary", summary_columns, 1), command->arena, cells);
    return reply;
}

static Gemel__AdminReply *answer_list(struct command *command)
{
    static const char *const columns[] = {"pipeline", "type", "instances", "ready", "total", "wanted", NULL};
    const struct layout *layout = command->picture->layout;
    Gemel__AdminReply *reply = reply_make(command->arena, 1, 0);
    Gemel__Table *table = reply_add_table(reply, command->arena, "pipelines", columns, layout->pipeline_count);
    for (size_t i = 0; i < layout->pipeline_count; i++) {
        const struct layout_pipeline *pipeline = &layout->pipelines[i];
        command->scope_count = 0;
        add_scope(command, pipeline, -1, NULL, -1);
        struct tally tally = count(command);
        const char *cells[] = {pipeline->name.text,
                               layout_kind_name((enum layout_kind)pipeline->kind.value),
                               arena_printf(command->arena, "%zu", pipeline->instance_count),
                               arena_printf(command->arena, "%zu", tally.ready),
                               arena_printf(command->arena, "%zu", command->scope_count),
                               arena_printf(command->arena, "%zu", tally.wanted)};
        reply_add_row(table, command->arena, cells);
    }
    return reply;
}

static Gemel__AdminReply *answer_procmgr_status(struct command *command)
{
    static const char *const columns[] = {"host", "role", "revision", "processes", "waiting", NULL};
    static const char *const waiting_columns[] = {"sentence", NULL};
    const Gemel__PlanInput *input = command->picture->input;
    size_t waiting = command->plan != NULL ? command->plan->n_sentences : 0;
    Gemel__AdminReply *reply = reply_make(command->arena, 2, 0);
    const char *cells[] = {command->config->host, input->leading ? "leading" : "standby",
                           arena_printf(command->arena, "%llu", (unsigned long long)input->revision),
                           arena_printf(command->arena, "%zu", command->picture->layout_count),
                           arena_printf(command->arena, "%zu", waiting)};
    reply_add_row(reply_add_table(reply, command->arena, "procmgr", columns, 1), command->arena, cells);
    Gemel__Table *table = reply_add_table(reply, command->arena, "waiting", waiting_columns, waiting);
    for (size_t i = 0; i < waiting; i++) {
        const char *sentence[] = {command->plan->sentences[i]};
        reply_add_row(table, command->arena, sentence);
    }
    return reply;
}

/* ---- verbs ---- */

static const struct verb {
    const char *name;
    Gemel__AdminReply *(*answer)(struct command *command);
    const char *argument; /* that names the pipeline; NULL: none */
    bool optional;        /* without it: all pipelines */
    bool service;
    const char *said; /* what the operator typed, for the log of wanted states */
} verbs[] = {
    {"pipeline.start", answer_start, "pipeline", false, false, "pipeline --start"},
    {"pipeline.force-start", answer_force_start, "pipeline", false, false, "pipeline --force-start"},
    {"pipeline.stop", answer_stop, "pipeline", false, false, "pipeline --stop"},
    {"pipeline.status", answer_status, "pipeline", true, false, ""},
    {"pipeline.list", answer_list, NULL, true, false, ""},
    {"service-class.start", answer_start, "template", false, true, "service-class --start-template"},
    {"service-class.stop", answer_stop, "template", false, true, "service-class --stop-template"},
    {"service-class.status", answer_status, "template", true, true, ""},
    {"procmgr.status", answer_procmgr_status, NULL, true, false, ""},
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

/* "pipeline --force-start DemoPipeline --instance 0 --process rdb.0" */
static const char *print_why(const struct command *command, const struct verb *verb, const char *name)
{
    const char *instance = wire_argument(command->request, "instance");
    const char *process = wire_argument(command->request, "process");
    return arena_printf(command->arena, "%s %s%s%s%s%s", verb->said, name, instance != NULL ? " --instance " : "",
                        instance != NULL ? instance : "", process != NULL ? " --process " : "",
                        process != NULL ? process : "");
}

Gemel__AdminReply *pipeline_command_answer(const struct picture *picture, const struct procmgr_config *config,
                                           const Gemel__Plan *plan, const Gemel__AdminRequest *request,
                                           struct arena *arena)
{
    const struct verb *verb = find_verb(request->verb);
    struct command command = {.picture = picture, .config = config, .plan = plan, .request = request, .arena = arena};
    if (verb == NULL)
        return reply_error(arena, REPLY_USAGE, "the process manager does not know this command, got '%s'",
                           request->verb);
    if (verb->answer == answer_procmgr_status)
        return verb->answer(&command);
    if (!picture->input->leading)
        return reply_error(arena, REPLY_NO_LEADER,
                           "the process manager on %s stands by; ask the leader (application --status names it)",
                           config->host);
    if (picture->layout == NULL)
        return reply_error(arena, REPLY_FAILED, "there is no configuration yet: use config --apply");
    command.service = verb->service;
    command.scope = arena_alloc(arena, (picture->count + 1) * sizeof(struct picture_process *));
    const char *name = verb->argument != NULL ? wire_argument(request, verb->argument) : NULL;
    if (name == NULL && !verb->optional)
        return reply_error(arena, REPLY_USAGE, "'%s' wants the name of a %s", verb->said,
                           verb->service ? "service class" : "pipeline");
    if (name != NULL) {
        Gemel__AdminReply *refusal = find_scope(&command, name);
        if (refusal != NULL)
            return refusal;
        command.why = print_why(&command, verb, name);
    } else {
        for (size_t i = 0; verb->argument != NULL && i < picture->layout->pipeline_count; i++)
            if (is_kind(&command, &picture->layout->pipelines[i]))
                add_scope(&command, &picture->layout->pipelines[i], -1, NULL, -1);
    }
    return verb->answer(&command);
}
