/* Reads a whole small file. Shell. */
#ifndef GEMEL_LAYOUT_LOAD_FILE_READ_H
#define GEMEL_LAYOUT_LOAD_FILE_READ_H

#include <stddef.h>

#include "common/base/error.h"

/* Reads the regular file `path` of at most `bytes_max`. The content comes in *data (release with memory_free) with a
 * NUL behind it and *length. Returns 0; -EFBIG when it is larger; else the error of opening or reading; with a sentence
 * and the file's name in `error`. */
int file_read(const char *path, size_t bytes_max, char **data, size_t *length, struct error *error);

#endif
