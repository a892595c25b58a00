/* Every bound that more than one room shares, with its unit and its reason. Bounds of one room stand in its header. */
#ifndef GEMEL_BASE_BOUNDS_H
#define GEMEL_BASE_BOUNDS_H

enum {
    /* Names: long enough for people, short enough for a table of 80 columns, a path and a socket address. */
    PIPELINE_NAME_BYTES = 64,
    TYPE_NAME_BYTES = 32,
    PROCESS_NAME_BYTES = 128, /* pipeline + '.' + 6 digits + '.' + type + '.' + 6 digits */
    HOST_NAME_BYTES = 256,    /* a DNS name has at most 253 */
    ADDRESS_BYTES = 272,      /* host ':' port */

    /* A layout: what two hosts with hundreds of processes need, tenfold. */
    PIPELINES_MAX = 1000,
    INSTANCES_MAX = 64,    /* instances of one pipeline */
    PROCESSES_MAX = 10000, /* processes known to one cluster */
    HOSTS_MAX = 64,        /* hosts of one cluster */
    LAYOUT_FILE_BYTES_MAX = 1024 * 1024,
    REVISION_BYTES_MAX = 8 * 1024 * 1024, /* all files of one configuration revision */

    /* Messages. A control-plane message holds a whole revision or a report of every process. */
    MESSAGE_BYTES_MAX = 16 * 1024 * 1024,
    FRAME_BODY_BYTES_MAX = 16 * 1024 * 1024,
    MESSAGE_QUEUE_MAX = 10000 /* messages queued to one peer before the link counts as broken */
};

#endif
