#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/layout/load/layout_load.h"
#include "common/loop/clock.h"
#include "common/wire/wire.h"
#include "control/control_parts.h"

enum {
    MISTAKES_BYTES_MAX = 512 * 1024
};

/* ---- checks */

/* Do the files load? What does not goes to `text`, a line each. */
static int check_files(const struct layout_file *files, size_t count, bool strict, struct text *text)
{
    struct layout *layout = NULL;
    struct error_list mistakes = {0};
    struct error_list warnings = {0};
    int result = layout_load_files(&layout, files, count, NULL, &mistakes, &warnings);
    error_list_print(&mistakes, text);
    if (result == 0 && strict && warnings.count > 0) {
        error_list_print(&warnings, text);
        result = -EINVAL;
    }
    layout_destroy(&layout);
    error_list_fini(&mistakes);
    error_list_fini(&warnings);
    return result;
}

static bool is_same(const Gemel__OpRevision *one, const Gemel__OpRevision *other)
{
    if (one->n_files != other->n_files)
        return false;
    for (size_t i = 0; i < one->n_files; i++)
        if (strcmp(one->files[i]->path, other->files[i]->path) != 0 ||
            strcmp(one->files[i]->content, other->files[i]->content) != 0)
            return false;
    return true;
}

/* Proposes the revision and answers when it is acknowledged; the same again is done already. */
static void propose_revision(struct control *self, const struct asker *asker, Gemel__OpRevision *revision,
                             const char *author, struct arena *arena)
{
    uint64_t newest = state_revision(self->state);
    const Gemel__Op *current = state_find_revision(self->state, newest);
    if (current != NULL && is_same(current->revision, revision)) {
        control_reply(self, asker,
                      admin_reply_done(arena, "nothing has changed: revision %llu", (unsigned long long)newest));
        return;
    }
    Gemel__Op op = GEMEL__OP__INIT;
    op.wall_ns = (uint64_t)clock_wall_ns();
    op.author = arena_strdup(arena, author);
    op.body_case = GEMEL__OP__BODY_REVISION;
    op.revision = revision;
    const Gemel__Op *ops[] = {&op};
    control_request_log(self, asker, ops, 1,
                        admin_reply_done(arena, "applied %zu files by %s", revision->n_files, author), true);
}

void control_config_apply(struct control *self, const struct asker *asker, const Gemel__AdminRequest *request)
{
    struct arena arena;
    struct text text;
    arena_init(&arena);
    text_init(&text, MISTAKES_BYTES_MAX);
    struct layout_file *files = arena_alloc(&arena, (request->n_files + 1) * sizeof *files);
    for (size_t i = 0; i < request->n_files; i++)
        files[i] = (struct layout_file){.path = request->files[i]->path,
                                        .content = request->files[i]->content,
                                        .length = strlen(request->files[i]->content)};
    const char *comment = wire_argument(request, "comment");
    if (request->n_files == 0) {
        control_reply(self, asker, admin_reply_failed(&arena, ADMIN_USAGE, "no layout file was given"));
    } else if (check_files(files, request->n_files, wire_argument(request, "strict") != NULL, &text) != 0) {
        Gemel__AdminReply *reply = admin_reply_failed(
            &arena, ADMIN_FAILED,
            "the layouts have mistakes, the running configuration stays: correct them and apply again");
        reply->message = arena_strdup(&arena, text.data);
        control_reply(self, asker, reply);
    } else if (wire_argument(request, "dry-run") != NULL) {
        control_reply(self, asker,
                      admin_reply_done(&arena, "no mistakes: it would be revision %llu, nothing was applied",
                                       (unsigned long long)state_revision(self->state) + 1));
    } else {
        Gemel__OpRevision revision = GEMEL__OP_REVISION__INIT;
        revision.files = request->files;
        revision.n_files = request->n_files;
        revision.comment = arena_strdup(&arena, comment != NULL ? comment : "");
        propose_revision(self, asker, &revision, request->author, &arena);
    }
    text_fini(&text);
    arena_fini(&arena);
}

/* The revision that `--revision N` names, the newest without it; NULL when there is none. */
static const Gemel__Op *find_revision(const struct control *self, const Gemel__AdminRequest *request, uint64_t *number)
{
    const char *text = wire_argument(request, "revision");
    *number = text != NULL ? strtoull(text, NULL, 10) : state_revision(self->state);
    return state_find_revision(self->state, *number);
}

void control_config_rollback(struct control *self, const struct asker *asker, const Gemel__AdminRequest *request)
{
    uint64_t number = 0;
    struct arena arena;
    arena_init(&arena);
    const Gemel__Op *former = find_revision(self, request, &number);
    if (wire_argument(request, "revision") == NULL || former == NULL) {
        control_reply(
            self, asker,
            admin_reply_failed(&arena, ADMIN_USAGE,
                               "there is no such revision: gemel config --history lists those that are kept"));
    } else {
        Gemel__OpRevision revision = *former->revision;
        revision.comment = arena_printf(&arena, "back to revision %llu", (unsigned long long)number);
        propose_revision(self, asker, &revision, request->author, &arena);
    }
    arena_fini(&arena);
}

/* ---- views */

Gemel__AdminReply *control_config_show(struct control *self, const Gemel__AdminRequest *request, struct arena *arena)
{
    uint64_t number = 0;
    const Gemel__Op *op = find_revision(self, request, &number);
    if (op == NULL)
        return admin_reply_failed(arena, ADMIN_FAILED,
                                  "there is no such revision yet: gemel config --apply makes the first one");
    Gemel__AdminReply *reply = admin_reply_done(arena, "revision %llu of %s by %s %s", (unsigned long long)number,
                                                admin_date(arena, op->wall_ns), op->author, op->revision->comment);
    Gemel__Table *table = admin_reply_table(arena, reply, "files", "path content", op->revision->n_files);
    for (size_t i = 0; i < op->revision->n_files; i++) {
        const char *cells[] = {op->revision->files[i]->path, op->revision->files[i]->content};
        admin_reply_row(arena, table, cells);
    }
    return reply;
}

Gemel__AdminReply *control_config_history(struct control *self, struct arena *arena)
{
    size_t count = state_count(self->state, STATE_REVISION);
    const struct state_row **rows = state_sorted(self->state, STATE_REVISION, arena);
    Gemel__AdminReply *reply = admin_reply_create(arena);
    Gemel__Table *table = admin_reply_table(arena, reply, "revisions", "revision time author files comment", count);
    for (size_t i = 0; i < count; i++) {
        const Gemel__Op *op = (const Gemel__Op *)rows[i]->message;
        const char *cells[] = {admin_number(arena, strtoull(rows[i]->key, NULL, 10)), admin_date(arena, op->wall_ns),
                               op->author, admin_number(arena, op->revision->n_files), op->revision->comment};
        admin_reply_row(arena, table, cells);
    }
    return reply;
}

/* ---- the first start */

static void propose_first(struct control *self, const struct layout_files *files)
{
    struct arena arena;
    arena_init(&arena);
    Gemel__OpRevision revision = GEMEL__OP_REVISION__INIT;
    revision.comment = arena_strdup(&arena, "first start");
    revision.files = arena_alloc(&arena, (files->count + 1) * sizeof *revision.files);
    for (size_t i = 0; i < files->count; i++) {
        Gemel__LayoutFile *file = arena_alloc(&arena, sizeof *file);
        gemel__layout_file__init(file);
        file->path = arena_strdup(&arena, files->items[i].path);
        file->content = arena_strdup(&arena, files->items[i].content);
        revision.files[revision.n_files++] = file;
    }
    Gemel__Op op = GEMEL__OP__INIT;
    op.wall_ns = (uint64_t)clock_wall_ns();
    op.author = arena_printf(&arena, "control@%s", self->settings.host);
    op.body_case = GEMEL__OP__BODY_REVISION;
    op.revision = &revision;
    control_propose(self, &op, 0);
    arena_fini(&arena);
}

void control_config_first(struct control *self)
{
    char etc[HOME_PATH_BYTES];
    struct layout_files files = {0};
    struct error_list mistakes = {0};
    struct error_list warnings = {0};
    struct layout *layout = NULL;
    if (state_revision(self->state) != 0)
        return;
    home_path(&self->program->home, "etc", etc);
    int result = layout_files_read(&files, etc, &mistakes, &warnings);
    bool is_read = result == 0;
    if (is_read && files.count > 0)
        result = layout_load_files(&layout, files.items, files.count, etc, &mistakes, &warnings);
    for (size_t i = 0; i < mistakes.count; i++)
        log_error("%s:%u:%u: %s", mistakes.items[i].file, mistakes.items[i].line, mistakes.items[i].column,
                  mistakes.items[i].sentence);
    if (result != 0)
        log_error("The layouts of this host have mistakes and are not taken: correct them, then gemel config --apply");
    else if (files.count > 0)
        propose_first(self, &files);
    else
        log_info("There is no configuration yet: gemel config --apply makes the first revision");
    layout_destroy(&layout);
    if (is_read)
        layout_files_fini(&files);
    error_list_fini(&mistakes);
    error_list_fini(&warnings);
}
