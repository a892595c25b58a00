/* A journal: records (record.h) in segments, files FOLDER/POSITION.journal, POSITION being the number of bytes in all
 * segments before it, in 20 digits. Shell only.
 *
 * Appending writes at once and never waits for the disk: a thread of its own makes everything durable that was appended
 * since it last looked (group commit), and the loop is told. All functions are called on the loop's thread.
 * A torn tail of the last segment is cut when the journal is opened; its bytes are kept in
 * POSITION.journal.torn-OFFSET. */
#ifndef GEMEL_JOURNAL_JOURNAL_H
#define GEMEL_JOURNAL_JOURNAL_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/error.h"
#include "common/journal/record.h"

enum {
    JOURNAL_SEGMENT_BYTES = 64 * 1024 * 1024, /* a new segment starts above it */
    JOURNAL_SEGMENTS_MAX = 100000
};

struct journal;
struct journal_cursor;

struct journal_options {
    const char *folder;     /* made when it is missing */
    uint64_t segment_bytes; /* 0: JOURNAL_SEGMENT_BYTES */
    /* Called by journal_open for each record that is there: its position, and the number of its segment. `record` is
     * borrowed for the call. May be NULL. */
    void (*on_record)(void *owner, size_t segment, uint64_t position, const struct record *record);
    /* Called in the loop: everything below `position` is durable; or `result` is a negative errno, and then what was
     * not durable before cannot be believed any more: the program ends and opens the journal again. */
    void (*on_synced)(void *owner, uint64_t position, int result);
    void *owner;
};

/* What journal_open found at the end of the last segment. */
struct journal_torn {
    uint64_t bytes; /* cut; 0: nothing was torn */
    uint64_t position;
    char kept[512]; /* file that keeps them */
};

/* Opens or makes the journal and reads all of it. Returns 0; -EBADMSG with file and offset when anything but the tail
 * is damaged, or a segment is missing; other negative errnos of the file system. `torn` may be NULL. */
int journal_open(struct journal **journal, uv_loop_t *loop, const struct journal_options *options,
                 struct journal_torn *torn, struct error *error);
/* Makes everything durable, then closes. Cursors are closed before. on_synced does not come any more. */
void journal_close(struct journal **journal);

/* Appends one record and starts making it durable. Returns 0; -ENOSPC, -EIO and the like with nothing appended;
 * -EMSGSIZE over RECORD_BYTES_MAX. */
int journal_append(struct journal *journal, const struct record *record);

uint64_t journal_end(const struct journal *journal);    /* position behind the last record */
uint64_t journal_synced(const struct journal *journal); /* everything below it is durable */
size_t journal_segment_count(const struct journal *journal);
/* The segment that holds the record at `position`, the last one for the end. */
size_t journal_segment_of(const struct journal *journal, uint64_t position);
uint64_t journal_segment_start(const struct journal *journal, size_t segment);

/* Opens a cursor at the start of a segment. It may be used while records are appended. */
int journal_cursor_open(struct journal_cursor **cursor, struct journal *journal, size_t segment);
void journal_cursor_close(struct journal_cursor **cursor);
/* Takes the next record, borrowed until the next call. Returns 0; -ENODATA when it has taken all that was appended so
 * far (more may follow); -EBADMSG for a damaged record; other negative errnos of the file system. */
int journal_cursor_next(struct journal_cursor *cursor, struct record *record);
/* The position behind the last record taken. */
uint64_t journal_cursor_position(const struct journal_cursor *cursor);

#endif
