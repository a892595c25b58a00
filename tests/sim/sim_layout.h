/* The layout of the simulated cluster, as values: DemoPipeline (tp, then rdb, then idb) and DefaultEntrypoint (gw), an
 * instance of each on each host. Pure. */
#ifndef GEMEL_TESTS_SIM_SIM_LAYOUT_H
#define GEMEL_TESTS_SIM_SIM_LAYOUT_H

#include "common/layout/model/layout.h"

/* Makes it (release with layout_destroy). */
struct layout *sim_layout_make(void);

#endif
