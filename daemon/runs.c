#include "daemon/runs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/text.h"

enum {
    RUNS_MAGIC = 0x4e555247, /* "GRUN" */
    RUNS_VERSION = 1,
    RUNS_GROW = 64 /* slots that the file grows by */
};

struct runs_header {
    uint32_t magic;
    uint32_t version;
    uint32_t slot_bytes;
    uint32_t count; /* slots that were ever used */
    char boot_id[RUNS_BOOT_ID_BYTES];
};

struct named_slot {
    struct run_slot *slot;
    UT_hash_handle hh; /* by slot->process, which does not move */
};

struct runs {
    int fd;
    size_t mapped_bytes; /* address space, beyond the end of the file too */
    size_t capacity;     /* slots that the file has room for */
    struct runs_header *header;
    struct run_slot *slots;
    struct named_slot *names;
};

static size_t file_bytes(size_t slots)
{
    return sizeof(struct runs_header) + slots * sizeof(struct run_slot);
}

/* Reserved on disk, so that a store into the map never meets a full disk (that would be SIGBUS). */
static int grow(struct runs *runs, size_t slots)
{
    int result = posix_fallocate(runs->fd, 0, (off_t)file_bytes(slots));
    if (result == 0)
        runs->capacity = slots;
    return -result;
}

static bool is_of_this_boot(const struct runs *runs, off_t size, const char *boot_id)
{
    const struct runs_header *header = runs->header;
    return size >= (off_t)sizeof *header && header->magic == RUNS_MAGIC && header->version == RUNS_VERSION &&
           header->slot_bytes == sizeof(struct run_slot) && header->count <= PROCESSES_MAX &&
           size >= (off_t)file_bytes(header->count) && strncmp(header->boot_id, boot_id, sizeof header->boot_id) == 0;
}

static void remember(struct runs *runs, struct run_slot *slot)
{
    struct named_slot *named = memory_alloc(sizeof *named);
    named->slot = slot;
    HASH_ADD_KEYPTR(hh, runs->names, slot->process, strlen(slot->process), named);
}

static int take_up(struct runs *runs, const char *boot_id)
{
    struct stat found;
    if (fstat(runs->fd, &found) != 0)
        return -errno;
    if (!is_of_this_boot(runs, found.st_size, boot_id)) {
        if (ftruncate(runs->fd, 0) != 0)
            return -errno;
        int result = grow(runs, RUNS_GROW);
        if (result != 0)
            return result;
        *runs->header =
            (struct runs_header){.magic = RUNS_MAGIC, .version = RUNS_VERSION, .slot_bytes = sizeof(struct run_slot)};
        text_copy(runs->header->boot_id, sizeof runs->header->boot_id, boot_id);
        return 0;
    }
    for (size_t i = 0; i < runs->header->count; i++) {
        struct run_slot *slot = &runs->slots[i];
        slot->process[sizeof slot->process - 1] = '\0';
        slot->endpoint[sizeof slot->endpoint - 1] = '\0';
        slot->status[sizeof slot->status - 1] = '\0';
        slot->stale[sizeof slot->stale - 1] = '\0';
        remember(runs, slot);
    }
    size_t whole = (runs->header->count + RUNS_GROW - 1) / RUNS_GROW * RUNS_GROW;
    return grow(runs, whole < RUNS_GROW ? RUNS_GROW : whole);
}

int runs_open(struct runs **runs, const char *path, const char *boot_id, struct error *error)
{
    struct runs *self = memory_alloc(sizeof *self);
    int result = 0;
    self->mapped_bytes = file_bytes(PROCESSES_MAX + RUNS_GROW);
    self->header = MAP_FAILED;
    self->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->fd >= 0)
        self->header = mmap(NULL, self->mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
    if (self->header == MAP_FAILED) {
        result = -errno;
    } else {
        self->slots = (struct run_slot *)(void *)(self->header + 1);
        result = take_up(self, boot_id);
    }
    if (result != 0) {
        error_set(error, result, "cannot use %s: %s", path, strerror(-result));
        runs_close(&self);
        return result;
    }
    *runs = self;
    return 0;
}

void runs_close(struct runs **runs)
{
    struct runs *self = *runs;
    if (self == NULL)
        return;
    struct named_slot *named = NULL;
    struct named_slot *next = NULL;
    HASH_ITER (hh, self->names, named, next) {
        HASH_DEL(self->names, named);
        memory_free(named);
    }
    if (self->header != MAP_FAILED)
        munmap(self->header, self->mapped_bytes);
    if (self->fd >= 0)
        close(self->fd);
    memory_free(self);
    *runs = NULL;
}

struct run_slot *runs_take(struct runs *runs, const char *process)
{
    struct named_slot *named = NULL;
    HASH_FIND(hh, runs->names, process, strlen(process), named);
    if (named != NULL)
        return named->slot;
    size_t count = runs->header->count;
    if (count == PROCESSES_MAX || strlen(process) >= PROCESS_NAME_BYTES)
        return NULL;
    if (count == runs->capacity && grow(runs, count + RUNS_GROW) != 0)
        return NULL;
    struct run_slot *slot = &runs->slots[count];
    memset(slot, 0, sizeof *slot);
    text_copy(slot->process, sizeof slot->process, process);
    atomic_signal_fence(memory_order_seq_cst);
    runs->header->count++;
    remember(runs, slot);
    return slot;
}

size_t runs_count(const struct runs *runs)
{
    return runs->header->count;
}

struct run_slot *runs_at(struct runs *runs, size_t position)
{
    return &runs->slots[position];
}

bool runs_is_running(const struct runs *runs, const char *process)
{
    for (size_t i = 0; i < runs_count(runs); i++)
        if (runs->slots[i].phase != RUN_FREE && strcmp(runs->slots[i].process, process) == 0)
            return true;
    return false;
}

void run_slot_intend(struct run_slot *slot, struct token token)
{
    slot->phase = RUN_FREE;
    atomic_signal_fence(memory_order_seq_cst);
    slot->pid = 0;
    slot->start_ticks = 0;
    slot->token = token;
    slot->ready = 0;
    slot->stopping = 0;
    slot->endpoint[0] = slot->status[0] = slot->stale[0] = '\0';
    atomic_signal_fence(memory_order_seq_cst);
    slot->phase = RUN_INTENT;
}

void run_slot_start(struct run_slot *slot, int32_t pid, uint64_t start_ticks)
{
    slot->pid = pid;
    slot->start_ticks = start_ticks;
    atomic_signal_fence(memory_order_seq_cst);
    slot->phase = RUN_RUNNING;
}

void run_slot_end(struct run_slot *slot)
{
    slot->phase = RUN_FREE;
}
