#include "common/layout/load/host_lookup.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

/* Unaligned-safe views of the one of many sockaddr types that the kernel or the resolver handed out. */
static struct in_addr address_v4(const struct sockaddr *address)
{
    struct sockaddr_in copy;
    memcpy(&copy, address, sizeof copy);
    return copy.sin_addr;
}

static struct in6_addr address_v6(const struct sockaddr *address)
{
    struct sockaddr_in6 copy;
    memcpy(&copy, address, sizeof copy);
    return copy.sin6_addr;
}

/* 127.0.0.2 is on no interface by itself: it is local because lo has 127.0.0.1/8. Binding to find out would say yes to
 * every address where ip_nonlocal_bind is set, as it is beside a floating address. */
static bool is_on_interface(const struct sockaddr *address, const struct ifaddrs *interface)
{
    if (interface->ifa_addr == NULL || interface->ifa_addr->sa_family != address->sa_family)
        return false;
    if (address->sa_family == AF_INET6) {
        struct in6_addr wanted = address_v6(address);
        struct in6_addr has = address_v6(interface->ifa_addr);
        return memcmp(&wanted, &has, sizeof has) == 0;
    }
    in_addr_t wanted = address_v4(address).s_addr;
    in_addr_t has = address_v4(interface->ifa_addr).s_addr;
    if (wanted == has)
        return true;
    if ((interface->ifa_flags & IFF_LOOPBACK) == 0 || interface->ifa_netmask == NULL)
        return false;
    in_addr_t mask = address_v4(interface->ifa_netmask).s_addr;
    return (wanted & mask) == (has & mask);
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(address_v4(address).s_addr) >> 24 == 127;
    struct in6_addr wanted = address_v6(address);
    return IN6_IS_ADDR_LOOPBACK(&wanted);
}

static struct addrinfo *resolve(const char *host)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    return getaddrinfo(host, NULL, &hints, &found) == 0 ? found : NULL;
}

bool host_is_local(const char *host)
{
    struct ifaddrs *interfaces = NULL;
    struct addrinfo *addresses = resolve(host);
    bool local = false;
    if (addresses == NULL || getifaddrs(&interfaces) < 0)
        goto out;
    for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next)
        for (const struct ifaddrs *interface = interfaces; interface != NULL; interface = interface->ifa_next)
            local = local || is_on_interface(address->ai_addr, interface);
out:
    if (interfaces != NULL)
        freeifaddrs(interfaces);
    if (addresses != NULL)
        freeaddrinfo(addresses);
    return local;
}

bool host_is_loopback(const char *host)
{
    struct addrinfo *addresses = resolve(host);
    bool loopback = addresses != NULL;
    for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next)
        loopback = loopback && is_loopback(address->ai_addr);
    if (addresses != NULL)
        freeaddrinfo(addresses);
    return loopback;
}
