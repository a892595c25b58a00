/* libgemel: for programs that ask a cluster (client), feed it (publisher), or are part of it (worker).
 *
 * Every function that can fail returns 0 or a negative errno; gemel_error_text() then says it in a sentence.
 * Nothing here starts threads but gemel_worker_serve with `threads` above 0. A client, a publisher, a worker belong to
 * one thread at a time: their network is served while one of their functions runs. Durations are milliseconds; dates
 * are int64 nanoseconds since 1970, UTC. Strings are copied unless a comment says borrowed. SIGPIPE is set to be
 * ignored when the program has no handler for it.
 *
 * Links of this version carry no TLS and refuse every address that is not loopback (-EPERM). */
#ifndef GEMEL_H
#define GEMEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The sentence of the last failure in this thread, in lower case without a full stop; "" when none.
 * Borrowed until the next call of this library in this thread. */
const char *gemel_error_text(void);

/* ---------------------------------------------------------------- values */

enum gemel_kind {
    GEMEL_NULL = 0,
    GEMEL_INTEGER = 1, /* also timestamps, dates, booleans */
    GEMEL_REAL = 2,
    GEMEL_TEXT = 3,
    GEMEL_BLOB = 4
};

/* One cell of a row. */
struct gemel_value {
    enum gemel_kind kind;
    int64_t integer;   /* GEMEL_INTEGER */
    double real;       /* GEMEL_REAL */
    const void *bytes; /* GEMEL_TEXT (UTF-8, no NUL needed), GEMEL_BLOB; borrowed */
    size_t size;       /* bytes */
};

/* ---------------------------------------------------------------- client: queries */

struct gemel_client;
struct gemel_result;

/* Opens a client of the gateways `host:port,host:port`; NULL: those in GEMEL_GATEWAYS. Connects when it is first
 * needed, and goes on with the next gateway by itself when one is lost. Returns 0; -EINVAL for no or malformed
 * gateways. */
int gemel_client_open(struct gemel_client **client, const char *gateways);
/* Requests that still run end with -ECANCELED. NULL inside is allowed. */
void gemel_client_close(struct gemel_client **client);

/* Asks a pipeline in SQL (SQLite's dialect) through whatever gateway lives; goes to the pipeline's rdb, or to `target`
 * when it is a full route `Pipeline.type.index`. Never answered from a state older than an earlier answer to this
 * client. `timeout_ms` 0: 30 s. *result is released with gemel_result_free.
 * Returns 0; -ETIMEDOUT; -EHOSTUNREACH when no gateway was reached in time; -EINVAL for SQL that is wrong or refused;
 * other codes as the process gave them. */
int gemel_query(struct gemel_client *client, const char *target, const char *sql, uint32_t timeout_ms,
                struct gemel_result **result);

uint32_t gemel_result_rows(const struct gemel_result *result);
uint32_t gemel_result_columns(const struct gemel_result *result);
/* Borrowed until gemel_result_free; `column` below gemel_result_columns. */
const char *gemel_result_column_name(const struct gemel_result *result, uint32_t column);
/* The cell at (row, column), both below the counts; its bytes are borrowed until gemel_result_free. */
struct gemel_value gemel_result_cell(const struct gemel_result *result, uint32_t row, uint32_t column);
/* Were there more rows than the process's limit? */
bool gemel_result_truncated(const struct gemel_result *result);
/* The process that answered, such as DemoPipeline.0.rdb.0. */
const char *gemel_result_source(const struct gemel_result *result);
void gemel_result_free(struct gemel_result *result);

/* ---------------------------------------------------------------- client: opaque requests */

/* What comes of a request. `code` 0: an answer; else a negative errno and gemel_error_text(). Pointers are borrowed for
 * the call. */
typedef void (*gemel_reply)(void *data, int code, const char *source, const uint8_t *payload, size_t size);

enum {
    GEMEL_REQUEST_ONCE = 1 /* not idempotent: never repeated, ends with -ECONNRESET when its process is lost */
};

/* Starts a request of opaque bytes (at most 15 MiB, copied) to the primary of `Pipeline.type.index`. `reply` is called
 * exactly once, from gemel_client_run or gemel_client_close. `id` (may be NULL) takes a number for gemel_cancel.
 * Returns 0; -EMSGSIZE; -EINVAL for a malformed target; -EAGAIN when 10,000 requests are in flight. */
int gemel_request_start(struct gemel_client *client, const char *target, const void *payload, size_t size,
                        uint32_t timeout_ms, unsigned flags, gemel_reply reply, void *data, uint64_t *id);
/* Tells the process that nobody waits any more; the reply comes with -ECANCELED. Unknown ids are ignored. */
void gemel_cancel(struct gemel_client *client, uint64_t id);
/* Serves the client's network: until at least one reply was called or `timeout_ms` is over (0: what is there now; -1:
 * no limit). Returns how many replies were called. */
int gemel_client_run(struct gemel_client *client, int64_t timeout_ms);
size_t gemel_client_in_flight(const struct gemel_client *client);
/* A descriptor that is readable when gemel_client_run(client, 0) has work, for a loop of your own. */
int gemel_client_descriptor(const struct gemel_client *client);

/* One request, waited for. *answer is released with gemel_free. Returns as gemel_query. */
int gemel_request(struct gemel_client *client, const char *target, const void *payload, size_t size,
                  uint32_t timeout_ms, uint8_t **answer, size_t *answer_size);
void gemel_free(void *memory);

/* ---------------------------------------------------------------- look-ups */

struct gemel_process {
    const char *name;     /* Pipeline.instance.type.index */
    const char *endpoint; /* host:port; "": none now */
    const char *host;
    bool ready;
};
/* Called with all that matches; borrowed for the call. */
typedef void (*gemel_on_lookup)(void *data, const struct gemel_process *processes, size_t count);

/* ---------------------------------------------------------------- publisher */

struct gemel_publisher;

enum gemel_ack {
    GEMEL_ACK_SYNCED = 0, /* fsynced in the journal of every instance's tp */
    GEMEL_ACK_ANY = 1     /* of at least one instance */
};

struct gemel_publisher_options {
    const char *pipeline;
    const char *name;     /* with the sequence, the identity of each batch; one publisher of a name at a time */
    const char *gateways; /* where the tps are asked for; NULL: the daemon of GEMEL_DAEMON, else GEMEL_GATEWAYS */
    enum gemel_ack ack;
    uint32_t tp_index;        /* publishes to Pipeline.*.tp.<tp_index> */
    uint64_t buffer_bytes;    /* kept for resends; 0: 64 MiB */
    uint32_t open_timeout_ms; /* to find the tps and learn where this publisher left off; 0: 5 s */
    uint32_t instances;       /* of the pipeline; 0: those that the gateway knows, which may be too few after it came
                                 back while a host is lost */
};

struct gemel_publisher_instance {
    uint32_t instance;
    bool connected;
    uint64_t acknowledged; /* everything up to this sequence is fsynced there */
    uint64_t late;         /* batches that it refused because they came out of sequence */
};

/* Finds the tp of each instance and continues the sequence after the highest that any of them has. With
 * GEMEL_ACK_SYNCED all of them must be reached, with GEMEL_ACK_ANY one: when another is not, nobody knows where the
 * name left off, and `~` and a number are added to it, with a sequence from 1.
 * Returns 0; -EINVAL; -ETIMEDOUT with a sentence that names who is missing. */
int gemel_publisher_open(struct gemel_publisher **publisher, const struct gemel_publisher_options *options);
/* What is not acknowledged yet is given up; wait first. NULL inside is allowed. */
void gemel_publisher_close(struct gemel_publisher **publisher);

/* Sends one batch (at most 15 MiB packed), rows one after the other in `cells`, to every instance. *sequence (may be
 * NULL) takes its number. A tp that restarts, or was away, gets again what it misses.
 * Returns 0; -EAGAIN when the buffer is full of batches that no tp has acknowledged: run or wait, then try again;
 * -EMSGSIZE; or the error of a batch that a tp refused (an unknown table, a wrong number of columns): the publisher is
 * then good for nothing but closing, because nothing can follow the refused batch in sequence. */
int gemel_publish(struct gemel_publisher *publisher, const char *table, const struct gemel_value *cells,
                  uint32_t row_count, uint32_t column_count, uint64_t *sequence);
/* Waits until everything up to `sequence` is acknowledged. Returns 0; -ETIMEDOUT with a sentence that names who has
 * not; or the error of a refused batch. */
int gemel_publisher_wait(struct gemel_publisher *publisher, uint64_t sequence, uint32_t timeout_ms);
/* Serves the network for `timeout_ms`: acknowledgements, reconnects, resends. Returns 0 or the error of a refused
 * batch. */
int gemel_publisher_run(struct gemel_publisher *publisher, uint32_t timeout_ms);
/* The highest sequence that is acknowledged as `ack` asks; the next one that will be given. */
uint64_t gemel_publisher_acknowledged(const struct gemel_publisher *publisher);
uint64_t gemel_publisher_next(const struct gemel_publisher *publisher);
/* Fills at most `max` items; returns how many instances there are. */
size_t gemel_publisher_instances(const struct gemel_publisher *publisher, struct gemel_publisher_instance *items,
                                 size_t max);

/* ---------------------------------------------------------------- worker: a process of a pipeline */

struct gemel_worker;
struct gemel_call;

struct gemel_column {
    const char *name;
    const char *type; /* timestamp, date, symbol, string, char, boolean, byte, short, int, long, real, float, guid */
    const char *attribute; /* sorted, grouped, parted, unique; "": none */
};

struct gemel_table {
    const char *name;
    const char *id_column;
    const char *time_column; /* "": none */
    const struct gemel_column *columns;
    size_t column_count;
};

/* Makes this program a worker by what its daemon put into the environment (GEMEL_PROCESS and others). Without a daemon
 * (no GEMEL_DAEMON, no NOTIFY_SOCKET) it works alone: nobody is told anything. Strings below are borrowed from the
 * worker. Returns 0; -EINVAL when GEMEL_PROCESS is missing or malformed, or options or tables are. */
int gemel_worker_open(struct gemel_worker **worker);
void gemel_worker_close(struct gemel_worker **worker);

const char *gemel_worker_name(const struct gemel_worker *worker);
const char *gemel_worker_pipeline(const struct gemel_worker *worker);
const char *gemel_worker_type(const struct gemel_worker *worker);
uint32_t gemel_worker_instance(const struct gemel_worker *worker);
uint32_t gemel_worker_index(const struct gemel_worker *worker);
const char *gemel_worker_data_folder(const struct gemel_worker *worker); /* kept over restarts */
const char *gemel_worker_run_folder(const struct gemel_worker *worker);  /* in memory where the host has such a place */
/* An option of the layout; NULL when it is not set. */
const char *gemel_worker_option(const struct gemel_worker *worker, const char *name);
size_t gemel_worker_table_count(const struct gemel_worker *worker);
const struct gemel_table *gemel_worker_table(const struct gemel_worker *worker, size_t position);

/* Answers one call, at once or later, from any thread, with gemel_call_reply or gemel_call_fail. */
typedef void (*gemel_handler)(void *data, struct gemel_call *call);

/* Binds GEMEL_HOST:GEMEL_PORT (any port without GEMEL_PORT) and announces it. Calls go to `handler`, on `threads`
 * threads beside the loop, so that they may be long, or with `threads` 0 in the loop itself, for tiny handlers. At most
 * 10,000 calls wait. Returns 0 or a negative errno such as -EADDRINUSE. */
int gemel_worker_serve(struct gemel_worker *worker, gemel_handler handler, void *data, unsigned threads);

/* What was asked; borrowed until the call is answered. */
const uint8_t *gemel_call_payload(const struct gemel_call *call, size_t *size);
/* Milliseconds until nobody waits for the answer any more; at least 0. */
int64_t gemel_call_left_ms(const struct gemel_call *call);
/* Did the client leave, or its time pass? Cheap; may be asked from any thread. */
bool gemel_call_cancelled(const struct gemel_call *call);
/* Each ends the call, exactly once, and releases it. `size` at most 15 MiB, else the caller gets -EMSGSIZE. */
void gemel_call_reply(struct gemel_call *call, const void *payload, size_t size);
/* `code` is a negative errno. `retry`: another process may be asked the same. */
void gemel_call_fail(struct gemel_call *call, int code, const char *sentence, bool retry);

/* Readiness and what else the daemon and the gateways shall know. */
void gemel_worker_ready(struct gemel_worker *worker);
void gemel_worker_status(struct gemel_worker *worker, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Why this process must not be a primary now; "": it is fit again. */
void gemel_worker_stale(struct gemel_worker *worker, const char *why);
void gemel_worker_lag(struct gemel_worker *worker, uint64_t rows);

/* Asks the daemon where processes are: a full name, `Pipeline.*.type.index` or `Pipeline.*.type.*`; `on_lookup` is
 * called with the answer and again whenever it changes. Returns 0, or -EINVAL for a malformed pattern. */
int gemel_worker_watch(struct gemel_worker *worker, const char *pattern, gemel_on_lookup on_lookup, void *data);

struct gemel_timer;
/* Calls `fire` in the loop after `first_ms`, then each `repeat_ms` (0: once). Never NULL. */
struct gemel_timer *gemel_worker_timer(struct gemel_worker *worker, uint64_t first_ms, uint64_t repeat_ms,
                                       void (*fire)(void *data), void *data);
void gemel_timer_stop(struct gemel_timer **timer);

enum {
    GEMEL_READABLE = 1,
    GEMEL_WRITABLE = 2
};
struct gemel_descriptor;
/* Calls `ready` in the loop while `fd` (borrowed) is readable or writable, as `events` asks. Returns 0 or a negative
 * errno. */
int gemel_worker_descriptor(struct gemel_worker *worker, struct gemel_descriptor **descriptor, int fd, int events,
                            void (*ready)(void *data, int events), void *data);
void gemel_descriptor_stop(struct gemel_descriptor **descriptor);

/* Runs the loop until SIGTERM or SIGINT, or gemel_worker_stop. Answers the daemon's pings and keeps the watchdog quiet
 * from the loop that does the work. Returns 0. */
int gemel_worker_run(struct gemel_worker *worker);
/* Ends gemel_worker_run: no new calls, those that run are given 1 s. From the loop's thread. */
void gemel_worker_stop(struct gemel_worker *worker);

#ifdef __cplusplus
}
#endif

#endif
