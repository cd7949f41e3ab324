#ifndef INTAKE_H
#define INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maildir.h"

/*
 * The one reader of a maildir. What is in new/ is moved to cur/, in the order of
 * its names, and there each line gets a number that it keeps: the name in cur/
 * is that in new/ with
 *	:RUN.NUMBER
 * behind it, the run of the reader that has taken it (16 hexadecimal digits,
 * random) and the number of its first line in that run, which are without gaps
 * from 1. Who passes lines on under (run, number) can tell after a crash which
 * have arrived, whatever clocks or people have done to the names meanwhile.
 *
 * All calls block, are for one thread at a time, and may be made in any.
 */
#define INTAKE_FILE_MAX (64 * 1024 * 1024) /* a larger one is corrupt */

struct intake {
	int dir;          /* the spool's; the caller's */
	const char *path; /* of the maildir below it; the caller's */
	uint64_t run;
	uint64_t number;  /* of the next line to be taken */
	void (*corrupt)(const char *name, const char *why, void *arg);
	void *arg;
};

/* A file of cur/, read and found whole. */
struct batch {
	struct batch *next;
	char name[MAILDIR_NAME];       /* as in new/ */
	struct maildir_name proof;
	uint64_t run, first;           /* of its lines */
	char *text;                    /* whole lines; proof.bytes, proof.lines */
};
void batch_free(struct batch *);

/* Make the maildir if need be; begin a new run. `corrupt` is told, from within
 * the calls below, of each file that moves to corrupt/. 0, or -1 and errno. */
int intake_open(struct intake *, int dir, const char *path,
    void (*corrupt)(const char *name, const char *why, void *), void *arg);

/*
 * What an earlier run has left in cur/, in order of runs and numbers, in memory:
 * up to about max bytes, and at least one file; those behind (run, number) of
 * `after`, from the first when that is NULL. A file in cur/ without a number is
 * given back to new/ first. 0 and a list, empty when there is no more; -1 and
 * errno.
 */
int intake_left(struct intake *, const struct batch *after, size_t max,
    struct batch **list);

/*
 * Take the first files of new/, up to about max bytes and at least one, and make
 * that safe before it returns: cur/ is synced. Files that do not match their
 * names go to corrupt/. 0 and a list, empty when new/ is; -1 and errno, and what
 * has been moved already comes with intake_left.
 */
int intake_take(struct intake *, size_t max, struct batch **list);

/* Its lines have arrived: remove the file. 0, or -1 and errno. Not synced: what
 * comes back with the power has numbers that have arrived. */
int intake_done(struct intake *, const struct batch *);

#endif
