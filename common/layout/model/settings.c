#include "common/layout/model/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"

void settings_init(struct settings *settings)
{
    *settings = (struct settings){
        .arbiter = "none",
        .peer_loss = PEER_LOSS_PROMOTE,
        .control_port = 2001,
        .daemon_port = 2002,
        .console_port = 8080,
        .gateway_port = 5010,
        .heartbeat_ms = 100,
        .suspect_ms = 1000,
        .lease_ms = 3000,
        .lease_margin_ms = 500,
        .missing_timeout_ms = 10000,
        .discovery_time_ms = 5000,
        .ping_interval_ms = 100,
        .hang_timeout_ms = 1000,
        .query_timeout_ms = 30000,
        .dos_degrade_after_ms = 5000,
        .keys = "etc/keys",
        .security = SECURITY_ON,
    };
}

bool settings_has_host(const struct settings *settings, const char *host)
{
    for (size_t i = 0; i < settings->host_count; i++)
        if (strcmp(settings->hosts[i], host) == 0)
            return true;
    return false;
}

void settings_address_format(const struct settings_address *address, char text[ADDRESS_BYTES])
{
    bool brackets = strchr(address->host, ':') != NULL;
    snprintf(text, ADDRESS_BYTES, "%s%s%s:%u", brackets ? "[" : "", address->host, brackets ? "]" : "",
             (unsigned)address->port);
}

void settings_control_address(const struct settings *settings, unsigned node, char text[ADDRESS_BYTES])
{
    ASSERT(node >= 1 && node <= settings->control_count);
    settings_address_format(&settings->controls[node - 1], text);
}

void settings_control_address_of(const struct settings *settings, const char *host, char text[ADDRESS_BYTES])
{
    size_t chosen = 0;
    for (size_t i = 0; i < settings->control_count; i++)
        if (strcmp(settings->controls[i].host, host) == 0)
            chosen = i;
    settings_address_format(&settings->controls[chosen], text);
}

void settings_daemon_address_of(const struct settings *settings, const char *host, char text[ADDRESS_BYTES])
{
    struct settings_address address = {.port = settings->daemon_port};
    text_copy(address.host, sizeof address.host, host);
    settings_address_format(&address, text);
}

void settings_warn(const struct settings *settings, struct error_list *warnings)
{
    if (settings->dos_server_count < 2)
        return;
    for (size_t i = 1; i < settings->dos_server_count; i++)
        if (strcmp(settings->dos_servers[i].host, settings->dos_servers[0].host) != 0)
            return;
    error_list_add(warnings, -EINVAL, settings->file, 0, 0,
                   "all 'dos-servers' are on one host: losing it loses every copy, got '%s'",
                   settings->dos_servers[0].host);
}
