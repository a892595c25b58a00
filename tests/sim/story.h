/* What a run tells: one line a step, `time actor fact -> decision, decision`. Pure but for printing.
 *
 * A batch of seeds tells nothing (it would cost more than the run); a seed that fails is run again, telling. */
#ifndef GEMEL_TESTS_SIM_STORY_H
#define GEMEL_TESTS_SIM_STORY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    STORY_LINE_BYTES = 400,
    STORY_TAIL_LINES = 120 /* kept for the end of a failed run */
};

enum story_mode {
    STORY_SILENT,
    STORY_TAIL, /* keep the last lines */
    STORY_PRINT /* print each line as it comes */
};

struct story {
    enum story_mode mode;
    char fact[STORY_LINE_BYTES]; /* of the step being told; empty: none */
    char decisions[STORY_LINE_BYTES];
    char (*tail)[STORY_LINE_BYTES]; /* a ring of STORY_TAIL_LINES; NULL unless STORY_TAIL */
    uint64_t line_count;
};

void story_init(struct story *story, enum story_mode mode);
void story_fini(struct story *story);

/* Is anybody listening? Callers format nothing otherwise. */
bool story_is_told(const struct story *story);

/* Starts a step with its fact. */
void story_fact(struct story *story, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds what was decided because of it. */
void story_decision(struct story *story, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends the step: one line, unless nothing was decided. */
void story_end(struct story *story, int64_t now_us, const char *actor);

/* A line of its own. */
void story_line(struct story *story, int64_t now_us, const char *actor, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Prints the kept lines, oldest first. */
void story_print_tail(const struct story *story);

#endif
