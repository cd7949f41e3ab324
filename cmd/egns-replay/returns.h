#ifndef RETURNS_H
#define RETURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "ledger.h"
#include "spool.h"

/*
 * The way back: events of dead letters are gathered and published, in rounds
 * that the ledger knows of before they begin, so that whoever comes after a
 * crash finishes them. Producer "replay" of each topic; only who has the
 * ledger's lock publishes, and its sequence goes on behind what the topic has.
 */
#define RETURNS_EVENTS 1000              /* of a request */
#define RETURNS_BYTES (4 * 1024 * 1024)  /* of a round, about */

struct returned { /* a dead letter; strings until it has ended */
	uint8_t key[LETTER_KEY];
	const char *container, *blob;
	uint64_t line;
	const char *id;           /* of the event, for people */
	const char *topic;
	const char *subscription; /* that it failed at */
	const char *reason;
	int64_t offset;           /* -1: not known */
	bool again;               /* though the ledger has it */
	void *owner;              /* the caller's */
};

enum returns_result {
	RETURNS_STORED,    /* the topic has it, and the ledger says so */
	RETURNS_BEFORE,    /* somebody has done it meanwhile, or before */
	RETURNS_REFUSED,   /* topicd does not take it: no such topic or
	                    * subscription, no right, not an event */
	RETURNS_LATER,     /* no topicd, no room: nothing was done */
};

struct returns;
/* `done` gets each letter once, in their order. Rate: events a second; 0: as
 * quick as it goes. NULL and a fault: topicd cannot be reached, say. */
struct returns *returns_new(const struct spool *, struct ledger *,
    uint64_t rate,
    void (*done)(const struct returned *, enum returns_result,
	const struct fault *, void *arg), void *arg, struct fault *);
/* What waits is dropped. */
void returns_free(struct returns *);

/*
 * One more, with its event (one line, without newline), to its subscription
 * only or to the topic. It is copied; `done` may be called for it and for
 * others before this returns. 0, or -1 and a fault: nothing can go on.
 */
int returns_add(struct returns *, const struct returned *, bool to_topic,
    const char *event, size_t len, struct fault *);

/* All that waits goes now. */
int returns_flush(struct returns *, struct fault *);

/*
 * A letter that was dealt with otherwise: "quarantined". Its line, too, is safe
 * when this returns. It may be put back: ledger_has() does not have it.
 */
int returns_note(struct returns *, const struct returned *, const char *result,
    struct fault *);

#endif
