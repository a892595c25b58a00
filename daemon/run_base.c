#include "daemon/run_base.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/loop/home.h"

enum {
    PATH_BYTES = 512,
    REMOVE_DESCRIPTORS = 16
};

static const char SHARED[] = "/dev/shm";
static const char PREFIX[] = "gemel-";
static const char HOME_LINK[] = ".home";

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *place)
{
    (void)found;
    (void)kind;
    (void)place;
    return remove(path) != 0 && errno != ENOENT ? -1 : 0;
}

void run_base_remove(const char *folder)
{
    nftw(folder, remove_one, REMOVE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Does the folder name a home, and is that gone? */
static bool is_homeless(const char *folder)
{
    char link[PATH_BYTES];
    char home[PATH_BYTES];
    snprintf(link, sizeof link, "%s/%s", folder, HOME_LINK);
    ssize_t length = readlink(link, home, sizeof home - 1);
    if (length <= 0)
        return false;
    home[length] = '\0';
    return access(home, F_OK) != 0 && errno == ENOENT;
}

static void remove_homeless(void)
{
    char path[PATH_BYTES];
    DIR *shared = opendir(SHARED);
    const struct dirent *entry = NULL;
    while (shared != NULL && (entry = readdir(shared)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", SHARED, entry->d_name);
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0 && is_homeless(path))
            run_base_remove(path);
    }
    if (shared != NULL)
        closedir(shared);
}

int run_base_open(const char *home, const char *hash, char *folder, size_t size, struct error *error)
{
    struct statfs found;
    char link[PATH_BYTES];
    bool is_tmpfs = statfs(SHARED, &found) == 0 && found.f_type == TMPFS_MAGIC && access(SHARED, W_OK) == 0;
    int length = is_tmpfs ? snprintf(folder, size, "%s/%s%s", SHARED, PREFIX, hash)
                          : snprintf(folder, size, "%s/run/processes", home);
    if (length < 0 || (size_t)length >= size || (size_t)length + sizeof HOME_LINK >= sizeof link)
        return error_set(error, -ENAMETOOLONG, "the path of the run folder is too long");
    if (is_tmpfs)
        remove_homeless();
    int result = home_make_folder(folder, RUN_BASE_MODE);
    if (result == 0 && chmod(folder, RUN_BASE_MODE) != 0)
        result = -errno;
    if (result != 0)
        return error_set(error, result, "cannot make the folder %s: %s", folder, strerror(-result));
    snprintf(link, sizeof link, "%s/%s", folder, HOME_LINK);
    if (symlink(home, link) != 0 && errno != EEXIST)
        return error_set(error, -errno, "cannot make the link %s: %s", link, strerror(errno));
    return 0;
}

void run_base_close(const char *folder, const struct runs *runs)
{
    char path[PATH_BYTES];
    bool is_empty = true;
    DIR *opened = opendir(folder);
    const struct dirent *entry = NULL;
    while (opened != NULL && (entry = readdir(opened)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, HOME_LINK) == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, name);
        if (runs_is_running(runs, name))
            is_empty = false;
        else
            run_base_remove(path);
    }
    if (opened != NULL)
        closedir(opened);
    if (opened == NULL || !is_empty)
        return;
    snprintf(path, sizeof path, "%s/%s", folder, HOME_LINK);
    unlink(path);
    rmdir(folder);
}
