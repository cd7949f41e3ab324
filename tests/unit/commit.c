#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"
#include "commit.h"

struct window {
	struct commit *committer;
	int again; /* windows that done() has to start */
	int result;
	int worked, finished, error;
	bool busy_in_done, elsewhere, masked;
	pthread_t loop_thread;
	int gate; /* work() waits until it is closed; -1: does not wait */
};

static int
work(void *arg)
{
	struct window *w = arg;
	sigset_t set;
	char c;

	if (w->gate != -1)
		while (read(w->gate, &c, 1) > 0)
			;
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	w->masked = sigismember(&set, SIGTERM) && sigismember(&set, SIGHUP);
	w->elsewhere = !pthread_equal(w->loop_thread, pthread_self());
	w->worked++;
	return w->result;
}

static void
done(void *arg, int error)
{
	struct window *w = arg;

	w->finished++;
	w->error = error;
	w->busy_in_done = commit_busy(w->committer);
	if (w->again-- > 0)
		commit_start(w->committer, w);
}

static void
a_window_goes_to_the_thread_and_back(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct commit *c = commit_new(loop, work, done);
	struct window w = { .committer = c, .result = EIO, .gate = -1,
		.loop_thread = pthread_self() };

	CHECK(c != NULL && !commit_busy(c));
	/* an idle committer keeps no loop alive */
	ev_run(loop, 0);
	commit_start(c, &w);
	CHECK(commit_busy(c));
	CHECK(w.finished == 0);
	/* and one at work does */
	ev_run(loop, 0);
	CHECK(w.worked == 1 && w.finished == 1 && w.error == EIO);
	CHECK(w.elsewhere && w.masked && !w.busy_in_done && !commit_busy(c));
	commit_free(c);
	ev_loop_destroy(loop);
}

static void
windows_follow_each_other(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct commit *c = commit_new(loop, work, done);
	struct window w = { .committer = c, .again = 999, .gate = -1,
		.loop_thread = pthread_self() };

	commit_start(c, &w);
	ev_run(loop, 0);
	CHECK(w.worked == 1000 && w.finished == 1000 && w.error == 0);
	commit_free(c);
	ev_loop_destroy(loop);
}

static void
the_end_waits_for_what_is_under_way(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct commit *c = commit_new(loop, work, done);
	int gate[2];
	struct window w = { .committer = c, .again = 2,
		.loop_thread = pthread_self() };

	CHECK(pipe(gate) == 0);
	w.gate = gate[0];
	commit_start(c, &w);
	ev_run(loop, EVRUN_NOWAIT);
	CHECK(w.finished == 0 && commit_busy(c));
	close(gate[1]);
	commit_free(c);
	CHECK(w.worked == 3 && w.finished == 3);
	close(gate[0]);
	commit_free(NULL);
	/* nothing of it is left in the loop */
	ev_run(loop, 0);
	ev_loop_destroy(loop);
}

int
main(void)
{
	RUN(a_window_goes_to_the_thread_and_back);
	RUN(windows_follow_each_other);
	RUN(the_end_waits_for_what_is_under_way);
	DONE();
}
