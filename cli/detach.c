#include "cli/detach.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/loop/clock.h"

enum {
    OUTPUT_MODE = 0640,
    GONE_POLL_MS = 20,
    ENVIRONMENT_BYTES_MAX = 256 * 1024 /* our variables come first, GEMEL_TABLES may be long */
};

static bool is_executable(const char *path)
{
    return access(path, X_OK) == 0;
}

int detach_find(const char *program, char path[DETACH_PATH_BYTES], struct error *error)
{
    const ssize_t length = readlink("/proc/self/exe", path, DETACH_PATH_BYTES - 1);
    if (length > 0) {
        path[length] = '\0';
        char *slash = strrchr(path, '/');
        const size_t folder = slash != NULL ? (size_t)(slash - path) + 1 : 0;
        if (folder + strlen(program) < DETACH_PATH_BYTES) {
            (void)text_copy(path + folder, DETACH_PATH_BYTES - folder, program);
            if (is_executable(path))
                return 0;
        }
    }
    const char *folders = getenv("PATH");
    for (const char *at = folders != NULL ? folders : ""; *at != '\0';) {
        const size_t folder = strcspn(at, ":");
        if (snprintf(path, DETACH_PATH_BYTES, "%.*s/%s", (int)folder, at, program) < DETACH_PATH_BYTES &&
            is_executable(path))
            return 0;
        at += folder + (at[folder] == ':' ? 1 : 0);
    }
    return error_set(error, -ENOENT, "%s is neither beside this program nor in PATH: install it", program);
}

/* Where the three standard descriptors of the child lead, and signals as a program expects them. */
static int prepare(posix_spawn_file_actions_t *files, posix_spawnattr_t *attributes, const char *output)
{
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int result = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (result == 0)
        result = posix_spawn_file_actions_addopen(files, STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND,
                                                  OUTPUT_MODE);
    if (result == 0)
        result = posix_spawn_file_actions_adddup2(files, STDOUT_FILENO, STDERR_FILENO);
    /* A lock or a socket that this shell was given must not live on in a program that runs for months. */
    if (result == 0)
        result = posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
    if (result == 0)
        result = posix_spawnattr_setsigmask(attributes, &none);
    if (result == 0)
        result = posix_spawnattr_setsigdefault(attributes, &all);
    if (result == 0)
        result =
            posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return -result;
}

int detach_start(struct detached *detached, const struct site *site, const char *program, struct error *error)
{
    char path[DETACH_PATH_BYTES], output[HOME_PATH_BYTES], below[HOME_PATH_BYTES];
    int result = detach_find(program, path, error);
    if (result != 0)
        return result;
    (void)snprintf(below, sizeof below, "var/log/%s.out", program);
    home_path(&site->home, below, output);
    char home[HOME_FOLDER_BYTES], option[] = "--home";
    (void)text_copy(home, sizeof home, site->home.folder);
    char *const arguments[] = {path, option, home, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawnattr_init(&attributes);
    pid_t pid = 0;
    result = prepare(&files, &attributes, output);
    if (result == 0)
        result = -posix_spawn(&pid, path, &files, &attributes, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    if (result != 0)
        return error_set(error, result, "cannot start %s: %s", path, strerror(-result));
    *detached = (struct detached){.pid = pid, .pid_fd = pidfd_open(pid, 0)};
    return 0;
}

void detach_close(struct detached *detached)
{
    if (detached->pid_fd >= 0)
        (void)close(detached->pid_fd);
    detached->pid_fd = -1;
}

bool detach_ended(struct detached *detached, int64_t timeout_ms, int *status)
{
    struct pollfd wait = {.fd = detached->pid_fd, .events = POLLIN};
    (void)poll(&wait, 1, (int)timeout_ms);
    return waitpid(detached->pid, status, WNOHANG) == detached->pid;
}

int detach_wait_gone(const struct site *site, const char *pid_name, int64_t timeout_ms)
{
    const int64_t deadline_ms = clock_now_ms() + timeout_ms;
    pid_t pid = 0;
    while (home_read_pid(&site->home, pid_name, &pid) != -ESRCH) {
        if (clock_now_ms() >= deadline_ms)
            return -ETIMEDOUT;
        /* Its lock goes with it: nothing else tells when the last holder of a lock is gone. */
        (void)poll(NULL, 0, GONE_POLL_MS);
    }
    return 0;
}

int detach_terminate(const struct site *site, const char *pid_name)
{
    pid_t pid = 0, again = 0;
    int result = home_read_pid(&site->home, pid_name, &pid);
    if (result != 0)
        return result;
    const int pid_fd = pidfd_open(pid, 0);
    if (pid_fd < 0)
        return -errno;
    /* Read once more: the descriptor then surely is the holder's, and not that of a later process of the same id. */
    result = home_read_pid(&site->home, pid_name, &again);
    if (result == 0 && again != pid)
        result = -ESRCH;
    if (result == 0 && pidfd_send_signal(pid_fd, SIGTERM, NULL, 0) != 0)
        result = -errno;
    (void)close(pid_fd);
    return result;
}

/* Has the environment of a process (NUL-separated, as in /proc) this `NAME=value`? A value NULL means any. */
static bool has_variable(const char *environment, size_t length, const char *name, const char *value)
{
    const size_t name_length = strlen(name);
    for (const char *at = environment; at < environment + length; at += strlen(at) + 1)
        if (strncmp(at, name, name_length) == 0 && at[name_length] == '=' &&
            (value == NULL || strcmp(at + name_length + 1, value) == 0))
            return true;
    return false;
}

/* Is it a pipeline's process of this home? One whose environment cannot be read is somebody else's. */
static bool is_process_of(const char *pid, const char *home)
{
    char path[64], environment[ENVIRONMENT_BYTES_MAX + 1];
    (void)snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    const ssize_t length = read(file, environment, ENVIRONMENT_BYTES_MAX);
    (void)close(file);
    if (length <= 0)
        return false;
    environment[length] = '\0';
    return has_variable(environment, (size_t)length, "GEMEL_PROCESS", NULL) &&
           has_variable(environment, (size_t)length, "GEMEL_HOME", home);
}

size_t detach_count_processes(const struct site *site)
{
    DIR *folder = opendir("/proc");
    size_t count = 0;
    for (struct dirent *entry = folder != NULL ? readdir(folder) : NULL; entry != NULL; entry = readdir(folder))
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && is_process_of(entry->d_name, site->home.folder))
            count++;
    if (folder != NULL)
        (void)closedir(folder);
    return count;
}

bool detach_tail(const char *path, size_t bytes_max, struct text *text)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    const off_t size = lseek(file, 0, SEEK_END);
    const off_t from = size > (off_t)bytes_max ? size - (off_t)bytes_max : 0;
    char buffer[4096];
    bool any = false, whole = from == 0;
    for (off_t at = from; at < size;) {
        ssize_t count = pread(file, buffer, sizeof buffer, at);
        if (count <= 0)
            break;
        at += count;
        const char *begin = buffer;
        if (!whole) {
            begin = memchr(buffer, '\n', (size_t)count);
            if (begin == NULL)
                continue;
            begin++;
            count -= begin - buffer;
            whole = true;
        }
        text_append(text, begin, (size_t)count);
        any = any || count > 0;
    }
    (void)close(file);
    return any;
}
