/* gemel-procmgr: plans what runs where, beside each control; the one whose control leads is listened to.
 * A shell: procmgr/core decides; this file dials the control of its host, turns its messages into events, loads the
 * layout of a new revision, and carries the core's actions out. It keeps nothing on disk. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/layout/load/layout_load.h"
#include "common/layout/load/settings_load.h"
#include "common/log/log.h"
#include "common/loop/clock.h"
#include "common/loop/notify.h"
#include "common/loop/program.h"
#include "common/net/keys.h"
#include "common/net/plane.h"
#include "procmgr/core/procmgr.h"

enum {
    EXIT_FAILED = 1,
    HELLO_EVERY_MS = 1000,         /* until the control answers with an input */
    READY_WITHOUT_INPUT_MS = 5000, /* a control that is away must not make its daemon restart us */
};
struct shell {
    struct program *program;
    struct settings settings;
    struct keys *keys;
    struct plane *plane;
    struct dealer *dealer;
    struct procmgr_core *core;
    struct procmgr_actions actions;
    struct layout *layout; /* of `revision`; NULL: none, or it could not be loaded */
    uint64_t revision;
    uint64_t epoch;   /* of the last input: plans and replies belong to that leadership */
    bool heard;       /* an input came since the control was reached */
    bool asked_again; /* for files that went astray */
    struct notify notify;
    int64_t started_ms;
    int64_t hello_ms; /* the next hello is due */
    uv_timer_t timer;
    bool timer_open;
};

static void say_status(struct shell *shell, const char *status)
{
    text_copy(shell->notify.status, sizeof shell->notify.status, status);
    shell->notify.ready = true;
    notify_send_state(&shell->notify);
}

/* ---- actions ---- */

static void send_message(struct shell *shell, Gemel__Envelope *envelope)
{
    envelope->epoch = shell->epoch;
    int result = dealer_send(shell->dealer, envelope);
    /* A control that is gone gets a new plan, and a command is asked again, when it is back. */
    if (result < 0 && result != -EHOSTUNREACH)
        log_warn("Control did not take a message [ Error: %s ]", strerror(-result));
}

static void write_log(const struct procmgr_action *action)
{
    switch (action->log.level) {
    case PROCMGR_LOG_INFO:
        log_info("%s", action->log.sentence);
        break;
    case PROCMGR_LOG_WARN:
        log_warn("%s", action->log.sentence);
        break;
    case PROCMGR_LOG_ERROR:
        log_error("%s", action->log.sentence);
        break;
    }
}

static void carry_out(struct shell *shell, const struct procmgr_action *action)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    switch (action->type) {
    case PROCMGR_ACTION_PLAN:
        envelope.body_case = GEMEL__ENVELOPE__BODY_PLAN;
        envelope.plan = action->plan;
        send_message(shell, &envelope);
        break;
    case PROCMGR_ACTION_REPLY:
        envelope.request_id = action->reply.id;
        envelope.body_case = GEMEL__ENVELOPE__BODY_ADMIN_REPLY;
        envelope.admin_reply = action->reply.message;
        send_message(shell, &envelope);
        break;
    case PROCMGR_ACTION_STATUS:
        say_status(shell, action->status);
        break;
    case PROCMGR_ACTION_LOG:
        write_log(action);
        break;
    }
}

static void step(struct shell *shell, const struct procmgr_event *event)
{
    procmgr_actions_reset(&shell->actions);
    int result = procmgr_step(shell->core, event, &shell->actions);
    if (result < 0)
        log_warn("A message makes no sense [ Error: %s ]", strerror(-result));
    for (size_t i = 0; i < shell->actions.count; i++)
        carry_out(shell, &shell->actions.items[i]);
}

/* ---- the control ---- */

static void say_hello(struct shell *shell)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    Gemel__ProcmgrHello hello = GEMEL__PROCMGR_HELLO__INIT;
    hello.host = shell->settings.host;
    /* None: the number alone does not say that its content is the one we know. */
    hello.revision_known = 0;
    envelope.body_case = GEMEL__ENVELOPE__BODY_PROCMGR_HELLO;
    envelope.procmgr_hello = &hello;
    shell->hello_ms = clock_now_ms() + HELLO_EVERY_MS;
    send_message(shell, &envelope);
}

static void report(enum log_level level, const struct error_list *list)
{
    struct text text;
    text_init(&text, ERROR_SENTENCE_BYTES + ERROR_FILE_BYTES + 64);
    for (size_t i = 0; i < list->count; i++) {
        text_clear(&text);
        error_print(&list->items[i], &text);
        log_write(level, "Layout [ Mistake: %s ]", text.data);
    }
    text_fini(&text);
}

/* The layout of an input's files; NULL when it has mistakes, which the control's check should have refused. */
static struct layout *load_layout(const Gemel__PlanInput *input)
{
    struct error_list mistakes = {0};
    struct error_list warnings = {0};
    struct layout *layout = NULL;
    struct layout_file *files = memory_alloc_array(input->n_files + 1, sizeof *files);
    for (size_t i = 0; i < input->n_files; i++)
        files[i] =
            (struct layout_file){input->files[i]->path, input->files[i]->content, strlen(input->files[i]->content)};
    int result = layout_load_files(&layout, files, input->n_files, NULL, &mistakes, &warnings);
    report(LOG_ERROR, &mistakes);
    if (result == 0)
        log_info("Layout loaded [ Revision: %llu ] [ Processes: %zu ]", (unsigned long long)input->revision,
                 layout->process_count);
    else
        log_error("Layout cannot be loaded: nothing new starts [ Revision: %llu ]",
                  (unsigned long long)input->revision);
    memory_free(files);
    error_list_fini(&mistakes);
    error_list_fini(&warnings);
    return layout;
}

static void on_plan_input(struct shell *shell, const Gemel__PlanInput *input)
{
    struct layout *old = NULL;
    if (input->n_files > 0 || input->revision == 0) { /* 0: the control has no configuration yet */
        old = shell->layout;
        shell->layout = input->n_files > 0 ? load_layout(input) : NULL;
        shell->revision = input->revision;
    } else if (input->revision != shell->revision) {
        /* Its files went astray: ask for them, once at once, then at the timer's pace. */
        shell->heard = false;
        if (!shell->asked_again)
            say_hello(shell);
        shell->asked_again = true;
        return;
    }
    shell->heard = true;
    shell->asked_again = false;
    struct procmgr_event event = {.type = PROCMGR_EVENT_INPUT, .now_ms = clock_now_ms()};
    event.input.message = input;
    event.input.layout = shell->layout;
    step(shell, &event);
    layout_destroy(&old); /* only now: the core looked at it until this input */
}

static void on_ping(struct shell *shell, const Gemel__Ping *ping)
{
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    Gemel__Pong pong = GEMEL__PONG__INIT;
    pong.sent_ms = ping->sent_ms;
    envelope.body_case = GEMEL__ENVELOPE__BODY_PONG;
    envelope.pong = &pong;
    send_message(shell, &envelope);
}

static void on_message(void *owner, const Gemel__Envelope *message)
{
    struct shell *shell = owner;
    if (message->body_case == GEMEL__ENVELOPE__BODY_PING) {
        on_ping(shell, message->ping);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_PLAN_INPUT) {
        shell->epoch = message->epoch;
        on_plan_input(shell, message->plan_input);
    } else if (message->body_case == GEMEL__ENVELOPE__BODY_ADMIN_REQUEST) {
        struct procmgr_event event = {.type = PROCMGR_EVENT_REQUEST, .now_ms = clock_now_ms()};
        event.request.id = message->request_id;
        event.request.message = message->admin_request;
        step(shell, &event);
    }
}

static void on_up(void *owner)
{
    struct shell *shell = owner;
    log_info("Control reached [ Host: %s ]", shell->settings.host);
    shell->heard = false;
    say_hello(shell);
}

static void on_down(void *owner, const char *why)
{
    struct shell *shell = owner;
    log_warn("Control not reached [ Host: %s ] [ Reason: %s ]", shell->settings.host, why);
}

/* ---- time ---- */

static void on_timer(uv_timer_t *timer)
{
    struct shell *shell = timer->data;
    int64_t now_ms = clock_now_ms();
    /* There is no link that would tell of a new daemon: it hears all with each sign of life. */
    shell->notify.missed = true;
    notify_beat(&shell->notify);
    if (procmgr_next_wakeup_ms(shell->core) <= now_ms) {
        struct procmgr_event event = {.type = PROCMGR_EVENT_TICK, .now_ms = now_ms};
        step(shell, &event);
    }
    if (dealer_is_up(shell->dealer) && !shell->heard && now_ms >= shell->hello_ms)
        say_hello(shell);
    if (!shell->notify.ready && now_ms - shell->started_ms >= READY_WITHOUT_INPUT_MS)
        say_status(shell, "standby");
}

/* ---- life ---- */

static int load_settings(struct shell *shell, struct error *error)
{
    char path[HOME_PATH_BYTES];
    struct error_list mistakes = {0};
    home_path(&shell->program->home, "etc/settings.conf", path);
    int result = settings_load(&shell->settings, path, &mistakes);
    for (size_t i = 0; i < mistakes.count; i++)
        log_error("Settings are wrong [ Place: %s:%u:%u ] [ Mistake: %s ]", mistakes.items[i].file,
                  mistakes.items[i].line, mistakes.items[i].column, mistakes.items[i].sentence);
    error_list_fini(&mistakes);
    if (result < 0)
        error_set(error, result, "cannot use the settings in %s", path);
    return result;
}

static int dial_control(struct shell *shell, struct error *error)
{
    static const struct dealer_handlers handlers = {on_message, on_up, on_down};
    char folder[HOME_PATH_BYTES];
    char address[ADDRESS_BYTES];
    char sender[HOST_NAME_BYTES + 16];
    home_path(&shell->program->home, shell->settings.keys, folder);
    settings_control_address_of(&shell->settings, shell->settings.host, address);
    snprintf(sender, sizeof sender, "procmgr@%s", shell->settings.host);
    int result = keys_load(&shell->keys, folder, error);
    if (result == 0)
        result = plane_create(&shell->plane, &shell->program->loop, shell->keys, shell->settings.host, sender, error);
    if (result == 0)
        result = dealer_create(&shell->dealer, shell->plane, address, &handlers, shell, error);
    return result;
}

static int shell_start(struct shell *shell, struct error *error)
{
    int result = load_settings(shell, error);
    if (result < 0)
        return result;
    struct procmgr_config config = {
        .hang_timeout_ms = (uint32_t)shell->settings.hang_timeout_ms,
        .query_timeout_ms = (uint32_t)shell->settings.query_timeout_ms,
        .gateway_port = shell->settings.gateway_port,
    };
    text_copy(config.host, sizeof config.host, shell->settings.host);
    procmgr_create(&shell->core, &config);
    procmgr_actions_init(&shell->actions);
    result = dial_control(shell, error);
    if (result < 0)
        return result;
    shell->started_ms = clock_now_ms();
    ASSERT(uv_timer_init(&shell->program->loop, &shell->timer) == 0);
    shell->timer_open = true;
    shell->timer.data = shell;
    /* A plan's wake-ups are sentences about waiting hosts: a second early or late is nothing. */
    uint64_t every_ms = shell->notify.beat_ms < HELLO_EVERY_MS ? shell->notify.beat_ms : HELLO_EVERY_MS;
    ASSERT(uv_timer_start(&shell->timer, on_timer, every_ms, every_ms) == 0);
    return 0;
}

static void shell_end(struct shell *shell)
{
    if (shell->timer_open)
        uv_close((uv_handle_t *)&shell->timer, NULL);
    notify_fini(&shell->notify);
    dealer_destroy(&shell->dealer);
    plane_destroy(&shell->plane);
    keys_destroy(&shell->keys);
    procmgr_destroy(&shell->core);
    procmgr_actions_fini(&shell->actions);
    layout_destroy(&shell->layout);
}

static int open_log(const struct program *program, struct error *error)
{
    char path[HOME_PATH_BYTES];
    home_path(&program->home, "var/log/deltaProcmgr.log", path);
    const struct log_options options = {
        .path = path, .process = "deltaProcmgr", .type = "procmgr", .json = program->log_json};
    return log_open(&options, error);
}

int main(int argc, char **argv)
{
    static const struct program_about about = {
        .name = "gemel-procmgr",
        .purpose = "plans which processes run where; started by the daemon of its host",
        .pid_name = "procmgr",
    };
    struct program program;
    int exit_code = 0;
    if (!program_start(&program, &about, argc, argv, &exit_code))
        return exit_code;
    struct shell *shell = memory_alloc(sizeof *shell);
    struct error error;
    shell->program = &program;
    notify_init_here(&shell->notify);
    if (open_log(&program, &error) < 0 || shell_start(shell, &error) < 0) {
        log_error("Process manager cannot start [ Reason: %s ]", error.sentence);
        fprintf(stderr, "gemel-procmgr: %s\n", error.sentence);
        program_stop(&program, EXIT_FAILED);
    } else {
        log_info("Process manager started [ Host: %s ]", shell->settings.host);
        program_run(&program);
        shell->notify.stopping = true;
        notify_send_state(&shell->notify);
        log_info("Process manager stopped");
    }
    shell_end(shell);
    exit_code = program_finish(&program);
    memory_free(shell);
    log_close();
    return exit_code;
}
