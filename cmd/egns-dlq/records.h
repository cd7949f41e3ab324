#ifndef RECORDS_H
#define RECORDS_H

#include <stdint.h>

#include "fault.h"
#include "selection.h"

/*
 * Records of the spool about events of subscriptions, egns-events(7), those
 * that agree with a selection's topic, subscription, reasons and times.
 */

/* Those of dropped/: fn is told of each line, with how many events it is about.
 * 0, or -1 and a fault: not all could be read. */
int records_dropped(int spool, const struct selection *,
    void (*fn)(const char *reason, uint64_t count, void *arg), void *arg,
    struct fault *);

/* How many of deadletter/ are on their way. 0, or -1 and a fault: *count is of
 * those that could be read. */
int records_waiting(int spool, const struct selection *, uint64_t *count,
    struct fault *);

#endif
