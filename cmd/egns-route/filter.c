/* egns-route -: messages on standard input, their events on standard output */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "clock.h"
#include "line.h"
#include "registry.h"
#include "route.h"
#include "routing.h"
#include "spool.h"
#include "uuid.h"

/* A message of 512 KiB, each of its bytes as \u0001, and who has sent it. */
#define LINE_BYTES (4 * 1024 * 1024)
#define WRITE_BYTES (256 * 1024) /* of events that are written at a time */
#define SOURCE "mqtt"            /* where there is no namespace */

struct filter {
	struct routing *routing;
	struct line_reader in;
	struct buf out;
	char run[UUID_SIZE]; /* begins each id */
	bool bad;            /* there was a line that is no message */
};

/* The namespace of the spool; an object without members when there is none, and
 * none was asked for; or invalid, and a fault. */
static jv
find_namespace(const struct options *opt, struct fault *f)
{
	const char *env = getenv("EGNS_SPOOL");
	struct registry *registry;
	struct spool spool;
	jv namespace;

	if (spool_open(&spool, opt->spool, f) == -1) {
		if (f->code == FAULT_NOT_FOUND && opt->spool == NULL &&
		    (env == NULL || *env == '\0'))
			return jv_object();
		return jv_invalid();
	}
	registry = registry_open(&spool, false, f);
	spool_close(&spool);
	if (registry == NULL)
		return jv_invalid();
	namespace = registry_get(registry, "namespace");
	registry_close(registry);
	return jv_is_valid(namespace) ? namespace : jv_object();
}

static struct routing *
open_routing(const struct options *opt, struct fault *f)
{
	jv namespace = find_namespace(opt, f);
	const char *source = opt->source;

	if (!jv_is_valid(namespace))
		return NULL;
	if (source == NULL && !jv_object_has(jv_copy(namespace),
	    jv_string("name")))
		source = SOURCE;
	if (source != NULL)
		namespace = jv_object_set(namespace, jv_string("name"),
		    jv_string(source));
	return routing_new(namespace, f);
}

/* 0, or -1 and errno. */
static int
flush(struct filter *fl)
{
	ssize_t n;

	while (fl->out.len > 0) {
		n = write(STDOUT_FILENO, buf_data(&fl->out), fl->out.len);
		if (n == -1 && errno != EINTR)
			return -1;
		if (n > 0)
			buf_take(&fl->out, (size_t)n);
	}
	return 0;
}

static void
complain(struct filter *fl, const char *why)
{
	fl->bad = true;
	warnx("line %llu: %s", (unsigned long long)fl->in.number, why);
}

/* mosquitto_sub -F %J prints an empty line for what is not JSON. */
static bool
is_blank(const char *line, size_t len)
{
	while (len > 0 && memchr(" \t\r", line[len - 1], 3) != NULL)
		len--;
	return len == 0;
}

static void
add_event(struct filter *fl, const char *line, size_t len)
{
	char id[UUID_SIZE + 24];
	struct fault f;

	snprintf(id, sizeof(id), "%s/%llu", fl->run,
	    (unsigned long long)fl->in.number);
	if (routing_event(fl->routing, line, len, id, clock_now(), &fl->out,
	    &f) == -1)
		complain(fl, f.text);
}

/* The next line: 1, 0 at the end, or -1 and errno. */
static int
next_line(struct filter *fl, const char **line, size_t *len)
{
	char why[64];
	int n;

	while ((n = line_next(&fl->in, line, len)) == -1 && errno == EMSGSIZE) {
		snprintf(why, sizeof(why), "more than %d bytes", LINE_BYTES);
		complain(fl, why);
		if ((n = line_skip(&fl->in)) != 1)
			break;
	}
	return n;
}

static int
filter(struct filter *fl)
{
	const char *line;
	size_t len;
	int n;

	while ((n = next_line(fl, &line, &len)) == 1) {
		if (!is_blank(line, len))
			add_event(fl, line, len);
		if (fl->out.bad)
			errx(EX_OSERR, "out of memory");
		/* who waits for us to write more has what there is */
		if ((fl->out.len >= WRITE_BYTES || line_pauses(&fl->in)) &&
		    flush(fl) == -1)
			return -1;
	}
	if (n == -1)
		err(EX_IOERR, "standard input");
	return flush(fl);
}

int
filter_run(const struct options *opt)
{
	struct filter fl = { .in = { .fd = STDIN_FILENO,
		.max = LINE_BYTES } };
	struct fault f;

	signal(SIGPIPE, SIG_IGN);
	uuid_new(fl.run);
	if ((fl.routing = open_routing(opt, &f)) == NULL)
		errx(fault_exit(f.code), "%s", f.text);
	/* whoever reads may have enough */
	if (filter(&fl) == -1 && errno != EPIPE)
		err(EX_IOERR, "standard output");
	routing_free(fl.routing);
	line_free(&fl.in);
	buf_free(&fl.out);
	return fl.bad ? EX_DATAERR : EX_OK;
}
