#ifndef ROUTING_H
#define ROUTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jv.h>

#include "buf.h"
#include "fault.h"

/*
 * From an MQTT message to the CloudEvent that a topic takes, by the rules in
 * egns-events(7) (reference: sections 14.3, 14.4 and 15 of the service's MQTT
 * pages). A message is a record of route/, egns-events(7), or a line that
 * mosquitto_sub -F prints for %j or %J.
 */
struct routing;

/* What the namespace says: its name, which is the source, the profile, the
 * enrichments. The resource is consumed. NULL and a fault. */
struct routing *routing_new(jv namespace, struct fault *);
void routing_free(struct routing *); /* NULL is fine */

/*
 * Add the event of a message as one line, newline included. `id` becomes its id
 * unless the message is a CloudEvent itself, which keeps its own; it has
 * nothing that JSON escapes. `now` (clock_now) is its time when the message
 * tells none. 0; or -1 and a fault (BadRequest: this is no message;
 * PayloadTooLarge: its event has more than EVENT_MAX bytes), and nothing is
 * added. What is returned as an event is one that event_parse takes.
 */
int routing_event(struct routing *, const char *message, size_t,
    const char *id, int64_t now, struct buf *, struct fault *);

/* How often, so far, the second best was done: counts for metrics. */
struct routing_counts {
	uint64_t truncated; /* enrichments beyond ENRICH_VALUE characters */
	uint64_t wrapped;   /* said to be CloudEvents, and were not valid */
};
struct routing_counts routing_counts(const struct routing *);

#endif
