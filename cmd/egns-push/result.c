/* what came of an attempt, for its events and for those that wait */
#include "pushing.h"

#include <inttypes.h>
#include <stdio.h>

#include "log.h"
#include "schedule.h"

#define SAY (60 * CLOCK_SECOND) /* between words of the same kind */

static void
release(struct pusher *p, struct item *item, const struct outcome *o)
{
	struct settlement how = { .how = SETTLE_RELEASE, .result = o->result };

	how.delay = schedule_delay(&p->common->schedule, item->count - 1,
	    o->retry_after);
	if (p->subjects != NULL) /* the last one does not come back */
		subjects_end(p->subjects, item, item->count >= p->max_count ?
		    0 : clock_mono() + how.delay * CLOCK_SECOND);
	items_settle(p, &how, item);
}

static void
finish(struct pusher *p, struct item *item, const struct settlement *how)
{
	if (p->subjects != NULL)
		subjects_end(p->subjects, item, 0);
	items_settle(p, how, item);
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
			waiting_until(p, now + o->retry_after, "probation",
			    o->words);
		return;
	}
	if (probation == 0)
		waiting_end(p);
	if (probation == 0 || p->succeeded >= a->since || p->hold.until > now)
		return;
	waiting_until(p, now + (due < probation ? due : probation), "probation",
	    o->words);
}

/* Events that have failed for good, once a minute. */
void
result_say(struct pusher *p)
{
	int64_t now = clock_mono();

	if (p->unsaid == 0 || (p->said != 0 && now - p->said < SAY))
		return;
	log_warn("%s/%s: %" PRIu64 " %s for good: %s", p->topic, p->name,
	    p->unsaid, p->unsaid == 1 ? "event has failed" :
	    "events have failed", p->fatal);
	p->said = now;
	p->unsaid = 0;
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
	waiting_set_hold(p, "circuitBreaker", reason);
	waiting_begin_hold(p);
	if (waiting_save_hold(p, &f) == -1)
		log_warn("%s/%s: a restart will not know of the hold: %s",
		    p->topic, p->name, f.text);
}

static void
fail_for_good(struct pusher *p, struct attempt *a, const struct outcome *o)
{
	struct settlement how = { .how = SETTLE_REJECT, .result = o->result,
		.reason = o->reason };
	struct item *item;
	bool keep = waiting_held(p); /* it would pour into the dead letters */

	if (!keep) {
		p->unsaid += a->n;
		snprintf(p->fatal, sizeof(p->fatal), "%s", o->words);
		result_say(p);
	}
	while ((item = a->first) != NULL) {
		a->first = item->next;
		if (keep)
			release(p, item, o);
		else
			finish(p, item, &how);
	}
	if (!keep && a->aim == p->aim)
		count_final(p, o);
}

/* Of the endpoint: it answers, and bears more. */
static void
take_success(struct pusher *p, const struct attempt *a)
{
	if (a->aim != p->aim)
		return;
	p->succeeded = clock_mono();
	if (p->window < attempts_most(p))
		p->window++;
	waiting_end(p);
}

void
result_take(struct pusher *p, struct attempt *a, const struct outcome *o)
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
			items_give_back(p, item);
		}
		if (a->aim == p->aim)
			waiting_set_back(p, "settings", o);
		break;
	}
}

void
result_count_against(struct pusher *p, const struct outcome *o)
{
	snprintf(p->error, sizeof(p->error), "%s", o->words);
	if (p->ready.first == NULL)
		return;
	meter_count(&p->meter, o, 1, 0);
	release(p, items_take(p, &p->ready.first), o);
}
