/* a pusher's attempts, and the events that it asks for */
#include "pushing.h"

#include <stdlib.h>

#define HELD_MAX 10000 /* events held */
#define SUBJECTS_HELD 256 /* of them, where the order counts */
#define READY_BYTES (4 * 1024 * 1024) /* of those that wait for an attempt */
#define OWED_MAX 100000 /* tokens of all, not settled: then no event is taken */
/* Endpoints that answer sooner than this have some events waiting for them. */
#define QUICK CLOCK_SECOND

unsigned
attempts_most(const struct pusher *p)
{
	return p->max_in_flight != 0 ? p->max_in_flight :
	    p->aim->target->in_flight;
}

unsigned
attempts_limit(const struct pusher *p)
{
	return p->window < attempts_most(p) ? p->window : attempts_most(p);
}

void
attempts_end(struct pusher *p, struct aim *aim, struct attempt *a)
{
	if (a->prev != NULL)
		a->prev->next = a->next;
	else
		p->attempts = a->next;
	if (a->next != NULL)
		a->next->prev = a->prev;
	p->in_flight--;
	p->sent -= a->n;
	aim->users--;
	if (aim->target->connects)
		p->common->in_flight--;
	free(a);
}

static bool
may_send(struct pusher *p)
{
	if (p->ready.first == NULL || p->in_flight >= attempts_limit(p) ||
	    (p->aim->target->connects &&
	    p->common->in_flight >= PUSHER_IN_FLIGHT &&
	    p->in_flight >= PUSHER_RESERVED))
		return false;
	if (p->aim->target->pause == 0 || clock_mono() >= p->next_send)
		return true;
	waiting_wake(p, p->next_send);
	return false;
}

static bool
is_free(struct pusher *p, const struct item *item)
{
	return p->subjects == NULL || subjects_may(p->subjects, item);
}

static void
add(struct pusher *p, struct attempt *a, struct item ***last,
    struct item **link)
{
	struct item *item = items_take(p, link);

	**last = item;
	*last = &item->next;
	a->n++;
	a->bytes += item->len;
	if (item->count > a->count)
		a->count = item->count;
	if (p->subjects != NULL)
		subjects_begin(p->subjects, item);
}

/* The next events that may go, or NULL: none may. */
static struct attempt *
gather(struct pusher *p)
{
	struct target *t = p->aim->target;
	struct item **link = &p->ready.first, **last;
	struct attempt *a;

	while (*link != NULL && !is_free(p, *link))
		link = &(*link)->next;
	if (*link == NULL || (a = calloc(1, sizeof(*a))) == NULL)
		return NULL;
	last = &a->first;
	add(p, a, &last, link);
	while (*link != NULL && a->n < t->batch) {
		if (!is_free(p, *link))
			link = &(*link)->next;
		else if (target_fits(t, a, *link))
			add(p, a, &last, link);
		else
			break;
	}
	return a;
}

static void
send_attempt(struct pusher *p, struct attempt *a)
{
	struct target *t = p->aim->target;

	a->since = clock_mono();
	a->aim = p->aim;
	a->next = p->attempts;
	if (a->next != NULL)
		a->next->prev = a;
	p->attempts = a;
	p->in_flight++;
	p->sent += a->n;
	p->aim->users++;
	if (t->connects)
		p->common->in_flight++;
	if (t->pause != 0)
		p->next_send = a->since + t->pause;
	t->calls->send(t, a);
}

/*
 * How many events to hold: what can be under way, and as many again when that
 * is for a moment only. Where the order counts some more, to have some of other
 * subjects; and when all of them wait for one that has failed, it has to come.
 */
static unsigned
goal_of(const struct pusher *p)
{
	size_t n = (size_t)attempts_limit(p) * p->aim->target->batch;

	if (p->took < QUICK)
		n *= 2;
	if (p->subjects != NULL && n < SUBJECTS_HELD)
		n = SUBJECTS_HELD;
	if (p->subjects != NULL && p->ready.n > n / 2 && p->in_flight == 0)
		n = p->ready.n < HELD_MAX / 2 ? HELD_MAX :
		    p->ready.n + subjects_due(p->subjects);
	return n < HELD_MAX ? (unsigned)n : HELD_MAX;
}

static void
ask(struct pusher *p)
{
	unsigned goal = goal_of(p), n = p->ready.n + p->sent;

	if (feed_asked(p->feed))
		return;
	if (n >= goal || (p->in_flight > 0 && goal - n < goal / 4) ||
	    (p->ready.bytes > READY_BYTES && p->in_flight > 0) ||
	    (p->common->bytes > PUSHER_BYTES && n > 0) ||
	    settler_owed(p->common->settler) > OWED_MAX)
		return;
	feed_ask(p->feed, goal - n, true);
}

/*
 * To find out whether we may deliver is a part of the first attempt: when the
 * destination cannot be reached, that counts for the event that waits for it.
 * So when it has failed before, look whether there is one.
 */
static void
prepare(struct pusher *p)
{
	if (p->preparing)
		return;
	if (p->setbacks > 0 && p->ready.n == 0 && !p->looked &&
	    feed_ask(p->feed, 1, false)) {
		p->looked = true;
		return;
	}
	p->looked = false;
	p->preparing = true;
	p->aim->target->calls->prepare(p->aim->target);
}

/* False: not yet. What became of an event is to be known before, or it would be
 * taken for one that nothing became of. */
static bool
rewind_feed(struct pusher *p)
{
	if (p->in_flight > 0)
		return false;
	items_give_back_all(p);
	if (ledger_owed(p->ledger) > 0)
		return false;
	if (p->subjects != NULL)
		subjects_clear(p->subjects);
	p->rewind = false;
	feed_restart(p->feed);
	return true;
}

/* All that can be done now. */
void
attempts_pump(struct pusher *p)
{
	struct attempt *a;

	if (!waiting_not(p))
		return;
	if (!p->prepared) {
		prepare(p);
		return;
	}
	if (p->rewind && !rewind_feed(p))
		return;
	while (may_send(p) && (a = gather(p)) != NULL)
		send_attempt(p, a);
	ask(p);
}

void
attempts_due(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	attempts_pump(timer->data);
}

static void
on_answered(struct attempt *a, const struct outcome *o, void *arg)
{
	struct aim *aim = arg;
	struct pusher *p = aim->pusher;
	int64_t us = clock_mono() - a->since;

	p->took += (us - p->took) / 8;
	meter_count(&p->meter, o, a->n, us);
	if (o->verdict != VERDICT_DELIVERED)
		snprintf(p->error, sizeof(p->error), "%s", o->words);
	result_take(p, a, o);
	attempts_end(p, aim, a);
	attempts_pump(p);
}

static void
on_item(struct item *item, void *arg)
{
	struct pusher *p = arg;

	p->common->bytes += item->len;
	if (waiting_not(p) || (p->subjects != NULL && !waiting_held(p) &&
	    !p->common->stopping))
		items_put(p, item);
	else
		items_give_back(p, item);
}

static void
on_idle(void *arg)
{
	attempts_pump(arg);
}

static void
on_lost(void *arg)
{
	struct pusher *p = arg;

	p->rewind = true;
}

static void
on_prepared(const struct outcome *o, void *arg)
{
	struct aim *aim = arg;
	struct pusher *p = aim->pusher;

	if (aim != p->aim)
		return;
	p->preparing = false;
	p->prepared = o->verdict == VERDICT_DELIVERED;
	if (p->prepared) {
		waiting_end(p);
	} else {
		if (o->verdict == VERDICT_LATER)
			result_count_against(p, o);
		/* nobody was asked: there is no token, or no memory */
		waiting_set_back(p, o->verdict == VERDICT_UNMADE && o->status == 0 ?
		    "settings" : "handshake", o);
	}
	attempts_pump(p);
}

static void
on_granted(void *arg)
{
	struct aim *aim = arg;

	if (aim != aim->pusher->aim)
		return;
	aim->pusher->hold.until = 0;
	attempts_pump(aim->pusher);
}

const struct feed_hooks attempts_feed = { on_item, on_idle, on_lost };

const struct target_hooks attempts_target = { on_prepared, on_answered,
	on_granted };

