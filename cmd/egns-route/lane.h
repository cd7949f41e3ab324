#ifndef LANE_H
#define LANE_H

#include <stdbool.h>
#include <stdint.h>

#include <ev.h>

#include "buf.h"
#include "drop.h"
#include "schedule.h"
#include "spool.h"
#include "supply.h"
#include "target.h"

/*
 * A lane takes lines from a supply, in order, and brings their events to a
 * target: each exactly once when the target can tell how far it has come. While
 * it cannot be reached everything waits where it is. What it will never take is
 * recorded in dropped/ before the line is let go.
 */
struct lane_counts {
	uint64_t routed;    /* events */
	uint64_t dropped[DROPS];
	uint64_t failed;    /* attempts: ServiceError */
	uint64_t throttled; /* attempts, too: TooManyRequests */
};

struct lane;

/* `name` and the schedule are the caller's, and outlive it; the supply is the
 * lane's from now on, also when this fails: NULL without memory or thread. */
struct lane *lane_new(struct ev_loop *, const struct spool *,
    const char *name, struct supply *, const struct schedule *);

/* What a target is made with; its arg is the lane. */
extern const struct target_hooks lane_hooks;

/*
 * Where events go from now on; the target is the lane's. NULL: nowhere, and
 * all waits. `id` is its resource id, and copied. `exists`: the namespace has
 * that topic, so that a target which knows none is only late. What is under way
 * is answered by the target of before, if that is up.
 */
void lane_target(struct lane *, const char *id, struct target *, bool exists);

/* There may be something to be taken. */
void lane_wake(struct lane *);

/* What waits for its next attempt is tried now. */
void lane_retry(struct lane *);

/* Now and then: what is due is done. */
void lane_tick(struct lane *);

/* Take no more, send no more. */
void lane_stop(struct lane *);
/* Is nothing under way? */
bool lane_idle(const struct lane *);
/* Lines that were not answered are there again at the next start. */
void lane_free(struct lane *);

const struct lane_counts *lane_counts(const struct lane *);
/* Add an object that tells how it is, for `stats`. */
void lane_stats(const struct lane *, struct buf *);

#endif
