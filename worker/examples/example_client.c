/* An example client: SQL to a pipeline, or bytes to a worker, through the gateways in GEMEL_GATEWAYS.
 *
 *     GEMEL_GATEWAYS=127.0.0.1:5010,127.0.0.2:5010 gemel-example-client DemoPipeline "select count(*) from DemoTable"
 *     GEMEL_GATEWAYS=... gemel-example-client Demo.echo.0 hello */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "worker/gemel.h"

static void print_cell(struct gemel_value cell)
{
    if (cell.kind == GEMEL_INTEGER)
        printf("%" PRId64, cell.integer);
    else if (cell.kind == GEMEL_REAL)
        printf("%g", cell.real);
    else
        printf("%.*s", (int)cell.size, cell.size > 0 ? (const char *)cell.bytes : "");
}

static int ask_sql(struct gemel_client *client, const char *pipeline, const char *sql)
{
    struct gemel_result *result = NULL;
    int code = gemel_query(client, pipeline, sql, 0, &result);
    if (code != 0)
        return code;
    for (uint32_t row = 0; row < gemel_result_rows(result); row++)
        for (uint32_t column = 0; column < gemel_result_columns(result); column++) {
            print_cell(gemel_result_cell(result, row, column));
            printf(column + 1 < gemel_result_columns(result) ? "\t" : "\n");
        }
    gemel_result_free(result);
    return 0;
}

static int ask_bytes(struct gemel_client *client, const char *target, const char *words)
{
    uint8_t *answer = NULL;
    size_t size = 0;
    int code = gemel_request(client, target, words, strlen(words), 0, &answer, &size);
    if (code == 0)
        printf("%.*s\n", (int)size, (const char *)answer);
    gemel_free(answer);
    return code;
}

int main(int argc, char **argv)
{
    struct gemel_client *client = NULL;
    if (argc != 3) {
        fprintf(stderr, "usage: gemel-example-client PIPELINE SQL | PIPELINE.TYPE.INDEX WORDS\n");
        return 2;
    }
    int code = gemel_client_open(&client, NULL);
    if (code == 0)
        code = strchr(argv[1], '.') == NULL ? ask_sql(client, argv[1], argv[2]) : ask_bytes(client, argv[1], argv[2]);
    if (code != 0)
        fprintf(stderr, "%s\n", gemel_error_text());
    gemel_client_close(&client);
    return code == 0 ? 0 : 1;
}
