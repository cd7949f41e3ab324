/* the way back of dead letters, in rounds */
#include "returns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "array.h"
#include "clock.h"
#include "event.h"
#include "exchange.h"
#include "hash.h"

#define STEPS 10 /* of a second: a round is for one of them, by the rate */
#define NAP_MOVABLE (CLOCK_SECOND / 20) /* the clock may be moved meanwhile */
#define GATHERED_MAX 16384 /* letters; more would take memory, not time */
#define TABLE (2 * GATHERED_MAX)
#define TEXTS_CHUNK (64 * 1024)
#define NONE UINT32_MAX

struct texts { /* strings and faults of letters, until they are told of */
	struct texts *next;
	size_t used, size;
	char mem[];
};

/* A letter that is gathered. */
struct item {
	struct returned is;
	bool to_topic, over;
	enum returns_result result;
	const struct fault *why;
	size_t event, event_len; /* in `events`, with its newline */
	size_t line, line_len;   /* in `lines` */
	uint32_t request;        /* of this round; NONE */
};

/* A topic in a round. */
struct place {
	const char *topic;
	uint64_t sequence;     /* of the last request, or where it is */
	enum outcome outcome;  /* STORED so far: it is as it should be */
	const struct fault *why;
};

struct returns {
	struct ledger *ledger;
	struct exchange exchange;
	void (*done)(const struct returned *, enum returns_result,
	    const struct fault *, void *);
	void *arg;
	uint64_t rate;
	int64_t due; /* the next round, by clock_mono() */

	struct item *items;
	size_t n;
	struct buf events, lines, note;
	struct texts *texts;
	const struct fault *last; /* of the faults that are kept */
	char time[CLOCK_TEXT + 1];

	struct ledger_round round;
	struct place *places;
	size_t nplaces;
	struct hash_key key;
	uint32_t *table; /* keys of this round: items, NONE */
};

/* ---- texts ---- */

static void *
keep(struct returns *r, const void *data, size_t len)
{
	size_t size = (len + 7) & ~(size_t)7;
	struct texts *t = r->texts;
	void *to;

	if (t == NULL || size > t->size - t->used) {
		size_t room = size > TEXTS_CHUNK ? size : TEXTS_CHUNK;

		if ((t = malloc(sizeof(*t) + room)) == NULL)
			return NULL;
		*t = (struct texts){ .next = r->texts, .size = room };
		r->texts = t;
	}
	to = t->mem + t->used;
	t->used += size;
	return memcpy(to, data, len);
}

static void
drop_texts(struct returns *r)
{
	struct texts *t;

	while ((t = r->texts) != NULL) {
		r->texts = t->next;
		free(t);
	}
	r->last = NULL;
}

/* A copy, or that of the letter before; NULL without memory, or for NULL. */
static const char *
keep_text(struct returns *r, const char *text, const char *before)
{
	if (text == NULL || (before != NULL && strcmp(text, before) == 0))
		return text == NULL ? NULL : before;
	return keep(r, text, strlen(text) + 1);
}

/* Without memory it ends without words. */
static const struct fault *
keep_fault(struct returns *r, const struct fault *f)
{
	if (r->last == NULL || r->last->code != f->code ||
	    strcmp(r->last->text, f->text) != 0)
		r->last = keep(r, f, sizeof(*f));
	return r->last;
}

static bool
keep_strings(struct returns *r, struct returned *is,
    const struct returned *from, const struct returned *before)
{
	static const struct returned none;

	if (before == NULL)
		before = &none;
	*is = *from;
	is->container = keep_text(r, from->container, before->container);
	is->blob = keep_text(r, from->blob, before->blob);
	is->id = keep_text(r, from->id, NULL);
	is->topic = keep_text(r, from->topic, before->topic);
	is->subscription = keep_text(r, from->subscription,
	    before->subscription);
	is->reason = keep_text(r, from->reason, before->reason);
	return is->container != NULL && is->blob != NULL && is->id != NULL &&
	    is->topic != NULL && is->subscription != NULL &&
	    is->reason != NULL;
}

/* ---- lines of the ledger ---- */

static void
add_text(struct buf *b, const char *member, const char *text)
{
	buf_str(b, member);
	buf_json(b, text, strlen(text));
}

static void
add_line(struct buf *b, const char *time, const struct returned *is,
    const char *to, const char *result)
{
	char key[LEDGER_KEY_TEXT + 1];

	ledger_key_format(key, is->key);
	buf_str(b, "{\"time\":\"");
	buf_add(b, time, CLOCK_TEXT);
	buf_str(b, "\",\"key\":\"");
	buf_add(b, key, LEDGER_KEY_TEXT);
	add_text(b, "\",\"container\":", is->container);
	add_text(b, ",\"blob\":", is->blob);
	buf_str(b, ",\"line\":");
	buf_u64(b, is->line);
	add_text(b, ",\"id\":", is->id);
	add_text(b, ",\"topic\":", is->topic);
	add_text(b, ",\"subscription\":", is->subscription);
	add_text(b, ",\"reason\":", is->reason);
	if (is->offset >= 0) {
		buf_str(b, ",\"offset\":");
		buf_u64(b, (uint64_t)is->offset);
	}
	if (to != NULL)
		add_text(b, ",\"to\":", to);
	add_text(b, ",\"result\":", result);
	buf_str(b, "}\n");
}

int
returns_note(struct returns *r, const struct returned *is, const char *result,
    struct fault *f)
{
	char time[CLOCK_TEXT + 1];

	clock_format(time, clock_now());
	buf_reset(&r->note, EVENT_MAX);
	add_line(&r->note, time, is, NULL, result);
	return ledger_note(r->ledger, &r->note, is->again, f);
}

/* ---- what becomes of letters ---- */

static void
over(struct item *it, enum returns_result result, const struct fault *why)
{
	it->over = true;
	it->result = result;
	it->why = why;
}

/* All that are not over. */
static void
all_later(struct returns *r, const struct fault *f)
{
	for (size_t i = 0; i < r->n; i++)
		if (!r->items[i].over)
			over(&r->items[i], RETURNS_LATER, keep_fault(r, f));
}

static bool
any_waits(const struct returns *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (!r->items[i].over)
			return true;
	return false;
}

/* ---- a round: which letters, and where ---- */

static bool
is_first_of_key(struct returns *r, uint32_t i)
{
	const uint8_t *key = r->items[i].is.key;
	size_t at = hash_bytes(&r->key, key, LETTER_KEY) % TABLE;

	for (; r->table[at] != NONE; at = (at + 1) % TABLE)
		if (memcmp(r->items[r->table[at]].is.key, key,
		    LETTER_KEY) == 0)
			return false;
	r->table[at] = i;
	return true;
}

/* Those that were done meanwhile; a second of a letter waits for the first. */
static void
sift(struct returns *r)
{
	struct item *it;

	memset(r->table, 0xff, TABLE * sizeof(*r->table));
	for (it = r->items; it < r->items + r->n; it++) {
		it->request = NONE;
		if (it->over)
			continue;
		if (!it->is.again && ledger_has(r->ledger, it->is.key))
			over(it, RETURNS_BEFORE, NULL);
		else if (is_first_of_key(r, (uint32_t)(it - r->items)))
			it->request = 0;
		else
			it->is.again = false;
	}
}

static struct place *
find_place(struct returns *r, const char *topic)
{
	for (size_t i = r->nplaces; i > 0; i--)
		if (strcmp(r->places[i - 1].topic, topic) == 0)
			return &r->places[i - 1];
	return NULL;
}

/* Where each topic is. 0, or -1 and a fault: the connection is lost. */
static int
ask_places(struct returns *r, struct fault *f)
{
	const struct item *it;
	struct place *p;
	struct fault why;

	r->nplaces = 0;
	for (it = r->items; it < r->items + r->n; it++) {
		if (it->request == NONE ||
		    find_place(r, it->is.topic) != NULL)
			continue;
		p = array_room(r->places, r->nplaces, sizeof(*p));
		if (p == NULL)
			return fault_set(f, FAULT_INTERNAL, "out of memory");
		r->places = p;
		p += r->nplaces++;
		*p = (struct place){ .topic = it->is.topic };
		p->outcome = exchange_position(&r->exchange, p->topic,
		    &p->sequence, &why);
		if (r->exchange.client.fd == -1) {
			*f = why;
			return -1;
		}
		if (p->outcome != OUTCOME_STORED)
			p->why = keep_fault(r, &why);
	}
	return 0;
}

/* Letters of topics that take nothing. */
static void
sift_places(struct returns *r)
{
	const struct place *p;
	struct item *it;

	for (it = r->items; it < r->items + r->n; it++) {
		if (it->request == NONE)
			continue;
		p = find_place(r, it->is.topic);
		if (p->outcome == OUTCOME_STORED)
			continue;
		over(it, p->outcome == OUTCOME_REFUSED ? RETURNS_REFUSED :
		    RETURNS_LATER, p->why);
		it->request = NONE;
	}
}

/* ---- a round: its requests ---- */

/* May a letter go with the one before it? */
static bool
goes_with(const struct item *it, const struct item *before)
{
	return it->to_topic == before->to_topic &&
	    strcmp(it->is.topic, before->is.topic) == 0 &&
	    (it->to_topic ||
		strcmp(it->is.subscription, before->is.subscription) == 0);
}

/* The letters of one request, from one on: behind the last of them. */
static size_t
gather(struct returns *r, size_t from, uint32_t number, struct request *q)
{
	const struct item *first = &r->items[from];
	size_t bytes = 0, i;
	struct item *it;

	q->lines_at = r->round.lines.len;
	for (i = from; i < r->n; i++) {
		it = &r->items[i];
		if (it->request == NONE)
			continue;
		if (q->count > 0 && (q->count == RETURNS_EVENTS ||
		    bytes + it->event_len - 1 > EVENT_BATCH_MAX ||
		    !goes_with(it, first)))
			break;
		it->request = number;
		q->count++;
		bytes += it->event_len - 1;
		buf_add(&r->round.lines, buf_data(&r->lines) + it->line,
		    it->line_len);
	}
	q->lines_len = r->round.lines.len - q->lines_at;
	return i;
}

static void
add_header(struct buf *b, const struct item *it, uint32_t count,
    struct place *p)
{
	add_text(b, "{\"op\":\"publish\",\"topic\":", it->is.topic);
	if (!it->to_topic)
		add_text(b, ",\"subscription\":", it->is.subscription);
	buf_printf(b, ",\"count\":%u,\"producer\":\"" EXCHANGE_PRODUCER
	    "\",\"sequence\":%llu,\"after\":%llu}\n", count,
	    (unsigned long long)p->sequence + 1,
	    (unsigned long long)p->sequence);
	p->sequence++;
}

static void
add_request(struct returns *r, size_t from, size_t to, struct request *q)
{
	struct buf *b = &r->round.requests;
	const struct item *it = &r->items[from];

	q->at = b->len;
	add_header(b, it, q->count, find_place(r, it->is.topic));
	for (; it < r->items + to; it++)
		if (it->request != NONE)
			buf_add(b, buf_data(&r->events) + it->event,
			    it->event_len);
	q->len = b->len - q->at;
}

/* The round's text. 0, or -1 and a fault. */
static int
compose(struct returns *r, struct fault *f)
{
	struct request *q;
	size_t i = 0, to;

	exchange_reset(&r->exchange);
	buf_reset(&r->round.lines, RETURNS_BYTES);
	buf_reset(&r->round.requests, 2 * RETURNS_BYTES);
	for (; i < r->n; i = to) {
		to = i + 1;
		if (r->items[i].request == NONE)
			continue;
		if ((q = exchange_add(&r->exchange)) == NULL)
			return fault_set(f, FAULT_INTERNAL, "out of memory");
		to = gather(r, i, (uint32_t)r->exchange.n - 1, q);
		add_request(r, i, to, q);
	}
	if (r->round.lines.bad || r->round.requests.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	return 0;
}

/* ---- a round: its end ---- */

/* The event that a refusal is about, from 1; 0: it is about all. */
static uint32_t
named_event(const struct request *q)
{
	unsigned n;
	char colon;

	if (q->fault != NULL &&
	    sscanf(q->fault->text, "event %u%c", &n, &colon) == 2 &&
	    colon == ':' && n <= q->count)
		return n;
	return 0;
}

/* Nobody else uses the producer's name: what is this? */
static void
set_strange(const struct place *p, struct fault *f)
{
	fault_set(f, FAULT_CONFLICT, "topic '%.128s': somebody else publishes "
	    "as producer '" EXCHANGE_PRODUCER "'", p->topic);
}

/*
 * What becomes of a request's letters. *p says what its topic's requests before
 * it have come to: all STORED, one refused (what follows is BEHIND and goes
 * again), or LATER.
 */
static enum outcome
judge(const struct request *q, struct place *p, struct fault *f)
{
	enum outcome outcome = q->outcome;

	*f = q->fault != NULL ? *q->fault :
	    (struct fault){ FAULT_INTERNAL, "out of memory" };
	if (outcome == OUTCOME_DUPLICATE)
		outcome = OUTCOME_BEHIND;
	if (outcome == OUTCOME_BEHIND && p->outcome == OUTCOME_LATER) {
		*f = *p->why;
		return OUTCOME_LATER;
	}
	if (outcome == OUTCOME_BEHIND && p->outcome == OUTCOME_STORED) {
		set_strange(p, f);
		outcome = OUTCOME_LATER;
	}
	if (outcome == OUTCOME_REFUSED && p->outcome == OUTCOME_STORED)
		p->outcome = OUTCOME_BEHIND;
	else if (outcome == OUTCOME_LATER)
		p->outcome = OUTCOME_LATER;
	return outcome;
}

static void
settle_item(struct item *it, enum outcome outcome, const struct fault *why,
    bool meant)
{
	if (outcome == OUTCOME_STORED)
		over(it, RETURNS_STORED, NULL);
	else if (outcome == OUTCOME_REFUSED && meant)
		over(it, RETURNS_REFUSED, why);
	else if (outcome == OUTCOME_LATER)
		over(it, RETURNS_LATER, why);
}

/* All requests have been answered. */
static void
settle(struct returns *r)
{
	const struct fault *why = NULL;
	uint32_t named = 0, nth = 0, number = NONE;
	struct request *q = NULL;
	struct place *p;
	struct item *it;
	struct fault f;

	for (it = r->items; it < r->items + r->n; it++) {
		if (it->request == NONE)
			continue;
		if (it->request != number) {
			number = it->request;
			q = &r->exchange.requests[number];
			named = named_event(q);
			nth = 0;
			p = find_place(r, it->is.topic);
			q->outcome = judge(q, p, &f);
			why = NULL;
			if (q->outcome != OUTCOME_STORED)
				p->why = why = keep_fault(r, &f);
		}
		nth++;
		settle_item(it, q->outcome, why, named == 0 || named == nth);
	}
}

/* ---- rounds ---- */

/*
 * What another one has left is published as it is. 1: it has ended, 0 and a
 * fault: it cannot be published now, -1 and a fault.
 */
static int
finish(struct returns *r, struct fault *f)
{
	const struct request *q;

	if (exchange_find(&r->exchange, &r->round, f) == -1)
		return -1;
	if (exchange_run(&r->exchange, &r->round, f) == -1)
		return 0;
	for (q = r->exchange.requests;
	     q < r->exchange.requests + r->exchange.n; q++) {
		if (q->outcome != OUTCOME_LATER)
			continue;
		if (q->fault != NULL)
			*f = *q->fault;
		return 0;
	}
	exchange_lines(&r->exchange, &r->round);
	return ledger_end(r->ledger, &r->round.lines, f) == -1 ? -1 : 1;
}

/* Publish what waits. As finish(); what was sent and not answered stays. */
static int
publish(struct returns *r, struct fault *f)
{
	sift(r);
	if (!any_waits(r))
		return 1;
	if (ask_places(r, f) == -1)
		return 0;
	sift_places(r);
	if (compose(r, f) == -1)
		return -1;
	if (r->exchange.n == 0)
		return 1;
	if (ledger_begin(r->ledger, &r->round, f) == -1)
		return -1;
	if (exchange_run(&r->exchange, &r->round, f) == -1)
		return 0;
	settle(r);
	exchange_lines(&r->exchange, &r->round);
	return ledger_end(r->ledger, &r->round.lines, f) == -1 ? -1 : 1;
}

/* One round of what waits. 0, or -1 and a fault: nothing can go on. */
static int
run_round(struct returns *r, struct fault *f)
{
	int rc = 1;

	if (ledger_lock(r->ledger, &r->round, f) == -1)
		return -1;
	if (exchange_open(&r->exchange, f) == -1)
		rc = 0;
	if (rc == 1 && r->round.requests.len > 0)
		rc = finish(r, f);
	if (rc == 1)
		rc = publish(r, f);
	ledger_unlock(r->ledger);
	if (rc == 0)
		all_later(r, f);
	return rc == -1 ? -1 : 0;
}

/* Wait until the rate allows more. Nobody else has to. */
static void
pace(struct returns *r)
{
	int64_t now = clock_mono(), wait;
	struct timespec ts = { 0 };

	if (r->rate == 0)
		return;
	/* a round is for a second at most; more: the clock went back */
	for (; (wait = r->due - now) > 0 && wait <= CLOCK_SECOND;
	     now = clock_mono()) {
		if (clock_movable() && wait > NAP_MOVABLE)
			wait = NAP_MOVABLE;
		ts.tv_sec = wait / CLOCK_SECOND;
		ts.tv_nsec = wait % CLOCK_SECOND * 1000;
		nanosleep(&ts, NULL);
	}
	if (wait != 0)
		r->due = now;
}

static void
tell(struct returns *r)
{
	const struct item *it;
	int64_t stored = 0;

	for (it = r->items; it < r->items + r->n; it++) {
		stored += it->result == RETURNS_STORED;
		r->done(&it->is, it->result, it->why, r->arg);
	}
	if (r->rate > 0)
		r->due += stored * CLOCK_SECOND / (int64_t)r->rate;
	r->n = 0;
	buf_reset(&r->events, 2 * RETURNS_BYTES);
	buf_reset(&r->lines, 2 * RETURNS_BYTES);
	drop_texts(r);
}

int
returns_flush(struct returns *r, struct fault *f)
{
	if (r->n == 0)
		return 0;
	if (r->events.bad || r->lines.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	pace(r);
	while (any_waits(r))
		if (run_round(r, f) == -1)
			return -1;
	tell(r);
	return 0;
}

/* Is this enough for a round? */
static bool
is_full(const struct returns *r)
{
	uint64_t step = r->rate / STEPS;

	return r->n == GATHERED_MAX || r->events.len >= RETURNS_BYTES ||
	    (r->rate > 0 && r->n >= step);
}

/* What would end the connection, and be sent again for ever. */
static void
check(struct returns *r, struct item *it, const char *event, size_t len)
{
	struct fault f;

	if (len > EVENT_MAX)
		fault_set(&f, FAULT_TOO_LARGE, "an event has at most %d bytes",
		    EVENT_MAX);
	else if (len == 0 || memchr(event, '\n', len) != NULL)
		fault_set(&f, FAULT_BAD_REQUEST, "an event is a line");
	else
		return;
	over(it, RETURNS_REFUSED, keep_fault(r, &f));
}

int
returns_add(struct returns *r, const struct returned *is, bool to_topic,
    const char *event, size_t len, struct fault *f)
{
	struct item *it = &r->items[r->n];

	if (r->n == 0)
		clock_format(r->time, clock_now());
	*it = (struct item){ .to_topic = to_topic, .event = r->events.len,
		.event_len = len + 1, .line = r->lines.len };
	if (!keep_strings(r, &it->is, is, r->n > 0 ? &it[-1].is : NULL))
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	buf_add(&r->events, event, len);
	buf_add(&r->events, "\n", 1);
	add_line(&r->lines, r->time, is, to_topic ? "topic" : "subscription",
	    "replayed");
	it->line_len = r->lines.len - it->line;
	r->n++;
	check(r, it, event, len);
	return is_full(r) ? returns_flush(r, f) : 0;
}

struct returns *
returns_new(const struct spool *spool, struct ledger *ledger, uint64_t rate,
    void (*done)(const struct returned *, enum returns_result,
	const struct fault *, void *arg), void *arg, struct fault *f)
{
	struct returns *r = calloc(1, sizeof(*r));

	if (r != NULL) {
		r->items = malloc(GATHERED_MAX * sizeof(*r->items));
		r->table = malloc(TABLE * sizeof(*r->table));
	}
	if (r == NULL || r->items == NULL || r->table == NULL ||
	    hash_key(&r->key) == -1) {
		fault_errno(f, FAULT_INTERNAL, "replay");
		if (r != NULL)
			free(r->items), free(r->table);
		free(r);
		return NULL;
	}
	r->ledger = ledger;
	r->exchange.spool = spool;
	r->exchange.client.fd = -1;
	r->rate = rate;
	r->done = done;
	r->arg = arg;
	if (exchange_open(&r->exchange, f) == 0)
		return r;
	returns_free(r);
	return NULL;
}

void
returns_free(struct returns *r)
{
	if (r == NULL)
		return;
	exchange_close(&r->exchange);
	ledger_round_free(&r->round);
	buf_free(&r->events);
	buf_free(&r->lines);
	buf_free(&r->note);
	drop_texts(r);
	free(r->items);
	free(r->places);
	free(r->table);
	free(r);
}
