/* The process that is killed and replaced: its first act is to take the time. argv[1] is a FIFO, argv[2] who started
 * it. */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct birth {
    int64_t ns;
    int32_t pid;
    char contender[16];
};

int main(int argc, char **argv)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct birth birth = {.ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec, .pid = (int32_t)getpid()};
    if (argc != 3)
        return 2;
    strncpy(birth.contender, argv[2], sizeof birth.contender - 1);
    int fd = open(argv[1], O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, &birth, sizeof birth) != (ssize_t)sizeof birth)
        return 1;
    for (;;)
        pause();
}
