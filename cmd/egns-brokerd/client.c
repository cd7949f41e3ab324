/* connections: sockets, TLS, WebSocket, the borders of packets */
#include "client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "connect.h"
#include "log.h"
#include "notice.h"
#include "packet.h"
#include "quote.h"
#include "refusal.h"
#include "session.h"
#include "store.h"
#include "window.h"

#define NET_MAX 65536     /* bytes that one read takes */
#define ACCEPTS 16        /* connections taken in a turn */
#define FDS_RESERVED 160  /* for files, the local socket and the webhook */
#define IN_KEEP 4096      /* of buffers that have become empty */

/* ---- life ---- */

struct client *
client_ref(struct client *c)
{
	c->refs++;
	return c;
}

void
client_unref(struct client *c)
{
	if (--c->refs > 0)
		return;
	principal_free(&c->who);
	free((char *)c->method.p);
	free(c->topic);
	free(c->record);
	for (int i = 0; c->aliases != NULL && i < CLIENT_ALIASES; i++)
		free(c->aliases[i].topic);
	free(c->aliases);
	free(c->rate);
	free(c);
}

/* Of those that have sent no CONNECT, the youngest. */
static void
enlist_stranger(struct client *c)
{
	struct broker *b = c->broker;

	c->stranger = true;
	b->nstrangers++;
	TAILQ_INSERT_TAIL(&b->strangers, c, stranger_entry);
}

void
client_known(struct client *c)
{
	struct broker *b = c->broker;

	if (!c->stranger)
		return;
	c->stranger = false;
	b->nstrangers--;
	b->in_strange -= c->counted;
	TAILQ_REMOVE(&b->strangers, c, stranger_entry);
}

/* What of its input waits, in the sums of all. */
static void
count_in(struct client *c)
{
	struct broker *b = c->broker;

	b->in_total += c->in.len - c->counted;
	if (c->stranger)
		b->in_strange += c->in.len - c->counted;
	c->counted = c->in.len;
}

static void
unlist(struct client *c)
{
	struct broker *b = c->broker;

	client_known(c);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		b->clients = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	b->nclients--;
}

/* The session goes on without it, or ends with it. */
static void
leave_session(struct client *c)
{
	struct session *s = c->session;
	int64_t delay;

	if (s == NULL)
		return;
	c->session = NULL;
	if (s->client == c && !s->ended) {
		session_detach(s);
		delay = s->will.delay < s->expiry ? s->will.delay : s->expiry;
		s->will_due = s->will.message == NULL ? 0 :
		    s->offline_since + delay * CLOCK_SECOND;
		if (s->expiry == 0)
			session_end(s, SESSION_ENDED);
		else {
			if (s->told)
				store_disconnected(s, s->will.message != NULL);
			if (s->will_due != 0 && delay == 0)
				session_sweep(s, s->offline_since);
		}
	}
	session_unref(s);
}

/* What was to be sent is encrypted, or of no use any more. */
static void
free_out(struct client *c)
{
	c->broker->out_total -= c->messages;
	c->messages = 0;
	buf_free(&c->out);
}

/* Everything but the struct goes at once. */
static void
drop(struct client *c)
{
	struct broker *b = c->broker;

	if (c->state == CLIENT_GONE)
		return;
	connect_forget(c);
	c->state = CLIENT_GONE;
	ev_io_stop(b->loop, &c->read);
	ev_io_stop(b->loop, &c->write);
	close(c->fd);
	leave_session(c);
	buf_free(&c->in);
	count_in(c);
	b->out_total -= c->wire.len;
	tls_free(c->tls);
	c->tls = NULL;
	ws_free(c->ws);
	c->ws = NULL;
	free_out(c);
	buf_free(&c->wire);
	unlist(c);
	client_unref(c);
}

/* ---- sending ---- */

void
client_want_flush(struct client *c)
{
	if (c->flushing || c->state == CLIENT_GONE)
		return;
	c->flushing = true;
	c->flush_next = c->broker->flush;
	c->broker->flush = client_ref(c);
}

bool
client_room(const struct client *c, uint8_t qos)
{
	size_t waits = c->out.len + c->wire.len;
	size_t total = c->broker->out_total;

	/* the second half is for those that have read all before */
	if (total > CLIENTS_OUT_TOTAL)
		return waits == 0 && total / 2 < CLIENTS_OUT_TOTAL;
	return waits < (qos == 0 ? CLIENT_OUT_MAX : CLIENT_OUT_HIGH);
}

void
client_delivered(struct client *c, size_t n)
{
	c->messages += n;
	c->broker->out_total += n;
}

/* What the socket does not take now waits in `wire`. */
static void
send_wire(struct client *c, struct buf *from)
{
	ssize_t n = 0;

	if (from->bad) {
		client_lost(c, END_SERVER_ERROR, "out of memory");
		return;
	}
	if (from->len > 0)
		n = send(c->fd, buf_data(from), from->len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n == -1 && errno != EAGAIN && errno != EINTR) {
		client_lost(c, END_LOST, strerror(errno));
		return;
	}
	if (n > 0) {
		c->broker->stats.bytes_out += (size_t)n;
		c->sent = clock_mono();
		buf_take(from, (size_t)n);
	}
	if (from == &c->wire)
		c->broker->out_total -= n > 0 ? (size_t)n : 0;
	else if (from->len > 0) {
		if (c->wire.len == 0)
			c->sent = clock_mono();
		buf_add(&c->wire, buf_data(from), from->len);
		c->broker->out_total += from->len;
	}
	if (c->wire.len > 0)
		ev_io_start(c->broker->loop, &c->write);
	else {
		ev_io_stop(c->broker->loop, &c->write);
		buf_free(&c->wire);
	}
}

/*
 * All was sent. Were the socket closed now, what the peer is still sending
 * would have the kernel reset the connection, and our last words could be lost.
 */
static void
linger(struct client *c)
{
	if (c->broker->stopping || !tls_established(c->tls)) {
		drop(c);
		return;
	}
	shutdown(c->fd, SHUT_WR);
	ev_io_start(c->broker->loop, &c->read);
}

static void
tls_failed(struct client *c, enum client_end why)
{
	char words[160];

	snprintf(words, sizeof(words), "TLS: %s", tls_error(c->tls));
	client_lost(c, why, words);
}

/* Encrypt all that is there; the socket has taken what was before it. */
static void
send_out(struct client *c)
{
	struct broker *b = c->broker;
	struct buf *plain = &c->out;

	if (c->out.len == 0 || !tls_established(c->tls))
		return;
	if (c->out.bad) {
		client_lost(c, END_SERVER_ERROR, "out of memory");
		return;
	}
	if (c->ws != NULL) {
		buf_reset(&b->frames, NET_MAX);
		ws_write(c->ws, buf_data(&c->out), c->out.len, &b->frames);
		plain = &b->frames;
	}
	buf_reset(&b->wire, 1024 * 1024);
	if (tls_write(c->tls, buf_data(plain), plain->len, &b->wire) != TLS_OK) {
		tls_failed(c, END_LOST);
		return;
	}
	free_out(c);
	send_wire(c, &b->wire);
}

static void
flush(struct client *c)
{
	if (c->state == CLIENT_GONE || c->wire.len > 0)
		return;
	send_out(c);
	if (c->state == CLIENT_CLOSING && c->wire.len == 0)
		linger(c);
	else if (c->state == CLIENT_CONNECTED && c->session != NULL)
		session_push(c->session);
}

void
clients_flush(struct broker *b)
{
	struct client *c;

	while ((c = b->flush) != NULL) {
		b->flush = c->flush_next;
		c->flushing = false;
		flush(c);
		client_unref(c);
	}
}

/* It asks and asks, and does not read the answers. */
static bool
behind(const struct client *c)
{
	return c->out.len + c->wire.len > CLIENT_BEHIND;
}

static void
on_write(struct ev_loop *loop, ev_io *w, int events)
{
	struct client *c = w->data;

	(void)loop;
	(void)events;
	client_ref(c);
	send_wire(c, &c->wire);
	if (c->state != CLIENT_GONE && c->wire.len == 0)
		flush(c);
	/* it may have asked for too much to be listened to */
	if (c->blocked && !behind(c))
		client_resume(c);
	client_unref(c);
}

/* ---- the end ---- */

static void
count_end(struct client *c, enum client_end why)
{
	if (c->state == CLIENT_CONNECTED) {
		c->broker->stats.ends[why]++;
		c->broker->stats.connections[client_protocol(c)]--;
		notice_disconnected(c->session, why);
	}
}

static const char *
name_of(const struct client *c, char q[QUOTE_MAX])
{
	return c->who.name == NULL ? c->peer :
	    quote(q, c->who.name, strlen(c->who.name));
}

/* One who has not shown who it is goes by its address. */
bool
client_may_say(const struct client *c, const char *operation)
{
	const char *colon = strrchr(c->peer, ':');

	if (c->who.name != NULL)
		return refusal_may_say(c->broker, c->who.name,
		    strlen(c->who.name), operation);
	return refusal_may_say(c->broker, c->peer, colon == NULL ?
	    strlen(c->peer) : (size_t)(colon - c->peer), operation);
}

/* A goodbye as the layers below have it; behind what was sent before. */
static void
goodbye(struct client *c)
{
	struct broker *b = c->broker;

	if (c->tls == NULL || !tls_established(c->tls))
		return;
	buf_reset(&b->wire, 1024 * 1024);
	if (c->ws != NULL && ws_open(c->ws)) {
		buf_reset(&b->frames, NET_MAX);
		ws_goodbye(c->ws, 1000, &b->frames);
		if (b->frames.len > 0)
			tls_write(c->tls, buf_data(&b->frames), b->frames.len,
			    &b->wire);
	}
	tls_goodbye(c->tls, &b->wire);
	if (c->wire.len == 0)
		send_wire(c, &b->wire);
	else if (c->state != CLIENT_GONE) {
		buf_add(&c->wire, buf_data(&b->wire), b->wire.len);
		b->out_total += b->wire.len;
	}
}

void
client_finish(struct client *c)
{
	struct broker *b = c->broker;

	if (!client_alive(c))
		return;
	connect_forget(c);
	ev_io_stop(b->loop, &c->read);
	client_ref(c);
	c->state = CLIENT_CLOSING;
	c->heard = clock_mono();
	leave_session(c);
	if (c->wire.len == 0)
		send_out(c);
	if (c->state != CLIENT_GONE)
		goodbye(c);
	if (c->state != CLIENT_GONE && c->wire.len == 0)
		linger(c);
	client_unref(c);
}

bool
client_fits(struct client *c, size_t before)
{
	if (c->out.len - before <= c->maximum_packet)
		return true;
	c->out.len = before;
	return false;
}

/* MQTT-3.14.2-3: the words only where they fit. */
static void
say_goodbye(struct client *c, enum mqtt_reason reason, const char *words)
{
	size_t before = c->out.len;

	mqtt_write_disconnect(&c->out, reason, words);
	if (client_fits(c, before))
		return;
	mqtt_write_disconnect(&c->out, reason, NULL);
	client_fits(c, before);
}

void
client_end(struct client *c, enum client_end why, enum mqtt_reason reason,
    const char *words)
{
	char q[QUOTE_MAX];

	if (!client_alive(c))
		return;
	count_end(c, why);
	if (c->state != CLIENT_CONNECTED) {
		client_lost(c, why, words);
		return;
	}
	if (why != END_SERVER && why != END_TAKEN_OVER &&
	    client_may_say(c, "disconnected"))
		log_warn("client '%s': disconnected: %s", name_of(c, q), words);
	if (c->version == MQTT_5)
		say_goodbye(c, reason, words);
	client_finish(c);
}

void
client_lost(struct client *c, enum client_end why, const char *words)
{
	char q[QUOTE_MAX];

	if (c->state == CLIENT_GONE)
		return;
	if (client_alive(c)) {
		count_end(c, why);
		if (why == END_INITIATED || why == END_LOST)
			log_info("client '%s': %s", name_of(c, q), words);
		else if (client_may_say(c, "dropped"))
			log_warn("client '%s': dropped: %s", name_of(c, q),
			    words);
	}
	drop(c);
}

/* ---- receiving ---- */

/* Must what comes next wait for the disk, or for an answer? */
static bool
must_wait(const struct client *c)
{
	return c->state == CLIENT_ASKING || c->state == CLIENT_ACCEPTING ||
	    c->asked_again || c->subscribing || behind(c) ||
	    window_full(c->broker) ||
	    (c->version == MQTT_3 && c->owed >= CLIENT_RECEIVE_MAX);
}

static void
block(struct client *c)
{
	ev_io_stop(c->broker->loop, &c->read);
	if (c->blocked)
		return;
	c->blocked = true;
	c->blocked_next = c->broker->blocked;
	c->broker->blocked = client_ref(c);
}

/* Whole packets of a span. Returns the bytes taken. */
static size_t
take_packets(struct client *c, const char *p, size_t n)
{
	struct mqtt_header h;
	size_t taken = 0;
	int rc;

	while (client_alive(c)) {
		if (must_wait(c)) {
			block(c);
			break;
		}
		if (taken == n)
			break;
		rc = mqtt_header(&h, p + taken, n - taken);
		if (rc == -1) {
			client_end(c, END_CLIENT_ERROR, MQTT_MALFORMED,
			    "MQTT-1.5.5-1: remaining length of five bytes");
			break;
		}
		if (!packet_allowed(c, &h, (unsigned char)p[taken]) || rc == 0 ||
		    h.remaining > n - taken - h.bytes)
			break;
		c->heard = clock_mono();
		packet_take(c, &h,
		    (const unsigned char *)p + taken + h.bytes);
		taken += h.bytes + h.remaining;
	}
	return taken;
}

/* Strangers share less, so that they leave room for clients. */
static bool
too_much(const struct client *c)
{
	const struct broker *b = c->broker;

	return b->in_total > CLIENTS_IN_TOTAL ||
	    (c->stranger && b->in_strange > CLIENTS_STRANGE_TOTAL);
}

/* Packets have arrived: behind those that are there, or in a buffer of ours. */
static void
take_plain(struct client *c, struct buf *fresh)
{
	size_t taken;

	if (fresh != &c->in && c->in.len > 0) {
		buf_add(&c->in, buf_data(fresh), fresh->len);
		fresh = &c->in;
	}
	c->taking = true;
	taken = take_packets(c, buf_data(fresh), fresh->len);
	c->taking = false;
	if (c->state == CLIENT_GONE)
		return;
	if (fresh == &c->in)
		buf_take(&c->in, taken);
	else if (taken < fresh->len)
		buf_add(&c->in, buf_data(fresh) + taken, fresh->len - taken);
	count_in(c);
	if (c->in.bad || (c->in.len > IN_KEEP && too_much(c)))
		client_end(c, END_QUOTA, MQTT_QUOTA,
		    "too many unfinished packets of all clients");
	else if (c->in.len == 0)
		buf_free(&c->in);
}

static void
established(struct client *c)
{
	if (c->state == CLIENT_HANDSHAKE && tls_established(c->tls) &&
	    (c->ws == NULL || ws_open(c->ws)))
		c->state = CLIENT_CONNECT;
}

/* Decrypted bytes: through the WebSocket, if there is one. */
static void
take_frames(struct client *c, struct buf *plain)
{
	struct broker *b = c->broker;
	struct buf *out = &c->out;
	bool go_on;

	if (c->ws == NULL) {
		established(c);
		take_plain(c, plain);
		return;
	}
	buf_reset(&b->frames, NET_MAX);
	buf_reset(&b->text, NET_MAX);
	go_on = ws_feed(c->ws, buf_data(plain), plain->len, &b->frames,
	    &b->text);
	established(c);
	if (b->text.len > 0) {
		/* below the packets, so not through `out`: encrypt it now */
		buf_reset(&b->wire, 1024 * 1024);
		tls_write(c->tls, buf_data(&b->text), b->text.len, &b->wire);
		if (c->wire.len > 0) {
			buf_add(&c->wire, buf_data(&b->wire), b->wire.len);
			b->out_total += b->wire.len;
		} else
			send_wire(c, &b->wire);
	}
	(void)out;
	if (c->state == CLIENT_GONE)
		return;
	if (b->frames.len > 0) {
		struct buf mine = b->frames;

		b->frames = (struct buf){ 0 };
		take_plain(c, &mine);
		if (b->frames.mem == NULL)
			b->frames = mine;
		else
			buf_free(&mine);
	}
	if (!go_on && client_alive(c))
		client_lost(c, ws_error(c->ws) == NULL ? END_INITIATED :
		    END_CLIENT_ERROR, ws_error(c->ws) == NULL ?
		    "WebSocket closed" : ws_error(c->ws));
}

static void
take_wire(struct client *c, const void *bytes, size_t n)
{
	struct broker *b = c->broker;
	enum tls_result result;
	struct buf plain = b->plain;

	/* ours while packets are worked on: others may need theirs */
	b->plain = (struct buf){ 0 };
	buf_reset(&plain, NET_MAX);
	buf_reset(&b->wire, 1024 * 1024);
	result = tls_feed(c->tls, bytes, n, &plain, &b->wire);
	if (b->wire.len > 0) {
		if (c->wire.len > 0) {
			buf_add(&c->wire, buf_data(&b->wire), b->wire.len);
			b->out_total += b->wire.len;
		} else
			send_wire(c, &b->wire);
	}
	if (c->state != CLIENT_GONE && plain.bad)
		client_lost(c, END_SERVER_ERROR, "out of memory");
	if (client_alive(c))
		established(c);
	if (client_alive(c) && plain.len > 0)
		take_frames(c, &plain);
	if (client_alive(c) && result == TLS_FAILED)
		tls_failed(c, c->state == CLIENT_HANDSHAKE ?
		    END_CLIENT_ERROR : END_LOST);
	else if (client_alive(c) && result == TLS_CLOSED)
		client_lost(c, END_LOST, "TLS closed");
	if (b->plain.mem == NULL)
		b->plain = plain;
	else
		buf_free(&plain);
}

/* It has not seen yet that we are done with it. */
static void
ignore(struct client *c, size_t n)
{
	c->ignored += n;
	if (c->ignored > CLIENT_LINGER_MAX)
		drop(c);
}

static void
on_read(struct ev_loop *loop, ev_io *w, int events)
{
	struct client *c = w->data;
	struct broker *b = c->broker;
	ssize_t n;

	(void)loop;
	(void)events;
	if (c->state != CLIENT_CLOSING && behind(c)) {
		block(c);
		return;
	}
	/* handshakes are dear: the others must not wait for all of them */
	if (c->state == CLIENT_HANDSHAKE) {
		if (b->handshakes == 0)
			return;
		b->handshakes--;
	}
	n = recv(c->fd, b->net, NET_MAX, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	client_ref(c);
	if (n <= 0)
		client_lost(c, END_LOST, n == 0 ? "connection closed" :
		    strerror(errno));
	else {
		b->stats.bytes_in += (size_t)n;
		if (c->state == CLIENT_CLOSING)
			ignore(c, (size_t)n);
		else
			take_wire(c, b->net, (size_t)n);
	}
	client_unref(c);
}

void
client_resume(struct client *c)
{
	/* what is answered at once is still in `in`, and its taker goes on */
	if (!client_alive(c) || c->taking)
		return;
	client_ref(c);
	if (c->in.len > 0)
		take_plain(c, &c->in);
	if (client_alive(c) && must_wait(c))
		block(c);
	else if (client_alive(c))
		ev_io_start(c->broker->loop, &c->read);
	client_unref(c);
}

void
clients_unblock(struct broker *b)
{
	struct client *c, *list = b->blocked;

	b->blocked = NULL;
	for (; list != NULL; list = c) {
		c = list->blocked_next;
		list->blocked = false;
		client_resume(list);
		/* the list's own reference, so it is there still */
		client_unref(list); /* NOLINT(clang-analyzer-unix.Malloc) */
	}
}

/* ---- rights ---- */

void
client_rights_changed(struct client *c)
{
	struct session *s = c->session;
	bool lost;

	free(c->topic);
	c->topic = NULL;
	free(c->record);
	c->record = NULL;
	if (s == NULL)
		return;
	lost = session_check_rights(s, c->who.grants);
	if (lost || (!grants_some(c->who.grants) && !c->broker->settings.azure))
		client_end(c, END_AUTHORIZATION, MQTT_NOT_AUTHORIZED,
		    "groups, topic spaces or bindings have changed");
}

/* ---- time ---- */

/* Seconds since then, by clock_mono(). */
static int64_t
since(int64_t now, int64_t then)
{
	return (now - then) / CLOCK_SECOND;
}

static void
sweep(struct client *c, int64_t now)
{
	if (c->wire.len > 0 && since(now, c->sent) >= CLIENT_STALL_TIME) {
		client_lost(c, END_LOST, "it reads nothing");
		return;
	}
	switch (c->state) {
	case CLIENT_HANDSHAKE:
	case CLIENT_CONNECT:
		if (since(now, c->since) >= CLIENT_CONNECT_TIME)
			client_lost(c, END_CLIENT_ERROR,
			    "no CONNECT in time");
		return;
	case CLIENT_CONNECTED:
		/* MQTT-3.1.2-22 */
		if (c->keep_alive != 0 && !must_wait(c) && now - c->heard >
		    (int64_t)c->keep_alive * CLOCK_SECOND * 3 / 2)
			client_end(c, END_LOST, MQTT_KEEP_ALIVE,
			    "Timed out per negotiated Keep Alive");
		else if (c->who.expires != 0 &&
		    c->broker->now >= c->who.expires)
			client_end(c, END_AUTHENTICATION, MQTT_NOT_AUTHORIZED,
			    "the certificate or token has expired");
		else
			/* there may be room for it now that there was not */
			session_push(c->session);
		return;
	case CLIENT_CLOSING:
		if (since(now, c->heard) >= (c->wire.len > 0 ?
		    CLIENT_CONNECT_TIME : CLIENT_LINGER_TIME))
			client_lost(c, END_LOST, "it reads nothing");
		return;
	case CLIENT_ASKING:
	case CLIENT_ACCEPTING:
	case CLIENT_GONE:
		return;
	}
}

void
clients_sweep(struct broker *b)
{
	struct client *c, *next;
	int64_t now = clock_mono();

	for (c = b->clients; c != NULL; c = next) {
		next = c->next;
		sweep(c, now);
	}
}

/* ---- accepting ---- */

static struct client *
client_new(struct broker *b, int fd, const struct sockaddr_storage *address,
    bool websocket)
{
	struct client *c = calloc(1, sizeof(*c));
	int yes = 1;

	if (c == NULL)
		return NULL;
	c->broker = b;
	c->refs = 1;
	c->fd = fd;
	c->address = *address;
	c->version = MQTT_3;
	c->maximum_packet = UINT32_MAX;
	c->since = c->heard = c->sent = clock_mono();
	c->tls = tls_new(b->settings.tls);
	c->ws = websocket ? ws_new() : NULL;
	if (c->tls == NULL || (websocket && c->ws == NULL)) {
		tls_free(c->tls);
		ws_free(c->ws);
		free(c);
		return NULL;
	}
	address_text(&c->address, c->peer);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	c->next = b->clients;
	if (c->next != NULL)
		c->next->prev = c;
	b->clients = c;
	b->nclients++;
	enlist_stranger(c);
	ev_io_init(&c->read, on_read, fd, EV_READ);
	ev_io_init(&c->write, on_write, fd, EV_WRITE);
	c->read.data = c->write.data = c;
	ev_io_start(b->loop, &c->read);
	return c;
}

/*
 * Room for one more? When there is none, the eldest of those that have not said
 * who they are makes it, if it has had its time: nobody keeps the others out by
 * connecting and saying nothing.
 */
static bool
make_room(struct broker *b)
{
	struct client *c = TAILQ_FIRST(&b->strangers);

	if (b->nclients < b->clients_max && b->nstrangers < CLIENTS_STRANGERS)
		return true;
	if (c == NULL || since(clock_mono(), c->since) < CLIENT_STRANGE_TIME)
		return false;
	client_lost(c, END_CLIENT_ERROR, "no CONNECT in time, and others wait");
	return true;
}

void
client_accept(struct broker *b, struct listener *l)
{
	struct sockaddr_storage address;
	socklen_t len;
	int fd;

	for (int i = 0; i < ACCEPTS; i++) {
		/* what cannot be taken now waits in the kernel */
		if (!make_room(b) && b->nstrangers >= CLIENTS_STRANGERS) {
			listen_pause(b);
			return;
		}
		len = sizeof(address);
		fd = accept4(l->fd, (struct sockaddr *)&address, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1 && errno != EAGAIN && errno != ECONNABORTED &&
		    errno != EINTR)
			listen_pause(b);
		if (fd == -1)
			return;
		if (b->nclients < b->clients_max &&
		    client_new(b, fd, &address, l->websocket) != NULL)
			continue;
		close(fd);
		if (refusal_may_say(b, l->address, strlen(l->address),
		    "a connection refused"))
			log_warn("a connection refused: there are %u, and %u "
			    "are what memory and the limit on open files allow",
			    b->nclients, b->clients_max);
	}
}

int
clients_open(struct broker *b, struct fault *f)
{
	struct rlimit limit = { 1024, 1024 };

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur > 1000000)
		limit.rlim_cur = 1000000;
	b->clients_max = (unsigned)limit.rlim_cur > 2 * FDS_RESERVED ?
	    (unsigned)limit.rlim_cur - FDS_RESERVED :
	    (unsigned)limit.rlim_cur / 2;
	TAILQ_INIT(&b->strangers);
	if ((b->net = malloc(NET_MAX)) == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	return 0;
}

void
clients_close(struct broker *b)
{
	struct client *c, *next;

	for (c = b->clients; c != NULL; c = next) {
		next = c->next;
		drop(c);
	}
	clients_flush(b);
	clients_unblock(b);
	free(b->net);
	buf_free(&b->plain);
	buf_free(&b->frames);
	buf_free(&b->wire);
}
