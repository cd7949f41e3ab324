#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

#define CHUNK (64 * 1024) /* bytes asked for at a time */

static int
lost(struct client *c, struct fault *f)
{
	if (c->fd != -1)
		close(c->fd);
	c->fd = -1;
	buf_reset(&c->out, 0);
	return fault_set(f, FAULT_UNAVAILABLE,
	    "%s: the connection was lost", c->name);
}

/* What came is not the protocol: nothing behind it can be believed. */
static int
foreign(struct client *c, struct fault *f, const char *what)
{
	lost(c, NULL);
	buf_reset(&c->in, 0);
	c->taken = 0;
	return fault_set(f, FAULT_INTERNAL, "%s: %s", c->name, what);
}

/* 1: something was read, 0: nothing is there now, -1: the end. */
static int
take_in(struct client *c)
{
	char *room = buf_room(&c->in, CHUNK);
	ssize_t n;

	if (room == NULL)
		return -1;
	do
		n = recv(c->fd, room, CHUNK, MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n == -1 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return -1;
	buf_grew(&c->in, (size_t)n);
	return 1;
}

/* 1: all is sent, 0: the rest has to wait, -1: the peer is gone. */
static int
give_out(struct client *c)
{
	ssize_t n;

	if (c->out.bad)
		return -1;
	while (c->out.len > 0) {
		n = send(c->fd, buf_data(&c->out), c->out.len,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return errno == EAGAIN ? 0 : -1;
		buf_take(&c->out, (size_t)n);
	}
	return 1;
}

/* Wait until there is something to read, or room to send what is queued. */
static int
await(struct client *c, int timeout_ms)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	int n;

	if (c->out.len > 0)
		p.events |= POLLOUT;
	do
		n = poll(&p, 1, timeout_ms);
	while (n == -1 && errno == EINTR);
	return n;
}

/* The line that was handed out last is not needed any more. */
static void
forget(struct client *c)
{
	buf_take(&c->in, c->taken);
	c->taken = 0;
}

static int
next_line(struct client *c, const char **line, size_t *len, struct fault *f)
{
	size_t seen = 0;
	char *end;
	int n;

	forget(c);
	for (;;) {
		if (c->in.len > seen && (end = memchr(buf_data(&c->in) + seen,
		    '\n', c->in.len - seen)) != NULL)
			break;
		seen = c->in.len;
		if (seen >= CLIENT_LINE_MAX)
			return foreign(c, f, "an answer has no end");
		if (c->fd == -1)
			return lost(c, f);
		if ((n = take_in(c)) == 1)
			continue;
		if (n == -1)
			return lost(c, f);
		if (await(c, c->timeout_ms > 0 ? c->timeout_ms : -1) == 0) {
			lost(c, NULL);
			return fault_set(f, FAULT_UNAVAILABLE,
			    "%s: no answer in %d s", c->name,
			    c->timeout_ms / 1000);
		}
		if (give_out(c) == -1 && take_in(c) != 1)
			return lost(c, f);
	}
	*line = buf_data(&c->in);
	*len = (size_t)(end - *line);
	c->taken = *len + 1;
	return 0;
}

/* Tokens of a header line, which is an object. */
static int
scan(struct client *c, const char *line, size_t len)
{
	if (json_scan(&c->json, line, len, NULL) == -1 ||
	    c->json.tok[0].type != JSON_OBJECT)
		return -1;
	return 0;
}

static int
greeting(struct client *c, struct fault *f)
{
	const char *line;
	uint32_t t;
	size_t len;

	if (next_line(c, &line, &len, f) == -1)
		return -1;
	if (scan(c, line, len) == -1 ||
	    (t = json_member(&c->json, 0, "egns", 4)) == 0 ||
	    !json_is(&c->json, t, c->name, strlen(c->name)))
		return foreign(c, f, "this is not its socket");
	if (client_number(c, "version") != 1)
		return foreign(c, f, "it speaks another version; "
		    "run programs of one release");
	return 0;
}

/* The error of an answer as a fault, fit for a terminal. */
static int
refused(const struct client *c, struct fault *f)
{
	const struct json *j = &c->json;
	uint32_t error = json_member(j, 0, "error", 5), t;
	enum fault_code code = FAULT_INTERNAL;
	struct buf text = { 0 };
	size_t i;

	if (error > 0 && (t = json_member(j, error, "code", 4)) > 0 &&
	    j->tok[t].type == JSON_STRING)
		code = fault_code(j->text + j->tok[t].start + 1,
		    j->tok[t].end - j->tok[t].start - 2);
	if (error > 0 && (t = json_member(j, error, "message", 7)) > 0 &&
	    j->tok[t].type == JSON_STRING)
		json_string(j, t, &text);
	for (i = 0; i < text.len; i++) {
		if ((unsigned char)buf_data(&text)[i] < ' ')
			buf_data(&text)[i] = '?';
	}
	if (text.len > 0)
		fault_set(f, code, "%.*s", (int)text.len, buf_data(&text));
	else
		fault_set(f, code, "%s: %s", c->name, fault_name(code));
	buf_free(&text);
	return -1;
}

/* Under up it is up that starts it: what is of interest is why it ended. */
static int
not_there(const struct spool *spool, const char *name, const struct fault *why,
    struct fault *f)
{
	char log[64];

	if (why->code != FAULT_UNAVAILABLE)
		return fault_set(f, why->code, "%s", why->text);
	if (spool_holder(spool, "up") == 0)
		return fault_set(f, why->code, "%s; 'egns-ctl up' starts it",
		    why->text);
	snprintf(log, sizeof(log), "run/%s.log", name);
	return fault_set(f, why->code, "%s: not ready, and up starts it again; "
	    "see %s", name, faccessat(spool->fd, log, F_OK, 0) == 0 ? log :
	    "what up said");
}

int
client_connect(struct client *c, const struct spool *spool, const char *name,
    struct fault *f)
{
	struct fault why;

	*c = (struct client){ .name = name, .fd = -1 };
	c->fd = spool_connect(spool, name, &why);
	return c->fd != -1 ? 0 : not_there(spool, name, &why, f);
}

int
client_greeted(struct client *c, struct fault *f)
{
	int rc = client_move(c, f);

	if (client_ready(c))
		return greeting(c, f) == -1 ? -1 : 1;
	return rc;
}

int
client_open(struct client *c, const struct spool *spool, const char *name,
    struct fault *f)
{
	if (client_connect(c, spool, name, f) == -1)
		return -1;
	c->timeout_ms = CLIENT_GREETING_MS;
	if (greeting(c, f) == -1) {
		client_close(c);
		return -1;
	}
	c->timeout_ms = 0;
	return 0;
}

void
client_close(struct client *c)
{
	lost(c, NULL);
	buf_free(&c->out);
	buf_free(&c->in);
	json_free(&c->json);
	c->taken = 0;
}

void
client_add(struct client *c, const void *text, size_t len)
{
	if (c->fd != -1)
		buf_add(&c->out, text, len);
}

int
client_flush(struct client *c, struct fault *f)
{
	int sent, n;

	forget(c);
	if (c->fd == -1)
		return lost(c, f);
	while ((sent = give_out(c)) == 0) {
		await(c, -1);
		while ((n = take_in(c)) == 1)
			continue;
		if (n == -1)
			return lost(c, f);
	}
	if (sent == 1)
		return 0;
	while (take_in(c) == 1)
		continue; /* answers that were given before it went */
	return lost(c, f);
}

int
client_answer(struct client *c, struct fault *f)
{
	const char *line;
	uint32_t ok;
	size_t len;

	if (next_line(c, &line, &len, f) == -1)
		return -1;
	if (scan(c, line, len) == -1 ||
	    (ok = json_member(&c->json, 0, "ok", 2)) == 0)
		return foreign(c, f, "its answer cannot be read");
	if (c->json.tok[ok].type == JSON_TRUE)
		return 0;
	return refused(c, f);
}

uint64_t
client_number(const struct client *c, const char *member)
{
	uint32_t t = json_member(&c->json, 0, member, strlen(member));
	int64_t n;

	return t > 0 && json_int64(&c->json, t, &n) && n > 0 ? (uint64_t)n : 0;
}

int
client_line(struct client *c, const char **line, size_t *len, struct fault *f)
{
	return next_line(c, line, len, f);
}

int
client_move(struct client *c, struct fault *f)
{
	int n;

	forget(c);
	if (c->fd == -1)
		return lost(c, f);
	n = give_out(c);
	while (n != -1 && c->in.len < CLIENT_LINE_MAX) {
		if ((n = take_in(c)) == 0)
			return 0;
	}
	if (n != -1)
		return 0;
	while (take_in(c) == 1)
		continue;
	return lost(c, f);
}

bool
client_ready(const struct client *c)
{
	size_t rest = c->in.len - c->taken;

	/* A line that is too long is ready, too: to be refused. */
	return rest >= CLIENT_LINE_MAX || (rest > 0 &&
	    memchr(buf_data(&c->in) + c->taken, '\n', rest) != NULL);
}
