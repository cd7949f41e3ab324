#ifndef TARGET_H
#define TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>
#include <jv.h>

#include "buf.h"
#include "fault.h"
#include "spool.h"

/*
 * Where events go: a topic of this namespace, by egns-topicd's socket
 * (topicd.c), or a custom topic over HTTPS (custom.c). Events are sent in
 * parcels, and answered in order. A target never retries by itself: it says
 * what happened, and its lane decides.
 */
#define PARCEL_EVENTS 1000               /* of a parcel; EVENT_BATCH_COUNT */
#define PARCEL_BYTES (1000 * 1000)       /* below EVENT_BATCH_MAX */
#define TARGET_WINDOW 8                  /* parcels under way, at most */

struct parcel {
	struct buf text; /* events, each a line */
	uint32_t count;
	uint64_t run;    /* of its records: the producer */
	uint64_t after;  /* number of the record before its first */
	uint64_t last;   /* number of its last record */
};

enum outcome {
	OUTCOME_STORED,
	OUTCOME_LATER,   /* the target is down, or has too much: try again */
	OUTCOME_BEHIND,  /* `after` is not where the producer is: ask again */
	OUTCOME_GONE,    /* there is no such topic: TopicNotFoundError */
	OUTCOME_DENIED,  /* we may not: AuthenticationError */
	OUTCOME_REFUSED, /* something in it is not taken */
};

struct target_hooks {
	/* target_open has succeeded. */
	void (*opened)(void *arg);
	/* It has not, or the connection was lost: parcels that were not
	 * answered may be stored or not. It is closed now. */
	void (*lost)(const struct fault *, void *arg);
	/* There may be a point in trying again now. */
	void (*hint)(void *arg);
	/* target_ask's answer: what is stored of that run. */
	void (*position)(uint64_t number, void *arg);
	/* Of the oldest parcel sent. retry_after: microseconds, 0: it did not
	 * say. */
	void (*answered)(enum outcome, int64_t retry_after,
	    const struct fault *, void *arg);
};

struct target {
	const struct target_calls *calls;
	const struct target_hooks *hooks;
	void *arg;
	unsigned window; /* parcels that may be under way: 1..TARGET_WINDOW */
};

/* Hooks are called from the loop, never from within these calls; a hook may
 * call any of them but free. */
struct target_calls {
	void (*open)(struct target *);
	/* How far has this run come? Nothing is under way. */
	void (*ask)(struct target *, uint64_t run);
	/* The text is not needed afterwards. */
	void (*send)(struct target *, const struct parcel *);
	/* What was not answered is not going to be. It may be opened again. */
	void (*close)(struct target *);
	void (*free)(struct target *);
};

/* The topic of this namespace (not consumed) that a resource id stands for: its
 * name, which is the end of the id; NULL: it is not of this namespace. */
const char *topicd_topic(jv namespace, const char *resource_id);

/* A topic of this namespace, by name. NULL and a fault. */
struct target *topicd_new(struct ev_loop *, const struct spool *,
    const char *topic, const struct target_hooks *, void *arg,
    struct fault *);

/*
 * A custom topic: the entry of the namespace's `endpoints` with that resource
 * id has its url and credential. The namespace is consumed. NULL and a fault,
 * when there is none, or nothing can be made of it.
 */
struct target *custom_new(struct ev_loop *, const struct spool *,
    jv namespace, const char *resource_id, const struct target_hooks *,
    void *arg, struct fault *);

#endif
