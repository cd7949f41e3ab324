#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdbool.h>

#include "buf.h"
#include "cargo.h"

/* What was written and dropped since the start, by topic, subscription and
 * reason, for metrics. */
struct counters;

struct counters *counters_new(void); /* NULL without memory */
void counters_free(struct counters *);

/* The counts of a cargo: that was written, or dropped. */
void counters_add(struct counters *, const char *topic,
    const char *subscription, const struct cargo *, bool dropped);

/* egns_DeadLetteredCount and egns_DroppedEventCount. */
void counters_metrics(const struct counters *, struct buf *);

#endif
