/* Asking programs: requests go out together, each has its own time, answers are gathered. Shell.
 *
 * `struct transport` is the seam between commands and the wire: tests put a fake behind it. */
#ifndef GEMEL_CLI_TRANSPORT_H
#define GEMEL_CLI_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/report.h"
#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/wire/gemel.pb-c.h"

enum {
    TRANSPORT_CALLS_MAX = 128 /* controls, daemons and gateways of one cluster */
};

enum call_via {
    CALL_PLANE, /* controls and daemons */
    CALL_LINK   /* gateways, by ADMIN frames */
};

struct call {
    enum call_via via;
    char address[ADDRESS_BYTES];
    Gemel__AdminRequest *request; /* borrowed */
    int64_t timeout_ms;
    /* Filled in: */
    int result;                    /* 0: answered; negative errno: not reached, -ETIMEDOUT: in time; error says why */
    struct error error;            /* when result is not 0 */
    struct report answer;          /* all parts of the answer */
    char peer[PROCESS_NAME_BYTES]; /* who answered, in its own words; only over a link */
    char redirect[ADDRESS_BYTES];  /* host of the leader, when the receiver cannot forward */
};

struct transport {
    void (*run)(void *owner, struct call *calls, size_t count); /* returns when every call has its result */
    void *owner;
};

/* Prepares a call; release with call_fini. */
void call_init(struct call *call, enum call_via via, const char *address, Gemel__AdminRequest *request,
               int64_t timeout_ms);
void call_fini(struct call *call);

/* Takes one part of an answer (borrowed, copied). */
void call_take_part(struct call *call, const Gemel__AdminReply *part);

/* Requests are built in an arena that outlives the call. */
Gemel__AdminRequest *request_new(struct arena *arena, const char *verb);
/* Adds an argument; a value NULL adds nothing. */
void request_add(struct arena *arena, Gemel__AdminRequest *request, const char *name, const char *value);
void request_add_file(struct arena *arena, Gemel__AdminRequest *request, const char *path, const char *content);

#endif
