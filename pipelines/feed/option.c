#include "pipelines/feed/option.h"

#include <stddef.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/log/log.h"

bool option_flag(const struct gemel_worker *worker, const char *name, bool otherwise)
{
    static const char *const words[2][4] = {{"false", "no", "off", "0"}, {"true", "yes", "on", "1"}};
    const char *value = gemel_worker_option(worker, name);
    if (value == NULL)
        return otherwise;
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 4; j++)
            if (strcmp(value, words[i][j]) == 0)
                return i == 1;
    log_warn("Option %s is true or false, got '%s'; using %s", name, value, otherwise ? "true" : "false");
    return otherwise;
}

/* Reads digits with `_` between them. Returns where they end; NULL when there are none or too many. */
static const char *read_digits(const char *text, uint64_t *number)
{
    const char *at = text;
    uint64_t value = 0;
    for (; (*at >= '0' && *at <= '9') || (*at == '_' && at > text); at++) {
        if (*at == '_')
            continue;
        if (value > (UINT64_MAX - 9) / 10)
            return NULL;
        value = value * 10 + (uint64_t)(*at - '0');
    }
    *number = value;
    return at > text ? at : NULL;
}

uint64_t option_number(const struct gemel_worker *worker, const char *name, uint64_t otherwise)
{
    const char *value = gemel_worker_option(worker, name);
    uint64_t number = 0;
    if (value == NULL)
        return otherwise;
    const char *end = read_digits(value, &number);
    if (end != NULL && *end == '\0')
        return number;
    log_warn("Option %s is a number, got '%s'; using %llu", name, value, (unsigned long long)otherwise);
    return otherwise;
}

uint64_t option_duration_ms(const struct gemel_worker *worker, const char *name, uint64_t otherwise_ms,
                            uint64_t bare_unit_ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    const char *value = gemel_worker_option(worker, name);
    uint64_t number = 0;
    if (value == NULL)
        return otherwise_ms;
    const char *end = read_digits(value, &number);
    if (end != NULL && *end == '\0' && number <= UINT64_MAX / bare_unit_ms)
        return number * bare_unit_ms;
    for (size_t i = 0; end != NULL && i < COUNT_OF(units); i++)
        if (strcmp(end, units[i].unit) == 0 && number <= UINT64_MAX / units[i].ms)
            return number * units[i].ms;
    log_warn("Option %s is a duration such as 250ms, got '%s'; using %llu ms", name, value,
             (unsigned long long)otherwise_ms);
    return otherwise_ms;
}
