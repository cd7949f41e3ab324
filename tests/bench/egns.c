/*
 * Work for egns-topicd: topic "bench", consumed from subscription "work"; what
 * work.h has, and
 * ADDRESS arrivals BATCH EVENTS  prints milliseconds p50, p99 since data.at
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "buf.h"
#include "work.h"

#define TARGET "\"topic\":\"bench\",\"subscription\":\"work\""

struct connection {
	int fd;
	struct buf in, out, tokens;
	bool settling; /* an answer to an acknowledge is due */
	double *sent;  /* when each event was, if that is of interest */
};

static void
flush(struct connection *c)
{
	ssize_t n;

	while (c->out.len > 0) {
		n = send(c->fd, buf_data(&c->out), c->out.len, MSG_NOSIGNAL);
		if (n == -1)
			err(1, "send");
		buf_take(&c->out, (size_t)n);
	}
}

/* The next line is in front of `in`; its length with the newline. */
static size_t
line(struct connection *c)
{
	size_t seen = 0;
	char *end, *room;
	ssize_t n;

	while (c->in.len == seen || (end = memchr(buf_data(&c->in) + seen,
	    '\n', c->in.len - seen)) == NULL) {
		seen = c->in.len;
		if ((room = buf_room(&c->in, 1 << 16)) == NULL)
			err(1, "malloc");
		if ((n = recv(c->fd, room, 1 << 16, 0)) <= 0)
			err(1, "recv");
		buf_grew(&c->in, (size_t)n);
	}
	return (size_t)(end - buf_data(&c->in)) + 1;
}

/* Take an answer's header; its count, or 0. */
static size_t
answer(struct connection *c)
{
	size_t len = line(c), count = 0;
	const char *text = buf_data(&c->in), *p;

	if (len < 11 || memcmp(text, "{\"ok\":true", 10) != 0)
		errx(1, "%.*s", (int)len - 1, text);
	if ((p = memmem(text, len, "\"count\":", 8)) != NULL)
		count = strtoul(p + 8, NULL, 10);
	buf_take(&c->in, len);
	return count;
}

static void *
egns_open(const char *path)
{
	struct connection *c = calloc(1, sizeof(*c));
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (c == NULL || strlen(path) >= sizeof(to.sun_path))
		errx(1, "%s", path);
	memcpy(to.sun_path, path, strlen(path) + 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (c->fd == -1 ||
	    connect(c->fd, (struct sockaddr *)&to, sizeof(to)) == -1)
		err(1, "%s", path);
	buf_take(&c->in, line(c));
	return c;
}

static void
egns_publish(void *arg, const char *events, size_t n)
{
	struct connection *c = arg;

	buf_printf(&c->out, "{\"op\":\"publish\",\"topic\":\"bench\","
	    "\"count\":%zu}\n", n);
	buf_add(&c->out, events, n * (EVENT + 1));
	flush(c);
	answer(c);
}

/* Microseconds of CLOCK_MONOTONIC, that mqtt.c -j has put there. */
static double
sent_at(const char *text, size_t len)
{
	const char *at = memmem(text, len, "\"at\":", 5);

	if (at == NULL)
		errx(1, "no data.at: %.*s", (int)len - 1, text);
	return strtod(at + 5, NULL) / 1e6;
}

static size_t
egns_receive(void *arg, size_t max)
{
	static const char before[] = "\"lockToken\":\"";
	struct connection *c = arg;
	const char *token, *text;
	size_t n, i, len;

	buf_printf(&c->out, "{\"op\":\"receive\"," TARGET ",\"maxEvents\":%zu,"
	    "\"maxWaitTime\":60}\n", max);
	flush(c);
	if (c->settling)
		answer(c);
	c->settling = false;
	n = answer(c);
	for (i = 0; i < n; i++) {
		len = line(c);
		text = buf_data(&c->in);
		token = memmem(text, len, before, sizeof(before) - 1);
		if (token == NULL)
			errx(1, "no lockToken: %.*s", (int)len - 1, text);
		if (c->sent != NULL)
			*c->sent++ = sent_at(text, len);
		token += sizeof(before) - 2;
		if (c->tokens.len > 0)
			buf_add(&c->tokens, ",", 1);
		buf_add(&c->tokens, token,
		    (size_t)(strchr(token + 1, '"') + 1 - token));
		buf_take(&c->in, len);
	}
	if (n == 0)
		errx(1, "nothing came in 60 s");
	return n;
}

static void
egns_settle(void *arg, bool wait)
{
	struct connection *c = arg;

	buf_str(&c->out, "{\"op\":\"acknowledge\"," TARGET ",\"lockTokens\":[");
	buf_add(&c->out, buf_data(&c->tokens), c->tokens.len);
	buf_str(&c->out, "]}\n");
	buf_reset(&c->tokens, 1 << 16);
	c->settling = !wait;
	if (wait) {
		flush(c);
		answer(c);
	}
}

/* From the publish to the return of a receive that is always waiting. */
static void
arrivals(const char *address, size_t batch, size_t events)
{
	struct connection *c = egns_open(address);
	double *took = malloc(events * sizeof(*took)), arrived;
	size_t n = 0, i;

	if (took == NULL)
		err(1, "malloc");
	c->sent = took;
	while (n < events) {
		i = n;
		n += egns_receive(c, events - n < batch ? events - n : batch);
		arrived = work_seconds();
		for (; i < n; i++)
			took[i] = arrived - took[i];
		egns_settle(c, n == events);
	}
	qsort(took, n, sizeof(*took), work_compare);
	printf("%.2f %.2f\n", took[n / 2] * 1e3, took[n * 99 / 100] * 1e3);
}

int
main(int argc, char *argv[])
{
	static const struct system egns = { "egns", egns_open, egns_publish,
		egns_receive, egns_settle };

	size_t batch = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;
	size_t events = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;

	if (batch > 0 && batch <= BATCH_MAX && events > 0 &&
	    strcmp(argv[2], "arrivals") == 0) {
		arrivals(argv[1], batch, events);
		return 0;
	}
	return work_main(&egns, argc, argv);
}
