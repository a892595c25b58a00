/* ASSERT: a promise between our own lines, kept in all builds.
 * Pure but for the end of the program. Expected failures (peer gone, disk full, garbage on the wire) are never asserts.
 */
#ifndef GEMEL_BASE_ASSERT_H
#define GEMEL_BASE_ASSERT_H

/* Prints the broken promise to stderr and aborts. */
_Noreturn void assert_failed(const char *file, int line, const char *expression);

#define ASSERT(expression) ((expression) ? (void)0 : assert_failed(__FILE__, __LINE__, #expression))

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
