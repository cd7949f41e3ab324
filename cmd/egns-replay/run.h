#ifndef RUN_H
#define RUN_H

#include "decide.h"
#include "leaving.h"
#include "returns.h"
#include "spool.h"

/*
 * What a walk over blobs and the carrying out of a plan have in common: all that
 * has to be open, and what is done with a letter when that is decided.
 */
struct run {
	const struct options *opt;
	struct spool spool;
	struct registry *registry; /* resting, but while it is looked at */
	struct container_use use;
	struct policy *policy;
	struct known known;
	struct ledger *ledger;
	struct returns *returns; /* NULL until there is something to publish */
	struct decider decider;
	struct leaving leaving;
	struct tally tally;
	bool quarantine; /* what is to be quarantined is */
	bool down;       /* topicd takes nothing */
	uint64_t done;   /* letters that were not left as they are */
	struct buf id;
	char said[sizeof(((struct fault *)NULL)->text)];
};

/* 0, or -1 and a fault; either way it is ended with run_end(). */
int run_begin(struct run *, const struct options *, struct fault *);

/* Decide, and hand the letter over; blob NULL: it is only counted. */
int run_letter(struct run *, const struct letter *, const struct letter_place *,
    const struct wish *, struct leaving_blob *blob, struct decision *,
    struct fault *);

/* That was all of a blob: as leaving_close(). */
int run_blob_end(struct run *, struct leaving_blob *, const char *etag,
    struct fault *);

/* Everything goes, and is taken out of its blob: before containers are closed. 0,
 * or -1 and a fault. */
int run_flush(struct run *, struct fault *);

/* After a fault of the above: what can be finished is. Keeps the fault. */
void run_abandon(struct run *);

/* rc of all that was done, and its fault, which is told; the exit status. */
int run_end(struct run *, int rc, const struct fault *);

/* One line for each thing that cannot be read: as letter_walk's trouble. */
void run_trouble(struct run *, const char *container, const char *blob,
    uint64_t line, const struct fault *);

#endif
