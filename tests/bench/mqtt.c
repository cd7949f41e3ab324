/*
 * Load on an MQTT broker over TLS 1.3 with a client certificate: one thread, all
 * that a turn brings for a connection goes out in one record.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "buf.h"

#define AT_ONCE 64      /* connections that are being opened at a time */
#define WINDOW_MAX 1000 /* QoS 1 messages of a connection on their way */
#define PAYLOAD_MAX 65536
#define PATIENCE 30     /* seconds without a byte until the broker hangs */
#define WARM 0.5        /* seconds that are not measured */
#define READ_MAX (256 * 1024)
#define READING_MIN 100 /* bytes of a payload of -j */

enum packet {
	CONNACK = 2,
	PUBLISH,
	PUBACK,
	SUBACK = 9,
	PINGRESP = 13,
	DISCONNECT,
};

struct connection {
	enum { CLOSED, HANDSHAKE, HELLO, UP } state;
	bool waits; /* for room to write */
	int fd;
	unsigned n; /* its name is "b" and this number */
	SSL *tls;
	struct buf in, out;
	/* of a publisher */
	unsigned window, flying;
	uint16_t next, oldest; /* packet ids less 1, going round the window */
	double *sent;          /* when, by packet id */
	unsigned published;
	const char *topic;
	/* of a subscriber */
	unsigned subacks; /* that are due */
	uint64_t received;
};

static struct {
	struct sockaddr_in to;
	SSL_CTX *tls;
	int version;
	pid_t pid; /* of the broker; 0: not known */
	size_t payload;
	bool readings; /* payloads are JSON */
} opt = { .version = 5, .payload = 200 };

/* What a kind of work does when something has happened. */
static struct {
	void (*up)(struct connection *);
	void (*subscribed)(struct connection *);
	void (*acked)(struct connection *);
	void (*got)(struct connection *);
	void (*turn)(void);
} work;

static int epoll;
static struct connection *all;
static unsigned opening, open_now;
static double now, heard;
static int turn_ms = 100; /* that a turn waits */
static uint8_t message[PAYLOAD_MAX];

/* Microseconds from PUBLISH to PUBACK, in steps of 10. */
#define STEPS 200000
static uint32_t took[STEPS];
static uint64_t ntook;

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- the broker's process ---- */

/* The number behind the name in a file of /proc/PID. */
static double
proc_number(const char *file, const char *name)
{
	char path[64], line[256];
	double value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)opt.pid, file);
	if ((f = fopen(path, "r")) == NULL)
		err(1, "%s", path);
	while (value < 0 && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtod(line + strlen(name), NULL);
	fclose(f);
	return value;
}

static double
cpu(void)
{
	char path[64], text[1024], *p;
	unsigned long user, system;
	FILE *f;

	if (opt.pid == 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)opt.pid);
	if ((f = fopen(path, "r")) == NULL)
		err(1, "%s", path);
	if (fgets(text, sizeof(text), f) == NULL ||
	    (p = strrchr(text, ')')) == NULL || sscanf(p, ") %*c %*d %*d %*d "
	    "%*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
		errx(1, "%s: not understood", path);
	fclose(f);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Resident KiB, once they stay the same. */
static long
memory(void)
{
	long is, was = -1;
	int i;

	if (opt.pid == 0)
		return 0;
	for (i = 0; i < 50; i++, was = is) {
		is = (long)proc_number("status", "VmRSS:");
		if (is == was)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
	}
	return is;
}

/* Sockets that the broker's machine still has open towards us. */
static unsigned
broker_connections(void)
{
	char line[256];
	unsigned port, state, n = 0;
	FILE *f = fopen("/proc/net/tcp", "r");

	if (f == NULL)
		err(1, "/proc/net/tcp");
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, " %*d: %*x:%x %*x:%*x %x", &port,
		    &state) == 2 && port == ntohs(opt.to.sin_port) &&
		    (state == 1 || state == 8)) /* ESTABLISHED, CLOSE_WAIT */
			n++;
	fclose(f);
	return n;
}

static void
wait_closed(void)
{
	double end = seconds() + PATIENCE;

	while (broker_connections() > 0) {
		if (seconds() > end)
			errx(1, "the broker keeps connections open");
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	}
}

/* ---- packets ---- */

static void
add_byte(struct buf *b, unsigned byte)
{
	char c = (char)byte;

	buf_add(b, &c, 1);
}

static void
add_u16(struct buf *b, unsigned n)
{
	add_byte(b, n >> 8);
	add_byte(b, n & 0xff);
}

static void
add_string(struct buf *b, const char *s)
{
	add_u16(b, (unsigned)strlen(s));
	buf_str(b, s);
}

static void
add_length(struct buf *b, size_t n)
{
	for (; n > 127; n >>= 7)
		add_byte(b, 0x80 | (n & 0x7f));
	add_byte(b, (unsigned)n);
}

/* The empty properties of MQTT 5. */
static void
add_no_properties(struct buf *b)
{
	if (opt.version == 5)
		add_byte(b, 0);
}

static void
add_connect(struct connection *c)
{
	char name[16];
	size_t len = (size_t)snprintf(name, sizeof(name), "b%u", c->n);

	add_byte(&c->out, 0x10);
	add_length(&c->out, 14u + (opt.version == 5) + 2 * len);
	add_string(&c->out, "MQTT");
	add_byte(&c->out, (unsigned)opt.version);
	add_byte(&c->out, 0x82); /* clean, with a user name */
	add_u16(&c->out, 1000);
	add_no_properties(&c->out);
	add_string(&c->out, name);
	add_string(&c->out, name);
}

/* The payload of -j: the how many-th of its connection it is, and when it was
 * sent, in microseconds of CLOCK_MONOTONIC. One in eight has above 90 degrees. */
static void
write_reading(const struct connection *c)
{
	unsigned n = c->published, t = 200 + (n * 37 + c->n * 13) % 800;
	size_t len = (size_t)snprintf((char *)message, READING_MIN,
	    "{\"celsius\":%u.%u,\"n\":%u,\"at\":%llu,\"note\":\"", t / 10,
	    t % 10, n, (unsigned long long)(now * 1e6));

	memset(message + len, 'x', opt.payload - len - 2);
	memcpy(message + opt.payload - 2, "\"}", 2);
}

static void
add_publish(struct connection *c, const char *topic, unsigned qos)
{
	size_t len = strlen(topic);

	if (opt.readings)
		write_reading(c);
	c->published++;
	add_byte(&c->out, 0x30 | qos << 1);
	add_length(&c->out, 2 + len + 2 * qos + (opt.version == 5) +
	    opt.payload);
	add_u16(&c->out, (unsigned)len);
	buf_add(&c->out, topic, len);
	if (qos == 1) {
		c->sent[c->next] = now;
		c->flying++;
		add_u16(&c->out, c->next + 1u);
		c->next = (uint16_t)((c->next + 1u) % c->window);
	}
	add_no_properties(&c->out);
	buf_add(&c->out, message, opt.payload);
}

static void
add_subscribe(struct connection *c, char *const *filters, unsigned n,
    unsigned qos)
{
	size_t len = 2 + (opt.version == 5);
	unsigned i;

	for (i = 0; i < n; i++)
		len += 2 + strlen(filters[i]) + 1;
	add_byte(&c->out, 0x82);
	add_length(&c->out, len);
	add_u16(&c->out, ++c->subacks);
	add_no_properties(&c->out);
	for (i = 0; i < n; i++) {
		add_string(&c->out, filters[i]);
		add_byte(&c->out, qos);
	}
}

/* ---- what the broker says ---- */

/* A number of seven bits a byte; the bytes it takes, 0: more are needed. */
static size_t
take_length(const uint8_t *p, size_t n, size_t *value)
{
	size_t i;

	*value = 0;
	for (i = 0; i < n && i < 4; i++) {
		*value |= (size_t)(p[i] & 0x7f) << (7 * i);
		if (p[i] < 0x80)
			return i + 1;
	}
	if (i == 4)
		errx(1, "a length of more than four bytes came");
	return 0;
}

/* The Receive Maximum in a CONNACK's properties. */
static unsigned
receive_maximum(const uint8_t *p, size_t len)
{
	static const uint8_t size[0x2b] = { [0x11] = 4, [0x13] = 2, [0x21] = 2,
		[0x22] = 2, [0x24] = 1, [0x25] = 1, [0x27] = 4, [0x28] = 1,
		[0x29] = 1, [0x2a] = 1 };
	size_t all_len, at = take_length(p, len, &all_len);

	for (; at < len && p[at] < sizeof(size) && size[p[at]] > 0;
	    at += 1u + size[p[at]])
		if (p[at] == 0x21 && at + 2 < len)
			return (unsigned)p[at + 1] << 8 | p[at + 2];
	return opt.version == 5 ? 65535 : WINDOW_MAX;
}

static void
take_connack(struct connection *c, const uint8_t *p, size_t len)
{
	unsigned limit;

	if (c->state != HELLO || len < 2 || p[1] != 0)
		errx(1, "CONNECT as b%u is answered 0x%02x", c->n,
		    len < 2 ? 0 : p[1]);
	limit = receive_maximum(p + 2, len - 2);
	if (c->window > limit)
		c->window = limit;
	c->state = UP;
	opening--;
	work.up(c);
}

static void
take_puback(struct connection *c, const uint8_t *p, size_t len)
{
	size_t step;

	if (len < 2 || (len > 2 && p[2] >= 0x80))
		errx(1, "PUBACK says 0x%02x", len > 2 ? p[2] : 0);
	if (c->flying == 0 || (p[0] << 8 | p[1]) != c->oldest + 1)
		errx(1, "PUBACK of %d, not of %d", p[0] << 8 | p[1],
		    c->oldest + 1);
	step = (size_t)((now - c->sent[c->oldest]) * 1e5);
	took[step < STEPS ? step : STEPS - 1]++;
	ntook++;
	c->flying--;
	c->oldest = (uint16_t)((c->oldest + 1u) % c->window);
	work.acked(c);
}

static void
take_publish(struct connection *c, unsigned qos, const uint8_t *p, size_t len)
{
	size_t topic = len < 2 ? 0 : (size_t)p[0] << 8 | p[1];

	if (len < 4 + topic)
		errx(1, "a PUBLISH of %zu bytes came", len);
	c->received++;
	if (qos == 1) {
		add_byte(&c->out, 0x40);
		add_byte(&c->out, 2);
		buf_add(&c->out, p + 2 + topic, 2);
	}
	work.got(c);
}

static void
take_suback(struct connection *c, const uint8_t *p, size_t len)
{
	size_t i = 2 + (opt.version == 5);

	for (; i < len; i++)
		if (p[i] >= 0x80)
			errx(1, "SUBACK says 0x%02x", p[i]);
	if (--c->subacks == 0)
		work.subscribed(c);
}

static void
take_packet(struct connection *c, uint8_t first, const uint8_t *p, size_t len)
{
	switch ((enum packet)(first >> 4)) {
	case CONNACK:
		take_connack(c, p, len);
		break;
	case PUBACK:
		take_puback(c, p, len);
		break;
	case PUBLISH:
		take_publish(c, first >> 1 & 3, p, len);
		break;
	case SUBACK:
		take_suback(c, p, len);
		break;
	case PINGRESP:
		break;
	case DISCONNECT:
		errx(1, "b%u: DISCONNECT 0x%02x", c->n, len > 0 ? p[0] : 0);
	default:
		errx(1, "a packet 0x%02x came", first);
	}
}

/* The bytes of whole packets. */
static size_t
take_packets(struct connection *c, const uint8_t *p, size_t len)
{
	size_t at = 0, header, body;

	while (len - at >= 2) {
		header = take_length(p + at + 1, len - at - 1, &body);
		if (header == 0 || body > len - at - 1 - header)
			break;
		take_packet(c, p[at], p + at + 1 + header, body);
		at += 1 + header + body;
	}
	return at;
}

/* ---- connections ---- */

static void __attribute__((noreturn))
tls_failed(const struct connection *c, const char *what, int rc)
{
	unsigned long e = ERR_get_error();

	if (e != 0)
		errx(1, "b%u: %s: %s", c->n, what,
		    ERR_reason_error_string(e));
	if (rc == 0 || errno == 0)
		errx(1, "b%u: %s: the broker closed the connection", c->n,
		    what);
	err(1, "b%u: %s", c->n, what);
}

/* Is a call to be repeated when the socket is ready? */
static bool
again(struct connection *c, int rc, bool *room)
{
	int e = SSL_get_error(c->tls, rc);

	*room = e == SSL_ERROR_WANT_WRITE;
	return *room || e == SSL_ERROR_WANT_READ;
}

static void
want(struct connection *c, bool room)
{
	struct epoll_event e = { .events = EPOLLIN | (room ? EPOLLOUT : 0),
		.data.ptr = c };

	if (c->waits == room)
		return;
	c->waits = room;
	if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e) == -1)
		err(1, "epoll_ctl");
}

static void
flush(struct connection *c)
{
	bool room = false;
	int rc;

	if (c->state == CLOSED || c->state == HANDSHAKE)
		return;
	while (c->out.len > 0) {
		errno = 0;
		rc = SSL_write(c->tls, buf_data(&c->out), (int)c->out.len);
		if (rc <= 0) {
			if (!again(c, rc, &room))
				tls_failed(c, "write", rc);
			break;
		}
		buf_take(&c->out, (size_t)rc);
	}
	if (c->out.bad)
		errx(1, "out of memory");
	want(c, room);
}

static void
receive(struct connection *c)
{
	static uint8_t bytes[READ_MAX];
	size_t n = c->in.len, used;
	bool room;
	int rc;

	if (n > 0)
		memcpy(bytes, buf_data(&c->in), n);
	do {
		errno = 0;
		rc = SSL_read(c->tls, bytes + n, (int)(READ_MAX - n));
		if (rc <= 0 && again(c, rc, &room))
			break;
		if (rc <= 0)
			tls_failed(c, "read", rc);
		n += (size_t)rc;
		heard = now;
	} while (n < READ_MAX && SSL_has_pending(c->tls));
	used = take_packets(c, bytes, n);
	buf_reset(&c->in, 0);
	if (c->state != CLOSED && n > used)
		buf_add(&c->in, bytes + used, n - used);
}

static void
handshake(struct connection *c)
{
	bool room;
	int rc;

	errno = 0;
	if ((rc = SSL_connect(c->tls)) == 1) {
		c->state = HELLO;
		add_connect(c);
		return;
	}
	if (!again(c, rc, &room))
		tls_failed(c, "handshake", rc);
	want(c, room);
}

/* From one of many addresses, lest those closed a minute ago keep the ports. */
static int
dial(unsigned n)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + n % 100) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd == -1)
		err(1, "socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1 ||
	    connect(fd, (struct sockaddr *)&opt.to, sizeof(opt.to)) == -1 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) == -1)
		err(1, "connect");
	return fd;
}

static void
open_connection(struct connection *c, unsigned n, unsigned window)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

	c->n = n;
	c->fd = dial(n);
	c->state = HANDSHAKE;
	c->window = window;
	if (window > 0 && c->sent == NULL)
		c->sent = calloc(window, sizeof(*c->sent));
	if ((c->tls = SSL_new(opt.tls)) == NULL ||
	    SSL_set_fd(c->tls, c->fd) != 1 || (window > 0 && c->sent == NULL))
		errx(1, "out of memory");
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) == -1)
		err(1, "epoll_ctl");
	c->waits = false;
	opening++;
	open_now++;
	handshake(c);
	flush(c);
}

static void
close_connection(struct connection *c)
{
	add_byte(&c->out, 0xe0);
	add_byte(&c->out, 0);
	flush(c);
	SSL_shutdown(c->tls);
	SSL_free(c->tls);
	close(c->fd);
	buf_reset(&c->in, 0);
	buf_reset(&c->out, 0);
	c->state = CLOSED;
	open_now--;
}

/* One turn: what has come, what it leads to. */
static void
turn(void)
{
	struct epoll_event e[256];
	int n = epoll_wait(epoll, e, 256, turn_ms), i;
	struct connection *c;

	if (n == -1 && errno != EINTR)
		err(1, "epoll_wait");
	now = seconds();
	if (n <= 0 && now - heard > PATIENCE)
		errx(1, "nothing has come for %d seconds", PATIENCE);
	for (i = 0; i < n; i++) {
		c = e[i].data.ptr;
		if (c->state == HANDSHAKE)
			handshake(c);
		else if (c->state != CLOSED && e[i].events != EPOLLOUT)
			receive(c);
		flush(c);
	}
	if (work.turn != NULL)
		work.turn();
}

static void
nothing(struct connection *c)
{
	(void)c;
}

/* Open connections of these numbers; returns when all are up. */
static void
open_all(unsigned from, unsigned to, unsigned window)
{
	while (from < to || opening > 0) {
		while (from < to && opening < AT_ONCE) {
			open_connection(&all[from], from, window);
			from++;
		}
		turn();
	}
}

static void
close_all(unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		close_connection(&all[i]);
}

static void
run_until(double end)
{
	while (now < end)
		turn();
}

/* ---- measuring ---- */

/* Milliseconds that this share of the PUBACKs took at most. */
static double
took_share(double share)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < STEPS - 1; i++)
		if ((double)(sum += took[i]) >= share * (double)ntook)
			break;
	return (double)(i + 1) / 100;
}

/* Count for some seconds: things a second, and the broker's microseconds of
 * CPU for each. */
static void
measure(const uint64_t *count, double length, double *rate, double *each)
{
	double start, used;
	uint64_t n;

	run_until(now + WARM);
	memset(took, 0, sizeof(took));
	ntook = 0;
	start = now;
	used = cpu();
	n = *count;
	run_until(start + length);
	n = *count - n;
	if (n == 0)
		errx(1, "nothing was done in %.0f seconds", length);
	*rate = (double)n / (now - start);
	*each = (cpu() - used) * 1e6 / (double)n;
}

/* ---- publish ---- */

static uint64_t acked, sent, unsent = UINT64_MAX;
static char **topics; /* that publishers take in turn; NULL: each its own */
static unsigned ntopics;

static void
fill(struct connection *c)
{
	static unsigned at;

	for (; c->flying < c->window && unsent > 0; sent++, unsent--)
		add_publish(c, topics == NULL ? c->topic :
		    topics[at++ % ntopics], 1);
}

static void
refill(struct connection *c)
{
	acked++;
	/* Half a window at a time goes in one record, which is cheap for both. */
	if (c->flying <= c->window / 2)
		fill(c);
}

static void
start_publishers(unsigned from, unsigned n, unsigned window)
{
	char topic[64];
	unsigned i;

	work.acked = refill;
	work.up = nothing;
	open_all(from, from + n, window);
	for (i = from; i < from + n; i++) {
		snprintf(topic, sizeof(topic), "bench/publish/b%u/data", i);
		all[i].topic = strdup(topic);
		fill(&all[i]);
		flush(&all[i]);
	}
}

static void
await_pubacks(void)
{
	while (unsent > 0 || acked < sent)
		turn();
}

static void
publish(unsigned connections, unsigned window, unsigned length)
{
	double rate, each;

	start_publishers(0, connections, window);
	measure(&acked, length, &rate, &each);
	printf("%.0f %.3f %.2f %.2f", rate, each, took_share(0.5),
	    took_share(0.99));
	unsent = 0;
	await_pubacks();
	printf(" %llu\n", (unsigned long long)acked);
}

static void
count(unsigned connections, unsigned window, unsigned messages)
{
	double start;

	unsent = messages;
	start_publishers(0, connections, window);
	start = now;
	await_pubacks();
	printf("%.0f\n", messages / (now - start));
}

/* ---- rate ---- */

static struct {
	unsigned connections;
	double start, every; /* seconds */
} pace;

static void
paced(struct connection *c)
{
	(void)c;
	acked++;
}

/* Publish what is due, each by another connection. */
static void
pace_turn(void)
{
	struct connection *c;

	while (unsent > 0 && now >= pace.start + (double)sent * pace.every) {
		c = &all[sent % pace.connections];
		if (c->flying == c->window)
			errx(1, "b%u: %u PUBACKs are due", c->n, c->flying);
		add_publish(c, c->topic, 1);
		flush(c);
		sent++;
		unsent--;
	}
}

static void
rate(unsigned connections, unsigned per_second, unsigned length)
{
	unsent = 0;
	start_publishers(0, connections, WINDOW_MAX);
	pace.connections = connections;
	pace.start = now;
	pace.every = 1.0 / per_second;
	unsent = (uint64_t)per_second * length;
	work.acked = paced;
	work.turn = pace_turn;
	turn_ms = 1;
	await_pubacks();
	printf("%.2f %.2f\n", took_share(0.5), took_share(0.99));
}

/* ---- fan-out ---- */

static struct {
	unsigned subscribers, ready, qos, limit;
	uint64_t published, base, delivered;
	unsigned *had; /* subscribers that have a message, from base on */
} fan;

static void
fan_up(struct connection *c)
{
	static char filter[] = "bench/fan";
	char *filters[] = { filter };

	if (c->n < fan.subscribers)
		add_subscribe(c, filters, 1, fan.qos);
}

static void
fan_subscribed(struct connection *c)
{
	(void)c;
	fan.ready++;
}

/* What a publisher sends comes in order, so counting tells which it is. */
static void
fan_got(struct connection *c)
{
	fan.delivered++;
	if (c->received > fan.published)
		errx(1, "b%u: more came than was published", c->n);
	fan.had[(c->received - 1) % fan.limit]++;
	while (fan.had[fan.base % fan.limit] == fan.subscribers) {
		fan.had[fan.base % fan.limit] = 0;
		fan.base++;
	}
}

/* Publish what does not take the slowest too far behind. */
static void
fan_turn(void)
{
	struct connection *c = &all[fan.subscribers];

	if (fan.ready < fan.subscribers || c->state != UP)
		return;
	while (fan.published - fan.base < fan.limit &&
	    (fan.qos == 0 || c->flying < c->window)) {
		add_publish(c, "bench/fan", fan.qos);
		fan.published++;
	}
	flush(c);
}

static void
fanout(unsigned subscribers, unsigned qos, unsigned limit, unsigned length)
{
	double rate, each;

	fan.subscribers = subscribers;
	fan.qos = qos;
	fan.limit = limit;
	if ((fan.had = calloc(limit, sizeof(*fan.had))) == NULL)
		err(1, NULL);
	work.up = fan_up;
	work.subscribed = fan_subscribed;
	work.got = fan_got;
	work.acked = nothing;
	work.turn = fan_turn;
	open_all(0, subscribers + 1, WINDOW_MAX);
	measure(&fan.delivered, length, &rate, &each);
	printf("%.0f %.3f\n", rate, each);
}

/* ---- idle ---- */

static void
idle(unsigned n)
{
	long before = memory(), open, after;

	work.up = nothing;
	open_all(0, n, 0);
	open = memory();
	close_all(n);
	wait_closed();
	after = memory();
	printf("%.1f %ld %ld %ld\n", (double)(open - before) / n, before, open,
	    after);
}

/* ---- connect ---- */

static struct {
	unsigned left, done;
	long most;
} storm;

static void
storm_up(struct connection *c)
{
	close_connection(c);
	storm.done++;
	if (storm.left > 0) {
		storm.left--;
		open_connection(c, c->n, 0);
	}
}

static void
storm_turn(void)
{
	static double looked;
	long m;

	if (opt.pid == 0 || now - looked < 0.1)
		return;
	looked = now;
	m = (long)proc_number("status", "VmRSS:");
	storm.most = m > storm.most ? m : storm.most;
}

static void
connects(unsigned count, unsigned concurrent)
{
	long before = memory();
	double start, used = cpu(), length;
	unsigned i;

	work.up = storm_up;
	work.turn = storm_turn;
	storm.left = count - concurrent;
	start = now = heard = seconds();
	for (i = 0; i < concurrent; i++)
		open_connection(&all[i], i, 0);
	while (open_now > 0)
		turn();
	length = now - start;
	wait_closed();
	used = cpu() - used;
	printf("%.0f %.3f %ld %ld %ld\n", storm.done / length,
	    used * 1e3 / storm.done, before, storm.most, memory());
}

/* ---- subscriptions ---- */

#define SESSION 50 /* subscriptions of a session */
#define PACKET 10  /* filters of a SUBSCRIBE */
#define SOUGHT 1000 /* subscriptions whose messages are published */

static struct {
	unsigned sessions, ready;
} subs;

/* Subscription n and a topic that it alone matches. */
static void
subs_names(unsigned n, char *filter, char *topic)
{
	char path[64];

	snprintf(path, sizeof(path), "bench/subs/plant/hall/line/%u/%u/%u",
	    n / 2500, n / 50 % 50, n % 50);
	snprintf(filter, 80, "%s/%s", path, n % 2 == 0 ? "+" : "#");
	snprintf(topic, 80, "%s/data", path);
}

static void
subs_up(struct connection *c)
{
	char filters[PACKET][80], topic[80], *list[PACKET];
	unsigned i, j;

	for (i = 0; i < SESSION; i += PACKET) {
		for (j = 0; j < PACKET; j++) {
			list[j] = filters[j];
			subs_names(c->n * SESSION + i + j, filters[j], topic);
		}
		add_subscribe(c, list, PACKET, 0);
	}
}

static void
subs_subscribed(struct connection *c)
{
	(void)c;
	subs.ready++;
}

static void
subscriptions(unsigned count, unsigned connections, unsigned window,
    unsigned length)
{
	double rate, each;
	char filter[80];
	unsigned i;

	ntopics = count < SOUGHT ? count : SOUGHT;
	if ((topics = calloc(ntopics, sizeof(*topics))) == NULL)
		err(1, NULL);
	for (i = 0; i < ntopics; i++) {
		if ((topics[i] = malloc(80)) == NULL)
			err(1, NULL);
		subs_names(i, filter, topics[i]);
	}
	subs.sessions = count / SESSION;
	work.up = subs_up;
	work.subscribed = subs_subscribed;
	work.got = nothing;
	open_all(0, subs.sessions, 0);
	while (subs.ready < subs.sessions)
		turn();
	start_publishers(subs.sessions, connections, window);
	measure(&acked, length, &rate, &each);
	printf("%.0f %.3f\n", rate, each);
}

/* ---- the command line ---- */

static void __attribute__((noreturn))
usage(void)
{
	fputs("usage: mqtt [-3j] [-p PID] [-s BYTES] -a CA -c CERT -k KEY PORT\n"
	    "    publish CONNECTIONS WINDOW SECONDS\n"
	    "      messages/s, us of CPU each, ms p50, p99 of PUBACK; all\n"
	    "    count CONNECTIONS WINDOW MESSAGES\n"
	    "      messages/s\n"
	    "    rate CONNECTIONS MESSAGES/S SECONDS\n"
	    "      ms p50, p99 of PUBACK\n"
	    "    fanout SUBSCRIBERS QOS OUTSTANDING SECONDS\n"
	    "      deliveries/s, us of CPU each\n"
	    "    idle CONNECTIONS\n"
	    "      KiB each, KiB before, then, after\n"
	    "    connect COUNT CONCURRENT\n"
	    "      connects/s, ms of CPU each, KiB before, most, after\n"
	    "    subscriptions COUNT CONNECTIONS WINDOW SECONDS\n"
	    "      messages/s, us of CPU each\n", stderr);
	exit(64);
}

static void
credentials(const char *ca, const char *cert, const char *key)
{
	opt.tls = SSL_CTX_new(TLS_client_method());
	if (opt.tls == NULL || ca == NULL || cert == NULL || key == NULL ||
	    !SSL_CTX_set_min_proto_version(opt.tls, TLS1_3_VERSION) ||
	    SSL_CTX_load_verify_file(opt.tls, ca) != 1 ||
	    SSL_CTX_use_certificate_chain_file(opt.tls, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(opt.tls, key, SSL_FILETYPE_PEM) != 1) {
		ERR_print_errors_fp(stderr);
		usage();
	}
	SSL_CTX_set_verify(opt.tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(opt.tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(opt.tls, 1);
	SSL_CTX_set_default_read_buffer_len(opt.tls, 65536);
	SSL_CTX_set_mode(opt.tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
}

static void
run(int argc, char *argv[])
{
	unsigned n[4] = { 0 };
	int i, nn = argc - 1;

	if (nn < 1 || nn > 4)
		usage();
	for (i = 0; i < nn; i++)
		n[i] = (unsigned)strtoul(argv[i + 1], NULL, 10);
	all = calloc(n[0] + n[1] + 1u, sizeof(*all));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (all == NULL || epoll == -1)
		err(1, NULL);
	now = heard = seconds();
	if (strcmp(argv[0], "publish") == 0 && nn == 3 && n[1] > 0 &&
	    n[1] <= WINDOW_MAX)
		publish(n[0], n[1], n[2]);
	else if (strcmp(argv[0], "count") == 0 && nn == 3 && n[1] > 0 &&
	    n[1] <= WINDOW_MAX)
		count(n[0], n[1], n[2]);
	else if (strcmp(argv[0], "rate") == 0 && nn == 3 && n[0] > 0 &&
	    n[1] > 0)
		rate(n[0], n[1], n[2]);
	else if (strcmp(argv[0], "fanout") == 0 && nn == 4 && n[1] < 2 &&
	    n[2] > 0)
		fanout(n[0], n[1], n[2], n[3]);
	else if (strcmp(argv[0], "idle") == 0 && nn == 1 && n[0] > 0)
		idle(n[0]);
	else if (strcmp(argv[0], "connect") == 0 && nn == 2 && n[1] > 0 &&
	    n[0] >= n[1])
		connects(n[0], n[1]);
	else if (strcmp(argv[0], "subscriptions") == 0 && nn == 4 &&
	    n[0] >= SESSION && n[2] > 0 && n[2] <= WINDOW_MAX)
		subscriptions(n[0], n[1], n[2], n[3]);
	else
		usage();
}

int
main(int argc, char *argv[])
{
	const char *ca = NULL, *cert = NULL, *key = NULL;
	int ch;

	while ((ch = getopt(argc, argv, "3a:c:jk:p:s:")) != -1) {
		switch (ch) {
		case '3': opt.version = 4; break;
		case 'a': ca = optarg; break;
		case 'c': cert = optarg; break;
		case 'j': opt.readings = true; break;
		case 'k': key = optarg; break;
		case 'p': opt.pid = atoi(optarg); break;
		case 's': opt.payload = strtoul(optarg, NULL, 10); break;
		default: usage();
		}
	}
	if (argc - optind < 2 || opt.payload > PAYLOAD_MAX ||
	    (opt.readings && opt.payload < READING_MIN))
		usage();
	signal(SIGPIPE, SIG_IGN);
	memset(message, 'x', sizeof(message));
	opt.to.sin_family = AF_INET;
	opt.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	opt.to.sin_port = htons((uint16_t)atoi(argv[optind]));
	credentials(ca, cert, key);
	run(argc - optind - 1, argv + optind + 1);
	return 0;
}
