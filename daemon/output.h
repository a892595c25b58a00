/* What a process writes to its stdout and stderr: a FIFO that it holds open for reading and writing, and the log file
 * that the daemon appends it to. Shell only, loop's thread.
 *
 * One FIFO for both streams: lines stay in the order in which they were written, a host with hundreds of processes has
 * half the pipes, and what a process said last stands together in its last words, wherever it said it.
 * The process's end is open for reading too, so that a restart of the daemon is neither SIGPIPE nor a lost line; the
 * daemon's end is open for writing too, so that it never reads an end of file that wakes it for ever.
 * The process's end carries a flock: as long as anybody of a run lives and holds it, no second run gets one. */
#ifndef GEMEL_DAEMON_OUTPUT_H
#define GEMEL_DAEMON_OUTPUT_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/error.h"
#include "common/base/text.h"

enum {
    OUTPUT_PIPE_BYTES = 1024 * 1024,        /* what a process may write while no daemon reads */
    OUTPUT_TURN_BYTES = 256 * 1024,         /* read from one process in one turn of the loop: a flood starves nobody */
    OUTPUT_LAST_WORDS_BYTES = 64 * 1024,    /* kept of the end of a run */
    OUTPUT_LOG_BYTES_MAX = 64 * 1024 * 1024 /* then NAME.log becomes NAME.log.1; two files bound the disk */
};

struct output;

/* Makes the FIFO if need be, opens both files (paths are copied) and reads from now on. Returned in *output (release
 * with output_destroy). Returns 0 or a negative errno with a sentence. */
int output_create(struct output **output, uv_loop_t *loop, const char *fifo_path, const char *log_path,
                  struct error *error);
/* Takes up what is in the pipe and closes. NULL inside is allowed. */
void output_destroy(struct output **output);

/* Opens the process's end and locks it. Returns the descriptor (close-on-exec, the caller closes it); -EBUSY while
 * somebody of an earlier run holds it; another negative errno. */
int output_open_writer(struct output *output);

/* The run has ended: what is in the pipe now is the last of it. Cheap. */
void output_mark_end(struct output *output);

/* Appends what is left of the marked run to the log, and the end of what the run wrote to `words`. */
void output_take_end(struct output *output, struct text *words);

/* Bytes that could not be written to the log. */
uint64_t output_lost_bytes(const struct output *output);

#endif
