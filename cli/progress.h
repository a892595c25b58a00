/* Live progress of processes that start or stop: a line each, drawn over on a terminal, appended when it changes
 * elsewhere. Reads tables of processes (columns processName, state, host, status, why); asks nobody. */
#ifndef GEMEL_CLI_PROGRESS_H
#define GEMEL_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/text.h"
#include "common/wire/gemel.pb-c.h"

enum {
    PROGRESS_GRACE_MS = 1000, /* a state `failed` that is older than the command counts only after this */
    PROGRESS_LINE_BYTES = 512
};

enum progress_goal {
    PROGRESS_READY,
    PROGRESS_STOPPED
};

enum progress_verdict {
    PROGRESS_GOING,
    PROGRESS_DONE,
    PROGRESS_FAILED
};

/* A terminal whose lines can be drawn over: longer ones are cut, and more rows than it has are appended instead. */
struct progress_screen {
    size_t columns; /* 0: it is no terminal */
    size_t rows;
};

struct progress {
    FILE *live; /* NULL: nobody looks */
    struct progress_screen screen;
    size_t drawn; /* lines on the terminal that can be drawn over */
    char **shown; /* the last line of each row; owned */
    size_t shown_count;
};

void progress_init(struct progress *progress, FILE *live, struct progress_screen screen);
void progress_fini(struct progress *progress);

/* Shows the table's rows. */
void progress_show(struct progress *progress, const Gemel__Table *processes);

/* Is the goal reached by all rows of the table, `waited_ms` after the order? With FAILED, `why` (appended) names each
 * failed process. A table without rows is never done. */
enum progress_verdict progress_judge(const Gemel__Table *processes, enum progress_goal goal, int64_t waited_ms,
                                     struct text *why);

#endif
