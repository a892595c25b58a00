#include "cli/site.h"

#include <stdio.h>
#include <string.h>

#include "common/layout/load/settings_load.h"

#define OPERATOR_KEY "operator"

int site_open(struct site *site, const char *folder, struct error *error)
{
    *site = (struct site){.home = {.lock_fd = -1}};
    settings_init(&site->settings);
    return home_open(&site->home, folder, error);
}

void site_close(struct site *site)
{
    keys_destroy(&site->keys);
    if (site->home.folder[0] != '\0')
        home_close(&site->home);
}

int site_load_settings(struct site *site, struct text *mistakes)
{
    char path[HOME_PATH_BYTES];
    home_path(&site->home, "etc/settings.conf", path);
    struct error_list list = {0};
    const int result = settings_load(&site->settings, path, &list);
    if (result != 0)
        error_list_print(&list, mistakes);
    error_list_fini(&list);
    (void)snprintf(site->sender, sizeof site->sender, "cli@%s", site->settings.host);
    return result;
}

void site_keys_folder(const struct site *site, char path[HOME_PATH_BYTES])
{
    home_path(&site->home, site->settings.keys, path);
}

int site_load_keys(struct site *site, struct error *error)
{
    char folder[HOME_PATH_BYTES];
    site_keys_folder(site, folder);
    return keys_load(&site->keys, folder, error);
}

const char *site_key_name(const struct site *site)
{
    const struct key *key = keys_find(site->keys, OPERATOR_KEY);
    return key != NULL && key->secret_text[0] != '\0' ? OPERATOR_KEY : site->settings.host;
}

size_t site_hosts(const struct site *site, const char *hosts[SETTINGS_HOSTS_MAX])
{
    const struct settings *settings = &site->settings;
    size_t count = 0;
    hosts[count++] = settings->host;
    for (size_t i = 0; i < settings->host_count && count < SETTINGS_HOSTS_MAX; i++)
        if (strcmp(settings->hosts[i], settings->host) != 0)
            hosts[count++] = settings->hosts[i];
    return count;
}

size_t site_controls(const struct site *site, char addresses[2][ADDRESS_BYTES])
{
    const struct settings *settings = &site->settings;
    const size_t own = settings->node == 2 ? 1 : 0;
    for (size_t i = 0; i < settings->control_count; i++)
        settings_address_format(&settings->controls[(own + i) % settings->control_count], addresses[i]);
    return settings->control_count;
}
