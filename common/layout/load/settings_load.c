#include "common/layout/load/settings_load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/layout/load/file_read.h"
#include "common/layout/load/host_lookup.h"
#include "common/layout/model/near.h"
#include "common/yaml/scalar.h"

enum {
    SETTING_VALUE_BYTES = 1024,
    NS_PER_MS = 1000000
};

enum setting {
    SETTING_PRIMARY,
    SETTING_SECONDARY,
    SETTING_CLUSTERING,
    SETTING_HOST_A,
    SETTING_HOST_B,
    SETTING_HOST,
    SETTING_ARBITER,
    SETTING_PEER_LOSS,
    SETTING_DISCOVERY,
    SETTING_CONTROL_PORT,
    SETTING_DAEMON_PORT,
    SETTING_CONSOLE_PORT,
    SETTING_GATEWAY_PORT,
    SETTING_HEARTBEAT,
    SETTING_SUSPECT,
    SETTING_LEASE,
    SETTING_LEASE_MARGIN,
    SETTING_MISSING_TIMEOUT,
    SETTING_DISCOVERY_TIME,
    SETTING_PING_INTERVAL,
    SETTING_HANG_TIMEOUT,
    SETTING_QUERY_TIMEOUT,
    SETTING_DOS_SERVERS,
    SETTING_DOS_COPIES,
    SETTING_DOS_DEGRADE_AFTER,
    SETTING_KEYS,
    SETTING_SECURITY,
    SETTING_COUNT
};

/* Where a key was given; line 0: it was not. */
struct place {
    unsigned line;
    unsigned column;
    char value[SETTING_VALUE_BYTES];
};

struct parser {
    struct settings settings;
    const char *path;
    const struct settings_lookup *lookup;
    struct error_list *mistakes;
    struct place places[SETTING_COUNT];
    size_t mistake_count;
};

struct setting_key {
    const char *name;
    const char *other_name; /* NULL: none */
    void (*read)(struct parser *parser, enum setting setting);
    size_t offset; /* of the field, for readers that serve several keys */
    int64_t min;
    int64_t max;
};

static void read_host(struct parser *parser, enum setting setting);
static void read_address(struct parser *parser, enum setting setting);
static void read_clustering(struct parser *parser, enum setting setting);
static void read_arbiter(struct parser *parser, enum setting setting);
static void read_peer_loss(struct parser *parser, enum setting setting);
static void read_discovery(struct parser *parser, enum setting setting);
static void read_port(struct parser *parser, enum setting setting);
static void read_duration(struct parser *parser, enum setting setting);
static void read_dos_servers(struct parser *parser, enum setting setting);
static void read_dos_copies(struct parser *parser, enum setting setting);
static void read_keys(struct parser *parser, enum setting setting);
static void read_security(struct parser *parser, enum setting setting);

#define FIELD(name) offsetof(struct settings, name)

enum {
    MINUTE_MS = 60000,
    HOUR_MS = 3600000
};

static const struct setting_key setting_keys[SETTING_COUNT] = {
    [SETTING_PRIMARY] = {"delta-control-master-hostname", "control-primary", read_address, FIELD(controls[0]), 0, 0},
    [SETTING_SECONDARY] = {"delta-control-slave-hostname", "control-secondary", read_address, FIELD(controls[1]), 0, 0},
    [SETTING_CLUSTERING] = {"delta-control-clustering", "clustering", read_clustering, 0, 0, 0},
    [SETTING_HOST_A] = {"auto-configure-instance-hostname-a", "host-a", read_host, FIELD(host_a), 0, 0},
    [SETTING_HOST_B] = {"auto-configure-instance-hostname-b", "host-b", read_host, FIELD(host_b), 0, 0},
    [SETTING_HOST] = {"host", NULL, read_host, FIELD(host), 0, 0},
    [SETTING_ARBITER] = {"arbiter", NULL, read_arbiter, 0, 0, 0},
    [SETTING_PEER_LOSS] = {"peer-loss", NULL, read_peer_loss, 0, 0, 0},
    [SETTING_DISCOVERY] = {"discovery", NULL, read_discovery, 0, 0, 0},
    [SETTING_CONTROL_PORT] = {"control-port", NULL, read_port, FIELD(control_port), 1, 65535},
    [SETTING_DAEMON_PORT] = {"daemon-port", NULL, read_port, FIELD(daemon_port), 1, 65535},
    [SETTING_CONSOLE_PORT] = {"console-port", NULL, read_port, FIELD(console_port), 1, 65535},
    [SETTING_GATEWAY_PORT] = {"gateway-port", NULL, read_port, FIELD(gateway_port), 1, 65535},
    [SETTING_HEARTBEAT] = {"heartbeat", NULL, read_duration, FIELD(heartbeat_ms), 10, MINUTE_MS},
    [SETTING_SUSPECT] = {"suspect", NULL, read_duration, FIELD(suspect_ms), 20, HOUR_MS},
    [SETTING_LEASE] = {"lease", NULL, read_duration, FIELD(lease_ms), 100, HOUR_MS},
    [SETTING_LEASE_MARGIN] = {"lease-margin", NULL, read_duration, FIELD(lease_margin_ms), 10, HOUR_MS},
    [SETTING_MISSING_TIMEOUT] = {"missing-timeout", NULL, read_duration, FIELD(missing_timeout_ms), 0, HOUR_MS},
    [SETTING_DISCOVERY_TIME] = {"discovery-time", NULL, read_duration, FIELD(discovery_time_ms), 100, HOUR_MS},
    [SETTING_PING_INTERVAL] = {"ping-interval", NULL, read_duration, FIELD(ping_interval_ms), 10, MINUTE_MS},
    [SETTING_HANG_TIMEOUT] = {"hang-timeout", NULL, read_duration, FIELD(hang_timeout_ms), 100, HOUR_MS},
    [SETTING_QUERY_TIMEOUT] = {"query-timeout", NULL, read_duration, FIELD(query_timeout_ms), 0, 24 * HOUR_MS},
    [SETTING_DOS_SERVERS] = {"dos-servers", NULL, read_dos_servers, 0, 0, 0},
    [SETTING_DOS_COPIES] = {"dos-copies", NULL, read_dos_copies, 0, 1, SETTINGS_DOS_SERVERS_MAX},
    [SETTING_DOS_DEGRADE_AFTER] = {"dos-degrade-after", NULL, read_duration, FIELD(dos_degrade_after_ms), 0, HOUR_MS},
    [SETTING_KEYS] = {"keys", NULL, read_keys, 0, 0, 0},
    [SETTING_SECURITY] = {"security", NULL, read_security, 0, 0, 0},
};

#define MISTAKE(parser, line, column, ...)                                                                             \
    do {                                                                                                               \
        (parser)->mistake_count++;                                                                                     \
        error_list_add((parser)->mistakes, -EINVAL, (parser)->path, line, column, __VA_ARGS__);                        \
    } while (0)
#define MISTAKE_AT(parser, setting, ...)                                                                               \
    MISTAKE(parser, (parser)->places[setting].line, (parser)->places[setting].column, __VA_ARGS__)

static void *field_of(struct parser *parser, enum setting setting)
{
    return (char *)&parser->settings + setting_keys[setting].offset;
}

/* ---- values ---- */

static bool is_host_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
}

/* Reads `host`, `host:port` or `[v6]:port`; without a port, `port` stays as it is. */
static int parse_address(const char *text, struct settings_address *address)
{
    struct settings_address found = *address;
    const char *host = text;
    size_t length = strcspn(text, ":");
    const char *rest = text + length;
    if (text[0] == '[') {
        host = text + 1;
        length = strspn(host, "0123456789abcdefABCDEF:.");
        if (host[length] != ']')
            return -EINVAL;
        rest = host + length + 1;
    } else {
        for (size_t i = 0; i < length; i++)
            if (!is_host_character(host[i]))
                return -EINVAL;
    }
    if (length == 0 || length >= sizeof found.host || (*rest != '\0' && *rest != ':'))
        return -EINVAL;
    int64_t port = found.port;
    if (*rest == ':' && (scalar_integer(rest + 1, &port) < 0 || port < 1 || port > 65535))
        return -EINVAL;
    memcpy(found.host, host, length);
    found.host[length] = '\0';
    found.port = (uint16_t)port;
    *address = found;
    return 0;
}

static void read_host(struct parser *parser, enum setting setting)
{
    struct settings_address address = {0};
    const char *value = parser->places[setting].value;
    if (parse_address(value, &address) < 0 || address.port != 0)
        MISTAKE_AT(parser, setting, "'%s' wants a host name without a port, got '%s'", setting_keys[setting].name,
                   value);
    else
        memcpy(field_of(parser, setting), address.host, sizeof address.host);
}

static void read_address(struct parser *parser, enum setting setting)
{
    struct settings_address address = {0};
    const char *value = parser->places[setting].value;
    if (parse_address(value, &address) < 0)
        MISTAKE_AT(parser, setting, "'%s' wants 'host' or 'host:port', got '%s'", setting_keys[setting].name, value);
    else
        memcpy(field_of(parser, setting), &address, sizeof address);
}

/* The position of the value among the NULL-ended `words`, or -EINVAL with a mistake. */
static int read_choice(struct parser *parser, enum setting setting, const char *const *words, const char *wanted)
{
    const char *value = parser->places[setting].value;
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], value) == 0)
            return i;
    MISTAKE_AT(parser, setting, "'%s' wants %s, got '%s'", setting_keys[setting].name, wanted, value);
    return -EINVAL;
}

static void read_clustering(struct parser *parser, enum setting setting)
{
    static const char *const words[] = {"0", "1", "false", "true", "no", "yes", "off", "on", NULL};
    int choice = read_choice(parser, setting, words, "0 or 1");
    parser->settings.clustering = choice >= 0 && choice % 2 == 1;
}

static void read_arbiter(struct parser *parser, enum setting setting)
{
    /* Another arbiter changes what the pair promises, so one that nothing asks must not be accepted. */
    static const char *const words[] = {"none", NULL};
    read_choice(parser, setting, words, "none (this version has no other arbiter)");
}

static void read_peer_loss(struct parser *parser, enum setting setting)
{
    static const char *const words[] = {"promote", "freeze", NULL};
    int choice = read_choice(parser, setting, words, "promote or freeze");
    parser->settings.peer_loss = choice == 1 ? PEER_LOSS_FREEZE : PEER_LOSS_PROMOTE;
}

static void read_discovery(struct parser *parser, enum setting setting)
{
    static const char *const words[] = {"names", NULL};
    read_choice(parser, setting, words, "names");
}

static void read_port(struct parser *parser, enum setting setting)
{
    const struct setting_key *key = &setting_keys[setting];
    int64_t port = 0;
    const char *value = parser->places[setting].value;
    if (scalar_integer(value, &port) < 0 || port < key->min || port > key->max) {
        MISTAKE_AT(parser, setting, "'%s' wants a port from 1 to 65535, got '%s'", key->name, value);
        return;
    }
    uint16_t small = (uint16_t)port;
    memcpy(field_of(parser, setting), &small, sizeof small);
}

static void read_duration(struct parser *parser, enum setting setting)
{
    const struct setting_key *key = &setting_keys[setting];
    const char *value = parser->places[setting].value;
    int64_t nanoseconds = 0;
    int result = scalar_duration(value, UNIT_MS, &nanoseconds);
    if (result == -EINVAL) {
        MISTAKE_AT(parser, setting, "'%s' wants a duration such as 250ms or 3s, got '%s'", key->name, value);
        return;
    }
    int64_t milliseconds = nanoseconds / NS_PER_MS;
    if (result < 0 || nanoseconds % NS_PER_MS != 0 || milliseconds < key->min || milliseconds > key->max) {
        MISTAKE_AT(parser, setting, "'%s' must be whole milliseconds from %lldms to %lldms, got '%s'", key->name,
                   (long long)key->min, (long long)key->max, value);
        return;
    }
    memcpy(field_of(parser, setting), &milliseconds, sizeof milliseconds);
}

static void read_dos_servers(struct parser *parser, enum setting setting)
{
    char list[SETTING_VALUE_BYTES];
    char *rest = list;
    text_copy(list, sizeof list, parser->places[setting].value);
    for (char *item = strsep(&rest, ","); item != NULL; item = strsep(&rest, ",")) {
        item += strspn(item, " \t");
        size_t length = strcspn(item, " \t");
        item[length] = '\0';
        struct settings_address address = {0};
        if (parse_address(item, &address) < 0 || address.port == 0) {
            MISTAKE_AT(parser, setting, "'dos-servers' wants 'host:port', comma separated, got '%s'", item);
            return;
        }
        if (parser->settings.dos_server_count == SETTINGS_DOS_SERVERS_MAX) {
            MISTAKE_AT(parser, setting, "'dos-servers' takes at most %d servers, got '%s'", SETTINGS_DOS_SERVERS_MAX,
                       parser->places[setting].value);
            return;
        }
        parser->settings.dos_servers[parser->settings.dos_server_count++] = address;
    }
}

static void read_dos_copies(struct parser *parser, enum setting setting)
{
    const struct setting_key *key = &setting_keys[setting];
    const char *value = parser->places[setting].value;
    int64_t count = 0;
    if (strcmp(value, "all") == 0)
        parser->settings.dos_copies = 0;
    else if (scalar_integer(value, &count) < 0 || count < key->min || count > key->max)
        MISTAKE_AT(parser, setting, "'dos-copies' wants all or a number from 1 to %lld, got '%s'", (long long)key->max,
                   value);
    else
        parser->settings.dos_copies = (unsigned)count;
}

static void read_keys(struct parser *parser, enum setting setting)
{
    if (!text_copy(parser->settings.keys, sizeof parser->settings.keys, parser->places[setting].value))
        MISTAKE_AT(parser, setting, "'keys' wants a shorter path, got '%s'", parser->places[setting].value);
}

static void read_security(struct parser *parser, enum setting setting)
{
    static const char *const words[] = {"on", "none", NULL};
    int choice = read_choice(parser, setting, words, "on or none");
    parser->settings.security = choice == 1 ? SECURITY_NONE : SECURITY_ON;
}

/* ---- lines ---- */

static int find_key(const char *name, enum setting *setting)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting_key *key = &setting_keys[i];
        if (strcmp(key->name, name) == 0 || (key->other_name != NULL && strcmp(key->other_name, name) == 0)) {
            *setting = (enum setting)i;
            return 0;
        }
    }
    return -ENOENT;
}

static void refuse_unknown_key(struct parser *parser, unsigned line, unsigned column, const char *name)
{
    struct near near;
    char hint[NEAR_HINT_BYTES];
    near_init(&near, name);
    for (int i = 0; i < SETTING_COUNT; i++) {
        near_offer(&near, setting_keys[i].name);
        if (setting_keys[i].other_name != NULL)
            near_offer(&near, setting_keys[i].other_name);
    }
    MISTAKE(parser, line, column, "unknown key%s, got '%s'", near_hint(&near, hint), name);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts a comment (a '#' at the start or behind a blank) and the blanks at the end. */
static void cut_comment(char *line)
{
    size_t length = 0;
    while (line[length] != '\0' && !(line[length] == '#' && (length == 0 || is_blank(line[length - 1]))))
        length++;
    while (length > 0 && is_blank(line[length - 1]))
        length--;
    line[length] = '\0';
}

static void parse_line(struct parser *parser, char *line, unsigned number)
{
    cut_comment(line);
    char *name = line;
    while (is_blank(*name))
        name++;
    if (*name == '\0')
        return;
    unsigned column = (unsigned)(name - line) + 1;
    char *equals = strchr(name, '=');
    if (equals == NULL || equals == name) {
        MISTAKE(parser, number, column, "a line must be 'key = value', got '%s'", name);
        return;
    }
    char *end = equals;
    while (end > name && is_blank(end[-1]))
        end--;
    char *value = equals + 1;
    while (is_blank(*value))
        value++;
    *end = '\0';
    enum setting setting = SETTING_COUNT;
    if (find_key(name, &setting) < 0) {
        refuse_unknown_key(parser, number, column, name);
        return;
    }
    struct place *place = &parser->places[setting];
    if (place->line != 0) {
        MISTAKE(parser, number, column, "the key was given before, in line %u, got '%s'", place->line, name);
        return;
    }
    place->line = number;
    place->column = (unsigned)(value - line) + 1;
    if (*value == '\0')
        MISTAKE_AT(parser, setting, "'%s' has no value, got ''", name);
    else if (!text_copy(place->value, sizeof place->value, value))
        MISTAKE_AT(parser, setting, "'%s' has a value of more than %d bytes, got '%.40s'", name,
                   SETTING_VALUE_BYTES - 1, value);
    else
        setting_keys[setting].read(parser, setting);
}

static void parse_lines(struct parser *parser, const char *text, size_t length)
{
    char *copy = memory_copy(text, length);
    char *line = copy;
    unsigned number = 1;
    const char *nul = memchr(text, '\0', length);
    if (nul != NULL)
        MISTAKE(parser, 1, 1, "the file has a NUL byte, got byte %zu", (size_t)(nul - text));
    while (line != NULL) {
        char *next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        parse_line(parser, line, number++);
        line = next;
    }
    memory_free(copy);
}

/* ---- what follows from several keys ---- */

static void add_host(struct settings *settings, const char *host)
{
    if (host[0] == '\0' || settings_has_host(settings, host))
        return;
    ASSERT(settings->host_count < SETTINGS_HOSTS_MAX);
    text_copy(settings->hosts[settings->host_count++], HOST_NAME_BYTES, host);
}

/* The controls serve for the sides and the sides for the controls where only one of them is named. */
static void gather_hosts(struct parser *parser)
{
    struct settings *settings = &parser->settings;
    char(*sides[2])[HOST_NAME_BYTES] = {&settings->host_a, &settings->host_b};
    for (size_t i = 0; i < 2; i++) {
        struct settings_address *control = &settings->controls[i];
        if (control->host[0] == '\0')
            text_copy(control->host, sizeof control->host, *sides[i]);
        if ((*sides[i])[0] == '\0')
            text_copy(*sides[i], HOST_NAME_BYTES, control->host);
        if (control->port == 0)
            control->port = settings->control_port;
        add_host(settings, control->host);
    }
    add_host(settings, settings->host_a);
    add_host(settings, settings->host_b);
    settings->control_count = settings->clustering ? 2 : 1;
    if (settings->controls[0].host[0] == '\0')
        MISTAKE(parser, 0, 0, "no host is named: set 'control-primary', and 'control-secondary' for a pair");
    else if (settings->clustering && settings->controls[1].host[0] == '\0')
        MISTAKE_AT(parser, SETTING_CLUSTERING, "clustering wants 'control-secondary', got '%s'",
                   parser->places[SETTING_CLUSTERING].value);
    else if (settings->clustering && strcmp(settings->controls[0].host, settings->controls[1].host) == 0)
        MISTAKE_AT(parser, SETTING_SECONDARY, "the two controls must be on two hosts, got '%s' twice",
                   settings->controls[0].host);
    if (!settings->clustering)
        settings->controls[1] = (struct settings_address){0};
}

static void list_hosts(const struct settings *settings, struct text *text)
{
    for (size_t i = 0; i < settings->host_count; i++)
        text_printf(text, "%s%s", i == 0 ? "" : ", ", settings->hosts[i]);
}

/* Without `host`, the one configured host whose address this machine has. */
static void find_own_host(struct parser *parser)
{
    struct settings *settings = &parser->settings;
    const char *local = NULL;
    size_t local_count = 0;
    struct text names;
    text_init(&names, SETTINGS_HOSTS_MAX * HOST_NAME_BYTES);
    list_hosts(settings, &names);
    if (settings->host[0] != '\0') {
        if (!settings_has_host(settings, settings->host))
            MISTAKE_AT(parser, SETTING_HOST, "'host' must be one of the configured hosts (%s), got '%s'", names.data,
                       settings->host);
        goto out;
    }
    for (size_t i = 0; i < settings->host_count; i++)
        if (parser->lookup->is_local(parser->lookup->owner, settings->hosts[i])) {
            local = settings->hosts[i];
            local_count++;
        }
    if (local_count == 1)
        text_copy(settings->host, sizeof settings->host, local);
    else
        MISTAKE(parser, 0, 0, "say which host this is: set 'host' to one of %s (this machine has the address of %s)",
                names.data, local_count == 0 ? "none of them" : "several of them");
out:
    text_fini(&names);
}

static void find_own_node(struct settings *settings)
{
    for (unsigned i = 0; i < settings->control_count; i++)
        if (strcmp(settings->controls[i].host, settings->host) == 0)
            settings->node = i + 1;
    if (settings->clustering && settings->node != 0)
        text_copy(settings->peer_host, sizeof settings->peer_host, settings->controls[2 - settings->node].host);
}

/* A relation between two durations, reported at whichever of them was given. */
static void check_less(struct parser *parser, enum setting less, enum setting more)
{
    int64_t less_ms = 0;
    int64_t more_ms = 0;
    memcpy(&less_ms, field_of(parser, less), sizeof less_ms);
    memcpy(&more_ms, field_of(parser, more), sizeof more_ms);
    if (less_ms < more_ms)
        return;
    enum setting at = parser->places[more].line != 0 ? more : less;
    MISTAKE_AT(parser, at, "'%s' must be longer than '%s' (%lldms), got '%lldms'", setting_keys[more].name,
               setting_keys[less].name, (long long)less_ms, (long long)more_ms);
}

static void check_ports(struct parser *parser)
{
    for (int i = SETTING_CONTROL_PORT; i <= SETTING_GATEWAY_PORT; i++)
        for (int j = SETTING_CONTROL_PORT; j < i; j++) {
            uint16_t one = 0;
            uint16_t other = 0;
            memcpy(&one, field_of(parser, (enum setting)i), sizeof one);
            memcpy(&other, field_of(parser, (enum setting)j), sizeof other);
            enum setting at = parser->places[i].line != 0 ? (enum setting)i : (enum setting)j;
            if (one == other)
                MISTAKE_AT(parser, at, "'%s' and '%s' must be two ports, got '%u'", setting_keys[j].name,
                           setting_keys[i].name, (unsigned)one);
        }
}

static void check_security(struct parser *parser)
{
    struct settings *settings = &parser->settings;
    if (settings->security != SECURITY_NONE)
        return;
    for (size_t i = 0; i < settings->host_count; i++)
        if (!parser->lookup->is_loopback(parser->lookup->owner, settings->hosts[i]))
            MISTAKE_AT(parser, SETTING_SECURITY, "'security = none' is for loopback addresses only, got host '%s'",
                       settings->hosts[i]);
}

/* The keys' folder is below the home folder, the one above the folder of the settings file. */
static void resolve_keys(struct parser *parser)
{
    struct settings *settings = &parser->settings;
    if (settings->keys[0] == '/')
        return;
    const char *slash = strrchr(parser->path, '/');
    size_t folder_bytes = slash == NULL ? 0 : (size_t)(slash - parser->path);
    struct text text;
    text_init(&text, sizeof settings->keys - 1);
    if (slash == NULL)
        text_printf(&text, "../%s", settings->keys);
    else if (memrchr(parser->path, '/', folder_bytes) == NULL)
        text_append_string(&text, settings->keys);
    else {
        const char *above = memrchr(parser->path, '/', folder_bytes);
        text_append(&text, parser->path, (size_t)(above - parser->path));
        text_printf(&text, "/%s", settings->keys);
    }
    if (text.truncated)
        MISTAKE(parser, parser->places[SETTING_KEYS].line, parser->places[SETTING_KEYS].column,
                "the path of the keys is too long, got '%s'", text.data);
    text_copy(settings->keys, sizeof settings->keys, text.data);
    text_fini(&text);
}

int settings_parse(struct settings *settings, const char *path, const char *text, size_t length,
                   const struct settings_lookup *lookup, struct error_list *mistakes)
{
    struct parser *parser = memory_alloc(sizeof *parser);
    *parser = (struct parser){.path = path, .lookup = lookup, .mistakes = mistakes};
    settings_init(&parser->settings);
    text_copy(parser->settings.file, sizeof parser->settings.file, path);
    parse_lines(parser, text, length);
    gather_hosts(parser);
    if (parser->settings.host_count > 0)
        find_own_host(parser);
    find_own_node(&parser->settings);
    check_less(parser, SETTING_HEARTBEAT, SETTING_SUSPECT);
    check_less(parser, SETTING_SUSPECT, SETTING_LEASE);
    check_less(parser, SETTING_LEASE_MARGIN, SETTING_LEASE);
    check_less(parser, SETTING_PING_INTERVAL, SETTING_HANG_TIMEOUT);
    check_ports(parser);
    check_security(parser);
    resolve_keys(parser);
    int result = parser->mistake_count == 0 ? 0 : -EINVAL;
    if (result == 0)
        *settings = parser->settings;
    memory_free(parser);
    error_list_sort(mistakes);
    return result;
}

static bool ask_local(void *owner, const char *host)
{
    (void)owner;
    return host_is_local(host);
}

static bool ask_loopback(void *owner, const char *host)
{
    (void)owner;
    return host_is_loopback(host);
}

int settings_load(struct settings *settings, const char *path, struct error_list *mistakes)
{
    static const struct settings_lookup lookup = {.is_local = ask_local, .is_loopback = ask_loopback};
    char *text = NULL;
    size_t length = 0;
    struct error error;
    int result = file_read(path, LAYOUT_FILE_BYTES_MAX, &text, &length, &error);
    if (result < 0) {
        error_list_add(mistakes, result, error.file, 0, 0, "%s", error.sentence);
        return result;
    }
    result = settings_parse(settings, path, text, length, &lookup, mistakes);
    memory_free(text);
    return result;
}

void settings_warn_addresses(const struct settings *settings, struct error_list *warnings)
{
    for (size_t i = 0; i < settings->host_count; i++)
        if (!host_is_loopback(settings->hosts[i]))
            error_list_add(warnings, -EPERM, settings->file, 0, 0,
                           "the data plane of this version carries no TLS and serves loopback addresses only, got host "
                           "'%s'",
                           settings->hosts[i]);
}
