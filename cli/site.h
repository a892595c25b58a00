/* Where a command runs: the home folder, its settings, its keys, and the addresses that follow from them. Shell. */
#ifndef GEMEL_CLI_SITE_H
#define GEMEL_CLI_SITE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/layout/model/settings.h"
#include "common/loop/home.h"
#include "common/net/keys.h"

enum {
    SITE_SENDER_BYTES = HOST_NAME_BYTES + 8,
    SITE_MISTAKES_BYTES_MAX = 256 * 1024
};

struct site {
    struct home home;
    struct settings settings;
    struct keys *keys; /* NULL until site_load_keys */
    char sender[SITE_SENDER_BYTES];
};

/* Opens the home folder (`folder` NULL: the default one). Returns 0 or a negative errno with a sentence. */
int site_open(struct site *site, const char *folder, struct error *error);
/* Zeroes are allowed. */
void site_close(struct site *site);

/* Reads etc/settings.conf. Returns 0, or a negative errno with every mistake appended to `mistakes`, a line each. */
int site_load_settings(struct site *site, struct text *mistakes);

/* Reads the keys; the settings must be there. Returns 0 or a negative errno with a sentence. */
int site_load_keys(struct site *site, struct error *error);
/* The folder of the keys. */
void site_keys_folder(const struct site *site, char path[HOME_PATH_BYTES]);
/* The name of the key that this command uses: the operator's, else this host's. */
const char *site_key_name(const struct site *site);

/* Hosts whose daemon is asked: every configured one, this one first. Returns how many. */
size_t site_hosts(const struct site *site, const char *hosts[SETTINGS_HOSTS_MAX]);
/* Addresses of the controls, this host's first. Returns how many. */
size_t site_controls(const struct site *site, char addresses[2][ADDRESS_BYTES]);

#endif
