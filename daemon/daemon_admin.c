#include "daemon/daemon_admin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/date.h"
#include "common/base/memory.h"
#include "common/base/process_id.h"
#include "daemon/core/daemon_core.h"
#include "daemon/core/process_machine.h"

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2
};

/* ---- tables */

static Gemel__Table *add_table(Gemel__AdminReply *reply, const char *name, const char *const columns[],
                               size_t column_count, size_t rows_max, struct arena *arena)
{
    Gemel__Table *table = arena_alloc(arena, sizeof *table);
    gemel__table__init(table);
    table->name = arena_strdup(arena, name);
    table->columns = arena_alloc(arena, column_count * sizeof *table->columns);
    for (size_t i = 0; i < column_count; i++)
        table->columns[i] = arena_strdup(arena, columns[i]);
    table->n_columns = column_count;
    table->rows = arena_alloc(arena, (rows_max + 1) * sizeof *table->rows);
    reply->tables = arena_alloc(arena, sizeof *reply->tables);
    reply->tables[0] = table;
    reply->n_tables = 1;
    return table;
}

static void add_row(Gemel__Table *table, char *const cells[], struct arena *arena)
{
    Gemel__Row *row = arena_alloc(arena, sizeof *row);
    gemel__row__init(row);
    row->cells = arena_copy(arena, cells, table->n_columns * sizeof *cells);
    row->n_cells = table->n_columns;
    table->rows[table->n_rows++] = row;
}

static char *number(uint64_t value, struct arena *arena)
{
    return arena_printf(arena, "%llu", (unsigned long long)value);
}

static char *date(int64_t wall_ns, struct arena *arena)
{
    char *text = arena_alloc(arena, DATE_TEXT_BYTES);
    date_format(wall_ns, text, DATE_TEXT_BYTES);
    return text;
}

static size_t count_state(const Gemel__ProcessReports *reports, Gemel__ProcessState state)
{
    size_t count = 0;
    for (size_t i = 0; i < reports->n_reports; i++)
        count += reports->reports[i]->state == state ? 1 : 0;
    return count;
}

/* "ready, pid 4711", or "not started here". */
static char *own_state(const Gemel__ProcessReports *own, const char *name, struct arena *arena)
{
    for (size_t i = 0; i < own->n_reports; i++) {
        const Gemel__ProcessReport *report = own->reports[i];
        const char *state = process_state_name((enum process_state)report->state);
        if (strcmp(report->process, name) == 0)
            return report->pid != 0 ? arena_printf(arena, "%s, pid %d", state, (int)report->pid)
                                    : arena_strdup(arena, state);
    }
    return arena_strdup(arena, "not seen");
}

void daemon_admin_status(Gemel__AdminReply *reply, const struct daemon_admin_status *status,
                         const Gemel__ProcessReports *reports, const Gemel__ProcessReports *own, struct arena *arena)
{
    static const char *const columns[] = {"host",   "pid",     "since",   "processes", "ready",
                                          "failed", "control", "procmgr", "adopted",   "connected"};
    char *cells[] = {
        arena_strdup(arena, status->host),
        number((uint64_t)getpid(), arena),
        date(status->started_wall_ns, arena),
        number(reports->n_reports, arena),
        number(count_state(reports, GEMEL__PROCESS_STATE__PROCESS_READY), arena),
        number(count_state(reports, GEMEL__PROCESS_STATE__PROCESS_FAILED), arena),
        own_state(own, DAEMON_CONTROL, arena),
        own_state(own, DAEMON_PROCMGR, arena),
        number(status->adopted, arena),
        arena_strdup(arena, status->controls),
    };
    add_row(add_table(reply, "daemon", columns, COUNT_OF(columns), 1, arena), cells, arena);
}

static char *exit_text(const Gemel__ProcessReport *report, struct arena *arena)
{
    if (!report->exited)
        return arena_strdup(arena, "");
    if (report->exit_unknown)
        return arena_strdup(arena, "unknown");
    return report->exit_signal != 0 ? arena_printf(arena, "signal %d", (int)report->exit_signal)
                                    : arena_printf(arena, "code %d", (int)report->exit_code);
}

static void add_process(Gemel__Table *table, const Gemel__ProcessReport *report, struct arena *arena)
{
    struct token token = {.placement = report->placement, .start = report->start};
    char token_text[TOKEN_TEXT_BYTES];
    token_format(token, token_text);
    char *cells[] = {
        arena_strdup(arena, report->process),
        arena_strdup(arena, process_state_name((enum process_state)report->state)),
        report->pid != 0 ? number((uint64_t)report->pid, arena) : arena_strdup(arena, ""),
        arena_strdup(arena, report->endpoint),
        date((int64_t)report->since_wall_ns, arena),
        number(report->restarts, arena),
        arena_strdup(arena, token_text),
        exit_text(report, arena),
        arena_strdup(arena, report->why),
        arena_strdup(arena, report->status),
    };
    add_row(table, cells, arena);
}

static int by_name(const void *left, const void *right)
{
    const Gemel__ProcessReport *const *one = left;
    const Gemel__ProcessReport *const *other = right;
    struct process_id one_id;
    struct process_id other_id;
    if (process_id_parse((*one)->process, &one_id) != 0 || process_id_parse((*other)->process, &other_id) != 0)
        return strcmp((*one)->process, (*other)->process);
    return process_id_compare(&one_id, &other_id);
}

void daemon_admin_processes(Gemel__AdminReply *reply, const Gemel__ProcessReports *reports,
                            const Gemel__ProcessReports *own, struct arena *arena)
{
    static const char *const columns[] = {"process",  "state", "pid",  "endpoint", "since",
                                          "restarts", "token", "exit", "why",      "status"};
    size_t count = reports->n_reports + own->n_reports;
    Gemel__Table *table = add_table(reply, "processes", columns, COUNT_OF(columns), count, arena);
    Gemel__ProcessReport **sorted = arena_alloc(arena, (reports->n_reports + 1) * sizeof *sorted);
    for (size_t i = 0; i < reports->n_reports; i++)
        sorted[i] = reports->reports[i];
    if (reports->n_reports > 1)
        qsort(sorted, reports->n_reports, sizeof *sorted, by_name);
    for (size_t i = 0; i < reports->n_reports; i++)
        add_process(table, sorted[i], arena);
    for (size_t i = 0; i < own->n_reports; i++)
        add_process(table, own->reports[i], arena);
}

void daemon_admin_refuse(Gemel__AdminReply *reply, int exit_code, const char *sentence, struct arena *arena)
{
    reply->exit_code = exit_code;
    reply->error = arena_strdup(arena, sentence);
}

/* ---- logs */

/* The file of a log below var/log, or NULL. */
static const char *log_file(const char *name, struct arena *arena)
{
    static const char *const programs[][2] = {
        {"DeltaControl", "deltaControl.log"}, {"control", "deltaControl.log"},      {"DeltaDaemon", "deltaDaemon.log"},
        {"daemon", "deltaDaemon.log"},        {"DeltaProcmgr", "deltaProcmgr.log"}, {"procmgr", "deltaProcmgr.log"},
    };
    struct process_id id;
    for (size_t i = 0; i < COUNT_OF(programs); i++)
        if (strcmp(programs[i][0], name) == 0)
            return programs[i][1];
    /* A full name has letters, digits, '_', '-' and three dots between its parts: no way out of the folder. */
    return process_id_parse(name, &id) == 0 ? arena_printf(arena, "%s.log", name) : NULL;
}

/* Where the last `lines` lines begin. */
static size_t last_lines(const char *bytes, size_t length, unsigned long lines)
{
    size_t at = length;
    while (at > 0) {
        if (bytes[at - 1] == '\n' && at < length && lines-- <= 1)
            break;
        at--;
    }
    return at;
}

static char *read_tail(const char *path, unsigned long lines, struct arena *arena)
{
    struct stat found;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &found) != 0) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    off_t from = found.st_size > LOGS_TAIL_BYTES_MAX ? found.st_size - LOGS_TAIL_BYTES_MAX : 0;
    char *bytes = arena_alloc(arena, LOGS_TAIL_BYTES_MAX + 1);
    ssize_t got = pread(fd, bytes, LOGS_TAIL_BYTES_MAX, from);
    close(fd);
    size_t length = got > 0 ? (size_t)got : 0;
    for (size_t i = 0; i < length; i++)
        if (bytes[i] == '\0')
            bytes[i] = ' ';
    return bytes + last_lines(bytes, length, lines);
}

void daemon_admin_logs(Gemel__AdminReply *reply, const struct home *home, const Gemel__AdminRequest *request,
                       struct arena *arena)
{
    const char *name = wire_argument(request, "process");
    const char *count = wire_argument(request, "lines");
    unsigned long lines = LOGS_TAIL_LINES;
    char *end = NULL;
    if (count != NULL && *count != '\0') {
        lines = strtoul(count, &end, 10);
        if (*end != '\0' || *count == '-' || lines == 0) {
            daemon_admin_refuse(reply, EXIT_USAGE, "lines must be a number above 0, such as --lines 100", arena);
            return;
        }
    }
    const char *file = name != NULL ? log_file(name, arena) : NULL;
    if (file == NULL) {
        daemon_admin_refuse(reply, EXIT_USAGE,
                            "name a log: a full process name such as DemoPipeline.0.rdb.0, or DeltaControl, daemon, "
                            "procmgr",
                            arena);
        return;
    }
    char path[HOME_PATH_BYTES];
    home_path(home, arena_printf(arena, "var/log/%s", file), path);
    reply->message = read_tail(path, lines, arena);
    if (reply->message == NULL)
        daemon_admin_refuse(reply, EXIT_FAILED,
                            arena_printf(arena, "%s has no log on this host (%s): try the other host", name, path),
                            arena);
}
