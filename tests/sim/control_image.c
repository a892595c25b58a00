#include "tests/sim/control_image.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/wire/wire.h"

static void add_entry(struct image_entries *entries, const uint8_t *bytes, size_t size)
{
    if (entries->count == entries->capacity) {
        entries->capacity = entries->capacity > 0 ? 2 * entries->capacity : 8;
        entries->items = memory_resize(entries->items, entries->capacity * sizeof *entries->items);
    }
    entries->items[entries->count++] = (struct image_entry){.bytes = memory_copy(bytes, size), .size = size};
}

static void cut_entries(struct image_entries *entries, size_t keep)
{
    while (entries->count > keep)
        memory_free(entries->items[--entries->count].bytes);
}

static void release_entries(struct image_entries *entries)
{
    cut_entries(entries, 0);
    memory_free(entries->items);
}

static void clear_rows(struct control_image *image)
{
    struct image_row *row, *next;
    HASH_ITER (hh, image->rows, row, next) {
        HASH_DEL(image->rows, row);
        memory_free(row->value);
        memory_free(row);
    }
}

void control_image_fini(struct control_image *image)
{
    release_entries(&image->log);
    release_entries(&image->diverged);
    clear_rows(image);
}

void control_image_load_state(const struct control_image *image, struct state *state)
{
    for (const struct image_row *row = image->rows; row != NULL; row = row->hh.next) {
        char kind[16];
        const char *slash = strchr(row->key, '/');
        snprintf(kind, sizeof kind, "%.*s", (int)(slash - row->key), row->key);
        int result = state_load(state, kind, slash + 1, row->value, row->size);
        ASSERT(result == 0);
    }
}

/* ---- what the jobs do */

static void apply_truncate(struct control_image *image, const struct control_job *job)
{
    ASSERT(job->keep <= image->log.count);
    if (job->diverged)
        for (size_t i = job->keep; i < image->log.count; i++)
            add_entry(&image->diverged, image->log.items[i].bytes, image->log.items[i].size);
    cut_entries(&image->log, job->keep);
    if (job->reset_state) {
        clear_rows(image);
        image->applied_index = 0;
    }
}

static void apply_row(struct control_image *image, const struct image_row *change)
{
    struct image_row *row = NULL;
    HASH_FIND_STR(image->rows, change->key, row);
    if (row != NULL) {
        HASH_DEL(image->rows, row);
        memory_free(row->value);
        memory_free(row);
    }
    if (change->value == NULL)
        return;
    row = memory_alloc(sizeof *row);
    memcpy(row->key, change->key, sizeof row->key);
    row->value = memory_copy(change->value, change->size);
    row->size = change->size;
    HASH_ADD_STR(image->rows, key, row);
}

static void apply_job(void *image_of_disk, const void *data)
{
    struct control_image *image = image_of_disk;
    const struct control_job *job = data;
    switch (job->kind) {
    case CONTROL_JOB_APPEND:
        for (size_t i = 0; i < job->entries.count; i++)
            add_entry(&image->log, job->entries.items[i].bytes, job->entries.items[i].size);
        break;
    case CONTROL_JOB_TRUNCATE:
        apply_truncate(image, job);
        break;
    case CONTROL_JOB_META:
        image->meta = job->meta;
        break;
    case CONTROL_JOB_ROWS:
        for (size_t i = 0; i < job->row_count; i++)
            apply_row(image, &job->rows[i]);
        image->applied_index = job->applied_index;
        break;
    }
}

static void release_job(void *data)
{
    struct control_job *job = data;
    release_entries(&job->entries);
    for (size_t i = 0; i < job->row_count; i++)
        memory_free(job->rows[i].value);
    memory_free(job->rows);
    memory_free(job);
}

static struct disk_job wrap_job(struct control_job *job, disk_done done)
{
    return (struct disk_job){.apply = apply_job, .done = done, .release = release_job, .data = job};
}

struct disk_job control_job_of_pair(const struct pair_action *action, disk_done done)
{
    struct control_job *job = memory_alloc(sizeof *job);
    if (action->type == PAIR_ACTION_STORE_APPEND) {
        job->kind = CONTROL_JOB_APPEND;
        job->sequence = action->store_append.sequence;
        for (size_t i = 0; i < action->store_append.entry_count; i++) {
            size_t size = 0;
            uint8_t *bytes = wire_pack(&action->store_append.entries[i]->base, &size);
            add_entry(&job->entries, bytes, size);
            memory_free(bytes);
        }
    } else if (action->type == PAIR_ACTION_STORE_TRUNCATE) {
        job->kind = CONTROL_JOB_TRUNCATE;
        job->sequence = action->store_truncate.sequence;
        job->keep = action->store_truncate.keep;
        job->diverged = action->store_truncate.diverged;
        job->reset_state = action->store_truncate.reset_state;
    } else {
        ASSERT(action->type == PAIR_ACTION_STORE_META);
        job->kind = CONTROL_JOB_META;
        job->sequence = action->store_meta.sequence;
        job->meta = action->store_meta.meta;
    }
    return wrap_job(job, done);
}

struct disk_job control_job_of_rows(const struct state_changes *changes, uint64_t applied_index, disk_done done)
{
    struct control_job *job = memory_alloc(sizeof *job);
    job->kind = CONTROL_JOB_ROWS;
    job->applied_index = applied_index;
    job->row_count = changes->count;
    job->rows = memory_alloc_array(changes->count, sizeof *job->rows);
    for (size_t i = 0; i < changes->count; i++) {
        const struct state_change *change = &changes->items[i];
        snprintf(job->rows[i].key, sizeof job->rows[i].key, "%s/%s", state_kind_word(change->kind), change->key);
        if (change->value != NULL) {
            job->rows[i].value = memory_copy(change->value, change->value_bytes);
            job->rows[i].size = change->value_bytes;
        }
    }
    return wrap_job(job, done);
}
