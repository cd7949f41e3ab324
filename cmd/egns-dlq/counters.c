#include "counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tcutil.h>

#include "deadletter.h"
#include "metrics.h"

struct counters {
	TCMAP *counts; /* "TOPIC/SUBSCRIPTION" -> struct counts */
};

struct counts {
	uint64_t written[DL_REASONS + 1];
	uint64_t dropped;
};

struct counters *
counters_new(void)
{
	struct counters *t = calloc(1, sizeof(*t));

	if (t != NULL)
		t->counts = tcmapnew();
	return t;
}

void
counters_free(struct counters *t)
{
	if (t == NULL)
		return;
	tcmapdel(t->counts);
	free(t);
}

void
counters_add(struct counters *t, const char *topic,
    const char *subscription, const struct cargo *c, bool dropped)
{
	char key[2 * PARCEL_WORD];
	int len = snprintf(key, sizeof(key), "%s/%s", topic, subscription), n;
	const struct counts *there = tcmapget(t->counts, key, len, &n);
	struct counts counts = { .dropped = 0 };

	if (there != NULL)
		counts = *there;
	if (dropped)
		counts.dropped += c->letters;
	else
		for (int i = 0; i <= DL_REASONS; i++)
			counts.written[i] += c->reason[i];
	tcmapput(t->counts, key, len, &counts, sizeof(counts));
}

static void
sample(struct buf *b, const char *name, const char *key, const char *label,
    const char *reason, uint64_t value)
{
	char topic[2 * PARCEL_WORD];
	const char *slash = strchr(key, '/');

	if (value == 0)
		return;
	snprintf(topic, sizeof(topic), "%.*s", (int)(slash - key), key);
	metrics_sample(b, name, (const char *[]){ "Topic", topic,
	    "EventSubscriptionName", slash + 1, label, reason, NULL },
	    (double)value);
}

void
counters_metrics(const struct counters *t, struct buf *b)
{
	static const char written[] = "egns_DeadLetteredCount";
	static const char dropped[] = "egns_DroppedEventCount";
	const struct counts *c;
	const char *key;
	int n;

	metrics_family(b, written, "counter",
	    "Dead letters written to their destination, by reason.");
	tcmapiterinit(t->counts);
	while ((key = tcmapiternext(t->counts, &n)) != NULL) {
		c = tcmapiterval(key, &n);
		for (int i = 0; i <= DL_REASONS; i++)
			sample(b, written, key, "DeadLetterReason",
			    cargo_reason(i), c->written[i]);
	}
	metrics_family(b, dropped, "counter",
	    "Dead letters that could not be written in time.");
	tcmapiterinit(t->counts);
	while ((key = tcmapiternext(t->counts, &n)) != NULL) {
		c = tcmapiterval(key, &n);
		sample(b, dropped, key, "DropReason", DL_WRITE_FAILED,
		    c->dropped);
	}
}
