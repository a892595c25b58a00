/* gemel-load: the client that never stops asking. Each of its clients has one query in flight at a time, checks the
 * answer, and asks again at once; what is counted is what a user would have seen. When its gateway is lost it asks the
 * same query on the next one. A query is lost when it ended with an error, with a wrong answer or not at all.
 *
 * The longest gap is the longest time between two answers of any one client. SIGUSR1 prints the figures since the last
 * one as a line of JSON; SIGTERM, SIGINT or --seconds end it: what is in flight is waited for, then it says what it
 * saw. Exit 0 when nothing was lost, 1 when something was, 2 for usage. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "bench/histogram.h"
#include "common/base/assert.h"
#include "common/base/crc32c.h"
#include "common/base/memory.h"
#include "common/base/process_id.h"
#include "common/base/text.h"
#include "common/loop/clock.h"
#include "common/net/link.h"
#include "common/wire/rows.h"

enum {
    CLIENTS_MAX = 10000,
    CONNECTIONS_MAX = 1000,
    GATEWAYS_MAX = 16,
    PUBLISHERS_MAX = 16, /* whose marks an SQL query carries */
    DIAL_FIRST_MS = 5,
    DIAL_LAST_MS = 200,
    PAUSE_MS = 10,   /* a client whose query failed waits so long */
    DRAIN_MS = 5000, /* at the end, for what is in flight */
    SHOWN_MAX = 5,   /* failures that are printed */
    EXIT_LOST = 1,
    EXIT_USAGE = 2
};

struct load;

struct connection {
    struct load *load;
    struct link *link; /* NULL: none */
    bool open;
    size_t gateway; /* position in load.gateways */
    int64_t dial_delay_ms;
    uv_timer_t redial;
};

/* One client: one query at a time. */
struct client {
    uint32_t number;
    struct connection *connection;
    uint32_t sequence; /* of its query; part of the request id */
    bool pending;
    bool paused;
    int64_t asked_us;
    int64_t answered_us; /* last answer; the first time it asked at first */
    int64_t count_min;   /* SQL: the first cell must not be below */
};

struct figures {
    uint64_t asked;
    uint64_t answered;
    uint64_t lost;
    uint64_t again; /* asked once more, on another gateway */
    int64_t gap_us;
};

struct mark {
    char publisher[128];
    uint64_t sequence;
};

struct load {
    uv_loop_t loop;
    uv_timer_t pause;
    uv_timer_t end;
    uv_signal_t terminate, interrupt, user;
    const char *target;
    const char *sql; /* NULL: echo */
    const char *json;
    struct process_id target_id; /* its instance is 0 */
    char *gateways[GATEWAYS_MAX];
    size_t gateway_count;
    struct connection *connections;
    size_t connection_count;
    struct client *clients;
    size_t client_count;
    size_t payload_bytes;
    uint32_t timeout_ms;
    double seconds; /* 0: until told */
    uint8_t *body;
    size_t body_capacity;
    bool stopping;
    size_t pending;
    size_t shown;
    int64_t started_us;
    struct figures all;
    struct figures window;
    struct histogram latency;
    struct mark marks[PUBLISHERS_MAX];
    size_t mark_count;
    int64_t count_seen; /* SQL: of the answer with these marks */
};

static void ask(struct load *load, struct client *client);
static void dial(struct connection *connection);
static void finish(struct load *load);

/* ---- figures ---- */

static void note_gap(struct load *load, const struct client *client, int64_t now_us)
{
    int64_t gap_us = now_us - client->answered_us;
    if (gap_us > load->all.gap_us)
        load->all.gap_us = gap_us;
    if (gap_us > load->window.gap_us)
        load->window.gap_us = gap_us;
}

static void note_open_gaps(struct load *load)
{
    int64_t now_us = clock_now_us();
    for (size_t i = 0; i < load->client_count; i++)
        if (load->clients[i].pending)
            note_gap(load, &load->clients[i], now_us);
}

static void print_json(const struct load *load, const struct figures *figures, double seconds, FILE *out)
{
    fprintf(out,
            "{\"asked\": %llu, \"answered\": %llu, \"lost\": %llu, \"again\": %llu, \"gap_ms\": %.3f, "
            "\"seconds\": %.3f, \"p50_us\": %llu, \"p99_us\": %llu}\n",
            (unsigned long long)figures->asked, (unsigned long long)figures->answered,
            (unsigned long long)figures->lost, (unsigned long long)figures->again, (double)figures->gap_us / 1000.0,
            seconds, (unsigned long long)histogram_at(&load->latency, 0.5),
            (unsigned long long)histogram_at(&load->latency, 0.99));
    fflush(out);
}

static void on_user(uv_signal_t *handle, int number)
{
    struct load *load = handle->data;
    (void)number;
    note_open_gaps(load);
    print_json(load, &load->window, 0, stdout);
    load->window = (struct figures){0};
}

static void lose(struct load *load, const struct client *client, const char *why)
{
    load->all.lost++;
    load->window.lost++;
    if (load->shown++ < SHOWN_MAX)
        fprintf(stderr, "lost: client %u, query %u: %s\n", client->number, client->sequence, why);
}

/* ---- asking ---- */

static size_t reserve_body(struct load *load, size_t payload_bytes)
{
    size_t head = FRAME_ROUTE_BYTES + strlen(load->target);
    if (load->body_capacity < head + payload_bytes) {
        load->body_capacity = head + payload_bytes;
        load->body = memory_resize(load->body, load->body_capacity);
    }
    frame_route_encode(load->body, load->target, load->timeout_ms);
    return head;
}

/* The same bytes for the same query, others for any other. */
static void fill_payload(const struct client *client, uint8_t *payload, size_t size)
{
    uint64_t value = (uint64_t)client->sequence << 32 | client->number;
    for (size_t i = 0; i < size; i++)
        payload[i] = (uint8_t)(value >> (8 * (i % 8))) ^ (uint8_t)(i * 31);
}

static size_t write_sql(struct load *load)
{
    Gemel__SqlQuery query = GEMEL__SQL_QUERY__INIT;
    Gemel__Mark marks[PUBLISHERS_MAX];
    Gemel__Mark *list[PUBLISHERS_MAX];
    query.sql = (char *)load->sql;
    query.n_at_least = load->mark_count;
    query.at_least = list;
    for (size_t i = 0; i < load->mark_count; i++) {
        gemel__mark__init(&marks[i]);
        marks[i].publisher = load->marks[i].publisher;
        marks[i].sequence = load->marks[i].sequence;
        list[i] = &marks[i];
    }
    size_t size = gemel__sql_query__get_packed_size(&query);
    size_t head = reserve_body(load, size);
    gemel__sql_query__pack(&query, load->body + head);
    return head + size;
}

static void send_query(struct load *load, struct client *client)
{
    if (!client->connection->open)
        return; /* asked when the connection is there */
    size_t size;
    if (load->sql != NULL) {
        size = write_sql(load);
        client->count_min = load->count_seen;
    } else {
        size_t head = reserve_body(load, load->payload_bytes);
        fill_payload(client, load->body + head, load->payload_bytes);
        size = head + load->payload_bytes;
    }
    struct frame_header header = {
        .type = FRAME_QUERY,
        .idempotent = true,
        .body_bytes = (uint32_t)size,
        .request_id = (uint64_t)client->sequence << 32 | client->number,
        .body_crc32c = crc32c(load->body, size),
    };
    link_send_frame(client->connection->link, &header, load->body);
}

static void ask(struct load *load, struct client *client)
{
    client->sequence++;
    client->pending = true;
    client->asked_us = clock_now_us();
    if (client->answered_us == 0)
        client->answered_us = client->asked_us;
    load->pending++;
    load->all.asked++;
    load->window.asked++;
    send_query(load, client);
}

/* Its query has ended. */
static void go_on(struct load *load, struct client *client, bool failed)
{
    client->pending = false;
    load->pending--;
    if (load->stopping) {
        if (load->pending == 0)
            finish(load);
        return;
    }
    client->paused = failed; /* a gateway that refuses at once is not to be asked in a tight loop */
    if (!failed)
        ask(load, client);
}

static void on_pause(uv_timer_t *timer)
{
    struct load *load = timer->data;
    for (size_t i = 0; i < load->client_count && !load->stopping; i++) {
        if (!load->clients[i].paused)
            continue;
        load->clients[i].paused = false;
        ask(load, &load->clients[i]);
    }
}

/* ---- answers ---- */

static bool is_from_target(const struct load *load, const struct frame_route *source)
{
    char name[PROCESS_NAME_BYTES];
    struct process_id id;
    memcpy(name, source->name, source->name_bytes);
    name[source->name_bytes] = '\0';
    if (process_id_parse(name, &id) != 0)
        return false;
    id.instance = load->target_id.instance;
    return process_id_compare(&id, &load->target_id) == 0;
}

static bool is_echo(const struct load *load, const struct client *client, const struct frame_route *answer)
{
    uint8_t expected[64 * 1024];
    if (answer->payload_bytes != load->payload_bytes)
        return false;
    fill_payload(client, expected, load->payload_bytes);
    return memcmp(expected, answer->payload, load->payload_bytes) == 0;
}

static void take_mark(struct load *load, const Gemel__Mark *mark)
{
    for (size_t i = 0; i < load->mark_count; i++) {
        if (strcmp(load->marks[i].publisher, mark->publisher) != 0)
            continue;
        if (load->marks[i].sequence < mark->sequence)
            load->marks[i].sequence = mark->sequence;
        return;
    }
    struct mark *added = &load->marks[load->mark_count];
    if (load->mark_count == PUBLISHERS_MAX || !text_copy(added->publisher, sizeof added->publisher, mark->publisher))
        return;
    added->sequence = mark->sequence;
    load->mark_count++;
}

/* A whole table of the right size, whose first number is not below what was answered before this query was asked. */
static bool is_sql_answer(struct load *load, const struct client *client, const struct frame_route *answer)
{
    ProtobufCMessage *message;
    if (wire_unpack(&gemel__sql_answer__descriptor, answer->payload, answer->payload_bytes, &message) != 0)
        return false;
    const Gemel__SqlAnswer *sql = (const Gemel__SqlAnswer *)message;
    bool right = rows_check(sql->rows.data, sql->rows.len, sql->row_count, (uint32_t)sql->n_columns) == 0;
    struct rows_reader reader = {.at = sql->rows.data, .left = sql->rows.len};
    struct rows_cell cell;
    if (right && rows_read(&reader, &cell) == 0 && cell.kind == ROWS_INTEGER && sql->n_marks > 0) {
        right = cell.integer >= client->count_min;
        if (cell.integer > load->count_seen)
            load->count_seen = cell.integer;
    }
    for (size_t i = 0; right && i < sql->n_marks; i++)
        take_mark(load, sql->marks[i]);
    wire_free(message);
    return right;
}

static void take_answer(struct load *load, struct client *client, const struct frame_header *header,
                        const uint8_t *body)
{
    struct frame_route answer;
    int64_t now_us = clock_now_us();
    bool right = frame_route_decode(body, header->body_bytes, &answer) == 0 && is_from_target(load, &answer);
    right = right && (load->sql != NULL ? is_sql_answer(load, client, &answer) : is_echo(load, client, &answer));
    note_gap(load, client, now_us);
    client->answered_us = now_us;
    if (right) {
        load->all.answered++;
        load->window.answered++;
        histogram_add(&load->latency, (uint64_t)(now_us - client->asked_us));
    } else {
        lose(load, client, "a wrong answer");
    }
    go_on(load, client, false);
}

static void take_failure(struct load *load, struct client *client, const struct frame_header *header,
                         const uint8_t *body)
{
    ProtobufCMessage *message;
    if (wire_unpack(&gemel__failure__descriptor, body, header->body_bytes, &message) == 0) {
        lose(load, client, ((const Gemel__Failure *)message)->sentence);
        wire_free(message);
    } else {
        lose(load, client, "a failure that cannot be read");
    }
    go_on(load, client, true);
}

static void on_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct connection *connection = owner;
    struct load *load = connection->load;
    uint32_t number = (uint32_t)header->request_id;
    (void)link;
    if (header->type != FRAME_ANSWER && header->type != FRAME_FAILURE)
        return;
    struct client *client = number < load->client_count ? &load->clients[number] : NULL;
    bool asked = client != NULL && client->pending && client->sequence == (uint32_t)(header->request_id >> 32);
    if (!asked) {
        load->all.lost++;
        fprintf(stderr, "lost: an answer to nothing that was asked, or a second one: %llx\n",
                (unsigned long long)header->request_id);
    } else if (header->type == FRAME_ANSWER) {
        take_answer(load, client, header, body);
    } else {
        take_failure(load, client, header, body);
    }
}

/* ---- connections ---- */

static void on_open(void *owner, struct link *link)
{
    struct connection *connection = owner;
    struct load *load = connection->load;
    (void)link;
    connection->open = true;
    connection->dial_delay_ms = 0;
    for (size_t i = 0; i < load->client_count; i++) {
        struct client *client = &load->clients[i];
        if (client->connection != connection)
            continue;
        if (client->pending) {
            load->all.again++;
            load->window.again++;
            send_query(load, client);
        } else if (client->sequence == 0 && !load->stopping) {
            ask(load, client);
        }
    }
}

static void on_redial(uv_timer_t *timer)
{
    dial(timer->data);
}

/* The next gateway at once; when that does not answer either, a little later each time. */
static void dial_next(struct connection *connection)
{
    connection->link = NULL;
    connection->open = false;
    connection->gateway = (connection->gateway + 1) % connection->load->gateway_count;
    uv_timer_start(&connection->redial, on_redial, (uint64_t)connection->dial_delay_ms, 0);
    connection->dial_delay_ms = connection->dial_delay_ms == 0 ? DIAL_FIRST_MS : connection->dial_delay_ms * 2;
    if (connection->dial_delay_ms > DIAL_LAST_MS)
        connection->dial_delay_ms = DIAL_LAST_MS;
}

static void on_close(void *owner, struct link *link, int reason, const char *why)
{
    (void)link;
    (void)reason;
    (void)why;
    dial_next(owner);
}

static const struct link_handlers handlers = {.on_open = on_open, .on_frame = on_frame, .on_close = on_close};

static void dial(struct connection *connection)
{
    struct load *load = connection->load;
    struct link_self self = {.kind = GEMEL__LINK_KIND__LINK_CLIENT, .name = "gemel-load"};
    struct error error;
    int result = link_connect(&connection->link, &load->loop, load->gateways[connection->gateway], &self, &handlers,
                              connection, &error);
    if (result == 0)
        return;
    fprintf(stderr, "gemel-load: %s\n", error.sentence);
    dial_next(connection);
}

/* ---- start and end ---- */

static void finish(struct load *load)
{
    uv_stop(&load->loop);
}

static void on_end(uv_timer_t *timer)
{
    struct load *load = timer->data;
    for (size_t i = 0; i < load->client_count; i++)
        if (load->clients[i].pending)
            lose(load, &load->clients[i], "no answer at the end");
    finish(load);
}

static void stop(struct load *load)
{
    if (load->stopping)
        return;
    load->stopping = true;
    uv_timer_start(&load->end, on_end, DRAIN_MS, 0);
    if (load->pending == 0)
        finish(load);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data);
}

static void on_seconds(uv_timer_t *timer)
{
    stop(timer->data);
}

static void start(struct load *load)
{
    const struct {
        uv_signal_t *handle;
        uv_signal_cb handler;
        int number;
    } signals[] = {
        {&load->terminate, on_signal, SIGTERM}, {&load->interrupt, on_signal, SIGINT}, {&load->user, on_user, SIGUSR1}};
    uv_loop_init(&load->loop);
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        uv_signal_init(&load->loop, signals[i].handle);
        signals[i].handle->data = load;
        uv_signal_start(signals[i].handle, signals[i].handler, signals[i].number);
    }
    uv_timer_init(&load->loop, &load->pause);
    uv_timer_init(&load->loop, &load->end);
    load->pause.data = load;
    load->end.data = load;
    uv_timer_start(&load->pause, on_pause, PAUSE_MS, PAUSE_MS);
    if (load->seconds > 0)
        uv_timer_start(&load->end, on_seconds, (uint64_t)(load->seconds * 1000), 0);
    load->connections = memory_alloc_array(load->connection_count, sizeof *load->connections);
    load->clients = memory_alloc_array(load->client_count, sizeof *load->clients);
    for (size_t i = 0; i < load->client_count; i++)
        load->clients[i] =
            (struct client){.number = (uint32_t)i, .connection = &load->connections[i % load->connection_count]};
    for (size_t i = 0; i < load->connection_count; i++) {
        struct connection *connection = &load->connections[i];
        *connection = (struct connection){.load = load};
        uv_timer_init(&load->loop, &connection->redial);
        connection->redial.data = connection;
        dial(connection);
    }
    load->started_us = clock_now_us();
}

static int report(struct load *load)
{
    double seconds = (double)(clock_now_us() - load->started_us) / 1e6;
    char asked[32], answered[32], lost[32], rate[32];
    note_open_gaps(load);
    text_count(asked, sizeof asked, load->all.asked);
    text_count(answered, sizeof answered, load->all.answered);
    text_count(lost, sizeof lost, load->all.lost);
    text_count(rate, sizeof rate, (unsigned long long)((double)load->all.answered / seconds));
    printf("queries asked %s, answered %s, lost %s, longest gap %.1f ms\n", asked, answered, lost,
           (double)load->all.gap_us / 1000.0);
    printf("%s a second, p50 %llu us, p99 %llu us, asked again %llu\n", rate,
           (unsigned long long)histogram_at(&load->latency, 0.5),
           (unsigned long long)histogram_at(&load->latency, 0.99), (unsigned long long)load->all.again);
    FILE *out = load->json == NULL ? NULL : strcmp(load->json, "-") == 0 ? stdout : fopen(load->json, "we");
    if (out != NULL) {
        print_json(load, &load->all, seconds, out);
        if (out != stdout)
            fclose(out);
    }
    return load->all.lost == 0 && load->all.answered == load->all.asked ? 0 : EXIT_LOST;
}

static int usage(const char *why)
{
    if (why != NULL)
        fprintf(stderr, "gemel-load: %s\n", why);
    fprintf(why != NULL ? stderr : stdout,
            "usage: gemel-load --gateways HOST:PORT[,HOST:PORT] [--target Pipeline.type.index] [options]\n\n"
            "  --gateways LIST     else GEMEL_GATEWAYS; the next one is used when one is lost\n"
            "  --target ROUTE      default DemoPipeline.rdb.0\n"
            "  --sql TEXT          asks this; without it, bytes that an echo process gives back\n"
            "  --in-flight N       clients, each with one query at a time (1)\n"
            "  --connections M     they share (1)\n"
            "  --bytes N           of an echo's payload (64, at most 65536)\n"
            "  --timeout MS        of each query; 0: the gateway's default\n"
            "  --seconds S         ends then (else SIGTERM)\n"
            "  --json FILE         figures at the end; - is standard output\n\n"
            "example: gemel-load --gateways 127.0.0.1:5010,127.0.0.2:5010 --sql 'select count(*) from DemoTable'\n");
    return why != NULL ? EXIT_USAGE : 0;
}

/* Cuts the list in place. */
static void take_gateways(struct load *load, char *list)
{
    char *save = NULL;
    for (char *one = strtok_r(list, ", ", &save); one != NULL && load->gateway_count < GATEWAYS_MAX;
         one = strtok_r(NULL, ", ", &save))
        load->gateways[load->gateway_count++] = one;
}

/* `Pipeline.type.index` -> the id of its instance 0. */
static bool parse_target(struct load *load)
{
    char name[PROCESS_NAME_BYTES];
    const char *dot = strchr(load->target, '.');
    if (dot == NULL || strlen(load->target) + 3 > sizeof name)
        return false;
    snprintf(name, sizeof name, "%.*s.0%s", (int)(dot - load->target), load->target, dot);
    return process_id_parse(name, &load->target_id) == 0;
}

static const struct option options[] = {
    {"gateways", required_argument, NULL, 'g'},
    {"target", required_argument, NULL, 't'},
    {"sql", required_argument, NULL, 'q'},
    {"in-flight", required_argument, NULL, 'n'},
    {"connections", required_argument, NULL, 'm'},
    {"bytes", required_argument, NULL, 'b'},
    {"timeout", required_argument, NULL, 'o'},
    {"seconds", required_argument, NULL, 's'},
    {"json", required_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void take_option(struct load *load, int option, char **gateways)
{
    if (option == 'g')
        *gateways = optarg;
    else if (option == 't')
        load->target = optarg;
    else if (option == 'q')
        load->sql = optarg;
    else if (option == 'n')
        load->client_count = strtoul(optarg, NULL, 10);
    else if (option == 'm')
        load->connection_count = strtoul(optarg, NULL, 10);
    else if (option == 'b')
        load->payload_bytes = strtoul(optarg, NULL, 10);
    else if (option == 'o')
        load->timeout_ms = (uint32_t)strtoul(optarg, NULL, 10);
    else if (option == 's')
        load->seconds = strtod(optarg, NULL);
    else if (option == 'j')
        load->json = optarg;
}

int main(int argc, char **argv)
{
    static struct load load = {
        .target = "DemoPipeline.rdb.0", .connection_count = 1, .client_count = 1, .payload_bytes = 64};
    char *gateways = getenv("GEMEL_GATEWAYS");
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h')
            return usage(NULL);
        if (option == '?')
            return usage("see the options below");
        take_option(&load, option, &gateways);
    }
    if (gateways != NULL)
        take_gateways(&load, memory_strdup(gateways));
    if (load.gateway_count == 0)
        return usage("no gateways");
    if (!parse_target(&load))
        return usage("the target is Pipeline.type.index");
    if (load.client_count == 0 || load.client_count > CLIENTS_MAX || load.connection_count == 0 ||
        load.connection_count > CONNECTIONS_MAX || load.connection_count > load.client_count ||
        load.payload_bytes > 65536)
        return usage("a number is out of its range");
    signal(SIGPIPE, SIG_IGN);
    start(&load);
    uv_run(&load.loop, UV_RUN_DEFAULT);
    return report(&load);
}
