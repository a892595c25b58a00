/* What a person must read about a failure: a sentence, and where. Pure.
 *
 * Functions return 0 or a negative errno; a struct error carries the words. It is written only on failure.
 * Sentences are in lower case without a full stop and say what to do. */
#ifndef GEMEL_BASE_ERROR_H
#define GEMEL_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/text.h"

enum {
    ERROR_FILE_BYTES = 256,
    ERROR_SENTENCE_BYTES = 1024,
    ERROR_LIST_MAX = 200 /* mistakes kept of one run; the rest are counted */
};

struct error {
    int code;                            /* negative errno */
    char file[ERROR_FILE_BYTES];         /* empty: no place */
    unsigned line;                       /* from 1; 0: no line */
    unsigned column;                     /* from 1; 0: no column */
    char sentence[ERROR_SENTENCE_BYTES]; /* NUL-terminated */
};

/* Fills `error` (NULL allowed) with a sentence without a place; returns `code`, which must be negative. */
int error_set(struct error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same with a place. */
int error_set_at(struct error *error, int code, const char *file, unsigned line, unsigned column, const char *format,
                 ...) __attribute__((format(printf, 6, 7)));

/* Appends `file:line:column: sentence` (only the parts that are there) to `text`. */
void error_print(const struct error *error, struct text *text);

/* Mistakes of one run, kept in the order of file, line, column. Owned by the caller; starts as zeroes. */
struct error_list {
    struct error *items;
    size_t count;
    size_t capacity;
    size_t dropped; /* mistakes over ERROR_LIST_MAX */
};

void error_list_add(struct error_list *list, int code, const char *file, unsigned line, unsigned column,
                    const char *format, ...) __attribute__((format(printf, 6, 7)));
void error_list_sort(struct error_list *list);
/* Appends one line a mistake, and the number of the dropped ones. */
void error_list_print(const struct error_list *list, struct text *text);
void error_list_fini(struct error_list *list);

#endif
