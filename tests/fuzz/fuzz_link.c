/* Any bytes as what a peer sends on a link, raw and with the checksums that headers and bodies ask for: the link hands
 * out whole frames after one HELLO, or ends. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/bounds.h"
#include "common/base/crc32c.h"
#include "common/base/memory.h"
#include "common/net/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum {
    INPUT_BYTES_MAX = 64 * 1024, /* goes into the socket at once */
    OFFSET_BODY_SUM = 24,
    OFFSET_HEADER_SUM = 28
};

/* Listens while the fuzzer runs. */
static uv_loop_t loop;
static struct link_server *server;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static unsigned open_count;

static void on_open(void *owner, struct link *link)
{
    (void)owner;
    const char *name = link_peer(link)->name;
    ASSERT(name != NULL && strlen(name) < PROCESS_NAME_BYTES && link_peer_pid(link) == getpid());
    open_count++;
}

static void on_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    (void)owner;
    (void)link;
    ASSERT(open_count == 1 && crc32c(body, header->body_bytes) == header->body_crc32c);
}

static void on_close(void *owner, struct link *link, int reason, const char *why)
{
    (void)owner;
    (void)link;
    (void)reason;
    ASSERT(open_count == 1 && why != NULL);
    open_count--;
}

static void remove_socket(void)
{
    unlink(address.sun_path);
}

static void listen_once(void)
{
    static const struct link_handlers handlers = {.on_open = on_open, .on_frame = on_frame, .on_close = on_close};
    struct link_self self = {.kind = GEMEL__LINK_KIND__LINK_DAEMON, .name = "daemon@fuzz"};
    struct error error;
    char text[sizeof address.sun_path + 8];
    if (server != NULL)
        return;
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/gemel-fuzz-link-%d.sock", (int)getpid());
    snprintf(text, sizeof text, "unix:%s", address.sun_path);
    uv_loop_init(&loop);
    int result = link_listen(&server, &loop, text, &self, &handlers, NULL, &error);
    ASSERT(result == 0);
    atexit(remove_socket);
}

/* Sends it all, says that this was all, and runs the loop until the other side has closed. */
static void talk(const uint8_t *bytes, size_t size)
{
    uint8_t answer[4096];
    ssize_t got = -1;
    int buffer_bytes = 4 * INPUT_BYTES_MAX;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
    ASSERT(send(fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
    shutdown(fd, SHUT_WR);
    while (got != 0) {
        uv_run(&loop, UV_RUN_NOWAIT);
        got = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
        if (got < 0 && errno != EAGAIN)
            got = 0; /* reset */
    }
    close(fd);
    uv_run(&loop, UV_RUN_NOWAIT);
    ASSERT(open_count == 0);
}

static uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void put32(uint8_t *bytes, uint32_t value)
{
    for (size_t i = 0; i < sizeof value; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

/* Writes the checksums that no fuzzer guesses. */
static void seal(uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (size - at >= FRAME_HEADER_BYTES) {
        uint8_t *header = bytes + at;
        size_t body_bytes = get32(header + 4);
        at += FRAME_HEADER_BYTES;
        if (body_bytes <= size - at)
            put32(header + OFFSET_BODY_SUM, crc32c(bytes + at, body_bytes));
        put32(header + OFFSET_HEADER_SUM, crc32c(header, OFFSET_HEADER_SUM));
        if (body_bytes > size - at)
            return;
        at += body_bytes;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size > INPUT_BYTES_MAX)
        return 0;
    listen_once();
    talk(bytes, size);
    uint8_t *sealed = memory_alloc(size + 1);
    memcpy(sealed, bytes, size);
    seal(sealed, size);
    talk(sealed, size);
    memory_free(sealed);
    return 0;
}
