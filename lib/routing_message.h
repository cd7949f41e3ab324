#ifndef ROUTING_MESSAGE_H
#define ROUTING_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <strings.h>

#include "buf.h"
#include "enrich.h"
#include "fault.h"
#include "json.h"
#include "mqtt.h"

/*
 * A message of routing.h, taken apart. All that it has is checked, but for the
 * payload: routing_payload.h.
 */

/* What messages are taken apart in, one after the other; begins as zeros. */
struct routing_scratch {
	struct json json;  /* of the message */
	struct json inner; /* of its payload */
	struct buf line;   /* the message, when it had to be recoded */
	struct buf text;   /* a string's bytes: of the payload, in the end */
	struct buf type;   /* its content type, unescaped */
};
#define ROUTING_KEEP 65536 /* bytes of each, from message to message */
void routing_scratch_free(struct routing_scratch *);

/* Tokens of the scratch's json; 0 for what it lacks. */
struct message {
	const struct json *js;
	struct enrich_message from;
	uint32_t time; /* of any type */
	uint32_t payload, payload_base64; /* one of them */
	uint32_t content_type; /* it has one */
	struct mqtt_str type;  /* without its parameters; len 0: it has none */
	int64_t payload_len;   /* -1: it does not say */
	bool mqtt3;
	bool utf8;             /* its payload format is text */
};

/* Take the text apart, which must outlive the message. 0, or -1 and a fault. */
int routing_read(struct routing_scratch *, const char *text, size_t,
    struct message *, struct fault *);

/* Set `type` by `content_type`, if it can be an event's. */
void routing_read_type(struct routing_scratch *, struct message *);

/* A string's bytes: those of the message, or, when they have escapes, of the
 * scratch's text. */
struct mqtt_str routing_string(struct routing_scratch *, uint32_t);

/* A token as it stands there. */
static inline struct mqtt_str
routing_token(const struct json *js, uint32_t t)
{
	const struct json_token *tok = &js->tok[t];

	return (struct mqtt_str){ js->text + tok->start,
		tok->end - tok->start };
}

/* Is it this one, in any case of ASCII letters? */
static inline bool
routing_is(struct mqtt_str s, const char *text, size_t len)
{
	return s.len == len && strncasecmp(s.p, text, len) == 0;
}

#endif
