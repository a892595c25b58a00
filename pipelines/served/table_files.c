#include "pipelines/served/table_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/memory.h"
#include "common/base/text.h"
#include "pipelines/sql/sql_schema.h"

enum {
    FILES_MAX = 10000,
    SQL_BYTES_MAX = 1024 * 1024
};

static int is_database_name(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 3 && entry->d_name[0] != '.' && strcmp(entry->d_name + length - 3, ".db") == 0;
}

static int execute(sqlite3 *database, const char *sql)
{
    return sqlite3_exec(database, sql, NULL, NULL, NULL);
}

/* The path as an URI that opens read-only. */
static void append_uri(struct text *text, const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    text_append_string(text, "file:");
    for (const char *at = path; *at != '\0'; at++) {
        if (strchr("%?#'", *at) != NULL)
            text_printf(text, "%%%02X", (unsigned)*at);
        else
            text_append(text, at, 1);
    }
    text_append_string(text, "?mode=ro");
}

/* Attaches a file as d<number>. Returns whether it is a database. */
static bool attach(sqlite3 *database, const char *folder, const char *name, size_t number)
{
    struct text sql;
    text_init(&sql, SQL_BYTES_MAX);
    text_append_string(&sql, "ATTACH '");
    append_uri(&sql, folder, name);
    text_printf(&sql, "' AS d%zu", number);
    bool good = execute(database, sql.data) == SQLITE_OK;
    if (good) {
        text_clear(&sql);
        text_printf(&sql, "SELECT count(*) FROM d%zu.sqlite_master", number);
        good = execute(database, sql.data) == SQLITE_OK;
        text_clear(&sql);
        text_printf(&sql, "DETACH d%zu", number);
        if (!good)
            execute(database, sql.data);
    }
    text_fini(&sql);
    return good;
}

/* Appends `SELECT columns FROM d<number>.table` when the file has such a table. */
static bool append_part(sqlite3 *database, const struct gemel_table *table, size_t number, bool first,
                        struct text *view)
{
    struct text part;
    sqlite3_stmt *probe = NULL;
    text_init(&part, SQL_BYTES_MAX);
    text_append_string(&part, "SELECT ");
    sql_schema_columns(&part, table);
    text_printf(&part, " FROM d%zu.", number);
    sql_schema_quote(&part, table->name);
    bool has = sqlite3_prepare_v2(database, part.data, -1, &probe, NULL) == SQLITE_OK;
    sqlite3_finalize(probe);
    if (has) {
        text_append_string(view, first ? "" : " UNION ALL ");
        text_append_string(view, part.data);
    }
    text_fini(&part);
    return has;
}

static int make_table(sqlite3 *database, const struct gemel_table *table, size_t file_count)
{
    struct text sql;
    bool found = false;
    text_init(&sql, SQL_BYTES_MAX);
    text_append_string(&sql, "CREATE TEMP VIEW ");
    sql_schema_quote(&sql, table->name);
    text_append_string(&sql, " AS ");
    for (size_t i = 0; i < file_count; i++)
        found = append_part(database, table, i, !found, &sql) || found;
    if (!found) {
        text_clear(&sql);
        sql_schema_create_table(&sql, table);
    }
    int result = execute(database, sql.data);
    text_fini(&sql);
    return result;
}

static void attach_files(sqlite3 *database, const char *folder, size_t *attached, size_t *left_out)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_database_name, alphasort);
    size_t max = (size_t)sqlite3_limit(database, SQLITE_LIMIT_ATTACHED, -1);
    /* From the last name on: of dates these are the newest. */
    for (int i = count - 1; i >= 0; i--) {
        if (*attached < max && attach(database, folder, entries[i]->d_name, *attached))
            (*attached)++;
        else
            (*left_out)++;
        free(entries[i]);
    }
    free(entries);
}

int table_files_open(const char *folder, const struct gemel_table *tables, size_t table_count, sqlite3 **database,
                     size_t *left_out, struct error *error)
{
    sqlite3 *opened = NULL;
    size_t attached = 0;
    size_t missed = 0;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX;
    int result = sqlite3_open_v2("file::memory:", &opened, flags, NULL);
    if (result == SQLITE_OK)
        attach_files(opened, folder, &attached, &missed);
    for (size_t i = 0; result == SQLITE_OK && i < table_count; i++)
        result = make_table(opened, &tables[i], attached);
    if (result != SQLITE_OK) {
        error_set(error, -EIO, "cannot serve the files in %s: %s", folder, sqlite3_errmsg(opened));
        sqlite3_close(opened);
        return -EIO;
    }
    sqlite3_busy_timeout(opened, 1000);
    *database = opened;
    if (left_out != NULL)
        *left_out = missed;
    return 0;
}

uint64_t table_files_stamp(const char *folder)
{
    struct stat status;
    if (stat(folder, &status) != 0)
        return 0;
    return (uint64_t)status.st_mtim.tv_sec * 1000000000u + (uint64_t)status.st_mtim.tv_nsec;
}
