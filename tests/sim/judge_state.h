/* What the judge remembers; for its own files. Pure. */
#ifndef GEMEL_TESTS_SIM_JUDGE_STATE_H
#define GEMEL_TESTS_SIM_JUDGE_STATE_H

#include "common/base/bounds.h"
#include "common/base/map.h"
#include "common/base/token.h"
#include "tests/sim/cluster.h"
#include "tests/sim/judge.h"

enum {
    JUDGE_SENTENCE_BYTES = 600,
    JUDGED_ROUTES = 2
};

struct judged_epoch {
    uint64_t epoch;
    const struct node *node;
    uint64_t life;
    UT_hash_handle hh;
};

struct judged_place {
    uint64_t index;
    uint64_t epoch;
};

struct judged_entry {
    struct judged_place place;
    uint32_t crc32c;
    bool acknowledged; /* to an operator, or whoever asked */
    bool solo;         /* by one host alone, every time */
    UT_hash_handle hh;
};

/* A gateway's primary of a route does not serve. */
struct judged_misroute {
    int64_t since_us; /* INT64_MAX: it does */
    int64_t bound_us; /* within which it must move */
    uint32_t primary; /* UINT32_MAX: it has none */
};

struct judge {
    char failure[JUDGE_SENTENCE_BYTES]; /* empty: none */
    struct judge_counts counts;
    struct judged_epoch *epochs;
    struct judged_entry *entries;
    uint64_t epoch_obeyed[HOSTS_COUNT];                   /* highest of an order that changed something on a host */
    struct token tokens[NODES_MAX];                       /* by slot: newest of a process */
    int64_t usable_since_us[SIDES][JUDGED_ROUTES][SIDES]; /* gateway, route, instance: serves, is reached and registered
                                                             since; INT64_MAX: not so */
    struct node *processes[JUDGED_ROUTES][SIDES];         /* route, instance */
    struct judged_misroute misroutes[SIDES][JUDGED_ROUTES]; /* gateway, route */
};

#endif
