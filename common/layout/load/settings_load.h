/* etc/settings.conf -> struct settings: lines of `key = value`, `#` starts a comment. All mistakes in one run, each
 * as file:line:column. A key has the original's name or a short one. settings_parse is pure but for what `lookup` does;
 * settings_load reads the file and asks the machine for its addresses. */
#ifndef GEMEL_LAYOUT_LOAD_SETTINGS_LOAD_H
#define GEMEL_LAYOUT_LOAD_SETTINGS_LOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"
#include "common/layout/model/settings.h"

/* What the settings must know about host names. */
struct settings_lookup {
    bool (*is_local)(void *owner, const char *host);    /* does this machine have an address of it? */
    bool (*is_loopback)(void *owner, const char *host); /* are all its addresses loopback? */
    void *owner;
};

/* Reads `length` bytes of `text` (borrowed); `path` is for messages and for the home folder, the one above the file's.
 * Returns 0, or -EINVAL with at least one mistake added to `mistakes`; then *settings is as before. */
int settings_parse(struct settings *settings, const char *path, const char *text, size_t length,
                   const struct settings_lookup *lookup, struct error_list *mistakes);

/* The same from the file. Returns what settings_parse does, or the error of opening the file, with a sentence in
 * `mistakes`. May wait for DNS: for start-up only. */
int settings_load(struct settings *settings, const char *path, struct error_list *mistakes);

/* Adds a warning for each host whose addresses are not all loopback: links of the data plane refuse it, for they carry
 * no TLS in this version. May wait for DNS. */
void settings_warn_addresses(const struct settings *settings, struct error_list *warnings);

#endif
