/* libs: gemel_daemon_shell */
#include <string.h>

#include "daemon/notify_socket.h"
#include "tests/unit/testing.h"

/* Parses a copy; the strings stay good until the next call. */
static struct daemon_notify parse(const char *text)
{
    static char copy[NOTIFY_BYTES_MAX + 1];
    struct daemon_notify notify;
    size_t size = strlen(text);
    memcpy(copy, text, size);
    notify_parse(copy, size, &notify);
    return notify;
}

static void test_all_known_keys_are_read(void **state)
{
    (void)state;
    struct daemon_notify said = parse("READY=1\nSTATUS=replaying 43 %\nX_GEMEL_ENDPOINT=127.0.0.1:9\nX_GEMEL_LAG=77\n"
                                      "EXTEND_TIMEOUT_USEC=2500000\nWATCHDOG=1\nSTOPPING=1\nX_GEMEL_STALE=tp down");
    assert_true(said.ready && said.watchdog && said.stopping && said.has_lag);
    assert_false(said.watchdog_trigger);
    assert_string_equal(said.status, "replaying 43 %");
    assert_string_equal(said.endpoint, "127.0.0.1:9");
    assert_string_equal(said.stale, "tp down");
    assert_int_equal(said.lag_rows, 77);
    assert_int_equal(said.extend_us, 2500000);
}

static void test_what_is_absent_is_told_apart_from_what_is_empty(void **state)
{
    (void)state;
    struct daemon_notify said = parse("X_GEMEL_STALE=\n");
    assert_string_equal(said.stale, "");
    assert_null(said.status);
    assert_false(said.ready || said.has_lag);
}

static void test_malformed_lines_are_passed_over(void **state)
{
    (void)state;
    struct daemon_notify said = parse("=\n\n=1\nREADY\nREADY=yes\nX_GEMEL_LAG=-3\nX_GEMEL_LAG=9x\nX_GEMEL_LAG="
                                      "99999999999999999999\nFDSTORE=1\nEXTEND_TIMEOUT_USEC=\nWATCHDOG=trigger");
    assert_false(said.ready || said.has_lag || said.watchdog);
    assert_true(said.watchdog_trigger);
    assert_int_equal(said.extend_us, 0);
    said = parse("");
    assert_false(said.ready);
}

static void test_a_nul_ends_a_value_and_nothing_else(void **state)
{
    (void)state;
    char text[] = "STATUS=a\0b\nREADY=1";
    struct daemon_notify said;
    notify_parse(text, sizeof text - 1, &said);
    assert_string_equal(said.status, "a");
    assert_true(said.ready);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_known_keys_are_read),
        cmocka_unit_test(test_what_is_absent_is_told_apart_from_what_is_empty),
        cmocka_unit_test(test_malformed_lines_are_passed_over),
        cmocka_unit_test(test_a_nul_ends_a_value_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
