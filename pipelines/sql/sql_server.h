/* Serving SQL from a process: calls wait until their marks are there, then run on a bounded pool beside the loop, each
 * on a read-only connection of its own. Shell only; functions on the loop's thread. Shared by rdb, idb and hdb. */
#ifndef GEMEL_PIPELINES_SQL_SQL_SERVER_H
#define GEMEL_PIPELINES_SQL_SQL_SERVER_H

#include <sqlite3.h>
#include <stdbool.h>

#include "common/wire/wire.h"
#include "worker/process.h"

enum {
    SQL_THREADS_DEFAULT = 4 /* more long queries than processors gain nothing; option `query-threads` */
};

struct sql_server;

struct sql_server_options {
    /* Opens a read-only connection; called on a pool thread. Returns 0 or a negative errno with a sentence. */
    int (*open)(void *owner, sqlite3 **database, struct error *error);
    bool with_marks; /* the database has SQL_MARKS_TABLE */
    /* Are these marks there? On the loop's thread. NULL: marks are not looked at. */
    bool (*has)(void *owner, Gemel__Mark *const *marks, size_t count);
    void *owner;
};

/* Starts the threads and serves calls on the worker. Returns 0 or a negative errno (gemel_error_text). */
int sql_server_create(struct sql_server **server, struct gemel_worker *worker,
                      const struct sql_server_options *options);
/* Ends running queries, then the threads. NULL inside is allowed. */
void sql_server_destroy(struct sql_server **server);

/* More marks are there: calls that waited for them run. */
void sql_server_look_again(struct sql_server *server);
/* Connections that exist are not used again: the files have changed. */
void sql_server_reopen(struct sql_server *server);

#endif
