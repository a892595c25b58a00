/* libs: gemel_base gemel_wire */
#include <errno.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/crc32c.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/process_id.h"
#include "common/base/text.h"
#include "common/base/token.h"
#include "common/wire/frame.h"
#include "common/wire/wire.h"
#include "tests/unit/testing.h"

static void test_crc32c_has_the_standard_check_value_and_chains(void **state)
{
    (void)state;
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(crc32c_more(crc32c("1234", 4), "56789", 5), 0xe3069283);
}

static void test_process_names_round_trip_and_bad_ones_are_refused(void **state)
{
    (void)state;
    struct process_id id;
    char name[PROCESS_NAME_BYTES];
    assert_int_equal(process_id_parse("DemoPipeline.0.rdb.12", &id), 0);
    assert_string_equal(id.type, "rdb");
    process_id_format(&id, name);
    assert_string_equal(name, "DemoPipeline.0.rdb.12");
    const char *bad[] = {"",           ".",          "a.b.c.d",    "a.0.rdb",         "a.0.rdb.", "a.0.rdb.0.",
                         "a.00.rdb.0", "1a.0.rdb.0", "a/.0.rdb.0", "a.0.rdb.9999999", "a..rdb.0", "a.0.rdb.-1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(process_id_parse(bad[i], &id), -EINVAL);
}

static void test_tokens_are_compared_as_pairs(void **state)
{
    (void)state;
    struct token token;
    char written[TOKEN_TEXT_BYTES];
    assert_int_equal(token_parse("12-3", &token), 0);
    token_format(token, written);
    assert_string_equal(written, "12-3");
    assert_true(token_compare(token, (struct token){12, 4}) < 0);
    assert_true(token_compare(token, (struct token){11, 400}) > 0);
    assert_int_equal(token_parse("12", &token), -EINVAL);
    assert_int_equal(token_parse("99999999999999999999-1", &token), -EINVAL);
}

static void test_two_nodes_never_claim_the_same_epoch(void **state)
{
    (void)state;
    assert_int_equal(epoch_next(0, 1), 0x101);
    assert_int_equal(epoch_next(0x101, 2), 0x202);
    assert_true(epoch_next(0x101, 1) != epoch_next(0x101, 2));
    assert_int_equal(epoch_counter(0x202), 2);
}

static void test_text_stops_at_its_bound_and_says_so(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, 10);
    text_printf(&text, "%s", "123456");
    assert_false(text.truncated);
    text_printf(&text, "%s", "789012");
    assert_string_equal(text.data, "1234567890");
    assert_true(text.truncated);
    text_fini(&text);
    char written[32];
    text_count(written, sizeof written, 41213);
    assert_string_equal(written, "41,213");
    text_duration(written, sizeof written, 1.23);
    assert_string_equal(written, "1.2 ms");
    assert_int_equal(text_distance("pub-frqe-ms", "pub-freq-ms"), 1);
}

static void test_mistakes_are_listed_in_the_order_of_their_places(void **state)
{
    (void)state;
    struct error_list list = {0};
    error_list_add(&list, -EINVAL, "b.yaml", 1, 1, "second");
    error_list_add(&list, -EINVAL, "a.yaml", 12, 3, "unknown key, got '%s'", "x");
    error_list_sort(&list);
    struct text text;
    text_init(&text, 1000);
    error_list_print(&list, &text);
    assert_string_equal(text.data, "a.yaml:12:3: unknown key, got 'x'\nb.yaml:1:1: second\n");
    text_fini(&text);
    error_list_fini(&list);
}

static void test_a_frame_header_round_trips_and_any_flipped_bit_is_seen(void **state)
{
    (void)state;
    struct frame_header header = {
        .type = FRAME_QUERY, .idempotent = true, .body_bytes = 7, .request_id = 99, .epoch = 257, .body_crc32c = 5};
    struct frame_header read;
    uint8_t bytes[FRAME_HEADER_BYTES];
    frame_encode(&header, bytes);
    assert_int_equal(frame_decode(bytes, &read), 0);
    assert_int_equal(read.type, FRAME_QUERY);
    assert_true(read.idempotent);
    assert_int_equal(read.request_id, 99);
    for (size_t bit = 0; bit < FRAME_HEADER_BYTES * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(frame_decode(bytes, &read) < 0);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void test_a_route_header_is_read_back_and_a_short_one_refused(void **state)
{
    (void)state;
    uint8_t body[64];
    frame_route_encode(body, "Demo.rdb.0", 250);
    memcpy(body + FRAME_ROUTE_BYTES + 10, "sql", 3);
    struct frame_route route;
    assert_int_equal(frame_route_decode(body, FRAME_ROUTE_BYTES + 13, &route), 0);
    assert_memory_equal(route.name, "Demo.rdb.0", 10);
    assert_int_equal(route.timeout_ms, 250);
    assert_memory_equal(route.payload, "sql", 3);
    assert_int_equal(frame_route_decode(body, FRAME_ROUTE_BYTES + 9, &route), -EBADMSG);
}

static void test_messages_round_trip_and_garbage_is_refused(void **state)
{
    (void)state;
    Gemel__Envelope envelope = GEMEL__ENVELOPE__INIT;
    Gemel__Ping ping = GEMEL__PING__INIT;
    ping.sent_ms = 42;
    envelope.sender = (char *)"cli@a";
    envelope.body_case = GEMEL__ENVELOPE__BODY_PING;
    envelope.ping = &ping;
    size_t size;
    uint8_t *bytes = wire_pack(&envelope.base, &size);
    ProtobufCMessage *message;
    assert_int_equal(wire_unpack(&gemel__envelope__descriptor, bytes, size, &message), 0);
    Gemel__Envelope *read = (Gemel__Envelope *)message;
    assert_int_equal(read->ping->sent_ms, 42);
    wire_free(message);
    assert_int_equal(wire_unpack(&gemel__envelope__descriptor, bytes, size - 1, &message), -EBADMSG);
    struct arena arena;
    arena_init(&arena);
    assert_int_equal(wire_unpack_arena(&arena, &gemel__envelope__descriptor, bytes, size, &message), 0);
    arena_fini(&arena);
    memory_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c_has_the_standard_check_value_and_chains),
        cmocka_unit_test(test_process_names_round_trip_and_bad_ones_are_refused),
        cmocka_unit_test(test_tokens_are_compared_as_pairs),
        cmocka_unit_test(test_two_nodes_never_claim_the_same_epoch),
        cmocka_unit_test(test_text_stops_at_its_bound_and_says_so),
        cmocka_unit_test(test_mistakes_are_listed_in_the_order_of_their_places),
        cmocka_unit_test(test_a_frame_header_round_trips_and_any_flipped_bit_is_seen),
        cmocka_unit_test(test_a_route_header_is_read_back_and_a_short_one_refused),
        cmocka_unit_test(test_messages_round_trip_and_garbage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
