/* gemel-gw-client: a local forwarder. Programs of a host talk to it as to a gateway; it holds links to all gateways,
 * uses the first live one, and sends idempotent queries that were in flight again to the next when a gateway is lost.
 * It decides nothing: the gateway's core does, with the gateways as the candidates of its one route. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/assert.h"
#include "common/base/text.h"
#include "common/layout/load/settings_load.h"
#include "common/log/log.h"
#include "common/loop/program.h"
#include "gateway/parent.h"
#include "gateway/relay.h"

enum {
    GATEWAYS_MAX = 16,
    GATEWAYS_TEXT_BYTES = GATEWAYS_MAX * ADDRESS_BYTES,
    EXIT_FAILED = 1
};

struct forwarder {
    struct program program;
    struct parent_place place;
    struct parent *parent;
    struct relay *relay;
    const char *listen;   /* --listen */
    const char *gateways; /* --gateways */
    char listen_text[ADDRESS_BYTES];
    char gateways_text[GATEWAYS_TEXT_BYTES];
    struct gateway_upstream upstreams[GATEWAYS_MAX];
    size_t upstream_count;
    struct settings settings;
};

/* Cuts the comma separated list in place. */
static int take_gateways(struct forwarder *self, struct error *error)
{
    char *save = NULL;
    for (char *one = strtok_r(self->gateways_text, ", ", &save); one != NULL; one = strtok_r(NULL, ", ", &save)) {
        if (self->upstream_count == GATEWAYS_MAX)
            return error_set(error, -E2BIG, "more than %d gateways", GATEWAYS_MAX);
        self->upstreams[self->upstream_count++] = (struct gateway_upstream){.name = one, .address = one};
    }
    if (self->upstream_count == 0)
        return error_set(error, -EINVAL, "no gateways: give --gateways host:port,host:port or set GEMEL_GATEWAYS");
    return 0;
}

/* Without a list: the gateway port on each host. */
static void gateways_of_settings(const struct settings *settings, char text[GATEWAYS_TEXT_BYTES])
{
    text[0] = '\0';
    for (size_t i = 0; i < settings->host_count && i < GATEWAYS_MAX; i++) {
        struct settings_address address = {.port = settings->gateway_port};
        char one[ADDRESS_BYTES];
        text_copy(address.host, sizeof address.host, settings->hosts[i]);
        settings_address_format(&address, one);
        size_t used = strlen(text);
        snprintf(text + used, GATEWAYS_TEXT_BYTES - used, "%s%s", used > 0 ? "," : "", one);
    }
}

static int load_settings(struct forwarder *self, struct error *error)
{
    char path[HOME_PATH_BYTES];
    struct error_list mistakes = {0};
    home_path(&self->program.home, "etc/settings.conf", path);
    int result = settings_load(&self->settings, path, &mistakes);
    if (result != 0)
        error_set(error, result, "%s", mistakes.count > 0 ? mistakes.items[0].sentence : "settings cannot be read");
    error_list_fini(&mistakes);
    return result;
}

/* From the command line, the environment, the settings: the first that says it. */
static int find_addresses(struct forwarder *self, struct error *error)
{
    settings_init(&self->settings);
    const char *gateways = self->gateways != NULL ? self->gateways : getenv("GEMEL_GATEWAYS");
    const char *host = self->place.host != NULL ? self->place.host : "127.0.0.1";
    bool needs_settings = gateways == NULL || gateways[0] == '\0';
    if (needs_settings) {
        int result = load_settings(self, error);
        if (result != 0)
            return result;
        gateways_of_settings(&self->settings, self->gateways_text);
    } else if (!text_copy(self->gateways_text, sizeof self->gateways_text, gateways)) {
        return error_set(error, -E2BIG, "the list of gateways is longer than %zu bytes", sizeof self->gateways_text);
    }
    if (self->listen != NULL)
        text_copy(self->listen_text, sizeof self->listen_text, self->listen);
    else
        snprintf(self->listen_text, sizeof self->listen_text, "%s:%s", host,
                 self->place.port != NULL ? self->place.port : "5011");
    return take_gateways(self, error);
}

static int start(struct forwarder *self, struct error *error)
{
    int result = find_addresses(self, error);
    if (result != 0)
        return result;
    const char *name = self->place.process != NULL ? self->place.process : "gw-client";
    struct gateway_config core = {
        .name = name,
        .upstream_count = self->upstream_count,
        .upstreams = self->upstreams,
        .ping_interval_ms = self->settings.ping_interval_ms,
        .hang_timeout_ms = self->settings.hang_timeout_ms,
        .query_timeout_ms = self->settings.query_timeout_ms == 0 ? -1 : self->settings.query_timeout_ms,
        .startup_timeout_ms = 1, /* the first live one will do */
        .quarantine_ms = -1,     /* the gateways see to that */
    };
    struct relay_config config = {.listen = self->listen_text, .name = name, .token = self->place.token, .core = &core};
    if (getrandom(&config.incarnation, sizeof config.incarnation, 0) != (ssize_t)sizeof config.incarnation)
        return error_set(error, -errno, "no random number for the incarnation");
    result = relay_create(&self->relay, &self->program.loop, &config, error);
    if (result != 0)
        return result;
    parent_create(&self->parent, &self->program.loop, &self->place, config.incarnation);
    log_info("Forwarder started [ Listen: %s ] [ Gateways: %zu ]", relay_address(self->relay), self->upstream_count);
    parent_ready(self->parent, relay_address(self->relay));
    return 0;
}

static void on_stop(void *owner, int signal)
{
    struct forwarder *self = owner;
    log_info("Forwarder ends [ Signal: %d ]", signal);
    if (self->parent != NULL)
        parent_stopping(self->parent);
    program_stop(&self->program, 0);
}

int main(int argc, char **argv)
{
    static struct forwarder self;
    const struct program_option options[] = {
        {"listen", "HOST:PORT", "where programs connect (else GEMEL_HOST:GEMEL_PORT, else 127.0.0.1:5011)",
         &self.listen},
        {"gateways", "LIST", "host:port,host:port (else GEMEL_GATEWAYS, else the settings)", &self.gateways},
    };
    const struct program_about about = {
        .name = "gemel-gw-client",
        .purpose = "forwards to the first live gateway of the cluster",
        .options = options,
        .option_count = COUNT_OF(options),
    };
    int exit_code = 0;
    if (!program_start(&self.program, &about, argc, argv, &exit_code))
        return exit_code;
    parent_find_place(&self.place);
    struct error error = {0};
    const struct log_options log = {
        .process = self.place.process != NULL ? self.place.process : "gw-client",
        .type = "gw-client",
        .json = self.program.log_json,
    };
    if (log_open(&log, &error) != 0 || start(&self, &error) != 0) {
        log_error("Forwarder cannot start [ Reason: %s ]", error.sentence);
        program_stop(&self.program, EXIT_FAILED);
    } else {
        program_on_stop(&self.program, on_stop, &self);
        program_run(&self.program);
    }
    parent_destroy(&self.parent);
    relay_destroy(&self.relay);
    log_close();
    return program_finish(&self.program);
}
