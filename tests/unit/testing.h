/* What every unit test includes: cmocka, with the headers that it wants before it. */
#ifndef GEMEL_TESTS_UNIT_TESTING_H
#define GEMEL_TESTS_UNIT_TESTING_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#endif
