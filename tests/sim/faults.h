/* What goes wrong in a run: kinds of faults, drawn by the seed, each with an end. Pure. */
#ifndef GEMEL_TESTS_SIM_FAULTS_H
#define GEMEL_TESTS_SIM_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/world.h"

/* name, word, what it does, how often it is drawn */
#define FAULTS(X)                                                                                                      \
    X(FAULT_CRASH, "crash", "kills a program; its parent or init starts it again", 10)                                 \
    X(FAULT_HANG, "hang", "stops a program for a while (SIGSTOP)", 6)                                                  \
    X(FAULT_POWER, "power", "cuts a host's power; it comes back later", 4)                                             \
    X(FAULT_CUT, "cut", "cuts the way between two hosts", 5)                                                           \
    X(FAULT_CUT_ONE_WAY, "cut-one-way", "cuts the way from one host to another", 4)                                    \
    X(FAULT_BREAK, "break", "breaks the control-plane connections between two hosts; what was under way is lost", 4)   \
    X(FAULT_LATE, "late", "delays each message between hosts by up to some time", 4)                                   \
    X(FAULT_DOUBLE, "double", "doubles some control-plane messages", 3)                                                \
    X(FAULT_CLOCK, "clock", "makes a host's wall clock jump", 2)                                                       \
    X(FAULT_SLOW_DISK, "slow-disk", "makes fsync slow on a host", 3)                                                   \
    X(FAULT_FULL_DISK, "full-disk", "makes writes fail on a host", 2)

enum fault {
#define X(name, word, what, weight) name,
    FAULTS(X)
#undef X
    FAULT_COUNT
};

/* Bit i set: fault i may happen. */
#define FAULTS_ALL ((1U << FAULT_COUNT) - 1)

/* Schedules the faults of a run between two points; each has ended by `until_us`. Returns how many. */
size_t faults_schedule(struct world *world, uint32_t allowed, int64_t from_us, int64_t until_us);

/* Reads a comma separated list of words; false when one is unknown. */
bool faults_parse(const char *list, uint32_t *allowed);
void faults_print_list(void);

#endif
