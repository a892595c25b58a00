#include "common/base/text.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"

enum {
    TEXT_FIRST_BYTES = 64,
    DISTANCE_BYTES_MAX = 63
};

void text_init(struct text *text, size_t max)
{
    *text = (struct text){.max = max, .capacity = TEXT_FIRST_BYTES};
    text->data = memory_alloc(TEXT_FIRST_BYTES);
}

void text_fini(struct text *text)
{
    memory_free(text->data);
    *text = (struct text){0};
}

void text_clear(struct text *text)
{
    text->length = 0;
    text->truncated = false;
    text->data[0] = '\0';
}

static void reserve(struct text *text, size_t length)
{
    if (length + 1 <= text->capacity)
        return;
    size_t capacity = text->capacity;
    while (capacity < length + 1)
        capacity *= 2;
    text->data = memory_resize(text->data, capacity);
    text->capacity = capacity;
}

void text_append(struct text *text, const char *bytes, size_t length)
{
    ASSERT(text->data != NULL);
    if (length > text->max - text->length) {
        length = text->max - text->length;
        text->truncated = true;
    }
    if (length == 0)
        return;
    reserve(text, text->length + length);
    memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void text_append_string(struct text *text, const char *string)
{
    text_append(text, string, strlen(string));
}

void text_vprintf(struct text *text, const char *format, va_list arguments)
{
    char small[512];
    va_list again;
    va_copy(again, arguments);
    int needed = vsnprintf(small, sizeof small, format, arguments);
    ASSERT(needed >= 0);
    if ((size_t)needed < sizeof small) {
        text_append(text, small, (size_t)needed);
    } else {
        char *large = memory_alloc((size_t)needed + 1);
        vsnprintf(large, (size_t)needed + 1, format, again);
        text_append(text, large, (size_t)needed);
        memory_free(large);
    }
    va_end(again);
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_vprintf(text, format, arguments);
    va_end(arguments);
}

char *text_take(struct text *text)
{
    char *data = text->data;
    size_t max = text->max;
    text_init(text, max);
    return data;
}

bool text_copy(char *target, size_t size, const char *source)
{
    ASSERT(size > 0);
    size_t length = strlen(source);
    bool fits = length < size;
    if (!fits)
        length = size - 1;
    memcpy(target, source, length);
    target[length] = '\0';
    return fits;
}

void text_duration(char *target, size_t size, double milliseconds)
{
    if (milliseconds < 0)
        milliseconds = 0;
    unsigned long long seconds = (unsigned long long)(milliseconds / 1000.0);
    if (milliseconds < 100)
        snprintf(target, size, "%.1f ms", milliseconds);
    else if (seconds < 10)
        snprintf(target, size, "%.0f ms", milliseconds);
    else if (seconds < 60)
        snprintf(target, size, "%llu s", seconds);
    else if (seconds < 3600)
        snprintf(target, size, "%llu m %llu s", seconds / 60, seconds % 60);
    else if (seconds < 86400)
        snprintf(target, size, "%llu h %llu m", seconds / 3600, seconds / 60 % 60);
    else
        snprintf(target, size, "%llu d %llu h", seconds / 86400, seconds / 3600 % 24);
}

void text_count(char *target, size_t size, unsigned long long count)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", count);
    size_t out = 0;
    for (int i = 0; i < length && out + 1 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            target[out++] = ',';
        if (out + 1 < size)
            target[out++] = digits[i];
    }
    target[out] = '\0';
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

size_t text_distance(const char *one, const char *other)
{
    size_t rows = strlen(one);
    size_t columns = strlen(other);
    if (rows > DISTANCE_BYTES_MAX || columns > DISTANCE_BYTES_MAX)
        return rows > columns ? rows : columns;
    size_t cost[3][DISTANCE_BYTES_MAX + 1];
    for (size_t j = 0; j <= columns; j++)
        cost[0][j] = j;
    for (size_t i = 1; i <= rows; i++) {
        size_t *now = cost[i % 3];
        const size_t *last = cost[(i - 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t differs = one[i - 1] == other[j - 1] ? 0 : 1;
            now[j] = smallest(last[j] + 1, now[j - 1] + 1, last[j - 1] + differs);
            bool swapped = i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
            if (swapped && cost[(i - 2) % 3][j - 2] + 1 < now[j])
                now[j] = cost[(i - 2) % 3][j - 2] + 1;
        }
    }
    return cost[rows % 3][columns];
}
