#ifndef PUSHER_H
#define PUSHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>
#include <jv.h>

#include "buf.h"
#include "callback.h"
#include "fault.h"
#include "meter.h"
#include "schedule.h"
#include "settler.h"
#include "spool.h"

/*
 * A push subscription at work: takes events from its feed, makes attempts
 * through its target, tells the settler what became of them, and decides when
 * it is better to wait. What must outlive us topicd knows (events, counts, due
 * times), or the standing file (a hold until somebody says otherwise, the
 * handshake): the rest is here.
 */
#define PUSHER_IN_FLIGHT 4096 /* attempts of all that may need a connection */
#define PUSHER_RESERVED 2     /* of them, those that each has in any case */
#define PUSHER_BYTES (256 * 1024 * 1024) /* of events held, all together */

/* What all pushers share; the daemon's. */
struct common {
	struct ev_loop *loop;
	const struct spool *spool;
	struct settler *settler;
	struct callback *callback;
	struct schedule schedule;
	unsigned in_flight; /* attempts that may need a connection */
	size_t bytes;       /* of events held */
	bool stopping;
};

struct pusher;

/* NULL without memory. It begins with pusher_configure. Names are copied. */
struct pusher *pusher_new(struct common *, const char *topic, const char *name);
/* Attempts under way are not answered any more: they may be made again. */
void pusher_free(struct pusher *);

/* What the registry says (not consumed). What is under way ends as it began.
 * Settings that cannot be used are a hold with their fault as the reason. */
void pusher_configure(struct pusher *, jv namespace, jv subscription);
/* The subscription is not there any more; free it when it is idle. */
void pusher_end(struct pusher *);

/* topicd is there. */
void pusher_connect(struct pusher *);
/* Now and then: what is due is done. */
void pusher_tick(struct pusher *);
/* Nothing new is begun, and what was not attempted is given back. */
void pusher_stop(struct pusher *);
/* Is nothing under way? */
bool pusher_idle(const struct pusher *);

/* Until pusher_unhold, over restarts. 0, or -1 and a fault. */
int pusher_hold(struct pusher *, const char *by, const char *reason,
    struct fault *);
int pusher_unhold(struct pusher *, struct fault *);

const struct meter *pusher_meter(const struct pusher *);
bool pusher_on_hold(const struct pusher *);
const char *pusher_topic(const struct pusher *);
const char *pusher_name(const struct pusher *);
/* Add a line that tells how it is, for `stats`. */
void pusher_stats(const struct pusher *, struct buf *);

#endif
