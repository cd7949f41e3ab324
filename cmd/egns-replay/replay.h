#ifndef REPLAY_H
#define REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "selection.h"

/* What the command line says; strings are its own. */
struct options {
	const char *spool;
	struct selection selection; /* its limit is of what is done */
	bool selected;      /* one of its options was given */
	const char *to;     /* "subscription" or "topic"; NULL: not said */
	uint64_t rate;      /* events a second; 0: as quick as it goes */
	const char *policy; /* a file; NULL: built in */
	const char *plan;   /* a file to carry out; NULL: none */
	bool quarantine, keep, again, dry;
};

/* All return the exit status: over all blobs that are meant (walk.c), by a plan
 * (carry.c), records of standard input (pipe.c). */
int walk_run(const struct options *);
int carry_run(const struct options *);
int pipe_run(const struct options *);

#endif
