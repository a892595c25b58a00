#include "daemon/leftover.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/base/text.h"

enum {
    STAT_BYTES = 1024,
    ENVIRON_BYTES_MAX = 1024 * 1024, /* a larger environment is not one that we made */
    ENVIRON_STEP_BYTES = 64 * 1024,
    CHILDREN_BYTES = 64 * 1024, /* of the list of our children: 10,000 pids */
    PATH_BYTES = 64,
    HOME_LINE_BYTES = 4096 + 16 /* PATH_MAX, and the name of the variable */
};

/* Reads a file of /proc whole into `target` (NUL-terminated). Returns its length or -1. */
static ssize_t read_whole(const char *path, char *target, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t length = 0;
    ssize_t got = 0;
    while (length < size - 1 && (got = read(fd, target + length, size - 1 - length)) > 0)
        length += (size_t)got;
    close(fd);
    target[length] = '\0';
    return got < 0 ? -1 : (ssize_t)length;
}

uint64_t leftover_start_ticks(pid_t pid)
{
    char path[PATH_BYTES];
    char stat[STAT_BYTES];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (read_whole(path, stat, sizeof stat) <= 0)
        return 0;
    /* The second field is the name in parentheses and may hold anything: what follows its last ')' is safe. */
    const char *at = strrchr(stat, ')');
    char state = '\0';
    unsigned long long ticks = 0;
    if (at == NULL || sscanf(at + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                             &state, &ticks) != 2)
        return 0;
    return state == 'Z' || state == 'X' ? 0 : ticks;
}

static bool has_line(const char *lines, size_t length, const char *wanted)
{
    size_t wanted_bytes = strlen(wanted) + 1;
    for (size_t at = 0; at + wanted_bytes <= length; at += strlen(lines + at) + 1)
        if (memcmp(lines + at, wanted, wanted_bytes) == 0)
            return true;
    return false;
}

bool leftover_is_of(pid_t pid, const struct leftover_run *run)
{
    char path[PATH_BYTES];
    char home_line[HOME_LINE_BYTES];
    char name_line[PROCESS_NAME_BYTES + 16];
    char token_text[TOKEN_TEXT_BYTES];
    char token_line[TOKEN_TEXT_BYTES + 16];
    token_format(run->token, token_text);
    if (snprintf(home_line, sizeof home_line, "GEMEL_HOME=%s", run->home) >= (int)sizeof home_line)
        return false;
    snprintf(name_line, sizeof name_line, "GEMEL_PROCESS=%s", run->process);
    snprintf(token_line, sizeof token_line, "GEMEL_TOKEN=%s", token_text);
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    char *environment = memory_alloc(ENVIRON_STEP_BYTES);
    size_t size = ENVIRON_STEP_BYTES;
    ssize_t length = read_whole(path, environment, size);
    while (length == (ssize_t)size - 1 && size < ENVIRON_BYTES_MAX) {
        size *= 2;
        environment = memory_resize(environment, size);
        length = read_whole(path, environment, size);
    }
    size_t bytes = length > 0 ? (size_t)length + 1 : 0;
    bool is_of = has_line(environment, bytes, token_line) && has_line(environment, bytes, name_line) &&
                 has_line(environment, bytes, home_line);
    memory_free(environment);
    return is_of;
}

/* Kills by pidfd, so that a pid which is used anew between the look and the signal is not hit. */
static bool kill_if_of(pid_t pid, const struct leftover_run *run)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return false;
    bool killed = leftover_is_of(pid, run) && syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0;
    close(pidfd);
    return killed;
}

static size_t kill_everywhere(const struct leftover_run *run)
{
    size_t count = 0;
    DIR *folder = opendir("/proc");
    const struct dirent *entry = NULL;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)atoi(entry->d_name) : 0;
        if (pid > 0 && pid != getpid() && kill_if_of(pid, run))
            count++;
    }
    if (folder != NULL)
        closedir(folder);
    return count;
}

size_t leftover_kill(const struct leftover_run *run, bool everywhere)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    char *children = memory_alloc(CHILDREN_BYTES);
    /* The kernel may be built without this list. */
    if (everywhere || read_whole(path, children, CHILDREN_BYTES) < 0) {
        memory_free(children);
        return kill_everywhere(run);
    }
    size_t count = 0;
    char *rest = NULL;
    for (const char *word = strtok_r(children, " \n", &rest); word != NULL; word = strtok_r(NULL, " \n", &rest)) {
        pid_t pid = (pid_t)atoi(word);
        if (pid > 0 && kill_if_of(pid, run))
            count++;
    }
    memory_free(children);
    return count;
}

pid_t leftover_find_leader(const struct leftover_run *run)
{
    pid_t leader = 0;
    DIR *folder = opendir("/proc");
    const struct dirent *entry = NULL;
    while (folder != NULL && leader == 0 && (entry = readdir(folder)) != NULL) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)atoi(entry->d_name) : 0;
        if (pid > 0 && getpgid(pid) == pid && leftover_is_of(pid, run))
            leader = pid;
    }
    if (folder != NULL)
        closedir(folder);
    return leader;
}
