#ifndef SETTLER_H
#define SETTLER_H

#include <stddef.h>
#include <stdint.h>

#include <ev.h>

#include "deadletter.h"
#include "fault.h"
#include "spool.h"

/*
 * Tells egns-topicd what became of events: one connection for all
 * subscriptions. What is settled in a turn of the loop goes in few requests; a
 * request is kept until it is answered, and sent again on a new connection: a
 * token that was settled already does no harm.
 */
enum settle_how {
	SETTLE_ACKNOWLEDGE,
	SETTLE_RELEASE,   /* to be delivered again after a delay */
	SETTLE_GIVE_BACK, /* the same, and there was no attempt */
	SETTLE_REJECT,    /* it ends */
	SETTLE_RENEW,     /* its lock is to last longer */
};

struct settlement {
	enum settle_how how;
	int64_t delay;         /* seconds, of RELEASE and GIVE_BACK */
	enum dl_result result; /* of RELEASE and REJECT */
	enum dl_reason reason; /* of REJECT */
};

struct settler_hooks {
	void (*up)(void *arg);
	void (*down)(const struct fault *, void *arg);
};

struct settler;
/* NULL without memory. It is not connected yet. */
struct settler *settler_new(struct ev_loop *, const struct spool *,
    const struct settler_hooks *, void *arg);
void settler_free(struct settler *);

/* Once a second: connect if it is not, and send what there was no room for. */
void settler_tick(struct settler *);
/* Try to connect now. */
void settler_retry(struct settler *);

/* Tokens that are not known to be settled. */
size_t settler_owed(const struct settler *);
/* Tokens that were lost, as their locks had run out: these come again. */
uint64_t settler_lost(const struct settler *);

/* A subscription's part of it. The names are copied. What it has gathered is
 * sent also after ledger_free(). NULL without memory. */
struct ledger;
struct ledger *ledger_new(struct settler *, const char *topic,
    const char *subscription);
void ledger_free(struct ledger *);
void ledger_settle(struct ledger *, const struct settlement *,
    const char *token);
/* Its tokens that are not known to be settled. */
size_t ledger_owed(const struct ledger *);

#endif
