#include "common/layout/load/layout_load.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/memory.h"
#include "common/layout/load/draft.h"
#include "common/layout/load/file_read.h"
#include "common/layout/model/near.h"
#include "common/yaml/tree.h"

enum {
    PATH_BYTES_MAX = 200 /* of a layout file below etc/ */
};

/* The kinds of file, by their place below etc/. */
enum file_kind {
    FILE_SYSTEM,
    FILE_PIPELINE,
    FILE_TABLE,
    FILE_WORKFLOW,
    FILE_KINDS
};

static const struct {
    const char *folder; /* "": the file itself is named */
    const char *key;    /* the one key of the document */
} file_kinds[FILE_KINDS] = {
    [FILE_SYSTEM] = {"", "system"},
    [FILE_PIPELINE] = {"pipelines", "pipeline"},
    [FILE_TABLE] = {"tables", "table"},
    [FILE_WORKFLOW] = {"workflows", "workflow"},
};

static bool has_yaml_ending(const char *name)
{
    size_t length = strlen(name);
    return length > 5 && strcmp(name + length - 5, ".yaml") == 0;
}

/* FILE_KINDS: the path is none of a layout's. */
static enum file_kind kind_of(const char *path)
{
    if (strcmp(path, "system.yaml") == 0)
        return FILE_SYSTEM;
    const char *slash = strchr(path, '/');
    if (slash == NULL || strchr(slash + 1, '/') != NULL || slash[1] == '.' || !has_yaml_ending(slash + 1) ||
        strlen(path) > PATH_BYTES_MAX)
        return FILE_KINDS;
    for (int i = FILE_PIPELINE; i < FILE_KINDS; i++) {
        size_t length = strlen(file_kinds[i].folder);
        if (length == (size_t)(slash - path) && memcmp(path, file_kinds[i].folder, length) == 0)
            return (enum file_kind)i;
    }
    return FILE_KINDS;
}

/* ---- files into drafts ---- */

static void read_value(struct reader *reader, enum file_kind kind, const struct tree_node *value, struct draft *draft)
{
    switch (kind) {
    case FILE_SYSTEM:
        draft_read_system(reader, value, &draft->system);
        break;
    case FILE_PIPELINE: {
        struct draft_pipeline *pipeline = &draft->pipelines[draft->pipeline_count];
        draft_read_pipeline(reader, value, pipeline);
        draft->pipeline_count += pipeline->pipeline.name.text != NULL ? 1 : 0;
        break;
    }
    case FILE_TABLE: {
        struct layout_table *table = &draft->tables[draft->table_count];
        draft_read_table(reader, value, table);
        draft->table_count += table->name.text != NULL ? 1 : 0;
        break;
    }
    case FILE_WORKFLOW: {
        struct layout_workflow *workflow = &draft->workflows[draft->workflow_count];
        draft_read_workflow(reader, value, workflow);
        draft->workflow_count += workflow->name.text != NULL ? 1 : 0;
        break;
    }
    case FILE_KINDS:
        break;
    }
}

/* The document is a map with the kind's one key. */
static void read_document(struct reader *reader, enum file_kind kind, const struct tree_node *root, struct draft *draft)
{
    const char *wanted = file_kinds[kind].key;
    struct layout_place place = reader_place(reader, root->line, root->column);
    const struct tree_node *value = tree_find(root, wanted);
    for (size_t i = 0; root->kind == TREE_MAP && i < root->count; i++) {
        struct near near;
        char hint[NEAR_HINT_BYTES];
        const struct tree_entry *entry = &root->entries[i];
        near_init(&near, entry->key);
        near_offer(&near, wanted);
        if (strcmp(entry->key, wanted) != 0)
            reader_refuse_at(reader, reader_place(reader, entry->line, entry->column),
                             "unknown key of the file, which holds '%s:'%s, got '%s'", wanted, near_hint(&near, hint),
                             entry->key);
    }
    if (value != NULL)
        read_value(reader, kind, value, draft);
    else if (root->kind != TREE_MAP || root->count == 0)
        reader_refuse_at(reader, place, "the file must hold '%s:', got '%s'", wanted, tree_show(root));
}

static void read_file(struct reader *reader, const struct layout_file *file, struct draft *draft)
{
    struct tree tree;
    enum file_kind kind = kind_of(file->path);
    if (kind == FILE_KINDS) {
        reader_refuse_at(
            reader, (struct layout_place){.file = reader->file},
            "not a layout file: these are system.yaml and pipelines/, tables/, workflows/ *.yaml, got '%s'",
            file->path);
        return;
    }
    draft->system_given = draft->system_given || kind == FILE_SYSTEM;
    size_t before = reader->mistakes->count + reader->mistakes->dropped;
    int result = tree_parse(&tree, reader->file, file->content, file->length, reader->mistakes);
    reader->mistake_count += reader->mistakes->count + reader->mistakes->dropped - before;
    if (result < 0)
        return;
    read_document(reader, kind, tree.root, draft);
    tree_fini(&tree);
}

/* ---- drafts into a layout ---- */

/* By name, then by place, so that of two equals the later is the double. */
static int compare_names(const struct layout_text *one, const struct layout_text *other)
{
    int order = strcmp(one->text, other->text);
    return order != 0 ? order : strcmp(one->place.file, other->place.file);
}

static int by_pipeline(const void *left, const void *right)
{
    return compare_names(&((const struct draft_pipeline *)left)->pipeline.name,
                         &((const struct draft_pipeline *)right)->pipeline.name);
}

static int by_table(const void *left, const void *right)
{
    return compare_names(&((const struct layout_table *)left)->name, &((const struct layout_table *)right)->name);
}

static int by_workflow(const void *left, const void *right)
{
    return compare_names(&((const struct layout_workflow *)left)->name, &((const struct layout_workflow *)right)->name);
}

static void sort_draft(struct draft *draft)
{
    qsort(draft->pipelines, draft->pipeline_count, sizeof *draft->pipelines, by_pipeline);
    qsort(draft->tables, draft->table_count, sizeof *draft->tables, by_table);
    qsort(draft->workflows, draft->workflow_count, sizeof *draft->workflows, by_workflow);
}

static const char *show_path(struct arena *arena, const char *prefix, const char *path)
{
    if (prefix == NULL || prefix[0] == '\0')
        return arena_strdup(arena, path);
    size_t length = strlen(prefix);
    return arena_printf(arena, "%s%s%s", prefix, prefix[length - 1] == '/' ? "" : "/", path);
}

int layout_load_files(struct layout **layout, const struct layout_file *files, size_t count, const char *prefix,
                      struct error_list *mistakes, struct error_list *warnings)
{
    struct layout *made = memory_alloc(sizeof *made);
    arena_init(&made->arena);
    struct reader reader = {.arena = &made->arena, .mistakes = mistakes, .warnings = warnings};
    struct draft draft = {
        .pipelines = arena_alloc(&made->arena, (count + 1) * sizeof *draft.pipelines),
        .tables = arena_alloc(&made->arena, (count + 1) * sizeof *draft.tables),
        .workflows = arena_alloc(&made->arena, (count + 1) * sizeof *draft.workflows),
    };
    for (size_t i = 0; i < count; i++) {
        reader.file = show_path(&made->arena, prefix, files[i].path);
        read_file(&reader, &files[i], &draft);
    }
    sort_draft(&draft);
    reader.file = show_path(&made->arena, prefix, "system.yaml");
    draft_check(&reader, &draft, made);
    error_list_sort(mistakes);
    error_list_sort(warnings);
    if (reader.mistake_count > 0) {
        layout_destroy(&made);
        return -EINVAL;
    }
    *layout = made;
    return 0;
}

/* ---- folders ---- */

static int keep_yaml(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int read_one(struct layout_files *files, const char *etc_dir, const char *path, struct error_list *mistakes)
{
    char *content = NULL;
    size_t length = 0;
    struct error error;
    const char *full = show_path(&files->arena, etc_dir, path);
    int result = file_read(full, LAYOUT_FILE_BYTES_MAX, &content, &length, &error);
    if (result < 0) {
        error_list_add(mistakes, result, error.file, 0, 0, "%s", error.sentence);
        return result;
    }
    struct layout_file *file = &files->items[files->count++];
    file->path = arena_strdup(&files->arena, path);
    file->content = arena_copy(&files->arena, content, length);
    file->length = length;
    memory_free(content);
    return 0;
}

/* A folder that is not there has no files. */
static int read_folder(struct layout_files *files, const char *etc_dir, const char *folder, struct error_list *mistakes,
                       struct error_list *warnings)
{
    struct dirent **entries = NULL;
    const char *full = show_path(&files->arena, etc_dir, folder);
    int result = 0;
    int count = scandir(full, &entries, keep_yaml, alphasort);
    if (count < 0 && errno == ENOENT)
        return 0;
    if (count < 0) {
        result = -errno;
        error_list_add(mistakes, result, full, 0, 0, "cannot read the folder: %s", strerror(errno));
        return result;
    }
    for (int i = 0; i < count; i++) {
        const char *path = arena_printf(&files->arena, "%s/%s", folder, entries[i]->d_name);
        int one = 0;
        if (kind_of(path) == FILE_KINDS)
            error_list_add(warnings, -EINVAL, show_path(&files->arena, etc_dir, path), 0, 0,
                           "the file is not read: its name does not end in .yaml");
        else if (files->count == LAYOUT_FILES_MAX)
            one = -EFBIG;
        else
            one = read_one(files, etc_dir, path, mistakes);
        result = result == 0 ? one : result;
        free(entries[i]);
    }
    free(entries);
    if (result == -EFBIG && files->count == LAYOUT_FILES_MAX)
        error_list_add(mistakes, -EFBIG, full, 0, 0, "a layout has at most %d files", LAYOUT_FILES_MAX);
    return result;
}

int layout_files_read(struct layout_files *files, const char *etc_dir, struct error_list *mistakes,
                      struct error_list *warnings)
{
    struct layout_files found = {0};
    arena_init(&found.arena);
    found.items = arena_alloc(&found.arena, (LAYOUT_FILES_MAX + 1) * sizeof *found.items);
    int result = 0;
    for (int i = FILE_PIPELINE; i < FILE_KINDS; i++) {
        int one = read_folder(&found, etc_dir, file_kinds[i].folder, mistakes, warnings);
        /* In the order of paths: system.yaml stands between pipelines/ and tables/. */
        if (one == 0 && i == FILE_PIPELINE && found.count < LAYOUT_FILES_MAX)
            one = read_one(&found, etc_dir, "system.yaml", mistakes);
        result = result == 0 ? one : result;
    }
    error_list_sort(mistakes);
    if (result < 0)
        layout_files_fini(&found);
    else
        *files = found;
    return result;
}

void layout_files_fini(struct layout_files *files)
{
    arena_fini(&files->arena);
    files->items = NULL;
    files->count = 0;
}

int layout_load_folder(struct layout **layout, const char *etc_dir, struct error_list *mistakes,
                       struct error_list *warnings)
{
    struct layout_files files;
    int result = layout_files_read(&files, etc_dir, mistakes, warnings);
    if (result < 0)
        return result;
    result = layout_load_files(layout, files.items, files.count, etc_dir, mistakes, warnings);
    layout_files_fini(&files);
    return result;
}
