#include "common/base/process_id.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool process_id_is_name(const char *name, size_t size)
{
    size_t length = strnlen(name, size);
    if (length == 0 || length >= size || !is_letter(name[0]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_letter(name[i]) && !is_digit(name[i]) && name[i] != '_' && name[i] != '-')
            return false;
    return true;
}

/* Takes the part up to the next '.' (or the end) as a name; moves *at behind the '.'. */
static bool take_name(const char **at, char *target, size_t size)
{
    size_t length = strcspn(*at, ".");
    if (length >= size)
        return false;
    memcpy(target, *at, length);
    target[length] = '\0';
    *at += length;
    if (**at == '.')
        (*at)++;
    return process_id_is_name(target, size);
}

static bool take_number(const char **at, uint32_t *number)
{
    size_t length = strcspn(*at, ".");
    if (length == 0 || length > 6 || (length > 1 && **at == '0'))
        return false;
    uint32_t value = 0;
    for (size_t i = 0; i < length; i++) {
        if (!is_digit((*at)[i]))
            return false;
        value = value * 10 + (uint32_t)((*at)[i] - '0');
    }
    *number = value;
    *at += length;
    if (**at == '.')
        (*at)++;
    return true;
}

int process_id_parse(const char *name, struct process_id *id)
{
    struct process_id found = {0};
    size_t length = strnlen(name, PROCESS_NAME_BYTES);
    if (length == 0 || length >= PROCESS_NAME_BYTES || name[length - 1] == '.')
        return -EINVAL;
    const char *at = name;
    bool fits = take_name(&at, found.pipeline, sizeof found.pipeline) && take_number(&at, &found.instance) &&
                take_name(&at, found.type, sizeof found.type) && take_number(&at, &found.index) && *at == '\0';
    if (!fits)
        return -EINVAL;
    *id = found;
    return 0;
}

void process_id_format(const struct process_id *id, char name[PROCESS_NAME_BYTES])
{
    snprintf(name, PROCESS_NAME_BYTES, "%s.%u.%s.%u", id->pipeline, (unsigned)id->instance, id->type,
             (unsigned)id->index);
}

int process_id_compare(const struct process_id *one, const struct process_id *other)
{
    int order = strcmp(one->pipeline, other->pipeline);
    if (order != 0)
        return order;
    if (one->instance != other->instance)
        return one->instance < other->instance ? -1 : 1;
    order = strcmp(one->type, other->type);
    if (order != 0)
        return order;
    if (one->index != other->index)
        return one->index < other->index ? -1 : 1;
    return 0;
}
