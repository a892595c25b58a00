/* libs: gemel_worker gemel_link gemel_log gemel_loop gemel_wire gemel_base */
/* The real gemel-tp and gemel-rdb under a daemon of the test's own. */
#include <errno.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/wire/rows.h"
#include "tests/unit/fake_daemon.h"
#include "tests/unit/testing.h"
#include "worker/gemel.h"

enum {
    COLUMNS = 3
};

static bool is_stale(const struct known *known)
{
    return strcmp(known->stale, "tp down") == 0;
}

static bool is_fit(const struct known *known)
{
    return known->ready && known->stale[0] == '\0';
}

/* ---- publishing and asking */

static struct gemel_publisher *open_publisher(struct daemon *daemon, enum gemel_ack ack, uint64_t buffer_bytes)
{
    struct gemel_publisher *publisher = NULL;
    struct gemel_publisher_options options = {.pipeline = "Demo",
                                              .name = "feed",
                                              .gateways = daemon->address,
                                              .ack = ack,
                                              .buffer_bytes = buffer_bytes,
                                              .open_timeout_ms = WAIT_S * 1000};
    if (gemel_publisher_open(&publisher, &options) != 0)
        fail_msg("%s", gemel_error_text());
    return publisher;
}

/* One batch of `rows` rows whose prices are all 1. */
static uint64_t publish(struct gemel_publisher *publisher, uint32_t rows)
{
    static int64_t time_ns = 1764000000000000000;
    struct gemel_value *cells = memory_alloc_array(rows * COLUMNS, sizeof *cells);
    uint64_t sequence = 0;
    for (uint32_t i = 0; i < rows; i++) {
        cells[i * COLUMNS] = (struct gemel_value){.kind = GEMEL_INTEGER, .integer = time_ns++};
        cells[i * COLUMNS + 1] = (struct gemel_value){.kind = GEMEL_TEXT, .bytes = "SYM", .size = 3};
        cells[i * COLUMNS + 2] = (struct gemel_value){.kind = GEMEL_REAL, .real = 1.0};
    }
    int result = 0;
    while ((result = gemel_publish(publisher, "DemoTable", cells, rows, COLUMNS, &sequence)) == -EAGAIN)
        gemel_publisher_run(publisher, 10);
    if (result != 0)
        fail_msg("%s", gemel_error_text());
    memory_free(cells);
    return sequence;
}

static void wait_acknowledged(struct gemel_publisher *publisher, uint64_t sequence)
{
    if (gemel_publisher_wait(publisher, sequence, WAIT_S * 1000) != 0)
        fail_msg("%s", gemel_error_text());
}

static void get_endpoint(struct daemon *daemon, const char *name, char endpoint[64])
{
    pthread_mutex_lock(&daemon->mutex);
    text_copy(endpoint, 64, find(daemon, name)->endpoint);
    pthread_mutex_unlock(&daemon->mutex);
}

/* Rows that `name` has, once it has everything of `feed` up to the sequence. A process answers like a gateway. */
static int64_t count_rows(struct daemon *daemon, const char *name, uint64_t sequence)
{
    char endpoint[64];
    struct gemel_client *client = NULL;
    uint8_t *answer_bytes = NULL;
    size_t size = 0;
    get_endpoint(daemon, name, endpoint);
    assert_int_equal(gemel_client_open(&client, endpoint), 0);
    Gemel__Mark mark = GEMEL__MARK__INIT;
    Gemel__Mark *marks[] = {&mark};
    Gemel__SqlQuery query = GEMEL__SQL_QUERY__INIT;
    mark.publisher = (char *)(uintptr_t) "feed";
    mark.sequence = sequence;
    query.sql = (char *)(uintptr_t) "select count(*), count(distinct time), sum(price) from DemoTable";
    query.at_least = marks;
    query.n_at_least = 1;
    uint8_t *packed = wire_pack(&query.base, &size);
    if (gemel_request(client, "Demo.rdb.0", packed, size, WAIT_S * 1000, &answer_bytes, &size) != 0)
        fail_msg("%s", gemel_error_text());
    memory_free(packed);
    ProtobufCMessage *message = NULL;
    assert_int_equal(wire_unpack(&gemel__sql_answer__descriptor, answer_bytes, size, &message), 0);
    const Gemel__SqlAnswer *read = (const Gemel__SqlAnswer *)message;
    struct rows_reader reader = {.at = read->rows.data, .left = read->rows.len};
    struct rows_cell count;
    struct rows_cell distinct;
    assert_int_equal(rows_read(&reader, &count), 0);
    assert_int_equal(rows_read(&reader, &distinct), 0);
    assert_true(count.integer == distinct.integer); /* no row twice */
    wire_free(message);
    gemel_free(answer_bytes);
    gemel_client_close(&client);
    return count.integer;
}

static int set_up(void **state)
{
    struct daemon *daemon = memory_alloc(sizeof *daemon);
    daemon_start(daemon);
    *state = daemon;
    return 0;
}

static int tear_down(void **state)
{
    struct daemon *daemon = *state;
    end_all(daemon);
    daemon_stop(daemon);
    memory_free(daemon);
    return 0;
}

/* ---- the tests */

static void test_what_is_acknowledged_is_on_every_instance_exactly_once(void **state)
{
    struct daemon *daemon = *state;
    start(daemon, 0, "tp", "");
    start(daemon, 1, "tp", "pub-mode=timer\npub-freq-ms=20");
    wait_until(daemon, "Demo.0.tp.0", is_ready);
    wait_until(daemon, "Demo.1.tp.0", is_ready);
    start(daemon, 0, "rdb", "");
    start(daemon, 1, "rdb", "");
    wait_until(daemon, "Demo.0.rdb.0", is_ready);
    wait_until(daemon, "Demo.1.rdb.0", is_ready);
    struct gemel_publisher *publisher = open_publisher(daemon, GEMEL_ACK_SYNCED, 0);
    for (int i = 0; i < 300; i++)
        publish(publisher, 10);
    wait_acknowledged(publisher, 300);
    assert_int_equal(count_rows(daemon, "Demo.0.rdb.0", 300), 3000);
    assert_int_equal(count_rows(daemon, "Demo.1.rdb.0", 300), 3000);
    gemel_publisher_close(&publisher);
    publisher = open_publisher(daemon, GEMEL_ACK_SYNCED, 0);
    assert_int_equal(gemel_publisher_next(publisher), 301); /* goes on where it left off */
    gemel_publisher_close(&publisher);
}

static void test_an_rdb_that_is_killed_replays_all_of_it(void **state)
{
    struct daemon *daemon = *state;
    start_and_wait(daemon, 0, "tp", "");
    start_and_wait(daemon, 0, "rdb", "");
    struct gemel_publisher *publisher = open_publisher(daemon, GEMEL_ACK_SYNCED, 0);
    for (int i = 0; i < 100; i++)
        publish(publisher, 50);
    wait_acknowledged(publisher, 100);
    kill_now(daemon, "Demo.0.rdb.0");
    start_and_wait(daemon, 0, "rdb", "");
    assert_int_equal(count_rows(daemon, "Demo.0.rdb.0", 0), 5000); /* ready means all of it */
    publish(publisher, 50);
    assert_int_equal(count_rows(daemon, "Demo.0.rdb.0", 101), 5050);
    gemel_publisher_close(&publisher);
}

static void test_a_tp_that_is_killed_gets_again_what_it_missed(void **state)
{
    struct daemon *daemon = *state;
    start_and_wait(daemon, 0, "tp", "");
    start_and_wait(daemon, 0, "rdb", "");
    struct gemel_publisher *publisher = open_publisher(daemon, GEMEL_ACK_SYNCED, 0);
    for (int i = 0; i < 100; i++)
        publish(publisher, 10);
    wait_acknowledged(publisher, 50);
    kill_now(daemon, "Demo.0.tp.0");
    wait_until(daemon, "Demo.0.rdb.0", is_stale);
    for (int i = 0; i < 100; i++)
        publish(publisher, 10);
    assert_int_equal(gemel_publisher_wait(publisher, 200, 50), -ETIMEDOUT);
    assert_non_null(strstr(gemel_error_text(), "Demo.0.tp.0 has acknowledged up to batch"));
    start_and_wait(daemon, 0, "tp", "");
    wait_acknowledged(publisher, 200);
    wait_until(daemon, "Demo.0.rdb.0", is_fit);
    assert_int_equal(count_rows(daemon, "Demo.0.rdb.0", 200), 2000);
    gemel_publisher_close(&publisher);
}

static void test_a_tp_takes_from_its_peer_what_no_publisher_has_any_more(void **state)
{
    struct daemon *daemon = *state;
    start_and_wait(daemon, 0, "tp", "");
    struct gemel_publisher *publisher = open_publisher(daemon, GEMEL_ACK_ANY, 20000);
    for (int i = 0; i < 200; i++)
        wait_acknowledged(publisher, publish(publisher, 10));
    /* Instance 1 comes while the publisher runs; the buffer is far too small for what it misses. */
    start_and_wait(daemon, 1, "tp", "");
    start_and_wait(daemon, 1, "rdb", "");
    assert_int_equal(count_rows(daemon, "Demo.1.rdb.0", 200), 2000);
    for (int i = 0; i < 20; i++)
        publish(publisher, 10);
    wait_acknowledged(publisher, 220);
    gemel_publisher_close(&publisher);
    /* The publisher is gone: what instance 1 lacks can come from its peer alone. */
    assert_int_equal(count_rows(daemon, "Demo.1.rdb.0", 220), 2200);
}

static void test_a_publisher_that_does_not_know_where_it_left_off_begins_under_a_name_of_its_own(void **state)
{
    struct daemon *daemon = *state;
    start_and_wait(daemon, 0, "tp", "");
    start_and_wait(daemon, 0, "rdb", "");
    struct gemel_publisher *publisher = open_publisher(daemon, GEMEL_ACK_ANY, 0);
    for (int i = 0; i < 5; i++)
        wait_acknowledged(publisher, publish(publisher, 10));
    gemel_publisher_close(&publisher);
    /* Only instance 0 has them, and is away; then the other one is. */
    kill_now(daemon, "Demo.0.tp.0");
    start_and_wait(daemon, 1, "tp", "");
    start_and_wait(daemon, 1, "rdb", "");
    publisher = open_publisher(daemon, GEMEL_ACK_ANY, 0);
    assert_int_equal(gemel_publisher_next(publisher), 1);
    wait_acknowledged(publisher, publish(publisher, 10));
    gemel_publisher_close(&publisher);
    start_and_wait(daemon, 0, "tp", ""); /* they fill each other */
    assert_int_equal(count_rows(daemon, "Demo.1.rdb.0", 5), 60);
}

static void test_a_publisher_that_is_told_of_two_instances_does_not_start_with_one(void **state)
{
    struct daemon *daemon = *state;
    struct gemel_publisher *publisher = NULL;
    struct gemel_publisher_options options = {
        .pipeline = "Demo", .name = "feed", .gateways = daemon->address, .instances = 2, .open_timeout_ms = 300};
    start_and_wait(daemon, 0, "tp", "");
    assert_int_equal(gemel_publisher_open(&publisher, &options), -ETIMEDOUT);
    assert_non_null(strstr(gemel_error_text(), "of 2 tps of pipeline Demo only 1 were found"));
}

/* ---- a publisher that does as it likes */

struct rude {
    uv_loop_t loop;
    struct link *link;
    uint64_t sequence;
    uint64_t late;
    int answers;
    int failures;
    int code;
    bool may_close; /* the tp may end the link */
    char sentence[256];
};

static void on_rude_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct rude *rude = owner;
    ProtobufCMessage *message = NULL;
    (void)link;
    if (header->type == FRAME_PUBLISHED) {
        assert_int_equal(wire_unpack(&gemel__published__descriptor, body, header->body_bytes, &message), 0);
        rude->sequence = ((Gemel__Published *)message)->sequence;
        rude->late = ((Gemel__Published *)message)->late;
        rude->answers++;
    } else if (header->type == FRAME_FAILURE) {
        assert_int_equal(wire_unpack(&gemel__failure__descriptor, body, header->body_bytes, &message), 0);
        rude->code = ((Gemel__Failure *)message)->code;
        text_copy(rude->sentence, sizeof rude->sentence, ((Gemel__Failure *)message)->sentence);
        rude->failures++;
    }
    wire_free(message);
}

static void on_rude_close(void *owner, struct link *link, int reason, const char *why)
{
    (void)link;
    (void)reason;
    ((struct rude *)owner)->link = NULL;
    if (!((struct rude *)owner)->may_close)
        fail_msg("the tp closed the link: %s", why);
}

static void rude_open(struct rude *rude, struct daemon *daemon)
{
    static const struct link_handlers handlers = {
        .on_open = on_daemon_open, .on_frame = on_rude_frame, .on_close = on_rude_close};
    struct link_self self = {.kind = GEMEL__LINK_KIND__LINK_CLIENT, .name = "feed"};
    char endpoint[64];
    memset(rude, 0, sizeof *rude);
    uv_loop_init(&rude->loop);
    get_endpoint(daemon, "Demo.0.tp.0", endpoint);
    assert_int_equal(link_connect(&rude->link, &rude->loop, endpoint, &self, &handlers, rude, NULL), 0);
    while (rude->answers == 0)
        uv_run(&rude->loop, UV_RUN_ONCE);
}

static void rude_close(struct rude *rude)
{
    if (rude->link != NULL)
        link_close(rude->link);
    uv_run(&rude->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rude->loop), 0);
}

static void rude_send(struct rude *rude, uint64_t sequence, const char *table, uint32_t columns)
{
    Gemel__Batch batch = GEMEL__BATCH__INIT;
    struct rows_writer rows;
    rows_writer_init(&rows, 1000);
    for (uint32_t i = 0; i < columns; i++)
        rows_write(&rows, &(struct rows_cell){.kind = ROWS_INTEGER, .integer = (int64_t)sequence});
    batch.publisher = (char *)(uintptr_t) "feed";
    batch.sequence = sequence;
    batch.table = (char *)(uintptr_t)table;
    batch.row_count = 1;
    batch.column_count = columns;
    batch.rows.data = rows.bytes;
    batch.rows.len = rows.size;
    assert_int_equal(link_send_message(rude->link, FRAME_PUBLISH, sequence, &batch.base), 0);
    rows_writer_fini(&rows);
}

static void rude_publish(struct rude *rude, uint64_t sequence, const char *table, uint32_t columns)
{
    int before = rude->answers + rude->failures;
    rude_send(rude, sequence, table, columns);
    while (rude->answers + rude->failures == before)
        uv_run(&rude->loop, UV_RUN_ONCE);
}

static void test_a_tp_takes_batches_in_sequence_only_and_each_once(void **state)
{
    struct daemon *daemon = *state;
    struct rude rude;
    start_and_wait(daemon, 0, "tp", "");
    start_and_wait(daemon, 0, "rdb", "");
    rude_open(&rude, daemon);
    assert_int_equal(rude.sequence, 0);
    rude_publish(&rude, 1, "DemoTable", 3);
    assert_int_equal(rude.sequence, 1);
    rude_publish(&rude, 3, "DemoTable", 3); /* a gap */
    assert_int_equal(rude.sequence, 1);
    assert_int_equal(rude.late, 1);
    rude_publish(&rude, 1, "DemoTable", 3); /* a double */
    assert_int_equal(rude.sequence, 1);
    rude_publish(&rude, 2, "DemoTable", 3);
    assert_int_equal(rude.sequence, 2);
    assert_int_equal(count_rows(daemon, "Demo.0.rdb.0", 2), 2);
    rude_close(&rude);
}

static void test_a_publisher_that_takes_over_is_told_the_last_word_of_the_one_before(void **state)
{
    enum {
        BATCHES = 2000
    };
    struct daemon *daemon = *state;
    struct rude before;
    struct rude after;
    start_and_wait(daemon, 0, "tp", "");
    start_and_wait(daemon, 0, "rdb", "");
    rude_open(&before, daemon);
    before.may_close = true;
    for (uint64_t sequence = 1; sequence <= BATCHES; sequence++)
        rude_send(&before, sequence, "DemoTable", 3);
    while (before.sequence == 0) /* some are there, others on their way */
        uv_run(&before.loop, UV_RUN_ONCE);
    rude_open(&after, daemon);
    uint64_t told = after.sequence;
    while (before.link != NULL)
        uv_run(&before.loop, UV_RUN_ONCE);
    rude_publish(&after, told + 1, "DemoTable", 3);
    assert_int_equal(after.sequence, told + 1); /* nothing of the one before came behind that word */
    assert_int_equal(count_rows(daemon, "Demo.0.rdb.0", told + 1), told + 1);
    rude_close(&before);
    rude_close(&after);
}

static void test_what_another_publisher_of_the_name_sent_is_never_acknowledged(void **state)
{
    struct daemon *daemon = *state;
    struct rude other;
    start_and_wait(daemon, 0, "tp", "");
    struct gemel_publisher *publisher = open_publisher(daemon, GEMEL_ACK_SYNCED, 0);
    wait_acknowledged(publisher, publish(publisher, 1));
    rude_open(&other, daemon);
    other.may_close = true;
    rude_publish(&other, 2, "DemoTable", 3);
    assert_int_equal(other.sequence, 2);
    assert_int_equal(gemel_publisher_run(publisher, WAIT_S * 1000), -EEXIST);
    assert_non_null(strstr(gemel_error_text(), "one publisher of a name at a time"));
    rude_close(&other);
    gemel_publisher_close(&publisher);
}

static void test_a_batch_that_fits_no_table_is_refused_with_a_sentence(void **state)
{
    struct daemon *daemon = *state;
    struct rude rude;
    start_and_wait(daemon, 0, "tp", "");
    rude_open(&rude, daemon);
    rude_publish(&rude, 1, "Missing", 3);
    assert_int_equal(rude.code, -EINVAL);
    assert_non_null(strstr(rude.sentence, "table Missing does not feed this pipeline"));
    rude_publish(&rude, 1, "DemoTable", 2);
    assert_string_equal(rude.sentence, "table DemoTable has 3 columns, the batch 2");
    rude_publish(&rude, 1, "DemoTable", 3);
    assert_int_equal(rude.sequence, 1); /* the refused ones took no number */
    rude_close(&rude);
}

static void test_an_rdb_refuses_to_write_and_says_so(void **state)
{
    struct daemon *daemon = *state;
    char endpoint[64];
    struct gemel_client *client = NULL;
    struct gemel_result *result = NULL;
    start_and_wait(daemon, 0, "tp", "");
    start_and_wait(daemon, 0, "rdb", "timeout=1");
    get_endpoint(daemon, "Demo.0.rdb.0", endpoint);
    assert_int_equal(gemel_client_open(&client, endpoint), 0);
    assert_int_equal(gemel_query(client, "Demo", "delete from DemoTable", 0, &result), -EPERM);
    assert_string_equal(gemel_error_text(), "Demo.0.rdb.0: queries only read here: DELETE is refused");
    assert_int_equal(gemel_query(client, "Demo", "select nothing from DemoTable", 0, &result), -EINVAL);
    static const char endless[] = "with recursive n(i) as (select 1 union all select i+1 from n) select sum(i) from n";
    assert_int_equal(gemel_query(client, "Demo", endless, 0, &result), -ETIMEDOUT);   /* its own timeout */
    assert_int_equal(gemel_query(client, "Demo", endless, 100, &result), -ETIMEDOUT); /* the client's */
    assert_int_equal(gemel_query(client, "Demo", "select count(*) as n, max(time) from DemoTable", 0, &result), 0);
    assert_string_equal(gemel_result_source(result), "Demo.0.rdb.0");
    assert_string_equal(gemel_result_column_name(result, 0), "n");
    assert_true(gemel_result_cell(result, 0, 1).kind == GEMEL_NULL);
    gemel_result_free(result);
    gemel_client_close(&client);
}

static void on_once(void *data, int code, const char *source, const uint8_t *payload, size_t size)
{
    (void)source;
    (void)payload;
    *(int *)data = code == 0 && size < 2000000 ? -EBADMSG : code;
}

static void test_answers_that_are_large_together_cost_no_link(void **state)
{
    enum {
        COUNT = 100 /* of 2 MB: far more than a link's queue takes */
    };
    struct daemon *daemon = *state;
    char endpoint[64];
    int codes[COUNT];
    struct gemel_client *client = NULL;
    size_t size = 0;
    Gemel__SqlQuery query = GEMEL__SQL_QUERY__INIT;
    start_and_wait(daemon, 0, "tp", "");
    start_and_wait(daemon, 0, "rdb", "");
    get_endpoint(daemon, "Demo.0.rdb.0", endpoint);
    assert_int_equal(gemel_client_open(&client, endpoint), 0);
    query.sql = (char *)(uintptr_t) "select hex(zeroblob(1000000))";
    uint8_t *packed = wire_pack(&query.base, &size);
    /* Not repeated: a link that is lost shows. */
    for (int i = 0; i < COUNT; i++) {
        codes[i] = 1;
        assert_int_equal(gemel_request_start(client, "Demo.rdb.0", packed, size, WAIT_S * 1000, GEMEL_REQUEST_ONCE,
                                             on_once, &codes[i], NULL),
                         0);
    }
    memory_free(packed);
    while (gemel_client_in_flight(client) > 0)
        gemel_client_run(client, -1);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(codes[i], 0);
    gemel_client_close(&client);
}

static void test_the_other_types_start_and_serve_empty_tables(void **state)
{
    struct daemon *daemon = *state;
    char endpoint[64];
    struct gemel_client *client = NULL;
    struct gemel_result *result = NULL;
    static const char *const types[] = {"idb", "hdb", "ipdb", "epdb"};
    for (size_t i = 0; i < 4; i++)
        start_and_wait(daemon, 0, types[i], "");
    get_endpoint(daemon, "Demo.0.hdb.0", endpoint);
    assert_int_equal(gemel_client_open(&client, endpoint), 0);
    assert_int_equal(gemel_query(client, "Demo.hdb.0", "select count(*) from DemoTable", 0, &result), 0);
    assert_int_equal(gemel_result_cell(result, 0, 0).integer, 0);
    gemel_result_free(result);
    gemel_client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_acknowledged_is_on_every_instance_exactly_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_rdb_that_is_killed_replays_all_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_tp_that_is_killed_gets_again_what_it_missed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_tp_takes_from_its_peer_what_no_publisher_has_any_more, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_publisher_that_does_not_know_where_it_left_off_begins_under_a_name_of_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_publisher_that_is_told_of_two_instances_does_not_start_with_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_tp_takes_batches_in_sequence_only_and_each_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_publisher_that_takes_over_is_told_the_last_word_of_the_one_before,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_another_publisher_of_the_name_sent_is_never_acknowledged, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_batch_that_fits_no_table_is_refused_with_a_sentence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_rdb_refuses_to_write_and_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answers_that_are_large_together_cost_no_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_other_types_start_and_serve_empty_tables, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
