#ifndef SUPERVISE_H
#define SUPERVISE_H

#include <stdbool.h>
#include <stddef.h>

#include "spool.h"

/*
 * A small supervisor: starts daemons one behind the other, each when the one
 * before is ready, starts those again that end, and stops them in reverse order
 * on TERM or INT. HUP goes on to them, and those that have become necessary are
 * started. They do not outlive it.
 */
struct supervise {
	const struct spool *spool;
	const char *const *names; /* "topicd" is the program egns-topicd */
	size_t count;
	bool detached; /* words go to run/NAME.log, ours to run/up.log */
	int ready;     /* gets a newline when all are ready; -1 */
	double limit;  /* seconds to stop in; then KILL */
};

/*
 * Run until told to stop. The exit status: 0 then; when a daemon does not start
 * at all, its own, or 69, and its last words are on stderr.
 */
int supervise(const struct supervise *);

#endif
