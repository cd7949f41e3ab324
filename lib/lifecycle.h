#ifndef LIFECYCLE_H
#define LIFECYCLE_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"
#include "json.h"

/*
 * Life-cycle events of MQTT clients, egns-events(7) (reference: section 17 of
 * the service's MQTT pages). Those of sessions come from egns-brokerd, as a
 * line of JSON each in the maildir lifecycle/:
 *	{"tst":"...Z","event":"MQTTClientSessionConnected","name":"...",
 *	"session":"...","sequenceNumber":1}
 * with "disconnectionReason" for MQTTClientSessionDisconnected; `name` is the
 * authentication name. Those of the registry's clients are made of its changes.
 */

/* Whose events: all strings outlive the use. */
struct lifecycle {
	const char *namespace;   /* its name */
	const char *resource_id; /* its own: the source of the events */
	struct json json;        /* scratch */
};

/* Add the line of a session that has begun (reason NULL) or ended. */
void lifecycle_record(struct buf *, int64_t time, const char *name,
    const char *session, uint64_t sequence, const char *reason);

/* Add the event of such a line, newline included. `id` as in routing_event.
 * 0, or -1 and a fault: this is none; nothing is added. */
int lifecycle_session(struct lifecycle *, const char *line, size_t,
    const char *id, struct buf *, struct fault *);

/*
 * Add the event of a line of namespace/changes.ndjson: 1; 0 when it is not of a
 * client and there is none; -1 and a fault.
 */
int lifecycle_change(struct lifecycle *, const char *line, size_t,
    const char *id, struct buf *, struct fault *);

#endif
