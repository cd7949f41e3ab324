#ifndef LEAVING_H
#define LEAVING_H

#include "returns.h"
#include "selection.h"
#include "tally.h"

/*
 * Blobs that letters leave. Rounds of publishing span blobs, so a blob waits
 * here until what becomes of each of its letters is known; then it is written anew
 * with those that stay, or deleted when none does.
 */
#define LEAVING_BLOBS 8192 /* that wait: rounds of blobs of one letter each */
#define LEAVING_TRIES 10   /* at a blob that others change meanwhile */

enum leaving_state {
	LEAVING_STAYS,
	LEAVING_WAITS,  /* for its result */
	LEAVING_GOES,
	LEAVING_ASIDE,  /* to be put aside first */
	LEAVING_NOTED,  /* and the ledger knows it */
};

struct leaving_blob;

struct leaving {
	struct tally *tally;
	/* Asked for when something is to be noted; NULL and a fault. */
	struct returns *(*returns)(void *arg, struct fault *);
	void *arg;
	bool keep;           /* below _replayed/ */
	unsigned n;          /* blobs that are here */
	struct leaving_blob *all, *ready, **last;
};

/* The rest is the caller's to set. */
void leaving_init(struct leaving *);

/* A blob, whose container outlives it; NULL without memory. */
struct leaving_blob *leaving_open(struct leaving *,
    const struct letter_place *);
const char *leaving_name(const struct leaving_blob *);

/* What it has, in its order: something that stays; a letter that may leave. 0, or
 * -1 without memory. */
void leaving_stays(struct leaving_blob *);
int leaving_letter(struct leaving_blob *, const uint8_t key[LETTER_KEY],
    uint64_t line, enum leaving_state);

/* That was all of it, as it was with this ETag. NULL: some of it was not seen. */
void leaving_close(struct leaving *, struct leaving_blob *, const char *etag);

/* How one ended that has been waited for. */
void leaving_result(struct leaving *, struct leaving_blob *, uint64_t line,
    enum leaving_state);

/* Write those that are ready; faults are told and counted. Not from a callback
 * of `returns`. */
void leaving_settle(struct leaving *);

/* Nothing more will be heard: what has a result is settled by that, all else
 * stays and is to be tried later. No blob is here then. */
void leaving_abandon(struct leaving *);

/* A letter of a blob as the ledger knows it. */
void leaving_describe(struct returned *, const struct letter *,
    const struct container *, const char *blob, const struct blob_path *);

#endif
