#include "daemon/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/text.h"

enum {
    LINE_BYTES = 2048,
    EVENTS_BYTES = 256,
    CGROUP_MODE = 0755
};

static const char PREFIX[] = "gemel-"; /* of the folder of one home */

/* Line of mountinfo: id parent major:minor root mount-point options ... - type source super-options. */
static bool find_mount(char *mount_point, size_t size)
{
    char line[LINE_BYTES];
    bool found = false;
    FILE *file = fopen("/proc/self/mountinfo", "re");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        const char *type = strstr(line, " - ");
        char point[CGROUP_PATH_BYTES];
        if (type == NULL || strncmp(type, " - cgroup2 ", 11) != 0)
            continue;
        if (sscanf(line, "%*d %*d %*s %*s %511s", point) == 1)
            found = text_copy(mount_point, size, point);
    }
    if (file != NULL)
        fclose(file);
    return found;
}

/* The line `0::/path` of /proc/self/cgroup. */
static bool find_own(char *path, size_t size)
{
    char line[LINE_BYTES];
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "0::", 3) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        found = text_copy(path, size, strcmp(line + 3, "/") == 0 ? "" : line + 3);
    }
    if (file != NULL)
        fclose(file);
    return found;
}

/* Removes the folders of processes that have none, and with them those that are used up. Closes the descriptor. */
static void remove_empty(int base_fd)
{
    DIR *folder = fdopendir(base_fd);
    const struct dirent *entry = NULL;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
    if (folder != NULL)
        closedir(folder);
    else
        close(base_fd);
}

/* A daemon that was killed leaves its empty folders: whoever comes next on this machine removes them. A living one
 * holds a lock on its own. */
static void remove_left_over(const char *parent, const char *own)
{
    DIR *folder = opendir(parent);
    const struct dirent *entry = NULL;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 || strcmp(entry->d_name, own) == 0)
            continue;
        int base_fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (base_fd >= 0 && flock(base_fd, LOCK_EX | LOCK_NB) == 0) {
            remove_empty(base_fd);
            unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
        } else if (base_fd >= 0) {
            close(base_fd);
        }
    }
    if (folder != NULL)
        closedir(folder);
}

static void take_base(struct cgroup_base *base, const char *folder)
{
    text_copy(base->folder, sizeof base->folder, folder);
    base->lock_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base->lock_fd >= 0)
        flock(base->lock_fd, LOCK_EX | LOCK_NB);
    int base_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base_fd >= 0)
        remove_empty(base_fd);
}

void cgroup_open(struct cgroup_base *base, const char *hash)
{
    char mount_point[CGROUP_PATH_BYTES];
    char own[CGROUP_PATH_BYTES];
    *base = (struct cgroup_base){.lock_fd = -1};
    if (!find_mount(mount_point, sizeof mount_point) || !find_own(own, sizeof own)) {
        text_copy(base->why, sizeof base->why, "no cgroup v2 is mounted");
        return;
    }
    char parent[2 * CGROUP_PATH_BYTES];
    char name[CGROUP_PATH_BYTES];
    char folder[sizeof parent + sizeof name];
    char kill_file[sizeof folder + 16];
    snprintf(parent, sizeof parent, "%s%s", mount_point, own);
    snprintf(name, sizeof name, "%s%s", PREFIX, hash);
    snprintf(folder, sizeof folder, "%s/%s", parent, name);
    snprintf(kill_file, sizeof kill_file, "%s/cgroup.kill", folder);
    if (strlen(folder) >= sizeof base->folder)
        text_copy(base->why, sizeof base->why, "the path of our cgroup is too long");
    else if (mkdir(folder, CGROUP_MODE) != 0 && errno != EEXIST)
        snprintf(base->why, sizeof base->why, "cannot make a folder below %.200s: %s", mount_point, strerror(errno));
    else if (access(kill_file, W_OK) != 0)
        text_copy(base->why, sizeof base->why, "the kernel has no cgroup.kill");
    else
        take_base(base, folder);
    if (base->folder[0] != '\0')
        remove_left_over(parent, name);
}

void cgroup_close(struct cgroup_base *base)
{
    if (base->folder[0] == '\0')
        return;
    if (base->lock_fd >= 0)
        remove_empty(base->lock_fd);
    rmdir(base->folder);
    base->lock_fd = -1;
    base->folder[0] = '\0';
}

static bool leaf_path(const struct cgroup_base *base, const char *process, unsigned number,
                      char path[2 * CGROUP_PATH_BYTES])
{
    if (base->folder[0] == '\0')
        return false;
    int length = snprintf(path, 2 * CGROUP_PATH_BYTES, "%s/%s~%u", base->folder, process, number);
    return length > 0 && length < 2 * CGROUP_PATH_BYTES;
}

void cgroup_leaf_open(struct cgroup_leaf *leaf, const struct cgroup_base *base, const char *process, unsigned number)
{
    char path[2 * CGROUP_PATH_BYTES];
    *leaf = (struct cgroup_leaf){.folder_fd = -1, .events_fd = -1, .kill_fd = -1};
    if (!leaf_path(base, process, number, path))
        return;
    leaf->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (leaf->folder_fd < 0 && mkdir(path, CGROUP_MODE) == 0)
        leaf->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (leaf->folder_fd < 0)
        return;
    leaf->events_fd = openat(leaf->folder_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    leaf->kill_fd = openat(leaf->folder_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);
}

void cgroup_leaf_close(struct cgroup_leaf *leaf)
{
    int *descriptors[] = {&leaf->folder_fd, &leaf->events_fd, &leaf->kill_fd};
    for (size_t i = 0; i < COUNT_OF(descriptors); i++) {
        if (*descriptors[i] >= 0)
            close(*descriptors[i]);
        *descriptors[i] = -1;
    }
}

static bool is_populated(const struct cgroup_leaf *leaf)
{
    char events[EVENTS_BYTES];
    ssize_t got = leaf->events_fd >= 0 ? pread(leaf->events_fd, events, sizeof events - 1, 0) : -1;
    events[got > 0 ? got : 0] = '\0';
    return strstr(events, "populated 1") != NULL;
}

bool cgroup_leaf_kill(const struct cgroup_leaf *leaf)
{
    return is_populated(leaf) && leaf->kill_fd >= 0 && write(leaf->kill_fd, "1", 1) == 1;
}

void cgroup_drop(const struct cgroup_base *base, const char *process, unsigned number)
{
    char path[2 * CGROUP_PATH_BYTES];
    if (leaf_path(base, process, number, path))
        rmdir(path);
}
