/* Text from elsewhere made safe for a terminal: no control characters, only valid UTF-8. Pure. */
#ifndef GEMEL_CLI_PRINTABLE_H
#define GEMEL_CLI_PRINTABLE_H

#include <stddef.h>

#include "common/base/text.h"

/* Appends `source` (borrowed) with a space for each white space, `?` for each other control character and each byte
 * that is no UTF-8. */
void printable_append(struct text *text, const char *source);

/* Code points of what printable_append writes: its columns on a terminal, but for wide scripts. */
size_t printable_width(const char *source);

/* Bytes of the longest beginning of `source` that is at most `width` code points wide. */
size_t printable_bytes(const char *source, size_t width);

#endif
