/* gemel-gateway: sends each query to the primary instance, and to the other one the moment the primary fails.
 * This file finds out where it is and starts the parts; gateway/core decides, relay.c and gateway_plane.c do. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/assert.h"
#include "common/base/process_id.h"
#include "common/base/text.h"
#include "common/layout/load/settings_load.h"
#include "common/log/log.h"
#include "common/loop/program.h"
#include "common/net/keys.h"
#include "gateway/gateway_plane.h"
#include "gateway/parent.h"
#include "gateway/relay.h"

enum {
    EXIT_FAILED = 1
};

struct gateway {
    struct program program;
    struct parent_place place;
    struct settings settings;
    struct keys *keys;
    struct parent *parent;
    struct relay *relay;
    struct gateway_plane *plane;
    const char *process; /* --process */
    const char *listen;  /* --listen */
    char epoch_file[HOME_PATH_BYTES];
};

static int load_settings(struct gateway *self, struct error *error)
{
    char path[HOME_PATH_BYTES];
    struct error_list mistakes = {0};
    home_path(&self->program.home, "etc/settings.conf", path);
    int result = settings_load(&self->settings, path, &mistakes);
    for (size_t i = 0; i < mistakes.count; i++)
        log_error("Settings are wrong [ File: %s:%u ] [ Reason: %s ]", mistakes.items[i].file, mistakes.items[i].line,
                  mistakes.items[i].sentence);
    error_list_fini(&mistakes);
    if (result != 0)
        error_set(error, result, "cannot use %s", path);
    return result;
}

/* GEMEL_HOST:GEMEL_PORT, else this host and the settings' gateway port. */
static void find_listen(const struct gateway *self, char listen[ADDRESS_BYTES])
{
    struct settings_address address = {.port = self->settings.gateway_port};
    const char *host = self->place.host != NULL ? self->place.host : self->settings.host;
    text_copy(address.host, sizeof address.host, host);
    if (self->place.port != NULL) {
        unsigned long port = strtoul(self->place.port, NULL, 10);
        address.port = port > UINT16_MAX ? 0 : (uint16_t)port;
    }
    if (self->listen != NULL)
        text_copy(listen, ADDRESS_BYTES, self->listen);
    else
        settings_address_format(&address, listen);
}

static void on_action(void *owner, const struct gateway_action *action)
{
    struct gateway *self = owner;
    if (self->plane != NULL)
        gateway_plane_carry_out(self->plane, action);
}

static uint64_t max_lag_option(void)
{
    char value[32];
    return parent_option("max-lag", value, sizeof value) ? strtoull(value, NULL, 10) : 0;
}

static int start_relay(struct gateway *self, struct error *error)
{
    const struct settings *settings = &self->settings;
    const char *hosts[SETTINGS_HOSTS_MAX];
    for (size_t i = 0; i < settings->host_count; i++)
        hosts[i] = settings->hosts[i];
    struct gateway_config core = {
        .name = self->process,
        .host_count = settings->host_count,
        .hosts = hosts,
        .control_count = settings->control_count,
        .ping_interval_ms = settings->ping_interval_ms,
        .hang_timeout_ms = settings->hang_timeout_ms,
        .query_timeout_ms = settings->query_timeout_ms == 0 ? -1 : settings->query_timeout_ms,
        .max_lag_rows = max_lag_option(),
        .epoch_seen = self->epoch_file[0] != '\0' ? gateway_plane_read_epoch(self->epoch_file) : 0,
    };
    char listen[ADDRESS_BYTES];
    find_listen(self, listen);
    struct relay_config config = {
        .listen = listen,
        .name = self->process,
        .token = self->place.token,
        .core = &core,
        .on_action = on_action,
        .owner = self,
    };
    if (getrandom(&config.incarnation, sizeof config.incarnation, 0) != (ssize_t)sizeof config.incarnation)
        return error_set(error, -errno, "no random number for the incarnation");
    int result = relay_create(&self->relay, &self->program.loop, &config, error);
    if (result == 0)
        parent_create(&self->parent, &self->program.loop, &self->place, config.incarnation);
    return result;
}

static int start_plane(struct gateway *self, struct error *error)
{
    char folder[HOME_PATH_BYTES];
    home_path(&self->program.home, self->settings.keys, folder);
    int result = keys_load(&self->keys, folder, error);
    if (result != 0)
        return result;
    struct gateway_plane_config config = {
        .settings = &self->settings,
        .keys = self->keys,
        .name = self->process,
        .epoch_file = self->epoch_file[0] != '\0' ? self->epoch_file : NULL,
        .relay = self->relay,
    };
    return gateway_plane_create(&self->plane, &self->program.loop, &config, error);
}

static int start(struct gateway *self, struct error *error)
{
    struct process_id id;
    if (process_id_parse(self->process, &id) != 0)
        return error_set(error, -EINVAL,
                         "'%s' is no process name: a gateway is started by its daemon, or with --process "
                         "DefaultEntrypoint.0.gw.0",
                         self->process);
    if (self->place.data != NULL)
        snprintf(self->epoch_file, sizeof self->epoch_file, "%s/epoch", self->place.data);
    int result = load_settings(self, error);
    if (result == 0)
        result = start_relay(self, error);
    if (result == 0)
        result = start_plane(self, error);
    if (result != 0)
        return result;
    log_info("Gateway started [ Listen: %s ] [ Hosts: %zu ] [ Controls: %zu ]", relay_address(self->relay),
             self->settings.host_count, self->settings.control_count);
    parent_ready(self->parent, relay_address(self->relay));
    return 0;
}

static void on_stop(void *owner, int signal)
{
    struct gateway *self = owner;
    log_info("Gateway ends [ Signal: %d ]", signal);
    if (self->parent != NULL)
        parent_stopping(self->parent);
    program_stop(&self->program, 0);
}

int main(int argc, char **argv)
{
    static struct gateway self;
    const struct program_option options[] = {
        {"process", "NAME", "full process name (else GEMEL_PROCESS)", &self.process},
        {"listen", "HOST:PORT", "where clients connect (else GEMEL_HOST:GEMEL_PORT, else the settings)", &self.listen},
    };
    const struct program_about about = {
        .name = "gemel-gateway",
        .purpose = "routes queries to the primary instance and fails over",
        .options = options,
        .option_count = COUNT_OF(options),
    };
    int exit_code = 0;
    if (!program_start(&self.program, &about, argc, argv, &exit_code))
        return exit_code;
    parent_find_place(&self.place);
    if (self.process == NULL)
        self.process = self.place.process != NULL ? self.place.process : "";
    struct error error = {0};
    const struct log_options log = {.process = self.process, .type = "gw", .json = self.program.log_json};
    if (log_open(&log, &error) != 0 || start(&self, &error) != 0) {
        log_error("Gateway cannot start [ Reason: %s ]", error.sentence);
        program_stop(&self.program, EXIT_FAILED);
    } else {
        program_on_stop(&self.program, on_stop, &self);
        program_run(&self.program);
    }
    gateway_plane_destroy(&self.plane);
    parent_destroy(&self.parent);
    relay_destroy(&self.relay);
    log_close();
    exit_code = program_finish(&self.program);
    keys_destroy(&self.keys);
    return exit_code;
}
