/* what the engine counts: for stats, and for Prometheus */
#include <string.h>

#include "clock.h"
#include "local.h"
#include "metrics.h"

static void
add_counts(struct buf *b, const char *name, const uint64_t *n)
{
	const char *sep = "";
	int i;

	buf_printf(b, ",\"%s\":{", name);
	for (i = 0; i < DL_REASONS; i++) {
		if (n[i] == 0)
			continue;
		buf_printf(b, "%s\"%s\":%llu", sep,
		    dl_reason_name((enum dl_reason)i),
		    (unsigned long long)n[i]);
		sep = ",";
	}
	buf_add(b, "}", 1);
}

/* When the oldest event that is not settled was published; 0: there is none. */
static int64_t
oldest(struct subscription *s)
{
	struct journal_line line;
	uint64_t needs = subscription_needs(s);

	if (needs >= journal_end(s->topic->journal) ||
	    journal_read(s->topic->journal, needs, &line) == -1)
		return 0;
	return line.time;
}

static void
stats_subscription(struct subscription *s, struct buf *b)
{
	const struct deliveries *d = &s->d;
	uint64_t matched = s->queue.count + s->queue.pending;
	char time[CLOCK_TEXT + 1];
	int64_t when = oldest(s);

	buf_printf(b,
	    "{\"topic\":\"%s\",\"subscription\":\"%s\",\"uid\":\"%s\","
	    "\"deliveryMode\":\"%s\",\"matched\":%llu,\"cursor\":%llu,"
	    "\"pending\":%llu,\"inFlight\":%u,\"acknowledged\":%llu",
	    s->topic->name, s->name, s->uid, s->pushes ? "Push" : "Queue",
	    (unsigned long long)matched, (unsigned long long)d->cursor,
	    (unsigned long long)(matched - d->cursor), d->used,
	    (unsigned long long)d->acknowledged);
	add_counts(b, "deadLettered", d->dead_lettered);
	add_counts(b, "dropped", d->dropped);
	buf_printf(b, ",\"settledBefore\":%llu",
	    (unsigned long long)d->settled_before);
	if (when != 0) {
		clock_format(time, when);
		buf_printf(b, ",\"oldest\":\"%s\"", time);
	}
	buf_add(b, "}\n", 2);
}

uint32_t
store_stats(struct topic *t, struct subscription *only, struct buf *b)
{
	size_t i;

	if (only != NULL) {
		stats_subscription(only, b);
		return 1;
	}
	buf_printf(b,
	    "{\"topic\":\"%s\",\"uid\":\"%s\",\"start\":%llu,\"end\":%llu,"
	    "\"number\":%llu,\"unmatched\":%llu}\n",
	    t->name, t->uid, (unsigned long long)journal_start(t->journal),
	    (unsigned long long)journal_end(t->journal) +
	    journal_pending(t->journal),
	    (unsigned long long)journal_number(t->journal) + t->pending_events,
	    (unsigned long long)t->unmatched + t->pending_unmatched);
	for (i = 0; i < t->nsubs; i++)
		stats_subscription(t->subs[i], b);
	return 1 + (uint32_t)t->nsubs;
}

static struct meter *
meter_of(struct topic *t, struct subscription *s)
{
	return s ? &s->meter : &t->meter;
}

void
store_failed(struct topic *t, struct subscription *s, enum metric_op op,
    enum fault_code code, uint64_t events)
{
	meter_of(t, s)->failed[op][code] += events;
}

void
store_latency(struct topic *t, struct subscription *s, enum metric_op op,
    int64_t us)
{
	struct meter *m = meter_of(t, s);

	m->latency_us[op] += us > 0 ? (uint64_t)us : 0;
	m->latency_count[op]++;
}

/* ---- Prometheus ---- */

/* Where a failure lies, in the service's words. */
static const char *
error_type(enum fault_code code)
{
	switch (code) {
	case FAULT_UNAUTHORIZED: return "AuthnError";
	case FAULT_FORBIDDEN: return "AuthzError";
	case FAULT_TOO_MANY: return "QuotaExceeded";
	case FAULT_UNAVAILABLE:
	case FAULT_INTERNAL: return "ServiceError";
	case FAULT_NONE:
	case FAULT_BAD_REQUEST:
	case FAULT_NOT_FOUND:
	case FAULT_CONFLICT:
	case FAULT_TOO_LARGE: return "ClientError";
	}
	return "ServiceError";
}

static void
sample(struct buf *b, const char *name, const struct topic *t,
    const struct subscription *s, double value)
{
	const char *const labels[] = { "Topic", t->name,
		s ? "EventSubscriptionName" : NULL, s ? s->name : NULL, NULL };

	metrics_sample(b, name, labels, value);
}

static void
sample_reasons(struct buf *b, const char *name, const char *label,
    const struct subscription *s, const uint64_t *n)
{
	int i;

	for (i = 0; i < DL_REASONS; i++) {
		const char *const labels[] = { "Topic", s->topic->name,
			"EventSubscriptionName", s->name, label,
			dl_reason_name((enum dl_reason)i), NULL };

		if (n[i] > 0)
			metrics_sample(b, name, labels, (double)n[i]);
	}
}

static void
sample_failed(struct buf *b, const char *name, const struct topic *t,
    const struct subscription *s, const uint64_t *n)
{
	int i;

	for (i = 0; i <= FAULT_INTERNAL; i++) {
		const char *const with[] = { "Topic", t->name, "Error",
			fault_name((enum fault_code)i), "ErrorType",
			error_type((enum fault_code)i),
			s ? "EventSubscriptionName" : NULL, s ? s->name : NULL,
			NULL };

		if (n[i] > 0)
			metrics_sample(b, name, with, (double)n[i]);
	}
}

/* The families that each kind of operation has. */
static const struct {
	enum metric_op op;
	const char *done, *failed, *latency;
} operations[] = {
	{ METRIC_PUBLISH, "egns_SuccessfulPublishedEvents",
	    "egns_FailedPublishedEvents",
	    "egns_PublishLatencyInMilliseconds" },
	{ METRIC_RECEIVE, "egns_SuccessfulReceivedEvents",
	    "egns_FailedReceivedEvents", "egns_ReceiveLatencyInMilliseconds" },
	{ METRIC_ACKNOWLEDGE, "egns_SuccessfulAcknowledgedEvents",
	    "egns_FailedAcknowledgedEvents",
	    "egns_AcknowledgeLatencyInMilliseconds" },
	{ METRIC_RELEASE, "egns_SuccessfulReleasedEvents",
	    "egns_FailedReleasedEvents", "egns_ReleaseLatencyInMilliseconds" },
	{ METRIC_REJECT, "egns_SuccessfulRejectedEvents",
	    "egns_FailedRejectedEvents", "egns_RejectLatencyInMilliseconds" },
};

/* Call fn for the topic's meter, or for that of each subscription. */
static void
each_meter(struct store *st, struct buf *b, enum metric_op op,
    void (*fn)(struct buf *, struct topic *, struct subscription *, size_t),
    size_t row)
{
	struct topic *t;
	size_t i, k;

	for (i = 0; i < st->ntopics; i++) {
		t = st->topics[i];
		if (op == METRIC_PUBLISH)
			fn(b, t, NULL, row);
		else
			for (k = 0; k < t->nsubs; k++)
				fn(b, t, t->subs[k], row);
	}
}

static void
put_done(struct buf *b, struct topic *t, struct subscription *s, size_t row)
{
	sample(b, operations[row].done, t, s,
	    (double)meter_of(t, s)->done[operations[row].op]);
}

static void
put_failed(struct buf *b, struct topic *t, struct subscription *s, size_t row)
{
	sample_failed(b, operations[row].failed, t, s,
	    meter_of(t, s)->failed[operations[row].op]);
}

static void
put_latency_sum(struct buf *b, struct topic *t, struct subscription *s,
    size_t row)
{
	const struct meter *m = meter_of(t, s);
	char name[80];

	snprintf(name, sizeof(name), "%s_sum", operations[row].latency);
	sample(b, name, t, s,
	    (double)m->latency_us[operations[row].op] / 1000);
	snprintf(name, sizeof(name), "%s_count", operations[row].latency);
	sample(b, name, t, s, (double)m->latency_count[operations[row].op]);
}

static void
put_operations(struct store *st, struct buf *b)
{
	size_t i;

	for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		metrics_family(b, operations[i].done, "counter",
		    "Events of operations that succeeded.");
		each_meter(st, b, operations[i].op, put_done, i);
		metrics_family(b, operations[i].failed, "counter",
		    "Events of operations that failed, by error.");
		each_meter(st, b, operations[i].op, put_failed, i);
		metrics_family(b, operations[i].latency, "summary",
		    "Time from request to answer, milliseconds.");
		each_meter(st, b, operations[i].op, put_latency_sum, i);
	}
}

enum gauge { MATCHED, PENDING, IN_FLIGHT, OLDEST, DEAD, DROPPED };

static void
put_subscription(struct buf *b, struct subscription *s, enum gauge what,
    const char *name)
{
	uint64_t matched = s->queue.count + s->queue.pending;
	int64_t when;

	switch (what) {
	case MATCHED:
		sample(b, name, s->topic, s, (double)matched);
		break;
	case PENDING:
		sample(b, name, s->topic, s, (double)(matched - s->d.cursor));
		break;
	case IN_FLIGHT: sample(b, name, s->topic, s, s->d.used); break;
	case OLDEST:
		when = oldest(s);
		sample(b, name, s->topic, s,
		    when ? (double)(clock_now() - when) / CLOCK_SECOND : 0);
		break;
	case DEAD:
		sample_reasons(b, name, "DeadLetterReason", s,
		    s->d.dead_lettered);
		break;
	case DROPPED:
		sample_reasons(b, name, "DropReason", s, s->d.dropped);
		break;
	}
}

void
store_metrics(struct store *st, struct buf *b)
{
	static const struct {
		enum gauge what;
		const char *name, *type, *help;
	} rows[] = {
		{ MATCHED, "egns_MatchedEventCount", "counter",
		    "Events that matched the subscription." },
		{ DEAD, "egns_DeadLettersHandedOver", "counter",
		    "Dead letters handed over to deadletter/, by reason." },
		{ DROPPED, "egns_DroppedEventCount", "counter",
		    "Events dropped, each with a line in dropped/." },
		{ PENDING, "egns_PendingEvents", "gauge",
		    "Events not handed out yet." },
		{ IN_FLIGHT, "egns_InFlightEvents", "gauge",
		    "Events handed out and not settled." },
		{ OLDEST, "egns_OldestEventAgeInSeconds", "gauge",
		    "Age of the oldest event not settled." },
	};
	size_t row, i, k;

	put_operations(st, b);
	metrics_family(b, "egns_UnmatchedEventCount", "counter",
	    "Events that no subscription matched, since the start.");
	for (i = 0; i < st->ntopics; i++)
		sample(b, "egns_UnmatchedEventCount", st->topics[i], NULL,
		    (double)st->topics[i]->unmatched);
	for (row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		metrics_family(b, rows[row].name, rows[row].type,
		    rows[row].help);
		for (i = 0; i < st->ntopics; i++)
			for (k = 0; k < st->topics[i]->nsubs; k++)
				put_subscription(b, st->topics[i]->subs[k],
				    rows[row].what, rows[row].name);
	}
}
