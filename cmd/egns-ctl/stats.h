#ifndef STATS_H
#define STATS_H

#include <stdint.h>

#include <jv.h>

#include "fault.h"
#include "spool.h"

/*
 * What a daemon counts, egns-protocol(7): calls fn with each line (which it
 * consumes). topicd counts what is on disk when it answers, of all, of a topic,
 * or of one subscription of it (NULL: any). 0, or -1 and a fault: NotFound, or
 * the daemon cannot be reached, or lets us wait.
 */
int stats_each(const struct spool *, const char *daemon, const char *topic,
    const char *subscription, void (*fn)(jv line, void *), void *arg,
    struct fault *);

/* A number of a line, 0 when it is not there; the sum of {"reason":n,...}. */
uint64_t stats_number(jv line, const char *member);
uint64_t stats_sum(jv line, const char *member);

#endif
