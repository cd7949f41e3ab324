#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "clock.h"

#define AFTER CLOCK_SECOND
#define EVERY (CLOCK_SECOND / 10)
#define WIDTH 20
#define WIPE "\r\033[K"

void
progress_begin(struct progress *p)
{
	p->on = isatty(STDERR_FILENO);
	p->started = clock_mono();
	p->shown = 0;
}

static void
bar(uint64_t done, uint64_t whole)
{
	double part = (double)done / (double)whole;
	int n;

	part = part > 1 ? 1 : part;
	n = (int)(part * WIDTH);
	fprintf(stderr, "[%.*s%*s] %3d%%  ", n, "####################",
	    WIDTH - n, "", (int)(part * 100));
}

void
progress_show(struct progress *p, uint64_t done, uint64_t whole,
    uint64_t count, const char *what)
{
	int64_t now;

	if (!p->on || (now = clock_mono()) - p->started < AFTER ||
	    now - p->shown < EVERY)
		return;
	p->shown = now;
	fputs(WIPE, stderr);
	if (whole > 0)
		bar(done, whole);
	fprintf(stderr, "%llu %s, %.0f/s", (unsigned long long)count, what,
	    (double)count / ((double)(now - p->started) / CLOCK_SECOND));
}

void
progress_wipe(struct progress *p)
{
	if (p->shown > 0)
		fputs(WIPE, stderr);
	p->shown = 0;
}
