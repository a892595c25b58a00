/* gemel-sim: plays seeds of a simulated cluster, tells one as a story, shows that each rule can be seen broken. */
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/assert.h"
#include "tests/sim/cluster.h"
#include "tests/sim/faults.h"

enum {
    SEEDS_OF_A_TOOTH = 60 /* within these at least one must make the judge speak */
};

static const struct {
    const char *word;
    const char *what;
    const char *sentence;
} teeth[] = {
#define X(name, word, what, sentence) [name] = {word, what, sentence},
    TEETH(X)
#undef X
};

static const char usage[] =
    "usage: gemel-sim [--seeds N] [--base SEED]   play N seeds (200), silently\n"
    "       gemel-sim --seed N                    play one seed and tell its story\n"
    "       gemel-sim --teeth                     break each rule on purpose: the judge must notice\n"
    "options: --faults LIST   only these, comma separated, or none\n"
    "         --pair          only the control pair\n"
    "         --tooth NAME    break one rule\n";

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A seed that failed is played again for the end of its story. */
static void show_failure(const struct run_options *options, const struct run_result *result)
{
    printf("seed %" PRIu64 " failed: %s\n", options->seed, result->failure);
    struct run_options again = *options;
    struct run_result same;
    again.story = STORY_TAIL;
    cluster_run(&again, &same);
    if (strcmp(same.failure, result->failure) != 0)
        printf("played again it ended differently: %s\n", same.failure[0] != '\0' ? same.failure : "it passed");
    printf("replay it: gemel-sim --seed %" PRIu64 "%s\n", options->seed, options->pair_only ? " --pair" : "");
}

static int play_seeds(const struct run_options *options, uint64_t base, size_t count)
{
    size_t failed = 0;
    struct run_result total = {0};
    double start_s = now_s();
    for (size_t i = 0; i < count; i++) {
        struct run_options one = *options;
        struct run_result result;
        one.seed = base + i;
        cluster_run(&one, &result);
        total.fault_count += result.fault_count;
        total.event_count += result.event_count;
        total.counts.acknowledged += result.counts.acknowledged;
        total.counts.solo += result.counts.solo;
        total.counts.leaderships += result.counts.leaderships;
        total.counts.spawns += result.counts.spawns;
        total.counts.answered += result.counts.answered;
        total.counts.failed += result.counts.failed;
        if (result.failure[0] == '\0')
            continue;
        if (failed++ < 3)
            show_failure(&one, &result);
        else
            printf("seed %" PRIu64 " failed: %s\n", one.seed, result.failure);
    }
    double took_s = now_s() - start_s;
    printf("%zu seeds, %zu failed; %.1f seeds/s, %.1f faults a seed, %.0f events a seed\n", count, failed,
           (double)count / took_s, (double)total.fault_count / (double)count,
           (double)total.event_count / (double)count);
    printf("operations acknowledged %" PRIu64 " (%" PRIu64 " by one host alone), leaderships %" PRIu64
           ", processes started %" PRIu64 ", queries answered %" PRIu64 ", ended with an error %" PRIu64 "\n",
           total.counts.acknowledged, total.counts.solo, total.counts.leaderships, total.counts.spawns,
           total.counts.answered, total.counts.failed);
    return failed > 0 ? 1 : 0;
}

static int play_story(const struct run_options *options)
{
    struct run_options one = *options;
    struct run_result result;
    one.story = STORY_PRINT;
    cluster_run(&one, &result);
    if (result.failure[0] == '\0')
        printf("seed %" PRIu64 ": every rule held; %zu faults, %" PRIu64 " events\n", one.seed, result.fault_count,
               result.event_count);
    else
        printf("seed %" PRIu64 " failed: %s\n", one.seed, result.failure);
    return result.failure[0] == '\0' ? 0 : 1;
}

/* Plays seeds with one rule broken until the judge speaks of that rule; another rule may be broken with it. */
static bool is_noticed(const struct run_options *options, enum tooth tooth, uint64_t base)
{
    for (uint64_t seed = base; seed < base + SEEDS_OF_A_TOOTH; seed++) {
        struct run_options one = *options;
        struct run_result result;
        one.tooth = tooth;
        one.seed = seed;
        cluster_run(&one, &result);
        if (result.failure[0] == '\0' || strstr(result.failure, teeth[tooth].sentence) == NULL)
            continue;
        printf("%-20s noticed, seed %" PRIu64 ": %s\n", teeth[tooth].word, seed, result.failure);
        return true;
    }
    printf("%-20s NOT noticed in %d seeds: %s\n", teeth[tooth].word, (int)SEEDS_OF_A_TOOTH, teeth[tooth].what);
    return false;
}

static int play_teeth(const struct run_options *options, uint64_t base)
{
    int missing = 0;
    for (size_t tooth = TOOTH_NONE + 1; tooth < COUNT_OF(teeth); tooth++)
        missing += !is_noticed(options, (enum tooth)tooth, base);
    printf("%zu rules broken on purpose, %d not noticed\n", COUNT_OF(teeth) - 1, missing);
    return missing > 0 ? 1 : 0;
}

static bool parse_tooth(const char *word, enum tooth *found)
{
    for (size_t tooth = 0; tooth < COUNT_OF(teeth); tooth++)
        if (strcmp(teeth[tooth].word, word) == 0) {
            *found = (enum tooth)tooth;
            return true;
        }
    return false;
}

static int refuse(const char *what, const char *word)
{
    fprintf(stderr, "gemel-sim: unknown %s '%s'; known are:\n", what, word);
    if (strcmp(what, "fault") == 0)
        faults_print_list();
    else
        for (size_t tooth = 0; tooth < COUNT_OF(teeth); tooth++)
            printf("  %-20s %s\n", teeth[tooth].word, teeth[tooth].what);
    return 2;
}

int main(int argc, char **argv)
{
    enum {
        SEEDS = 1,
        BASE,
        SEED,
        TEETH_ALL,
        FAULT_LIST,
        PAIR_ONLY,
        ONE_TOOTH,
        HELP
    };
    static const struct option options[] = {
        {"seeds", required_argument, NULL, SEEDS},
        {"base", required_argument, NULL, BASE},
        {"seed", required_argument, NULL, SEED},
        {"teeth", no_argument, NULL, TEETH_ALL},
        {"faults", required_argument, NULL, FAULT_LIST},
        {"pair", no_argument, NULL, PAIR_ONLY},
        {"tooth", required_argument, NULL, ONE_TOOTH},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    struct run_options run = {.faults = FAULTS_ALL, .story = STORY_SILENT};
    size_t seeds = 200;
    uint64_t base = 1;
    bool story = false;
    bool all_teeth = false;
    for (int option = 0; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == SEEDS)
            seeds = strtoull(optarg, NULL, 10);
        else if (option == BASE)
            base = strtoull(optarg, NULL, 10);
        else if (option == SEED)
            story = (run.seed = strtoull(optarg, NULL, 10), true);
        else if (option == TEETH_ALL)
            all_teeth = true;
        else if (option == PAIR_ONLY)
            run.pair_only = true;
        else if (option == FAULT_LIST && !faults_parse(optarg, &run.faults))
            return refuse("fault", optarg);
        else if (option == ONE_TOOTH && !parse_tooth(optarg, &run.tooth))
            return refuse("tooth", optarg);
        else if (option == HELP || option == '?') {
            fputs(usage, option == HELP ? stdout : stderr);
            return option == HELP ? 0 : 2;
        }
    }
    if (story)
        return play_story(&run);
    return all_teeth ? play_teeth(&run, base) : play_seeds(&run, base, seeds > 0 ? seeds : 1);
}
