#ifndef HANDSHAKE_H
#define HANDSHAKE_H

#include "buf.h"
#include "fault.h"
#include "http.h"
#include "outcome.h"
#include "target.h"

/*
 * May we deliver to a webhook (CloudEvents HTTP webhooks 1.0.2, 4: abuse
 * protection)? OPTIONS of its URL asks, and WebHook-Allowed-Origin in the
 * answer says yes, whatever the status; or it says yes later, by our callback.
 * What has been granted is kept in the subscription's standing, and is not
 * asked again for the same URL and origin.
 */
struct handshake;

struct handshake_settings {
	const struct target_use *use; /* loop, spool, names, standing, callback */
	struct http *http;
	const char *url, *origin; /* outlive it */
	const struct buf *head;   /* headers that deliveries have, too; so does
	                           * this */
	const struct buf *secret; /* names of those that nobody is to see */
	/* From the loop; as the hooks of a target. */
	void (*prepared)(const struct outcome *, void *arg);
	void (*granted)(void *arg);
	void *arg;
};

/* NULL and a fault. */
struct handshake *handshake_new(const struct handshake_settings *,
    struct fault *);
void handshake_free(struct handshake *);

/* Ask, unless the answer is known; `prepared` gets it. */
void handshake_ask(struct handshake *);
/* What was asked gets no answer; the callback is still good. */
void handshake_drop(struct handshake *);

#endif
