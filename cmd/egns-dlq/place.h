#ifndef PLACE_H
#define PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <jv.h>

#include "container.h"
#include "fault.h"
#include "schedule.h"

/* A destination of dead letters, and how it fares. */
struct place {
	TAILQ_ENTRY(place) entry;
	char *key;                   /* the destination, as text */
	char *name;                  /* for people */
	jv destination;
	struct container *container; /* NULL: it cannot be opened, see error */
	unsigned lanes;              /* that go there */
	unsigned flying;             /* requests under way */
	unsigned held;               /* by these, and by what they ended with */
	bool failing;
	unsigned attempts;           /* since it began to fail */
	int64_t since;               /* clock_now(): when that was */
	int64_t due, next;           /* of the next attempt: clock_mono(), and
	                              * clock_now() for people */
	struct fault error;
	uint64_t written, blobs, dropped; /* letters, and what they are in */
};
TAILQ_HEAD(places, place);

/* `destination` as the registry or a record has it (consumed). NULL without
 * memory. */
struct place *place_new(jv destination);
void place_free(struct place *);

/* What two of the same destination have in common; the caller frees it. */
char *place_key(jv destination); /* not consumed */

/* For people: the container's name, or, until it is open for the first time,
 * what the destination says of it. Two places may have the same. */
const char *place_name(const struct place *);
/* It is open. */
void place_opened(struct place *, struct container *);

/* It did not work, or did. What fails together is one attempt. */
void place_failed(struct place *, const struct schedule *,
    const struct fault *);
void place_worked(struct place *);
/* The next attempt is to be at that instant (clock_now()), if not sooner. */
void place_hurry(struct place *, int64_t at);

/* The instant (clock_now()) at which what waits since `since` is given up. */
int64_t place_limit(const struct place *, int64_t since, int64_t period);

#endif
