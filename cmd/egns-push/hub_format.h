#ifndef HUB_FORMAT_H
#define HUB_FORMAT_H

#include "event.h"
#include "http.h"
#include "mapping.h"
#include "target.h"

/*
 * Events as messages of an event hub (destinations reference, 1): a single one
 * is the body of a request, whose headers are its properties; several are
 * elements of a batch, and so is one whose properties cannot be headers.
 */
struct hub_format {
	const char *name; /* of the subscription */
	struct mappings *mappings;
	bool binary;
	/* the event that is looked at */
	struct event event;
	struct buf data, key;
	bool secret; /* the key */
	/* joins: the first event's token and key, and whether it goes alone */
	char token[ITEM_TOKEN + 1];
	bool alone;
	struct buf first_key, mapped;
	size_t same; /* bytes of mappings that are the same for all */
};

/* The mappings are not consumed; the name outlives it. 0, or -1 and a fault;
 * either way it is to be freed. */
int hub_format_init(struct hub_format *, const char *name, bool binary,
    jv mappings, struct fault *);
void hub_format_free(struct hub_format *);

/* How many events, and bytes of them, a batch has at most, so that the request
 * has no more than the service takes, whatever the events are. Before joins. 0,
 * or -1 and a fault. */
int hub_format_limits(struct hub_format *, unsigned *events, size_t *bytes,
    struct fault *);

/* May this one go together with the first of a batch? They go to one partition,
 * so they have one key. */
bool hub_format_joins(struct hub_format *, const struct item *first,
    const struct item *);

/* Add head, secrets and body of a request; `shown` for people, without secrets
 * of the body. 0, or -1 and a fault: BadRequest when one is no event. */
int hub_format_request(struct hub_format *, const struct attempt *, bool shown,
    struct http_request *, struct fault *);

#endif
