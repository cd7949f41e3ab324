#ifndef OUTCOME_H
#define OUTCOME_H

#include <stdint.h>

#include "deadletter.h"
#include "fetch.h"

/*
 * What came of an attempt, and what that means for its events: the tables of
 * egns-push(8).
 */
enum verdict {
	VERDICT_DELIVERED,
	VERDICT_LATER,  /* it may go well another time */
	VERDICT_FINAL,  /* it will never */
	VERDICT_UNMADE, /* nothing was sent, so this was no attempt */
};

struct outcome {
	enum verdict verdict;
	enum dl_result result; /* of LATER and FINAL */
	enum dl_reason reason; /* of FINAL: why they end */
	long status;           /* of HTTP, or 0 */
	int64_t retry_after;   /* microseconds; 0: it was not said */
	char words[512];       /* for people; "" when delivered; no secrets */
};

/* Of an HTTP answer; `words` are the status, or why there is none. */
void outcome_http(struct outcome *, const struct fetch_answer *);

/* The same with a verdict that was reached otherwise, and words. */
void outcome_later(struct outcome *, enum dl_result, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void outcome_final(struct outcome *, enum dl_reason, enum dl_result,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void outcome_unmade(struct outcome *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * For how long an endpoint is left alone that fails in this way and has not
 * answered any other delivery meanwhile, microseconds; 0: it is not. The
 * service's figures of probation.
 */
int64_t outcome_probation(enum dl_result);

#endif
