/* Epochs and writer tokens (cluster rules 1 and "tokens"). Pure.
 *
 * An epoch is counter << 8 | node number: two nodes never claim the same one. It is for orders.
 * A writer token is (placement, start), compared as a pair, per process name, never shared. It is for writers. */
#ifndef GEMEL_BASE_TOKEN_H
#define GEMEL_BASE_TOKEN_H

#include <stdint.h>

enum {
    TOKEN_TEXT_BYTES = 44
};

/* The epoch after `epoch` (0: none yet) for the node numbered `node` (1 to 255). */
uint64_t epoch_next(uint64_t epoch, uint8_t node);

/* The part that people read. */
uint64_t epoch_counter(uint64_t epoch);
uint8_t epoch_node(uint64_t epoch);

struct token {
    uint64_t placement; /* raised by a logged operation whenever the leader places the process; 0: none */
    uint64_t start;     /* raised by the daemon before each spawn */
};

/* Below 0, 0, above 0 as `one` is older than, equal to, newer than `other`. */
int token_compare(struct token one, struct token other);

/* Writes `placement-start`. */
void token_format(struct token token, char text[TOKEN_TEXT_BYTES]);

/* Reads `placement-start`. Returns 0 or -EINVAL. */
int token_parse(const char *text, struct token *token);

#endif
