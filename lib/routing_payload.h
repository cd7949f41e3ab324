#ifndef ROUTING_PAYLOAD_H
#define ROUTING_PAYLOAD_H

#include "routing_message.h"

/* The payload of a message, and what an event has of it. */
enum form { FORM_NONE, FORM_JSON, FORM_TEXT, FORM_BYTES };

struct payload {
	struct mqtt_str bytes; /* of the message, or of the scratch */
	uint32_t string; /* the token of just these bytes as text; 0 */
	uint32_t coded;  /* and of just these in base64; 0 */
	bool json;       /* a JSON value that stood in the message */
	bool too_long;   /* as text: there are too many escapes in it */
	enum form form;  /* FORM_NONE until it has its shape */
};

/* Find its bytes. 0, or -1 and a fault: they cannot be read, or not all. */
int routing_payload_read(struct routing_scratch *, const struct message *,
    struct payload *, struct fault *);

/* Give it a form: by the service's rule, or by ours. */
void routing_payload_shape(struct routing_scratch *, const struct message *,
    struct payload *, bool azure);

/* Add it in its form as a member of an event, with the comma before it. */
void routing_payload_add(struct buf *, const struct json *,
    const struct payload *);

/* Add JSON on one line. */
void routing_add_json(struct buf *, struct mqtt_str);

#endif
