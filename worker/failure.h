/* The sentence behind gemel_error_text: one per thread. Internal to libgemel. */
#ifndef GEMEL_WORKER_FAILURE_H
#define GEMEL_WORKER_FAILURE_H

#include "common/base/error.h"

/* Keeps a sentence for this thread; returns `code`, which must be negative. */
int failure_set(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Keeps the sentence of `error` (borrowed); returns its code. */
int failure_take(const struct error *error);

#endif
