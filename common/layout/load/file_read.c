#include "common/layout/load/file_read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/memory.h"

/* Reads until the end of the file or one byte more than allowed. */
static int read_all(int fd, char *data, size_t size, size_t *length)
{
    *length = 0;
    while (*length < size) {
        ssize_t got = read(fd, data + *length, size - *length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        *length += (size_t)got;
    }
    return 0;
}

int file_read(const char *path, size_t bytes_max, char **data, size_t *length, struct error *error)
{
    char *content = NULL;
    size_t count = 0;
    struct stat status;
    int result = 0;
    /* O_NONBLOCK: opening a FIFO that somebody left in the folder must not wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) < 0) {
        result = error_set_at(error, -errno, path, 0, 0, "cannot read the file: %s", strerror(errno));
        goto out;
    }
    if (!S_ISREG(status.st_mode)) {
        result = error_set_at(error, -EINVAL, path, 0, 0, "is not a regular file");
        goto out;
    }
    content = memory_alloc(bytes_max + 2);
    result = read_all(fd, content, bytes_max + 1, &count);
    if (result < 0)
        error_set_at(error, result, path, 0, 0, "cannot read the file: %s", strerror(-result));
    else if (count > bytes_max)
        result = error_set_at(error, -EFBIG, path, 0, 0, "the file is larger than %zu bytes", bytes_max);
    if (result < 0)
        goto out;
    content[count] = '\0';
    *data = memory_resize(content, count + 1);
    *length = count;
    content = NULL;
out:
    memory_free(content);
    if (fd >= 0)
        close(fd);
    return result;
}
