/* The layout of the simulated cluster, as values: DemoPipeline (tp, then rdb, then idb) and DefaultEntrypoint (gw), an
 * instance of each on each host. Pure. */
#ifndef GEMEL_TESTS_SIM_SIM_LAYOUT_H
#define GEMEL_TESTS_SIM_SIM_LAYOUT_H

#include "common/layout/model/layout.h"

enum {
    SIM_PORT_GW = 5010,
    SIM_PORT_TP = 6001, /* tp and rdb take any port and say which; it is always this one */
    SIM_PORT_RDB = 6002,
    SIM_PORT_IDB = 6003 /* by the layout: an open port says that it is ready */
};

/* Makes it (release with layout_destroy). */
struct layout *sim_layout_make(void);

#endif
