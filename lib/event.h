#ifndef EVENT_H
#define EVENT_H

#include <stdint.h>

#include "fault.h"
#include "json.h"

/*
 * A CloudEvent 1.0 in JSON, checked once where it comes in and never written
 * anew. The rules are in egns-events(7).
 */
#define EVENT_MAX (1024 * 1024)       /* bytes of one event */
#define EVENT_BATCH_MAX (1024 * 1024) /* bytes of all events of a publish */
#define EVENT_BATCH_COUNT 1000        /* events of a publish */
#define EVENT_ATTRIBUTES 128          /* members of an event */
#define EVENT_NAME_MAX 20             /* bytes of an attribute's name */

/*
 * Tokens of what an event has; 0 for what it lacks. An attribute that is null
 * is not there; "data":null is, as a payload.
 */
struct event {
	struct json json;
	uint32_t id, source, type, subject, time, datacontenttype, dataschema;
	uint32_t data, data_base64;
};

/*
 * Check text as a CloudEvent. It must outlive the use of the event; a struct
 * event begins as zeros and is used for text after text. 0, or -1 with a fault
 * that names the attribute: BadRequest, PayloadTooLarge. An event of the
 * EventGridSchema (eventType, eventTime, no specversion) is refused by name.
 */
int event_parse(struct event *, const char *text, size_t, struct fault *);
void event_free(struct event *);

#endif
