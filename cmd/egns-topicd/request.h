#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "journal.h"
#include "json.h"

/* A request's header line, egns-protocol(7): text only, nothing looked up. */
#define REQUEST_LINE_MAX (128 * 1024) /* 1,000 tokens and the rest */
#define REQUEST_NAME_MAX 128          /* of a topic, a subscription */
#define REQUEST_EVENTS_MAX 1000       /* maxEvents of receive and peek */
#define REQUEST_WAIT_MAX 3600         /* maxWaitTime, seconds */
#define REQUEST_TOKENS_MAX 1000       /* lockTokens of a settlement */
#define REQUEST_DELAY_MAX 604800      /* releaseDelayInSeconds */
/* jq keeps whole numbers up to here */
#define REQUEST_SEQUENCE_MAX INT64_C(9007199254740991)

enum op {
	OP_PUBLISH,
	OP_RECEIVE,
	OP_PEEK,
	OP_ACKNOWLEDGE,
	OP_RELEASE,
	OP_REJECT,
	OP_RENEW,
	OP_RECLAIM,
	OP_PRODUCER,
	OP_STATS,
	OP_RELOAD,
};

struct request {
	enum op op;
	char topic[REQUEST_NAME_MAX + 1]; /* "" when not given */
	char subscription[REQUEST_NAME_MAX + 1];
	char producer[JOURNAL_NAME_MAX + 1];
	uint64_t sequence;
	int64_t after;  /* -1 when not given */
	uint32_t count; /* event lines behind the header, if there is one */
	uint32_t max_events;
	int64_t wait;  /* seconds */
	int64_t delay; /* seconds */
	int reason, result; /* enum dl_reason, dl_result; -1 */
	bool undelivered; /* of a release */
	bool delayed;     /* of a reclaim */
	uint32_t tokens; /* json token of lockTokens; 0 */
};

enum request_status {
	REQUEST_OK,
	REQUEST_BAD,  /* answer the fault, skip `count` lines, go on */
	REQUEST_LOST, /* answer the fault and close: no telling what follows */
};

/*
 * Read a header line (without newline). `json` is scratch that holds the tokens
 * of lockTokens until it is used again; it refers to the text.
 */
enum request_status request_parse(struct request *, struct json *,
    const char *, size_t, struct fault *);

#endif
