#include "daemon/daemon_links.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/bounds.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/net/link.h"
#include "daemon/core/daemon_core.h"

enum {
    NAME_BYTES = 160,
    PATH_BYTES = 512
};

/* One link. */
struct session {
    struct daemon_links *links;
    struct link *link;
    uint64_t number;
    char name[PROCESS_NAME_BYTES]; /* empty: nobody that is supervised */
    bool is_control;
    UT_hash_handle hh;      /* by number */
    UT_hash_handle hh_name; /* by name, the newest */
};

struct daemon_links {
    struct link_server *server;
    struct daemon_links_handlers handlers;
    void *owner;
    char name[NAME_BYTES];
    char path[PATH_BYTES];
    struct session *sessions;
    struct session *by_name;
    uint64_t next_number;
};

static struct session *find_by_name(struct daemon_links *links, const char *name)
{
    struct session *session = NULL;
    HASH_FIND(hh_name, links->by_name, name, strlen(name), session);
    return session;
}

static void forget_name(struct session *session)
{
    if (find_by_name(session->links, session->name) == session)
        HASH_DELETE(hh_name, session->links->by_name, session);
}

/* Only who runs as we do may say that it is the control: a process of another user could have us start a second one. */
static bool runs_as_we_do(int32_t pid)
{
    char path[PATH_BYTES];
    struct stat found;
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    return pid > 0 && stat(path, &found) == 0 && (found.st_uid == geteuid() || found.st_uid == 0);
}

static void name_session(struct session *session)
{
    struct daemon_links *links = session->links;
    const Gemel__LinkHello *hello = link_peer(session->link);
    int32_t pid = link_peer_pid(session->link);
    bool is_control = hello->kind == GEMEL__LINK_KIND__LINK_CONTROL;
    const char *name = is_control ? DAEMON_CONTROL : hello->name;
    bool is_supervised =
        is_control ? runs_as_we_do(pid)
                   : hello->kind == GEMEL__LINK_KIND__LINK_PROCESS || hello->kind == GEMEL__LINK_KIND__LINK_GATEWAY;
    struct token token = {.placement = hello->placement, .start = hello->start};
    if (!is_supervised || strlen(name) >= sizeof session->name ||
        !links->handlers.on_linked(links->owner, name, pid, token))
        return;
    struct session *before = find_by_name(links, name);
    if (before != NULL) {
        forget_name(before);
        before->name[0] = '\0';
    }
    text_copy(session->name, sizeof session->name, name);
    session->is_control = is_control;
    HASH_ADD_KEYPTR(hh_name, links->by_name, session->name, strlen(session->name), session);
}

static void on_open(void *owner, struct link *link)
{
    struct daemon_links *links = owner;
    struct session *session = memory_alloc(sizeof *session);
    session->links = links;
    session->link = link;
    session->number = ++links->next_number;
    HASH_ADD(hh, links->sessions, number, sizeof session->number, session);
    link_set_owner(link, session);
    name_session(session);
}

static void on_admin(struct session *session, const struct frame_header *header, const uint8_t *body)
{
    ProtobufCMessage *message = NULL;
    if (wire_unpack(&gemel__admin_request__descriptor, body, header->body_bytes, &message) != 0)
        return;
    const Gemel__AdminRequest *request = (const Gemel__AdminRequest *)message;
    Gemel__AdminReply reply = GEMEL__ADMIN_REPLY__INIT;
    if (session->is_control && strcmp(request->verb, "control.stopping") == 0) {
        session->links->handlers.on_control_stopping(session->links->owner);
    } else {
        reply.exit_code = 2;
        reply.error = (char *)(uintptr_t) "a daemon takes commands on its port, not here";
    }
    link_send_message(session->link, FRAME_ADMIN_REPLY, header->request_id, &reply.base);
    wire_free(message);
}

static void on_lookup(struct session *session, const struct frame_header *header, const uint8_t *body)
{
    ProtobufCMessage *message = NULL;
    if (wire_unpack(&gemel__lookup__descriptor, body, header->body_bytes, &message) != 0)
        return;
    session->links->handlers.on_lookup(session->links->owner, session->number, header->request_id,
                                       (const Gemel__Lookup *)message);
    wire_free(message);
}

static void on_frame(void *owner, struct link *link, const struct frame_header *header, const uint8_t *body)
{
    struct session *session = owner;
    if (header->type == FRAME_PING)
        link_send(link, FRAME_PONG, header->request_id, NULL, 0);
    else if (header->type == FRAME_PONG && session->name[0] != '\0')
        session->links->handlers.on_pong(session->links->owner, session->name);
    else if (header->type == FRAME_LOOKUP)
        on_lookup(session, header, body);
    else if (header->type == FRAME_ADMIN)
        on_admin(session, header, body);
}

static void on_close(void *owner, struct link *link, int reason, const char *why)
{
    struct session *session = owner;
    struct daemon_links *links = session->links;
    (void)link;
    (void)reason;
    (void)why;
    HASH_DELETE(hh, links->sessions, session);
    if (session->name[0] != '\0') {
        forget_name(session);
        links->handlers.on_unlinked(links->owner, session->name);
    }
    links->handlers.on_lookup_closed(links->owner, session->number);
    memory_free(session);
}

static const struct link_handlers handlers = {.on_open = on_open, .on_frame = on_frame, .on_close = on_close};

int daemon_links_create(struct daemon_links **links, uv_loop_t *loop, const char *path, const char *host,
                        const struct daemon_links_handlers *own_handlers, void *owner, struct error *error)
{
    struct daemon_links *self = memory_alloc(sizeof *self);
    char address[PATH_BYTES + 8];
    self->handlers = *own_handlers;
    self->owner = owner;
    snprintf(self->name, sizeof self->name, "daemon@%.140s", host);
    snprintf(self->path, sizeof self->path, "%s", path);
    snprintf(address, sizeof address, "unix:%s", path);
    struct link_self who = {.kind = GEMEL__LINK_KIND__LINK_DAEMON, .name = self->name};
    int result = link_listen(&self->server, loop, address, &who, &handlers, self, error);
    if (result != 0) {
        memory_free(self);
        return result;
    }
    chmod(path, 0666); /* a process may run as any user */
    *links = self;
    return 0;
}

void daemon_links_destroy(struct daemon_links **links)
{
    struct daemon_links *self = *links;
    if (self == NULL)
        return;
    link_server_destroy(&self->server);
    unlink(self->path);
    HASH_CLEAR(hh_name, self->by_name);
    struct session *session = NULL;
    struct session *next = NULL;
    HASH_ITER (hh, self->sessions, session, next) {
        HASH_DELETE(hh, self->sessions, session);
        memory_free(session);
    }
    memory_free(self);
    *links = NULL;
}

void daemon_links_ping(struct daemon_links *links, const char *process)
{
    struct session *session = find_by_name(links, process);
    if (session != NULL)
        link_send(session->link, FRAME_PING, 0, NULL, 0);
}

void daemon_links_answer(struct daemon_links *links, uint64_t link, uint64_t request_id,
                         const Gemel__LookupReply *reply)
{
    struct session *session = NULL;
    HASH_FIND(hh, links->sessions, &link, sizeof link, session);
    if (session != NULL)
        link_send_message(session->link, FRAME_LOOKUP_REPLY, request_id, &reply->base);
}
