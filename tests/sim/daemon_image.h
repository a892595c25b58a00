/* What a simulated daemon keeps: its database, and what a host remembers of processes until its next boot. Pure. */
#ifndef GEMEL_TESTS_SIM_DAEMON_IMAGE_H
#define GEMEL_TESTS_SIM_DAEMON_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/token.h"
#include "daemon/core/daemon_core.h"
#include "tests/sim/disk.h"

enum {
    DAEMON_KEPT_MAX = 32, /* processes of a host */
    DAEMON_KEPT_BYTES = 128
};

/* What is wanted of a process; durable. */
struct kept_order {
    char process[DAEMON_KEPT_BYTES]; /* empty: free */
    uint8_t *spec;                   /* packed ProcessSpec; NULL: only a stop is known */
    size_t spec_bytes;
    uint64_t placement;
    uint64_t clear_failed;
    bool wanted;
    bool parked;
    bool failed;
    char why[DAEMON_KEPT_BYTES];
};

/* The last run of a process; outlives the daemon, but not the host's power. */
struct kept_run {
    char process[DAEMON_KEPT_BYTES]; /* empty: free */
    uint64_t boot;
    struct token token;
    bool ready;
    bool stopping;
    char endpoint[DAEMON_KEPT_BYTES];
    char status[DAEMON_KEPT_BYTES];
    char stale[DAEMON_KEPT_BYTES];
    uint32_t restarts;
};

struct daemon_image {
    uint64_t epoch;
    uint64_t starts_end;
    struct kept_order orders[DAEMON_KEPT_MAX];
    struct kept_run runs[DAEMON_KEPT_MAX];
};

void daemon_image_fini(struct daemon_image *image);

/* The run of `process`, made when there is none. */
struct kept_run *daemon_image_run(struct daemon_image *image, const char *process);

enum daemon_job_kind {
    DAEMON_JOB_EPOCH,
    DAEMON_JOB_STARTS,
    DAEMON_JOB_ORDER
};

struct daemon_job {
    enum daemon_job_kind kind;
    uint64_t number; /* epoch, starts_end */
    struct kept_order order;
};

/* The job of STORE_EPOCH, RESERVE_STARTS or STORE_ORDER; `done` gets a struct daemon_job. */
struct disk_job daemon_job_of(const struct daemon_action *action, disk_done done);

#endif
