#include "late.h"

static void
on_soon(struct ev_loop *loop, ev_timer *timer, int events)
{
	static const struct outcome ok = { .verdict = VERDICT_DELIVERED };
	struct late *l = timer->data;
	struct target *t = l->target;
	struct outcome outcome;
	struct attempt *a;

	(void)loop, (void)events;
	if (l->ready) {
		l->ready = false;
		t->hooks->prepared(&ok, t->arg);
	}
	while ((a = l->failed) != NULL) {
		l->failed = a->data;
		outcome = l->outcome; /* hooks may begin more that fail */
		t->hooks->answered(a, &outcome, t->arg);
	}
}

void
late_init(struct late *l, struct ev_loop *loop, struct target *target)
{
	*l = (struct late){ .target = target, .loop = loop };
	ev_timer_init(&l->soon, on_soon, 0, 0);
	l->soon.data = l;
}

void
late_ready(struct late *l)
{
	l->ready = true;
	ev_timer_start(l->loop, &l->soon);
}

void
late_fail(struct late *l, struct attempt *a, const struct fault *f)
{
	if (f->code == FAULT_INTERNAL)
		outcome_unmade(&l->outcome, "%s", f->text);
	else if (l->failed == NULL || l->outcome.verdict == VERDICT_FINAL)
		outcome_final(&l->outcome, DL_SCHEMA_REJECTED, DL_BAD_REQUEST,
		    "the event is no CloudEvent: %s", f->text);
	a->data = l->failed;
	l->failed = a;
	ev_timer_start(l->loop, &l->soon);
}

void
late_drop(struct late *l)
{
	ev_timer_stop(l->loop, &l->soon);
	l->ready = false;
	l->failed = NULL;
}
