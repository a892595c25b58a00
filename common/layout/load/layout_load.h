/* YAML files -> layout: all mistakes of all files in one run, sorted by place.
 *
 * A file is known by its path below etc/: system.yaml, pipelines/NAME.yaml, tables/NAME.yaml, workflows/NAME.yaml.
 * A layout is loaded whole or not at all. Known keys of the original without a meaning here are warnings that say what
 * serves instead; a caller that is strict refuses when there are any. */
#ifndef GEMEL_LAYOUT_LOAD_LAYOUT_LOAD_H
#define GEMEL_LAYOUT_LOAD_LAYOUT_LOAD_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/layout/model/layout.h"

enum {
    LAYOUT_FILES_MAX = 4000
};

/* One file; the strings are borrowed. */
struct layout_file {
    const char *path; /* below etc/ */
    const char *content;
    size_t length;
};

/* The files of a folder; owns what it holds. */
struct layout_files {
    struct arena arena;
    struct layout_file *items; /* by path */
    size_t count;
};

/* Reads every layout file below `etc_dir` and nothing else. Returns 0 and fills *files (release with
 * layout_files_fini), or the first error with a mistake for each file that could not be read. */
int layout_files_read(struct layout_files *files, const char *etc_dir, struct error_list *mistakes,
                      struct error_list *warnings);
void layout_files_fini(struct layout_files *files);

/* Makes a layout of `count` files (borrowed for the call). Messages show a path as `prefix` (NULL: nothing), '/', path.
 * Returns 0 and the layout in *layout (release with layout_destroy), or -EINVAL with mistakes. */
int layout_load_files(struct layout **layout, const struct layout_file *files, size_t count, const char *prefix,
                      struct error_list *mistakes, struct error_list *warnings);

/* Both together; messages show paths below `etc_dir`. */
int layout_load_folder(struct layout **layout, const char *etc_dir, struct error_list *mistakes,
                       struct error_list *warnings);

#endif
