/* var/lib/daemon.db: what must outlive the daemon and a power cut: the orders, the highest epoch, the token numbers
 * that may have been given out. Shell only.
 *
 * Every write is durable (synchronous=FULL), because none of them is on the way from a death to its replacement: the
 * numbers are reserved half a block ahead, and what runs stands in another file (runs.h). */
#ifndef GEMEL_DAEMON_DAEMON_STORE_H
#define GEMEL_DAEMON_DAEMON_STORE_H

#include <stdint.h>
#include <uv.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "daemon/core/daemon_core.h"

struct daemon_store;

/* What is told when a mark is durable. */
struct daemon_store_handlers {
    void (*on_epoch)(void *owner, uint64_t epoch);
    void (*on_starts)(void *owner, uint64_t end);
};

struct daemon_stored_order {
    const char *process;
    struct daemon_adopt order; /* spec, placement, clear_failed, wanted, parked, failed, why */
};

struct daemon_stored {
    uint64_t epoch;
    uint64_t starts_end; /* no number from here on was ever given out */
    struct daemon_stored_order *orders;
    size_t count;
};

/* Opens or makes the file. Returned in *store (release with daemon_store_close, which finishes what is queued). */
int daemon_store_open(struct daemon_store **store, uv_loop_t *loop, const char *path,
                      const struct daemon_store_handlers *handlers, void *owner, struct error *error);
void daemon_store_close(struct daemon_store **store);

/* Reads everything into the arena, and reserves the next `starts` token numbers durably. A new file begins with
 * `first_start`. Waits: for start-up only. */
int daemon_store_load(struct daemon_store *store, uint64_t starts, uint64_t first_start, struct arena *arena,
                      struct daemon_stored *stored, struct error *error);

/* Carries out STORE_ORDER, STORE_EPOCH, RESERVE_STARTS. A mark that cannot be written is tried again each second, and
 * what waits for it waits. */
void daemon_store_put_order(struct daemon_store *store, const struct daemon_action *action);
void daemon_store_put_epoch(struct daemon_store *store, uint64_t epoch);
void daemon_store_put_starts(struct daemon_store *store, uint64_t end);

#endif
