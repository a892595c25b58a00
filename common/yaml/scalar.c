#include "common/yaml/scalar.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/base/assert.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int scalar_bool(const char *text, bool *value)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {{"true", true}, {"false", false}, {"yes", true}, {"no", false}, {"on", true}, {"off", false}};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strcmp(text, words[i].text) == 0) {
            *value = words[i].value;
            return 0;
        }
    return -EINVAL;
}

/* Takes digits with '_' between them; moves *at behind the last digit. */
static int take_digits(const char **at, int64_t *value)
{
    const char *next = *at;
    int64_t found = 0;
    int result = 0;
    if (!is_digit(*next))
        return -EINVAL;
    for (;; next++) {
        if (*next == '_' && is_digit(next[1]))
            continue;
        if (!is_digit(*next))
            break;
        if (__builtin_mul_overflow(found, 10, &found) || __builtin_add_overflow(found, *next - '0', &found))
            result = -ERANGE;
    }
    *at = next;
    if (result == 0)
        *value = found;
    return result;
}

int scalar_integer(const char *text, int64_t *value)
{
    bool negative = *text == '-';
    const char *at = negative ? text + 1 : text;
    int64_t found = 0;
    int result = take_digits(&at, &found);
    if (*at != '\0')
        return -EINVAL;
    if (result == 0)
        *value = negative ? -found : found;
    return result;
}

int scalar_duration(const char *text, enum scalar_unit bare, int64_t *nanoseconds)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {[UNIT_NS] = {"ns", 1},           [UNIT_US] = {"us", 1000},      [UNIT_MS] = {"ms", 1000000},
                 [UNIT_S] = {"s", 1000000000},    [UNIT_M] = {"m", 60000000000}, [UNIT_H] = {"h", 3600000000000},
                 [UNIT_D] = {"d", 86400000000000}};
    const char *at = text;
    int64_t count = 0;
    int result = take_digits(&at, &count);
    if (result == -EINVAL)
        return result;
    int64_t unit_ns = *at == '\0' ? units[bare].ns : 0;
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (strcmp(at, units[i].name) == 0)
            unit_ns = units[i].ns;
    if (unit_ns == 0)
        return -EINVAL;
    if (result < 0 || __builtin_mul_overflow(count, unit_ns, &count))
        return -ERANGE;
    *nanoseconds = count;
    return 0;
}

/* Takes exactly `digits` digits of a number below `limit` and the character `end` behind them. */
static bool take_part(const char **at, size_t digits, int64_t limit, int64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (!is_digit((*at)[i]))
            return false;
        *value = *value * 10 + ((*at)[i] - '0');
    }
    *at += digits;
    return *value < limit;
}

static bool take_character(const char **at, char wanted)
{
    if (**at != wanted)
        return false;
    (*at)++;
    return true;
}

int scalar_time_of_day(const char *text, int64_t *milliseconds)
{
    const char *at = text;
    int64_t hours = 0;
    int64_t minutes = 0;
    int64_t seconds = 0;
    int64_t millis = 0;
    if (!take_part(&at, 2, 24, &hours) || !take_character(&at, ':') || !take_part(&at, 2, 60, &minutes) ||
        !take_character(&at, ':') || !take_part(&at, 2, 60, &seconds))
        return -EINVAL;
    if (*at != '\0' && (!take_character(&at, '.') || !take_part(&at, 3, 1000, &millis) || *at != '\0'))
        return -EINVAL;
    *milliseconds = ((hours * 60 + minutes) * 60 + seconds) * 1000 + millis;
    return 0;
}
