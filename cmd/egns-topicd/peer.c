/* connections to the socket: bytes in, lines out of them, answers back */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "event.h"
#include "log.h"
#include "serve.h"

#define READ_STEP (64 * 1024)
/* Memory that an idle connection may keep. */
#define KEEP_IDLE 4096
/* A body: the events, their newlines, and what one read may bring on top. */
#define BODY_MAX (EVENT_BATCH_MAX + EVENT_BATCH_COUNT)
/* Descriptors that are not connections: logs, queues, directories. */
#define FD_RESERVE 1024
#define ACCEPTS 64 /* in one turn */
/* A peer's requests are taken for so long before others have their turn. */
#define TURN (CLOCK_SECOND / 500)

static const char greeting[] = "{\"egns\":\"topicd\",\"version\":1}\n";

void
peer_progress(struct peer *p)
{
	struct peers *all = &p->server->peers;

	p->progress = clock_mono();
	if (TAILQ_NEXT(p, entry) == NULL)
		return;
	TAILQ_REMOVE(all, p, entry);
	TAILQ_INSERT_TAIL(all, p, entry);
}

void
peer_want_flush(struct peer *p)
{
	struct server *s = p->server;

	if (p->flush)
		return;
	p->flush = true;
	p->flush_next = s->flush;
	s->flush = p;
}

/* ---- life ---- */

static void
peer_free(struct peer *p)
{
	role_peer_free(&p->who);
	buf_free(&p->in);
	buf_free(&p->out);
	free(p);
}

/* Closing a socket with bytes unread would take the last answer from the
 * peer. */
static void
drain(int fd)
{
	char scrap[4096];

	if (shutdown(fd, SHUT_RD) == 0) /* from here on it cannot send */
		while (read(fd, scrap, sizeof(scrap)) > 0)
			;
}

void
peer_close(struct peer *p)
{
	struct server *s = p->server;

	if (p->gone)
		return;
	if (p->closing)
		drain(p->fd);
	receive_end(p);
	ev_io_stop(s->loop, &p->read);
	ev_io_stop(s->loop, &p->write);
	close(p->fd);
	p->fd = -1;
	p->gone = true;
	s->in_total -= p->in.len;
	s->out_total -= p->out.len;
	buf_free(&p->in);
	buf_free(&p->out);
	TAILQ_REMOVE(&s->peers, p, entry);
	s->npeers--;
	peer_want_flush(p); /* freed there, when nothing refers to it */
}

bool
peer_alive(const struct peer *p)
{
	struct pollfd pfd = { .fd = p->fd };

	return poll(&pfd, 1, 0) != 1 || !(pfd.revents & (POLLHUP | POLLERR));
}

/* ---- in ---- */

static void
take(struct peer *p, size_t n)
{
	buf_take(&p->in, n);
	p->server->in_total -= n;
}

static void
lose(struct peer *p, const struct fault *fault)
{
	p->closing = true;
	take(p, p->in.len);
	answer_fault(p, fault);
}

/* A header line, if there is a whole one. False: wait. */
static bool
step_header(struct peer *p)
{
	const char *line = buf_data(&p->in), *nl;
	struct fault fault;
	size_t len;

	if (p->in.len == 0)
		return false;
	nl = memchr(line, '\n', p->in.len);
	if (nl == NULL && p->in.len <= REQUEST_LINE_MAX)
		return false;
	len = nl ? (size_t)(nl - line) : p->in.len;
	if (len > REQUEST_LINE_MAX) {
		fault_set(&fault, FAULT_TOO_LARGE,
		    "a header line has at most %d bytes", REQUEST_LINE_MAX);
		lose(p, &fault);
		return false;
	}
	if (!serve_header(p, line, len)) {
		p->stalled = true;
		return false;
	}
	if (p->closing)
		len = p->in.len - 1;
	if (p->in.len > 0)
		take(p, len + 1);
	return true;
}

/* The events up to the one numbered `event` are too much. */
static void
too_large(struct peer *p, uint32_t event)
{
	p->state = PEER_SKIP;
	fault_set(&p->fault, FAULT_TOO_LARGE,
	    "event %u: the events of a publish have at most %d bytes together",
	    event, EVENT_BATCH_MAX);
	serve_refused(p, FAULT_TOO_LARGE);
}

/* Count the lines of the body. False: wait. */
static bool
step_body(struct peer *p)
{
	const char *body = buf_data(&p->in), *nl;

	while (p->lines > 0 &&
	    (nl = memchr(body + p->scanned, '\n', p->in.len - p->scanned)) !=
		NULL) {
		p->scanned = (size_t)(nl + 1 - body);
		p->lines--;
	}
	if (p->scanned > EVENT_BATCH_MAX + p->request.count ||
	    (p->lines > 0 && p->in.len > BODY_MAX)) {
		too_large(p, p->request.count - p->lines +
			(p->in.len - p->scanned > EVENT_BATCH_MAX));
		take(p, p->scanned);
		return true;
	}
	if (p->lines > 0)
		return false;
	if (!serve_body(p, body, p->scanned)) {
		p->stalled = true;
		return false;
	}
	take(p, p->scanned);
	p->scanned = 0;
	p->state = PEER_HEADER;
	return true;
}

/* Drop lines, however long they are. False: wait. */
static bool
step_skip(struct peer *p)
{
	const char *at = buf_data(&p->in), *nl;
	size_t left = p->in.len;

	while (p->lines > 0 && left > 0) {
		if ((nl = memchr(at, '\n', left)) == NULL) {
			take(p, p->in.len);
			return false;
		}
		left -= (size_t)(nl + 1 - at);
		at = nl + 1;
		p->lines--;
	}
	take(p, p->in.len - left);
	if (p->lines > 0)
		return false;
	p->scanned = 0;
	p->state = PEER_HEADER;
	answer_fault(p, &p->fault);
	return true;
}

static bool
step(struct peer *p)
{
	switch (p->state) {
	case PEER_HEADER: return step_header(p);
	case PEER_BODY: return step_body(p);
	case PEER_SKIP: return step_skip(p);
	}
	return false;
}

/* How much may be held before something has to be taken. */
static bool
full(const struct peer *p)
{
	return p->in.len >= BODY_MAX + READ_STEP;
}

static void
watch(struct peer *p)
{
	struct ev_loop *loop = p->server->loop;

	if (p->eof || p->closing || full(p) ||
	    (p->out.len > OUT_HIGH && p->in.len > 0))
		ev_io_stop(loop, &p->read);
	else
		ev_io_start(loop, &p->read);
	/* what was left because of unread answers goes on when one is sent */
	if (p->out.len > 0 || p->unread)
		ev_io_start(loop, &p->write);
	else
		ev_io_stop(loop, &p->write);
}

/* Take requests until there is none, it has to wait, or others want to. */
static void
take_requests(struct peer *p)
{
	int64_t since = clock_mono();

	p->stalled = p->unread = false;
	while (!p->gone && !p->closing && p->waiting == NULL) {
		if (p->out.len + p->owed_bytes > OUT_HIGH) {
			p->unread = p->owed_bytes == 0;
			p->stalled = !p->unread;
			return;
		}
		if (!step(p))
			return;
		if (clock_mono() - since > TURN) {
			p->stalled = true;
			ev_idle_start(p->server->loop, &p->server->more);
			return;
		}
	}
}

void
peer_process(struct peer *p)
{
	take_requests(p);
	if (p->gone)
		return;
	if (p->in.len == 0 && p->state == PEER_HEADER)
		buf_reset(&p->in, p->owed ? READ_STEP * 4 : KEEP_IDLE);
	if (p->eof && p->waiting == NULL && !p->stalled && !p->unread)
		p->closing = true;
	watch(p);
	peer_want_flush(p);
}

/* Of unfinished requests that take much memory, the one that has been silent
 * for longest; or NULL. */
static struct peer *
unfinished(struct server *s)
{
	struct peer *p;

	TAILQ_FOREACH(p, &s->peers, entry)
		if (p->in.len > READ_STEP && !p->stalled && !p->closing &&
		    p->waiting == NULL)
			break;
	return p;
}

/* The input of p has grown: is there memory for it? */
static void
limit_input(struct peer *p)
{
	struct server *s = p->server;
	struct fault fault;
	struct peer *loser;

	fault_set(&fault, FAULT_TOO_MANY,
	    "too many unfinished requests: try again");
	while (s->in_total > IN_TOTAL && (loser = unfinished(s)) != NULL)
		lose(loser, &fault);
	if (s->in_total > IN_TOTAL && p->in.len > READ_STEP)
		lose(p, &fault);
}

static void
on_read(struct ev_loop *loop, ev_io *io, int events)
{
	struct peer *p = io->data;
	struct server *s = p->server;
	char *room;
	ssize_t n;

	(void)loop;
	(void)events;
	if ((room = buf_room(&p->in, READ_STEP)) == NULL) {
		peer_close(p);
		return;
	}
	n = read(p->fd, room, READ_STEP);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1 || (n == 0 && !peer_alive(p))) {
		peer_close(p);
		return;
	}
	peer_progress(p);
	if (n == 0)
		p->eof = true;
	buf_grew(&p->in, (size_t)n);
	s->in_total += (size_t)n;
	limit_input(p);
	peer_process(p);
}

/* ---- out ---- */

static void
send_out(struct peer *p)
{
	ssize_t n;

	while (p->out.len > 0) {
		n = send(p->fd, buf_data(&p->out), p->out.len,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			break;
		if (n == -1) {
			peer_close(p);
			return;
		}
		peer_progress(p);
		buf_take(&p->out, (size_t)n);
		p->server->out_total -= (size_t)n;
	}
	if (p->out.len == 0)
		buf_reset(&p->out, KEEP_IDLE);
	if (p->out.len == 0 && p->closing && p->owed == 0)
		peer_close(p);
	else
		watch(p);
}

static void
on_write(struct ev_loop *loop, ev_io *io, int events)
{
	struct peer *p = io->data;

	(void)loop;
	(void)events;
	send_out(p);
	if (!p->gone && p->out.len <= OUT_HIGH)
		peer_process(p);
}

void
peers_flush(struct server *s)
{
	struct peer *p, *list = s->flush, *keep = NULL;

	s->flush = NULL;
	while ((p = list) != NULL) {
		list = p->flush_next;
		p->flush = false;
		if (!p->gone)
			send_out(p);
		else if (p->owed == 0)
			peer_free(p);
		else {
			p->flush = true;
			p->flush_next = keep;
			keep = p;
		}
	}
	/* what send_out closed is in the list again */
	while ((p = keep) != NULL) {
		keep = p->flush_next;
		p->flush_next = s->flush;
		s->flush = p;
	}
}

/* ---- time ---- */

static bool
silent(const struct peer *p)
{
	return p->state == PEER_HEADER && p->in.len == 0 && p->out.len == 0 &&
	    p->owed == 0 && p->waiting == NULL;
}

/* How long may it stand still? Not long when it takes the memory of others. */
static int64_t
patience(const struct peer *p)
{
	return p->server->out_total > OUT_TOTAL && p->out.len > READ_STEP ?
	    STALL_SHORT : STALL;
}

static void
expire(struct peer *p, int64_t now)
{
	struct fault fault;
	bool unread = p->out.len > 0;
	bool partial = !p->stalled && p->waiting == NULL &&
	    (p->in.len > 0 || p->state != PEER_HEADER);

	if (p->waiting != NULL && p->deadline <= now) {
		receive_over(p);
		peer_process(p);
		return;
	}
	if (now - p->progress < patience(p) || (!unread && !partial))
		return;
	log_info("peer %s: %s for %d seconds: closing", p->who.name,
	    unread ? "read nothing" : "stopped in the middle of a request",
	    (int)(patience(p) / CLOCK_SECOND));
	if (unread) {
		peer_close(p);
		return;
	}
	fault_set(&fault, FAULT_BAD_REQUEST,
	    p->lines ? "%u of %u event lines did not come" :
		       "the request's line did not end",
	    p->lines, p->request.count);
	lose(p, &fault);
	peer_want_flush(p);
}

void
peers_expire(struct server *s, int64_t now)
{
	struct peer *p, *next;

	for (p = TAILQ_FIRST(&s->peers); p != NULL; p = next) {
		next = TAILQ_NEXT(p, entry);
		expire(p, now);
	}
	if (!s->stopping)
		ev_io_start(s->loop, &s->accept);
}

/* ---- accept ---- */

/* Close the one that has been silent for longest; of one user, or of all. */
static bool
make_room(struct server *s, const struct peer *of)
{
	struct peer *p;

	TAILQ_FOREACH(p, &s->peers, entry)
		if (p != of && silent(p) &&
		    (of == NULL || p->who.uid == of->who.uid)) {
			log_info("peer %s: silent longest of %u: closing",
			    p->who.name, s->npeers);
			peer_close(p);
			return true;
		}
	return false;
}

/*
 * Nobody may have more connections than are left for others, so that some
 * always are; who may stop the daemon anyhow may have them all.
 */
static bool
too_many(struct server *s, const struct peer *of)
{
	struct fault fault;
	struct peer *p;
	unsigned n = 0;

	if (role_check(s->roles, &of->who, ROLE_MANAGE, NULL, NULL, &fault))
		return false;
	TAILQ_FOREACH(p, &s->peers, entry)
		n += p->who.uid == of->who.uid;
	return n > s->peers_max - s->npeers;
}

static void
add_peer(struct server *s, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct fault fault;
	struct peer *p;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1 ||
	    (p = calloc(1, sizeof(*p))) == NULL) {
		close(fd);
		return;
	}
	p->server = s;
	p->fd = fd;
	role_peer_init(&p->who, cred.uid, cred.gid);
	ev_io_init(&p->read, on_read, fd, EV_READ);
	ev_io_init(&p->write, on_write, fd, EV_WRITE);
	p->read.data = p->write.data = p;
	s->npeers++;
	TAILQ_INSERT_TAIL(&s->peers, p, entry);
	p->progress = clock_mono();
	buf_str(&p->out, greeting);
	s->out_total += p->out.len;
	ev_io_start(s->loop, &p->read);
	if (too_many(s, p) && !make_room(s, p)) {
		fault_set(&fault, FAULT_TOO_MANY,
		    "too many connections of %s: try again", p->who.name);
		lose(p, &fault);
	}
	send_out(p);
}

static void
on_accept(struct ev_loop *loop, ev_io *io, int events)
{
	struct server *s = io->data;
	int fd, i;

	(void)loop;
	(void)events;
	for (i = 0; i < ACCEPTS; i++) {
		if (s->npeers >= s->peers_max && !make_room(s, NULL))
			break;
		fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd != -1)
			add_peer(s, fd);
		else if (errno != EMFILE && errno != ENFILE)
			return;
		else if (!make_room(s, NULL))
			break;
	}
	if (i < ACCEPTS) /* they wait in the backlog, for the next tick */
		ev_io_stop(s->loop, &s->accept);
}

int
peers_open(struct server *s, struct fault *fault)
{
	struct rlimit limit = { .rlim_cur = PEERS_MAX };

	getrlimit(RLIMIT_NOFILE, &limit);
	s->peers_max = PEERS_MAX;
	if (limit.rlim_cur < PEERS_MAX + FD_RESERVE)
		s->peers_max = limit.rlim_cur > 2 * FD_RESERVE ?
		    (unsigned)limit.rlim_cur - FD_RESERVE :
		    (unsigned)limit.rlim_cur / 2;
	if ((s->fd = spool_listen(s->spool, "topicd", fault)) == -1)
		return -1;
	ev_io_init(&s->accept, on_accept, s->fd, EV_READ);
	s->accept.data = s;
	ev_io_start(s->loop, &s->accept);
	return 0;
}

void
peers_close(struct server *s)
{
	while (!TAILQ_EMPTY(&s->peers))
		peer_close(TAILQ_FIRST(&s->peers));
	peers_flush(s);
	ev_io_stop(s->loop, &s->accept);
	close(s->fd);
}
