#include "cli/row_maker.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"

#define NS_PER_S   INT64_C(1000000000)
#define NS_PER_DAY (86400 * NS_PER_S)

enum kind_of_type {
    AS_TIMESTAMP,
    AS_DATE,
    AS_BOOLEAN,
    AS_INTEGER,
    AS_REAL,
    AS_SYMBOL, /* few different values */
    AS_CHAR,
    AS_GUID,
    AS_TEXT
};

/* name in the layout, how its values are made and read, bound of an integer. */
static const struct {
    const char *name;
    enum kind_of_type kind;
    int64_t max;
} TYPES[] = {{"timestamp", AS_TIMESTAMP, INT64_MAX},
             {"date", AS_DATE, INT32_MAX},
             {"boolean", AS_BOOLEAN, 1},
             {"byte", AS_INTEGER, 255},
             {"short", AS_INTEGER, INT16_MAX},
             {"int", AS_INTEGER, INT32_MAX},
             {"long", AS_INTEGER, INT64_MAX},
             {"real", AS_REAL, 0},
             {"float", AS_REAL, 0},
             {"symbol", AS_SYMBOL, 0},
             {"char", AS_CHAR, 0},
             {"guid", AS_GUID, 0},
             {"string", AS_TEXT, 0}};

static size_t type_of(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(TYPES); i++)
        if (strcmp(TYPES[i].name, name) == 0)
            return i;
    return COUNT_OF(TYPES) - 1;
}

static struct gemel_value integer_value(int64_t integer)
{
    return (struct gemel_value){.kind = GEMEL_INTEGER, .integer = integer};
}

static struct gemel_value text_value(const char *text)
{
    return (struct gemel_value){.kind = GEMEL_TEXT, .bytes = text, .size = strlen(text)};
}

/* Source: splitmix64, Sebastiano Vigna. */
static uint64_t mix(uint64_t seed)
{
    uint64_t z = seed + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct gemel_value row_maker_generate(const struct gemel_column *column, uint64_t seed, int64_t wall_ns,
                                      struct arena *arena)
{
    static const char *const symbols[] = {"AAPL", "AMZN", "BARC", "GOOG", "IBM", "MSFT", "NOK", "ORCL", "TSLA", "VOD"};
    static const char *const letters[] = {"A", "B", "C", "D"};
    const uint64_t chance = mix(seed);
    const size_t type = type_of(column->type);
    const uint64_t most = TYPES[type].max < 10000 ? (uint64_t)TYPES[type].max : 10000;
    switch (TYPES[type].kind) {
    case AS_TIMESTAMP:
        return integer_value(wall_ns);
    case AS_DATE:
        return integer_value(wall_ns / NS_PER_DAY);
    case AS_BOOLEAN:
        return integer_value((int64_t)(chance & 1));
    case AS_INTEGER:
        return integer_value((int64_t)(chance % (most + 1)));
    case AS_REAL:
        return (struct gemel_value){.kind = GEMEL_REAL, .real = (double)(chance % 1000000) / 100.0};
    case AS_SYMBOL:
        return text_value(symbols[chance % COUNT_OF(symbols)]);
    case AS_CHAR:
        return text_value(letters[chance % COUNT_OF(letters)]);
    case AS_GUID:
        return text_value(arena_printf(arena, "%08x-%04x-4%03x-8%03x-%012llx", (unsigned)(chance >> 32),
                                       (unsigned)(chance >> 16 & 0xffff), (unsigned)(chance & 0xfff),
                                       (unsigned)(mix(chance) & 0xfff), (unsigned long long)(mix(chance) >> 16)));
    case AS_TEXT:
        return text_value(arena_printf(arena, "text %llu", (unsigned long long)(chance % 100000)));
    }
    return (struct gemel_value){.kind = GEMEL_NULL};
}

/* Days since 1970 of a date in the Gregorian calendar. Source: Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms", days_from_civil. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2 ? 1 : 0;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const int64_t of_era = year - era * 400;
    const int64_t of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Takes exactly `count` digits; moves *at behind them. */
static bool take_digits(const char **at, size_t count, unsigned *number)
{
    *number = 0;
    for (size_t i = 0; i < count; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *number = *number * 10 + (unsigned)(**at - '0');
    }
    return true;
}

static bool take_date(const char **at, int64_t *days)
{
    unsigned year, month, day;
    if (!take_digits(at, 4, &year) || (**at != '-' && **at != '.'))
        return false;
    const char mark = *(*at)++;
    if (!take_digits(at, 2, &month) || *(*at)++ != mark || !take_digits(at, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    *days = days_of((int64_t)year, month, day);
    return true;
}

/* `2026-11-21T21:10:02.123456789Z`; also a space or a D for the T, no Z, fewer digits of the second, points in the
 * date. */
static bool read_timestamp(const char *text, int64_t *wall_ns)
{
    const char *at = text;
    int64_t days = 0, ns = 0;
    unsigned hour = 0, minute = 0, second = 0;
    if (!take_date(&at, &days))
        return false;
    if (*at != '\0') {
        if (strchr("TD ", *at++) == NULL || !take_digits(&at, 2, &hour) || *at++ != ':' ||
            !take_digits(&at, 2, &minute) || *at++ != ':' || !take_digits(&at, 2, &second))
            return false;
        if (*at == '.') {
            int64_t unit = NS_PER_S;
            for (at++; *at >= '0' && *at <= '9' && unit > 1; at++) {
                unit /= 10;
                ns += unit * (*at - '0');
            }
        }
        at += *at == 'Z' ? 1 : 0;
    }
    /* Nanoseconds since 1970 reach from 1678 to 2262. */
    if (*at != '\0' || hour > 23 || minute > 59 || second > 59 || days < -106000 || days > 106000)
        return false;
    *wall_ns = days * NS_PER_DAY + ((int64_t)hour * 3600 + (int64_t)minute * 60 + (int64_t)second) * NS_PER_S + ns;
    return true;
}

static bool read_integer(const char *text, int64_t *integer)
{
    char *end = NULL;
    errno = 0;
    *integer = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' && end != text && *text != ' ' && *text != '+';
}

static bool read_boolean(const char *text, int64_t *integer)
{
    static const char *const words[] = {"0", "1", "false", "true", "no", "yes"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strcmp(text, words[i]) == 0) {
            *integer = (int64_t)(i & 1);
            return true;
        }
    return false;
}

static bool read_number(size_t type, const char *text, int64_t *integer)
{
    const char *at = text;
    switch (TYPES[type].kind) {
    case AS_TIMESTAMP:
        return read_integer(text, integer) || read_timestamp(text, integer);
    case AS_DATE:
        return read_integer(text, integer) || (take_date(&at, integer) && *at == '\0');
    case AS_BOOLEAN:
        return read_boolean(text, integer);
    case AS_INTEGER:
        return read_integer(text, integer) && *integer <= TYPES[type].max && (*integer >= -TYPES[type].max - 1) &&
               (TYPES[type].max != 255 || *integer >= 0);
    case AS_REAL:
    case AS_SYMBOL:
    case AS_CHAR:
    case AS_GUID:
    case AS_TEXT:
        return false;
    }
    return false;
}

int row_maker_read(const struct gemel_column *column, const char *text, struct gemel_value *value, struct error *error)
{
    const size_t type = type_of(column->type);
    const enum kind_of_type kind = TYPES[type].kind;
    if (text[0] == '\0') {
        *value = (struct gemel_value){.kind = GEMEL_NULL};
        return 0;
    }
    if (kind >= AS_SYMBOL) {
        *value = text_value(text);
        return 0;
    }
    if (kind == AS_REAL) {
        char *end = NULL;
        const double real = strtod(text, &end);
        if (*end == '\0' && isfinite(real)) {
            *value = (struct gemel_value){.kind = GEMEL_REAL, .real = real};
            return 0;
        }
    } else {
        int64_t integer = 0;
        if (read_number(type, text, &integer)) {
            *value = integer_value(integer);
            return 0;
        }
    }
    return error_set(error, -EINVAL, "column '%s' wants a %s, got '%s'", column->name, column->type, text);
}
