#ifndef TALLY_H
#define TALLY_H

#include <stdbool.h>

#include "buf.h"
#include "cargo.h"

/* What was written and dropped since the start, by topic, subscription and
 * reason, for metrics. */
struct tally;

struct tally *tally_new(void); /* NULL without memory */
void tally_free(struct tally *);

/* The counts of a cargo: that was written, or dropped. */
void tally_add(struct tally *, const char *topic, const char *subscription,
    const struct cargo *, bool dropped);

/* egns_DeadLetteredCount and egns_DroppedEventCount. */
void tally_metrics(const struct tally *, struct buf *);

#endif
