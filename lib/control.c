#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"
#include "log.h"
#include "role.h"

#define LINE_MAX_BYTES 65536
/* Unread answers, then the peer is dropped: stats of some thousand push
 * subscriptions. */
#define OUT_MAX (4 * 1024 * 1024)

struct peer {
	struct control *control;
	TAILQ_ENTRY(peer) entry;
	struct role_peer who;
	ev_io read, write;
	int fd;
	struct buf in, out;
};

TAILQ_HEAD(peers, peer);

struct control {
	struct ev_loop *loop;
	const struct spool *spool;
	char *greeting;
	struct roles *roles;
	ev_io accept;
	int fd;
	struct peers peers; /* the longest silent first */
	unsigned npeers;
	struct json json;
	int (*serve)(const char *, const struct json *, struct buf *, void *,
	    struct fault *);
	void *arg;
};

static void
peer_close(struct peer *p)
{
	struct control *c = p->control;

	ev_io_stop(c->loop, &p->read);
	ev_io_stop(c->loop, &p->write);
	close(p->fd);
	TAILQ_REMOVE(&c->peers, p, entry);
	c->npeers--;
	role_peer_free(&p->who);
	buf_free(&p->in);
	buf_free(&p->out);
	free(p);
}

/* False: the peer is gone. */
static bool
flush(struct peer *p)
{
	ssize_t n = 0;

	if (p->out.len > 0)
		n = send(p->fd, buf_data(&p->out), p->out.len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n == -1 && errno != EAGAIN && errno != EINTR) {
		peer_close(p);
		return false;
	}
	if (n > 0)
		buf_take(&p->out, (size_t)n);
	if (p->out.bad || p->out.len > OUT_MAX) {
		peer_close(p);
		return false;
	}
	if (p->out.len > 0)
		ev_io_start(p->control->loop, &p->write);
	else
		ev_io_stop(p->control->loop, &p->write);
	return true;
}

static void
answer_fault(struct peer *p, const struct fault *f)
{
	buf_str(&p->out, "{\"ok\":false,\"error\":{\"code\":\"");
	buf_str(&p->out, fault_name(f->code));
	buf_str(&p->out, "\",\"message\":");
	buf_json(&p->out, f->text, strlen(f->text));
	buf_str(&p->out, "}}\n");
}

static int
operation(struct peer *p, const char *line, size_t len, struct fault *f)
{
	struct control *c = p->control;
	struct buf op = { 0 };
	uint32_t t;
	int rc = -1;

	if (json_scan(&c->json, line, len, f) == -1)
		return -1;
	t = c->json.tok[0].type != JSON_OBJECT ? 0 :
	    json_member(&c->json, 0, "op", 2);
	if (t == 0 || c->json.tok[t].type != JSON_STRING)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "a request is an object with \"op\"");
	if (role_check(c->roles, &p->who, ROLE_MANAGE, NULL, NULL, f) == NULL)
		return -1;
	json_string(&c->json, t, &op);
	buf_add(&op, "", 1);
	if (op.bad)
		fault_set(f, FAULT_INTERNAL, "out of memory");
	else
		rc = c->serve(buf_data(&op), &c->json, &p->out, c->arg, f);
	buf_free(&op);
	return rc;
}

static void
take_lines(struct peer *p)
{
	const char *end;
	struct fault f;

	while (p->in.len > 0 &&
	    (end = memchr(buf_data(&p->in), '\n', p->in.len)) != NULL) {
		size_t len = (size_t)(end - buf_data(&p->in));

		if (operation(p, buf_data(&p->in), len, &f) == -1)
			answer_fault(p, &f);
		buf_take(&p->in, len + 1);
	}
}

static void
on_read(struct ev_loop *loop, ev_io *w, int events)
{
	struct peer *p = w->data;
	char *room = buf_room(&p->in, 4096);
	ssize_t n;

	(void)loop;
	(void)events;
	n = room == NULL ? 0 : recv(p->fd, room, 4096, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		peer_close(p);
		return;
	}
	buf_grew(&p->in, (size_t)n);
	TAILQ_REMOVE(&p->control->peers, p, entry);
	TAILQ_INSERT_TAIL(&p->control->peers, p, entry);
	take_lines(p);
	if (p->in.len > LINE_MAX_BYTES) {
		peer_close(p);
		return;
	}
	flush(p);
}

static void
on_write(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)events;
	flush(w->data);
}

static void
peer_new(struct control *c, int fd, const struct ucred *who)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		close(fd);
		return;
	}
	p->control = c;
	p->fd = fd;
	role_peer_init(&p->who, who->uid, who->gid);
	ev_io_init(&p->read, on_read, fd, EV_READ);
	ev_io_init(&p->write, on_write, fd, EV_WRITE);
	p->read.data = p->write.data = p;
	ev_io_start(c->loop, &p->read);
	TAILQ_INSERT_TAIL(&c->peers, p, entry);
	if (++c->npeers > CONTROL_PEERS)
		peer_close(TAILQ_FIRST(&c->peers));
	buf_str(&p->out, c->greeting);
	flush(p);
}

static void
on_accept(struct ev_loop *loop, ev_io *w, int events)
{
	struct control *c = w->data;
	struct ucred who;
	socklen_t len = sizeof(who);
	int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)loop;
	(void)events;
	if (fd == -1)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == -1)
		close(fd);
	else
		peer_new(c, fd, &who);
}

static int
add_role(const char *path, jv resource, void *arg)
{
	struct fault f;

	if (roles_add(arg, resource, &f) == -1)
		log_warn("%s: %s", path, f.text);
	return 0;
}

int
control_reload(struct control *c, struct registry *r, struct fault *f)
{
	struct roles *roles;
	struct stat st;

	if (fstat(c->spool->fd, &st) == -1)
		return fault_errno(f, FAULT_INTERNAL, "'%s'", c->spool->path);
	if ((roles = roles_new(st.st_uid)) == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	registry_each(r, "roleAssignments/", add_role, roles);
	roles_free(c->roles);
	c->roles = roles;
	return 0;
}

static int
read_roles(struct control *c, struct fault *f)
{
	struct registry *r = registry_open(c->spool, false, f);
	int rc;

	if (r == NULL)
		return -1;
	rc = control_reload(c, r, f);
	registry_close(r);
	return rc;
}

struct control *
control_open(struct ev_loop *loop, const struct spool *spool, const char *name,
    int (*serve)(const char *, const struct json *, struct buf *, void *,
	struct fault *), void *arg, struct fault *f)
{
	struct control *c = calloc(1, sizeof(*c));
	struct buf b = { 0 };

	if (c == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	TAILQ_INIT(&c->peers);
	c->loop = loop;
	c->spool = spool;
	c->serve = serve;
	c->arg = arg;
	buf_printf(&b, "{\"egns\":\"%s\",\"version\":1}\n", name);
	c->greeting = b.bad ? NULL : strndup(buf_data(&b), b.len);
	buf_free(&b);
	if (c->greeting == NULL)
		fault_set(f, FAULT_INTERNAL, "out of memory");
	if (c->greeting == NULL || read_roles(c, f) == -1 ||
	    (c->fd = spool_listen(spool, name, f)) == -1) {
		roles_free(c->roles);
		free(c->greeting);
		free(c);
		return NULL;
	}
	ev_io_init(&c->accept, on_accept, c->fd, EV_READ);
	c->accept.data = c;
	ev_io_start(loop, &c->accept);
	return c;
}

void
control_close(struct control *c)
{
	struct peer *p;

	if (c == NULL)
		return;
	while ((p = TAILQ_FIRST(&c->peers)) != NULL)
		peer_close(p); /* NOLINT(*-unix.Malloc) */
	ev_io_stop(c->loop, &c->accept);
	close(c->fd);
	roles_free(c->roles);
	json_free(&c->json);
	free(c->greeting);
	free(c);
}
