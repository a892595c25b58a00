/* libs: gemel_layout_load gemel_layout_model gemel_base */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/layout/load/host_lookup.h"
#include "common/layout/load/settings_load.h"
#include "tests/unit/testing.h"

/* The machine of these tests has the address of the host that `owner` names, and 127.0.0.0/8. */
static bool is_local(void *owner, const char *host)
{
    return strcmp(owner, host) == 0 || strncmp(host, "127.", 4) == 0;
}

static bool is_loopback(void *owner, const char *host)
{
    (void)owner;
    return strncmp(host, "127.", 4) == 0;
}

static int parse(struct settings *settings, const char *machine, const char *text, struct text *printed)
{
    const struct settings_lookup lookup = {is_local, is_loopback, (void *)(uintptr_t)machine};
    struct error_list mistakes = {0};
    int result = settings_parse(settings, "/home/a/etc/settings.conf", text, strlen(text), &lookup, &mistakes);
    text_init(printed, 10000);
    error_list_print(&mistakes, printed);
    error_list_fini(&mistakes);
    return result;
}

#define PAIR                                                                                                           \
    "delta-control-master-hostname = aaa.host.com\n"                                                                   \
    "delta-control-slave-hostname = bbb.host.com:2011\n"                                                               \
    "delta-control-clustering = 1\n"

static void test_the_originals_keys_make_a_pair_and_the_host_finds_itself(void **state)
{
    (void)state;
    struct settings settings;
    struct text printed;
    char address[ADDRESS_BYTES];
    assert_int_equal(parse(&settings, "bbb.host.com",
                           PAIR "auto-configure-instance-hostname-a = aaa.host.com # side A\r\n"
                                "auto-configure-instance-hostname-b = bbb.host.com\n",
                           &printed),
                     0);
    assert_string_equal(printed.data, "");
    assert_string_equal(settings.host, "bbb.host.com");
    assert_string_equal(settings.peer_host, "aaa.host.com");
    assert_int_equal(settings.node, 2);
    assert_int_equal(settings.control_count, 2);
    assert_int_equal(settings.host_count, 2);
    settings_control_address(&settings, 1, address);
    assert_string_equal(address, "aaa.host.com:2001");
    settings_control_address_of(&settings, "bbb.host.com", address);
    assert_string_equal(address, "bbb.host.com:2011");
    settings_daemon_address_of(&settings, "bbb.host.com", address);
    assert_string_equal(address, "bbb.host.com:2002");
    assert_string_equal(settings.keys, "/home/a/etc/keys");
    assert_int_equal(settings.lease_ms, 3000);
    assert_int_equal(settings.peer_loss, PEER_LOSS_PROMOTE);
    text_fini(&printed);
}

static void test_short_names_and_every_typed_value_are_read(void **state)
{
    (void)state;
    struct settings settings;
    struct text printed;
    assert_int_equal(parse(&settings, "",
                           "control-primary = 127.0.0.1\ncontrol-secondary = 127.0.0.2\nclustering = 1\n"
                           "host = 127.0.0.2\nsecurity = none\npeer-loss = freeze\narbiter = none\n"
                           "discovery = names\ncontrol-port = 3001\ndaemon-port=3002\nconsole-port=3003\n"
                           "gateway-port=3004\nheartbeat=50ms\nsuspect=500\nlease=2s\nlease-margin=250ms\n"
                           "missing-timeout=1m\ndiscovery-time=1s\nping-interval=20ms\nhang-timeout=100ms\n"
                           "query-timeout=0\ndos-servers=c:1, d:2\ndos-copies=2\ndos-degrade-after=7s\nkeys=/k\n",
                           &printed),
                     0);
    assert_int_equal(settings.node, 2);
    assert_int_equal(settings.security, SECURITY_NONE);
    assert_int_equal(settings.peer_loss, PEER_LOSS_FREEZE);
    assert_int_equal(settings.controls[1].port, 3001);
    assert_int_equal(settings.daemon_port, 3002);
    assert_int_equal(settings.console_port, 3003);
    assert_int_equal(settings.gateway_port, 3004);
    assert_int_equal(settings.heartbeat_ms, 50);
    assert_int_equal(settings.suspect_ms, 500);
    assert_int_equal(settings.lease_ms, 2000);
    assert_int_equal(settings.lease_margin_ms, 250);
    assert_int_equal(settings.missing_timeout_ms, 60000);
    assert_int_equal(settings.discovery_time_ms, 1000);
    assert_int_equal(settings.ping_interval_ms, 20);
    assert_int_equal(settings.hang_timeout_ms, 100);
    assert_int_equal(settings.query_timeout_ms, 0);
    assert_int_equal(settings.dos_server_count, 2);
    assert_string_equal(settings.dos_servers[1].host, "d");
    assert_int_equal(settings.dos_copies, 2);
    assert_int_equal(settings.dos_degrade_after_ms, 7000);
    assert_string_equal(settings.keys, "/k");
    assert_string_equal(settings.host_b, "127.0.0.2");
    text_fini(&printed);
}

#define AT "/home/a/etc/settings.conf:"

static void test_each_mistake_has_its_place_and_its_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *printed;
    } cases[] = {
        {"control-primary = x\nclusterng = 1\n", AT "2:1: unknown key (did you mean 'clustering'?), got 'clusterng'\n"},
        {"control-primary = x\nbanana = 1\n", AT "2:1: unknown key, got 'banana'\n"},
        {"control-primary = x\n  control-primary=x\n",
         AT "2:3: the key was given before, in line 1, got 'control-primary'\n"},
        {"control-primary = x\ndelta-control-master-hostname = x\n",
         AT "2:1: the key was given before, in line 1, got 'delta-control-master-hostname'\n"},
        {"control-primary = x\nhello\n", AT "2:1: a line must be 'key = value', got 'hello'\n"},
        {"control-primary = x\nlease = \n", AT "2:8: 'lease' has no value, got ''\n"},
        {"control-primary = x:0\nhost-a = x\n",
         AT "1:19: 'delta-control-master-hostname' wants 'host' or 'host:port', got 'x:0'\n"},
        {"control-primary = x\nhost-a = x:1\n",
         AT "2:10: 'auto-configure-instance-hostname-a' wants a host name without a port, got 'x:1'\n"},
        {"control-primary = x\nclustering = maybe\n",
         AT "2:14: 'delta-control-clustering' wants 0 or 1, got 'maybe'\n"},
        {"control-primary = x\nclustering = 1\n", AT "2:14: clustering wants 'control-secondary', got '1'\n"},
        {"control-primary = x\ncontrol-secondary = x:3\nclustering = 1\n",
         AT "2:21: the two controls must be on two hosts, got 'x' twice\n"},
        {"control-primary = x\nlease = soon\n", AT "2:9: 'lease' wants a duration such as 250ms or 3s, got 'soon'\n"},
        {"control-primary = x\nhang-timeout = 50ms\nping-interval = 10ms\n",
         AT "2:16: 'hang-timeout' must be whole milliseconds from 100ms to 3600000ms, got '50ms'\n"},
        {"control-primary = x\nlease = 900ms\n",
         AT "2:9: 'lease' must be longer than 'suspect' (1000ms), got '900ms'\n"},
        {"control-primary = x\nheartbeat = 1s\n",
         AT "2:13: 'suspect' must be longer than 'heartbeat' (1000ms), got '1000ms'\n"},
        {"control-primary = x\nlease-margin = 3s\n",
         AT "2:16: 'lease' must be longer than 'lease-margin' (3000ms), got '3000ms'\n"},
        {"control-primary = x\nping-interval = 1s\n",
         AT "2:17: 'hang-timeout' must be longer than 'ping-interval' (1000ms), got '1000ms'\n"},
        {"control-primary = x\ndaemon-port = 70000\n",
         AT "2:15: 'daemon-port' wants a port from 1 to 65535, got '70000'\n"},
        {"control-primary = x\ndaemon-port = 2001\n",
         AT "2:15: 'control-port' and 'daemon-port' must be two ports, got '2001'\n"},
        {"control-primary = x\nsecurity = none\n",
         AT "2:12: 'security = none' is for loopback addresses only, got host 'x'\n"},
        {"control-primary = x\nsecurity = off\n", AT "2:12: 'security' wants on or none, got 'off'\n"},
        {"control-primary = x\narbiter = dos://c:1\n",
         AT "2:11: 'arbiter' wants none (this version has no other arbiter), got 'dos://c:1'\n"},
        {"control-primary = x\npeer-loss = panic\n", AT "2:13: 'peer-loss' wants promote or freeze, got 'panic'\n"},
        {"control-primary = x\ndos-servers = c\n",
         AT "2:15: 'dos-servers' wants 'host:port', comma separated, got 'c'\n"},
        {"control-primary = x\ndos-copies = 0\n", AT "2:14: 'dos-copies' wants all or a number from 1 to 8, got '0'\n"},
        {"control-primary = x\nhost = y\n", AT "2:8: 'host' must be one of the configured hosts (x), got 'y'\n"},
        {"# nothing\n", AT " no host is named: set 'control-primary', and 'control-secondary' for a pair\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings settings = {.node = 77};
        struct text printed;
        assert_int_equal(parse(&settings, "x", cases[i].text, &printed), -EINVAL);
        assert_string_equal(printed.data, cases[i].printed);
        assert_int_equal(settings.node, 77);
        text_fini(&printed);
    }
}

static void test_all_mistakes_come_in_one_run_in_the_order_of_their_places(void **state)
{
    (void)state;
    struct settings settings;
    struct text printed;
    assert_int_equal(parse(&settings, "x", "lease = no\nbanana = 1\ncontrol-primary = x\nhost = z\n", &printed),
                     -EINVAL);
    assert_string_equal(printed.data, AT "1:9: 'lease' wants a duration such as 250ms or 3s, got 'no'\n" AT
                                         "2:1: unknown key, got 'banana'\n" AT
                                         "4:8: 'host' must be one of the configured hosts (x), got 'z'\n");
    text_fini(&printed);
}

static void test_a_machine_with_no_or_several_configured_addresses_must_say_which_host_it_is(void **state)
{
    (void)state;
    struct settings settings;
    struct text printed;
    assert_int_equal(parse(&settings, "ccc.host.com", PAIR, &printed), -EINVAL);
    assert_string_equal(printed.data, AT " say which host this is: set 'host' to one of aaa.host.com, bbb.host.com "
                                         "(this machine has the address of none of them)\n");
    text_fini(&printed);
    assert_int_equal(
        parse(&settings, "", "control-primary = 127.0.0.1\ncontrol-secondary = 127.0.0.2\nclustering = 1\n", &printed),
        -EINVAL);
    assert_string_equal(printed.data, AT " say which host this is: set 'host' to one of 127.0.0.1, 127.0.0.2 "
                                         "(this machine has the address of several of them)\n");
    text_fini(&printed);
}

static void test_a_single_control_has_no_peer(void **state)
{
    (void)state;
    struct settings settings;
    struct text printed;
    assert_int_equal(parse(&settings, "a", "host-a = a\nhost-b = b\n", &printed), 0);
    assert_int_equal(settings.node, 1);
    assert_int_equal(settings.control_count, 1);
    assert_string_equal(settings.peer_host, "");
    assert_int_equal(settings.host_count, 2);
    text_fini(&printed);
}

static void test_loopback_addresses_are_local_and_a_documentation_address_is_not(void **state)
{
    (void)state;
    assert_true(host_is_local("127.0.0.1"));
    assert_true(host_is_local("127.0.0.2"));
    assert_true(host_is_loopback("127.0.0.2"));
    assert_false(host_is_local("192.0.2.1"));
    assert_false(host_is_loopback("192.0.2.1"));
}

static void test_a_missing_file_is_named(void **state)
{
    (void)state;
    struct settings settings;
    struct error_list mistakes = {0};
    struct text printed;
    text_init(&printed, 1000);
    assert_int_equal(settings_load(&settings, "/nowhere/etc/settings.conf", &mistakes), -ENOENT);
    error_list_print(&mistakes, &printed);
    assert_string_equal(printed.data, "/nowhere/etc/settings.conf: cannot read the file: No such file or directory\n");
    error_list_fini(&mistakes);
    text_fini(&printed);
}

static void test_dos_servers_on_one_host_are_a_warning(void **state)
{
    (void)state;
    struct settings settings;
    struct text printed;
    struct error_list warnings = {0};
    assert_int_equal(parse(&settings, "x", "control-primary = x\ndos-servers = c:1,c:2\n", &printed), 0);
    settings_warn(&settings, &warnings);
    assert_int_equal(warnings.count, 1);
    error_list_fini(&warnings);
    text_fini(&printed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_originals_keys_make_a_pair_and_the_host_finds_itself),
        cmocka_unit_test(test_short_names_and_every_typed_value_are_read),
        cmocka_unit_test(test_each_mistake_has_its_place_and_its_sentence),
        cmocka_unit_test(test_all_mistakes_come_in_one_run_in_the_order_of_their_places),
        cmocka_unit_test(test_a_machine_with_no_or_several_configured_addresses_must_say_which_host_it_is),
        cmocka_unit_test(test_a_single_control_has_no_peer),
        cmocka_unit_test(test_loopback_addresses_are_local_and_a_documentation_address_is_not),
        cmocka_unit_test(test_a_missing_file_is_named),
        cmocka_unit_test(test_dos_servers_on_one_host_are_a_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
