/* Any bytes as each kind of layout file, beside a good system.yaml: a layout is loaded or there is a mistake, at a
 * place within the file. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/layout/load/layout_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum {
    FILES_MAX = 6
};

/* When there is none among them. */
static const char good_system[] = "system:\n  layout:\n    - {name: primary-server, nodes: [{host: 127.0.0.1}]}\n"
                                  "    - {name: secondary-server, nodes: [{host: 127.0.0.2}]}\n";

static void load(const struct layout_file *files, size_t count)
{
    struct layout *layout = NULL;
    struct error_list mistakes = {0};
    struct error_list warnings = {0};
    int result = layout_load_files(&layout, files, count, "etc", &mistakes, &warnings);
    ASSERT((result == 0) == (layout != NULL) && (result == 0) == (mistakes.count == 0));
    struct text text;
    text_init(&text, ERROR_LIST_MAX * sizeof(struct error));
    error_list_print(&mistakes, &text);
    error_list_print(&warnings, &text);
    text_fini(&text);
    layout_destroy(&layout);
    error_list_fini(&mistakes);
    error_list_fini(&warnings);
}

/* The kind of a file is told by the word that a line begins with. */
static const char *folder_of(const char *content, size_t length)
{
    static const struct {
        const char *word;
        const char *folder;
    } kinds[] = {{"workflow:", "workflows/"}, {"table:", "tables/"}, {"system:", NULL}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const char *word = memmem(content, length, kinds[i].word, strlen(kinds[i].word));
        if (word != NULL && (word == content || word[-1] == '\n'))
            return kinds[i].folder;
    }
    return "pipelines/";
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *at = (const char *)bytes;
    const char *end = at + size;
    struct layout_file files[FILES_MAX] = {
        {.path = "system.yaml", .content = good_system, .length = strlen(good_system)}};
    char paths[FILES_MAX][32];
    size_t count = 1;
    while (at < end && count < FILES_MAX) {
        const char *cut = memchr(at, '\f', (size_t)(end - at));
        struct layout_file file = {.path = "system.yaml", .content = at};
        file.length = (size_t)((cut != NULL ? cut : end) - at);
        at += file.length + 1;
        const char *folder = folder_of(file.content, file.length);
        if (folder == NULL) {
            files[0] = file;
            continue;
        }
        snprintf(paths[count], sizeof paths[count], "%sF%zu.yaml", folder, count);
        file.path = paths[count];
        files[count++] = file;
    }
    load(files, count);
    return 0;
}
