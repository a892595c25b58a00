#include "gateway/core/quarantine.h"

#include <stddef.h>
#include <string.h>

void quarantine_init(struct quarantine *quarantine, int64_t first_ms)
{
    memset(quarantine, 0, sizeof *quarantine);
    quarantine->first_ms = first_ms;
}

static struct quarantine_entry *find(struct quarantine *quarantine, uint64_t fingerprint)
{
    for (uint32_t i = 0; i < quarantine->count; i++)
        if (quarantine->entries[i].fingerprint == fingerprint)
            return &quarantine->entries[i];
    return NULL;
}

/* A place for a new entry: behind the last, else that of the entry which ends first. */
static struct quarantine_entry *make_room(struct quarantine *quarantine)
{
    if (quarantine->count < QUARANTINE_MAX)
        return &quarantine->entries[quarantine->count++];
    struct quarantine_entry *oldest = &quarantine->entries[0];
    for (uint32_t i = 1; i < quarantine->count; i++)
        if (quarantine->entries[i].until_ms < oldest->until_ms)
            oldest = &quarantine->entries[i];
    return oldest;
}

int64_t quarantine_add(struct quarantine *quarantine, uint64_t fingerprint, int64_t now_ms)
{
    if (quarantine->first_ms <= 0)
        return 0;
    struct quarantine_entry *entry = find(quarantine, fingerprint);
    if (entry == NULL) {
        entry = make_room(quarantine);
        *entry = (struct quarantine_entry){.fingerprint = fingerprint};
    }
    /* Copies of one query that ran side by side are one event, not many. */
    if (entry->until_ms > now_ms)
        return entry->until_ms - now_ms;
    if (entry->forget_ms > now_ms && entry->period_ms < QUARANTINE_LAST_MS / 2)
        entry->period_ms *= 2;
    else if (entry->forget_ms <= now_ms)
        entry->period_ms = quarantine->first_ms;
    entry->until_ms = now_ms + entry->period_ms;
    entry->forget_ms = entry->until_ms + 2 * entry->period_ms;
    return entry->period_ms;
}

int64_t quarantine_left_ms(const struct quarantine *quarantine, uint64_t fingerprint, int64_t now_ms)
{
    for (uint32_t i = 0; i < quarantine->count; i++)
        if (quarantine->entries[i].fingerprint == fingerprint)
            return quarantine->entries[i].until_ms > now_ms ? quarantine->entries[i].until_ms - now_ms : 0;
    return 0;
}

uint32_t quarantine_count(const struct quarantine *quarantine, int64_t now_ms)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < quarantine->count; i++)
        if (quarantine->entries[i].until_ms > now_ms)
            count++;
    return count;
}
