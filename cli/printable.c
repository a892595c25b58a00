#include "cli/printable.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes of the UTF-8 character at `at`; 0 when there is none. Overlong forms and surrogates are none (RFC 3629). */
static size_t character_bytes(const uint8_t *at)
{
    if (at[0] < 0x80)
        return 1;
    size_t count = 0;
    uint32_t code = 0;
    if ((at[0] & 0xe0) == 0xc0) {
        count = 2;
        code = at[0] & 0x1fu;
    } else if ((at[0] & 0xf0) == 0xe0) {
        count = 3;
        code = at[0] & 0x0fu;
    } else if ((at[0] & 0xf8) == 0xf0) {
        count = 4;
        code = at[0] & 0x07u;
    } else {
        return 0;
    }
    for (size_t i = 1; i < count; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    /* C1 controls, 0x80 to 0x9f, steer some terminals too. */
    return code < smallest[count] || code > 0x10ffff || surrogate || code < 0xa0 ? 0 : count;
}

void printable_append(struct text *text, const char *source)
{
    for (const uint8_t *at = (const uint8_t *)source; *at != '\0';) {
        const size_t bytes = character_bytes(at);
        if (*at == ' ' || (*at >= '\t' && *at <= '\r'))
            text_append(text, " ", 1);
        else if (bytes == 0 || *at < 0x20 || *at == 0x7f)
            text_append(text, "?", 1);
        else
            text_append(text, (const char *)at, bytes);
        at += bytes > 0 ? bytes : 1;
    }
}

size_t printable_width(const char *source)
{
    size_t width = 0;
    for (const uint8_t *at = (const uint8_t *)source; *at != '\0'; width++) {
        const size_t bytes = character_bytes(at);
        at += bytes > 0 ? bytes : 1;
    }
    return width;
}

size_t printable_bytes(const char *source, size_t width)
{
    const uint8_t *at = (const uint8_t *)source;
    for (; width > 0 && *at != '\0'; width--) {
        const size_t bytes = character_bytes(at);
        at += bytes > 0 ? bytes : 1;
    }
    return (size_t)(at - (const uint8_t *)source);
}
