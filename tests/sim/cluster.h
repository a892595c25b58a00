/* The simulated cluster: what stands on which host, what outlives its programs. Pure. */
#ifndef GEMEL_TESTS_SIM_CLUSTER_H
#define GEMEL_TESTS_SIM_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/token.h"
#include "tests/sim/control_image.h"
#include "tests/sim/daemon_image.h"
#include "tests/sim/disk.h"
#include "tests/sim/judge.h"
#include "tests/sim/network.h"
#include "tests/sim/world.h"

enum {
    SIDES = 2 /* HOST_A, HOST_B: a control, a daemon and processes each */
};

/* The rules that can be broken on purpose, in the world, to see that the judge notices: name, word, what is broken,
 * words of the judge's sentence. */
#define TEETH(X)                                                                                                       \
    X(TOOTH_NONE, "none", "nothing", "")                                                                               \
    X(TOOTH_TWO_LEADERS, "two-leaders", "both controls have the same node number", "two leaders of epoch")             \
    X(TOOTH_LYING_DISK, "lying-disk", "disks say fsynced and forget when the program dies", "before it is fsynced")    \
    X(TOOTH_FORGED_LOG, "forged-log", "some replicated operations are changed on their way", "another operation")      \
    X(TOOTH_DROPPED_DIVERGENCE, "dropped-divergence", "what a rejoining control must keep is thrown away", "is lost")  \
    X(TOOTH_LASTING_CUT, "lasting-cut", "cuts between hosts never heal", "after the heal")                             \
    X(TOOTH_DEAD_CONTROL, "dead-control", "a control that has died stays dead", "is not running after the heal")       \
    X(TOOTH_STALE_ORDERS, "stale-orders", "orders of an old leader reach daemons with the newest epoch", "obeys")      \
    X(TOOTH_LOST_CHILDREN, "lost-children", "a restarted daemon is not told what still runs", "while one runs")        \
    X(TOOTH_OLD_TOKENS, "old-tokens", "a restarted daemon forgets which token numbers it has given", "with token")     \
    X(TOOTH_DEAF_GATEWAY, "deaf-gateway", "gateways hear neither of closed links nor of exits",                        \
      "another instance is ready")                                                                                     \
    X(TOOTH_LOST_ANSWERS, "lost-answers", "some answers get lost between gateway and client", "neither answer nor")    \
    X(TOOTH_DOUBLE_ANSWERS, "double-answers", "some answers reach the client twice", "a second end")                   \
    X(TOOTH_FAILED_QUERIES, "failed-queries", "some answers reach the client as errors", "was ready all the time")

enum tooth {
#define X(name, word, what, sentence) name,
    TEETH(X)
#undef X
};

struct cluster {
    enum tooth tooth;
    bool pair_only; /* no daemons, no processes */
    struct node *controls[SIDES];
    struct control_image control_images[SIDES];
    struct disk *control_disks[SIDES];
    struct node *daemons[SIDES];
    struct daemon_image daemon_images[SIDES];
    struct disk *daemon_disks[SIDES];
    bool daemons_start_controls;        /* a dead control is restarted by the daemon, not by init */
    struct token tokens[NODES_MAX];     /* by slot: what is in the environment of a supervised program */
    const char *names[NODES_MAX];       /* by slot: what its daemon calls it */
    int ports[NODES_MAX];               /* by slot: where it serves; one of a kind on each host */
    uint64_t gateway_epochs[NODES_MAX]; /* by slot: saved by a gateway */
    int64_t started_us[NODES_MAX];      /* by slot: beginning of the present life */
    struct node *procmgrs[SIDES];
    struct node *gateways[SIDES];
    struct node *client;
    struct node *operator_node;
};

struct run_options {
    uint64_t seed;
    uint32_t faults; /* bits of enum fault */
    enum tooth tooth;
    enum story_mode story;
    bool pair_only;
};

struct run_result {
    char failure[600]; /* empty: every rule held */
    size_t fault_count;
    uint64_t event_count;
    struct judge_counts counts;
    struct network_counts network;
};

/* Plays one seed: start, a minute of faults, a minute of calm, the last judgement. */
void cluster_run(const struct run_options *options, struct run_result *result);

#endif
