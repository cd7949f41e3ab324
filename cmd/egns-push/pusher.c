/* a push subscription at work */
#include "pusher.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "feed.h"
#include "hold.h"
#include "jq.h"
#include "log.h"
#include "standing.h"
#include "subjects.h"
#include "target.h"

#define WINDOW_FIRST 4 /* attempts under way, before one has succeeded */
#define HELD_MAX 10000 /* events held */
#define SUBJECTS_HELD 256 /* of them, where the order counts */
#define READY_BYTES (4 * 1024 * 1024) /* of those that wait for an attempt */
#define OWED_MAX 100000 /* tokens of all, not settled: then no event is taken */
/* A lock lasts for 60 s, an attempt for 30 s, its token and its answer's body
 * for some more: what has waited for so long is given back. */
#define READY_TIME (15 * CLOCK_SECOND)
/* Where the order counts it is kept instead, and its lock renewed. */
#define RENEW_TIME (25 * CLOCK_SECOND)
/* Endpoints that answer sooner than this have some events waiting for them. */
#define QUICK CLOCK_SECOND
#define PAUSE_LEAST CLOCK_SECOND /* when nothing could be sent, whatever the
                                  * schedule says */
#define SAY (60 * CLOCK_SECOND) /* between words of the same kind */

/* A target, and the attempts that it has under way. One that is not the
 * pusher's any more goes when these are done. */
struct aim {
	struct pusher *pusher;
	struct target *target;
	unsigned users;
	struct aim *next; /* of the retired ones */
};

struct items {
	struct item *first, **last;
	unsigned n;
	size_t bytes;
};

struct pusher {
	struct common *common;
	char *topic, *name, *type;
	struct standing standing;
	struct feed *feed;
	struct ledger *ledger;
	struct aim *aim; /* NULL: its settings cannot be used */
	struct aim *retired;
	ev_timer due;
	/* settings */
	unsigned max_in_flight, max_count, breaker;
	struct subjects *subjects; /* NULL: in any order */
	/* events */
	struct items ready;
	struct attempt *attempts;
	unsigned in_flight, sent; /* attempts, and events of them */
	unsigned window;
	int64_t took;      /* an attempt's time, smoothed */
	int64_t succeeded; /* clock_mono(): when one did last; 0 */
	int64_t next_send; /* clock_mono(): by the rate */
	/* trouble */
	bool prepared, preparing, looked;
	struct hold hold;
	unsigned setbacks; /* in a row: nothing could be sent */
	unsigned finals;   /* in a row: attempts that failed for good */
	bool rewind;       /* events in order were given back, or never came */
	bool ended;
	struct meter meter;
	char error[512];   /* of the last attempt that failed */
	int64_t said;      /* clock_mono() */
	uint64_t unsaid;
};

static void pump(struct pusher *);

/* ---- lists of items ---- */

static void
put(struct pusher *p, struct item *item)
{
	struct items *list = &p->ready;

	item->next = NULL;
	*list->last = item;
	list->last = &item->next;
	list->n++;
	list->bytes += item->len;
}

static struct item *
take(struct pusher *p, struct item **link)
{
	struct items *list = &p->ready;
	struct item *item = *link;

	if ((*link = item->next) == NULL)
		list->last = link;
	item->next = NULL;
	list->n--;
	list->bytes -= item->len;
	return item;
}

static void
item_free(struct pusher *p, struct item *item)
{
	p->common->bytes -= item->len;
	free(item);
}

static void
settle(struct pusher *p, const struct settlement *how, struct item *item)
{
	ledger_settle(p->ledger, how, item->token);
	item_free(p, item);
}

/* No attempt was made for these: topicd is to keep them. */
static void
give_back(struct pusher *p, struct item *item)
{
	static const struct settlement how = { .how = SETTLE_GIVE_BACK };

	if (p->subjects != NULL)
		p->rewind = true;
	settle(p, &how, item);
}

static void
give_back_all(struct pusher *p)
{
	while (p->ready.first != NULL)
		give_back(p, take(p, &p->ready.first));
}

/* ---- waiting ---- */

static bool
held(const struct pusher *p)
{
	return p->standing.hold.since != 0;
}

static bool
may_work(const struct pusher *p)
{
	return p->aim != NULL && !p->ended && !p->common->stopping &&
	    !held(p) && hold_is_over(&p->hold);
}

static void
wake_at(struct pusher *p, int64_t when)
{
	int64_t in = when - clock_mono();

	ev_timer_stop(p->common->loop, &p->due);
	ev_timer_set(&p->due, in > 0 ? (double)in / CLOCK_SECOND : 0, 0);
	ev_timer_start(p->common->loop, &p->due);
}

/* Leave the endpoint alone until then. */
static void
wait_until(struct pusher *p, int64_t until, const char *by, const char *why)
{
	hold_begin(&p->hold, until, by, why);
	p->window = 1;
	wake_at(p, until);
	if (p->subjects == NULL)
		give_back_all(p);
}

/* The endpoint answers. */
static void
come_back(struct pusher *p)
{
	p->setbacks = 0;
	hold_end(&p->hold);
}

/* Nothing could be sent: not the endpoint's fault, nor the event's. */
static void
set_back(struct pusher *p, const char *by, const struct outcome *o)
{
	int64_t pause = schedule_pause(&p->common->schedule, p->setbacks++) *
	    CLOCK_SECOND;

	if (pause < PAUSE_LEAST)
		pause = PAUSE_LEAST;
	if (pause < o->retry_after)
		pause = o->retry_after;
	wait_until(p, clock_mono() + pause, by, o->words);
}

/* ---- what came of an attempt ---- */

static void
release(struct pusher *p, struct item *item, const struct outcome *o)
{
	struct settlement how = { .how = SETTLE_RELEASE, .result = o->result };

	how.delay = schedule_delay(&p->common->schedule, item->count - 1,
	    o->retry_after);
	if (p->subjects != NULL) /* the last one does not come back */
		subjects_end(p->subjects, item, item->count >= p->max_count ?
		    0 : clock_mono() + how.delay * CLOCK_SECOND);
	settle(p, &how, item);
}

static void
finish(struct pusher *p, struct item *item, const struct settlement *how)
{
	if (p->subjects != NULL)
		subjects_end(p->subjects, item, 0);
	settle(p, how, item);
}

/* Does the endpoint look as if it failed anybody? */
static void
judge(struct pusher *p, const struct attempt *a, const struct outcome *o)
{
	int64_t now = clock_mono(), probation = outcome_probation(o->result);
	int64_t due = schedule_pause(&p->common->schedule, a->count - 1) *
	    CLOCK_SECOND;

	if (a->aim != p->aim) /* it is somebody else now */
		return;
	p->window = p->window / 2 + p->window % 2;
	if (o->retry_after != 0 && o->result == DL_BUSY) {
		if (p->hold.until < now + o->retry_after)
			wait_until(p, now + o->retry_after, "probation",
			    o->words);
		return;
	}
	if (probation == 0)
		come_back(p);
	if (probation == 0 || p->succeeded >= a->since || p->hold.until > now)
		return;
	wait_until(p, now + (due < probation ? due : probation), "probation",
	    o->words);
}

/* Events that have failed for good, once a minute. */
static void
say_ended(struct pusher *p)
{
	int64_t now = clock_mono();

	if (p->unsaid == 0 || (p->said != 0 && now - p->said < SAY))
		return;
	log_warn("%s/%s: %" PRIu64 " %s for good: %s", p->topic, p->name,
	    p->unsaid, p->unsaid == 1 ? "event has failed" :
	    "events have failed", p->error);
	p->said = now;
	p->unsaid = 0;
}

static void
set_hold(struct pusher *p, const char *by, const char *reason)
{
	p->standing.hold.since = clock_now();
	snprintf(p->standing.hold.by, sizeof(p->standing.hold.by), "%s", by);
	snprintf(p->standing.hold.reason, sizeof(p->standing.hold.reason), "%s",
	    reason);
}

static int
save_standing(struct pusher *p, struct fault *f)
{
	return standing_save(&p->standing, p->common->spool->fd, p->topic,
	    p->name, f);
}

static void
begin_hold(struct pusher *p)
{
	const char *by = p->standing.hold.by, *why = p->standing.hold.reason;

	log_warn("%s/%s: on hold%s%s until somebody says unhold%s%s", p->topic,
	    p->name, *by != '\0' ? " by " : "", by, *why != '\0' ? ": " : "",
	    why);
	give_back_all(p);
}

/* The circuit breaker: as many attempts in a row have failed for good. */
static void
count_final(struct pusher *p, const struct outcome *o)
{
	char reason[sizeof(p->standing.hold.reason)];
	struct fault f;

	if (++p->finals < p->breaker || p->breaker == 0)
		return;
	snprintf(reason, sizeof(reason), "the last %u deliveries have failed "
	    "for good: %.180s", p->finals, o->words);
	set_hold(p, "circuitBreaker", reason);
	begin_hold(p);
	if (save_standing(p, &f) == -1)
		log_warn("%s/%s: a restart will not know of the hold: %s",
		    p->topic, p->name, f.text);
}

static void
fail_for_good(struct pusher *p, struct attempt *a, const struct outcome *o)
{
	struct settlement how = { .how = SETTLE_REJECT, .result = o->result,
		.reason = o->reason };
	struct item *item;
	bool keep = held(p); /* it would pour into the dead letters */

	if (!keep) {
		p->unsaid += a->n;
		say_ended(p);
	}
	while ((item = a->first) != NULL) {
		a->first = item->next;
		if (keep)
			release(p, item, o);
		else
			finish(p, item, &how);
	}
	if (!keep)
		count_final(p, o);
}

static unsigned
most_of(const struct pusher *p)
{
	return p->max_in_flight != 0 ? p->max_in_flight :
	    p->aim->target->in_flight;
}

/* Of the endpoint: it answers, and bears more. */
static void
take_success(struct pusher *p, const struct attempt *a)
{
	if (a->aim != p->aim)
		return;
	p->succeeded = clock_mono();
	if (p->window < most_of(p))
		p->window++;
	come_back(p);
}

static void
conclude(struct pusher *p, struct attempt *a, const struct outcome *o)
{
	static const struct settlement done = { .how = SETTLE_ACKNOWLEDGE };
	struct item *item;

	switch (o->verdict) {
	case VERDICT_DELIVERED:
		while ((item = a->first) != NULL) {
			a->first = item->next;
			finish(p, item, &done);
		}
		p->finals = 0;
		take_success(p, a);
		break;
	case VERDICT_LATER:
		p->finals = 0;
		judge(p, a, o);
		while ((item = a->first) != NULL) {
			a->first = item->next;
			release(p, item, o);
		}
		break;
	case VERDICT_FINAL:
		take_success(p, a);
		fail_for_good(p, a, o);
		break;
	case VERDICT_UNMADE:
		while ((item = a->first) != NULL) {
			a->first = item->next;
			if (p->subjects != NULL)
				subjects_end(p->subjects, item, 0);
			give_back(p, item);
		}
		if (a->aim == p->aim)
			set_back(p, "settings", o);
		break;
	}
}

static void
attempt_end(struct pusher *p, struct aim *aim, struct attempt *a)
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
	conclude(p, a, o);
	attempt_end(p, aim, a);
	pump(p);
}

/* ---- attempts ---- */

static unsigned
limit_of(const struct pusher *p)
{
	return p->window < most_of(p) ? p->window : most_of(p);
}

static bool
may_send(struct pusher *p)
{
	if (p->ready.first == NULL || p->in_flight >= limit_of(p) ||
	    (p->aim->target->connects &&
	    p->common->in_flight >= PUSHER_IN_FLIGHT &&
	    p->in_flight >= PUSHER_RESERVED))
		return false;
	if (p->aim->target->pause == 0 || clock_mono() >= p->next_send)
		return true;
	wake_at(p, p->next_send);
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
	struct item *item = take(p, link);

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

/* ---- asking for events ---- */

/*
 * How many events to hold: what can be under way, and as many again when that
 * is for a moment only. Where the order counts some more, to have some of other
 * subjects; and when all of them wait for one that has failed, it has to come.
 */
static unsigned
goal_of(const struct pusher *p)
{
	size_t n = (size_t)limit_of(p) * p->aim->target->batch;

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
	give_back_all(p);
	if (ledger_owed(p->ledger) > 0)
		return false;
	if (p->subjects != NULL)
		subjects_clear(p->subjects);
	p->rewind = false;
	feed_restart(p->feed);
	return true;
}

/* All that can be done now. */
static void
pump(struct pusher *p)
{
	struct attempt *a;

	if (!may_work(p))
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

static void
on_due(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	pump(timer->data);
}

/* ---- hooks ---- */

static void
on_item(struct item *item, void *arg)
{
	struct pusher *p = arg;

	p->common->bytes += item->len;
	if (may_work(p) || (p->subjects != NULL && !held(p) &&
	    !p->common->stopping))
		put(p, item);
	else
		give_back(p, item);
}

static void
on_idle(void *arg)
{
	pump(arg);
}

static void
on_lost(void *arg)
{
	struct pusher *p = arg;

	p->rewind = true;
}

static const struct feed_hooks feed_hooks = { on_item, on_idle, on_lost };

static void
count_against(struct pusher *p, const struct outcome *o)
{
	snprintf(p->error, sizeof(p->error), "%s", o->words);
	if (p->ready.first == NULL)
		return;
	meter_count(&p->meter, o, 1, 0);
	release(p, take(p, &p->ready.first), o);
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
		come_back(p);
	} else {
		if (o->verdict == VERDICT_LATER)
			count_against(p, o);
		/* nobody was asked: there is no token, or no memory */
		set_back(p, o->verdict == VERDICT_UNMADE && o->status == 0 ?
		    "settings" : "handshake", o);
	}
	pump(p);
}

static void
on_granted(void *arg)
{
	struct aim *aim = arg;

	if (aim != aim->pusher->aim)
		return;
	aim->pusher->hold.until = 0;
	pump(aim->pusher);
}

static const struct target_hooks target_hooks = { on_prepared, on_answered,
	on_granted };

/* ---- settings ---- */

static void
aim_free(struct aim *aim)
{
	aim->target->calls->free(aim->target);
	free(aim);
}

static void
retire(struct pusher *p)
{
	if (p->aim != NULL) {
		p->aim->next = p->retired;
		p->retired = p->aim;
	}
	p->aim = NULL;
	p->prepared = p->preparing = false;
}

static void
bury_retired(struct pusher *p)
{
	struct aim *aim, **link = &p->retired;

	while ((aim = *link) != NULL)
		if (aim->users == 0) {
			*link = aim->next;
			aim_free(aim);
		} else
			link = &aim->next;
}

static struct aim *
make_aim(struct pusher *p, jv namespace, jv subscription, struct fault *f)
{
	struct target_use use = {
		.loop = p->common->loop,
		.spool = p->common->spool,
		.namespace = namespace,
		.subscription = subscription,
		.topic = p->topic,
		.name = p->name,
		.standing = &p->standing,
		.callback = p->common->callback,
	};
	struct aim *aim = calloc(1, sizeof(*aim));

	if (aim == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	aim->pusher = p;
	if ((aim->target = target_new(&use, f)) == NULL) {
		free(aim);
		return NULL;
	}
	aim->target->hooks = &target_hooks;
	aim->target->arg = aim;
	return aim;
}

/* It may have been on hold: then it is, until somebody has looked. */
static void
load_standing(struct pusher *p, jv subscription)
{
	const char *uid = jq_str(subscription, "uid");
	char reason[sizeof(p->standing.hold.reason)];
	struct fault f;

	if (uid == NULL || strcmp(uid, p->standing.uid) == 0)
		return;
	if (standing_load(&p->standing, p->common->spool->fd, p->topic,
	    p->name, uid, &f) == 0)
		return;
	snprintf(reason, sizeof(reason), "whether it was is not known: %.200s",
	    f.text);
	set_hold(p, "egns-push", reason);
	begin_hold(p);
}

static unsigned
number(jv subscription, const char *name, unsigned otherwise)
{
	char path[96];

	snprintf(path, sizeof(path), "properties.deliveryConfiguration.push.%s",
	    name);
	return (unsigned)jq_int(jq_get(subscription, path), otherwise);
}

static void
read_settings(struct pusher *p, jv subscription)
{
	jv order = jq_get(subscription,
	    "properties.deliveryConfiguration.push.orderBySubject");
	bool ordered = jv_get_kind(order) == JV_KIND_TRUE;
	const char *type = target_type(subscription);

	jv_free(order);
	p->max_in_flight = number(subscription, "maxInFlight", 0);
	p->max_count = number(subscription, "maxDeliveryCount", 10);
	p->breaker = number(subscription, "circuitBreaker.failures", 0);
	if (p->type == NULL || strcmp(p->type, type) != 0) {
		free(p->type);
		p->type = strdup(type);
	}
	if (ordered == (p->subjects != NULL))
		return;
	/* what is held has no subjects; what comes has */
	give_back_all(p);
	subjects_free(p->subjects);
	p->subjects = ordered ? subjects_new() : NULL;
	feed_ordered(p->feed, p->subjects != NULL);
	p->rewind |= p->subjects != NULL;
}

void
pusher_configure(struct pusher *p, jv namespace, jv subscription)
{
	struct fault f;

	load_standing(p, subscription);
	read_settings(p, subscription);
	retire(p);
	p->hold.until = p->hold.since = 0;
	p->setbacks = p->finals = 0;
	p->window = WINDOW_FIRST;
	p->aim = make_aim(p, namespace, subscription, &f);
	if (p->aim == NULL) {
		p->hold.told = 0; /* somebody waits for this */
		hold_begin(&p->hold, 0, "settings", f.text);
		give_back_all(p);
	}
	bury_retired(p);
	pump(p);
}

/* ---- life ---- */

struct pusher *
pusher_new(struct common *common, const char *topic, const char *name)
{
	struct pusher *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->common = common;
	p->ready.last = &p->ready.first;
	ev_timer_init(&p->due, on_due, 0, 0);
	p->due.data = p;
	p->topic = strdup(topic);
	p->name = strdup(name);
	p->hold.topic = p->topic;
	p->hold.name = p->name;
	if (p->topic != NULL && p->name != NULL) {
		p->feed = feed_new(common->loop, common->spool, topic, name,
		    false, &feed_hooks, p);
		p->ledger = ledger_new(common->settler, topic, name);
	}
	if (p->feed == NULL || p->ledger == NULL) {
		pusher_free(p);
		return NULL;
	}
	return p;
}

static void
attempt_free(struct pusher *p, struct aim *aim, struct attempt *a)
{
	struct item *item;

	while ((item = a->first) != NULL) {
		a->first = item->next;
		item_free(p, item);
	}
	attempt_end(p, aim, a);
}

void
pusher_free(struct pusher *p)
{
	struct attempt *a;

	if (p == NULL)
		return;
	ev_timer_stop(p->common->loop, &p->due);
	feed_free(p->feed);
	retire(p);
	for (struct aim *aim = p->retired; aim != NULL; aim = aim->next)
		aim->target->calls->drop(aim->target);
	while ((a = p->attempts) != NULL)
		attempt_free(p, a->aim, a); /* NOLINT(*-unix.Malloc) */
	bury_retired(p);
	while (p->ready.first != NULL)
		item_free(p, take(p, &p->ready.first));
	ledger_free(p->ledger);
	subjects_free(p->subjects);
	free(p->topic);
	free(p->name);
	free(p->type);
	free(p);
}

void
pusher_end(struct pusher *p)
{
	p->ended = true;
	/* were it a queue now, it would take events away from others */
	feed_free(p->feed);
	p->feed = NULL;
	while (p->ready.first != NULL)
		item_free(p, take(p, &p->ready.first));
}

void
pusher_connect(struct pusher *p)
{
	if (!p->ended)
		feed_open(p->feed);
}

/* What waits is given back before its lock runs out; or keeps it, where the
 * order counts, and while an event is what prepare may fail. */
static void
care_for_locks(struct pusher *p)
{
	static const struct settlement renew = { .how = SETTLE_RENEW };
	int64_t now = clock_mono();
	struct item *item;

	if (p->subjects == NULL && !p->preparing) {
		while ((item = p->ready.first) != NULL &&
		    now - item->since > READY_TIME)
			give_back(p, take(p, &p->ready.first));
		return;
	}
	for (item = p->ready.first; item != NULL; item = item->next)
		if (now - item->since > RENEW_TIME) {
			ledger_settle(p->ledger, &renew, item->token);
			item->since = now;
		}
}

void
pusher_tick(struct pusher *p)
{
	bury_retired(p);
	care_for_locks(p);
	say_ended(p);
	pump(p);
}

void
pusher_stop(struct pusher *p)
{
	give_back_all(p);
}

bool
pusher_idle(const struct pusher *p)
{
	return p->in_flight == 0;
}

/* ---- holds ---- */

int
pusher_hold(struct pusher *p, const char *by, const char *reason,
    struct fault *f)
{
	struct standing before = p->standing;

	set_hold(p, by, reason);
	if (save_standing(p, f) == -1) {
		p->standing = before;
		return -1;
	}
	begin_hold(p);
	return 0;
}

int
pusher_unhold(struct pusher *p, struct fault *f)
{
	struct standing before = p->standing;

	p->standing.hold.since = 0;
	if (save_standing(p, f) == -1) {
		p->standing = before;
		return -1;
	}
	if (before.hold.since != 0)
		log_warn("%s/%s: unhold was said", p->topic, p->name);
	p->hold.until = 0;
	p->finals = 0;
	p->window = 1;
	pump(p);
	return 0;
}

/* ---- looks ---- */

const char *
pusher_topic(const struct pusher *p)
{
	return p->topic;
}

const char *
pusher_name(const struct pusher *p)
{
	return p->name;
}

const struct meter *
pusher_meter(const struct pusher *p)
{
	return &p->meter;
}

bool
pusher_on_hold(const struct pusher *p)
{
	return held(p) || p->hold.since != 0;
}

void
pusher_stats(const struct pusher *p, struct buf *b)
{
	buf_printf(b, "{\"topic\":\"%s\",\"subscription\":\"%s\","
	    "\"endpointType\":\"%s\",\"state\":\"%s\"", p->topic, p->name,
	    p->type, pusher_on_hold(p) ? "onHold" :
	    p->prepared ? "active" : "starting");
	if (held(p))
		hold_tell(b, p->standing.hold.since, p->standing.hold.by,
		    p->standing.hold.reason);
	else if (pusher_on_hold(p))
		hold_show(&p->hold, b);
	if (p->standing.handshake.state != HANDSHAKE_NONE) {
		buf_str(b, ",\"handshake\":");
		standing_show(&p->standing, b);
	}
	buf_printf(b, ",\"inFlight\":%u,\"held\":%u,\"window\":%u,"
	    "\"attempts\":%" PRIu64 ",\"delivered\":%" PRIu64
	    ",\"failures\":", p->in_flight, p->ready.n,
	    p->aim == NULL ? 0 : limit_of(p), p->meter.attempts,
	    p->meter.delivered);
	meter_failures(&p->meter, b);
	if (p->error[0] != '\0') {
		buf_str(b, ",\"lastError\":");
		buf_json(b, p->error, strlen(p->error));
	}
	buf_str(b, "}\n");
}
