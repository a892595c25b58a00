/* The control's database, var/lib/control.db: what the pair wants stored, and the tables that its operations make.
 * Shell; everything but the jobs runs on the loop's thread.
 *
 * The order of the pair's writes is kept: when one fails, those that were given after it are skipped, the owner hears
 * of the first one once, and the next write that is given is done again. The tables of committed operations are written
 * beside it; when that fails they are written anew, whole, with the next commit: the log is the truth, the tables are
 * what it makes.
 *
 *   oplog(index, epoch, prev_hash, op, crc32c)   meta(key, value)   state(kind, key, value)   diverged(...) */
#ifndef GEMEL_CONTROL_CONTROL_STORE_H
#define GEMEL_CONTROL_CONTROL_STORE_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "control/core/pair.h"
#include "control/core/state.h"

struct control_store;

/* What was there at the start; everything in the arena. */
struct control_stored {
    struct arena arena;
    struct pair_meta meta;
    const Gemel__LogEntry **entries; /* from index 1 */
    size_t entry_count;
    uint64_t applied_index;
};

struct control_store_handlers {
    void (*on_stored)(void *owner, uint64_t sequence);
    void (*on_failed)(void *owner, uint64_t sequence, int code, const char *why);
};

/* Opens or makes the file, reads everything: the log and meta into *stored (release with control_stored_fini), the
 * tables into `state`, which is borrowed and must outlive the store. Returns 0; -EUCLEAN for an entry or row that is
 * damaged, named in `error`; another negative errno. `handlers` is borrowed. */
int control_store_open(struct control_store **store, uv_loop_t *loop, const char *path, struct state *state,
                       struct control_stored *stored, const struct control_store_handlers *handlers, void *owner,
                       struct error *error);
void control_stored_fini(struct control_stored *stored);
/* Finishes what is queued; handlers may be called. NULL inside is allowed. */
void control_store_close(struct control_store **store);

/* Does a STORE_* action of the pair (borrowed for the call). */
void control_store_write(struct control_store *store, const struct pair_action *action);
/* Writes the changes (borrowed) that entries up to `applied_index` have made. */
void control_store_apply(struct control_store *store, const struct state_changes *changes, uint64_t applied_index);

#endif
