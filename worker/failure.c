#include "worker/failure.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/text.h"
#include "worker/gemel.h"

static _Thread_local char last_sentence[ERROR_SENTENCE_BYTES];

int failure_set(int code, const char *format, ...)
{
    ASSERT(code < 0);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_sentence, sizeof last_sentence, format, arguments);
    va_end(arguments);
    return code;
}

int failure_take(const struct error *error)
{
    text_copy(last_sentence, sizeof last_sentence, error->sentence);
    return error->code;
}

const char *gemel_error_text(void)
{
    return last_sentence;
}
