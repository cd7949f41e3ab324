#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "watch.h"

static struct spool spool;

static void
count(void *arg)
{
	++*(int *)arg;
}

static void
touch(const char *path)
{
	int fd = openat(spool.fd, path, O_CREAT | O_WRONLY, 0666);

	CHECK(fd != -1);
	close(fd);
}

static void
files_that_come_are_told_of(void)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_NOSIGMASK);
	struct watch w;
	int came = 0;

	CHECK(mkdirat(spool.fd, "new", 0777) == 0);
	touch("a");
	CHECK(watch_files(&w, loop, &spool, "new", count, &came) == 0);
	touch("b");
	ev_run(loop, EVRUN_NOWAIT);
	CHECK(came == 0);
	CHECK(renameat(spool.fd, "a", spool.fd, "new/a") == 0);
	ev_run(loop, EVRUN_ONCE);
	CHECK(came == 1);
	touch("new/c");
	touch("new/d");
	ev_run(loop, EVRUN_ONCE);
	CHECK(came == 2);
	CHECK(unlinkat(spool.fd, "new/a", 0) == 0);
	CHECK(unlinkat(spool.fd, "new/c", 0) == 0);
	CHECK(unlinkat(spool.fd, "new/d", 0) == 0);
	CHECK(unlinkat(spool.fd, "b", 0) == 0);
	ev_run(loop, EVRUN_NOWAIT);
	CHECK(came == 2);
	watch_stop(&w);
	CHECK(!ev_is_active(&w.io));
	watch_stop(&w);
	CHECK(unlinkat(spool.fd, "new", AT_REMOVEDIR) == 0);
}

static void
a_socket_is_told_of_when_it_listens(void)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_NOSIGMASK);
	struct watch w;
	struct fault f;
	int came = 0, one, other;

	CHECK(mkdirat(spool.fd, "run", 0777) == 0);
	CHECK(watch_socket(&w, loop, &spool, "one.sock", count, &came) == 0);
	other = spool_listen(&spool, "other", &f);
	CHECK(other != -1);
	ev_run(loop, EVRUN_NOWAIT);
	CHECK(came == 0);
	one = spool_listen(&spool, "one", &f);
	CHECK(one != -1);
	ev_run(loop, EVRUN_ONCE);
	CHECK(came == 1);
	watch_stop(&w);
	close(one);
	close(other);
	CHECK(unlinkat(spool.fd, "run/one.sock", 0) == 0);
	CHECK(unlinkat(spool.fd, "run/other.sock", 0) == 0);
	CHECK(unlinkat(spool.fd, "run", AT_REMOVEDIR) == 0);
}

static void
what_is_not_there_is_not_watched(void)
{
	struct watch w, none = { 0 };

	CHECK(watch_files(&w, ev_default_loop(EVFLAG_NOSIGMASK), &spool, "new",
	    count, NULL) == -1 && errno == ENOENT);
	CHECK(!ev_is_active(&w.io));
	watch_stop(&w);
	watch_stop(&none);
}

int
main(void)
{
	char dir[] = "/tmp/watch.XXXXXX";

	spool.path = mkdtemp(dir);
	spool.fd = open(dir, O_PATH | O_DIRECTORY);
	RUN(files_that_come_are_told_of);
	RUN(a_socket_is_told_of_when_it_listens);
	RUN(what_is_not_there_is_not_watched);
	close(spool.fd);
	rmdir(dir);
	DONE();
}
