#ifndef METRICS_H
#define METRICS_H

#include "buf.h"
#include "spool.h"

/*
 * Prometheus text (exposition format 0.0.4), built anew each time from numbers
 * that their owners keep. Names are the service's, with "egns_" before and in
 * the case that Prometheus users expect left alone.
 */

/* "# HELP" and "# TYPE" lines of a family; type is counter or gauge. */
void metrics_family(struct buf *, const char *name, const char *type,
    const char *help);

/* A sample. labels are NULL-terminated pairs of name, value; values that are
 * NULL are left out. */
void metrics_sample(struct buf *, const char *name,
    const char *const *labels, double value);

/* Put the text into metrics/NAME.prom, and free it. A failure is told to the
 * debug log alone: the next one comes soon. */
void metrics_write(const struct spool *, const char *name, struct buf *);

#endif
