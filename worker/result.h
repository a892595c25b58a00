/* The answer to an SQL query, taken apart. Internal to libgemel. */
#ifndef GEMEL_WORKER_RESULT_H
#define GEMEL_WORKER_RESULT_H

#include <stddef.h>
#include <stdint.h>

#include "common/wire/wire.h"
#include "worker/gemel.h"

/* Makes a result of an answer's payload (borrowed). Returned in *result (release with gemel_result_free). Returns 0, or
 * -EBADMSG when it is no SqlAnswer or its rows do not match its counts. */
int result_read(const uint8_t *payload, size_t size, const char *source, struct gemel_result **result);

/* The marks of the answer (borrowed). */
const Gemel__SqlAnswer *result_answer(const struct gemel_result *result);

#endif
