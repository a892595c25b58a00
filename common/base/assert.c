#include "common/base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn void assert_failed(const char *file, int line, const char *expression)
{
    char message[512];
    int length = snprintf(message, sizeof message, "%s:%d: broken promise: %s\n", file, line, expression);
    if (length > 0) {
        size_t size = (size_t)length < sizeof message ? (size_t)length : sizeof message - 1;
        ssize_t ignored = write(STDERR_FILENO, message, size);
        (void)ignored;
    }
    abort();
}
