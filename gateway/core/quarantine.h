/* Queries that ended two processes are refused for a while, by fingerprint: one bad query must not take down the
 * processes of every instance in turn. Pure. The time doubles with each recurrence. */
#ifndef GEMEL_GATEWAY_CORE_QUARANTINE_H
#define GEMEL_GATEWAY_CORE_QUARANTINE_H

#include <stdint.h>

enum {
    QUARANTINE_MAX = 256,                    /* fingerprints; the one that ends first makes room */
    QUARANTINE_LAST_MS = 24 * 60 * 60 * 1000 /* the doubling stops here */
};

struct quarantine_entry {
    uint64_t fingerprint;
    int64_t until_ms;  /* refused before this */
    int64_t forget_ms; /* another loss before this doubles the time */
    int64_t period_ms;
};

struct quarantine {
    int64_t first_ms; /* of a new fingerprint; at most 0: nothing is ever refused */
    uint32_t count;
    struct quarantine_entry entries[QUARANTINE_MAX];
};

void quarantine_init(struct quarantine *quarantine, int64_t first_ms);

/* The query ended a second process. Returns for how long it is refused now; 0: it is not. */
int64_t quarantine_add(struct quarantine *quarantine, uint64_t fingerprint, int64_t now_ms);

/* For how long it is still refused; 0: it may run. */
int64_t quarantine_left_ms(const struct quarantine *quarantine, uint64_t fingerprint, int64_t now_ms);

/* How many are refused now. */
uint32_t quarantine_count(const struct quarantine *quarantine, int64_t now_ms);

#endif
