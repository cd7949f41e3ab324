#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "progress.h"

static char file[] = "/tmp/egns-progress-XXXXXX";
static int terminal = -1, usual;

/* Standard error is a terminal, and the clock moves; or it is as usual. */
static void
see(bool eyes)
{
	int side;

	if (!eyes) {
		dup2(usual, STDERR_FILENO);
		close(terminal);
		return;
	}
	terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (terminal == -1 || grantpt(terminal) == -1 ||
	    unlockpt(terminal) == -1 ||
	    (side = open(ptsname(terminal), O_RDWR | O_NOCTTY)) == -1)
		abort();
	dup2(side, STDERR_FILENO);
	close(side);
}

/* What the terminal got since the last look. */
static const char *
seen(void)
{
	static char text[4096];
	ssize_t n = read(terminal, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* Are these words in what comes up to an end of it? The kernel brings it in its
 * own time, and in parts. */
static bool
comes(const char *words, const char *end)
{
	struct pollfd p = { .fd = terminal, .events = POLLIN };
	static char text[8192];
	size_t len = 0;

	text[0] = '\0';
	while (strstr(text, end) == NULL && len < sizeof(text) / 2 &&
	    poll(&p, 1, 10000) == 1)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
		    seen());
	return strstr(text, words) != NULL;
}

static void
pass(double seconds)
{
	static double all;
	int64_t before = clock_mono();
	FILE *f = fopen(file, "w");

	fprintf(f, "%f", all += seconds);
	fclose(f);
	while (clock_mono() - before < (int64_t)(seconds * CLOCK_SECOND))
		usleep(1000);
}

/* A tenth of a second must be over, unless the machine took it. */
static void
is_too_soon(struct progress *p)
{
	int64_t shown = p->shown;

	progress_show(p, 3, 4, 30, "events");
	if (p->shown == shown)
		CHECK(*seen() == '\0');
	else
		CHECK(p->shown - shown >= CLOCK_SECOND / 10 &&
		    comes(" 75%  30 events, ", "/s"));
}

static void
a_bar_is_there_after_a_second(void)
{
	struct progress p;

	see(true);
	progress_begin(&p);
	progress_show(&p, 1, 4, 10, "events");
	CHECK(p.shown == 0 && *seen() == '\0');
	pass(1.5);
	progress_show(&p, 2, 4, 30, "events");
	CHECK(comes("\r\033[K[##########          ]  50%  30 events, ", "/s"));
	is_too_soon(&p);
	pass(0.5);
	progress_show(&p, 9, 4, 40, "events");
	CHECK(comes("[####################] 100%  40 ", "/s"));
	pass(0.5);
	progress_show(&p, 9, 0, 50, "letters");
	CHECK(comes("\r\033[K50 letters, ", "/s"));
	progress_wipe(&p);
	CHECK(comes("\r\033[K", "\r\033[K"));
	progress_wipe(&p);
	CHECK(*seen() == '\0');
	see(false);
}

static void
nobody_looks_nothing_is_shown(void)
{
	struct progress p, never = { .on = false };
	int null;

	see(true);
	null = open("/dev/null", O_WRONLY);
	dup2(null, STDERR_FILENO);
	close(null);
	progress_begin(&p);
	CHECK(!p.on);
	pass(2);
	progress_show(&p, 1, 2, 3, "events");
	CHECK(p.shown == 0);
	progress_show(&never, 1, 2, 3, "events");
	progress_wipe(&never);
	CHECK(*seen() == '\0');
	see(false);
}

int
main(void)
{
	close(mkstemp(file));
	setenv("EGNS_CLOCK", file, 1);
	usual = dup(STDERR_FILENO);
	RUN(a_bar_is_there_after_a_second);
	RUN(nobody_looks_nothing_is_shown);
	unlink(file);
	DONE();
}
