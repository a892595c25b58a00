/* An example worker: answers each request with what was asked. Declare it in a pipeline's YAML as
 *
 *     processes:
 *       echo: { command: [gemel-example-worker], routable: true }
 *
 * and ask it with the example client: gemel-example-client Demo.echo.0 hello */
#include <stdio.h>

#include "worker/gemel.h"

/* Tiny, so it runs in the loop. A handler that may take long gets threads in gemel_worker_serve, and looks at
 * gemel_call_cancelled now and then. */
static void echo(void *data, struct gemel_call *call)
{
    unsigned long *count = data;
    size_t size = 0;
    const uint8_t *payload = gemel_call_payload(call, &size);
    (*count)++;
    gemel_call_reply(call, payload, size);
}

struct reporter {
    struct gemel_worker *worker;
    unsigned long count;
};

static void report(void *data)
{
    struct reporter *reporter = data;
    gemel_worker_status(reporter->worker, "%lu requests answered", reporter->count);
}

int main(void)
{
    struct reporter reporter = {0};
    int result = gemel_worker_open(&reporter.worker);
    if (result == 0)
        result = gemel_worker_serve(reporter.worker, echo, &reporter.count, 0);
    if (result != 0) {
        fprintf(stderr, "cannot serve: %s\n", gemel_error_text());
        gemel_worker_close(&reporter.worker);
        return 1;
    }
    gemel_worker_timer(reporter.worker, 1000, 1000, report, &reporter);
    gemel_worker_ready(reporter.worker);
    result = gemel_worker_run(reporter.worker);
    gemel_worker_close(&reporter.worker);
    return result == 0 ? 0 : 1;
}
