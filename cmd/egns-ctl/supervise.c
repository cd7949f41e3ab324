/* start daemons, keep them running, stop them */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <ev.h>

#include "clock.h"
#include "daemons.h"
#include "log.h"
#include "logpipe.h"
#include "supervise.h"

/* seconds between an end and the next start; doubled each time */
#define DELAY_FIRST 0.1
#define DELAY_MAX 30.0
#define DELAY_RESET 60 /* seconds of life that make it the first again */

#define READY_FD 3 /* in the daemon */

struct child {
	struct state *state;
	const char *name;
	char program[PATH_MAX];
	pid_t pid; /* 0: does not run */
	bool ready;
	double delay;
	int64_t started;
	struct logpipe log; /* when detached */
	ev_child ended;
	ev_io readiness;
	ev_timer again;
};

struct state {
	const struct supervise *how;
	struct ev_loop *loop;
	struct child child[DAEMONS_MAX];
	size_t count;
	size_t asked; /* children that were told to start so far */
	bool up;      /* all were ready once */
	bool stopping;
	int status;
	struct logpipe log; /* our own words, when detached and up */
	ev_signal term, interrupt, hup;
	ev_timer limit;
};

static void child_start(struct child *);
static int child_init(struct child *, struct state *, const char *name);

/* Beside this program, where a build and an install have them, else in PATH. */
static void
child_locate(struct child *c)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int len;

	if (n > 0) {
		self[n] = '\0';
		len = snprintf(c->program, sizeof(c->program), "%s/egns-%s",
		    dirname(self), c->name);
		if (len < (int)sizeof(c->program) &&
		    access(c->program, X_OK) == 0)
			return;
	}
	snprintf(c->program, sizeof(c->program), "egns-%s", c->name);
}

/* ---- in the new process ---- */

static void
signals_default(const sigset_t *mask)
{
	static const int ours[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGPIPE,
		SIGXFSZ };
	size_t i;

	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		signal(ours[i], SIG_DFL);
	sigprocmask(SIG_SETMASK, mask, NULL);
}

static void
descriptors(const struct child *c, int ready)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	dup2(null, STDIN_FILENO);
	if (c->state->how->detached) {
		dup2(c->log.out, STDOUT_FILENO);
		dup2(c->log.out, STDERR_FILENO);
	}
	if (ready == READY_FD)
		fcntl(ready, F_SETFD, 0);
	else
		dup2(ready, READY_FD);
}

/* Signals are blocked: one that comes now must end us, not be lost. */
static void
child_exec(const struct child *c, pid_t parent, int ready, const sigset_t *mask)
{
	char fd[12];

	snprintf(fd, sizeof(fd), "%d", READY_FD);
	setsid(); /* ^C is for the supervisor, which stops us in order */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signals_default(mask);
	if (getppid() != parent)
		_exit(0);
	descriptors(c, ready);
	execlp(c->program, c->program, "-C", c->state->how->spool->path, "-r",
	    fd, (char *)NULL);
	dprintf(STDERR_FILENO, "egns-ctl: %s: %s\n", c->program,
	    strerror(errno));
	_exit(EX_UNAVAILABLE);
}

/* ---- in the supervisor ---- */

static void
stop_next(struct state *s)
{
	size_t i;

	for (i = s->asked; i-- > 0;) {
		if (s->child[i].pid == 0)
			continue;
		kill(s->child[i].pid, SIGTERM);
		ev_timer_stop(s->loop, &s->limit);
		ev_timer_set(&s->limit, s->how->limit, 0);
		ev_timer_start(s->loop, &s->limit);
		return;
	}
	ev_break(s->loop, EVBREAK_ALL);
}

static void
stop(struct state *s, int status)
{
	size_t i;

	if (!s->stopping)
		s->status = status;
	s->stopping = true;
	for (i = 0; i < s->asked; i++)
		ev_timer_stop(s->loop, &s->child[i].again);
	stop_next(s);
}

static void
on_limit(struct ev_loop *loop, ev_timer *t, int events)
{
	struct state *s = t->data;
	size_t i = s->asked;

	(void)loop, (void)events;
	while (i > 0 && s->child[i - 1].pid == 0)
		i--;
	if (i == 0)
		return;
	log_warn("%s: did not stop within %g s: killed", s->child[i - 1].name,
	    s->how->limit);
	kill(s->child[i - 1].pid, SIGKILL);
}

/* A second signal goes on to the daemon, which then hurries. */
static void
on_stop(struct ev_loop *loop, ev_signal *sig, int events)
{
	(void)loop, (void)events;
	stop(sig->data, 0);
}

static bool
has_child(const struct state *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->count; i++) {
		if (strcmp(s->child[i].name, name) == 0)
			return true;
	}
	return false;
}

/* Start what the namespace has come to need. */
static void
start_new(struct state *s)
{
	const char *names[DAEMONS_MAX];
	struct fault f;
	int i, n = daemons_needed(s->how->spool, names, &f);

	if (n == -1)
		log_warn("%s", f.text);
	for (i = 0; i < n; i++) {
		if (has_child(s, names[i]))
			continue;
		if (child_init(&s->child[s->count], s, names[i]) == -1) {
			log_warn("%s: %s", names[i], strerror(errno));
			continue;
		}
		s->count++;
		child_start(&s->child[s->asked++]);
	}
}

static void
on_hup(struct ev_loop *loop, ev_signal *sig, int events)
{
	struct state *s = sig->data;
	size_t i;

	(void)loop, (void)events;
	for (i = 0; i < s->asked; i++) {
		if (s->child[i].ready)
			kill(s->child[i].pid, SIGHUP);
	}
	if (s->up && !s->stopping)
		start_new(s);
}

/* From here on our words are for a file, and whoever waits may go. */
static void
detach(struct state *s)
{
	prctl(PR_SET_PDEATHSIG, 0);
	if (dup2(s->log.out, STDERR_FILENO) == -1)
		log_warn("run/up.log: %s", strerror(errno));
	/* we are the only reader: rather lose a line than wait for us */
	fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
}

static void
all_ready(struct state *s)
{
	s->up = true;
	if (s->how->detached)
		detach(s);
	if (s->how->ready != -1) {
		if (write(s->how->ready, "\n", 1) == -1 && errno != EPIPE)
			log_warn("readiness: %s", strerror(errno));
		close(s->how->ready);
	}
	start_new(s); /* a HUP may have come too early */
}

static void
start_next(struct state *s)
{
	if (s->asked == s->count)
		all_ready(s);
	else
		child_start(&s->child[s->asked++]);
}

static void
on_ready(struct ev_loop *loop, ev_io *io, int events)
{
	struct child *c = io->data;
	struct state *s = c->state;
	char byte;
	ssize_t n = read(io->fd, &byte, 1);

	(void)events;
	ev_io_stop(loop, io);
	close(io->fd);
	c->ready = n == 1 && byte == '\n';
	if (c->ready && !s->up && !s->stopping)
		start_next(s);
}

/* What became of it, in words; its exit status, or 69 for a signal. */
static int
verdict(int status, char *words, size_t size)
{
	if (WIFSIGNALED(status)) {
		snprintf(words, size, "ended by signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
		return EX_UNAVAILABLE;
	}
	snprintf(words, size, "ended with status %d", WEXITSTATUS(status));
	return WEXITSTATUS(status);
}

static void
not_started(struct child *c, const char *words, int status)
{
	struct buf *last = &c->log.last;

	if (c->state->how->detached && last->len > 0 &&
	    write(STDERR_FILENO, buf_data(last), last->len) == -1)
		log_warn("%s: last words: %s", c->name, strerror(errno));
	log_warn("%s: did not start: %s", c->name, words);
	stop(c->state, status == 0 ? EX_UNAVAILABLE : status);
}

static void
start_again(struct child *c, const char *words)
{
	if (clock_mono() - c->started >= DELAY_RESET * CLOCK_SECOND)
		c->delay = DELAY_FIRST;
	log_warn("%s: %s; starts again in %g s", c->name, words, c->delay);
	ev_timer_set(&c->again, c->delay, 0);
	ev_timer_start(c->state->loop, &c->again);
	c->delay = c->delay * 2 < DELAY_MAX ? c->delay * 2 : DELAY_MAX;
}

static void
ended(struct child *c, const char *words, int status)
{
	struct state *s = c->state;

	c->pid = 0;
	c->ready = false;
	if (ev_is_active(&c->readiness)) {
		ev_io_stop(s->loop, &c->readiness);
		close(c->readiness.fd);
	}
	if (s->how->detached)
		logpipe_drain(&c->log);
	if (s->stopping) {
		if (status != 0)
			log_warn("%s: %s", c->name, words);
		stop_next(s);
	} else if (!s->up) {
		not_started(c, words, status);
	} else {
		start_again(c, words);
	}
}

static void
on_ended(struct ev_loop *loop, ev_child *w, int events)
{
	struct child *c = w->data;
	char words[80];
	int status;

	(void)events;
	ev_child_stop(loop, w);
	status = verdict(w->rstatus, words, sizeof(words));
	ended(c, words, status);
}

static void
on_again(struct ev_loop *loop, ev_timer *t, int events)
{
	(void)loop, (void)events;
	child_start(t->data);
}

/* The process, or -1 and errno; *ready is our end of its -r. */
static pid_t
child_fork(struct child *c, int *ready)
{
	pid_t parent = getpid(), pid;
	sigset_t all, mask;
	int fd[2], error;

	if (pipe2(fd, O_CLOEXEC) == -1)
		return -1;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &mask);
	pid = fork();
	if (pid == 0)
		child_exec(c, parent, fd[1], &mask);
	error = errno;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	close(fd[1]);
	if (pid == -1)
		close(fd[0]);
	*ready = fd[0];
	errno = error;
	return pid;
}

static void
child_start(struct child *c)
{
	struct ev_loop *loop = c->state->loop;
	char words[80];
	pid_t pid;
	int ready;

	if (c->state->how->detached)
		logpipe_anew(&c->log);
	c->started = clock_mono();
	pid = child_fork(c, &ready);
	if (pid == -1) {
		snprintf(words, sizeof(words), "fork: %s", strerror(errno));
		ended(c, words, EX_OSERR);
		return;
	}
	c->pid = pid;
	ev_child_set(&c->ended, pid, 0);
	ev_child_start(loop, &c->ended);
	ev_io_set(&c->readiness, ready, EV_READ);
	ev_io_start(loop, &c->readiness);
}

static int
child_init(struct child *c, struct state *s, const char *name)
{
	c->state = s;
	c->name = name;
	c->delay = DELAY_FIRST;
	child_locate(c);
	ev_init(&c->ended, on_ended);
	ev_init(&c->readiness, on_ready);
	ev_init(&c->again, on_again);
	c->ended.data = c->readiness.data = c->again.data = c;
	if (!s->how->detached)
		return 0;
	return logpipe_open(&c->log, s->loop, s->how->spool->fd, name);
}

static void
watch_signal(struct state *s, ev_signal *sig, int number,
    void (*handle)(struct ev_loop *, ev_signal *, int))
{
	ev_signal_init(sig, handle, number);
	sig->data = s;
	ev_signal_start(s->loop, sig);
}

static int
state_init(struct state *s, const struct supervise *how)
{
	size_t i;

	s->how = how;
	s->loop = ev_default_loop(0);
	if (s->loop == NULL)
		return -1;
	if (how->detached &&
	    logpipe_open(&s->log, s->loop, how->spool->fd, "up") == -1)
		return -1;
	for (i = 0; i < how->count; i++) {
		if (child_init(&s->child[i], s, how->names[i]) == -1)
			return -1;
		s->count++;
	}
	signal(SIGPIPE, SIG_IGN);
	watch_signal(s, &s->term, SIGTERM, on_stop);
	watch_signal(s, &s->interrupt, SIGINT, on_stop);
	watch_signal(s, &s->hup, SIGHUP, on_hup);
	ev_init(&s->limit, on_limit);
	s->limit.data = s;
	return 0;
}

int
supervise(const struct supervise *how)
{
	static struct state s; /* the children hold a path each */
	size_t i;

	if (state_init(&s, how) == -1) {
		log_warn("%s: %s", how->spool->path, strerror(errno));
		return EX_OSERR;
	}
	start_next(&s);
	ev_run(s.loop, 0);
	if (how->detached) {
		for (i = 0; i < s.count; i++)
			logpipe_close(&s.child[i].log);
		logpipe_close(&s.log);
	}
	return s.status;
}
