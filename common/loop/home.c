#include "common/loop/home.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/assert.h"

enum {
    LOCK_TRIES = 5, /* a reader of the pid file holds its lock for an instant */
    LOCK_WAIT_MS = 10,
    PID_TEXT_BYTES = 24
};

static const char HOME_DEFAULT[] = "/var/lib/gemel";
static const char *const HOME_FOLDERS[] = {"etc", "var/log", "var/lib", "run"};

int home_make_folder(const char *path, mode_t mode)
{
    char copy[PATH_MAX];
    if (!text_copy(copy, sizeof copy, path))
        return -ENAMETOOLONG;
    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, mode) != 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    if (mkdir(copy, mode) != 0 && errno != EEXIST)
        return -errno;
    struct stat found;
    if (stat(copy, &found) != 0)
        return -errno;
    return S_ISDIR(found.st_mode) ? 0 : -ENOTDIR;
}

/* Makes the folder below the home, or says which one could not be made. */
static int make_below(const struct home *home, const char *below, struct error *error)
{
    char path[HOME_PATH_BYTES];
    home_path(home, below, path);
    int result = home_make_folder(path, HOME_FOLDER_MODE);
    if (result == 0 && access(path, W_OK | X_OK) != 0)
        result = -errno;
    if (result != 0)
        return error_set(error, result, "cannot use the home folder '%s': %s: %s", home->folder, path,
                         strerror(-result));
    return 0;
}

int home_open(struct home *home, const char *folder, struct error *error)
{
    if (folder == NULL || folder[0] == '\0')
        folder = getenv("GEMEL_HOME");
    if (folder == NULL || folder[0] == '\0')
        folder = HOME_DEFAULT;
    int result = home_make_folder(folder, HOME_FOLDER_MODE);
    if (result != 0)
        return error_set(error, result, "cannot make the home folder '%s': %s", folder, strerror(-result));
    char absolute[PATH_MAX];
    if (realpath(folder, absolute) == NULL)
        return error_set(error, -errno, "cannot use the home folder '%s': %s", folder, strerror(errno));
    struct home made = {.lock_fd = -1};
    if (!text_copy(made.folder, sizeof made.folder, absolute))
        return error_set(error, -ENAMETOOLONG,
                         "the home folder '%s' is too long for the sockets below it: use a path of at most %d bytes",
                         absolute, HOME_FOLDER_BYTES - 1);
    for (size_t i = 0; i < COUNT_OF(HOME_FOLDERS); i++) {
        result = make_below(&made, HOME_FOLDERS[i], error);
        if (result != 0)
            return result;
    }
    *home = made;
    return 0;
}

void home_close(struct home *home)
{
    if (home->lock_fd < 0)
        return;
    int ignored = ftruncate(home->lock_fd, 0);
    (void)ignored;
    close(home->lock_fd);
    home->lock_fd = -1;
}

void home_path(const struct home *home, const char *below, char path[HOME_PATH_BYTES])
{
    int length = 0;
    if (below[0] == '/')
        length = snprintf(path, HOME_PATH_BYTES, "%s", below);
    else
        length = snprintf(path, HOME_PATH_BYTES, "%s%s%s", home->folder, below[0] == '\0' ? "" : "/", below);
    ASSERT(length >= 0 && length < HOME_PATH_BYTES);
}

static void pid_path(const struct home *home, const char *name, char path[HOME_PATH_BYTES])
{
    char below[HOME_PATH_BYTES];
    int length = snprintf(below, sizeof below, "run/%s.pid", name);
    ASSERT(length > 0 && (size_t)length < sizeof below);
    home_path(home, below, path);
}

/* The pid in the file; 0: empty or not a number. */
static pid_t read_pid(int fd)
{
    char text[PID_TEXT_BYTES] = {0};
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    if (length <= 0)
        return 0;
    long pid = strtol(text, NULL, 10);
    return pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

static int write_pid(int fd)
{
    char text[PID_TEXT_BYTES];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0)
        return -errno;
    ssize_t written = pwrite(fd, text, (size_t)length, 0);
    if (written < 0)
        return -errno;
    return written == length ? 0 : -ENOSPC;
}

/* Tries again for a moment: home_read_pid takes the lock for an instant to see whether it is free. */
static int take_lock(int fd)
{
    for (int tries = 1; flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
        if (errno != EWOULDBLOCK)
            return -errno;
        if (tries == LOCK_TRIES)
            return -EEXIST;
        nanosleep(&(struct timespec){.tv_nsec = LOCK_WAIT_MS * 1000000L}, NULL);
    }
    return 0;
}

int home_lock_pid(struct home *home, const char *name, struct error *error)
{
    ASSERT(home->lock_fd < 0);
    char path[HOME_PATH_BYTES];
    pid_path(home, name, path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return error_set(error, -errno, "cannot write '%s': %s", path, strerror(errno));
    int result = take_lock(fd);
    if (result == 0)
        result = write_pid(fd);
    if (result == 0) {
        home->lock_fd = fd;
        return 0;
    }
    pid_t holder = read_pid(fd);
    close(fd);
    if (result == -EEXIST)
        return error_set(error, result, "%s runs already in '%s' with pid %ld: stop it first, or use another --home",
                         name, home->folder, (long)holder);
    return error_set(error, result, "cannot write '%s': %s", path, strerror(-result));
}

bool home_was_killed(const struct home *home, const char *name)
{
    char path[HOME_PATH_BYTES];
    pid_path(home, name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool killed = flock(fd, LOCK_SH | LOCK_NB) == 0 && read_pid(fd) > 0;
    close(fd);
    return killed;
}

int home_read_pid(const struct home *home, const char *name, pid_t *pid)
{
    char path[HOME_PATH_BYTES];
    pid_path(home, name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    int result = 0;
    if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
        result = -ESRCH;
    } else if (errno != EWOULDBLOCK) {
        result = -errno;
    } else {
        pid_t found = read_pid(fd);
        result = found > 0 ? 0 : -EAGAIN;
        if (result == 0)
            *pid = found;
    }
    close(fd);
    return result;
}
