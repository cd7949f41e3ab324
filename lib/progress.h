#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A bar on standard error, for eyes: only on a terminal, and only of work that
 * takes longer than a second:
 *	[##########          ]  50%  1200 events stored, 610/s
 */
struct progress {
	bool on;
	int64_t started, shown; /* clock_mono(); shown 0: nothing is there */
};

/* The work begins now. */
void progress_begin(struct progress *);

/* So much of the whole is done (whole 0: nobody knows how much there is), and
 * so many of `what` is that. Cheap enough to be called for each of them. */
void progress_show(struct progress *, uint64_t done, uint64_t whole,
    uint64_t count, const char *what);

/* Make room for what is printed next: at the end, and before other words. */
void progress_wipe(struct progress *);

#endif
