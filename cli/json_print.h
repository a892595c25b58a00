/* A reply as JSON: {"exitCode": 0, "message": "...", "error": "...", "TABLE": [{"column": "cell", ...}, ...], ...}.
 * Tables of the same name become one array. Cells are strings, as they are printed in tables. Pure. */
#ifndef GEMEL_CLI_JSON_PRINT_H
#define GEMEL_CLI_JSON_PRINT_H

#include "common/base/text.h"
#include "common/wire/gemel.pb-c.h"

/* Appends one object and a line end. */
void json_print_reply(struct text *text, const Gemel__AdminReply *reply);

#endif
