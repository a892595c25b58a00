/* Addresses of the data plane as text: `host:port`, `[v6]:port`, `unix:/path`. Shell only (it may ask the resolver).
 * Values belong to the caller. */
#ifndef GEMEL_NET_ENDPOINT_H
#define GEMEL_NET_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/base/bounds.h"
#include "common/base/error.h"

struct endpoint {
    bool is_unix;
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* is_unix */
    char host[HOST_NAME_BYTES];                           /* !is_unix: a name or a number, without brackets */
    char port[6];                                         /* !is_unix: decimal, 0 to 65535 */
    bool is_numeric;                                      /* `address` is filled in: no resolver is needed */
    struct sockaddr_storage address;
};

/* Takes the text apart. Returns 0; -EINVAL with a sentence when it is no address; -ENAMETOOLONG for a Unix path that
 * does not fit into a socket address. */
int endpoint_parse(const char *text, struct endpoint *endpoint, struct error *error);

/* May a link without TLS go there? Returns 0, or -EPERM with a sentence when the address is not loopback. */
int endpoint_check_loopback(const char *text, const struct sockaddr *address, struct error *error);

/* Writes `host:port` of a TCP address, a v6 host in brackets. */
void endpoint_format(const struct sockaddr *address, char *target, size_t size);

#endif
