#ifndef FEED_H
#define FEED_H

#include <stdbool.h>

#include <ev.h>

#include "spool.h"
#include "target.h"

/*
 * Where a push subscription's events come from: a connection to egns-topicd of
 * its own, on which one receive at a time waits. On the first connection of
 * this process the locks of the one before are taken back, so that what it had
 * under way is delivered now.
 */
struct feed_hooks {
	/* An event, which is the hook's from now on. */
	void (*item)(struct item *, void *arg);
	/* It may be asked again: an answer has come whole, or the connection is
	 * up. */
	void (*idle)(void *arg);
	/* The connection has ended while it was asked: events may be locked that
	 * never came. feed_restart() has them back before their locks run out. */
	void (*lost)(void *arg);
};

struct feed;

/* `ordered`: items are to carry a hash of their subject, and with the locks
 * also delays are taken back. The names are copied. NULL without memory. */
struct feed *feed_new(struct ev_loop *, const struct spool *, const char *topic,
    const char *subscription, bool ordered, const struct feed_hooks *,
    void *arg);
/* A receive that waits gets no event any more. */
void feed_free(struct feed *);

void feed_ordered(struct feed *, bool);

/* Begin again as if the process had just started: what is locked or delayed is
 * available in the order of the log. Nothing of it is under way. */
void feed_restart(struct feed *);

/* topicd is there: connect, if it is not connected. */
void feed_open(struct feed *);

/* Ask for up to n events (1 to 1000), and wait for them, or not. Nothing
 * happens, and false, when it is not connected, or has asked already. */
bool feed_ask(struct feed *, unsigned n, bool wait);
bool feed_asked(const struct feed *);

#endif
