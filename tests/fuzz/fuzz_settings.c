/* Any bytes as settings.conf, on a machine that has every address below 127: settings or mistakes, never both. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/layout/load/settings_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool is_here(void *owner, const char *host)
{
    (void)owner;
    return strncmp(host, "127.", 4) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct settings_lookup lookup = {.is_local = is_here, .is_loopback = is_here};
    struct settings settings;
    struct error_list mistakes = {0};
    struct text text;
    settings_init(&settings);
    int result = settings_parse(&settings, "/home/etc/settings.conf", (const char *)bytes, size, &lookup, &mistakes);
    ASSERT((result == 0) == (mistakes.count == 0));
    ASSERT(result != 0 || (settings.host_count <= SETTINGS_HOSTS_MAX && settings.host[0] != '\0'));
    text_init(&text, ERROR_LIST_MAX * sizeof(struct error));
    error_list_print(&mistakes, &text);
    text_fini(&text);
    error_list_fini(&mistakes);
    return 0;
}
