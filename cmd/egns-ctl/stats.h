#ifndef STATS_H
#define STATS_H

#include <stdint.h>

#include <jv.h>

#include "fault.h"
#include "spool.h"

/*
 * What topicd counts, on disk when it answers: calls fn with each line (which it
 * consumes), egns-protocol(7). 0, or -1 and a fault when topicd cannot be
 * reached, or lets us wait.
 */
int stats_each(const struct spool *, void (*fn)(jv line, void *), void *arg,
    struct fault *);

/* A number of a line, 0 when it is not there; the sum of {"reason":n,...}. */
uint64_t stats_number(jv line, const char *member);
uint64_t stats_sum(jv line, const char *member);

#endif
