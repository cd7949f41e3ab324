#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "log.h"

static char said[1 << 20];

/* Run words() in a child and gather what it says; its wait status. */
static int
listen_to(void (*words)(void))
{
	size_t len = 0;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	fflush(stdout);
	if (pipe(fds) == -1 || (pid = fork()) == -1)
		return -1;
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		words();
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(fds[0]);
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static int
lines(void)
{
	const char *p = said;
	int n;

	for (n = 0; (p = strchr(p, '\n')) != NULL; n++)
		p++;
	return n;
}

static void
one_of_each(void)
{
	errno = ENOENT;
	log_debug("d");
	log_info("i %d", 1);
	log_warn("w: %s", strerror(errno));
	log_warn("two\nlines");
	if (errno != ENOENT)
		_exit(1);
}

static void
one_of_each_verbosely(void)
{
	log_verbose(2);
	one_of_each();
}

static void
levels(void)
{
	CHECK(listen_to(one_of_each) == 0);
	CHECK(strstr(said, "log: warn: w: No such file or directory\n") ==
	    said);
	CHECK(strstr(said, "warn: two lines\n") != NULL);
	CHECK(lines() == 2);
	CHECK(listen_to(one_of_each_verbosely) == 0);
	CHECK(strstr(said, "log: debug: d\nlog: info: i 1\n") == said);
	CHECK(lines() == 4);
}

static void
very_many(void)
{
	static char words[5000];
	int i;

	memset(words, 'x', sizeof(words) - 1);
	for (i = 0; i < 3 * LOG_BURST; i++)
		log_warn("%d %s", i, words);
	log_fatal(75, "enough");
}

static void
a_flood_is_bounded_and_counted(void)
{
	int status = listen_to(very_many);

	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 75);
	/* a second may begin meanwhile, and then the allowance is new */
	CHECK(lines() >= LOG_BURST + 1 && lines() <= 3 * LOG_BURST + 2);
	CHECK(strstr(said, " lines held back\n") != NULL);
	CHECK(strstr(said, "log: fatal: enough\n") != NULL);
}

int
main(void)
{
	RUN(levels);
	RUN(a_flood_is_bounded_and_counted);
	DONE();
}
