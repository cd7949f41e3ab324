#ifndef REFUSAL_H
#define REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

#include "fault.h"

/*
 * How much of what is refused is logged: a client that does not stop leaves
 * room for the others' lines, and for the disk's. Counters count all of it.
 */
#define REFUSAL_BURST 50  /* lines of one who, and one operation */
#define REFUSAL_PERIOD 60 /* seconds; then it is told how many were held back */

struct broker;
struct refusals;

int refusals_open(struct broker *, struct fault *);
void refusals_close(struct broker *);

/* May there be one more line about this client (or address) and what has become
 * of it: "publish refused"? */
bool refusal_may_say(struct broker *, const char *who, size_t,
    const char *operation);

/* Once in a while: tell what was held back in the periods that are over. */
void refusals_sweep(struct broker *);

#endif
