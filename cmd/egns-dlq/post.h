#ifndef POST_H
#define POST_H

#include <stdbool.h>
#include <stdint.h>

#include <ev.h>

#include "buf.h"
#include "fault.h"
#include "parcel.h"
#include "registry.h"
#include "spool.h"

/*
 * Parcels on their way to containers. Each subscription has a lane, and lanes
 * that have the same destination a place: it alone fails, and is tried again.
 */
#define POST_RATE 90        /* blobs a second */
#define POST_BURST 10       /* of them at once: never more than 100 a second */
#define POST_FLIGHTS 16     /* blobs that are being written */
#define POST_PLACE_FLIGHTS 4 /* to one container, at most */
#define POST_GATHER (INT64_C(1000000)) /* microseconds between blobs of a lane,
                                        * unless there is a parcel's worth */

struct post;
/* NULL without memory. `changed` is called when requests have ended. */
struct post *post_new(struct ev_loop *, const struct spool *,
    void (*changed)(void *), void *arg);
void post_free(struct post *);

/* Take what the directories hold, and remove what is left of parcels that
 * others were made of; `saw` is told of each. 0, or -1 and a fault. */
int post_load(struct post *, void (*saw)(const struct parcel *, void *),
    void *arg, struct fault *);

/* What the namespace says now. 0, or -1 and a fault: it is as it was. */
int post_configure(struct post *, struct registry *, struct fault *);

/* One more, sorted; it is the post's now. */
void post_add(struct post *, struct parcel *);

/*
 * Begin what can begin, and remember what has ended. True when there is more to
 * do soon, not only after a failure's pause. It ends the program when a sync
 * fails.
 */
bool post_go(struct post *);

/* Failed ones are due now. */
void post_retry(struct post *);

/* No more is begun. */
void post_stop(struct post *);

/* Nothing is under way. */
bool post_idle(const struct post *);

/* Lines for stats, and how many; samples of metrics. */
unsigned post_stats(const struct post *, struct buf *);
void post_metrics(struct post *, struct buf *);

#endif
