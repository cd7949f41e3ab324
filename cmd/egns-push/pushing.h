#ifndef PUSHING_H
#define PUSHING_H

/* The inside of a pusher; for its files only. */

#include "clock.h"
#include "feed.h"
#include "hold.h"
#include "pusher.h"
#include "standing.h"
#include "subjects.h"
#include "target.h"

/* A target, and the attempts that it has under way. One that is not the
 * pusher's any more goes when these are done. */
struct aim {
	struct pusher *pusher;
	struct target *target;
	unsigned users;
	struct aim *next; /* of the retired ones */
};

struct items {
	struct item *first, **last;
	unsigned n;
	size_t bytes;
};

struct pusher {
	struct common *common;
	char *topic, *name, *type;
	struct standing standing;
	struct feed *feed;
	struct ledger *ledger;
	struct aim *aim; /* NULL: its settings cannot be used */
	struct aim *retired;
	ev_timer due;
	/* settings */
	unsigned max_in_flight, max_count, breaker;
	struct subjects *subjects; /* NULL: in any order */
	/* events */
	struct items ready;
	struct attempt *attempts;
	unsigned in_flight, sent; /* attempts, and events of them */
	unsigned window;
	int64_t took;      /* an attempt's time, smoothed */
	int64_t succeeded; /* clock_mono(): when one did last; 0 */
	int64_t next_send; /* clock_mono(): by the rate */
	/* trouble */
	bool prepared, preparing, looked;
	struct hold hold;
	unsigned setbacks; /* in a row: nothing could be sent */
	unsigned finals;   /* in a row: attempts that failed for good */
	bool rewind;       /* events in order were given back, or never came */
	bool ended;
	struct meter meter;
	char error[512];   /* of the last attempt that failed */
	char fatal[512];   /* of the last that failed for good */
	int64_t said;      /* clock_mono(): of such events */
	uint64_t unsaid;   /* how many there have been since */
};

/* items.c: what topicd has handed out. A link is what points to an item. */
void items_put(struct pusher *, struct item *);
struct item *items_take(struct pusher *, struct item **link);
void items_free(struct pusher *, struct item *);
/* Tell the settler, and free it. */
void items_settle(struct pusher *, const struct settlement *, struct item *);
/* No attempt was made: topicd is to keep it; or all that are ready. */
void items_give_back(struct pusher *, struct item *);
void items_give_back_all(struct pusher *);

/* waiting.c: when nothing is to be attempted; held: until somebody says
 * unhold. */
bool waiting_held(const struct pusher *);
/* Is there no reason to wait? */
bool waiting_not(const struct pusher *);
/* Look again then. */
void waiting_wake(struct pusher *, int64_t when);
/* Leave the endpoint alone until then. */
void waiting_until(struct pusher *, int64_t until, const char *by,
    const char *why);
/* It answers. */
void waiting_end(struct pusher *);
/* Nothing could be sent: by the schedule, the next time. */
void waiting_set_back(struct pusher *, const char *by, const struct outcome *);
/* The hold that outlives us: in memory; on disk, 0, or -1 and a fault; and what
 * it means for what is held. */
void waiting_set_hold(struct pusher *, const char *by, const char *reason);
int waiting_save_hold(struct pusher *, struct fault *);
void waiting_begin_hold(struct pusher *);

/* result.c: what came of an attempt, whose events are settled with it. */
void result_take(struct pusher *, struct attempt *, const struct outcome *);
/* The same of the event that waits for a handshake which has failed. */
void result_count_against(struct pusher *, const struct outcome *);
/* Say what has failed for good, if it is time. */
void result_say(struct pusher *);

/* attempts.c: all that can be done now, in the one place that does it. */
void attempts_pump(struct pusher *);
void attempts_due(struct ev_loop *, ev_timer *, int events); /* `due` */
/* How many may be under way: at most, and now. */
unsigned attempts_most(const struct pusher *);
unsigned attempts_limit(const struct pusher *);
/* It is over: forget it. */
void attempts_end(struct pusher *, struct aim *, struct attempt *);
extern const struct feed_hooks attempts_feed;
extern const struct target_hooks attempts_target;

#endif
