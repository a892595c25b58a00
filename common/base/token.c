#include "common/base/token.h"

#include <errno.h>
#include <stdio.h>

#include "common/base/assert.h"

enum {
    EPOCH_NODE_BITS = 8
};

uint64_t epoch_next(uint64_t epoch, uint8_t node)
{
    ASSERT(node > 0);
    return (epoch_counter(epoch) + 1) << EPOCH_NODE_BITS | node;
}

uint64_t epoch_counter(uint64_t epoch)
{
    return epoch >> EPOCH_NODE_BITS;
}

uint8_t epoch_node(uint64_t epoch)
{
    return (uint8_t)(epoch & 0xff);
}

int token_compare(struct token one, struct token other)
{
    if (one.placement != other.placement)
        return one.placement < other.placement ? -1 : 1;
    if (one.start != other.start)
        return one.start < other.start ? -1 : 1;
    return 0;
}

void token_format(struct token token, char text[TOKEN_TEXT_BYTES])
{
    snprintf(text, TOKEN_TEXT_BYTES, "%llu-%llu", (unsigned long long)token.placement, (unsigned long long)token.start);
}

/* Reads digits up to `end`; moves *at behind it. */
static int take_number(const char **at, char end, uint64_t *number)
{
    uint64_t value = 0;
    int digits = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++, digits++) {
        uint64_t digit = (uint64_t)(**at - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return -EINVAL;
        value = value * 10 + digit;
    }
    if (digits == 0 || **at != end)
        return -EINVAL;
    *number = value;
    if (end != '\0')
        (*at)++;
    return 0;
}

int token_parse(const char *text, struct token *token)
{
    struct token found = {0};
    const char *at = text;
    if (take_number(&at, '-', &found.placement) != 0 || take_number(&at, '\0', &found.start) != 0)
        return -EINVAL;
    *token = found;
    return 0;
}
