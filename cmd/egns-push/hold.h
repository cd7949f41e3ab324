#ifndef HOLD_H
#define HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

/*
 * For how long a push subscription makes no attempt, and why. Unlike the hold
 * of standing.h it ends by itself, and a restart ends it, too.
 */
struct hold {
	const char *topic, *name; /* the subscription's */
	int64_t since;  /* clock_now(); 0: it is not on hold */
	int64_t until;  /* clock_mono(); 0: an attempt may end it at once */
	const char *by; /* outlives it */
	char reason[512];
	bool said;      /* of this one the log knows */
	int64_t told;   /* clock_mono(): when the log was last told of one */
};

/* The log is told of one that begins, but of those that come and go only now
 * and then. */
void hold_begin(struct hold *, int64_t until, const char *by,
    const char *reason);
/* The endpoint answers. Nothing, when it is not on hold. */
void hold_end(struct hold *);

/* May an attempt be made? */
bool hold_is_over(const struct hold *);

/* Add `,"since":...,"by":...,"reason":...` of one of either kind; and of this
 * one, with the time of the next attempt. */
void hold_tell(struct buf *, int64_t since, const char *by, const char *reason);
void hold_show(const struct hold *, struct buf *);

#endif
