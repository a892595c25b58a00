#include "daemon/launch.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/bounds.h"
#include "common/loop/clock.h"
#include "common/loop/home.h"
#include "daemon/run_base.h"

enum {
    FOLDER_MODE = 0750,
    VARIABLES = 5,
    ENVIRONMENT_OURS_MAX = 16,
    USER_BUFFER_BYTES = 16 * 1024
};

/* The variables of one launch, for replacing. */
struct variables {
    const char *names[VARIABLES];
    const char *values[VARIABLES];
};

/* ---- text */

char *launch_replace(const char *text, const char *const names[], const char *const values[], size_t count,
                     struct arena *arena)
{
    if (strstr(text, "${") == NULL)
        return arena_strdup(arena, text);
    struct text out;
    text_init(&out, LAYOUT_FILE_BYTES_MAX);
    while (*text != '\0') {
        const char *end = strncmp(text, "${", 2) == 0 ? strchr(text, '}') : NULL;
        size_t found = count;
        for (size_t i = 0; end != NULL && i < count && found == count; i++)
            if (strlen(names[i]) == (size_t)(end - text) - 2 && strncmp(text + 2, names[i], strlen(names[i])) == 0)
                found = i;
        if (found < count) {
            text_append_string(&out, values[found]);
            text = end + 1;
        } else {
            text_append(&out, text++, 1);
        }
    }
    char *result = arena_strdup(arena, out.data);
    text_fini(&out);
    return result;
}

static char *replace(const char *text, const struct variables *variables, struct arena *arena)
{
    return launch_replace(text, variables->names, variables->values, VARIABLES, arena);
}

int launch_read_cpus(const char *text, const cpu_set_t *existing, cpu_set_t *cpus)
{
    cpu_set_t found;
    CPU_ZERO(&found);
    const char *at = text;
    while (*at != '\0') {
        char *end = NULL;
        if (!isdigit((unsigned char)*at))
            return -EINVAL;
        unsigned long first = strtoul(at, &end, 10);
        unsigned long last = first;
        if (*end == '-') {
            if (!isdigit((unsigned char)end[1]))
                return -EINVAL;
            last = strtoul(end + 1, &end, 10);
        }
        if (last < first || (*end != ',' && *end != '\0') || (*end == ',' && end[1] == '\0'))
            return -EINVAL;
        for (unsigned long cpu = first; cpu <= last && cpu < CPU_SETSIZE; cpu++)
            if (CPU_ISSET(cpu, existing))
                CPU_SET(cpu, &found);
        at = *end == ',' ? end + 1 : end;
    }
    if (CPU_COUNT(&found) == 0)
        return *text == '\0' ? -EINVAL : -ENODEV;
    *cpus = found;
    return 0;
}

int launch_read_limit(const char *name, const char *value, struct spawn_limit *limit)
{
    static const struct {
        const char *name;
        int resource;
    } names[] = {
        {"as", RLIMIT_AS},       {"core", RLIMIT_CORE},       {"cpu", RLIMIT_CPU},     {"data", RLIMIT_DATA},
        {"fsize", RLIMIT_FSIZE}, {"memlock", RLIMIT_MEMLOCK}, {"memory", RLIMIT_AS},   {"nofile", RLIMIT_NOFILE},
        {"nproc", RLIMIT_NPROC}, {"rtprio", RLIMIT_RTPRIO},   {"stack", RLIMIT_STACK},
    };
    size_t found = 0;
    while (found < COUNT_OF(names) && strcmp(names[found].name, name) != 0)
        found++;
    if (found == COUNT_OF(names))
        return -EINVAL;
    rlim_t number = RLIM_INFINITY;
    if (strcmp(value, "unlimited") != 0) {
        char *end = NULL;
        if (!isdigit((unsigned char)*value))
            return -EINVAL;
        number = strtoull(value, &end, 10);
        static const char units[] = "KMG";
        const char *unit = *end != '\0' ? strchr(units, toupper((unsigned char)*end)) : NULL;
        if (*end != '\0' && (unit == NULL || end[1] != '\0'))
            return -EINVAL;
        if (unit != NULL)
            number <<= 10 * (unit - units + 1);
    }
    *limit = (struct spawn_limit){.resource = names[found].resource, .value = {.rlim_cur = number, .rlim_max = number}};
    return 0;
}

/* ---- folders */

/* The process's memory-like state is not kept: the folder is moved aside, because removing what a database left there
 * takes longer than a start. */
static int renew_run_folder(const char *base, const char *folder, struct launch *launch, struct arena *arena,
                            struct error *error)
{
    if (rmdir(folder) != 0 && errno != ENOENT) {
        const char *trash = arena_printf(arena, "%s.trash-%lld", folder, (long long)clock_now_us());
        if (rename(folder, trash) != 0)
            return error_set(error, -errno, "cannot empty the folder %s: %s", folder, strerror(errno));
        launch->trash = trash;
    }
    int result = mkdir(folder, FOLDER_MODE) == 0 ? 0 : -errno;
    /* Somebody swept /dev/shm: that must not keep every process of this host down until the daemon is restarted. */
    if (result == -ENOENT && home_make_folder(base, RUN_BASE_MODE) == 0)
        result = mkdir(folder, FOLDER_MODE) == 0 ? 0 : -errno;
    return result == 0 ? 0 : error_set(error, result, "cannot make the folder %s: %s", folder, strerror(-result));
}

static int make_data_folder(const char *folder, struct error *error)
{
    if (mkdir(folder, FOLDER_MODE) == 0 || errno == EEXIST)
        return 0;
    int result = home_make_folder(folder, FOLDER_MODE);
    return result == 0 ? 0 : error_set(error, result, "cannot make the folder %s: %s", folder, strerror(-result));
}

/* ---- command and environment */

static bool is_executable_file(const char *path)
{
    struct stat found;
    return access(path, X_OK) == 0 && stat(path, &found) == 0 && S_ISREG(found.st_mode);
}

static const char *find_executable(const char *name, const struct launch_site *site, const char *path,
                                   struct arena *arena)
{
    if (strchr(name, '/') != NULL)
        return name;
    const char *beside = arena_printf(arena, "%s/%s", site->programs, name);
    if (is_executable_file(beside))
        return beside;
    while (*path != '\0') {
        size_t length = strcspn(path, ":");
        const char *candidate =
            arena_printf(arena, "%.*s/%s", length > 0 ? (int)length : 1, length > 0 ? path : ".", name);
        if (is_executable_file(candidate))
            return candidate;
        path += length + (path[length] == ':' ? 1 : 0);
    }
    return NULL;
}

/* What the daemon itself was told by whoever started it is not for its processes. */
static bool is_inherited(const char *line)
{
    static const char *const ours[] = {"GEMEL_",  "NOTIFY_SOCKET=", "WATCHDOG_",
                                       "LISTEN_", "INVOCATION_ID=", "JOURNAL_STREAM="};
    for (size_t i = 0; i < COUNT_OF(ours); i++)
        if (strncmp(line, ours[i], strlen(ours[i])) == 0)
            return false;
    return true;
}

struct environment {
    char **lines;
    size_t count;
};

static void set_variable(struct environment *environment, const char *name, const char *value, struct arena *arena)
{
    char *line = arena_printf(arena, "%s=%s", name, value);
    size_t name_bytes = strlen(name) + 1;
    for (size_t i = 0; i < environment->count; i++) {
        if (strncmp(environment->lines[i], line, name_bytes) == 0) {
            environment->lines[i] = line;
            return;
        }
    }
    environment->lines[environment->count++] = line;
}

static struct environment make_environment(const struct launch_site *site, const Gemel__ProcessSpec *spec,
                                           struct token token, const struct variables *variables, struct arena *arena)
{
    size_t inherited = 0;
    while (environ[inherited] != NULL)
        inherited++;
    struct environment made = {0};
    made.lines = arena_alloc(arena, (inherited + spec->n_env + ENVIRONMENT_OURS_MAX + 1) * sizeof *made.lines);
    for (size_t i = 0; i < inherited; i++)
        if (is_inherited(environ[i]))
            made.lines[made.count++] = environ[i];
    for (size_t i = 0; i < spec->n_env; i++)
        set_variable(&made, spec->env[i]->name, replace(spec->env[i]->value, variables, arena), arena);
    char token_text[TOKEN_TEXT_BYTES];
    token_format(token, token_text);
    set_variable(&made, "GEMEL_PROCESS", spec->process, arena);
    set_variable(&made, "GEMEL_TOKEN", token_text, arena);
    set_variable(&made, "GEMEL_HOME", site->home, arena);
    set_variable(&made, "GEMEL_HOST", site->host, arena);
    set_variable(&made, "GEMEL_DAEMON", arena_printf(arena, "unix:%s", site->daemon_socket), arena);
    set_variable(&made, "GEMEL_DATA", variables->values[3], arena);
    set_variable(&made, "GEMEL_RUN", variables->values[4], arena);
    set_variable(&made, "NOTIFY_SOCKET", site->notify_socket, arena);
    if (spec->port != 0)
        set_variable(&made, "GEMEL_PORT", variables->values[1], arena);
    if (spec->watchdog_ms != 0)
        set_variable(&made, "WATCHDOG_USEC", arena_printf(arena, "%llu", (unsigned long long)spec->watchdog_ms * 1000),
                     arena);
    return made;
}

static const char *value_of(const struct environment *environment, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < environment->count; i++)
        if (strncmp(environment->lines[i], name, length) == 0 && environment->lines[i][length] == '=')
            return environment->lines[i] + length + 1;
    return "";
}

static int prepare_command(struct launch *launch, const struct launch_site *site, const Gemel__ProcessSpec *spec,
                           const struct variables *variables, const struct environment *environment,
                           struct arena *arena, struct error *error)
{
    if (spec->n_command == 0)
        return error_set(error, -EINVAL, "there is no command to execute");
    char **arguments = arena_alloc(arena, (spec->n_command + 1) * sizeof *arguments);
    for (size_t i = 0; i < spec->n_command; i++)
        arguments[i] = replace(spec->command[i], variables, arena);
    launch->request.arguments = arguments;
    launch->request.executable = find_executable(arguments[0], site, value_of(environment, "PATH"), arena);
    if (launch->request.executable == NULL)
        return error_set(error, -ENOENT, "cannot execute %s: not found beside our programs (%s) nor in PATH",
                         arguments[0], site->programs);
    return 0;
}

/* ---- user, limits, CPUs, port */

static int prepare_user(struct launch *launch, const Gemel__ProcessSpec *spec, struct error *error)
{
    struct spawn_request *request = &launch->request;
    if (*spec->user == '\0')
        return 0;
    char buffer[USER_BUFFER_BYTES];
    struct passwd entry;
    struct passwd *found = NULL;
    int result = getpwnam_r(spec->user, &entry, buffer, sizeof buffer, &found);
    if (found == NULL)
        return error_set(error, result != 0 ? -result : -ENOENT, "there is no user %s on this host", spec->user);
    if (entry.pw_uid == geteuid())
        return 0;
    int count = SPAWN_GROUPS_MAX;
    if (getgrouplist(spec->user, entry.pw_gid, request->groups, &count) < 0)
        return error_set(error, -E2BIG, "user %s is in more than %d groups", spec->user, SPAWN_GROUPS_MAX);
    request->group_count = (size_t)count;
    request->user = entry.pw_uid;
    request->group = entry.pw_gid;
    request->has_user = true;
    return 0;
}

static int prepare_resources(struct launch *launch, const struct launch_site *site, const Gemel__ProcessSpec *spec,
                             struct arena *arena, struct error *error)
{
    struct spawn_request *request = &launch->request;
    struct rlimit nofile;
    if (site->nofile_soft != 0 && getrlimit(RLIMIT_NOFILE, &nofile) == 0) {
        nofile.rlim_cur = site->nofile_soft;
        request->limits[request->limit_count++] = (struct spawn_limit){.resource = RLIMIT_NOFILE, .value = nofile};
    }
    for (size_t i = 0; i < spec->n_limits; i++) {
        const Gemel__Limit *limit = spec->limits[i];
        if (request->limit_count == SPAWN_LIMITS_MAX)
            return error_set(error, -E2BIG, "more than %d limits", SPAWN_LIMITS_MAX);
        if (launch_read_limit(limit->name, limit->value, &request->limits[request->limit_count]) != 0)
            return error_set(error, -EINVAL, "limit %s: %s is not understood: a number with K, M, G, or unlimited",
                             limit->name, limit->value);
        request->limit_count++;
    }
    request->niceness = spec->nice;
    if (*spec->cpu_taskset == '\0')
        return 0;
    cpu_set_t existing;
    int result = sched_getaffinity(0, sizeof existing, &existing) != 0
                     ? -errno
                     : launch_read_cpus(spec->cpu_taskset, &existing, &request->cpus);
    request->has_cpus = result == 0;
    if (result == -EINVAL)
        return error_set(error, -EINVAL, "cpu-taskset %s is not understood: a list such as 0-3,7", spec->cpu_taskset);
    if (result != 0)
        launch->warning = arena_printf(arena, "none of the CPUs %s exists here: it runs on all", spec->cpu_taskset);
    return 0;
}

/* A port that somebody else listens on would look like readiness, and the process would die of it with words that only
 * its log knows. */
static int check_port(const char *host, uint32_t port, struct error *error)
{
    char service[16];
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    snprintf(service, sizeof service, "%u", (unsigned)port);
    if (port == 0 || getaddrinfo(host, service, &hints, &addresses) != 0)
        return 0; /* a name, not a number: looking it up may wait, and the process will tell */
    int on = 1;
    int result = 0;
    int fd = socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, addresses->ai_addr, addresses->ai_addrlen) != 0 && errno == EADDRINUSE)
        result = error_set(error, -EADDRINUSE, "port %u of %s is in use by another program", (unsigned)port, host);
    if (fd >= 0)
        close(fd);
    freeaddrinfo(addresses);
    return result;
}

static int own_folders(const struct launch *launch, const struct variables *variables, struct error *error)
{
    const struct spawn_request *request = &launch->request;
    for (size_t i = 3; i < VARIABLES && request->has_user; i++)
        if (chown(variables->values[i], request->user, request->group) != 0)
            return error_set(error, -errno, "cannot give the folder %s to the user: %s", variables->values[i],
                             strerror(errno));
    return 0;
}

int launch_prepare(struct launch *launch, const struct launch_site *site, const Gemel__ProcessSpec *spec,
                   struct token token, struct arena *arena, struct error *error)
{
    *launch = (struct launch){.request = {.input_fd = -1, .output_fd = -1, .cgroup_fd = -1}};
    struct variables variables = {
        .names = {"host", "port", "home", "data", "run"},
        .values = {site->host, arena_printf(arena, "%u", (unsigned)spec->port), site->home,
                   arena_printf(arena, "%s/var/lib/processes/%s", site->home, spec->process),
                   arena_printf(arena, "%s/%s", site->run_base, spec->process)},
    };
    struct environment environment = make_environment(site, spec, token, &variables, arena);
    launch->request.environment = environment.lines;
    launch->request.folder = *spec->cwd != '\0' ? replace(spec->cwd, &variables, arena) : variables.values[3];
    int result = prepare_command(launch, site, spec, &variables, &environment, arena, error);
    if (result == 0)
        result = check_port(site->host, spec->port, error);
    if (result == 0 && spec->readiness_port != spec->port)
        result = check_port(site->host, spec->readiness_port, error);
    if (result == 0)
        result = prepare_user(launch, spec, error);
    if (result == 0)
        result = prepare_resources(launch, site, spec, arena, error);
    if (result == 0)
        result = make_data_folder(variables.values[3], error);
    if (result == 0)
        result = renew_run_folder(site->run_base, variables.values[4], launch, arena, error);
    if (result == 0)
        result = own_folders(launch, &variables, error);
    return result;
}
