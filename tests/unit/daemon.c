#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "daemon.h"

static char dir[] = "/tmp/daemon.XXXXXX";

struct seen {
	struct ev_loop *loop;
	int stops, reloads;
	bool ends;
};

static void
stop(void *arg)
{
	struct seen *s = arg;

	s->stops++;
	if (s->ends)
		ev_break(s->loop, EVBREAK_ALL);
}

static void
reload(void *arg)
{
	struct seen *s = arg;

	s->reloads++;
}

/* The watchers are on the test's stack. */
static void
end(struct daemon *d)
{
	ev_signal_stop(d->loop, &d->term);
	ev_signal_stop(d->loop, &d->int_);
	ev_signal_stop(d->loop, &d->hup);
	ev_loop_destroy(d->loop);
	spool_close(&d->spool);
}

static void
hup_reloads_and_term_ends(void)
{
	struct seen s = { .ends = true };
	struct daemon d;

	daemon_init(&d, dir, stop, reload, &s);
	s.loop = d.loop;
	raise(SIGHUP);
	ev_run(d.loop, EVRUN_ONCE);
	CHECK(s.reloads == 1 && s.stops == 0);
	raise(SIGTERM);
	ev_run(d.loop, 0);
	CHECK(s.reloads == 1 && s.stops == 1);
	end(&d);
}

static void
a_second_signal_ends_at_once(void)
{
	struct seen s = { 0 };
	struct daemon d;

	daemon_init(&d, dir, stop, NULL, &s);
	s.loop = d.loop;
	raise(SIGHUP);
	ev_run(d.loop, EVRUN_ONCE);
	raise(SIGINT);
	ev_run(d.loop, EVRUN_ONCE);
	CHECK(s.stops == 1 && s.reloads == 0);
	raise(SIGTERM);
	ev_run(d.loop, 0);
	CHECK(s.stops == 1);
	end(&d);
}

static void
a_closed_pipe_is_an_error_and_no_death(void)
{
	struct rlimit rl = { 0, 0 };
	struct daemon d;
	int fds[2];

	daemon_init(&d, dir, NULL, NULL, NULL);
	CHECK(getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur == rl.rlim_max);
	CHECK(pipe(fds) == 0);
	close(fds[0]);
	daemon_ready(fds[1]);
	CHECK(close(fds[1]) == -1);
	end(&d);
}

static void
readiness_is_one_newline(void)
{
	char text[8];
	int fds[2];

	CHECK(pipe(fds) == 0);
	daemon_ready(fds[1]);
	CHECK(read(fds[0], text, sizeof(text)) == 1 && text[0] == '\n');
	CHECK(read(fds[0], text, sizeof(text)) == 0);
	close(fds[0]);
	daemon_ready(-1);
}

int
main(void)
{
	CHECK(mkdtemp(dir) != NULL && chdir(dir) == 0);
	CHECK(mkdir("namespace", 0777) == 0);
	CHECK(close(creat("namespace/changes.ndjson", 0666)) == 0);
	RUN(hup_reloads_and_term_ends);
	RUN(a_second_signal_ends_at_once);
	RUN(a_closed_pipe_is_an_error_and_no_death);
	RUN(readiness_is_one_newline);
	CHECK(unlink("namespace/changes.ndjson") == 0);
	CHECK(rmdir("namespace") == 0 && rmdir(dir) == 0);
	DONE();
}
