/* receive: hand out what is there, or wait for it */
#include <stdlib.h>

#include "clock.h"
#include "serve.h"

/* Hand out what is there. False: nothing was. */
static bool
try_receive(struct peer *p, struct subscription *sub)
{
	struct server *s = p->server;
	int64_t since = clock_mono();
	uint32_t n;

	buf_reset(&s->scratch, ANSWER_MAX / 4);
	n = store_receive(sub, p->request.max_events, ANSWER_MAX, &s->scratch);
	if (n == 0)
		return false;
	if (s->scratch.bad) {
		peer_close(p);
		return true;
	}
	answer_events(p, n, &s->scratch);
	store_latency(subscription_topic(sub), sub, METRIC_RECEIVE,
	    clock_mono() - since);
	return true;
}

static void
wait_for(struct peer *p, struct subscription *sub, int64_t wait)
{
	struct peers **w = (struct peers **)subscription_context(sub);

	if (*w == NULL) {
		if ((*w = malloc(sizeof(**w))) == NULL) {
			peer_close(p);
			return;
		}
		TAILQ_INIT(*w);
	}
	p->waiting = sub;
	p->deadline = clock_mono() + wait;
	TAILQ_INSERT_TAIL(*w, p, waiter);
	serve_wake(p->server, p->deadline);
}

void
receive_end(struct peer *p)
{
	struct peers *w;

	if (p->waiting == NULL)
		return;
	w = *(struct peers **)subscription_context(p->waiting);
	TAILQ_REMOVE(w, p, waiter);
	p->waiting = NULL;
}

void
receive_over(struct peer *p)
{
	static const struct buf none;

	receive_end(p);
	answer_events(p, 0, &none);
}

void
receive_available(struct subscription *sub, void *arg)
{
	struct peers *w = *(struct peers **)subscription_context(sub);
	struct peer *p;

	(void)arg;
	while (w != NULL && (p = TAILQ_FIRST(w)) != NULL) {
		if (p->server->out_total > OUT_TOTAL)
			return; /* asked again when something is due, or soon */
		if (p->eof && !peer_alive(p)) {
			peer_close(p);
			continue;
		}
		if (!try_receive(p, sub))
			return;
		receive_end(p);
		p->stalled = true;
		peer_want_flush(p);
	}
}

void
receive_gone(struct subscription *sub, void *arg)
{
	struct peers *w = *(struct peers **)subscription_context(sub);
	struct fault fault;
	struct peer *p;

	(void)arg;
	fault_set(&fault, FAULT_NOT_FOUND, "subscription '%s': deleted",
	    subscription_name(sub));
	while (w != NULL && (p = TAILQ_FIRST(w)) != NULL) {
		receive_end(p);
		answer_fault(p, &fault);
		p->stalled = true;
		peer_want_flush(p);
	}
	free(w);
	*subscription_context(sub) = NULL;
}

void
receive_begin(struct peer *p, struct subscription *sub)
{
	if (try_receive(p, sub))
		return;
	wait_for(p, sub, p->request.wait * CLOCK_SECOND);
	if (p->request.wait == 0 && !p->gone)
		receive_over(p);
}
