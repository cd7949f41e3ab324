#ifndef TALLY_H
#define TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "letter.h"
#include "progress.h"

/* What a run did, for its last line and its exit status. */
#define TALLY_REASONS 8 /* names of what was held that are told */
#define TALLY_WORDS 20  /* lines about single letters, then their number */

struct tally {
	uint64_t replayed;    /* stored now */
	uint64_t before;      /* had been, and were only to be taken out */
	uint64_t held, quarantined, refused;
	uint64_t stuck;       /* of those that are held: they were to go back */
	uint64_t later;       /* nothing was done */
	uint64_t left;        /* done, but still in their blob */
	char reasons[TALLY_REASONS][LETTER_REASON_MAX]; /* of what was held */
	unsigned nreasons;
	bool more;            /* reasons */
	bool unreadable;      /* a container or a blob: may be later */
	int status;           /* another to exit with; 0: none */
	uint64_t words;
	struct progress progress; /* the bar, which makes room for words */
};

void tally_held(struct tally *, const char *reason);

/* A line on standard error, unless there have been too many. */
void tally_say(struct tally *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

enum tally_of {
	TALLY_DONE,
	TALLY_PLANNED, /* all this would be done */
	TALLY_PRINTED,
};
/* The last line, if there is anything to say or somebody to read it; the exit
 * status. */
int tally_end(struct tally *, enum tally_of);

#endif
