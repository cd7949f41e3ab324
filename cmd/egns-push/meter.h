#ifndef METER_H
#define METER_H

#include <stdint.h>

#include "buf.h"
#include "deadletter.h"
#include "outcome.h"

/*
 * What a push subscription counts since the start. Attempts are requests, or
 * records of Kafka; the rest are events.
 */
#define METER_BUCKETS 12

struct meter {
	uint64_t attempts;
	uint64_t delivered;
	uint64_t failed[DL_RESULTS]; /* in attempts that failed, by outcome */
	uint64_t unmade;
	uint64_t took[METER_BUCKETS]; /* attempts, by how long they took */
	uint64_t took_us;
};

/* An attempt with so many events took so long. */
void meter_count(struct meter *, const struct outcome *, unsigned events,
    int64_t us);

/* {"Busy":3}, what has failed by outcome. */
void meter_failures(const struct meter *, struct buf *);

struct metered {
	const char *topic, *name;
	const struct meter *meter;
	bool on_hold;
};
/* The samples of all subscriptions, as Prometheus text. */
void meter_write(const struct metered *, size_t n, struct buf *);

#endif
