#include "common/net/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_unix(const char *path, struct endpoint *endpoint, struct error *error)
{
    if (path[0] != '/')
        return error_set(error, -EINVAL, "a Unix address is unix:/path with an absolute path, got 'unix:%s'", path);
    if (!text_copy(endpoint->path, sizeof endpoint->path, path))
        return error_set(error, -ENAMETOOLONG, "the socket path %s is longer than %zu bytes; use a shorter home folder",
                         path, sizeof endpoint->path - 1);
    endpoint->is_unix = true;
    return 0;
}

static bool is_port(const char *port)
{
    size_t length = strspn(port, "0123456789");
    return length > 0 && length <= 5 && port[length] == '\0' && strtoul(port, NULL, 10) <= 65535;
}

/* Fills in `address` when the host is a number. */
static void read_number(struct endpoint *endpoint)
{
    in_port_t port = htons((uint16_t)strtoul(endpoint->port, NULL, 10));
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = port};
    if (inet_pton(AF_INET, endpoint->host, &four.sin_addr) == 1) {
        memcpy(&endpoint->address, &four, sizeof four);
        endpoint->is_numeric = true;
    } else if (inet_pton(AF_INET6, endpoint->host, &six.sin6_addr) == 1) {
        memcpy(&endpoint->address, &six, sizeof six);
        endpoint->is_numeric = true;
    }
}

int endpoint_parse(const char *text, struct endpoint *endpoint, struct error *error)
{
    struct endpoint parsed = {0};
    if (strncmp(text, "unix:", 5) == 0) {
        int result = parse_unix(text + 5, &parsed, error);
        if (result == 0)
            *endpoint = parsed;
        return result;
    }
    const char *colon = strrchr(text, ':');
    size_t host_bytes = colon != NULL ? (size_t)(colon - text) : 0;
    bool brackets = host_bytes > 2 && text[0] == '[' && text[host_bytes - 1] == ']';
    const char *host = brackets ? text + 1 : text;
    if (brackets)
        host_bytes -= 2;
    if (host_bytes == 0 || host_bytes >= sizeof parsed.host || !is_port(colon + 1) ||
        (!brackets && memchr(host, ':', host_bytes) != NULL))
        return error_set(error, -EINVAL, "an address is host:port or unix:/path, got '%s'", text);
    memcpy(parsed.host, host, host_bytes);
    text_copy(parsed.port, sizeof parsed.port, colon + 1);
    read_number(&parsed);
    *endpoint = parsed;
    return 0;
}

int endpoint_check_loopback(const char *text, const struct sockaddr *address, struct error *error)
{
    bool loopback = false;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, address, sizeof four);
        loopback = ntohl(four.sin_addr.s_addr) >> 24 == 127;
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 six;
        memcpy(&six, address, sizeof six);
        loopback = IN6_IS_ADDR_LOOPBACK(&six.sin6_addr);
    }
    if (loopback)
        return 0;
    return error_set(error, -EPERM,
                     "%s is not a loopback address and links have no TLS in this version; use an address in "
                     "127.0.0.0/8",
                     text);
}

void endpoint_format(const struct sockaddr *address, char *target, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 six;
        memcpy(&six, address, sizeof six);
        inet_ntop(AF_INET6, &six.sin6_addr, host, sizeof host);
        snprintf(target, size, "[%s]:%u", host, ntohs(six.sin6_port));
        return;
    }
    struct sockaddr_in four;
    memcpy(&four, address, sizeof four);
    inet_ntop(AF_INET, &four.sin_addr, host, sizeof host);
    snprintf(target, size, "%s:%u", host, ntohs(four.sin_port));
}
