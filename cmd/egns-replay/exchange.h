#ifndef EXCHANGE_H
#define EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client.h"
#include "fault.h"
#include "ledger.h"
#include "spool.h"

/*
 * Requests to topicd, several under way, and what became of each. A producer's
 * requests to a topic are a chain by their "after": when one is not stored,
 * nothing of those behind it is.
 */
#define EXCHANGE_PRODUCER "replay"

enum outcome {
	OUTCOME_STORED,
	OUTCOME_DUPLICATE, /* stored before this */
	OUTCOME_BEHIND,    /* the producer is not where "after" says */
	OUTCOME_REFUSED,   /* this will never be taken */
	OUTCOME_LATER,     /* not now */
};

struct request {
	size_t at, len;             /* in the round's requests */
	size_t lines_at, lines_len; /* in the round's lines */
	uint32_t count;             /* events, and lines */
	enum outcome outcome;
	struct fault *fault; /* NULL: it was stored */
};

struct exchange {
	const struct spool *spool;
	struct client client;
	struct request *requests;
	size_t n;
};

/* Be connected. 0, or -1 and a fault. */
int exchange_open(struct exchange *, struct fault *);
void exchange_close(struct exchange *);

/* Where the producer is in a topic. OUTCOME_STORED: *sequence says it; else a
 * fault, and when the connection is lost the client's fd is -1. */
enum outcome exchange_position(struct exchange *, const char *topic,
    uint64_t *sequence, struct fault *);

/* No requests; one more, NULL without memory. */
void exchange_reset(struct exchange *);
struct request *exchange_add(struct exchange *);

/* Find the requests in a round that is left. 0, or -1 and a fault. */
int exchange_find(struct exchange *, const struct ledger_round *,
    struct fault *);

/* Send all and take all answers. 0, or -1 and a fault: the connection is lost,
 * and nobody knows what became of those without an answer. */
int exchange_run(struct exchange *, const struct ledger_round *,
    struct fault *);

/* Only the lines of requests that were stored stay in the round. */
void exchange_lines(const struct exchange *, struct ledger_round *);

#endif
