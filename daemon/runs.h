/* What runs, for the daemon that comes after this one: a file of fixed slots, mapped into memory. Shell only.
 *
 * Noting a run is a few stores into the page cache: no system call on the way from a death to its replacement, and yet
 * it outlives our own SIGKILL. It need not outlive a power cut, because no process does: the file names the boot that
 * it is about and is emptied in another one. What must outlive everything (orders, token numbers) is in daemon.db.
 *
 * A slot's phase is written last: INTENT before the spawn, RUNNING after it, FREE after the exit. */
#ifndef GEMEL_DAEMON_RUNS_H
#define GEMEL_DAEMON_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/token.h"

enum {
    RUNS_TEXT_BYTES = 256,
    RUNS_BOOT_ID_BYTES = 40
};

enum run_phase {
    RUN_FREE = 0,
    RUN_INTENT = 1,
    RUN_RUNNING = 2
};

/* One slot, as it lies in the file. Strings are NUL-terminated and cut where they must be. */
struct run_slot {
    volatile uint32_t phase; /* enum run_phase */
    int32_t pid;
    uint64_t start_ticks; /* of the pid, so that another process of that number is not taken for it */
    struct token token;
    uint32_t restarts;
    uint32_t cgroup_number; /* goes on over the runs of a process */
    uint8_t ready;
    uint8_t stopping;
    char process[PROCESS_NAME_BYTES];
    char endpoint[ADDRESS_BYTES];
    char status[RUNS_TEXT_BYTES];
    char stale[RUNS_TEXT_BYTES];
};

struct runs;

/* Maps the file at `path`, makes it when it is missing, empties it when it is of another boot or version. Returned in
 * *runs (release with runs_close). Returns 0 or a negative errno with a sentence. */
int runs_open(struct runs **runs, const char *path, const char *boot_id, struct error *error);
void runs_close(struct runs **runs);

/* The slot of a process; a free one is given its name when it has none. NULL when PROCESSES_MAX or the disk is full.
 * Borrowed until runs_close: slots do not move. */
struct run_slot *runs_take(struct runs *runs, const char *process);

/* Slots in use, for adoption. */
size_t runs_count(const struct runs *runs);
struct run_slot *runs_at(struct runs *runs, size_t position);

/* Does a slot say that `process` runs, or is about to? */
bool runs_is_running(const struct runs *runs, const char *process);

void run_slot_intend(struct run_slot *slot, struct token token);
void run_slot_start(struct run_slot *slot, int32_t pid, uint64_t start_ticks);
void run_slot_end(struct run_slot *slot);

#endif
