/* egns-ctl publish: events from files into a topic. */
#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "client.h"
#include "ctl.h"
#include "event.h"
#include "num.h"
#include "progress.h"
#include "values.h"
#include "wrap.h"

/* Batches on their way at a time: topicd checks one while it syncs another. */
#define WINDOW 4

/* Where the events of a batch came from. */
struct batch {
	const char *file;
	uint64_t first, last; /* lines */
	size_t count;
};

struct publish {
	const char *topic, *producer;
	const char *subscription; /* that alone gets the events; NULL */
	int64_t sequence;
	size_t max; /* events of a batch */
	struct wrap *wrap; /* NULL: they are events already */

	struct client client;
	struct buf lines;  /* of the batch that is being filled */
	size_t bytes;      /* of its events */
	struct batch now;
	struct batch sent[WINDOW];
	size_t oldest, nsent;
	uint64_t stored, unknown;
	uint64_t behind; /* stored, though one before was not */
	bool failed;

	struct event event;
	struct buf wrapped;

	struct progress progress;
	uint64_t read, total; /* bytes; total 0: not known */
};

/* The size of all files, when they have one. */
static uint64_t
total(char *files[])
{
	uint64_t sum = 0;
	struct stat st;
	int rc;

	for (; *files != NULL; files++) {
		rc = strcmp(*files, "-") == 0 ? fstat(STDIN_FILENO, &st) :
		    stat(*files, &st);
		if (rc == -1 || !S_ISREG(st.st_mode))
			return 0;
		sum += (uint64_t)st.st_size;
	}
	return sum;
}

/* ---- batches ---- */

static int
refused(const struct batch *b, struct fault *f)
{
	struct fault why = *f;

	/* The topic's fault, or the caller's, but not that of the lines. */
	if (f->code == FAULT_NOT_FOUND || f->code == FAULT_FORBIDDEN ||
	    f->code == FAULT_UNAUTHORIZED)
		return -1;
	if (b->first == b->last)
		return fault_set(f, why.code, "%.255s: line %llu: %s", b->file,
		    (unsigned long long)b->first, why.text);
	return fault_set(f, why.code, "%.255s: lines %llu to %llu: %s", b->file,
	    (unsigned long long)b->first, (unsigned long long)b->last,
	    why.text);
}

/* What became of the oldest batch that was sent. */
static int
hear(struct publish *p, struct fault *f)
{
	const struct batch *b = &p->sent[p->oldest];

	f->code = FAULT_NONE;
	if (client_answer(&p->client, f) == 0)
		p->stored += b->count;
	else if (f->code == FAULT_UNAVAILABLE)
		p->unknown += b->count;
	else
		refused(b, f);
	p->oldest = (p->oldest + 1) % WINDOW;
	p->nsent--;
	p->failed = p->failed || f->code != FAULT_NONE;
	progress_show(&p->progress, p->read, p->total, p->stored,
	    "events stored");
	return f->code == FAULT_NONE ? 0 : -1;
}

static int
send_batch(struct publish *p, struct fault *f)
{
	struct buf header = { 0 };

	if (p->now.count == 0)
		return 0;
	/* A producer's batch that is refused must not be overtaken: the next
	 * one's sequence would make it look stored. */
	if (p->nsent == (p->producer != NULL ? 1 : WINDOW) &&
	    hear(p, f) == -1)
		return -1;
	buf_str(&header, "{\"op\":\"publish\",\"topic\":");
	buf_json(&header, p->topic, strlen(p->topic));
	buf_printf(&header, ",\"count\":%zu", p->now.count);
	if (p->subscription != NULL) {
		buf_str(&header, ",\"subscription\":");
		buf_json(&header, p->subscription, strlen(p->subscription));
	}
	if (p->producer != NULL) {
		buf_str(&header, ",\"producer\":");
		buf_json(&header, p->producer, strlen(p->producer));
		buf_printf(&header, ",\"sequence\":%lld",
		    (long long)p->sequence++);
	}
	buf_str(&header, "}\n");
	client_add(&p->client, buf_data(&header), header.len);
	client_add(&p->client, buf_data(&p->lines), p->lines.len);
	buf_free(&header);
	buf_reset(&p->lines, 2 * EVENT_BATCH_MAX);
	p->bytes = 0;
	p->sent[(p->oldest + p->nsent++) % WINDOW] = p->now;
	p->now.count = 0;
	if (client_flush(&p->client, f) == 0)
		return 0;
	p->failed = true;
	return -1;
}

/* Send what is there, and hear of everything. */
static int
drain(struct publish *p, struct fault *f)
{
	if (send_batch(p, f) == -1)
		return -1;
	while (p->nsent > 0) {
		if (hear(p, f) == -1)
			return -1;
	}
	return 0;
}

static int
idle(void *arg, struct fault *f)
{
	return drain(arg, f);
}

static int
add(struct publish *p, const struct values *v, const char *text, size_t len,
    struct fault *f)
{
	if (p->now.count > 0 && (p->now.count == p->max ||
	    p->bytes + len > EVENT_BATCH_MAX) && send_batch(p, f) == -1)
		return -1;
	if (p->now.count++ == 0)
		p->now.first = v->line;
	p->now.last = v->line;
	p->bytes += len;
	buf_add(&p->lines, text, len);
	buf_add(&p->lines, "\n", 1);
	if (p->lines.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	return 0;
}

/* Check a value, wrapped if need be. */
static int
check(struct publish *p, const char **text, size_t *len, struct fault *f)
{
	if (*len == 1 && strchr("{[", **text) != NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "a lone '%c': each value "
		    "stands on one line, as jq -c prints it", **text);
	if (p->wrap != NULL) {
		buf_reset(&p->wrapped, EVENT_MAX);
		if (wrap_event(p->wrap, *text, *len, &p->wrapped, f) == -1)
			return -1;
		*text = buf_data(&p->wrapped);
		*len = p->wrapped.len;
	}
	return event_parse(&p->event, *text, *len, f);
}

/* Publish the events of a file, up to a bad one. */
static int
publish_values(struct publish *p, struct values *v, struct fault *f)
{
	const char *text;
	size_t len;
	int n;

	while ((n = values_next(v, &text, &len, f)) == 1) {
		p->read += len + 1;
		if (check(p, &text, &len, f) == -1)
			return values_fault(v, f);
		if (add(p, v, text, len, f) == -1)
			return -1;
	}
	/* The next file has lines of its own. */
	return n == -1 ? -1 : send_batch(p, f);
}

static int
publish_file(struct publish *p, const char *file, struct fault *f)
{
	struct values v = { .in = { .fd = STDIN_FILENO, .max = EVENT_MAX },
		.name = file, .lines = p->wrap != NULL, .idle = idle, .arg = p };
	int rc;

	/*
	 * A producer's batch that comes again must hold the same events, so its
	 * bounds must not depend on pauses.
	 */
	if (p->producer != NULL)
		v.idle = NULL;
	if (strcmp(file, "-") == 0)
		v.name = "standard input";
	else if ((v.in.fd = open(file, O_RDONLY | O_CLOEXEC)) == -1)
		return fault_errno(f, FAULT_NOT_FOUND, "%s", file);
	p->now.file = v.name;
	rc = publish_values(p, &v, f);
	values_free(&v);
	if (v.in.fd != STDIN_FILENO)
		close(v.in.fd);
	return rc;
}

/*
 * After a fault: what became of the batches that are on their way. When the
 * connection went because topicd refused one of them, that is the reason.
 */
static void
hear_rest(struct publish *p, struct fault *f)
{
	bool lost = f->code == FAULT_UNAVAILABLE;
	uint64_t before = p->stored;
	struct fault why;

	while (p->nsent > 0) {
		if (hear(p, &why) == -1 && f->code == FAULT_UNAVAILABLE)
			*f = why;
	}
	p->behind = lost ? 0 : p->stored - before;
}

/* Say what went wrong, and how far we came. */
static int
report(const struct publish *p, const struct fault *f)
{
	struct fault all;
	size_t len;

	fault_set(&all, f->code, "%.400s; %llu event%s stored", f->text,
	    (unsigned long long)p->stored, p->stored == 1 ? "" : "s");
	len = strlen(all.text);
	if (p->behind > 0)
		snprintf(all.text + len, sizeof(all.text) - len,
		    ", %llu of them from behind it",
		    (unsigned long long)p->behind);
	else if (p->unknown > 0)
		snprintf(all.text + len, sizeof(all.text) - len,
		    ", of %llu more it is not known",
		    (unsigned long long)p->unknown);
	return ctl_fault(&all);
}

static int
publish_files(struct publish *p, char *files[])
{
	struct fault f, why;
	int rc = 0;

	for (; rc == 0 && *files != NULL; files++)
		rc = publish_file(p, *files, &f);
	/* What comes before bad input is published. */
	if (!p->failed && drain(p, &why) == -1) {
		rc = -1;
		f = why;
	}
	if (rc == -1)
		hear_rest(p, &f);
	progress_wipe(&p->progress);
	return rc == -1 ? report(p, &f) : EX_OK;
}

/* ---- the verb ---- */

static const struct option names[] = {
	{ "topic-name", required_argument, NULL, 't' },
	{ "event-subscription-name", required_argument, NULL, 's' },
	{ "batch", required_argument, NULL, 'b' },
	{ "producer", required_argument, NULL, 'p' },
	{ "sequence", required_argument, NULL, 'q' },
	{ "wrap", no_argument, NULL, 'w' },
	{ "type", required_argument, NULL, 'T' },
	{ "source", required_argument, NULL, 'S' },
	{ "subject", required_argument, NULL, 'u' },
	{ "id", required_argument, NULL, 'i' },
	{ "data-content-type", required_argument, NULL, 'c' },
	{ NULL, 0, NULL, 0 },
};

static struct jq_program *
expression(const char *option, const char *text)
{
	struct jq_program *program;
	struct fault f;

	if ((program = jq_compile(text, &f)) == NULL)
		errx(EX_USAGE, "%s: %s", option, f.text);
	return program;
}

static void
set(struct publish *p, struct wrap *w, int ch, const struct verb *v)
{
	switch (ch) {
	case 't':
		p->topic = optarg;
		break;
	case 's':
		p->subscription = optarg;
		break;
	case 'b':
		p->max = (size_t)num_option("--batch", optarg, 1,
		    EVENT_BATCH_COUNT);
		break;
	case 'p':
		p->producer = optarg;
		break;
	case 'q':
		p->sequence = num_option("--sequence", optarg, 1,
		    INT64_C(9007199254740991));
		break;
	case 'w':
		p->wrap = w;
		break;
	case 'T':
		w->type = optarg;
		break;
	case 'S':
		w->source = optarg;
		break;
	case 'u':
		w->subject = expression("--subject", optarg);
		break;
	case 'i':
		w->id = expression("--id", optarg);
		break;
	case 'c':
		w->content_type = optarg;
		break;
	default:
		exit(ctl_usage(v));
	}
}

/* Options that only make sense together. 0, or a status. */
static int
check_options(const struct publish *p, const struct wrap *w,
    const struct verb *v)
{
	if (p->topic == NULL)
		return ctl_bad_usage(v, "-t TOPIC is missing");
	if ((p->producer == NULL) != (p->sequence == -1))
		return ctl_bad_usage(v, "--producer needs --sequence, and the "
		    "other way round");
	if (p->wrap != NULL && (w->type == NULL || w->source == NULL))
		return ctl_bad_usage(v, "--wrap needs --type and --source");
	if (p->wrap == NULL && (w->type != NULL || w->source != NULL ||
	    w->subject != NULL || w->id != NULL || w->content_type != NULL))
		return ctl_bad_usage(v, "--type, --source, --subject, --id and "
		    "--data-content-type are for --wrap");
	return 0;
}

static int
publish(struct publish *p, struct ctl *ctl, char *files[])
{
	struct spool spool;
	struct fault f;
	int status;

	if (spool_open(&spool, ctl->spool, &f) == -1)
		return ctl_fault(&f);
	if (client_open(&p->client, &spool, "topicd", &f) == -1) {
		status = ctl_fault(&f);
	} else {
		progress_begin(&p->progress);
		p->total = total(files);
		status = publish_files(p, files);
		client_close(&p->client);
	}
	spool_close(&spool);
	return status;
}

int
verb_publish(struct ctl *ctl, const struct verb *v, int argc, char *argv[])
{
	static char name[] = "egns-ctl", dash[] = "-";
	static char *standard_input[] = { dash, NULL };
	struct wrap w = { 0 };
	struct publish p = { .max = EVENT_BATCH_COUNT, .sequence = -1 };
	char **words = calloc((size_t)argc + 2, sizeof(*words));
	int ch, status;

	if (words == NULL)
		err(EX_OSERR, NULL);
	/* getopt begins behind the name of a program. */
	words[0] = name;
	memcpy(words + 1, argv, (size_t)argc * sizeof(*words));
	optind = 0;
	while ((ch = getopt_long(argc + 1, words, "t:s:", names, NULL)) != -1)
		set(&p, &w, ch, v);
	if ((status = check_options(&p, &w, v)) == 0)
		status = publish(&p, ctl, optind <= argc ? words + optind :
		    standard_input);
	buf_free(&p.lines);
	buf_free(&p.wrapped);
	event_free(&p.event);
	wrap_free(&w);
	free(words);
	return status;
}
