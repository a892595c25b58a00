/* gemel-ipdb and gemel-epdb: they will write rows down to idb and hdb. This version does not; they run, are ready and
 * say so, so that a pipeline that names them starts whole. */
#include <stdio.h>

#include "worker/gemel.h"

int main(void)
{
    struct gemel_worker *worker = NULL;
    if (gemel_worker_open(&worker) != 0) {
        fprintf(stderr, "%s\n", gemel_error_text());
        return 125; /* starting again does not help */
    }
    gemel_worker_status(worker, "no write-down in this version");
    gemel_worker_ready(worker);
    int result = gemel_worker_run(worker);
    gemel_worker_close(&worker);
    return result == 0 ? 0 : 1;
}
