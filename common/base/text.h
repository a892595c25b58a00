/* Bounded text: the one string builder. Pure. The text owns its bytes; they end with a NUL. */
#ifndef GEMEL_BASE_TEXT_H
#define GEMEL_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct text {
    char *data;      /* NUL-terminated; NULL only before text_init */
    size_t length;   /* bytes, without the NUL */
    size_t capacity; /* bytes allocated */
    size_t max;      /* bytes, the bound given to text_init */
    bool truncated;  /* something did not fit below max and was left out */
};

/* Starts an empty text that holds at most `max` bytes. */
void text_init(struct text *text, size_t max);

/* Releases the bytes; a text of zeroes is allowed. */
void text_fini(struct text *text);

/* Empties the text and keeps its memory. */
void text_clear(struct text *text);

/* Appends formatted text; what does not fit is cut and `truncated` set. */
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(struct text *text, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

/* Appends `length` bytes of `bytes` (borrowed). */
void text_append(struct text *text, const char *bytes, size_t length);

/* Appends a string (borrowed). */
void text_append_string(struct text *text, const char *string);

/* Hands the bytes to the caller (release with memory_free) and leaves an empty text. */
char *text_take(struct text *text);

/* Copies the string `source` into `target` of `size` bytes (size > 0), always NUL-terminated.
 * Returns false when it had to be cut. */
bool text_copy(char *target, size_t size, const char *source);

/* Formats a duration for people, such as `1.2 ms`, `430 ms`, `12 s`, `3 m 20 s`, `2 h 5 m`, `3 d 4 h`; at most 31
 * bytes. */
void text_duration(char *target, size_t size, double milliseconds);

/* Formats a count with thousands separated by commas, such as `41,213`; at most 27 bytes. */
void text_count(char *target, size_t size, unsigned long long count);

/* Edit distance (insert, delete, replace, swap of neighbours) of two short strings, for *did you mean*;
 * strings over 63 bytes are as far as their length. Source: optimal string alignment distance. */
size_t text_distance(const char *one, const char *other);

#endif
