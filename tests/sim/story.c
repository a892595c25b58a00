#include "tests/sim/story.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"

void story_init(struct story *story, enum story_mode mode)
{
    *story = (struct story){.mode = mode};
    if (mode == STORY_TAIL)
        story->tail = memory_alloc_array(STORY_TAIL_LINES, STORY_LINE_BYTES);
}

void story_fini(struct story *story)
{
    memory_free(story->tail);
    *story = (struct story){0};
}

bool story_is_told(const struct story *story)
{
    return story->mode != STORY_SILENT;
}

static void add_line(struct story *story, int64_t now_us, const char *actor, const char *text)
{
    char line[STORY_LINE_BYTES];
    snprintf(line, sizeof line, "%11.6f  %-24s %s", (double)now_us / 1e6, actor, text);
    if (story->mode == STORY_PRINT)
        puts(line);
    else
        memcpy(story->tail[story->line_count % STORY_TAIL_LINES], line, sizeof line);
    story->line_count++;
}

void story_fact(struct story *story, const char *format, ...)
{
    if (!story_is_told(story))
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(story->fact, sizeof story->fact, format, arguments);
    va_end(arguments);
    story->decisions[0] = '\0';
}

void story_decision(struct story *story, const char *format, ...)
{
    if (!story_is_told(story))
        return;
    size_t used = strlen(story->decisions);
    if (used > 0 && used + 2 < sizeof story->decisions) {
        memcpy(story->decisions + used, ", ", 3);
        used += 2;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(story->decisions + used, sizeof story->decisions - used, format, arguments);
    va_end(arguments);
}

void story_end(struct story *story, int64_t now_us, const char *actor)
{
    if (!story_is_told(story) || story->decisions[0] == '\0')
        return;
    char text[2 * STORY_LINE_BYTES + 8];
    snprintf(text, sizeof text, "%s -> %s", story->fact, story->decisions);
    add_line(story, now_us, actor, text);
    story->decisions[0] = '\0';
}

void story_line(struct story *story, int64_t now_us, const char *actor, const char *format, ...)
{
    if (!story_is_told(story))
        return;
    char text[STORY_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    add_line(story, now_us, actor, text);
}

void story_print_tail(const struct story *story)
{
    if (story->tail == NULL)
        return;
    uint64_t first = story->line_count > STORY_TAIL_LINES ? story->line_count - STORY_TAIL_LINES : 0;
    for (uint64_t line = first; line < story->line_count; line++)
        puts(story->tail[line % STORY_TAIL_LINES]);
}
