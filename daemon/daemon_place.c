#include "daemon/daemon_place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    OWN_STOP_TIMEOUT_MS = 10000
};

void daemon_place_boot_id(char *boot_id, size_t size)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, boot_id, size - 1) : -1;
    if (fd >= 0)
        close(fd);
    boot_id[got > 0 ? got : 0] = '\0';
    boot_id[strcspn(boot_id, "\n")] = '\0';
}

int daemon_place_programs(char *folder, size_t size, struct error *error)
{
    ssize_t length = readlink("/proc/self/exe", folder, size - 1);
    if (length < 0)
        return error_set(error, -errno, "cannot read /proc/self/exe: %s", strerror(errno));
    folder[length] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        *slash = '\0';
    return 0;
}

int daemon_place_address(uv_loop_t *loop, const char *host, struct sockaddr_storage *address, struct error *error)
{
    uv_getaddrinfo_t request;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int result = uv_getaddrinfo(loop, &request, NULL, host, NULL, &hints);
    if (result != 0)
        return error_set(error, result, "cannot find the address of %s: %s", host, uv_strerror(result));
    memcpy(address, request.addrinfo->ai_addr, request.addrinfo->ai_addrlen);
    uv_freeaddrinfo(request.addrinfo);
    return 0;
}

void daemon_place_own_spec(Gemel__ProcessSpec *spec, const char *name, char *command[3], char *home,
                           uint32_t hang_timeout_ms)
{
    gemel__process_spec__init(spec);
    spec->process = (char *)(uintptr_t)name;
    command[1] = (char *)(uintptr_t) "--home";
    command[2] = home;
    spec->command = command;
    spec->n_command = 3;
    spec->restart = GEMEL__RESTART__RESTART_ALWAYS;
    spec->stop_timeout_ms = OWN_STOP_TIMEOUT_MS;
    spec->hang_timeout_ms = hang_timeout_ms;
}
