/* --from URL: messages of a foreign broker to a topic */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "broker.h"
#include "buf.h"
#include "client.h"
#include "clock.h"
#include "daemon.h"
#include "deadletter.h"
#include "drop.h"
#include "jq.h"
#include "json.h"
#include "log.h"
#include "quote.h"
#include "registry.h"
#include "routing.h"
#include "schema.h"
#include "spool.h"
#include "stop.h"
#include "target.h"
#include "uuid.h"

#define ANSWER (20 * CLOCK_SECOND)  /* that topicd may take */
#define LAST_ANSWER (5 * CLOCK_SECOND) /* when we are to stop */
/* Below the broker's patience, which is one and a half times KEEP_ALIVE. */
#define HOLD (30 * CLOCK_SECOND)    /* messages without an answer */
#define AGAIN (CLOCK_SECOND / 4)    /* topicd is tried */
#define PAUSE_MAX (60 * CLOCK_SECOND)
#define TARGET_MAX 1024             /* bytes of a resource id */
#define ID_SIZE 256
#define KEEP (4 * 1024 * 1024)      /* bytes of buffers */

/* A message that was read and not acknowledged. */
struct held {
	size_t event, record; /* where its texts end */
};

struct bridge {
	const struct options *opt;
	struct spool spool;
	struct broker broker;
	struct client topicd;
	struct routing *routing;
	struct json scratch;
	char topic[128], target[TARGET_MAX], namespace[128], id[ID_SIZE];
	char run[UUID_SIZE];  /* the ids of its events begin so */
	uint64_t number;      /* of messages so far */
	/* What was read, in order; those that no event is made of have no
	 * bytes in events. */
	struct held *held;
	size_t n, cap;
	struct buf events, records, drops;
	bool no_memory;
	char said[640];       /* the trouble that we are in; "": none */
	int64_t pause;        /* before the next connection */
	bool ever;            /* connected and subscribed */
	bool moved;           /* messages, on this connection */
};

/* ---- words ---- */

/* One line when it begins, and when it changes. */
static void
say(struct bridge *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
say(struct bridge *b, const char *fmt, ...)
{
	char text[sizeof(b->said)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (strcmp(text, b->said) == 0)
		return;
	memcpy(b->said, text, sizeof(text));
	log_warn("%s", text);
}

static void
say_waiting(struct bridge *b, const struct fault *f)
{
	say(b, "%s: messages wait there: %s", b->broker.name, f->text);
}

static void
well(struct bridge *b)
{
	if (b->said[0] != '\0')
		log_warn("%s: messages go on to topic '%s'", b->broker.name,
		    b->topic);
	b->said[0] = '\0';
}

/* ---- messages that were read ---- */

/* It is the message, or its event, that is at fault. */
static bool
is_of_event(const struct fault *f)
{
	return f->code == FAULT_BAD_REQUEST || f->code == FAULT_TOO_LARGE;
}

static size_t
event_start(const struct bridge *b, size_t i)
{
	return i > 0 ? b->held[i - 1].event : 0;
}

static void
add_drop(struct bridge *b, size_t i, const struct fault *f)
{
	size_t start = i > 0 ? b->held[i - 1].record : 0;

	drop_record(&b->drops, drop_of(f), f->text, b->target,
	    buf_data(&b->records) + start, b->held[i].record - start,
	    &b->scratch);
	log_warn("a message of %s is dropped, which dropped/ has now: %s",
	    b->broker.name, f->text);
}

static struct held *
held_new(struct bridge *b)
{
	size_t cap = b->cap > 0 ? 2 * b->cap : BROKER_MESSAGES;
	struct held *held;

	if (b->n == b->cap) {
		held = realloc(b->held, cap * sizeof(*held));
		if (held == NULL)
			return NULL;
		b->held = held;
		b->cap = cap;
	}
	return &b->held[b->n++];
}

static bool
take(const struct mosquitto_message *m, const mosquitto_property *props,
    void *arg)
{
	char id[UUID_SIZE + 24];
	struct bridge *b = arg;
	size_t start = b->records.len;
	struct held *h = held_new(b);
	struct fault f = { .code = FAULT_NONE };

	if (h == NULL) {
		b->no_memory = true;
		return true;
	}
	snprintf(id, sizeof(id), "%s/%llu", b->run,
	    (unsigned long long)++b->number);
	mosq_record(&b->records, m, props, &b->scratch);
	if (!b->records.bad)
		routing_event(b->routing, buf_data(&b->records) + start,
		    b->records.len - start, id, clock_now(), &b->events, &f);
	h->event = b->events.len;
	h->record = b->records.len;
	if (is_of_event(&f))
		add_drop(b, b->n - 1, &f);
	else if (f.code != FAULT_NONE)
		b->no_memory = true;
	return b->n >= BROKER_MESSAGES || b->events.len >= BROKER_BYTES;
}

static void
forget(struct bridge *b)
{
	b->n = 0;
	b->no_memory = false;
	buf_reset(&b->events, KEEP);
	buf_reset(&b->records, KEEP);
	buf_reset(&b->drops, KEEP);
}

/* ---- to the topic ---- */

static int
await_answer(struct bridge *b, struct fault *f)
{
	int64_t end = clock_mono() + ANSWER, left;
	struct client *c = &b->topicd;

	while (!client_ready(c)) {
		if (client_move(c, f) == -1 && !client_ready(c))
			return -1;
		left = end - clock_mono();
		if (stop_asked() && left > LAST_ANSWER) {
			left = LAST_ANSWER;
			end = clock_mono() + left;
		}
		if (left <= 0) {
			client_close(c);
			return fault_set(f, FAULT_UNAVAILABLE,
			    "topicd: it does not answer");
		}
		if (!client_ready(c))
			stop_wait(c->fd, c->out.len > 0 ? POLLIN | POLLOUT :
			    POLLIN, left);
	}
	return client_answer(c, f);
}

static int
ask(struct bridge *b, const struct buf *request, struct fault *f)
{
	struct client *c = &b->topicd;

	if (request->bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	if (c->fd == -1) {
		client_close(c);
		if (client_open(c, &b->spool, "topicd", f) == -1)
			return -1;
	}
	client_add(c, buf_data(request), request->len);
	return await_answer(b, f);
}

/* May it be published to, by us? */
static int
probe(struct bridge *b, struct fault *f)
{
	struct buf request = { 0 };
	int rc;

	buf_str(&request, "{\"op\":\"producer\",\"topic\":");
	buf_json(&request, b->topic, strlen(b->topic));
	buf_printf(&request, ",\"producer\":\"bridge.%s\"}\n", b->run);
	rc = ask(b, &request, f);
	buf_free(&request);
	return rc;
}

/*
 * Messages at..end. They have numbers, so what a topicd has stored that could
 * not say so any more is not stored again.
 */
static int
publish(struct bridge *b, size_t at, size_t end, struct fault *f)
{
	size_t start = event_start(b, at), stop = event_start(b, end), i;
	struct buf request = { 0 };
	uint64_t last = b->number - b->n + end;
	unsigned count = 0;
	int rc;

	for (i = at; i < end; i++)
		count += b->held[i].event > event_start(b, i);
	if (count == 0)
		return 0;
	buf_str(&request, "{\"op\":\"publish\",\"topic\":");
	buf_json(&request, b->topic, strlen(b->topic));
	buf_printf(&request, ",\"count\":%u,\"producer\":\"bridge.%s\","
	    "\"sequence\":%llu}\n", count, b->run,
	    (unsigned long long)last);
	buf_add(&request, buf_data(&b->events) + start, stop - start);
	rc = ask(b, &request, f);
	buf_free(&request);
	return rc;
}

/* Until they are stored, or it takes too long; -1 and a fault then, and when it
 * is something in them. */
static int
insist(struct bridge *b, size_t at, size_t end, struct fault *f)
{
	int64_t until = clock_mono() + HOLD;

	while (publish(b, at, end, f) == -1) {
		if (is_of_event(f) || stop_asked() || clock_mono() >= until)
			return -1;
		say_waiting(b, f);
		stop_wait(-1, 0, AGAIN);
	}
	return 0;
}

/* One of them is refused: which is found one by one. */
static int
insist_each(struct bridge *b, size_t at, size_t end, struct fault *f)
{
	size_t i;

	for (i = at; i < end; i++) {
		if (insist(b, i, i + 1, f) == 0)
			continue;
		if (!is_of_event(f))
			return -1;
		add_drop(b, i, f);
	}
	return 0;
}

static size_t
parcel_end(const struct bridge *b, size_t at)
{
	size_t end = at + 1, start = event_start(b, at);

	while (end < b->n && end - at < PARCEL_EVENTS &&
	    b->held[end].event - start <= PARCEL_BYTES)
		end++;
	return end;
}

/* All that was read, on disk. 0, or -1 and a fault. */
static int
deliver(struct bridge *b, struct fault *f)
{
	size_t at, end;

	if (b->no_memory || b->events.bad || b->records.bad || b->drops.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	for (at = 0; at < b->n; at = end) {
		end = parcel_end(b, at);
		if (insist(b, at, end, f) == -1 && (!is_of_event(f) ||
		    insist_each(b, at, end, f) == -1))
			return -1;
	}
	if (b->drops.len > 0 && (b->drops.bad || dropped_append(b->spool.fd,
	    clock_now(), buf_data(&b->drops), b->drops.len) == -1))
		return fault_errno(f, FAULT_INTERNAL, "dropped/");
	b->moved |= b->n > 0;
	forget(b);
	return 0;
}

/* ---- connections ---- */

static void
subscribed(struct bridge *b)
{
	well(b);
	if (!b->ever) {
		log_info("%s: subscribed; messages go to topic '%s'",
		    b->broker.name, b->topic);
		daemon_ready(b->opt->ready);
	}
	b->ever = true;
}

/* Until the connection ends, or we are stopped. 0; or -1 and a fault: what has
 * not been acknowledged must not be. */
static int
carry(struct bridge *b, struct fault *f)
{
	struct broker *k = &b->broker;

	if (broker_connect(k) == -1) {
		*f = k->fault;
		return -1;
	}
	while (!stop_asked()) {
		if (broker_read(k) == -1) {
			*f = k->fault;
			return -1;
		}
		if (deliver(b, f) == -1)
			return -1;
		if (broker_write(k) == -1) {
			*f = k->fault;
			return -1;
		}
		if (k->subscribed && (!b->ever || b->said[0] != '\0'))
			subscribed(b);
	}
	return 0;
}

/* Of 1, 2, 4 ... 60 seconds, give or take a quarter: not all at once when a
 * broker comes back. */
static void
wait_longer(struct bridge *b)
{
	int64_t quarter = b->pause / 4;

	stop_wait(-1, 0, b->pause - quarter + random() % (2 * quarter + 1));
	b->pause = 2 * b->pause > PAUSE_MAX ? PAUSE_MAX : 2 * b->pause;
}

static void
run(struct bridge *b)
{
	struct fault f;

	b->pause = CLOCK_SECOND;
	while (!stop_asked()) {
		if (probe(b, &f) == -1) {
			say_waiting(b, &f);
			stop_wait(-1, 0, CLOCK_SECOND);
			continue;
		}
		b->moved = false;
		if (carry(b, &f) == 0)
			break;
		broker_drop(&b->broker);
		forget(b);
		if (stop_asked())
			break;
		if (b->broker.refused && !b->ever)
			log_fatal(fault_exit(f.code), "%s", f.text);
		if (b->broker.fault.code == FAULT_NONE)
			say_waiting(b, &f);
		else
			say(b, "%s", f.text);
		if (b->moved)
			b->pause = CLOCK_SECOND;
		wait_longer(b);
	}
	broker_leave(&b->broker);
}

/* ---- what the namespace says ---- */

/* The name of the topic that messages are routed to. */
static int
route_topic(struct bridge *b, jv namespace, struct fault *f)
{
	const char *route = jq_str(namespace, SCHEMA_ROUTE), *name;

	if (route == NULL || route[0] == '\0')
		return fault_set(f, FAULT_BAD_REQUEST, "--to TOPIC is missing, "
		    "and the namespace has no routeTopicResourceId");
	name = topicd_topic(namespace, route);
	if (name == NULL || name[0] == '\0' ||
	    strlen(name) >= sizeof(b->topic))
		return fault_set(f, FAULT_BAD_REQUEST, "--to TOPIC is missing, "
		    "and the namespace routes to a topic that is not its own");
	snprintf(b->topic, sizeof(b->topic), "%s", name);
	return 0;
}

static int
look_up_topic(struct bridge *b, struct registry *r, jv namespace,
    struct fault *f)
{
	char q[QUOTE_MAX], path[sizeof(b->topic) + 8];
	const char *to = b->opt->topic, *id;
	jv topic;

	if (to == NULL && route_topic(b, namespace, f) == -1)
		return -1;
	if (to != NULL && strlen(to) < sizeof(b->topic))
		snprintf(b->topic, sizeof(b->topic), "%s", to);
	snprintf(path, sizeof(path), "topics/%s", b->topic);
	if (b->topic[0] == '\0' || strchr(b->topic, '/') != NULL ||
	    !registry_has(r, path))
		return fault_set(f, FAULT_NOT_FOUND, "topic '%s': not found",
		    quote(q, to != NULL ? to : b->topic,
		    strlen(to != NULL ? to : b->topic)));
	topic = registry_get(r, path);
	id = jq_str(topic, "id");
	snprintf(b->target, sizeof(b->target), "%s", id != NULL ? id : path);
	jv_free(topic);
	return 0;
}

static int
look_up(struct bridge *b, struct fault *f)
{
	struct registry *r = registry_open(&b->spool, false, f);
	const char *name;
	jv namespace;
	int rc;

	if (r == NULL)
		return -1;
	namespace = registry_get(r, "namespace");
	name = jq_str(namespace, "name");
	snprintf(b->namespace, sizeof(b->namespace), "%s",
	    name != NULL ? name : "");
	if (b->opt->source != NULL)
		namespace = jv_object_set(namespace, jv_string("name"),
		    jv_string(b->opt->source));
	rc = look_up_topic(b, r, namespace, f);
	registry_close(r);
	if (rc == -1) {
		jv_free(namespace);
		return -1;
	}
	b->routing = routing_new(namespace, f);
	return b->routing == NULL ? -1 : 0;
}

/* The session is found again by it. */
static void
name_session(struct bridge *b)
{
	char host[65] = "localhost";

	gethostname(host, sizeof(host) - 1);
	if (b->opt->id != NULL)
		snprintf(b->id, sizeof(b->id), "%s", b->opt->id);
	else
		snprintf(b->id, sizeof(b->id), "egns-route-%s-%s", host,
		    b->namespace);
}

/* Of two with one id each would end the other's connection. */
static int
lock(struct bridge *b, struct fault *f)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strlen(b->id);
	char name[64], uuid[UUID_SIZE];

	uuid_of(uuid, b->id);
	snprintf(name, sizeof(name), "bridge-%.40s",
	    len > 40 || strspn(b->id, plain) != len ? uuid : b->id);
	return spool_lock(&b->spool, name, f) == -1 ? -1 : 0;
}

static int
set_up(struct bridge *b, struct fault *f)
{
	if (look_up(b, f) == -1)
		return -1;
	name_session(b);
	if (broker_init(&b->broker, b->opt, b->id, f) == -1)
		return -1;
	b->broker.message = take;
	b->broker.arg = b;
	return lock(b, f);
}

int
bridge_run(const struct options *given)
{
	struct options opt = *given;
	struct bridge b = { .opt = &opt, .topicd = { .fd = -1 } };
	struct fault f;

	if (opt.nfilters == 0)
		opt.filters[opt.nfilters++] = "#";
	if (spool_open(&b.spool, opt.spool, &f) == -1)
		log_fatal(fault_exit(f.code), "%s", f.text);
	stop_init();
	uuid_new(b.run);
	srandom((unsigned)getpid());
	if (set_up(&b, &f) == -1)
		log_fatal(f.code == FAULT_BAD_REQUEST ? EX_USAGE :
		    fault_exit(f.code), "%s", f.text);
	run(&b);
	broker_free(&b.broker);
	client_close(&b.topicd);
	if (b.routing != NULL)
		routing_free(b.routing);
	free(b.held);
	buf_free(&b.events);
	buf_free(&b.records);
	buf_free(&b.drops);
	json_free(&b.scratch);
	spool_close(&b.spool);
	return EX_OK;
}
