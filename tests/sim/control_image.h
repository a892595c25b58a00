/* The database of a simulated control: what of it is durable, and the jobs that change it. Pure.
 *
 * The jobs are those of the pair's STORE_ actions, and the rows of the state tables with applied_index. Entries and
 * values are packed, as in SQLite. */
#ifndef GEMEL_TESTS_SIM_CONTROL_IMAGE_H
#define GEMEL_TESTS_SIM_CONTROL_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/map.h"
#include "control/core/pair.h"
#include "control/core/state.h"
#include "tests/sim/disk.h"

struct image_entry {
    uint8_t *bytes; /* a packed LogEntry */
    size_t size;
};

struct image_entries {
    struct image_entry *items;
    size_t count;
    size_t capacity;
};

struct image_row {
    char key[16 + STATE_KEY_BYTES]; /* kind '/' key */
    uint8_t *value;
    size_t size;
    UT_hash_handle hh;
};

struct control_image {
    struct pair_meta meta;
    struct image_entries log; /* item i is entry i + 1 */
    struct image_entries diverged;
    struct image_row *rows;
    uint64_t applied_index;
};

void control_image_fini(struct control_image *image);

/* Loads the rows into `state`. */
void control_image_load_state(const struct control_image *image, struct state *state);

enum control_job_kind {
    CONTROL_JOB_APPEND,
    CONTROL_JOB_TRUNCATE,
    CONTROL_JOB_META,
    CONTROL_JOB_ROWS
};

/* What a job carries; made from the action it stands for. */
struct control_job {
    enum control_job_kind kind;
    uint64_t sequence; /* of the pair; 0: ROWS */
    struct image_entries entries;
    uint64_t keep;
    bool diverged;
    bool reset_state;
    struct pair_meta meta;
    struct image_row *rows; /* value NULL: delete */
    size_t row_count;
    uint64_t applied_index;
};

/* Makes the job of a STORE_ action; `done` gets a struct control_job. */
struct disk_job control_job_of_pair(const struct pair_action *action, disk_done done);
/* Makes the job that writes rows. */
struct disk_job control_job_of_rows(const struct state_changes *changes, uint64_t applied_index, disk_done done);

#endif
