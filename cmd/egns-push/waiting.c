/* when a pusher is better left alone, and for how long */
#include "pushing.h"

#include <stdio.h>

#include "log.h"
#include "schedule.h"

#define PAUSE_LEAST CLOCK_SECOND /* when nothing could be sent, whatever the
                                  * schedule says */

bool
waiting_held(const struct pusher *p)
{
	return p->standing.hold.since != 0;
}

bool
waiting_not(const struct pusher *p)
{
	return p->aim != NULL && !p->ended && !p->common->stopping &&
	    !waiting_held(p) && hold_is_over(&p->hold);
}

void
waiting_wake(struct pusher *p, int64_t when)
{
	int64_t in = when - clock_mono();

	ev_timer_stop(p->common->loop, &p->due);
	ev_timer_set(&p->due, in > 0 ? (double)in / CLOCK_SECOND : 0, 0);
	ev_timer_start(p->common->loop, &p->due);
}

/* Leave the endpoint alone until then. */
void
waiting_until(struct pusher *p, int64_t until, const char *by, const char *why)
{
	hold_begin(&p->hold, until, by, why);
	p->window = 1;
	waiting_wake(p, until);
	if (p->subjects == NULL)
		items_give_back_all(p);
}

/* The endpoint answers. */
void
waiting_end(struct pusher *p)
{
	p->setbacks = 0;
	hold_end(&p->hold);
}

/* Nothing could be sent: not the endpoint's fault, nor the event's. */
void
waiting_set_back(struct pusher *p, const char *by, const struct outcome *o)
{
	int64_t pause = schedule_pause(&p->common->schedule, p->setbacks++) *
	    CLOCK_SECOND;

	if (pause < PAUSE_LEAST)
		pause = PAUSE_LEAST;
	if (pause < o->retry_after)
		pause = o->retry_after;
	waiting_until(p, clock_mono() + pause, by, o->words);
}

/* ---- holds until somebody says unhold ---- */

void
waiting_set_hold(struct pusher *p, const char *by, const char *reason)
{
	p->standing.hold.since = clock_now();
	snprintf(p->standing.hold.by, sizeof(p->standing.hold.by), "%s", by);
	snprintf(p->standing.hold.reason, sizeof(p->standing.hold.reason), "%s",
	    reason);
}

int
waiting_save_hold(struct pusher *p, struct fault *f)
{
	return standing_save(&p->standing, p->common->spool->fd, p->topic,
	    p->name, f);
}

void
waiting_begin_hold(struct pusher *p)
{
	const char *by = p->standing.hold.by, *why = p->standing.hold.reason;

	log_warn("%s/%s: on hold%s%s until somebody says unhold%s%s", p->topic,
	    p->name, *by != '\0' ? " by " : "", by, *why != '\0' ? ": " : "",
	    why);
	items_give_back_all(p);
}
