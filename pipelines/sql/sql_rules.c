#include "pipelines/sql/sql_rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/assert.h"

enum {
    SQL_BYTES_MAX = 1000 * 1000,
    VALUE_BYTES_MAX = 16 * 1024 * 1024, /* of one string or blob: an answer holds no longer one */
    DEPTH_MAX = 200                     /* of an expression: what people write, far below a thread's stack */
};

/* What is refused, in the operator's words. Actions that are not here have no words of their own. */
static const struct {
    int action;
    const char *words;
} refusals[] = {
    {SQLITE_INSERT, "INSERT"},
    {SQLITE_UPDATE, "UPDATE"},
    {SQLITE_DELETE, "DELETE"},
    {SQLITE_CREATE_TABLE, "CREATE TABLE"},
    {SQLITE_CREATE_TEMP_TABLE, "CREATE TABLE"},
    {SQLITE_CREATE_INDEX, "CREATE INDEX"},
    {SQLITE_CREATE_TEMP_INDEX, "CREATE INDEX"},
    {SQLITE_CREATE_VIEW, "CREATE VIEW"},
    {SQLITE_CREATE_TEMP_VIEW, "CREATE VIEW"},
    {SQLITE_CREATE_TRIGGER, "CREATE TRIGGER"},
    {SQLITE_CREATE_TEMP_TRIGGER, "CREATE TRIGGER"},
    {SQLITE_CREATE_VTABLE, "CREATE VIRTUAL TABLE"},
    {SQLITE_DROP_TABLE, "DROP TABLE"},
    {SQLITE_DROP_TEMP_TABLE, "DROP TABLE"},
    {SQLITE_DROP_INDEX, "DROP INDEX"},
    {SQLITE_DROP_VIEW, "DROP VIEW"},
    {SQLITE_DROP_TRIGGER, "DROP TRIGGER"},
    {SQLITE_DROP_VTABLE, "DROP TABLE"},
    {SQLITE_ALTER_TABLE, "ALTER TABLE"},
    {SQLITE_ATTACH, "ATTACH"},
    {SQLITE_DETACH, "DETACH"},
    {SQLITE_PRAGMA, "PRAGMA"},
    {SQLITE_TRANSACTION, "a transaction"},
    {SQLITE_SAVEPOINT, "SAVEPOINT"},
    {SQLITE_ANALYZE, "ANALYZE"},
    {SQLITE_REINDEX, "REINDEX"},
};

static int refuse(struct sql_rules *rules, const char *words)
{
    if (rules->refused[0] == '\0')
        snprintf(rules->refused, sizeof rules->refused, "%s", words);
    return SQLITE_DENY;
}

static bool is_forbidden_function(const char *name)
{
    static const char *const forbidden[] = {"load_extension", "writefile", "readfile", "edit", "fts3_tokenizer"};
    for (size_t i = 0; name != NULL && i < COUNT_OF(forbidden); i++)
        if (strcasecmp(name, forbidden[i]) == 0)
            return true;
    return false;
}

static bool is_schema(const char *table)
{
    return strcasecmp(table, "sqlite_master") == 0 || strcasecmp(table, "sqlite_temp_master") == 0;
}

static int authorize(void *data, int action, const char *one, const char *two, const char *database, const char *inner)
{
    struct sql_rules *rules = data;
    (void)database;
    (void)inner;
    if (rules->ours || action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_RECURSIVE)
        return SQLITE_OK;
    if (action == SQLITE_FUNCTION)
        return is_forbidden_function(two) ? refuse(rules, "this function") : SQLITE_OK;
    /* CREATE and DROP begin with writing the schema's own table. */
    if ((action == SQLITE_INSERT || action == SQLITE_UPDATE || action == SQLITE_DELETE) && is_schema(one))
        return refuse(rules, "changing the schema");
    for (size_t i = 0; i < COUNT_OF(refusals); i++)
        if (refusals[i].action == action)
            return refuse(rules, refusals[i].words);
    return refuse(rules, "this statement");
}

void sql_rules_apply(struct sql_rules *rules, sqlite3 *database)
{
    *rules = (struct sql_rules){0};
    sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_limit(database, SQLITE_LIMIT_SQL_LENGTH, SQL_BYTES_MAX);
    sqlite3_limit(database, SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX);
    sqlite3_limit(database, SQLITE_LIMIT_EXPR_DEPTH, DEPTH_MAX);
    sqlite3_set_authorizer(database, authorize, rules);
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n;")] == '\0';
}

/* Is there another statement behind the first? Comments are none. */
static bool has_second(sqlite3 *database, const char *tail)
{
    while (!is_blank(tail)) {
        sqlite3_stmt *second = NULL;
        const char *rest = NULL;
        if (sqlite3_prepare_v2(database, tail, -1, &second, &rest) != SQLITE_OK || second != NULL || rest == tail) {
            sqlite3_finalize(second);
            return true;
        }
        tail = rest;
    }
    return false;
}

static int explain_failure(const struct sql_rules *rules, sqlite3 *database, struct error *error)
{
    if (rules->refused[0] != '\0')
        return error_set(error, -EPERM, "queries only read here: %s is refused", rules->refused);
    return error_set(error, -EINVAL, "%s", sqlite3_errmsg(database));
}

int sql_rules_prepare(struct sql_rules *rules, sqlite3 *database, const char *sql, sqlite3_stmt **statement,
                      struct error *error)
{
    sqlite3_stmt *prepared = NULL;
    const char *tail = NULL;
    rules->refused[0] = '\0';
    if (sqlite3_prepare_v2(database, sql, -1, &prepared, &tail) != SQLITE_OK)
        return explain_failure(rules, database, error);
    int result = 0;
    if (prepared == NULL)
        result = error_set(error, -EINVAL, "there is no statement in the query");
    else if (has_second(database, tail))
        result = error_set(error, -EINVAL, "a query is one statement, here are several");
    else if (sqlite3_stmt_readonly(prepared) == 0)
        result = error_set(error, -EPERM, "queries only read here: this statement is refused");
    if (result != 0)
        sqlite3_finalize(prepared);
    else
        *statement = prepared;
    return result;
}
