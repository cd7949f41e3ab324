/* where endpoints say yes to deliveries later */
#include "callback.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "consent.h"
#include "hex.h"
#include "jq.h"
#include "tls.h"

/*
 * Anybody may come here, so nobody gets much. When there are as many as can be,
 * the eldest goes; since they come one a PAUSE, each has 64 * 50 ms = 3.2 s at
 * least, whatever others do, and TIME at most. 20 handshakes a second are some
 * hundredths of a processor.
 */
#define CONNECTIONS 64
#define PAUSE 0.05 /* seconds */
#define TIME 10.0
#define BACKLOG 64
#define READ_MAX 16384 /* bytes of a read */
/* Bytes that a connection may send in all: handshake, and a request in records
 * of a sane size. What it is sent is less than that and the answer. */
#define WIRE_MAX (2 * TLS_HANDSHAKE_MAX)

struct conn {
	struct callback *callback;
	struct conn *younger, *elder;
	int fd;
	ev_io io;
	ev_timer timer;
	struct tls *tls;
	struct consent *consent;
	struct buf wire; /* to be sent */
	size_t taken;
	bool done; /* all is said: what still comes is not looked at */
	bool shut; /* and sent */
};

struct callback {
	struct ev_loop *loop;
	struct tls_server *tls;
	int fd;
	ev_io io;
	ev_timer pause;
	char *host; /* "NAME", "[::1]" */
	char port[8];
	struct conn *youngest, *eldest;
	unsigned nconns;
	struct callback_wait *waits;
};

struct callback_wait {
	struct callback *callback; /* NULL: it was closed */
	struct callback_wait *next, *prev;
	char key[CALLBACK_KEY + 1];
	bool used;
	void (*granted)(long rate, void *arg);
	void *arg;
};

/* ---- connections ---- */

static void
drop(struct conn *c)
{
	struct callback *cb = c->callback;

	*(c->elder != NULL ? &c->elder->younger : &cb->eldest) = c->younger;
	*(c->younger != NULL ? &c->younger->elder : &cb->youngest) = c->elder;
	cb->nconns--;
	ev_io_stop(cb->loop, &c->io);
	ev_timer_stop(cb->loop, &c->timer);
	close(c->fd);
	tls_free(c->tls);
	consent_free(c->consent);
	buf_free(&c->wire);
	free(c);
}

static void
want(struct conn *c, int events)
{
	struct ev_loop *loop = c->callback->loop;

	if ((c->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(loop, &c->io);
	ev_io_set(&c->io, c->fd, events);
	ev_io_start(loop, &c->io);
}

/*
 * Send what the socket takes. Once all is sent that there is to say, the peer
 * is waited for: were the socket closed while it is still sending, the kernel
 * would reset the connection, and the answer could be lost.
 */
static bool
flush(struct conn *c)
{
	ssize_t n = 0;

	if (c->wire.bad)
		return false;
	if (c->wire.len > 0)
		n = send(c->fd, buf_data(&c->wire), c->wire.len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n == -1 && errno != EAGAIN && errno != EINTR)
		return false;
	if (n > 0)
		buf_take(&c->wire, (size_t)n);
	want(c, EV_READ | (c->wire.len > 0 ? EV_WRITE : 0));
	if (c->done && !c->shut && c->wire.len == 0) {
		shutdown(c->fd, SHUT_WR);
		c->shut = true;
	}
	return true;
}

/* The wait for a key. However much of it is right takes the same time. */
static struct callback_wait *
find(struct callback *cb, const char *key)
{
	struct callback_wait *found = NULL;

	for (struct callback_wait *w = cb->waits; w != NULL; w = w->next) {
		unsigned differ = w->used;

		for (size_t i = 0; i < CALLBACK_KEY; i++)
			differ |= (unsigned char)(w->key[i] ^ key[i]);
		if (differ == 0)
			found = w;
	}
	return found;
}

/* Decrypted bytes. The wait that they grant, or NULL. */
static struct callback_wait *
take_plain(struct conn *c, const struct buf *plain)
{
	struct callback_wait *granted = NULL;
	struct buf text = { 0 };

	switch (consent_feed(c->consent, buf_data(plain), plain->len, &text)) {
	case CONSENT_MORE:
		return NULL;
	case CONSENT_ASKED:
		granted = find(c->callback, consent_key(c->consent));
		if (granted != NULL)
			consent_granted(c->consent, &text);
		else
			consent_unknown(c->consent, &text);
		break;
	case CONSENT_REFUSED:
		break;
	}
	tls_write(c->tls, buf_data(&text), text.len, &c->wire);
	tls_goodbye(c->tls, &c->wire);
	c->wire.bad |= text.bad;
	c->done = true;
	buf_free(&text);
	return granted;
}

static struct callback_wait *
take(struct conn *c, const void *data, size_t n)
{
	struct callback_wait *granted = NULL;
	struct buf plain = { 0 };
	enum tls_result result;

	if (c->done)
		return NULL;
	result = tls_feed(c->tls, data, n, &plain, &c->wire);
	if (result != TLS_FAILED && plain.len > 0)
		granted = take_plain(c, &plain);
	if (result != TLS_OK)
		c->done = true;
	buf_free(&plain);
	return granted;
}

/* False at its end. */
static bool
receive(struct conn *c, struct callback_wait **granted)
{
	char data[READ_MAX];
	ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n == -1)
		return errno == EAGAIN || errno == EINTR;
	c->taken += (size_t)n;
	if (n == 0 || c->taken > WIRE_MAX)
		return false;
	*granted = take(c, data, (size_t)n);
	return true;
}

static void
on_io(struct ev_loop *loop, ev_io *io, int events)
{
	struct conn *c = io->data;
	struct callback_wait *granted = NULL;
	long rate = 0;
	bool open = true;

	(void)loop;
	if (events & EV_READ)
		open = receive(c, &granted);
	if (granted != NULL) {
		rate = consent_rate(c->consent);
		granted->used = true;
	}
	if (!open || !flush(c))
		drop(c);
	/* it may close all of this */
	if (granted != NULL)
		granted->granted(rate, granted->arg);
}

static void
on_time(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	drop(timer->data);
}

/* NULL without memory. */
static struct conn *
new_conn(struct callback *cb, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL || (c->tls = tls_new(cb->tls)) == NULL ||
	    (c->consent = consent_new()) == NULL) {
		if (c != NULL)
			tls_free(c->tls);
		free(c);
		return NULL;
	}
	c->callback = cb;
	c->fd = fd;
	c->elder = cb->youngest;
	*(c->elder != NULL ? &c->elder->younger : &cb->eldest) = c;
	cb->youngest = c;
	cb->nconns++;
	ev_io_init(&c->io, on_io, fd, EV_READ);
	ev_timer_init(&c->timer, on_time, TIME, 0);
	c->io.data = c->timer.data = c;
	ev_io_start(cb->loop, &c->io);
	ev_timer_start(cb->loop, &c->timer);
	return c;
}

/* ---- the listener ---- */

static void
on_accept(struct ev_loop *loop, ev_io *io, int events)
{
	struct callback *cb = io->data;
	int fd = accept4(cb->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	/* also when there are no descriptors: the next try is as far away */
	ev_io_stop(loop, &cb->io);
	ev_timer_again(loop, &cb->pause);
	if (fd == -1)
		return;
	if (cb->nconns == CONNECTIONS)
		drop(cb->eldest);
	if (new_conn(cb, fd) == NULL)
		close(fd);
}

static void
on_pause(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct callback *cb = timer->data;

	(void)events;
	ev_timer_stop(loop, timer);
	ev_io_start(loop, &cb->io);
}

/* What others are to call the host of an address: its own name where that
 * stands for all of them. */
static char *
host_name(const char *address)
{
	struct address a;
	char name[256] = "";

	address_split(&a, address, strlen(address));
	if (address_is_any(&a)) {
		gethostname(name, sizeof(name) - 1);
		return strdup(name);
	}
	return strndup(address, (size_t)(a.port - 1 - address));
}

static int
set_up(struct callback *cb, const struct spool *spool, const char *address,
    struct fault *f)
{
	char real[ADDRESS_MAX];
	struct fault why;

	cb->host = host_name(address);
	if (cb->host == NULL)
		return fault_errno(f, FAULT_INTERNAL, "callback");
	cb->tls = tls_server_open(spool->fd, NULL, 0, f);
	if (cb->tls == NULL)
		return -1;
	if ((cb->fd = address_listen(address, BACKLOG, &why)) == -1)
		return fault_set(f, why.code, "listeners.callback: %.480s",
		    why.text);
	address_of(cb->fd, real);
	strncpy(cb->port, strrchr(real, ':') + 1, sizeof(cb->port) - 1);
	return 0;
}

struct callback *
callback_open(struct ev_loop *loop, const struct spool *spool, jv namespace,
    struct fault *f)
{
	const char *address = jq_str(namespace, "properties.listeners.callback");
	struct callback *cb;

	f->code = FAULT_NONE;
	if (address == NULL || *address == '\0')
		return NULL;
	if ((cb = calloc(1, sizeof(*cb))) == NULL) {
		fault_errno(f, FAULT_INTERNAL, "callback");
		return NULL;
	}
	cb->loop = loop;
	cb->fd = -1;
	ev_io_init(&cb->io, on_accept, cb->fd, EV_READ);
	ev_timer_init(&cb->pause, on_pause, 0, PAUSE);
	if (set_up(cb, spool, address, f) == -1) {
		callback_close(cb);
		return NULL;
	}
	ev_io_set(&cb->io, cb->fd, EV_READ);
	cb->io.data = cb->pause.data = cb;
	ev_io_start(loop, &cb->io);
	return cb;
}

int
callback_reload(struct callback *cb, const struct spool *spool,
    struct fault *f)
{
	struct tls_server *tls = tls_server_open(spool->fd, NULL, 0, f);

	if (tls == NULL)
		return -1;
	tls_server_free(cb->tls);
	cb->tls = tls;
	return 0;
}

void
callback_close(struct callback *cb)
{
	if (cb == NULL)
		return;
	while (cb->eldest != NULL)
		drop(cb->eldest);
	for (struct callback_wait *w = cb->waits; w != NULL; w = w->next)
		w->callback = NULL;
	ev_io_stop(cb->loop, &cb->io);
	ev_timer_stop(cb->loop, &cb->pause);
	if (cb->fd != -1)
		close(cb->fd);
	tls_server_free(cb->tls);
	free(cb->host);
	free(cb);
}

void
callback_address(const struct callback *cb, struct buf *out)
{
	char text[ADDRESS_MAX];

	address_of(cb->fd, text);
	buf_str(out, text);
}

/* ---- waits ---- */

static int
new_key(char key[CALLBACK_KEY + 1])
{
	unsigned char bytes[CALLBACK_KEY / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -1;
	hex_text(key, bytes, sizeof(bytes));
	return 0;
}

struct callback_wait *
callback_wait(struct callback *cb, char key[CALLBACK_KEY + 1],
    void (*granted)(long, void *), void *arg)
{
	struct callback_wait *w = calloc(1, sizeof(*w));

	if (w == NULL || (*key == '\0' && new_key(key) == -1)) {
		free(w);
		return NULL;
	}
	w->callback = cb;
	memcpy(w->key, key, CALLBACK_KEY);
	w->granted = granted;
	w->arg = arg;
	w->next = cb->waits;
	if (w->next != NULL)
		w->next->prev = w;
	cb->waits = w;
	return w;
}

void
callback_forget(struct callback_wait *w)
{
	if (w == NULL)
		return;
	if (w->prev != NULL)
		w->prev->next = w->next;
	else if (w->callback != NULL)
		w->callback->waits = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	explicit_bzero(w->key, sizeof(w->key));
	free(w);
}

void
callback_url(const struct callback_wait *w, struct buf *out)
{
	if (w->callback != NULL)
		buf_printf(out, "https://%s:%s/callback/%s", w->callback->host,
		    w->callback->port, w->key);
}
