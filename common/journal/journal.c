#include "common/journal/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/journal/scan.h"

enum {
    NAME_DIGITS = 20,
    PATH_BYTES = 512,
    PREALLOCATE_BYTES = 8 * 1024 * 1024, /* so that an append need not find new blocks */
    RETIRED_MAX = 64                     /* full segments that wait for their last fdatasync */
};

struct journal {
    uv_loop_t *loop;
    uv_async_t wake; /* the thread tells the loop */
    char folder[PATH_BYTES];
    uint64_t segment_bytes;
    void (*on_record)(void *owner, size_t segment, uint64_t position, const struct record *record);
    void (*on_synced)(void *owner, uint64_t position, int result);
    void *owner;
    int folder_fd;
    int fd;           /* of the last segment */
    uint64_t *starts; /* positions of the segments, ascending */
    size_t segment_count;
    uint64_t end;
    uint64_t preallocated; /* file offset up to which the last segment has blocks */
    uint32_t checksum;     /* of the last record of the last segment */
    uint8_t *encoded;      /* room for one record */
    size_t encoded_capacity;
    uint64_t told; /* position that the owner knows to be durable */

    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    int sync_fd; /* the last segment */
    int retired[RETIRED_MAX];
    size_t retired_count;
    uint64_t wanted; /* to be durable */
    uint64_t synced;
    int sync_result;  /* sticky */
    bool new_segment; /* the folder needs an fsync */
    bool stopping;
};

struct journal_cursor {
    struct journal *journal;
    size_t segment;
    int fd;
    struct scan scan;
};

static void segment_path(const struct journal *journal, uint64_t start, char path[PATH_BYTES + 64])
{
    snprintf(path, PATH_BYTES + 64, "%s/%0*" PRIu64 ".journal", journal->folder, NAME_DIGITS, start);
}

/* ---- the thread that syncs */

/* Syncs what was handed over; the mutex is not held. Closes what is full. */
static int sync_files(const struct journal *journal, int fd, bool new_segment, const int *full, size_t full_count)
{
    int result = 0;
    for (size_t i = 0; i < full_count; i++) {
        if (fdatasync(full[i]) != 0 && result == 0)
            result = -errno;
        close(full[i]);
    }
    if (fdatasync(fd) != 0 && result == 0)
        result = -errno;
    if (new_segment && fsync(journal->folder_fd) != 0 && result == 0)
        result = -errno;
    return result;
}

static void *sync_thread(void *data)
{
    struct journal *journal = data;
    pthread_mutex_lock(&journal->mutex);
    for (;;) {
        while (!journal->stopping && journal->wanted == journal->synced && journal->retired_count == 0)
            pthread_cond_wait(&journal->changed, &journal->mutex);
        if (journal->wanted == journal->synced && journal->retired_count == 0)
            break;
        int full[RETIRED_MAX];
        size_t full_count = journal->retired_count;
        memcpy(full, journal->retired, full_count * sizeof full[0]);
        journal->retired_count = 0;
        uint64_t wanted = journal->wanted;
        int fd = journal->sync_fd;
        bool new_segment = journal->new_segment;
        journal->new_segment = false;
        pthread_mutex_unlock(&journal->mutex);
        int result = sync_files(journal, fd, new_segment, full, full_count);
        pthread_mutex_lock(&journal->mutex);
        if (journal->sync_result == 0)
            journal->sync_result = result;
        journal->synced = wanted;
        uv_async_send(&journal->wake);
    }
    pthread_mutex_unlock(&journal->mutex);
    return NULL;
}

static void on_wake(uv_async_t *async)
{
    struct journal *journal = async->data;
    pthread_mutex_lock(&journal->mutex);
    uint64_t synced = journal->synced;
    int result = journal->sync_result;
    pthread_mutex_unlock(&journal->mutex);
    if (result == 0)
        journal->told = synced;
    if (journal->on_synced != NULL)
        journal->on_synced(journal->owner, journal->told, result);
}

static void request_sync(struct journal *journal)
{
    pthread_mutex_lock(&journal->mutex);
    journal->wanted = journal->end;
    pthread_cond_signal(&journal->changed);
    pthread_mutex_unlock(&journal->mutex);
}

/* ---- opening */

static int compare_starts(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one;
    uint64_t b = *(const uint64_t *)other;
    return a < b ? -1 : a > b;
}

static void add_segment(struct journal *journal, uint64_t start)
{
    journal->starts = memory_resize(journal->starts, (journal->segment_count + 1) * sizeof journal->starts[0]);
    journal->starts[journal->segment_count++] = start;
}

static int find_segments(struct journal *journal, struct error *error)
{
    DIR *folder = opendir(journal->folder);
    if (folder == NULL)
        return error_set(error, -errno, "cannot read the journal folder %s: %s", journal->folder, strerror(errno));
    const struct dirent *entry = NULL;
    while ((entry = readdir(folder)) != NULL && journal->segment_count < JOURNAL_SEGMENTS_MAX)
        if (strspn(entry->d_name, "0123456789") == NAME_DIGITS && strcmp(entry->d_name + NAME_DIGITS, ".journal") == 0)
            add_segment(journal, strtoull(entry->d_name, NULL, 10));
    closedir(folder);
    if (journal->segment_count > 0)
        qsort(journal->starts, journal->segment_count, sizeof journal->starts[0], compare_starts);
    return 0;
}

static int copy_range(int from, uint64_t offset, int to)
{
    uint8_t bytes[16384];
    for (;;) {
        ssize_t count = pread(from, bytes, sizeof bytes, (off_t)offset);
        if (count <= 0)
            return count == 0 ? 0 : -errno;
        if (write(to, bytes, (size_t)count) != count)
            return -EIO;
        offset += (uint64_t)count;
    }
}

/* Keeps what is behind `offset` aside and cuts it off. */
static int cut_tail(struct journal *journal, const char *path, int fd, uint64_t offset, struct journal_torn *torn,
                    struct error *error)
{
    struct stat status;
    struct journal_torn cut = {.position = journal->starts[journal->segment_count - 1] + offset};
    snprintf(cut.kept, sizeof cut.kept, "%s.torn-%" PRIu64, path, offset);
    int kept = open(cut.kept, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int result = kept < 0 || fstat(fd, &status) != 0 ? -errno : copy_range(fd, offset, kept);
    if (result == 0 && (fsync(kept) != 0 || ftruncate(fd, (off_t)offset) != 0 || fsync(fd) != 0))
        result = -errno;
    if (kept >= 0)
        close(kept);
    if (result != 0)
        return error_set(error, result, "cannot cut the torn tail of %s: %s", path, strerror(-result));
    cut.bytes = (uint64_t)status.st_size - offset;
    if (torn != NULL)
        *torn = cut;
    return 0;
}

/* Reads a segment; the last one's tail may be torn, and its file stays open. */
static int read_segment(struct journal *journal, size_t segment, struct journal_torn *torn, struct error *error)
{
    char path[PATH_BYTES + 64];
    segment_path(journal, journal->starts[segment], path);
    bool last = segment + 1 == journal->segment_count;
    int fd = open(path, (last ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
    struct scan scan;
    struct record record;
    scan_init(&scan, fd);
    uint64_t offset = 0;
    int result = 0;
    while ((result = scan_next(&scan, &record)) == 0) {
        if (journal->on_record != NULL)
            journal->on_record(journal->owner, segment, journal->starts[segment] + offset, &record);
        offset = scan.offset;
    }
    journal->checksum = scan.checksum;
    journal->end = journal->starts[segment] + offset;
    scan_fini(&scan);
    if (result == -ENODATA)
        result = 0;
    else if (last && (result == -EAGAIN || result == -EBADMSG))
        result = cut_tail(journal, path, fd, offset, torn, error);
    else
        result = error_set(error, -EBADMSG,
                           "%s is damaged at offset %" PRIu64 "; move the journal folder aside to "
                           "start without it",
                           path, offset);
    if (result == 0 && last) {
        journal->fd = fd;
        journal->preallocated = offset;
    } else {
        close(fd);
    }
    return result;
}

static int start_segment(struct journal *journal)
{
    char path[PATH_BYTES + 64];
    segment_path(journal, journal->end, path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    journal->fd = fd;
    journal->preallocated = 0;
    journal->checksum = 0;
    add_segment(journal, journal->end);
    return 0;
}

static int read_all(struct journal *journal, struct journal_torn *torn, struct error *error)
{
    int result = find_segments(journal, error);
    for (size_t i = 0; result == 0 && i < journal->segment_count; i++) {
        if (i > 0 && journal->starts[i] != journal->end)
            return error_set(error, -EBADMSG, "the journal %s has no segment that starts at %" PRIu64, journal->folder,
                             journal->end);
        result = read_segment(journal, i, torn, error);
    }
    if (result == 0 && journal->segment_count == 0) {
        result = start_segment(journal);
        if (result != 0)
            error_set(error, result, "cannot make a journal in %s: %s", journal->folder, strerror(-result));
    }
    return result;
}

static void release(struct journal *journal)
{
    if (journal->fd >= 0)
        close(journal->fd);
    if (journal->folder_fd >= 0)
        close(journal->folder_fd);
    memory_free(journal->starts);
    memory_free(journal->encoded);
    memory_free(journal);
}

static int start_thread(struct journal *journal, struct error *error)
{
    journal->sync_fd = journal->fd;
    journal->wanted = journal->synced = journal->told = journal->end;
    /* What was read may be in the page cache only: it counts as durable once it was synced here. */
    if (fsync(journal->fd) != 0 || fsync(journal->folder_fd) != 0)
        return error_set(error, -errno, "cannot sync the journal %s: %s", journal->folder, strerror(errno));
    uv_async_init(journal->loop, &journal->wake, on_wake);
    journal->wake.data = journal;
    pthread_mutex_init(&journal->mutex, NULL);
    pthread_cond_init(&journal->changed, NULL);
    int result = pthread_create(&journal->thread, NULL, sync_thread, journal);
    ASSERT(result == 0);
    return 0;
}

int journal_open(struct journal **journal, uv_loop_t *loop, const struct journal_options *options,
                 struct journal_torn *torn, struct error *error)
{
    struct journal *made = memory_alloc(sizeof *made);
    made->loop = loop;
    made->fd = made->folder_fd = -1;
    made->segment_bytes = options->segment_bytes > 0 ? options->segment_bytes : JOURNAL_SEGMENT_BYTES;
    made->on_record = options->on_record;
    made->on_synced = options->on_synced;
    made->owner = options->owner;
    if (torn != NULL)
        *torn = (struct journal_torn){0};
    int result = 0;
    if (!text_copy(made->folder, sizeof made->folder, options->folder)) {
        result = error_set(error, -ENAMETOOLONG, "the journal folder's name is too long: %s", options->folder);
        goto out;
    }
    if (mkdir(made->folder, 0700) != 0 && errno != EEXIST) {
        result = error_set(error, -errno, "cannot make %s: %s", made->folder, strerror(errno));
        goto out;
    }
    made->folder_fd = open(made->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (made->folder_fd < 0)
        result = error_set(error, -errno, "cannot open %s: %s", made->folder, strerror(errno));
    if (result == 0)
        result = read_all(made, torn, error);
    if (result == 0)
        result = start_thread(made, error);
out:
    if (result != 0)
        release(made);
    else
        *journal = made;
    return result;
}

static void on_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void journal_close(struct journal **journal)
{
    struct journal *closing = *journal;
    if (closing == NULL)
        return;
    *journal = NULL;
    pthread_mutex_lock(&closing->mutex);
    closing->stopping = true;
    pthread_cond_signal(&closing->changed);
    pthread_mutex_unlock(&closing->mutex);
    pthread_join(closing->thread, NULL);
    pthread_mutex_destroy(&closing->mutex);
    pthread_cond_destroy(&closing->changed);
    /* Gives the blocks back that were taken ahead. */
    if (ftruncate(closing->fd, (off_t)(closing->end - closing->starts[closing->segment_count - 1])) == 0)
        fdatasync(closing->fd);
    uv_close((uv_handle_t *)&closing->wake, on_closed);
}

/* ---- appending */

/* Hands the full segment to the thread, which syncs and closes it, and starts the next one. */
static int roll(struct journal *journal)
{
    int full = journal->fd;
    pthread_mutex_lock(&journal->mutex);
    bool room = journal->retired_count < RETIRED_MAX;
    pthread_mutex_unlock(&journal->mutex);
    if (!room)
        return 0; /* the disk is slow: this segment gets longer */
    int result = start_segment(journal);
    if (result != 0)
        return result;
    pthread_mutex_lock(&journal->mutex);
    journal->retired[journal->retired_count++] = full;
    journal->sync_fd = journal->fd;
    journal->new_segment = true;
    pthread_cond_signal(&journal->changed);
    pthread_mutex_unlock(&journal->mutex);
    return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t count = pwrite(fd, bytes, size, (off_t)offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? -errno : -EIO;
        bytes += count;
        size -= (size_t)count;
        offset += (uint64_t)count;
    }
    return 0;
}

static void preallocate(struct journal *journal, uint64_t until)
{
    if (until <= journal->preallocated)
        return;
    uint64_t length = until - journal->preallocated;
    length = length > PREALLOCATE_BYTES ? length : PREALLOCATE_BYTES;
    /* A file system that cannot is as good, only slower; a full disk is told by the write. */
    int result = fallocate(journal->fd, FALLOC_FL_KEEP_SIZE, (off_t)journal->preallocated, (off_t)length);
    (void)result;
    journal->preallocated += length;
}

int journal_append(struct journal *journal, const struct record *record)
{
    size_t size = record_size(record);
    if (size > RECORD_BYTES_MAX)
        return -EMSGSIZE;
    uint64_t offset = journal->end - journal->starts[journal->segment_count - 1];
    if (offset >= journal->segment_bytes && journal->segment_count < JOURNAL_SEGMENTS_MAX) {
        int result = roll(journal);
        if (result != 0)
            return result;
        offset = journal->end - journal->starts[journal->segment_count - 1];
    }
    if (size > journal->encoded_capacity) {
        journal->encoded = memory_resize(journal->encoded, size);
        journal->encoded_capacity = size;
    }
    uint32_t checksum = record_encode(record, journal->checksum, journal->encoded);
    preallocate(journal, offset + size);
    int result = write_all(journal->fd, journal->encoded, size, offset);
    if (result != 0) {
        /* Half a record must not stay; if cutting fails too, the next append overwrites it. */
        int cut = ftruncate(journal->fd, (off_t)offset);
        (void)cut;
        journal->preallocated = offset;
        return result;
    }
    journal->checksum = checksum;
    journal->end += size;
    request_sync(journal);
    return 0;
}

uint64_t journal_end(const struct journal *journal)
{
    return journal->end;
}

uint64_t journal_synced(const struct journal *journal)
{
    return journal->told;
}

size_t journal_segment_count(const struct journal *journal)
{
    return journal->segment_count;
}

size_t journal_segment_of(const struct journal *journal, uint64_t position)
{
    size_t low = 0;
    size_t high = journal->segment_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (journal->starts[middle] <= position)
            low = middle;
        else
            high = middle;
    }
    return low;
}

uint64_t journal_segment_start(const struct journal *journal, size_t segment)
{
    ASSERT(segment < journal->segment_count);
    return journal->starts[segment];
}

/* ---- cursors */

static int open_segment(struct journal_cursor *cursor)
{
    char path[PATH_BYTES + 64];
    segment_path(cursor->journal, cursor->journal->starts[cursor->segment], path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (cursor->fd >= 0) {
        close(cursor->fd);
        scan_fini(&cursor->scan);
    }
    cursor->fd = fd;
    scan_init(&cursor->scan, fd);
    return 0;
}

int journal_cursor_open(struct journal_cursor **cursor, struct journal *journal, size_t segment)
{
    ASSERT(segment < journal->segment_count);
    struct journal_cursor *made = memory_alloc(sizeof *made);
    *made = (struct journal_cursor){.journal = journal, .segment = segment, .fd = -1};
    int result = open_segment(made);
    if (result != 0)
        memory_free(made);
    else
        *cursor = made;
    return result;
}

void journal_cursor_close(struct journal_cursor **cursor)
{
    if (*cursor == NULL)
        return;
    close((*cursor)->fd);
    scan_fini(&(*cursor)->scan);
    memory_free(*cursor);
    *cursor = NULL;
}

int journal_cursor_next(struct journal_cursor *cursor, struct record *record)
{
    if (journal_cursor_position(cursor) == cursor->journal->end)
        return -ENODATA;
    int result = scan_next(&cursor->scan, record);
    if (result != -ENODATA || cursor->segment + 1 == cursor->journal->segment_count)
        return result == -EAGAIN ? -EBADMSG : result;
    cursor->segment++;
    result = open_segment(cursor);
    return result != 0 ? result : scan_next(&cursor->scan, record);
}

uint64_t journal_cursor_position(const struct journal_cursor *cursor)
{
    return cursor->journal->starts[cursor->segment] + cursor->scan.offset;
}
