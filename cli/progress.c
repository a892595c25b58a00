#include "cli/progress.h"

#include <string.h>

#include "cli/printable.h"
#include "cli/report.h"
#include "common/base/memory.h"

void progress_init(struct progress *progress, FILE *live, struct progress_screen screen)
{
    *progress = (struct progress){.live = live, .screen = screen};
}

static void forget(struct progress *progress)
{
    for (size_t i = 0; i < progress->shown_count; i++)
        memory_free(progress->shown[i]);
    memory_free(progress->shown);
    progress->shown = NULL;
    progress->shown_count = 0;
}

void progress_fini(struct progress *progress)
{
    forget(progress);
}

/* `DemoPipeline.0.rdb.0  starting  replaying 43 %` */
static void write_line(const Gemel__Table *processes, size_t row, size_t name_width, struct text *line)
{
    const char *name = report_process(processes, row);
    const char *state = report_get(processes, row, "state");
    const char *why = report_get(processes, row, "why");
    const bool well = strcmp(state, "ready") == 0 || strcmp(state, "starting") == 0;
    if (well || why[0] == '\0')
        why = report_get(processes, row, "status");
    printable_append(line, name);
    text_printf(line, "%*s  ", (int)(name_width - printable_width(name)), "");
    if (why[0] == '\0')
        text_append_string(line, state);
    else
        text_printf(line, "%-8s  ", state);
    printable_append(line, why);
}

void progress_show(struct progress *progress, const Gemel__Table *processes)
{
    if (progress->live == NULL)
        return;
    const bool draw = progress->screen.columns > 0 && processes->n_rows < progress->screen.rows;
    size_t name_width = 0;
    for (size_t i = 0; i < processes->n_rows; i++) {
        const size_t width = printable_width(report_process(processes, i));
        name_width = width > name_width ? width : name_width;
    }
    if (progress->shown_count != processes->n_rows) {
        forget(progress);
        progress->shown_count = processes->n_rows;
        progress->shown = memory_alloc_array(processes->n_rows, sizeof *progress->shown);
        progress->drawn = 0;
    }
    if (draw && progress->drawn > 0)
        (void)fprintf(progress->live, "\033[%zuA", progress->drawn);
    for (size_t i = 0; i < processes->n_rows; i++) {
        struct text line;
        text_init(&line, PROGRESS_LINE_BYTES);
        write_line(processes, i, name_width, &line);
        const bool changed = progress->shown[i] == NULL || strcmp(progress->shown[i], line.data) != 0;
        if (draw)
            (void)fprintf(progress->live, "\r\033[K%.*s\n", (int)printable_bytes(line.data, progress->screen.columns),
                          line.data);
        else if (changed)
            (void)fprintf(progress->live, "%s\n", line.data);
        memory_free(progress->shown[i]);
        progress->shown[i] = text_take(&line);
        text_fini(&line);
    }
    progress->drawn = draw ? processes->n_rows : 0;
    (void)fflush(progress->live);
}

enum progress_verdict progress_judge(const Gemel__Table *processes, enum progress_goal goal, int64_t waited_ms,
                                     struct text *why)
{
    size_t reached = 0, failed = 0;
    for (size_t i = 0; i < processes->n_rows; i++) {
        const char *state = report_get(processes, i, "state");
        const bool is_failed = strcmp(state, "failed") == 0;
        switch (goal) {
        case PROGRESS_READY:
            reached += strcmp(state, "ready") == 0 ? 1 : 0;
            failed += is_failed ? 1 : 0;
            if (is_failed)
                text_printf(why, "%s%s (%s)", why->length > 0 ? ", " : "", report_process(processes, i),
                            report_get(processes, i, "why"));
            break;
        case PROGRESS_STOPPED:
            reached += strcmp(state, "stopped") == 0 || is_failed ? 1 : 0;
            break;
        }
    }
    if (processes->n_rows > 0 && reached == processes->n_rows)
        return PROGRESS_DONE;
    return failed > 0 && reached + failed == processes->n_rows && waited_ms >= PROGRESS_GRACE_MS ? PROGRESS_FAILED
                                                                                                 : PROGRESS_GOING;
}
