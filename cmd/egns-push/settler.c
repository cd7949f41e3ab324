/* what became of events, told to egns-topicd */
#include "settler.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "wire.h"

#define TOKENS_MAX 1000 /* of a request */
#define AGAIN CLOCK_SECOND /* what there was no room for is tried again */
#define SAY (60 * CLOCK_SECOND) /* between words of the same kind */

struct request {
	struct request *next;
	struct ledger *ledger;
	struct settlement how;
	unsigned n;  /* tokens */
	size_t head; /* bytes up to the first token */
	bool again;  /* some of them may be settled: it was sent before */
	struct buf text;
};

struct requests {
	struct request *first, **last;
};

struct settler {
	struct wire wire;
	struct ev_loop *loop;
	const struct settler_hooks *hooks;
	void *arg;
	ev_prepare turn;
	struct ledger *dirty;   /* have gathered something */
	struct requests sent;   /* not answered yet, in order */
	struct requests refused; /* tokens that the disk had no room for */
	int64_t again; /* clock_mono(): when these are sent */
	size_t owed;
	uint64_t lost;
	int64_t said; /* clock_mono(): when we last said so */
};

struct ledger {
	struct settler *settler;
	struct request *open;
	struct ledger *dirty_next;
	size_t owed;
	bool dirty, gone;
	char names[]; /* `"topic":"T","subscription":"S"` */
};

static void
append(struct requests *list, struct request *r)
{
	r->next = NULL;
	*list->last = r;
	list->last = &r->next;
}

static struct request *
take_first(struct requests *list)
{
	struct request *r = list->first;

	if (r != NULL && (list->first = r->next) == NULL)
		list->last = &list->first;
	return r;
}

/* One that is gone is kept by what it has not settled. */
static void
ledger_put(struct ledger *l)
{
	if (l->gone && !l->dirty && l->owed == 0)
		free(l);
}

static void
owe(struct request *r, size_t n)
{
	r->ledger->owed += n;
	r->ledger->settler->owed += n;
}

/* Nothing is owed by it any more. */
static void
request_free(struct request *r)
{
	r->ledger->owed -= r->n;
	r->ledger->settler->owed -= r->n;
	ledger_put(r->ledger);
	buf_free(&r->text);
	free(r);
}

/* ---- requests ---- */

static void
add_head(struct buf *b, const struct settlement *s, const char *names)
{
	static const char *const ops[] = {
		[SETTLE_ACKNOWLEDGE] = "acknowledge",
		[SETTLE_RELEASE] = "release",
		[SETTLE_GIVE_BACK] = "release",
		[SETTLE_REJECT] = "reject",
		[SETTLE_RENEW] = "renewLock",
	};

	buf_printf(b, "{\"op\":\"%s\",%s", ops[s->how], names);
	if (s->how == SETTLE_RELEASE || s->how == SETTLE_GIVE_BACK)
		buf_printf(b, ",\"releaseDelayInSeconds\":%" PRId64, s->delay);
	if (s->how == SETTLE_GIVE_BACK)
		buf_str(b, ",\"undelivered\":true");
	if (s->how == SETTLE_RELEASE || s->how == SETTLE_REJECT)
		buf_printf(b, ",\"result\":\"%s\"", dl_result_name(s->result));
	if (s->how == SETTLE_REJECT)
		buf_printf(b, ",\"reason\":\"%s\"", dl_reason_name(s->reason));
	buf_str(b, ",\"lockTokens\":[");
}

static void
add_token(struct request *r, const char *token, size_t len)
{
	if (r->n++ > 0)
		buf_add(&r->text, ",", 1);
	buf_add(&r->text, "\"", 1);
	buf_add(&r->text, token, len);
	buf_add(&r->text, "\"", 1);
}

static void
send_request(struct settler *s, const struct request *r)
{
	if (s->wire.state == WIRE_UP)
		wire_send(&s->wire, buf_data(&r->text), r->text.len);
}

/* It is whole; from now on it is sent until it is answered. Without memory its
 * events come again when their locks have run out. */
static void
dispatch(struct settler *s, struct request *r)
{
	if (!r->again)
		buf_str(&r->text, "]}\n");
	if (r->text.bad) {
		request_free(r);
		return;
	}
	append(&s->sent, r);
	send_request(s, r);
}

/* ---- ledgers ---- */

static void
flush(struct ledger *l)
{
	struct request *r, *next;

	for (r = l->open; r != NULL; r = next) {
		next = r->next;
		dispatch(l->settler, r);
	}
	l->open = NULL;
	l->dirty = false;
	ledger_put(l);
}

static void
on_turn(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct settler *s = w->data;
	struct ledger *l;

	(void)loop, (void)events;
	while ((l = s->dirty) != NULL) {
		s->dirty = l->dirty_next;
		flush(l);
	}
}

struct ledger *
ledger_new(struct settler *s, const char *topic, const char *subscription)
{
	size_t len = strlen(topic) + strlen(subscription) + 64;
	struct ledger *l = calloc(1, sizeof(*l) + len);

	if (l == NULL)
		return NULL;
	l->settler = s;
	/* names have nothing to be escaped */
	snprintf(l->names, len, "\"topic\":\"%s\",\"subscription\":\"%s\"",
	    topic, subscription);
	return l;
}

void
ledger_free(struct ledger *l)
{
	if (l == NULL)
		return;
	l->gone = true;
	ledger_put(l);
}

static bool
same(const struct settlement *a, const struct settlement *b)
{
	return a->how == b->how && a->delay == b->delay &&
	    a->result == b->result && a->reason == b->reason;
}

static struct request *
open_request(struct ledger *l, const struct settlement *how)
{
	struct request *r = l->open, **link = &l->open;

	for (; r != NULL; link = &r->next, r = r->next)
		if (r->n < TOKENS_MAX && same(&r->how, how))
			return r;
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->ledger = l;
	r->how = *how;
	add_head(&r->text, how, l->names);
	r->head = r->text.len;
	*link = r;
	return r;
}

void
ledger_settle(struct ledger *l, const struct settlement *how,
    const char *token)
{
	struct settler *s = l->settler;
	struct request *r = open_request(l, how);

	if (r == NULL)
		return;
	add_token(r, token, strlen(token));
	owe(r, 1);
	if (!l->dirty) {
		l->dirty = true;
		l->dirty_next = s->dirty;
		s->dirty = l;
	}
}

size_t
ledger_owed(const struct ledger *l)
{
	return l->owed;
}

/* ---- answers ---- */

static void
say_lost(struct settler *s)
{
	int64_t now = clock_mono();

	if (s->said != 0 && now - s->said < SAY)
		return;
	s->said = now;
	log_warn("%" PRIu64 " deliveries were answered after their locks had "
	    "run out: these events are delivered again", s->lost);
}

static void
postpone(struct settler *s, struct request *r)
{
	append(&s->refused, r);
	s->again = clock_mono() + AGAIN;
}

/* topicd has no room: what it could not record of this is asked again. */
static void
refuse(struct settler *s, struct request *r)
{
	r->again = true;
	postpone(s, r);
}

/* {"lockToken","error":{"code"}}: no room to record its end, or lost. */
static void
take_failed(struct settler *s, const struct request *r, struct request **again,
    uint32_t t)
{
	const struct json *j = &s->wire.client.json;
	uint32_t token = json_member(j, t, "lockToken", 9);
	uint32_t error = json_member(j, t, "error", 5), code = 0;

	if (error != 0 && j->tok[error].type == JSON_OBJECT)
		code = json_member(j, error, "code", 4);
	if (token == 0 || j->tok[token].type != JSON_STRING || code == 0 ||
	    !json_is(j, code, "TooManyRequests", 15)) {
		s->lost += !r->again;
		return;
	}
	if (*again == NULL && (*again = calloc(1, sizeof(**again))) != NULL) {
		(*again)->ledger = r->ledger;
		(*again)->how = r->how;
		buf_add(&(*again)->text, buf_data(&r->text), r->head);
		(*again)->head = r->head;
	}
	if (*again == NULL)
		return;
	add_token(*again, j->text + j->tok[token].start + 1,
	    j->tok[token].end - j->tok[token].start - 2);
}

static void
take_failures(struct settler *s, const struct request *r)
{
	const struct json *j = &s->wire.client.json;
	uint32_t list = json_member(j, 0, "failedLockTokens", 16), t;
	struct request *again = NULL;
	uint64_t lost = s->lost;

	if (list == 0 || j->tok[list].type != JSON_ARRAY)
		return;
	for (t = list + 1; t < j->tok[list].next; t = j->tok[t].next)
		if (j->tok[t].type == JSON_OBJECT)
			take_failed(s, r, &again, t);
	if (again != NULL) {
		owe(again, again->n);
		postpone(s, again);
	}
	if (s->lost != lost)
		say_lost(s);
}

static void
on_line(void *arg)
{
	struct settler *s = arg;
	struct request *r = s->sent.first;
	struct fault f;
	int rc;

	if (r == NULL) {
		fault_set(&f, FAULT_INTERNAL, "topicd: it answers what was not "
		    "asked");
		wire_lose(&s->wire, &f);
		return;
	}
	if ((rc = client_answer(&s->wire.client, &f)) == -1 &&
	    s->wire.client.fd == -1) {
		wire_lose(&s->wire, &f);
		return;
	}
	take_first(&s->sent);
	if (rc == -1 && f.code == FAULT_TOO_MANY) {
		refuse(s, r);
		return;
	}
	if (rc == 0)
		take_failures(s, r);
	else if (f.code != FAULT_NOT_FOUND) /* deleted meanwhile */
		log_warn("topicd: %s", f.text);
	request_free(r);
}

static void
on_up(void *arg)
{
	struct settler *s = arg;

	for (struct request *r = s->sent.first; r != NULL; r = r->next) {
		send_request(s, r);
		r->again = true;
	}
	s->hooks->up(s->arg);
}

static void
on_down(const struct fault *f, void *arg)
{
	struct settler *s = arg;

	s->hooks->down(f, s->arg);
}

/* ---- */

struct settler *
settler_new(struct ev_loop *loop, const struct spool *spool,
    const struct settler_hooks *hooks, void *arg)
{
	static const struct wire_hooks wire = { on_up, on_line, on_down };
	struct settler *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->loop = loop;
	s->hooks = hooks;
	s->arg = arg;
	s->sent.last = &s->sent.first;
	s->refused.last = &s->refused.first;
	wire_init(&s->wire, loop, spool, &wire, s);
	ev_prepare_init(&s->turn, on_turn);
	s->turn.data = s;
	ev_prepare_start(loop, &s->turn);
	return s;
}

void
settler_free(struct settler *s)
{
	struct request *r;

	if (s == NULL)
		return;
	on_turn(s->loop, &s->turn, 0);
	ev_prepare_stop(s->loop, &s->turn);
	wire_close(&s->wire);
	while ((r = take_first(&s->sent)) != NULL ||
	    (r = take_first(&s->refused)) != NULL)
		request_free(r);
	free(s);
}

void
settler_retry(struct settler *s)
{
	struct fault f;

	if (s->wire.state == WIRE_CLOSED && wire_open(&s->wire, &f) == -1)
		s->hooks->down(&f, s->arg);
}

void
settler_tick(struct settler *s)
{
	struct request *r;

	settler_retry(s);
	if (s->refused.first == NULL || clock_mono() < s->again)
		return;
	while ((r = take_first(&s->refused)) != NULL)
		dispatch(s, r);
}

size_t
settler_owed(const struct settler *s)
{
	return s->owed;
}

uint64_t
settler_lost(const struct settler *s)
{
	return s->lost;
}
