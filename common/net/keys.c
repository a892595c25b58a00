#include "common/net/keys.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/loop/home.h"

enum {
    KEY_FILE_BYTES_MAX = 4096,
    KEY_FOLDER_MODE = 0750
};

struct keys {
    char folder[PATH_MAX];
    struct key *items; /* in the order of their names */
    size_t count;
};

static const char *const ROLES[] = {
    [KEY_ROLE_VIEW] = "view",   [KEY_ROLE_PUBLISH] = "publish", [KEY_ROLE_OPERATE] = "operate",
    [KEY_ROLE_ADMIN] = "admin", [KEY_ROLE_NODE] = "node",
};

const char *key_role_name(enum key_role role)
{
    return ROLES[role];
}

int key_role_parse(const char *name, enum key_role *role)
{
    for (size_t i = 0; i < COUNT_OF(ROLES); i++) {
        if (strcmp(ROLES[i], name) == 0) {
            *role = (enum key_role)i;
            return 0;
        }
    }
    return -EINVAL;
}

/* A name is a file name too: it must not climb out of the folder or hide in it. */
static bool is_name(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length >= HOST_NAME_BYTES - 8 || name[0] == '.' || name[0] == '-')
        return false;
    for (const char *at = name; *at != '\0'; at++)
        if (!isalnum((unsigned char)*at) && strchr("._-", *at) == NULL)
            return false;
    return true;
}

static int key_path(char path[PATH_MAX], const char *folder, const char *name, const char *suffix)
{
    int length = snprintf(path, PATH_MAX, "%s/%s.%s", folder, name, suffix);
    return length >= 0 && length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* ---- making a pair */

static int write_file(const char *path, mode_t mode, const char *content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return -errno;
    size_t length = strlen(content);
    ssize_t written = write(fd, content, length);
    int result = written < 0 ? -errno : written != (ssize_t)length ? -ENOSPC : fsync(fd) != 0 ? -errno : 0;
    close(fd);
    if (result != 0)
        unlink(path);
    return result;
}

static int write_pair(const char *folder, const struct key *key, struct error *error)
{
    char public_path[PATH_MAX];
    char secret_path[PATH_MAX];
    int result = key_path(public_path, folder, key->name, "pub");
    if (result == 0)
        result = key_path(secret_path, folder, key->name, "key");
    if (result != 0)
        return error_set(error, result, "the path of '%s' in '%s' is too long", key->name, folder);
    char content[1024];
    int length = snprintf(content, sizeof content, "name = %s\nrole = %s\npublic = %s\nsecret = %s\n", key->name,
                          key_role_name(key->role), key->public_text, key->secret_text);
    ASSERT(length > 0 && (size_t)length < sizeof content);
    const char *failed = secret_path;
    result = write_file(secret_path, 0600, content);
    *strstr(content, "secret = ") = '\0';
    if (result == 0) {
        failed = public_path;
        result = write_file(public_path, 0644, content);
        if (result != 0)
            unlink(secret_path);
    }
    explicit_bzero(content, sizeof content);
    if (result == -EEXIST)
        return error_set(error, result, "the key file '%s' is there already: remove it to replace the key", failed);
    if (result != 0)
        return error_set(error, result, "cannot write the key file '%s': %s", failed, strerror(-result));
    return 0;
}

int keys_create_pair(const char *folder, const char *name, enum key_role role, struct error *error)
{
    if (!is_name(name))
        return error_set(error, -EINVAL, "a key's name is made of letters, digits, '.', '_' and '-', got '%s'", name);
    int result = home_make_folder(folder, KEY_FOLDER_MODE);
    if (result != 0)
        return error_set(error, result, "cannot make the key folder '%s': %s", folder, strerror(-result));
    struct key key = {.role = role};
    text_copy(key.name, sizeof key.name, name);
    if (zmq_curve_keypair(key.public_text, key.secret_text) != 0)
        return error_set(error, -ENOTSUP, "this libzmq was built without CURVE");
    result = write_pair(folder, &key, error);
    explicit_bzero(&key, sizeof key);
    return result;
}

/* ---- reading one file */

/* Reads the whole file into `content`; *mode tells its permissions. */
static int read_file(const char *path, char content[KEY_FILE_BYTES_MAX], mode_t *mode)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct stat found;
    ssize_t length = -1;
    int result = fstat(fd, &found) != 0 ? -errno : 0;
    if (result == 0 && !S_ISREG(found.st_mode))
        result = -EINVAL;
    if (result == 0) {
        length = read(fd, content, KEY_FILE_BYTES_MAX);
        result = length < 0 ? -errno : length == KEY_FILE_BYTES_MAX ? -EFBIG : 0;
    }
    close(fd);
    if (result != 0)
        return result;
    content[length] = '\0';
    *mode = found.st_mode;
    return 0;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]) != NULL)
        text[--length] = '\0';
    return text;
}

/* Takes `name = value` into the key. Unknown names pass, so that a newer version may add some. */
static int take_value(struct key *key, const char *name, const char *value, const char *path, unsigned line,
                      struct error *error)
{
    char *target = NULL;
    if (strcmp(name, "role") == 0) {
        if (key_role_parse(value, &key->role) != 0)
            return error_set_at(error, -EINVAL, path, line, 0,
                                "role is node, admin, operate, publish or view, got '%s'", value);
        return 0;
    }
    if (strcmp(name, "name") == 0) {
        text_copy(key->name, sizeof key->name, value);
        return 0;
    }
    if (strcmp(name, "public") == 0)
        target = key->public_text;
    else if (strcmp(name, "secret") == 0)
        target = key->secret_text;
    uint8_t binary[32];
    if (target != NULL && (strlen(value) != KEY_TEXT_BYTES - 1 || zmq_z85_decode(binary, value) == NULL))
        return error_set_at(error, -EINVAL, path, line, 0, "%s is not a key of 40 Z85 characters", name);
    if (target != NULL)
        text_copy(target, KEY_TEXT_BYTES, value);
    explicit_bzero(binary, sizeof binary);
    return 0;
}

static int parse_key(struct key *key, char *content, const char *path, struct error *error)
{
    char *rest = content;
    unsigned line = 0;
    for (char *at = strsep(&rest, "\n"); at != NULL; at = strsep(&rest, "\n")) {
        line++;
        char *name = trim(at);
        if (name[0] == '\0' || name[0] == '#')
            continue;
        char *value = strchr(name, '=');
        if (value == NULL)
            return error_set_at(error, -EINVAL, path, line, 0, "a line is 'name = value'");
        *value++ = '\0';
        int result = take_value(key, trim(name), trim(value), path, line, error);
        if (result != 0)
            return result;
    }
    return 0;
}

/* Reads NAME.pub or NAME.key. -ENOENT without a sentence when it is not there. */
static int read_key(struct key *key, const char *folder, const char *name, const char *suffix, struct error *error)
{
    char path[PATH_MAX];
    char content[KEY_FILE_BYTES_MAX];
    mode_t mode = 0;
    int result = key_path(path, folder, name, suffix);
    if (result == 0)
        result = read_file(path, content, &mode);
    if (result == -ENOENT)
        return result;
    if (result != 0)
        return error_set(error, result, "cannot read the key file '%s': %s", path, strerror(-result));
    *key = (struct key){.role = KEY_ROLE_VIEW};
    result = parse_key(key, content, path, error);
    explicit_bzero(content, sizeof content);
    if (result != 0)
        return result;
    if (strcmp(key->name, name) != 0)
        return error_set_at(error, -EINVAL, path, 0, 0, "the key's name '%s' is not the file's", key->name);
    if (key->public_text[0] == '\0')
        return error_set_at(error, -EINVAL, path, 0, 0, "the line 'public = ...' is missing");
    if (key->secret_text[0] != '\0' && (mode & 077) != 0)
        return error_set_at(error, -EACCES, path, 0, 0, "the secret is readable by others: chmod 600 %s", path);
    return 0;
}

/* The secret, when it is here, must be the one of the public key. */
static int read_secret(struct key *key, const char *folder, struct error *error)
{
    struct key with_secret = {0};
    int result = read_key(&with_secret, folder, key->name, "key", error);
    if (result == -ENOENT)
        return 0;
    char belongs[KEY_TEXT_BYTES] = "";
    if (result == 0 && (with_secret.secret_text[0] == '\0' || zmq_curve_public(belongs, with_secret.secret_text) != 0 ||
                        strcmp(belongs, key->public_text) != 0))
        result = error_set(error, -EINVAL, "%s/%s.key does not belong to %s.pub: make the pair again", folder,
                           key->name, key->name);
    if (result == 0)
        memcpy(key->secret_text, with_secret.secret_text, sizeof key->secret_text);
    explicit_bzero(&with_secret, sizeof with_secret);
    return result;
}

/* ---- reading the folder */

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct key *)left)->name, ((const struct key *)right)->name);
}

/* Reads NAME.pub and NAME.key when `file` is a NAME.pub. */
static int load_file(struct keys *keys, const char *file, struct error *error)
{
    size_t length = strlen(file);
    char name[HOST_NAME_BYTES];
    if (length < 5 || strcmp(file + length - 4, ".pub") != 0 || length - 4 >= sizeof name)
        return 0;
    memcpy(name, file, length - 4);
    name[length - 4] = '\0';
    if (!is_name(name))
        return 0;
    if (keys->count == KEYS_MAX)
        return error_set(error, -E2BIG, "more than %d keys in '%s'", KEYS_MAX, keys->folder);
    struct key *key = &keys->items[keys->count];
    int result = read_key(key, keys->folder, name, "pub", error);
    if (result == -ENOENT) /* removed since it was listed */
        return 0;
    /* A public file that holds a secret was made by a mistake of the hand; it is not used, it is named. */
    if (result == 0 && key->secret_text[0] != '\0')
        result = error_set(error, -EINVAL, "%s/%s.pub holds a secret: it belongs into %s.key alone", keys->folder, name,
                           name);
    if (result == 0)
        result = read_secret(key, keys->folder, error);
    if (result != 0)
        return result;
    const struct key *same = keys_find_public(keys, key->public_text);
    if (same != NULL)
        return error_set(error, -EINVAL, "'%s' and '%s' in '%s' are the same key: make one of them again", same->name,
                         name, keys->folder);
    keys->count++;
    return 0;
}

int keys_load(struct keys **keys, const char *folder, struct error *error)
{
    struct keys *made = memory_alloc(sizeof *made);
    made->items = memory_alloc_array(KEYS_MAX, sizeof *made->items);
    int result = 0;
    DIR *listing = NULL;
    if (!text_copy(made->folder, sizeof made->folder, folder)) {
        result = error_set(error, -ENAMETOOLONG, "the path of the key folder '%s' is too long", folder);
        goto out;
    }
    listing = opendir(folder);
    if (listing == NULL && errno != ENOENT) {
        result = error_set(error, -errno, "cannot read the key folder '%s': %s", folder, strerror(errno));
        goto out;
    }
    if (listing != NULL)
        for (struct dirent *entry = readdir(listing); entry != NULL && result == 0; entry = readdir(listing))
            result = load_file(made, entry->d_name, error);
    if (result == 0 && made->count == 0)
        result = error_set(error, -ENOENT, "no keys in '%s': make them with gemel keys --create", folder);
    if (result == 0) {
        qsort(made->items, made->count, sizeof *made->items, by_name);
        *keys = made;
        made = NULL;
    }
out:
    if (listing != NULL)
        closedir(listing);
    keys_destroy(&made);
    return result;
}

void keys_destroy(struct keys **keys)
{
    if (*keys == NULL)
        return;
    explicit_bzero((*keys)->items, KEYS_MAX * sizeof *(*keys)->items);
    memory_free((*keys)->items);
    memory_free(*keys);
    *keys = NULL;
}

/* ---- looking up */

const struct key *keys_find(const struct keys *keys, const char *name)
{
    for (size_t i = 0; i < keys->count; i++)
        if (strcmp(keys->items[i].name, name) == 0)
            return &keys->items[i];
    return NULL;
}

const struct key *keys_find_public(const struct keys *keys, const char *public_text)
{
    for (size_t i = 0; i < keys->count; i++)
        if (strcmp(keys->items[i].public_text, public_text) == 0)
            return &keys->items[i];
    return NULL;
}

size_t keys_count(const struct keys *keys)
{
    return keys->count;
}

const struct key *keys_at(const struct keys *keys, size_t position)
{
    ASSERT(position < keys->count);
    return &keys->items[position];
}

const char *keys_folder(const struct keys *keys)
{
    return keys->folder;
}
