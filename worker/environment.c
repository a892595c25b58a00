#include "worker/environment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"

static const char *get_or(const char *(*get)(const char *name), const char *name, const char *otherwise)
{
    const char *value = get(name);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

/* Cuts `text` at the first `separator` and returns what is behind it; NULL when there is none. */
static char *cut(char *text, char separator)
{
    char *at = strchr(text, separator);
    if (at == NULL)
        return NULL;
    *at = '\0';
    return at + 1;
}

static size_t count_of(const char *text, char separator)
{
    size_t count = 1;
    for (const char *at = text; *at != '\0'; at++)
        count += *at == separator;
    return count;
}

static int read_options(struct environment *environment, const char *text, struct error *error)
{
    size_t count = count_of(text, '\n');
    if (count > ENVIRONMENT_OPTIONS_MAX)
        return error_set(error, -EINVAL, "GEMEL_OPTIONS has over %d lines", ENVIRONMENT_OPTIONS_MAX);
    environment->options = arena_alloc(&environment->arena, count * sizeof environment->options[0]);
    char *line = arena_strdup(&environment->arena, text);
    while (line != NULL) {
        char *next = cut(line, '\n');
        if (line[0] != '\0') {
            char *value = cut(line, '=');
            if (value == NULL)
                return error_set(error, -EINVAL, "a line of GEMEL_OPTIONS is not key=value: '%s'", line);
            environment->options[environment->option_count++] =
                (struct environment_option){.name = line, .value = value};
        }
        line = next;
    }
    return 0;
}

static int read_columns(struct environment *environment, struct gemel_table *table, char *text, struct error *error)
{
    size_t count = count_of(text, ',');
    if (count > ENVIRONMENT_COLUMNS_MAX)
        return error_set(error, -EINVAL, "table %s in GEMEL_TABLES has over %d columns", table->name,
                         ENVIRONMENT_COLUMNS_MAX);
    struct gemel_column *columns = arena_alloc(&environment->arena, count * sizeof columns[0]);
    table->columns = columns;
    for (char *next = NULL; text != NULL; text = next) {
        next = cut(text, ',');
        char *type = cut(text, ':');
        char *attribute = type != NULL ? cut(type, ':') : NULL;
        if (text[0] == '\0' || type == NULL || type[0] == '\0')
            return error_set(error, -EINVAL,
                             "a column of table %s in GEMEL_TABLES is not name:type:attribute, got '%s'", table->name,
                             text);
        columns[table->column_count++] =
            (struct gemel_column){.name = text, .type = type, .attribute = attribute != NULL ? attribute : ""};
    }
    return 0;
}

static int read_table(struct environment *environment, char *line, struct error *error)
{
    char *id = cut(line, '\t');
    char *time = id != NULL ? cut(id, '\t') : NULL;
    char *columns = time != NULL ? cut(time, '\t') : NULL;
    if (columns == NULL || line[0] == '\0')
        return error_set(error, -EINVAL, "a line of GEMEL_TABLES has not four fields: '%s'", line);
    struct gemel_table *table = &environment->tables[environment->table_count++];
    *table = (struct gemel_table){.name = line, .id_column = id, .time_column = time};
    return read_columns(environment, table, columns, error);
}

static int read_tables(struct environment *environment, const char *text, struct error *error)
{
    size_t count = count_of(text, '\n');
    if (count > ENVIRONMENT_TABLES_MAX)
        return error_set(error, -EINVAL, "GEMEL_TABLES has over %d lines", ENVIRONMENT_TABLES_MAX);
    environment->tables = arena_alloc(&environment->arena, count * sizeof environment->tables[0]);
    int result = 0;
    char *line = arena_strdup(&environment->arena, text);
    while (result == 0 && line != NULL) {
        char *next = cut(line, '\n');
        if (line[0] != '\0')
            result = read_table(environment, line, error);
        line = next;
    }
    return result;
}

static int read_identity(struct environment *environment, const char *(*get)(const char *name), struct error *error)
{
    const char *name = get("GEMEL_PROCESS");
    if (name == NULL)
        return error_set(error, -EINVAL,
                         "GEMEL_PROCESS is not set; a worker is started by a daemon, or by hand with its "
                         "name there, such as GEMEL_PROCESS=Demo.0.echo.0");
    if (process_id_parse(name, &environment->id) != 0)
        return error_set(error, -EINVAL, "GEMEL_PROCESS is not Pipeline.instance.type.index, got '%s'", name);
    process_id_format(&environment->id, environment->name);
    const char *token = get("GEMEL_TOKEN");
    if (token != NULL && token_parse(token, &environment->token) != 0)
        return error_set(error, -EINVAL, "GEMEL_TOKEN is not placement-start, got '%s'", token);
    return 0;
}

int environment_read(struct environment *environment, const char *(*get)(const char *name), struct error *error)
{
    *environment = (struct environment){0};
    struct arena *arena = &environment->arena;
    arena_init(arena);
    int result = read_identity(environment, get, error);
    if (result != 0)
        goto out;
    environment->listen =
        arena_printf(arena, "%s:%s", get_or(get, "GEMEL_HOST", "127.0.0.1"), get_or(get, "GEMEL_PORT", "0"));
    const char *daemon = get_or(get, "GEMEL_DAEMON", NULL);
    const char *notify = get_or(get, "NOTIFY_SOCKET", NULL);
    environment->daemon = daemon != NULL ? arena_strdup(arena, daemon) : NULL;
    environment->notify_socket = notify != NULL ? arena_strdup(arena, notify) : NULL;
    environment->data_folder = arena_strdup(arena, get_or(get, "GEMEL_DATA", "."));
    environment->run_folder = arena_strdup(arena, get_or(get, "GEMEL_RUN", environment->data_folder));
    environment->watchdog_ms = strtoull(get_or(get, "WATCHDOG_USEC", "0"), NULL, 10) / 1000;
    result = read_options(environment, get_or(get, "GEMEL_OPTIONS", ""), error);
    if (result == 0)
        result = read_tables(environment, get_or(get, "GEMEL_TABLES", ""), error);
out:
    if (result != 0)
        environment_fini(environment);
    return result;
}

void environment_fini(struct environment *environment)
{
    arena_fini(&environment->arena);
    *environment = (struct environment){0};
}

const char *environment_option(const struct environment *environment, const char *name)
{
    for (size_t i = 0; i < environment->option_count; i++)
        if (strcmp(environment->options[i].name, name) == 0)
            return environment->options[i].value;
    return NULL;
}
