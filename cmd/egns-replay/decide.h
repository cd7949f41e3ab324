#ifndef DECIDE_H
#define DECIDE_H

#include "event.h"
#include "known.h"
#include "ledger.h"
#include "policy.h"
#include "replay.h"

/*
 * What is done with a dead letter, and why: the one place where that is
 * decided, be it for a plan or to be done at once.
 */
enum action {
	ACTION_REHYDRATE,
	ACTION_HOLD,
	ACTION_QUARANTINE,
	ACTION_SKIP,
};
const char *action_name(enum action);
int action_parse(const struct json *, uint32_t); /* -1: none */

#define DECIDE_WHY 600 /* bytes, with a NUL */

struct decision {
	enum action action;
	bool replayed;       /* skip: the ledger has it, it may leave its blob */
	bool stuck;          /* hold: it was to go back, but see why; */
	bool nowhere;        /* as others of its subscription */
	bool to_topic;
	uint8_t key[LETTER_KEY];
	/* as the registry has them; else as the blob's name, perhaps "" */
	const char *topic, *subscription;
	char why[DECIDE_WHY];
};

/* Zeros but for the first few. */
struct decider {
	const struct options *opt;
	const struct policy *policy;
	const struct known *known;
	struct ledger *ledger;
	struct event event;  /* of the last letter to rehydrate, and its text */
	struct buf text;
	struct buf line;     /* of the ledger */
	struct json json;
	/* of the last blob's name */
	char blob_topic[64], blob_subscription[64];
	const char *topic, *subscription;
	bool looked;
};

/* What somebody who has read a plan wants. */
struct wish {
	enum action action;
	bool to_topic;
};

/* `wish` NULL: as the options and the policy have it. 0, or -1 and a fault. */
int decide(struct decider *, const struct letter *, const struct letter_place *,
    const struct wish *, struct decision *, struct fault *);

/* The same without a place, for a pipe: rehydrate or not. */
enum action decide_alone(struct decider *, const struct letter *,
    char why[DECIDE_WHY]);

void decide_free(struct decider *);

#endif
