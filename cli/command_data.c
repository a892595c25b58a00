/* publish and query: this shell as a publisher and as a client, through libgemel. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/csv.h"
#include "cli/row_maker.h"
#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/layout/load/layout_load.h"
#include "common/loop/clock.h"
#include "worker/gemel.h"

#define NS_PER_DAY (INT64_C(86400) * 1000000000)

enum {
    GATEWAYS_MAX = 64,
    GATEWAYS_BYTES_MAX = GATEWAYS_MAX * (ADDRESS_BYTES + 1),
    EVERY_DEFAULT_MS = 1000,
    LINE_EVERY_MS = 1000,
    CSV_BATCH_ROWS = 1000,
    RUN_MS = 50,         /* between two looks at the clock and at SIGINT */
    PUBLISHERS_MAX = 64, /* commands that publish from one home at the same time */
    BATCH_ROWS_MAX = 200000
};

/* Set by SIGINT and SIGTERM: what was sent is still waited for. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* The addresses of all gateways, comma separated. False, with the report failed, when none is known. */
static bool find_gateways(struct cli *cli, struct text *addresses)
{
    struct gateway gateways[GATEWAYS_MAX];
    const size_t count = ask_gateways(cli, gateways, GATEWAYS_MAX);
    for (size_t i = 0; i < count; i++)
        text_printf(addresses, "%s%s", i > 0 ? "," : "", gateways[i].address);
    if (count == 0)
        (void)report_fail(&cli->report, CLI_EXIT_FAILED,
                          "no gateway runs: start them with `%s pipeline --start DefaultEntrypoint`",
                          cli->invocation->program);
    return count > 0;
}

static void fail_with_library(struct cli *cli, int result)
{
    (void)report_fail(&cli->report, result == -ETIMEDOUT ? CLI_EXIT_TIMEOUT : CLI_EXIT_FAILED, "%s",
                      gemel_error_text());
}

/* ---------------------------------------------------------------------------------------------------- query */

static const char *cell_text(struct cli *cli, struct gemel_value value)
{
    switch (value.kind) {
    case GEMEL_NULL:
        return "";
    case GEMEL_INTEGER:
        return report_cell(&cli->report, "%lld", (long long)value.integer);
    case GEMEL_REAL:
        return report_cell(&cli->report, "%.15g", value.real);
    case GEMEL_TEXT:
        return arena_copy(&cli->report.arena, value.bytes, value.size);
    case GEMEL_BLOB:
        return report_cell(&cli->report, "(%zu bytes)", value.size);
    }
    return "";
}

static void show_result(struct cli *cli, const struct gemel_result *result)
{
    const uint32_t columns = gemel_result_columns(result);
    const char **cells = arena_alloc(&cli->report.arena, (columns + 1) * sizeof *cells);
    for (uint32_t i = 0; i < columns; i++)
        cells[i] = gemel_result_column_name(result, i);
    Gemel__Table *table = report_table(&cli->report, "rows", NULL, cells);
    for (uint32_t row = 0; row < gemel_result_rows(result); row++) {
        for (uint32_t i = 0; i < columns; i++)
            cells[i] = cell_text(cli, gemel_result_cell(result, row, i));
        report_row(&cli->report, table, cells);
    }
    if (gemel_result_truncated(result))
        report_message(&cli->report, "only the first %u rows: the limit of %s was met", gemel_result_rows(result),
                       gemel_result_source(result));
}

void command_query(struct cli *cli)
{
    const struct invocation *invocation = cli->invocation;
    const char *pipeline = invocation_text(invocation, CLI_OPTION_PIPELINE, "");
    const char *type = invocation_text(invocation, CLI_OPTION_TYPE, "rdb");
    const int64_t timeout_ms =
        invocation_duration_ms(invocation, CLI_OPTION_TIMEOUT, cli->site.settings.query_timeout_ms);
    char target[PROCESS_NAME_BYTES];
    struct text gateways;
    text_init(&gateways, GATEWAYS_BYTES_MAX);
    struct gemel_client *client = NULL;
    struct gemel_result *result = NULL;
    (void)snprintf(target, sizeof target, "%s.%s.0", pipeline, type);
    if (!find_gateways(cli, &gateways))
        goto out;
    int code = gemel_client_open(&client, gateways.data);
    if (code == 0)
        code = gemel_query(client, target, invocation->arguments[0], (uint32_t)timeout_ms, &result);
    if (code == 0)
        show_result(cli, result);
    else
        fail_with_library(cli, code);
out:
    gemel_result_free(result);
    gemel_client_close(&client);
    text_fini(&gateways);
}

/* -------------------------------------------------------------------------------------------------- publish */

/* One run of the command. */
struct publishing {
    struct cli *cli;
    struct layout *layout;
    uint32_t instances; /* of the pipeline */
    const struct layout_table *table;
    struct gemel_column *columns;
    struct gemel_publisher *publisher;
    int name_fd;        /* holds the publisher's name */
    struct arena batch; /* cells of one batch and their texts */
    struct gemel_value *cells;
    uint32_t rows_max;
    int64_t back_ns;      /* how far the stamps lie back */
    uint64_t first;       /* sequence of the first batch of this run */
    uint64_t sent;        /* batches */
    uint64_t *rows_until; /* rows of this run up to and with each batch that is not acknowledged; a ring */
    uint64_t acknowledged;
    uint64_t rows_acknowledged;
    int64_t next_line_ms;
    FILE *csv_file;
    struct csv csv;
    size_t *csv_columns; /* table column -> field of the file; SIZE_MAX: none */
    bool is_csv_open;
};

enum {
    OUTSTANDING_MAX = 65536 /* batches sent and not acknowledged; the publisher's buffer is full long before */
};

/* Takes the first free publisher's name of this home: names are few, because every tp keeps a mark for each. */
static bool take_name(struct publishing *publishing, char name[HOST_NAME_BYTES + 32])
{
    struct cli *cli = publishing->cli;
    for (unsigned i = 0; i < PUBLISHERS_MAX; i++) {
        char below[HOME_PATH_BYTES], path[HOME_PATH_BYTES];
        (void)snprintf(below, sizeof below, "run/publish.%u.lock", i);
        home_path(&cli->site.home, below, path);
        const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
        if (fd < 0)
            break;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            publishing->name_fd = fd;
            (void)snprintf(name, HOST_NAME_BYTES + 32, "publish.%u@%s", i, cli->site.settings.host);
            return true;
        }
        (void)close(fd);
    }
    (void)report_fail(&cli->report, CLI_EXIT_FAILED, "cannot lock run/publish.N.lock in %s: %s", cli->site.home.folder,
                      strerror(errno));
    return false;
}

static bool find_table(struct publishing *publishing)
{
    struct cli *cli = publishing->cli;
    const char *table = invocation_text(cli->invocation, CLI_OPTION_TABLE, "");
    const char *pipeline = invocation_text(cli->invocation, CLI_OPTION_PIPELINE, "");
    char etc[HOME_PATH_BYTES];
    struct error_list mistakes = {0}, warnings = {0};
    home_path(&cli->site.home, "etc", etc);
    const int result = layout_load_folder(&publishing->layout, etc, &mistakes, &warnings);
    error_list_fini(&mistakes);
    error_list_fini(&warnings);
    if (result != 0) {
        (void)report_fail(&cli->report, CLI_EXIT_FAILED, "the layouts in %s have mistakes: see `%s config --check`",
                          etc, cli->invocation->program);
        return false;
    }
    publishing->table = layout_find_table(publishing->layout, table);
    const struct layout_pipeline *found = layout_find_pipeline(publishing->layout, pipeline);
    struct text why;
    text_init(&why, ERROR_SENTENCE_BYTES);
    if (publishing->table == NULL || found == NULL)
        (void)report_fail(&cli->report, CLI_EXIT_FAILED, "there is no %s '%s' in %s",
                          found == NULL ? "pipeline" : "table", found == NULL ? pipeline : table, etc);
    else if (!layout_table_feeds(publishing->table, found, &why))
        (void)report_fail(&cli->report, CLI_EXIT_FAILED, "table %s does not feed pipeline %s: %s", table, pipeline,
                          why.data);
    text_fini(&why);
    publishing->instances = found != NULL ? (uint32_t)found->instance_count : 0;
    return cli->report.reply.error[0] == '\0';
}

static void describe_columns(struct publishing *publishing)
{
    const struct layout_table *table = publishing->table;
    publishing->columns = memory_alloc_array(table->column_count, sizeof *publishing->columns);
    for (size_t i = 0; i < table->column_count; i++)
        publishing->columns[i] =
            (struct gemel_column){.name = table->columns[i].name.text, .type = table->columns[i].data_type.text};
}

static bool open_csv(struct publishing *publishing, const char *path)
{
    struct cli *cli = publishing->cli;
    struct error error = {0};
    publishing->csv_file = fopen(path, "re");
    if (publishing->csv_file == NULL) {
        (void)report_fail(&cli->report, CLI_EXIT_FAILED, "cannot read %s: %s", path, strerror(errno));
        return false;
    }
    csv_init(&publishing->csv, publishing->csv_file, path);
    publishing->is_csv_open = true;
    const int result = csv_read(&publishing->csv, &error);
    if (result <= 0) {
        (void)report_fail(&cli->report, CLI_EXIT_FAILED, "%s: %s", path,
                          result == 0 ? "the file is empty: its first line names the columns" : error.sentence);
        return false;
    }
    const size_t column_count = publishing->table->column_count;
    publishing->csv_columns = memory_alloc_array(column_count, sizeof *publishing->csv_columns);
    for (size_t i = 0; i < column_count; i++)
        publishing->csv_columns[i] = SIZE_MAX;
    for (size_t field = 0; field < publishing->csv.field_count; field++) {
        const char *name = csv_field(&publishing->csv, field);
        size_t column = 0;
        while (column < column_count && strcmp(publishing->columns[column].name, name) != 0)
            column++;
        if (column == column_count) {
            (void)report_fail(&cli->report, CLI_EXIT_FAILED, "%s:1: table %s has no column '%s'", path,
                              publishing->table->name.text, name);
            return false;
        }
        publishing->csv_columns[column] = field;
    }
    return true;
}

/* Fills the cells of one row from the file. Returns 1, 0 at its end, -1 with the report failed. */
static int read_csv_row(struct publishing *publishing, struct gemel_value *cells, int64_t wall_ns)
{
    struct csv *csv = &publishing->csv;
    struct error error = {0};
    int result = csv_read(csv, &error);
    for (size_t i = 0; result == 1 && i < publishing->table->column_count; i++) {
        const struct gemel_column *column = &publishing->columns[i];
        const size_t field = publishing->csv_columns[i];
        const struct layout_text *time_col = &publishing->table->time_col;
        cells[i] = (struct gemel_value){.kind = GEMEL_NULL};
        if (field != SIZE_MAX && field < csv->field_count)
            result =
                row_maker_read(column, arena_strdup(&publishing->batch, csv_field(csv, field)), &cells[i], &error) == 0
                    ? 1
                    : -EINVAL;
        else if (time_col->text != NULL && strcmp(time_col->text, column->name) == 0)
            cells[i] = row_maker_generate(column, 0, wall_ns, &publishing->batch);
    }
    if (result < 0)
        (void)report_fail(&publishing->cli->report, CLI_EXIT_FAILED, "%s:%u: %s", csv->name, csv->line, error.sentence);
    return result < 0 ? -1 : result;
}

/* Makes the next batch. Returns its rows; 0 at the end of the file, or with the report failed. */
static uint32_t make_batch(struct publishing *publishing)
{
    const size_t columns = publishing->table->column_count;
    const int64_t wall_ns = clock_wall_ns() - publishing->back_ns;
    arena_reset(&publishing->batch);
    uint32_t row = 0;
    for (; row < publishing->rows_max; row++) {
        struct gemel_value *cells = publishing->cells + row * columns;
        /* Rows of a batch differ in their stamps, so that an order by time is one. */
        if (publishing->is_csv_open) {
            const int result = read_csv_row(publishing, cells, wall_ns + row);
            if (result <= 0)
                return result < 0 ? 0 : row;
            continue;
        }
        for (size_t i = 0; i < columns; i++)
            cells[i] = row_maker_generate(&publishing->columns[i], (uint64_t)wall_ns + row * columns + i, wall_ns + row,
                                          &publishing->batch);
    }
    return row;
}

/* Counts what was acknowledged meanwhile, and prints the line of the second. */
static void note_progress(struct publishing *publishing, bool last)
{
    const uint64_t highest = gemel_publisher_acknowledged(publishing->publisher);
    const uint64_t count = highest >= publishing->first ? highest - publishing->first + 1 : 0;
    const bool more = count > publishing->acknowledged;
    if (more) {
        publishing->acknowledged = count;
        publishing->rows_acknowledged = publishing->rows_until[(count - 1) % OUTSTANDING_MAX];
    }
    const int64_t now_ms = clock_now_ms();
    FILE *live = publishing->cli->live;
    if (live == NULL || publishing->acknowledged == 0 || (!last && (!more || now_ms < publishing->next_line_ms)))
        return;
    char rows[32], number[32];
    text_count(rows, sizeof rows, publishing->rows_acknowledged);
    text_count(number, sizeof number, publishing->acknowledged);
    (void)fprintf(live, "published number %s - total %s rows\n", number, rows);
    (void)fflush(live);
    publishing->next_line_ms = now_ms + LINE_EVERY_MS;
}

/* Serves the network until `until_ms`. Returns 0 or the error of a refused batch. */
static int serve_until(struct publishing *publishing, int64_t until_ms)
{
    for (int64_t now_ms = clock_now_ms(); now_ms < until_ms && !interrupted; now_ms = clock_now_ms()) {
        const int64_t left_ms = until_ms - now_ms;
        const int result = gemel_publisher_run(publishing->publisher, (uint32_t)(left_ms < RUN_MS ? left_ms : RUN_MS));
        if (result != 0)
            return result;
        note_progress(publishing, false);
    }
    return 0;
}

/* Sends one batch; while the buffer is full it serves the network. */
static int send_batch(struct publishing *publishing, uint32_t rows)
{
    const char *table = publishing->table->name.text;
    int result = -EAGAIN;
    while (!interrupted && result == -EAGAIN) {
        uint64_t sequence = 0;
        if (publishing->sent - publishing->acknowledged < OUTSTANDING_MAX)
            result = gemel_publish(publishing->publisher, table, publishing->cells, rows,
                                   (uint32_t)publishing->table->column_count, &sequence);
        if (result == 0) {
            const uint64_t before =
                publishing->sent > 0 ? publishing->rows_until[(publishing->sent - 1) % OUTSTANDING_MAX] : 0;
            publishing->first = publishing->sent == 0 ? sequence : publishing->first;
            publishing->rows_until[publishing->sent++ % OUTSTANDING_MAX] = before + rows;
        } else if (result == -EAGAIN) {
            const int served = serve_until(publishing, clock_now_ms() + RUN_MS);
            result = served != 0 ? served : result;
        }
    }
    return result == -EAGAIN ? 0 : result;
}

static int send_all(struct publishing *publishing)
{
    const struct invocation *invocation = publishing->cli->invocation;
    const int64_t every_ms =
        invocation_duration_ms(invocation, CLI_OPTION_EVERY, publishing->is_csv_open ? 0 : EVERY_DEFAULT_MS);
    const uint32_t batches = invocation_number(invocation, CLI_OPTION_BATCHES, UINT32_MAX);
    int64_t next_ms = clock_now_ms();
    int result = 0;
    while (result == 0 && !interrupted && publishing->sent < batches) {
        const uint32_t rows = make_batch(publishing);
        if (rows == 0)
            break;
        result = send_batch(publishing, rows);
        next_ms += every_ms;
        if (result == 0 && publishing->sent < batches)
            result = serve_until(publishing, next_ms);
        if (result == 0)
            note_progress(publishing, false);
    }
    return result;
}

static void publish_and_wait(struct publishing *publishing)
{
    struct cli *cli = publishing->cli;
    const int64_t timeout_ms = invocation_duration_ms(cli->invocation, CLI_OPTION_TIMEOUT, WAIT_TIMEOUT_MS);
    int result = send_all(publishing);
    if (result == 0 && publishing->sent > 0)
        result =
            gemel_publisher_wait(publishing->publisher, publishing->first + publishing->sent - 1, (uint32_t)timeout_ms);
    note_progress(publishing, true);
    if (result != 0)
        fail_with_library(cli, result);
    Gemel__Table *table = cli->invocation->json
                              ? report_table(&cli->report, "published", NULL, (const char *[]){"batches", "rows", NULL})
                              : NULL;
    if (table != NULL)
        report_row(
            &cli->report, table,
            (const char *[]){report_cell(&cli->report, "%llu", (unsigned long long)publishing->acknowledged),
                             report_cell(&cli->report, "%llu", (unsigned long long)publishing->rows_acknowledged)});
}

static bool open_publisher(struct publishing *publishing)
{
    struct cli *cli = publishing->cli;
    char name[HOST_NAME_BYTES + 32];
    struct text gateways;
    text_init(&gateways, GATEWAYS_BYTES_MAX);
    bool opened = false;
    if (take_name(publishing, name) && find_gateways(cli, &gateways)) {
        const struct gemel_publisher_options options = {
            .pipeline = invocation_text(cli->invocation, CLI_OPTION_PIPELINE, ""),
            .name = name,
            .gateways = gateways.data,
            .instances = publishing->instances,
            .open_timeout_ms = (uint32_t)invocation_duration_ms(cli->invocation, CLI_OPTION_TIMEOUT, 0)};
        const int result = gemel_publisher_open(&publishing->publisher, &options);
        opened = result == 0;
        if (!opened)
            fail_with_library(cli, result);
    }
    text_fini(&gateways);
    return opened;
}

static void publishing_fini(struct publishing *publishing)
{
    gemel_publisher_close(&publishing->publisher);
    if (publishing->is_csv_open)
        csv_fini(&publishing->csv);
    if (publishing->csv_file != NULL)
        (void)fclose(publishing->csv_file);
    if (publishing->name_fd >= 0)
        (void)close(publishing->name_fd);
    arena_fini(&publishing->batch);
    memory_free(publishing->csv_columns);
    memory_free(publishing->rows_until);
    memory_free(publishing->columns);
    memory_free(publishing->cells);
    layout_destroy(&publishing->layout);
}

void command_publish(struct cli *cli)
{
    const struct invocation *invocation = cli->invocation;
    const char *csv = invocation_text(invocation, CLI_OPTION_CSV, NULL);
    struct publishing publishing = {
        .cli = cli,
        .name_fd = -1,
        .rows_max = invocation_number(invocation, CLI_OPTION_GENERATE, CSV_BATCH_ROWS),
        .back_ns = strcmp(invocation_text(invocation, CLI_OPTION_TIME, "yesterday"), "now") == 0 ? 0 : NS_PER_DAY};
    if ((csv != NULL) == invocation_has(invocation, CLI_OPTION_GENERATE) || publishing.rows_max == 0 ||
        publishing.rows_max > BATCH_ROWS_MAX) {
        (void)report_fail(&cli->report, CLI_EXIT_USAGE, "give either --generate N (1 to %d) or --csv FILE",
                          (int)BATCH_ROWS_MAX);
        return;
    }
    arena_init(&publishing.batch);
    if (!find_table(&publishing))
        goto out;
    describe_columns(&publishing);
    publishing.cells =
        memory_alloc_array((size_t)publishing.rows_max * publishing.table->column_count, sizeof *publishing.cells);
    publishing.rows_until = memory_alloc_array(OUTSTANDING_MAX, sizeof *publishing.rows_until);
    if ((csv != NULL && !open_csv(&publishing, csv)) || !open_publisher(&publishing))
        goto out;
    const struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    publish_and_wait(&publishing);
out:
    publishing_fini(&publishing);
}
