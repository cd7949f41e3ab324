/* a push subscription's events, from egns-topicd */
#include "feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "hash.h"
#include "json.h"
#include "log.h"
#include "quote.h"
#include "wire.h"

#define WAIT 3600 /* seconds that a receive may wait */
#define ASK_MAX 1000 /* events of an answer */

struct feed {
	struct wire wire;
	char *topic, *name;
	const struct feed_hooks *hooks;
	void *arg;
	struct hash_key key;
	struct json json;
	bool ordered;
	bool reclaimed; /* the locks of the process before */
	enum { IDLE, RECLAIMING, RECEIVING } asked;
	unsigned most;  /* events that were asked for */
	uint64_t owed;  /* lines of an answer that have not come yet */
};

/* ---- events ---- */

/* A hash of the subject; of events without one, none of the others'. */
static uint64_t
subject_of(const struct feed *f, uint32_t event)
{
	const struct json *j = &f->json;
	uint32_t t = json_member(j, event, "subject", 7);
	struct buf text = { 0 };
	uint64_t hash;

	if (t == 0 || j->tok[t].type != JSON_STRING)
		return 0;
	json_string(j, t, &text);
	hash = hash_bytes(&f->key, buf_data(&text), text.len);
	buf_free(&text);
	return hash == 0 ? 1 : hash;
}

static struct item *
make_item(const struct feed *f, uint32_t token, int64_t count, uint32_t event)
{
	const struct json *j = &f->json;
	size_t len = j->tok[event].end - j->tok[event].start;
	struct item *item = malloc(sizeof(*item) + len + 1);

	if (item == NULL)
		return NULL;
	*item = (struct item){ .since = clock_mono(), .count = (unsigned)count,
		.len = (uint32_t)len };
	memcpy(item->token, j->text + j->tok[token].start + 1, ITEM_TOKEN);
	item->token[ITEM_TOKEN] = '\0';
	memcpy(item->text, j->text + j->tok[event].start, len);
	item->text[len] = '\0';
	if (f->ordered)
		item->subject = subject_of(f, event);
	return item;
}

/* {"brokerProperties":{"lockToken","deliveryCount"},"event":{...}}; NULL: it is
 * none, or there is no memory, and it comes again when its lock has run out. */
static struct item *
read_item(struct feed *f, const char *line, size_t len)
{
	struct json *j = &f->json;
	uint32_t properties, token, count, event;
	int64_t n;

	if (json_scan(j, line, len, NULL) == -1 ||
	    j->tok[0].type != JSON_OBJECT)
		return NULL;
	properties = json_member(j, 0, "brokerProperties", 16);
	event = json_member(j, 0, "event", 5);
	if (properties == 0 || event == 0 ||
	    j->tok[properties].type != JSON_OBJECT ||
	    j->tok[event].type != JSON_OBJECT)
		return NULL;
	token = json_member(j, properties, "lockToken", 9);
	count = json_member(j, properties, "deliveryCount", 13);
	if (token == 0 || count == 0 || j->tok[token].type != JSON_STRING ||
	    j->tok[token].end - j->tok[token].start != ITEM_TOKEN + 2 ||
	    !json_int64(j, count, &n))
		return NULL;
	return make_item(f, token, n, event);
}

/* ---- the connection ---- */

static void
become_idle(struct feed *f)
{
	f->asked = IDLE;
	f->hooks->idle(f->arg);
}

static void
take_line(struct feed *f)
{
	struct item *item;
	struct fault fault;
	const char *line;
	size_t len;

	if (client_line(&f->wire.client, &line, &len, &fault) == -1) {
		wire_lose(&f->wire, &fault);
		return;
	}
	if ((item = read_item(f, line, len)) != NULL)
		f->hooks->item(item, f->arg);
	else
		log_warn("%s/%s: an event of topicd could not be taken",
		    f->topic, f->name);
	if (--f->owed == 0)
		become_idle(f);
}

/* More than was asked for would be held without a bound. */
static int
take_answer(struct feed *f, struct fault *fault)
{
	if (client_answer(&f->wire.client, fault) == -1)
		return -1; /* deleted, perhaps; or the registry will tell */
	if (f->asked == RECLAIMING)
		f->reclaimed = true;
	else
		f->owed = client_number(&f->wire.client, "count");
	if (f->asked == IDLE || f->owed > f->most)
		return fault_set(fault, FAULT_INTERNAL, "it answers what was "
		    "not asked");
	return 0;
}

static void
on_line(void *arg)
{
	struct feed *f = arg;
	struct fault fault;

	if (f->owed > 0)
		take_line(f);
	else if (take_answer(f, &fault) == -1)
		wire_lose(&f->wire, &fault);
	else if (f->owed == 0)
		become_idle(f);
}

static void
request(struct feed *f, const char *op, const char *members)
{
	struct buf b = { 0 };

	buf_printf(&b, "{\"op\":\"%s\",\"topic\":\"%s\",\"subscription\":\"%s\""
	    "%s}\n", op, f->topic, f->name, members);
	if (!b.bad)
		wire_send(&f->wire, buf_data(&b), b.len);
	buf_free(&b);
}

static void
on_up(void *arg)
{
	struct feed *f = arg;

	if (f->reclaimed) {
		become_idle(f);
		return;
	}
	f->asked = RECLAIMING;
	request(f, "reclaim", f->ordered ? ",\"delayed\":true" : "");
}

static void
on_down(const struct fault *fault, void *arg)
{
	struct feed *f = arg;
	bool lost = f->asked == RECEIVING;

	f->asked = IDLE;
	f->owed = 0;
	if (lost)
		f->hooks->lost(f->arg);
	if (fault->code != FAULT_UNAVAILABLE && fault->code != FAULT_NOT_FOUND)
		log_warn("%s/%s: topicd: %s", f->topic, f->name, fault->text);
}

/* ---- */

struct feed *
feed_new(struct ev_loop *loop, const struct spool *spool, const char *topic,
    const char *subscription, bool ordered, const struct feed_hooks *hooks,
    void *arg)
{
	static const struct wire_hooks wire = { on_up, on_line, on_down };
	struct feed *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	wire_init(&f->wire, loop, spool, &wire, f);
	f->topic = strdup(topic);
	f->name = strdup(subscription);
	f->hooks = hooks;
	f->arg = arg;
	f->ordered = ordered;
	if (f->topic == NULL || f->name == NULL || hash_key(&f->key) == -1) {
		feed_free(f);
		return NULL;
	}
	return f;
}

void
feed_free(struct feed *f)
{
	if (f == NULL)
		return;
	wire_close(&f->wire);
	json_free(&f->json);
	free(f->topic);
	free(f->name);
	free(f);
}

void
feed_ordered(struct feed *f, bool ordered)
{
	f->ordered = ordered;
}

void
feed_restart(struct feed *f)
{
	wire_close(&f->wire);
	f->asked = IDLE;
	f->owed = 0;
	f->reclaimed = false;
	feed_open(f);
}

void
feed_open(struct feed *f)
{
	if (f->wire.state == WIRE_CLOSED)
		wire_open(&f->wire, NULL);
}

bool
feed_ask(struct feed *f, unsigned n, bool wait)
{
	char members[64];

	if (f->wire.state != WIRE_UP || f->asked != IDLE || f->owed > 0)
		return false;
	f->most = n > ASK_MAX ? ASK_MAX : n;
	snprintf(members, sizeof(members), ",\"maxEvents\":%u,"
	    "\"maxWaitTime\":%d", f->most, wait ? WAIT : 0);
	f->asked = RECEIVING;
	request(f, "receive", members);
	return true;
}

bool
feed_asked(const struct feed *f)
{
	return f->asked == RECEIVING;
}
