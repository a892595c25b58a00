/* Any bytes as a datagram of the notify protocol: parsing stays within them, and what it gives is text. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/assert.h"
#include "daemon/notify_socket.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_value(const char *value, const char *text, size_t size)
{
    ASSERT(value == NULL || (value > text && value <= text + size && strlen(value) <= size));
    ASSERT(value == NULL || strchr(value, '\n') == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char text[NOTIFY_BYTES_MAX + 1];
    struct daemon_notify notify;
    if (size > NOTIFY_BYTES_MAX)
        return 0;
    memcpy(text, bytes, size);
    notify_parse(text, size, &notify);
    check_value(notify.status, text, size);
    check_value(notify.endpoint, text, size);
    check_value(notify.stale, text, size);
    ASSERT(notify.extend_us >= 0);
    return 0;
}
