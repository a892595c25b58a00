/* CURVE keys of a cluster, in a folder (settings key `keys`, default etc/keys). Shell only.
 *
 *   NAME.pub   lines `name = NAME`, `role = node|admin|operate|publish|view`, `public = Z85`
 *   NAME.key   the same and `secret = Z85`; mode 0600
 * A host's programs use the key named after the host; an operator's shell uses `operator` (role admin), else the
 * host's. Every NAME.pub in the folder may connect, with its role. Names are letters, digits, '.', '_', '-', as host
 * names are. Secrets are wiped from memory when the keys are destroyed, and are in no message and no log. */
#ifndef GEMEL_NET_KEYS_H
#define GEMEL_NET_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/bounds.h"
#include "common/base/error.h"

enum {
    KEY_TEXT_BYTES = 41, /* Z85 of 32 bytes, and NUL */
    KEYS_MAX = 1000
};

enum key_role {
    KEY_ROLE_VIEW,
    KEY_ROLE_PUBLISH,
    KEY_ROLE_OPERATE,
    KEY_ROLE_ADMIN,
    KEY_ROLE_NODE
};

struct key {
    char name[HOST_NAME_BYTES];
    enum key_role role;
    char public_text[KEY_TEXT_BYTES];
    char secret_text[KEY_TEXT_BYTES]; /* empty: not here */
};

struct keys;

/* Makes NAME.key and NAME.pub, and the folder. Returns 0; -EEXIST when one of them is there; -EINVAL for a bad name;
 * another negative errno. Neither is left behind when the other could not be written. */
int keys_create_pair(const char *folder, const char *name, enum key_role role, struct error *error);

/* Reads the folder. Returned in *keys (release with keys_destroy). -ENOENT with a sentence that names
 * `gemel keys --create` when the folder is missing or empty; -EACCES when a secret is readable by others; -EINVAL with
 * file and line when a file is damaged or two of them hold one key; -E2BIG over KEYS_MAX. */
int keys_load(struct keys **keys, const char *folder, struct error *error);
void keys_destroy(struct keys **keys);

/* By name, by public key; NULL when unknown. Borrowed until keys_destroy. */
const struct key *keys_find(const struct keys *keys, const char *name);
const struct key *keys_find_public(const struct keys *keys, const char *public_text);
/* In the order of their names, 0 <= position < keys_count. */
size_t keys_count(const struct keys *keys);
const struct key *keys_at(const struct keys *keys, size_t position);
/* As given to keys_load (borrowed). */
const char *keys_folder(const struct keys *keys);

const char *key_role_name(enum key_role role);
/* Reads a role's name. Returns 0 or -EINVAL. */
int key_role_parse(const char *name, enum key_role *role);

#endif
