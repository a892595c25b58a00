/* What a plan and a command look at: each process once, with its layout, what is wanted and what was reported. Pure.
 * Made anew for each input; borrows the input and the layout. */
#ifndef GEMEL_PROCMGR_CORE_PICTURE_H
#define GEMEL_PROCMGR_CORE_PICTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/map.h"
#include "common/layout/model/layout.h"
#include "common/wire/gemel.pb-c.h"

struct picture_process {
    const char *name;
    const struct layout_process *layout;   /* NULL: not in the layout any more */
    const char *host;                      /* where it belongs; NULL with layout */
    const Gemel__WantedState *wanted;      /* NULL: never asked for */
    const Gemel__ProcessReport *observed;  /* at `host`; without layout anywhere; NULL: never reported */
    const Gemel__ProcessReport *elsewhere; /* a run on another host; NULL: none */
    const Gemel__Placement *placement;     /* NULL: none yet */
    UT_hash_handle hh;
};

struct picture {
    struct arena arena;
    const Gemel__PlanInput *input;
    const struct layout *layout;       /* NULL: none */
    struct picture_process *processes; /* the layout's in its order, then the others by name */
    size_t count;
    size_t layout_count; /* processes of the layout */
    struct picture_process *by_name;
};

/* Fills *picture (release with picture_fini). */
void picture_init(struct picture *picture, const Gemel__PlanInput *input, const struct layout *layout);
void picture_fini(struct picture *picture);

/* NULL when unknown. */
const struct picture_process *picture_find(const struct picture *picture, const char *name);

/* Has the daemon of the host told all its processes since this leadership began? */
bool picture_is_reported(const struct picture *picture, const char *host);

/* Stopped when never reported. */
Gemel__ProcessState picture_state(const struct picture_process *process);
bool picture_is_wanted(const struct picture_process *process);
/* Is there a process, or one that starts again by itself? */
bool picture_is_active(Gemel__ProcessState state);

/* Has it ended by itself since it was asked for, so that its restart policy keeps it down? */
bool picture_has_ended(const struct picture_process *process);

/* The operator's word. */
const char *picture_state_word(Gemel__ProcessState state);

#endif
