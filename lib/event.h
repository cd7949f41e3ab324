#ifndef EVENT_H
#define EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"
#include "json.h"

/*
 * A CloudEvent 1.0 in JSON, checked once where it comes in and never written
 * anew. The rules are in egns-events(7).
 */
#define EVENT_MAX (1024 * 1024)       /* bytes of one event */
#define EVENT_BATCH_MAX (1024 * 1024) /* bytes of all events of a publish */
#define EVENT_BATCH_COUNT 1000        /* events of a publish */
#define EVENT_DEPTH (JSON_DEPTH - 2)  /* levels: it is put into records and
                                       * answers, and these into arrays */
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

/* May a string of an event have this code point: neither a control character
 * nor a non-character (CloudEvents 1.0, String)? */
static inline bool
event_is_char(int32_t c)
{
	return c >= 0x20 && (c < 0x7f || c > 0x9f) &&
	    (c < 0xfdd0 || c > 0xfdef) && (c & 0xfffe) != 0xfffe;
}
#define EVENT_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD, in the place of others */

/* For who makes events. Can this be the name of an extension, this string a
 * datacontenttype? */
bool event_is_name(const char *, size_t);
bool event_is_media_type(const struct json *, uint32_t);

/*
 * Add text, which is UTF-8, as the JSON string of an attribute: each control
 * character and non-character becomes U+FFFD. Of a token: a string's, or the
 * text of another value.
 */
void event_add_text(struct buf *, const char *, size_t);
void event_add_token(struct buf *, const struct json *, uint32_t);

#endif
