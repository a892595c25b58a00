#include "cli/transport.h"

#include <errno.h>
#include <string.h>

#include "common/base/assert.h"

enum {
    REQUEST_ARGUMENTS_MAX = 16,
    REQUEST_FILES_MAX = 2048 /* a revision of the largest layout */
};

void call_init(struct call *call, enum call_via via, const char *address, Gemel__AdminRequest *request,
               int64_t timeout_ms)
{
    *call = (struct call){.via = via, .request = request, .timeout_ms = timeout_ms, .result = -EINPROGRESS};
    (void)text_copy(call->address, sizeof call->address, address);
    report_init(&call->answer);
}

void call_fini(struct call *call)
{
    report_fini(&call->answer);
}

void call_take_part(struct call *call, const Gemel__AdminReply *part)
{
    report_take(&call->answer, part);
    if (part->redirect[0] != '\0')
        (void)text_copy(call->redirect, sizeof call->redirect, part->redirect);
}

Gemel__AdminRequest *request_new(struct arena *arena, const char *verb)
{
    Gemel__AdminRequest *request = arena_alloc(arena, sizeof *request);
    gemel__admin_request__init(request);
    request->verb = arena_strdup(arena, verb);
    return request;
}

void request_add(struct arena *arena, Gemel__AdminRequest *request, const char *name, const char *value)
{
    if (value == NULL)
        return;
    if (request->arguments == NULL)
        request->arguments = arena_alloc(arena, REQUEST_ARGUMENTS_MAX * sizeof *request->arguments);
    ASSERT(request->n_arguments < REQUEST_ARGUMENTS_MAX);
    Gemel__Argument *argument = arena_alloc(arena, sizeof *argument);
    gemel__argument__init(argument);
    argument->name = arena_strdup(arena, name);
    argument->value = arena_strdup(arena, value);
    request->arguments[request->n_arguments++] = argument;
}

void request_add_file(struct arena *arena, Gemel__AdminRequest *request, const char *path, const char *content)
{
    if (request->files == NULL)
        request->files = arena_alloc(arena, REQUEST_FILES_MAX * sizeof *request->files);
    ASSERT(request->n_files < REQUEST_FILES_MAX);
    Gemel__LayoutFile *file = arena_alloc(arena, sizeof *file);
    gemel__layout_file__init(file);
    file->path = arena_strdup(arena, path);
    file->content = arena_strdup(arena, content);
    request->files[request->n_files++] = file;
}
