/* the daemon: dead letters go to their destinations */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "clock.h"
#include "control.h"
#include "daemon.h"
#include "dlq.h"
#include "log.h"
#include "metrics.h"
#include "post.h"
#include "sorter.h"
#include "watch.h"

#define TICK 1.0           /* seconds */
#define TICK_MOVABLE 0.05  /* with a clock that may be moved */
#define GATHER 0.1         /* seconds between rounds, at least */
#define METRICS_PERIOD (5 * CLOCK_SECOND)
#define STOP_TIME (5 * CLOCK_SECOND) /* for what is under way */

struct dlq {
	struct ev_loop *loop;
	const struct spool *spool;
	struct sorter *sorter;
	struct post *post;
	struct control *control;
	struct watch came;     /* without it we look once a second */
	ev_timer round;        /* the next one */
	ev_timer tick;
	ev_timer soon;         /* there is more to write */
	bool full;             /* there was no room for a round */
	bool stopping;
	int64_t measured, stop_since; /* clock_mono() */
};

/* ---- the way of letters ---- */

static void
go(struct dlq *d)
{
	if (post_go(d->post) && !ev_is_active(&d->soon)) {
		ev_timer_set(&d->soon, 0.05, 0);
		ev_timer_start(d->loop, &d->soon);
	}
	if (d->stopping && post_idle(d->post))
		ev_break(d->loop, EVBREAK_ALL);
}

static void
take(struct parcel *p, void *arg)
{
	struct dlq *d = arg;

	post_add(d->post, p);
}

static void
next_round(struct dlq *d, double pause)
{
	if (ev_is_active(&d->round) || d->stopping)
		return;
	ev_timer_set(&d->round, pause, 0);
	ev_timer_start(d->loop, &d->round);
}

/* The more there is to sort, the longer it gathers before the next one. */
static void
on_round(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct dlq *d = timer->data;
	double before = ev_time(), took;
	struct fault f;
	int n;

	(void)loop, (void)events;
	n = sorter_round(d->sorter, take, d, &f);
	if (n == -1 && f.code != FAULT_TOO_MANY)
		log_fatal(EX_IOERR, "%s", f.text);
	if (n == -1 && !d->full)
		log_warn("%s: dead letters stay where they are", f.text);
	d->full = n == -1;
	took = ev_time() - before;
	if (n > 0) {
		next_round(d, took > GATHER ? took : GATHER);
		go(d);
	}
}

static void
on_soon(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	go(timer->data);
}

static void
on_changed(void *arg)
{
	go(arg);
}

static void
on_came(void *arg)
{
	next_round(arg, GATHER);
}

/* ---- settings and questions ---- */

static int
settings(struct dlq *d, struct fault *f)
{
	struct registry *r = registry_open(d->spool, false, f);
	int rc = -1;

	if (r == NULL)
		return -1;
	if (d->control == NULL || control_reload(d->control, r, f) == 0)
		rc = post_configure(d->post, r, f);
	registry_close(r);
	return rc;
}

static void
reload(void *arg)
{
	struct fault f;

	if (settings(arg, &f) == -1)
		log_warn("reload: %s", f.text);
	go(arg);
}

static void
stats(const struct dlq *d, struct buf *answer)
{
	struct buf lines = { 0 };
	unsigned n = post_stats(d->post, &lines);

	buf_printf(answer, "{\"ok\":true,\"count\":%u}\n", n);
	buf_add(answer, buf_data(&lines), lines.len);
	answer->bad |= lines.bad;
	buf_free(&lines);
}

static int
serve(const char *op, const struct json *request, struct buf *answer,
    void *arg, struct fault *f)
{
	struct dlq *d = arg;

	if (request->tok[0].next > 3)
		return fault_set(f, FAULT_BAD_REQUEST, "nothing but \"op\" is "
		    "expected");
	if (strcmp(op, "stats") == 0) {
		stats(d, answer);
		return 0;
	}
	if (strcmp(op, "reload") == 0) {
		if (settings(d, f) == -1)
			return -1;
	} else if (strcmp(op, "retry") == 0) {
		post_retry(d->post);
	} else {
		return fault_set(f, FAULT_BAD_REQUEST,
		    "op: reload, retry or stats expected");
	}
	buf_str(answer, "{\"ok\":true}\n");
	next_round(d, 0);
	go(d);
	return 0;
}

/* ---- life ---- */

static void
write_metrics(struct dlq *d)
{
	struct buf b = { 0 };

	post_metrics(d->post, &b);
	metrics_write(d->spool, "dlq", &b);
}

static void
on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct dlq *d = timer->data;
	int64_t now = clock_mono();

	(void)loop, (void)events;
	if (d->stopping && (now - d->stop_since > STOP_TIME ||
	    now < d->stop_since))
		ev_break(loop, EVBREAK_ALL);
	next_round(d, 0);
	go(d);
	if (now - d->measured >= METRICS_PERIOD || now < d->measured) {
		d->measured = now;
		write_metrics(d);
	}
}

static void
stop(void *arg)
{
	struct dlq *d = arg;

	d->stopping = true;
	d->stop_since = clock_mono();
	ev_timer_stop(d->loop, &d->round);
	post_stop(d->post);
	if (post_idle(d->post))
		ev_break(d->loop, EVBREAK_ALL);
}

static void
saw(const struct parcel *p, void *arg)
{
	struct dlq *d = arg;

	sorter_saw(d->sorter, p);
}

static int
dlq_open(struct dlq *d, struct fault *f)
{
	ev_timer_init(&d->round, on_round, 0, 0);
	ev_timer_init(&d->soon, on_soon, 0, 0);
	ev_timer_init(&d->tick, on_tick, 0,
	    clock_movable() ? TICK_MOVABLE : TICK);
	d->round.data = d->soon.data = d->tick.data = d;
	if ((d->sorter = sorter_open(d->spool, f)) == NULL)
		return -1;
	d->post = post_new(d->loop, d->spool, on_changed, d);
	if (d->post == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	if (post_load(d->post, saw, d, f) == -1 || settings(d, f) == -1)
		return -1;
	if (watch_files(&d->came, d->loop, d->spool, "deadletter/new", on_came,
	    d) == -1)
		log_warn("deadletter/new: not watched: %s", strerror(errno));
	ev_timer_again(d->loop, &d->tick);
	d->control = control_open(d->loop, d->spool, "dlq", serve, d, f);
	if (d->control == NULL)
		return -1;
	next_round(d, 0);
	return 0;
}

static void
dlq_close(struct dlq *d)
{
	write_metrics(d);
	ev_timer_stop(d->loop, &d->round);
	ev_timer_stop(d->loop, &d->soon);
	ev_timer_stop(d->loop, &d->tick);
	watch_stop(&d->came);
	control_close(d->control);
	post_free(d->post);
	sorter_close(d->sorter);
}

int
daemon_run(const struct options *opt)
{
	struct dlq dlq = { 0 };
	struct daemon daemon;
	struct fault fault;

	daemon_init(&daemon, opt->spool, stop, reload, &dlq);
	dlq.loop = daemon.loop;
	dlq.spool = &daemon.spool;
	if (spool_lock(&daemon.spool, "dlq", &fault) == -1 ||
	    dlq_open(&dlq, &fault) == -1)
		log_fatal(fault_exit(fault.code), "%s", fault.text);
	daemon_ready(opt->ready);
	ev_run(daemon.loop, 0);
	dlq_close(&dlq);
	spool_close(&daemon.spool);
	return EX_OK;
}
