#include "daemon/core/daemon_actions.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"

enum {
    SENTENCE_BYTES_MAX = 2048
};

void daemon_actions_init(struct daemon_actions *actions)
{
    *actions = (struct daemon_actions){0};
    arena_init(&actions->arena);
}

void daemon_actions_reset(struct daemon_actions *actions)
{
    arena_reset(&actions->arena);
    actions->count = 0;
}

void daemon_actions_fini(struct daemon_actions *actions)
{
    arena_fini(&actions->arena);
    memory_free(actions->items);
    *actions = (struct daemon_actions){0};
}

struct daemon_action *daemon_actions_add(struct daemon_actions *actions, enum daemon_action_type type,
                                         const char *process)
{
    if (actions->count == actions->capacity) {
        actions->capacity = actions->capacity == 0 ? 16 : actions->capacity * 2;
        actions->items = memory_resize(actions->items, actions->capacity * sizeof *actions->items);
    }
    struct daemon_action *action = &actions->items[actions->count++];
    *action = (struct daemon_action){.type = type};
    if (process != NULL)
        action->process = arena_strdup(&actions->arena, process);
    return action;
}

void daemon_actions_log(struct daemon_actions *actions, enum daemon_log_level level, const char *format, ...)
{
    char sentence[SENTENCE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    struct daemon_action *action = daemon_actions_add(actions, DAEMON_ACTION_LOG, NULL);
    action->log.level = level;
    action->log.sentence = arena_strdup(&actions->arena, sentence);
}

void daemon_actions_urgent_first(struct daemon_actions *actions, size_t from)
{
    size_t urgent = from;
    for (size_t i = from; i < actions->count; i++) {
        struct daemon_action action = actions->items[i];
        if (action.type != DAEMON_ACTION_SPAWN && action.type != DAEMON_ACTION_KILL)
            continue;
        memmove(&actions->items[urgent + 1], &actions->items[urgent], (i - urgent) * sizeof action);
        actions->items[urgent++] = action;
    }
}
