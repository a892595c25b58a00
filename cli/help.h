/* Help, written from the command table. Pure. */
#ifndef GEMEL_CLI_HELP_H
#define GEMEL_CLI_HELP_H

#include "cli/command_line.h"
#include "common/base/text.h"

/* Appends the help that the invocation asks for: of its command, else its noun, else of everything. */
void help_print(const struct invocation *invocation, struct text *text);

#endif
