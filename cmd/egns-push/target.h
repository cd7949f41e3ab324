#ifndef TARGET_H
#define TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>
#include <jv.h>

#include "buf.h"
#include "fault.h"
#include "outcome.h"
#include "spool.h"
#include "standing.h"

/*
 * The destination of a push subscription, behind one small seam: a webhook
 * (webhook.c), an event hub over HTTPS (eventhub.c), a topic of Kafka
 * (kafka.c). A target makes attempts and says what came of them. It never
 * retries by itself (but for a credential that has become stale), keeps no
 * event, and decides nothing: that is the pusher's.
 */
#define ITEM_TOKEN 24 /* bytes of a lock token */

/* An event that topicd has handed out. */
struct item {
	struct item *next;
	int64_t since;  /* clock_mono(): when it came */
	unsigned count; /* its deliveryCount */
	uint32_t len;
	uint64_t subject; /* hash of it; the pusher's */
	char token[ITEM_TOKEN + 1];
	char text[]; /* as it was published; a NUL behind it */
};

/* Events that go together, and are answered together. */
struct attempt {
	struct item *first; /* in order; never NULL while it is under way */
	unsigned n;
	unsigned count;     /* the highest deliveryCount of them */
	size_t bytes;       /* of their texts */
	int64_t since;      /* clock_mono(): when it was sent */
	struct attempt *next, *prev; /* the pusher's list */
	struct aim *aim;    /* the pusher's, too */
	void *data;         /* the target's own */
};

struct target_hooks {
	/* The answer to prepare. VERDICT_DELIVERED: attempts may be made.
	 * VERDICT_LATER: the destination cannot be reached, as it could not be
	 * for an attempt. VERDICT_UNMADE: we may not. */
	void (*prepared)(const struct outcome *, void *arg);
	/* The attempt is the pusher's again. */
	void (*answered)(struct attempt *, const struct outcome *, void *arg);
	/* What prepare was refused before has been granted: prepare again. */
	void (*granted)(void *arg);
};

struct target {
	const struct target_calls *calls;
	const struct target_hooks *hooks; /* set by the pusher, with arg */
	void *arg;
	unsigned batch;       /* events of an attempt, at most */
	size_t batch_bytes;   /* and their bytes, unless it is a single one */
	unsigned in_flight;   /* attempts at a time, unless maxInFlight says */
	bool connects;        /* an attempt may need a connection of its own */
	int64_t pause;        /* microseconds between attempts, at least: the
	                       * rate that was granted; 0: none */
};

/* Hooks are called from the loop, never from within these calls; a hook may
 * call any of them but free. */
struct target_calls {
	/* Find out whether we may deliver. */
	void (*prepare)(struct target *);
	/* Begin an attempt. */
	void (*send)(struct target *, struct attempt *);
	/* May this one go together with the first of an attempt? NULL: any. */
	bool (*joins)(struct target *, const struct item *first,
	    const struct item *);
	/* What send would do, for people: secrets are "***". */
	void (*show)(struct target *, const struct attempt *, struct buf *);
	/* Attempts under way get no answer, and stay the pusher's; what prepare
	 * asks, too. */
	void (*drop)(struct target *);
	void (*free)(struct target *);
};

/* Is there room for an event in an attempt that has some? */
bool target_fits(struct target *, const struct attempt *, const struct item *);

/* What a target is made of. It copies what it needs of the jv's (none is
 * consumed); the rest outlives it. */
struct target_use {
	struct ev_loop *loop; /* the default one */
	const struct spool *spool;
	jv namespace;    /* the registry's resources */
	jv subscription;
	const char *topic, *name; /* of the subscription; outlive it */
	struct standing *standing; /* the pusher's; a webhook keeps in it what
	                            * its handshake brought */
	struct callback *callback; /* where endpoints can say yes later;
	                            * NULL: nowhere */
};

/* By the destination's endpointType; NULL and a fault that says what is wrong
 * with its settings. */
struct target *target_new(const struct target_use *, struct fault *);

/* The properties of the destination (an object), and of the identity that it is
 * delivered with (null: none), whichever of the two forms the subscription has:
 * destination or deliveryWithResourceIdentity. */
jv target_properties(jv subscription);
jv target_identity(jv subscription);
/* "WebHook", "EventHub" or "Kafka"; "" of none. Valid as long as it. */
const char *target_type(jv subscription);
/* Is contentMode binary: attributes beside the data? */
bool target_binary(jv subscription);
/* timeoutInSeconds, or what it is by default, in milliseconds. */
long target_timeout_ms(jv subscription);

/* What a token or a key for a resource comes from (credential.h): its entry of
 * endpoints; else that identity, or the namespace's. */
jv target_credential(const struct target_use *, const char *resource_id);

struct target *webhook_new(const struct target_use *, struct fault *);
struct target *eventhub_new(const struct target_use *, struct fault *);
/* `hub` is an entry of endpoints (consumed) when an event hub is a Kafka topic
 * here: its url is kafka:// or kafkas://HOST:PORT/TOPIC; jv_null() else. */
struct target *kafka_new(const struct target_use *, jv hub, struct fault *);

#endif
