#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>

#include "buf.h"
#include "deadletter.h"
#include "event.h"
#include "fault.h"
#include "spool.h"

/*
 * The seam between what topicd says to its clients (serve.c) and where events
 * are kept. This engine keeps them in the spool; another may stand behind the
 * same calls (a durable consumer is a subscription, an ack wait is a lock, a
 * nak with delay is a release, a term is a reject).
 *
 * What publish and settle change is in memory when they return and on disk when
 * the window that was open then is committed. Nobody is told before that.
 */
struct store;
struct topic;
struct subscription;

struct store_hooks {
	/* Window `number` is on disk; or what it published to some topics (see
	 * store_refused), or what it settled, is not, and the text says why
	 * (else NULL). */
	void (*committed)(uint64_t number, const char *publish_error,
	    const char *settle_error, void *arg);
	/* Events may be waiting for receive. */
	void (*available)(struct subscription *, void *arg);
	/* A subscription ceases to exist after this call. */
	void (*gone)(struct subscription *, void *arg);
	void *arg;
};

/* Open all topics and subscriptions of the registry, recovering what a crash
 * left. NULL and a fault. */
struct store *store_open(const struct spool *, struct ev_loop *,
    const struct store_hooks *, struct fault *);

/* Commit what is open, write checkpoints, close. */
void store_close(struct store *);

/*
 * Ask for all that is in memory now to be made durable soon. The number of the
 * window whose commit will have it; 0 when it is on disk already.
 */
uint64_t store_flush(struct store *);

/* Within committed(): what was published to this topic is not stored. */
bool store_refused(const struct topic *);

/*
 * Once a turn of the loop, before it sleeps: starts a commit when there is
 * something to commit and none is under way. `alone`: there is one peer only,
 * which waits for the disk in any case; handing a small window to the thread
 * and back would be a detour. True: something is done that requests may have
 * waited for.
 */
bool store_turn(struct store *, bool alone);

/* So much is pending that no publish may come until it is committed. */
bool store_held(const struct store *);

/* Something has to be done while nothing is under way (a reload, the end of a
 * subscription or of a segment): no request may come until it is. */
bool store_still(const struct store *);

/*
 * Take up the registry as it is now, at the next moment at which nothing is
 * under way; until then store_still() is true. done() is called then, with a
 * fault when something could not be taken up.
 */
void store_reload(struct store *, void (*done)(const struct fault *, void *),
    void *arg);

/* By name; NULL when there is none. */
struct topic *store_topic(struct store *, const char *, size_t);
struct subscription *store_subscription(struct topic *, const char *, size_t);
/* In order of creation: i from 0; NULL behind the last. */
struct topic *store_topic_at(struct store *, size_t i);

const char *subscription_name(const struct subscription *);
struct topic *subscription_topic(const struct subscription *);
bool subscription_pushes(const struct subscription *);
/* A place for the caller's own data; NULL at first. */
void **subscription_context(struct subscription *);

/* The events of a publish: lines without their newlines. */
struct publish {
	const char *text; /* lines, each ended by a newline */
	size_t len;
	uint32_t count;
	const char *producer; /* NULL: none */
	size_t producer_len;
	uint64_t sequence;
	int64_t after; /* what the producer has stored before; -1: any */
	struct subscription *only; /* NULL: all that match */
};

/*
 * All or nothing: 0, and the open window has it; -1 and a fault that names the
 * event, or tells where the producer is instead. *duplicate: this batch was
 * stored before, nothing was done.
 */
int store_publish(struct topic *, const struct publish *, bool *duplicate,
    struct fault *);

/* The highest sequence of a producer, that of the open window included; 0 for
 * one not known. */
uint64_t store_producer(struct topic *, const char *name, size_t len);

/*
 * Hand out up to max events and about max_bytes of them: lines as receive
 * answers them are added to out. The number of lines. Needs no commit: after a
 * crash the events are handed out again.
 */
uint32_t store_receive(struct subscription *, uint32_t max, size_t max_bytes,
    struct buf *out);

/* Look at the first events, whatever their state, as peek answers them. */
uint32_t store_peek(struct subscription *, uint32_t max, size_t max_bytes,
    struct buf *out);

enum settle_how {
	SETTLE_ACKNOWLEDGE,
	SETTLE_RELEASE,
	SETTLE_REJECT,
	SETTLE_RENEW,
};

struct settle {
	enum settle_how how;
	int64_t delay; /* of a release, microseconds */
	bool undelivered; /* a release without an attempt: it does not count */
	int reason;    /* enum dl_reason of a reject, or -1 */
	int result;    /* enum dl_result, or -1 */
};

enum settle_result {
	SETTLE_OK,
	SETTLE_BAD_TOKEN,  /* not a token of this subscription */
	SETTLE_TOKEN_LOST, /* expired, settled, or of an earlier delivery */
	SETTLE_NO_RENEW,   /* the lock is older than an hour */
	SETTLE_LATER,      /* the disk is full */
};

/* Settle one token: bytes as receive gave them, without quotes. */
enum settle_result store_settle(struct subscription *, const struct settle *,
    const char *token, size_t);

/*
 * All locks of a Push subscription end as if they had run out, and with
 * `delayed` all delays do: what may be delivered again is available at once, in
 * the order of the log. How many there were.
 */
uint32_t store_reclaim(struct subscription *, bool delayed);

/* Add the lines of `stats` for a topic, or one subscription of it. The number
 * of lines. */
uint32_t store_stats(struct topic *, struct subscription *only, struct buf *);

/* All of the engine's metrics, as Prometheus text. */
void store_metrics(struct store *, struct buf *);

/* A request that failed before it reached the engine, for the metrics. */
enum metric_op {
	METRIC_PUBLISH,
	METRIC_RECEIVE,
	METRIC_ACKNOWLEDGE,
	METRIC_RELEASE,
	METRIC_REJECT,
	METRIC_OPS,
};
void store_failed(struct topic *, struct subscription *, enum metric_op,
    enum fault_code, uint64_t events);
/* How long a request of a kind took, microseconds. */
void store_latency(struct topic *, struct subscription *, enum metric_op,
    int64_t us);

#endif
