/* Asks the machine about host names, for the settings. Shell; may wait for DNS, so for start-up only. */
#ifndef GEMEL_LAYOUT_LOAD_HOST_LOOKUP_H
#define GEMEL_LAYOUT_LOAD_HOST_LOOKUP_H

#include <stdbool.h>

/* Does this machine have an address of `host`? Addresses in the network of a loopback interface count. */
bool host_is_local(const char *host);

/* Has `host` addresses, all of them loopback? */
bool host_is_loopback(const char *host);

#endif
