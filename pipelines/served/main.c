/* gemel-idb and gemel-hdb: serve, read-only, the SQLite files in their data folder. idb: TABLE.db or idb.db; hdb: one
 * file a date, YYYY-MM-DD.db. In this version nothing writes them: without files the tables are there and empty. */
#include <stdio.h>
#include <string.h>

#include "common/log/log.h"
#include "pipelines/served/table_files.h"
#include "pipelines/sql/sql_server.h"

enum {
    LOOK_MS = 1000
};

struct served {
    struct gemel_worker *worker;
    struct sql_server *sql;
    uint64_t stamp; /* of the folder, when it was last looked at */
};

static int open_connection(void *owner, sqlite3 **database, struct error *error)
{
    const struct environment *environment = worker_environment(((struct served *)owner)->worker);
    return table_files_open(environment->data_folder, environment->tables, environment->table_count, database, NULL,
                            error);
}

/* Opens the files once, to say what is there. */
static void report(struct served *served)
{
    const struct environment *environment = worker_environment(served->worker);
    struct error error = {0};
    sqlite3 *database = NULL;
    size_t left_out = 0;
    if (table_files_open(environment->data_folder, environment->tables, environment->table_count, &database, &left_out,
                         &error) != 0) {
        log_error("Files cannot be served [ Reason: %s ]", error.sentence);
        gemel_worker_stale(served->worker, "files cannot be served");
        return;
    }
    sqlite3_close(database);
    gemel_worker_stale(served->worker, "");
    gemel_worker_status(served->worker, "%zu tables", environment->table_count);
    if (left_out > 0)
        log_warn("Files are not served [ Folder: %s ] [ Files: %zu ] [ Reason: no database, or too many files ]",
                 environment->data_folder, left_out);
}

static void on_look(void *data)
{
    struct served *served = data;
    uint64_t stamp = table_files_stamp(gemel_worker_data_folder(served->worker));
    if (stamp == served->stamp)
        return;
    served->stamp = stamp;
    sql_server_reopen(served->sql);
    report(served);
}

static int start(struct served *served)
{
    struct sql_server_options options = {.open = open_connection, .owner = served};
    int result = sql_server_create(&served->sql, served->worker, &options);
    if (result != 0) {
        log_error("Cannot serve [ Reason: %s ]", gemel_error_text());
        return result;
    }
    served->stamp = table_files_stamp(gemel_worker_data_folder(served->worker));
    report(served);
    gemel_worker_timer(served->worker, LOOK_MS, LOOK_MS, on_look, served);
    gemel_worker_ready(served->worker);
    return 0;
}

int main(void)
{
    struct served served = {0};
    if (gemel_worker_open(&served.worker) != 0) {
        fprintf(stderr, "%s\n", gemel_error_text());
        return 125; /* starting again does not help */
    }
    struct log_options log = {.process = gemel_worker_name(served.worker), .type = gemel_worker_type(served.worker)};
    log_open(&log, NULL);
    int result = start(&served);
    if (result == 0)
        result = gemel_worker_run(served.worker);
    sql_server_destroy(&served.sql);
    gemel_worker_close(&served.worker);
    return result == 0 ? 0 : 1;
}
