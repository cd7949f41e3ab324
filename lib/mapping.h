#ifndef MAPPING_H
#define MAPPING_H

#include <stdbool.h>

#include <jv.h>

#include "buf.h"
#include "event.h"
#include "fault.h"

/*
 * A destination's deliveryAttributeMappings: headers, or properties, of each
 * delivery, static or taken from the event (delivery reference, 8).
 */
#define MAPPINGS_MAX 10
#define MAPPINGS_VALUE 4096 /* bytes of a value */
struct mappings;

/* Not consumed; null is none. They are checked as check says. NULL and a
 * fault. */
struct mappings *mappings_new(jv list, struct fault *);
void mappings_free(struct mappings *);

/* Does any take its value from the event? */
bool mappings_dynamic(const struct mappings *);

/*
 * Call fn for each that has a value for this event (which is NULL for those that
 * are static only), in order; a value of a static one may be secret. One of the
 * event is left out when it is too long or has control characters; spaces around
 * a value are not passed on. 0; or what fn has returned, if not 0, which ends
 * it; or -1 without memory.
 */
int mappings_each(const struct mappings *, const struct event *,
    int (*fn)(const char *name, const char *value, bool secret, void *arg),
    void *arg);

/* Headers that a delivery has of its own, so that no mapping may be one. */
enum mappings_own {
	MAPPINGS_TOKEN = 1,  /* Authorization */
	MAPPINGS_ORIGIN = 2, /* Origin */
};

/*
 * Are these mappings (not consumed) good for a delivery that has these headers
 * (a set of enum mappings_own)? A name is an HTTP token, does not begin with
 * "aeg-" or "ce-", is none that the transport needs for itself, and is there
 * once. Authorization must be static. A dynamic one has a sourceField, a static
 * one a value, which has no control characters. 0, or -1 and a fault.
 */
int mappings_check(jv list, unsigned own, struct fault *);

#endif
