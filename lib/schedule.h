#ifndef SCHEDULE_H
#define SCHEDULE_H

#include <stdint.h>

#include <jv.h>

/* How long to wait before something is tried again. */
#define SCHEDULE_MAX 100
struct schedule {
	int64_t pause[SCHEDULE_MAX]; /* seconds; the last one repeats */
	unsigned n;
};

/* What a property of the namespace (not consumed) says, "deliverySchedule" for
 * one, or the usual. */
void schedule_read(struct schedule *, jv namespace, const char *property,
    const struct schedule *usual);

/* The pause behind the i-th attempt, from 0, in seconds. */
int64_t schedule_pause(const struct schedule *, unsigned i);

/* The same of an event, with up to a tenth at random, so that not all come back
 * at once; but what the endpoint said (microseconds), when that is later. */
int64_t schedule_delay(const struct schedule *, unsigned i,
    int64_t retry_after);

#endif
