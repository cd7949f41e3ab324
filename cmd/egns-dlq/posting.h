#ifndef POSTING_H
#define POSTING_H

#include <tcutil.h>

#include "cargo.h"
#include "place.h"
#include "post.h"
#include "schedule.h"
#include "counters.h"

/* Of a post: what its parts share. */
struct lane { /* of a subscription */
	TAILQ_ENTRY(lane) entry;
	char topic[PARCEL_WORD], name[PARCEL_WORD];
	struct place *place;   /* NULL: not known yet */
	int64_t period;        /* microseconds: deliveryRetryPeriodInDays */
	struct parcels sorted; /* not tried yet */
	unsigned nsorted;      /* at most */
	unsigned crowd;        /* so many are too many */
	struct parcels tried;  /* their files are in sending/ */
	int64_t begun;         /* clock_mono(): the last one was */
};
TAILQ_HEAD(lanes, lane);

struct flight { /* a parcel whose blob is being written, or is there */
	TAILQ_ENTRY(flight) entry;
	struct post *post;
	struct lane *lane;
	struct place *place;   /* the lane's may be another meanwhile */
	struct parcel *parcel;
	struct cargo cargo;
	char *container;       /* its name */
	char blob[BLOB_NAME + 1];
};
TAILQ_HEAD(flights, flight);

struct post {
	struct ev_loop *loop;
	const struct spool *spool;
	void (*changed)(void *);
	void *arg;
	jv namespace;
	struct schedule schedule;
	char *key;               /* what containers are made with */
	struct fetcher *fetcher;
	TCMAP *by_name;          /* "TOPIC/SUBSCRIPTION" -> struct lane * */
	struct lanes lanes;      /* the next one to be served is first */
	struct places places;
	struct flights flying, landed;
	unsigned nflying;
	bool stopping;           /* nothing more begins */
	double credit;           /* blobs that may be begun now */
	int64_t credited;        /* clock_mono() */
	struct counters *counters;
	bool full;               /* there is no room for a record: that was said */
};

/* lanes.c: the subscriptions that have parcels, and where these go. */
struct lane *lane_find(struct post *, const struct parcel *); /* or made */
/* Many that wait together become few. */
void lane_crowd(struct post *, struct lane *);
/* The list that a parcel is in, by where its file is. */
struct parcels *lane_list(struct lane *, const struct parcel *);
/* The present destination; without one, that of the records. */
void lane_direct(struct post *, struct lane *, struct registry *);
/* 0, or -1 and a fault: its container is not open. */
int place_open(struct post *, struct place *, struct fault *);
/* Those that no lane goes to any more. */
void places_sweep(struct post *);

/* flights.c: blobs that are written, and what has become of them. */
/* Of a parcel that is said to be flying. */
void flight_begin(struct post *, struct lane *, struct parcel *);
/* Blobs that are there: remember it, and let their parcels go. */
void flights_settle(struct post *);
/* Requests under way end without an answer; their parcels are tried again, and
 * find it out. */
void flights_end(struct post *);
/* Those that there was no room to remember. */
void flights_forget(struct post *);
/* Parcels that failed with a place need not wait any longer. */
void place_revive(struct post *, struct place *);

/* What nobody can go on without: the program ends. */
void post_die(const char *what) __attribute__((noreturn)); /* and errno */
void post_no_memory(void) __attribute__((noreturn));

#endif
