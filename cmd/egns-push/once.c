/* egns-push --once: one attempt by hand, or what it would be */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "event.h"
#include "filter.h"
#include "jq.h"
#include "json.h"
#include "push.h"
#include "quote.h"
#include "registry.h"
#include "spool.h"
#include "target.h"

#define INPUT_MAX (64 * 1024 * 1024) /* bytes */

struct once {
	const struct options *opt;
	struct ev_loop *loop;
	struct spool spool;
	jv namespace;
	struct item *items, **last; /* the input's events, in order */
	unsigned subscriptions, attempts;
	int status; /* to exit with */
	/* the one under way */
	const char *topic, *name;
	struct target *target;
	struct attempt *left; /* its attempts, the next one first */
};

/* ---- input ---- */

static void
add_event(struct once *o, const char *text, size_t len, unsigned number)
{
	struct event event = { 0 };
	struct item *item;
	struct fault f;

	if (event_parse(&event, text, len, &f) == -1)
		errx(fault_exit(f.code), "event %u: %s", number, f.text);
	event_free(&event);
	if ((item = malloc(sizeof(*item) + len + 1)) == NULL)
		err(EX_OSERR, "event %u", number);
	*item = (struct item){ .count = 1, .len = (uint32_t)len };
	memcpy(item->text, text, len);
	item->text[len] = '\0';
	*o->last = item;
	o->last = &item->next;
}

static void
add_array(struct once *o, const struct json *j)
{
	unsigned n = 0;

	for (uint32_t t = 1; t < j->tok[0].next; t = j->tok[t].next)
		add_event(o, j->text + j->tok[t].start,
		    j->tok[t].end - j->tok[t].start, ++n);
}

static void
add_lines(struct once *o, const char *text, size_t len)
{
	const char *end = text + len, *newline;
	unsigned n = 0;

	for (; text < end; text = newline + 1) {
		newline = memchr(text, '\n', (size_t)(end - text));
		if (newline == NULL)
			newline = end;
		n++;
		if (newline != text)
			add_event(o, text, (size_t)(newline - text), n);
	}
}

static void
read_all(int fd, const char *name, struct buf *b)
{
	ssize_t n = 1;
	char *room;

	while (n != 0 && b->len <= INPUT_MAX) {
		if ((room = buf_room(b, 65536)) == NULL)
			errx(EX_OSERR, "%s: out of memory", name);
		if ((n = read(fd, room, 65536)) == -1 && errno != EINTR)
			err(EX_NOINPUT, "%s", name);
		buf_grew(b, n > 0 ? (size_t)n : 0);
	}
	if (b->len > INPUT_MAX)
		errx(EX_DATAERR, "%s: more than %d bytes", name, INPUT_MAX);
}

/* One event laid out in any way, an array of them, or lines. */
static void
add_text(struct once *o, const char *text, size_t len)
{
	struct json j = { 0 };

	if (json_scan(&j, text, len, NULL) == -1)
		add_lines(o, text, len);
	else if (j.tok[0].type == JSON_ARRAY)
		add_array(o, &j);
	else
		add_event(o, text + j.tok[0].start,
		    j.tok[0].end - j.tok[0].start, 1);
	json_free(&j);
}

static void
read_events(struct once *o, const char *from)
{
	struct buf b = { 0 };
	char q[QUOTE_MAX];
	int fd = STDIN_FILENO;

	if (from[0] == '{' || from[0] == '[') {
		add_text(o, from, strlen(from));
		return;
	}
	if (strcmp(from, "-") != 0 &&
	    (fd = open(from, O_RDONLY | O_CLOEXEC)) == -1)
		err(EX_NOINPUT, "%s", quote(q, from, strlen(from)));
	read_all(fd, quote(q, from, strlen(from)), &b);
	add_text(o, buf_data(&b), b.len);
	buf_free(&b);
	if (fd != STDIN_FILENO)
		close(fd);
}

/* ---- results ---- */

/* The worst of what happened is what we exit with. */
static void
worst(struct once *o, int status)
{
	if (o->status != EX_TEMPFAIL)
		o->status = status;
}

static void
print_result(const struct once *o, const struct item *item,
    const struct outcome *out)
{
	struct event event = { 0 };
	struct buf b = { 0 };

	if (event_parse(&event, item->text, item->len, NULL) == -1)
		abort(); /* it was one */
	buf_printf(&b, "{\"topic\":\"%s\",\"subscription\":\"%s\",\"id\":%.*s",
	    o->topic, o->name, (int)(event.json.tok[event.id].end -
	    event.json.tok[event.id].start), item->text +
	    event.json.tok[event.id].start);
	buf_printf(&b, ",\"outcome\":\"%s\"",
	    out->verdict == VERDICT_DELIVERED ? "Delivered" :
	    out->verdict == VERDICT_UNMADE ? "NotSent" :
	    dl_result_name(out->result));
	if (out->verdict == VERDICT_FINAL)
		buf_printf(&b, ",\"deadletterreason\":\"%s\"",
		    dl_reason_name(out->reason));
	if (out->verdict != VERDICT_DELIVERED) {
		buf_str(&b, ",\"error\":");
		buf_json(&b, out->words, strlen(out->words));
	}
	if (b.bad)
		errx(EX_OSERR, "out of memory");
	printf("%.*s}\n", (int)b.len, buf_data(&b));
	buf_free(&b);
	event_free(&event);
}

static void
attempt_free(struct attempt *a)
{
	struct item *item;

	while ((item = a->first) != NULL) {
		a->first = item->next;
		free(item);
	}
	free(a);
}

static void
end_attempt(struct once *o, struct attempt *a, const struct outcome *out)
{
	for (const struct item *i = a->first; i != NULL; i = i->next)
		print_result(o, i, out);
	if (out->verdict == VERDICT_FINAL)
		worst(o, EX_DATAERR);
	else if (out->verdict != VERDICT_DELIVERED)
		worst(o, EX_TEMPFAIL);
	attempt_free(a);
}

/* ---- attempts, one behind the other ---- */

static void
next_attempt(struct once *o)
{
	if (o->left == NULL)
		ev_break(o->loop, EVBREAK_ALL);
	else
		o->target->calls->send(o->target, o->left);
}

static void
on_answered(struct attempt *a, const struct outcome *out, void *arg)
{
	struct once *o = arg;

	o->left = a->next;
	end_attempt(o, a, out);
	next_attempt(o);
}

static void
on_prepared(const struct outcome *out, void *arg)
{
	struct outcome unmade = *out;
	struct once *o = arg;
	struct attempt *a;

	if (out->verdict == VERDICT_DELIVERED) {
		next_attempt(o);
		return;
	}
	unmade.verdict = VERDICT_UNMADE;
	while ((a = o->left) != NULL) {
		o->left = a->next;
		end_attempt(o, a, &unmade);
	}
	ev_break(o->loop, EVBREAK_ALL);
}

/* A later yes is the daemon's business. */
static void
on_granted(void *arg)
{
	(void)arg;
}

static struct item *
copy_item(const struct item *item)
{
	size_t size = sizeof(*item) + item->len + 1;
	struct item *copy = malloc(size);

	if (copy == NULL)
		err(EX_OSERR, "event");
	memcpy(copy, item, size);
	copy->next = NULL;
	return copy;
}

/* The events that match, as attempts. */
static struct attempt *
make_attempts(struct once *o, const struct filter *filter)
{
	struct attempt *first = NULL, **link = &first, *a = NULL;
	struct item **last = NULL, *copy;
	struct event event = { 0 };

	for (const struct item *i = o->items; i != NULL; i = i->next) {
		if (event_parse(&event, i->text, i->len, NULL) == -1)
			abort(); /* it was one */
		if (!filter_matches(filter, &event))
			continue;
		if (a == NULL || !target_fits(o->target, a, i)) {
			if ((a = calloc(1, sizeof(*a))) == NULL)
				err(EX_OSERR, "attempt");
			a->count = 1;
			*link = a;
			link = &a->next;
			last = &a->first;
		}
		copy = copy_item(i);
		*last = copy;
		last = &copy->next;
		a->n++;
		a->bytes += copy->len;
	}
	event_free(&event);
	return first;
}

static void
show_all(struct once *o)
{
	struct buf b = { 0 };
	struct attempt *a;

	while ((a = o->left) != NULL) {
		o->left = a->next;
		o->target->calls->show(o->target, a, &b);
		if (b.bad)
			errx(EX_OSERR, "out of memory");
		fprintf(stderr, "egns-push: %s/%s:\n", o->topic, o->name);
		fwrite(buf_data(&b), 1, b.len, stdout);
		buf_reset(&b, 65536);
		attempt_free(a);
	}
	buf_free(&b);
}

static void
try_one(struct once *o, jv subscription)
{
	static const struct target_hooks hooks = { on_prepared, on_answered,
		on_granted };
	struct standing standing = { .hold.since = 0 };
	struct target_use use = { .loop = o->loop, .spool = &o->spool,
		.namespace = o->namespace, .subscription = subscription,
		.topic = o->topic, .name = o->name, .standing = &standing };
	struct fault f;
	struct filter *filter = filter_compile(jq_get(subscription,
	    "properties.filtersConfiguration"), &f);

	o->target = filter == NULL ? NULL : target_new(&use, &f);
	if (o->target == NULL) {
		filter_free(filter);
		warnx("%s/%s: %s", o->topic, o->name, f.text);
		worst(o, EX_DATAERR);
		return;
	}
	o->target->hooks = &hooks;
	o->target->arg = o;
	o->left = make_attempts(o, filter);
	filter_free(filter);
	if (o->left != NULL) {
		o->attempts++;
		if (o->opt->dry) {
			show_all(o);
		} else {
			o->target->calls->prepare(o->target);
			ev_run(o->loop, 0);
		}
	}
	o->target->calls->free(o->target);
}

/* ---- subscriptions ---- */

static int
take_subscription(const char *path, jv resource, void *arg)
{
	struct once *o = arg;
	const char *mode = jq_str(resource,
	    "properties.deliveryConfiguration.deliveryMode");
	const char *name = strrchr(path, '/') + 1;
	char topic[128];

	snprintf(topic, sizeof(topic), "%.*s", (int)strcspn(path + 7, "/"),
	    path + 7);
	if (mode != NULL && strcmp(mode, "Push") == 0 &&
	    (o->opt->topic == NULL || strcmp(topic, o->opt->topic) == 0) &&
	    (o->opt->subscription == NULL ||
	    strcmp(name, o->opt->subscription) == 0)) {
		o->topic = topic;
		o->name = name;
		o->subscriptions++;
		try_one(o, resource);
	}
	jv_free(resource);
	return 0;
}

/* Exit statuses are egns-push(8)'s. */
static int
finish(const struct once *o)
{
	char topic[QUOTE_MAX], name[QUOTE_MAX];

	if (o->subscriptions == 0)
		errx(EX_NOINPUT, "there is no push subscription%s%s%s%s",
		    o->opt->topic != NULL ? " " : "",
		    o->opt->topic != NULL ? quote(topic, o->opt->topic,
		    strlen(o->opt->topic)) : "",
		    o->opt->subscription != NULL ? "/" : "",
		    o->opt->subscription != NULL ? quote(name,
		    o->opt->subscription, strlen(o->opt->subscription)) : "");
	if (o->attempts == 0)
		warnx("%s", o->items == NULL ? "the input has no event" :
		    "no subscription's filters match");
	if (fflush(stdout) == EOF)
		err(EX_IOERR, "standard output");
	return o->status;
}

int
once_run(const struct options *opt, const char *events)
{
	struct once o = { .opt = opt, .loop = ev_default_loop(0) };
	struct registry *registry;
	struct item *item;
	struct fault f;
	int status;

	o.last = &o.items;
	if (o.loop == NULL)
		errx(EX_OSERR, "no event loop");
	if (spool_open(&o.spool, opt->spool, &f) == -1 ||
	    (registry = registry_open(&o.spool, false, &f)) == NULL)
		errx(fault_exit(f.code), "%s", f.text);
	read_events(&o, events);
	o.namespace = registry_get(registry, "namespace");
	registry_each(registry, "topics/", take_subscription, &o);
	jv_free(o.namespace);
	registry_close(registry);
	spool_close(&o.spool);
	status = finish(&o);
	while ((item = o.items) != NULL) {
		o.items = item->next;
		free(item);
	}
	return status;
}
