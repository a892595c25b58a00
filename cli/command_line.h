/* The command line, read by the command table. Pure: strings of an invocation point into argv (borrowed).
 *
 * `pipeline --start P`, `pipeline start P`, `pipeline P --start` are the same. Options may stand anywhere behind the
 * noun, --home and --output also before it; `--name value` and `--name=value` are the same; `--` ends the options. */
#ifndef GEMEL_CLI_COMMAND_LINE_H
#define GEMEL_CLI_COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/command_table.h"
#include "common/base/error.h"

struct invocation {
    const char *program;               /* name it was called by: "gemel" or "refinery" */
    const struct cli_noun *noun;       /* NULL: none given, only with help */
    const struct cli_command *command; /* NULL: no verb given, only with help */
    bool help;                         /* help is asked for: of the command, else the noun, else of everything */
    bool json;                         /* also written when the rest is wrong, so that the error is printed that way */
    const char *arguments[CLI_ARGUMENTS_MAX];
    size_t argument_count;
    const char *values[CLI_OPTION_COUNT]; /* NULL: not given; "" for a switch */
};

/* Reads the command line. Returns 0, or -EINVAL with a sentence for an unknown command, verb, option or value (with
 * *did you mean*), a missing or superfluous argument, an option given twice. program, help and json are then valid. */
int invocation_parse(int argc, char *const *argv, struct invocation *invocation, struct error *error);

bool invocation_has(const struct invocation *invocation, enum cli_option option);
/* The value of an option, or `fallback` (NULL allowed) when it was not given. Values were checked when read. */
const char *invocation_text(const struct invocation *invocation, enum cli_option option, const char *fallback);
uint32_t invocation_number(const struct invocation *invocation, enum cli_option option, uint32_t fallback);
int64_t invocation_duration_ms(const struct invocation *invocation, enum cli_option option, int64_t fallback_ms);

/* Reads `250ms`, `30s`, `15m`, `2h`, or a bare number of seconds; at most 30 days. Returns 0 or -EINVAL. */
int command_line_duration(const char *text, int64_t *duration_ms);

#endif
