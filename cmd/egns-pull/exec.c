/* egns-pull exec: run a command for each event, and settle by its status. */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "clock.h"
#include "job.h"
#include "quote.h"

/* The shortest lock of a subscription is 60 s: three tries to keep it. */
#define RENEW (20 * CLOCK_SECOND)
#define WAIT 60 /* seconds that a receive waits */
#define RETRY_MIN (CLOCK_SECOND / 10)
#define RETRY_MAX (5 * CLOCK_SECOND)

struct worker {
	const struct options *opt;
	char **argv; /* of the command */
	struct spool spool;
	sigset_t mask; /* as we got it, for commands */
	int signals;
	bool chatty;

	/* Two connections, so that a renewal never waits behind a receive. */
	struct client taker, settler;
	bool connected, said_lost;
	int64_t retry_at, retry_after; /* microseconds, by clock_mono */

	enum { IDLE, ASKED, TAKING } taking;
	uint64_t coming; /* lines of the answer that is being taken */
	bool alone;      /* nothing was ours when we asked */
	bool in_vain;    /* there was nothing: ask when something is settled */
	bool empty;      /* there is nothing at all */

	struct event *queue, **queue_end; /* taken, not given to a command */
	struct job *jobs;
	size_t running;
	size_t held; /* events in the queue and in jobs */
	int64_t renew_at;

	struct request *asked, **asked_end; /* not answered yet */

	bool stopping, gave_up;
	int status;
	unsigned long long commands, failures;
};

/* ---- requests about events that are ours ---- */

static struct request *
request_new(struct worker *w, const char *op)
{
	struct request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		err(EX_OSERR, NULL);
	request_begin(r, w->opt, op);
	return r;
}

/* Send a request, and keep it until it is answered. */
static void
post(struct worker *w, struct request *r)
{
	if (r->tokens == 0) {
		buf_free(&r->text);
		free(r);
		return;
	}
	request_end(r);
	r->next = NULL;
	*w->asked_end = r;
	w->asked_end = &r->next;
	if (w->connected)
		client_add(&w->settler, buf_data(&r->text), r->text.len);
}

/* Settle a chain of events, and forget them. */
static void
settle(struct worker *w, struct event *e, const char *op, int64_t delay)
{
	struct request *r = request_new(w, op);
	struct event *next;

	if (delay > 0)
		request_number(r, "releaseDelayInSeconds", delay);
	for (; e != NULL; e = next) {
		next = e->next;
		if (request_full(r)) {
			post(w, r);
			r = request_new(w, op);
			if (delay > 0)
				request_number(r, "releaseDelayInSeconds",
				    delay);
		}
		if (!e->lost)
			request_token(r, e->token, strlen(e->token));
		event_free(e);
		w->held--;
	}
	post(w, r);
}

/* ---- locks ---- */

static void
renew_chain(struct worker *w, struct request **r, struct event *e, int64_t now)
{
	for (; e != NULL; e = e->next) {
		if (e->lost)
			continue;
		/* Those that are nearly due come along. */
		if (e->renew_at <= now + CLOCK_SECOND) {
			if (request_full(*r)) {
				post(w, *r);
				*r = request_new(w, "renewLock");
			}
			request_token(*r, e->token, strlen(e->token));
			e->renew_at = now + RENEW;
		}
		if (e->renew_at < w->renew_at)
			w->renew_at = e->renew_at;
	}
}

static void
renew(struct worker *w)
{
	int64_t now = clock_now(), i;
	struct request *r;

	if (!w->connected || now < w->renew_at)
		return;
	w->renew_at = INT64_MAX;
	r = request_new(w, "renewLock");
	renew_chain(w, &r, w->queue, now);
	for (i = 0; i < w->opt->jobs; i++)
		renew_chain(w, &r, w->jobs[i].events, now);
	post(w, r);
}

static struct event *
find(struct worker *w, const char *token)
{
	struct event *e;
	int64_t i;

	for (e = w->queue; e != NULL; e = e->next) {
		if (strcmp(e->token, token) == 0)
			return e;
	}
	for (i = 0; i < w->opt->jobs; i++) {
		for (e = w->jobs[i].events; e != NULL; e = e->next) {
			if (strcmp(e->token, token) == 0)
				return e;
		}
	}
	return NULL;
}

/* A lock could not be renewed, or was gone when its event was settled. */
static void
lock_lost(void *arg, const char *token, const char *code, const char *message)
{
	char q[QUOTE_MAX];
	struct worker *w = arg;
	struct event *e;

	if (strcmp(w->asked->op, "renewLock") != 0) {
		warnx("%s: %s: %s: %s; the event may be delivered again",
		    quote(q, token, strlen(token)), w->asked->op, code,
		    message);
	} else if ((e = find(w, token)) != NULL) {
		warnx("event '%s': renewLock: %s: %s; it may be delivered "
		    "again", event_id(e, q), code, message);
		e->lost = true;
	}
}

/* Events that wait for a command, but are ours no more. */
static void
drop_lost(struct worker *w)
{
	struct event **p = &w->queue, *e;

	while ((e = *p) != NULL) {
		if (e->lost) {
			*p = e->next;
			event_free(e);
			w->held--;
		} else {
			p = &e->next;
		}
	}
	w->queue_end = p;
}

/* ---- the connections ---- */

static void
disconnected(struct worker *w, const char *why)
{
	if (!w->said_lost)
		warnx("%s; trying again until it is back", why);
	w->said_lost = true;
	client_close(&w->taker);
	client_close(&w->settler);
	w->connected = false;
	w->taking = IDLE;
	w->retry_at = clock_mono() + w->retry_after;
	w->retry_after = w->retry_after * 2 > RETRY_MAX ? RETRY_MAX :
	    w->retry_after * 2;
}

static int
reach(struct worker *w, struct fault *f)
{
	struct request *r;

	if (client_open(&w->settler, &w->spool, "topicd", f) == -1)
		return -1;
	if (!w->stopping &&
	    client_open(&w->taker, &w->spool, "topicd", f) == -1) {
		client_close(&w->settler);
		return -1;
	}
	w->connected = true;
	for (r = w->asked; r != NULL; r = r->next)
		client_add(&w->settler, buf_data(&r->text), r->text.len);
	return 0;
}

static void
reach_again(struct worker *w)
{
	struct fault f;

	if (w->connected || clock_mono() < w->retry_at ||
	    reach(w, &f) == 0)
		return;
	disconnected(w, f.text);
	if (w->stopping && w->running == 0)
		w->gave_up = true;
}

static void
answered(struct worker *w)
{
	w->retry_after = RETRY_MIN;
	w->said_lost = false;
}

/* What became of the requests. */
static void
hear(struct worker *w)
{
	struct request *r;
	struct fault f;

	while ((r = w->asked) != NULL && client_ready(&w->settler)) {
		if (client_answer(&w->settler, &f) == 0) {
			answered(w);
			request_failed(&w->settler, lock_lost, w);
		} else {
			warnx("%s: %s; events may be delivered again", r->op,
			    f.text);
		}
		if ((w->asked = r->next) == NULL)
			w->asked_end = &w->asked;
		buf_free(&r->text);
		free(r);
		w->in_vain = false;
	}
	drop_lost(w);
}

/* ---- taking events ---- */

/* Ask for as many as there is room for. */
static void
ask(struct worker *w)
{
	size_t room = (size_t)(w->opt->jobs * (w->opt->batch > 0 ?
	    w->opt->batch : 1));
	struct request r = { 0 };

	if (!w->connected || w->stopping || w->taking != IDLE || w->empty ||
	    w->held >= room || clock_mono() < w->retry_at)
		return;
	if (w->in_vain && (w->held > 0 || w->asked != NULL))
		return;
	room -= w->held;
	request_begin(&r, w->opt, "receive");
	request_number(&r, "maxEvents", room > REQUEST_TOKENS ?
	    REQUEST_TOKENS : (int64_t)room);
	request_number(&r, "maxWaitTime", w->opt->until_empty ? 0 : WAIT);
	request_end(&r);
	client_add(&w->taker, buf_data(&r.text), r.text.len);
	buf_free(&r.text);
	w->taking = ASKED;
	w->alone = w->held == 0 && w->asked == NULL;
}

/* Nothing came. With --until-empty that is the end when nothing can return. */
static void
nothing(struct worker *w)
{
	w->taking = IDLE;
	w->in_vain = w->opt->until_empty;
	w->empty = w->opt->until_empty && w->alone;
}

static void
refused(struct worker *w, const struct fault *f)
{
	w->taking = IDLE;
	if (f->code == FAULT_TOO_MANY || f->code == FAULT_INTERNAL ||
	    f->code == FAULT_UNAVAILABLE) {
		if (w->taker.fd != -1)
			warnx("receive: %s; trying again", f->text);
		w->retry_at = clock_mono() + RETRY_MAX;
		return;
	}
	w->status = pull_fault(f);
	w->stopping = true;
}

static void
enqueue(struct worker *w, const char *line, size_t len)
{
	struct event *e = event_new(line, len);

	if (e == NULL) {
		warnx("an event that cannot be read was left alone");
		return;
	}
	e->renew_at = clock_now() + RENEW;
	if (e->renew_at < w->renew_at)
		w->renew_at = e->renew_at;
	*w->queue_end = e;
	w->queue_end = &e->next;
	w->held++;
}

static void
take(struct worker *w)
{
	const char *line;
	struct fault f;
	size_t len;

	while (w->taking != IDLE && client_ready(&w->taker)) {
		if (w->taking == TAKING) {
			if (client_line(&w->taker, &line, &len, &f) == -1)
				return;
			enqueue(w, line, len);
			if (--w->coming == 0)
				w->taking = IDLE;
		} else if (client_answer(&w->taker, &f) == -1) {
			refused(w, &f);
		} else {
			answered(w);
			w->coming = client_number(&w->taker, "count");
			w->taking = TAKING;
			if (w->coming == 0)
				nothing(w);
		}
	}
}

/* Take no more, and give back what no command has begun with. */
static void
take_no_more(struct worker *w)
{
	struct event *e = w->queue;

	w->queue = NULL;
	w->queue_end = &w->queue;
	settle(w, e, "release", 0);
	if (w->taking != TAKING) {
		client_close(&w->taker);
		w->taking = IDLE;
	}
}

/* ---- commands ---- */

static void
say_failure(struct worker *w, const struct job *job, const char *how, int n,
    const char *then)
{
	char id[QUOTE_MAX];

	w->failures++;
	if (!w->chatty)
		return;
	if (job->n == 1)
		warnx("event '%s': %s: %s %d: %s", event_id(job->events, id),
		    w->argv[0], how, n, then);
	else
		warnx("%zu events: %s: %s %d: %s", job->n, w->argv[0], how, n,
		    then);
}

/* A command ended: settle what it worked on. */
static void
ended(struct worker *w, struct job *job, int status)
{
	w->running--;
	w->commands++;
	if (WIFSIGNALED(status)) {
		say_failure(w, job, "signal", WTERMSIG(status), "release");
		settle(w, job->events, "release", w->opt->delay);
	} else if (WEXITSTATUS(status) == EX_OK) {
		settle(w, job->events, "acknowledge", 0);
	} else if (WEXITSTATUS(status) == EX_DATAERR) {
		say_failure(w, job, "status", EX_DATAERR, "reject");
		settle(w, job->events, "reject", 0);
	} else {
		say_failure(w, job, "status", WEXITSTATUS(status), "release");
		settle(w, job->events, "release", w->opt->delay);
	}
	*job = (struct job){ 0 };
}

static void
reap(struct worker *w)
{
	int status;
	int64_t i;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < w->opt->jobs; i++) {
			if (w->jobs[i].pid == pid)
				ended(w, &w->jobs[i], status);
		}
	}
}

/* Move the next event, or batch, from the queue to a job. */
static void
fill(struct worker *w, struct job *job)
{
	struct event **end = &w->queue;
	size_t max = w->opt->batch > 0 ? (size_t)w->opt->batch : 1;

	job->n = 0;
	while (*end != NULL && job->n < max) {
		end = &(*end)->next;
		job->n++;
	}
	job->events = w->queue;
	w->queue = *end;
	*end = NULL;
	if (w->queue == NULL)
		w->queue_end = &w->queue;
}

static void
run(struct worker *w)
{
	struct job *job = w->jobs;

	while (w->queue != NULL && !w->stopping &&
	    w->running < (size_t)w->opt->jobs) {
		while (job->pid != 0)
			job++;
		fill(w, job);
		if (job_start(job, w->opt, w->argv, &w->mask) == 0) {
			w->running++;
			continue;
		}
		warn("%s", w->argv[0]);
		w->commands++;
		w->failures++;
		settle(w, job->events, "release", w->opt->delay);
		*job = (struct job){ 0 };
	}
}

/* ---- the loop ---- */

/* A second TERM: commands are ended too, and locks run out by themselves. */
static void
abandon(struct worker *w)
{
	int64_t i;

	for (i = 0; i < w->opt->jobs; i++) {
		if (w->jobs[i].pid != 0)
			kill(-w->jobs[i].pid, SIGTERM);
	}
	exit(EX_TEMPFAIL);
}

static void
hear_signals(struct worker *w)
{
	struct signalfd_siginfo s;

	while (read(w->signals, &s, sizeof(s)) == sizeof(s)) {
		if (s.ssi_signo == SIGCHLD)
			continue;
		if (w->stopping)
			abandon(w);
		w->stopping = true;
	}
	reap(w);
}

static int
timeout_ms(const struct worker *w)
{
	int64_t us = INT64_MAX, t;

	if (w->connected && w->renew_at != INT64_MAX)
		us = w->renew_at - clock_now();
	if ((t = w->retry_at - clock_mono()) < us && (t > 0 || !w->connected))
		us = t;
	if (clock_movable() && us > CLOCK_CHECK_MS * 1000)
		us = CLOCK_CHECK_MS * 1000;
	if (us == INT64_MAX)
		return -1;
	if (us <= 0)
		return 0;
	return us > 3600 * CLOCK_SECOND ? 3600 * 1000 : (int)(us / 1000) + 1;
}

static struct pollfd
interest(const struct client *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	if (c->out.len > 0)
		p.events |= POLLOUT;
	return p;
}

/* Send and read on both connections, and use what came. */
static void
move(struct worker *w)
{
	struct fault f;
	bool lost;

	if (!w->connected)
		return;
	lost = client_move(&w->settler, &f) == -1;
	if (w->taker.fd != -1 && client_move(&w->taker, &f) == -1)
		lost = true;
	take(w);
	hear(w);
	if (lost || w->settler.fd == -1 ||
	    (w->taker.fd == -1 && !w->stopping)) {
		if (!lost)
			fault_set(&f, FAULT_UNAVAILABLE,
			    "topicd: it cannot be understood");
		disconnected(w, f.text);
	}
}

static bool
over(const struct worker *w)
{
	if (!w->stopping && !w->empty)
		return false;
	return w->running == 0 && w->queue == NULL && w->taking != TAKING &&
	    (w->asked == NULL || w->gave_up);
}

static void
loop(struct worker *w)
{
	struct pollfd p[3];

	for (;;) {
		reach_again(w);
		move(w);
		if (w->stopping)
			take_no_more(w);
		if (over(w))
			break;
		run(w);
		ask(w);
		renew(w);
		p[0] = (struct pollfd){ .fd = w->signals, .events = POLLIN };
		p[1] = interest(&w->taker);
		p[2] = interest(&w->settler);
		if (poll(p, 3, timeout_ms(w)) == -1 && errno != EINTR)
			err(EX_OSERR, "poll");
		hear_signals(w);
	}
}

static void
finish(struct worker *w)
{
	struct request *r, *next;
	size_t unsettled = 0;

	for (r = w->asked; r != NULL; r = next) {
		next = r->next;
		unsettled += r->tokens;
		buf_free(&r->text);
		free(r);
	}
	if (unsettled > 0) {
		warnx("%zu events are not settled; they will be delivered "
		    "again", unsettled);
		w->status = EX_TEMPFAIL;
	}
	if (w->chatty && w->failures > 0)
		warnx("%llu of %llu commands failed", w->failures, w->commands);
	client_close(&w->taker);
	client_close(&w->settler);
	close(w->signals);
	free(w->jobs);
}

static int
catch_signals(struct worker *w)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, &w->mask) == -1)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int
verb_exec(const struct options *opt, const struct verb *v, char *argv[])
{
	struct worker w = { .opt = opt, .argv = argv,
		.retry_after = RETRY_MIN, .renew_at = INT64_MAX };
	struct fault f;

	(void)v;
	w.taker.fd = w.settler.fd = -1;
	w.queue_end = &w.queue;
	w.asked_end = &w.asked;
	w.chatty = opt->verbose || isatty(STDERR_FILENO);
	if (job_find(argv[0]) == -1)
		err(EX_USAGE, "%s", argv[0]);
	if ((w.jobs = calloc((size_t)opt->jobs, sizeof(*w.jobs))) == NULL ||
	    (w.signals = catch_signals(&w)) == -1)
		err(EX_OSERR, NULL);
	if (spool_open(&w.spool, opt->spool, &f) == -1) {
		w.status = pull_fault(&f);
	} else {
		if (reach(&w, &f) == -1)
			w.status = pull_fault(&f);
		else
			loop(&w);
		spool_close(&w.spool);
	}
	finish(&w);
	return w.status;
}
