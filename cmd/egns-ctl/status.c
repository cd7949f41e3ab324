/* status: do the daemons answer, and what waits for a person */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "client.h"
#include "clock.h"
#include "ctl.h"
#include "daemons.h"
#include "expiry.h"
#include "file.h"
#include "jq.h"
#include "maildir.h"
#include "push.h"
#include "schema.h"
#include "stats.h"
#include "transit.h"

#define ROUTE_BYTES 1073741824.0 /* routingSpool.maximumBytes by default */
#define HOLDS_NAMED 5 /* of push subscriptions on hold, one by one */
#define LATE (5 * 60 * CLOCK_SECOND) /* what waits for so long is a problem */

struct status {
	struct spool spool;
	jv daemons, problems, listeners;
	bool healthy;
	bool rows; /* a table, or tsv */
};

/* ---- problems: they do not make a daemon ill ---- */

static void
problem(struct status *s, const char *what, const char *where, uint64_t count)
{
	jv v = jv_object();

	v = jv_object_set(v, jv_string("problem"), jv_string(what));
	v = jv_object_set(v, jv_string("where"), jv_string(where));
	if (count > 0)
		v = jv_object_set(v, jv_string("count"),
		    jv_number((double)count));
	s->problems = jv_array_append(s->problems, v);
}

/* Files in a directory, and what their names tell: lines, bytes, and the time
 * of the oldest, 0 without any; none without the directory. */
struct files {
	uint64_t n, lines, bytes;
	int64_t oldest;
};

static void
count_files(const struct status *s, const char *path, struct files *count)
{
	DIR *dir = file_opendir(s->spool.fd, path, 0);
	struct maildir_name name;
	struct dirent *e;

	if (dir == NULL)
		return;
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		count->n++;
		if (!maildir_parse(e->d_name, &name))
			continue;
		count->lines += name.lines;
		count->bytes += name.bytes;
		if (count->oldest == 0 || name.time < count->oldest)
			count->oldest = name.time;
	}
	closedir(dir);
}

static void
add_certificate(const char *where, const char *words, void *arg)
{
	problem(arg, words, where, 0);
}

/* What waits in a maildir for egns-route: for long, or so much that half of
 * what brokerd may put there is taken? */
static void
find_waiting(struct status *s, const char *maildir, double limit)
{
	char path[32], text[CLOCK_TEXT + 1], words[96];
	struct files files = { 0 };

	snprintf(path, sizeof(path), "%s/new", maildir);
	count_files(s, path, &files);
	snprintf(path, sizeof(path), "%s/cur", maildir);
	count_files(s, path, &files);
	if ((double)files.bytes > limit / 2)
		problem(s, "messages wait, and more than half of "
		    "routingSpool.maximumBytes is taken", maildir,
		    files.lines);
	else if (files.n > 0 && files.oldest < clock_now() - LATE) {
		clock_format(text, files.oldest);
		snprintf(words, sizeof(words), "waits for its topic since %s",
		    text);
		problem(s, words, maildir, files.lines);
	}
}

static void
find_routed(struct status *s, jv namespace)
{
	jv max = jq_get(namespace, "properties.topicSpacesConfiguration."
	    "routingSpool.maximumBytes");
	double limit = jv_get_kind(max) == JV_KIND_NUMBER ?
	    jv_number_value(max) : ROUTE_BYTES;

	jv_free(max);
	find_waiting(s, "route", limit);
	find_waiting(s, "lifecycle", INFINITY);
}

/* Does a property name a topic that is there? */
static void
find_topic(struct status *s, struct registry *r, jv namespace,
    const char *where, const char *words)
{
	const char *id = jq_str(namespace, where);
	char path[SCHEMA_PATH];

	if (id != NULL && schema_id_path(r, id, path, NULL) == 0 &&
	    !registry_has(r, path))
		problem(s, words, path, 0);
}

static void
find_routes(struct status *s, struct registry *r, jv namespace)
{
	const char *state = jq_str(namespace,
	    "properties.topicSpacesConfiguration.state");

	if (state != NULL && strcmp(state, "Enabled") == 0 &&
	    jq_str(namespace, SCHEMA_ROUTE) == NULL)
		problem(s, "MQTT messages go nowhere but to MQTT subscribers, "
		    "because there is no route: egns-ctl namespace update "
		    "--set topicSpacesConfiguration.routeTopicResourceId="
		    "TOPIC", "namespace", 0);
	find_topic(s, r, namespace, SCHEMA_ROUTE, "there is no such topic, and "
	    "MQTT messages are dropped: make it, or change "
	    "topicSpacesConfiguration.routeTopicResourceId");
	find_topic(s, r, namespace, SCHEMA_LIFECYCLE, "there is no such topic, "
	    "and life-cycle events are dropped: make it, or change "
	    "lifecycleTopicResourceId");
}

static void
look_into_registry(struct status *s)
{
	struct registry *r = registry_open(&s->spool, false, NULL);
	jv namespace;

	if (r == NULL)
		return;
	namespace = registry_get(r, "namespace");
	find_routed(s, namespace);
	find_routes(s, r, namespace);
	jv_free(namespace);
	expiry_each(&s->spool, r, add_certificate, s);
	registry_close(r);
}

/* A running egns-dlq takes them at once, and tells itself why they go no
 * further. */
static void
find_letters(struct status *s)
{
	bool running = spool_holder(&s->spool, "dlq") != 0;
	char text[CLOCK_TEXT + 1], words[96];
	int64_t oldest;
	uint64_t n = transit_count(&s->spool, !running, &oldest);

	if (n > 0 && !running) {
		problem(s, "dead letters wait, and egns-dlq does not run",
		    "deadletter", n);
	} else if (n > 0 && oldest < clock_now() - LATE) {
		clock_format(text, oldest);
		snprintf(words, sizeof(words), "dead letters wait for egns-dlq "
		    "since %s", text);
		problem(s, words, "deadletter", n);
	}
}

static void
find_problems(struct status *s)
{
	static const char *const corrupt[] = { "deadletter/corrupt",
		"route/corrupt", "lifecycle/corrupt" };
	char now[CLOCK_TEXT + 1], path[32];
	uint64_t lines;
	size_t i;

	for (i = 0; i < sizeof(corrupt) / sizeof(corrupt[0]); i++) {
		struct files files = { 0 };

		count_files(s, corrupt[i], &files);
		if (files.n > 0)
			problem(s, "corrupt files", corrupt[i], files.n);
	}
	find_letters(s);
	clock_format(now, clock_now());
	snprintf(path, sizeof(path), "dropped/%.10s.ndjson", now);
	if ((lines = file_lines(s->spool.fd, path)) > 0)
		problem(s, "events dropped today", path, lines);
	look_into_registry(s);
}

/* ---- daemons ---- */

struct counts {
	uint64_t topics, subscriptions, events;
	uint64_t pending, in_flight, dead_lettered, dropped;
};

static void
add_counts(jv line, void *arg)
{
	struct counts *c = arg;

	if (jv_object_has(jv_copy(line), jv_string("subscription"))) {
		c->subscriptions++;
		c->pending += stats_number(line, "pending");
		c->in_flight += stats_number(line, "inFlight");
		c->dead_lettered += stats_sum(line, "deadLettered");
		c->dropped += stats_sum(line, "dropped");
	} else {
		c->topics++;
		c->events += stats_number(line, "number");
	}
	jv_free(line);
}

static jv
topicd_counts(struct status *s, jv row)
{
	struct counts c = { 0 };
	struct fault f;

	if (stats_each(&s->spool, "topicd", NULL, NULL, add_counts, &c, &f)
	    == -1) {
		problem(s, f.text, "run/topicd.sock", 0);
		return row;
	}
	row = jq_set_number(row, "topics", c.topics);
	row = jq_set_number(row, "subscriptions", c.subscriptions);
	row = jq_set_number(row, "events", c.events);
	row = jq_set_number(row, "pending", c.pending);
	row = jq_set_number(row, "inFlight", c.in_flight);
	row = jq_set_number(row, "deadLettered", c.dead_lettered);
	return jq_set_number(row, "dropped", c.dropped);
}

static void
take_line(jv line, void *arg)
{
	jv *row = arg;

	*row = jv_object_merge(*row, line);
}

/* "mqtts 127.0.0.1:8883, wss 127.0.0.1:8443" */
static jv
listeners_text(jv listeners)
{
	jv text = jv_string("");

	jv_object_foreach(listeners, name, address) {
		if (jv_string_length_bytes(jv_copy(text)) != 0)
			text = jv_string_append_str(text, ", ");
		text = jv_string_concat(text, name);
		text = jv_string_append_str(text, " ");
		text = jv_string_concat(text, jv_get_kind(address) ==
		    JV_KIND_STRING ? address : jv_dump_string(address, 0));
	}
	jv_free(listeners);
	return text;
}

/* What brokerd counts is in its row; where it listens concerns everybody. */
static jv
brokerd_counts(struct status *s, jv row)
{
	jv listeners;
	struct fault f;

	if (stats_each(&s->spool, "brokerd", NULL, NULL, take_line, &row, &f)
	    == -1) {
		problem(s, f.text, "run/brokerd.sock", 0);
		return row;
	}
	listeners = jq_get(row, "listeners");
	row = jv_object_delete(row, jv_string("listeners"));
	if (jv_get_kind(listeners) != JV_KIND_OBJECT) {
		jv_free(listeners);
		return row;
	}
	s->listeners = jv_object_merge(s->listeners, jv_copy(listeners));
	if (s->rows)
		row = jv_object_set(row, jv_string("listeners"),
		    listeners_text(jv_copy(listeners)));
	jv_free(listeners);
	return row;
}

/* Why a lane of egns-route does not come on, or drops what it has. */
static void
lane_problem(struct status *s, jv lane)
{
	const char *state = jq_str(lane, "state");
	const char *error = jq_str(lane, "error");
	const char *next = jq_str(lane, "nextAttempt");
	jv words;

	if (state == NULL || strcmp(state, "up") == 0 || error == NULL)
		return;
	words = jv_string_fmt("%s%s", strcmp(state, "dropping") == 0 ?
	    "what comes is dropped, with a record in dropped/: " : "", error);
	if (next != NULL)
		words = jv_string_concat(words, jv_string_fmt(
		    "; next attempt %s", next));
	problem(s, jv_string_value(words), jq_str(lane, "lane"), 0);
	jv_free(words);
}

/* "route: up, routed 12; lifecycle: waiting, waitingFiles 3" */
static jv
lane_text(jv text, jv lane)
{
	static const char *const numbers[] = { "routed", "dropped", "held",
		"waitingFiles", "waitingBytes" };
	uint64_t n;

	text = jv_string_concat(text, jv_string_fmt("%s%s: %s",
	    jv_string_length_bytes(jv_copy(text)) != 0 ? "; " : "",
	    jq_str(lane, "lane"), jq_str(lane, "state")));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if ((n = stats_number(lane, numbers[i])) != 0)
			text = jv_string_concat(text, jv_string_fmt(", %s %ju",
			    numbers[i], (uintmax_t)n));
	}
	return text;
}

static jv
route_counts(struct status *s, jv row)
{
	jv lanes, text = jv_string("");
	struct fault f;

	if (stats_each(&s->spool, "route", NULL, NULL, take_line, &row, &f)
	    == -1) {
		problem(s, f.text, "run/route.sock", 0);
		jv_free(text);
		return row;
	}
	lanes = jq_get(row, "lanes");
	if (jv_get_kind(lanes) == JV_KIND_ARRAY) {
		jv_array_foreach(lanes, i, lane) {
			if (jq_str(lane, "lane") != NULL &&
			    jq_str(lane, "state") != NULL) {
				lane_problem(s, lane);
				text = lane_text(text, lane);
			}
			jv_free(lane);
		}
	}
	jv_free(lanes);
	if (s->rows)
		return jv_object_set(row, jv_string("lanes"), text);
	jv_free(text);
	return row;
}

struct pushing {
	struct status *status;
	uint64_t subscriptions, holds, in_flight, held;
	uint64_t attempts, delivered, failed;
};

static void
hold_problem(struct pushing *p, jv line)
{
	const char *topic = jq_str(line, "topic");
	const char *name = jq_str(line, "subscription");
	char path[SCHEMA_PATH];
	jv why, words;

	if (++p->holds > HOLDS_NAMED || topic == NULL || name == NULL)
		return;
	snprintf(path, sizeof(path), "topics/%s/eventSubscriptions/%s", topic,
	    name);
	why = push_words(line);
	words = jv_string_fmt("on hold: %s", jv_string_value(why));
	problem(p->status, jv_string_value(words), path, 0);
	jv_free(words);
	jv_free(why);
}

/* What concerns no subscription: the callback. */
static void
add_listener(struct status *s, jv line)
{
	jv listeners = jq_get(line, "listeners");
	const char *error = jq_str(line, "error");

	if (jv_get_kind(listeners) == JV_KIND_OBJECT)
		s->listeners = jv_object_merge(s->listeners, listeners);
	else
		jv_free(listeners);
	if (error != NULL)
		problem(s, error, "namespace", 0);
	jv_free(line);
}

static void
add_pushing(jv line, void *arg)
{
	struct pushing *p = arg;
	const char *state = jq_str(line, "state");

	if (jq_str(line, "subscription") == NULL) {
		add_listener(p->status, line);
		return;
	}
	p->subscriptions++;
	p->in_flight += stats_number(line, "inFlight");
	p->held += stats_number(line, "held");
	p->attempts += stats_number(line, "attempts");
	p->delivered += stats_number(line, "delivered");
	p->failed += stats_sum(line, "failures");
	if (state != NULL && strcmp(state, "onHold") == 0)
		hold_problem(p, line);
	jv_free(line);
}

static jv
push_counts(struct status *s, jv row)
{
	struct pushing p = { .status = s };
	struct fault f;

	if (stats_each(&s->spool, "push", NULL, NULL, add_pushing, &p, &f)
	    == -1) {
		problem(s, f.text, "run/push.sock", 0);
		return row;
	}
	if (p.holds > HOLDS_NAMED)
		problem(s, "more push subscriptions on hold", "topics",
		    p.holds - HOLDS_NAMED);
	row = jq_set_number(row, "subscriptions", p.subscriptions);
	row = jq_set_number(row, "onHold", p.holds);
	row = jq_set_number(row, "inFlight", p.in_flight);
	row = jq_set_number(row, "held", p.held);
	row = jq_set_number(row, "attempts", p.attempts);
	row = jq_set_number(row, "delivered", p.delivered);
	return jq_set_number(row, "failures", p.failed);
}

struct writing {
	struct status *status;
	uint64_t destinations, failing, waiting, written, blobs, dropped;
};

/* Why its letters wait. */
static void
destination_problem(struct writing *w, jv line)
{
	const char *container = jq_str(line, "container");
	const char *since = jq_str(line, "failingSince");
	const char *error = jq_str(line, "lastError");
	const char *next = jq_str(line, "nextAttempt");
	jv words = jv_string("dead letters wait");

	if (since != NULL)
		words = jv_string_concat(words, jv_string_fmt(" since %s",
		    since));
	if (error != NULL)
		words = jv_string_concat(words, jv_string_fmt(": %s", error));
	if (next != NULL)
		words = jv_string_concat(words, jv_string_fmt(
		    "; next attempt %s", next));
	problem(w->status, jv_string_value(words),
	    container != NULL ? container : "deadletter",
	    stats_number(line, "waiting"));
	jv_free(words);
}

static void
add_writing(jv line, void *arg)
{
	struct writing *w = arg;
	const char *state = jq_str(line, "state");

	w->destinations++;
	w->waiting += stats_number(line, "waiting");
	w->written += stats_number(line, "written");
	w->blobs += stats_number(line, "blobs");
	w->dropped += stats_number(line, "dropped");
	if (state != NULL && strcmp(state, "failing") == 0) {
		w->failing++;
		destination_problem(w, line);
	}
	jv_free(line);
}

static jv
dlq_counts(struct status *s, jv row)
{
	struct writing w = { .status = s };
	struct fault f;

	if (stats_each(&s->spool, "dlq", NULL, NULL, add_writing, &w, &f)
	    == -1) {
		problem(s, f.text, "run/dlq.sock", 0);
		return row;
	}
	row = jq_set_number(row, "destinations", w.destinations);
	row = jq_set_number(row, "failing", w.failing);
	row = jq_set_number(row, "waiting", w.waiting);
	row = jq_set_number(row, "written", w.written);
	row = jq_set_number(row, "blobs", w.blobs);
	return jq_set_number(row, "dropped", w.dropped);
}

/* A daemon writes its pid into its lock when it starts. */
static jv
since(const struct status *s, const char *name)
{
	char path[64], text[CLOCK_TEXT + 1];
	struct stat st;

	snprintf(path, sizeof(path), "run/%s.lock", name);
	if (fstatat(s->spool.fd, path, &st, 0) == -1)
		return jv_null();
	clock_format(text, st.st_mtim.tv_sec * CLOCK_SECOND +
	    st.st_mtim.tv_nsec / 1000);
	return jv_string(text);
}

static jv
process(const struct status *s, const char *name)
{
	pid_t pid = spool_holder(&s->spool, name);
	jv row = jv_object();

	row = jv_object_set(row, jv_string("name"), jv_string(name));
	row = jv_object_set(row, jv_string("running"), jv_bool(pid != 0));
	row = jv_object_set(row, jv_string("pid"),
	    pid != 0 ? jv_number((double)pid) : jv_null());
	return jv_object_set(row, jv_string("since"),
	    pid != 0 ? since(s, name) : jv_null());
}

/* A row of a table fits on a screen: what was counted, and is not 0, is one
 * text. */
static jv
narrow(jv row)
{
	static const char *const own[] = { "name", "running", "pid", "since",
		"ready" };
	jv rest = jv_copy(row), new = jv_object(), text = jv_string(""), keys;

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		new = jv_object_set(new, jv_string(own[i]),
		    jv_object_get(jv_copy(row), jv_string(own[i])));
		rest = jv_object_delete(rest, jv_string(own[i]));
	}
	jv_free(row);
	keys = jv_keys(jv_copy(rest));
	jv_array_foreach(keys, i, key) {
		jv v = jv_object_get(jv_copy(rest), jv_copy(key));

		if (jv_get_kind(v) == JV_KIND_NUMBER &&
		    jv_number_value(v) != 0)
			text = jv_string_concat(text, jv_string_fmt(
			    "%s%s %.0f", jv_string_length_bytes(jv_copy(text))
			    != 0 ? ", " : "", jv_string_value(key),
			    jv_number_value(v)));
		jv_free(v);
		jv_free(key);
	}
	jv_free(keys);
	if (jv_object_has(jv_copy(rest), jv_string("lanes"))) {
		jv_free(text);
		text = jv_object_get(jv_copy(rest), jv_string("lanes"));
	}
	new = jv_object_set(new, jv_string("counts"), text);
	if (jv_object_has(jv_copy(rest), jv_string("listeners")))
		new = jv_object_set(new, jv_string("listeners"),
		    jv_object_get(jv_copy(rest), jv_string("listeners")));
	jv_free(rest);
	return new;
}

static void
look_at(struct status *s, const char *name)
{
	jv row = process(s, name);
	struct client c;
	char path[64];
	struct fault f;
	bool ready;

	snprintf(path, sizeof(path), "run/%s.sock", name);
	ready = client_open(&c, &s->spool, name, &f) == 0;
	if (ready)
		client_close(&c);
	row = jv_object_set(row, jv_string("ready"), jv_bool(ready));
	if (!ready) {
		s->healthy = false;
		problem(s, f.text, path, 0);
	} else if (strcmp(name, "topicd") == 0) {
		row = topicd_counts(s, row);
	} else if (strcmp(name, "brokerd") == 0) {
		row = brokerd_counts(s, row);
	} else if (strcmp(name, "route") == 0) {
		row = route_counts(s, row);
	} else if (strcmp(name, "push") == 0) {
		row = push_counts(s, row);
	} else if (strcmp(name, "dlq") == 0) {
		row = dlq_counts(s, row);
	}
	s->daemons = jv_array_append(s->daemons, s->rows ? narrow(row) : row);
}

/* ---- the answer ---- */

static void
tell_problems(jv problems)
{
	jv_array_foreach(problems, i, v) {
		jv what = jv_object_get(jv_copy(v), jv_string("problem"));
		jv where = jv_object_get(jv_copy(v), jv_string("where"));
		jv count = jv_object_get(v, jv_string("count"));

		fprintf(stderr, "egns-ctl: %s: %s", jv_string_value(where),
		    jv_string_value(what));
		if (jv_get_kind(count) == JV_KIND_NUMBER)
			fprintf(stderr, "; count: %.0f",
			    jv_number_value(count));
		fputc('\n', stderr);
		jv_free(what);
		jv_free(where);
		jv_free(count);
	}
}

/* A table has the daemons as rows, and the problems go to stderr. */
static int
print(struct ctl *ctl, const struct status *s)
{
	jv all;

	if (s->rows) {
		tell_problems(s->problems);
		return ctl_print(ctl, jv_copy(s->daemons));
	}
	all = jv_object();
	all = jv_object_set(all, jv_string("healthy"), jv_bool(s->healthy));
	all = jv_object_set(all, jv_string("supervisor"),
	    process(s, "up"));
	all = jv_object_set(all, jv_string("daemons"), jv_copy(s->daemons));
	all = jv_object_set(all, jv_string("listeners"), jv_copy(s->listeners));
	all = jv_object_set(all, jv_string("problems"), jv_copy(s->problems));
	return ctl_print(ctl, all);
}

int
verb_status(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	struct status s = { .healthy = true, .rows = ctl_as_rows(ctl) };
	const char *names[DAEMONS_MAX];
	int i, n, status;
	struct fault f;

	(void)argv;
	if (argc != 0)
		return ctl_usage(verb);
	if (spool_open(&s.spool, ctl->spool, &f) == -1)
		return ctl_fault(&f);
	if ((n = daemons_shown(&s.spool, names, &f)) == -1) {
		spool_close(&s.spool);
		return ctl_fault(&f);
	}
	s.daemons = jv_array();
	s.problems = jv_array();
	s.listeners = jv_object();
	for (i = 0; i < n; i++)
		look_at(&s, names[i]);
	find_problems(&s);
	status = print(ctl, &s);
	if (status == 0 && !s.healthy)
		status = EX_UNAVAILABLE;
	jv_free(s.daemons);
	jv_free(s.problems);
	jv_free(s.listeners);
	spool_close(&s.spool);
	return status;
}
