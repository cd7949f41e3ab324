/* answers: those that wait for a commit, and those that do not */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "serve.h"

void
answer_put(struct peer *p, const char *text, size_t len)
{
	size_t before = p->out.len;

	if (p->gone)
		return;
	buf_add(&p->out, text, len);
	if (p->out.bad) {
		p->server->out_total -= before;
		p->out.len = 0;
		peer_close(p);
		return;
	}
	p->server->out_total += p->out.len - before;
	if (before == 0) /* it may have waited for long, for us */
		peer_progress(p);
	peer_want_flush(p);
}

/* Keep an answer until window is on disk. */
static void
defer(struct peer *p, enum answer_kind kind, uint64_t window,
    const struct about *about, const char *text, size_t len)
{
	struct server *s = p->server;
	struct answer *a;

	if ((a = malloc(sizeof(*a) + len)) == NULL) {
		peer_close(p);
		return;
	}
	*a = (struct answer){ .peer = p, .window = window, .kind = kind };
	if (about != NULL) {
		a->topic = about->topic;
		a->subscription = about->subscription;
		a->op = about->op;
		a->since = about->since;
	}
	memcpy(a->text, text, len);
	a->len = len;
	if (s->answers == NULL)
		s->answers = a;
	else
		s->answers_last->next = a;
	s->answers_last = a;
	p->owed++;
	p->owed_until = window;
	p->owed_bytes += sizeof(*a) + len;
}

/* An answer that waits for nothing but its turn. */
static void
answer_now(struct peer *p, const char *text, size_t len)
{
	if (p->owed == 0)
		answer_put(p, text, len);
	else
		defer(p, ANSWER_PLAIN, p->owed_until, NULL, text, len);
}

void
answer_durable(struct peer *p, enum answer_kind kind,
    const struct about *about, const char *text, size_t len)
{
	uint64_t window = store_flush(p->server->store);

	if (window != 0)
		defer(p, kind, window, about, text, len);
	else
		answer_now(p, text, len);
}

static void
format_fault(struct buf *b, enum fault_code code, const char *text)
{
	buf_str(b, "{\"ok\":false,\"error\":{\"code\":\"");
	buf_str(b, fault_name(code));
	buf_str(b, "\",\"message\":");
	buf_json(b, text, strlen(text));
	buf_str(b, "}}\n");
}

void
answer_fault(struct peer *p, const struct fault *fault)
{
	struct buf b = { 0 };

	format_fault(&b, fault->code, fault->text);
	if (b.bad)
		peer_close(p);
	else
		answer_now(p, buf_data(&b), b.len);
	buf_free(&b);
}

/* Why it is not true; NULL: it is. */
static const char *
failure(const struct answer *a, const char *publish_error,
    const char *settle_error)
{
	switch (a->kind) {
	case ANSWER_PLAIN: return NULL;
	case ANSWER_SETTLE: return settle_error;
	case ANSWER_PUBLISH:
		return a->topic == NULL || store_refused(a->topic) ?
		    publish_error :
		    NULL;
	}
	return NULL;
}

static void
deliver(struct answer *a, const char *error)
{
	struct buf b = { 0 };

	a->peer->owed--;
	a->peer->owed_bytes -= sizeof(*a) + a->len;
	if (error != NULL) {
		format_fault(&b, FAULT_TOO_MANY, error);
		answer_put(a->peer, buf_data(&b), b.len);
		buf_free(&b);
		return;
	}
	answer_put(a->peer, a->text, a->len);
	if (a->topic != NULL)
		store_latency(a->topic, a->subscription, a->op,
		    clock_mono() - a->since);
}

void
answer_committed(uint64_t window, const char *publish_error,
    const char *settle_error, void *arg)
{
	struct server *s = arg;
	struct answer *a;

	while ((a = s->answers) != NULL && a->window <= window) {
		s->answers = a->next;
		deliver(a, failure(a, publish_error, settle_error));
		if (a->peer->owed == 0) {
			a->peer->stalled = !a->peer->gone;
			peer_want_flush(a->peer);
		}
		free(a);
	}
}

void
answer_events(struct peer *p, uint32_t n, const struct buf *lines)
{
	char head[64];
	int len;

	len = snprintf(head, sizeof(head), "{\"ok\":true,\"count\":%u}\n", n);
	answer_put(p, head, (size_t)len);
	if (lines->len > 0)
		answer_put(p, buf_data(lines), lines->len);
}
