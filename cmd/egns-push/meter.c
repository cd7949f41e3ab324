/* what push subscriptions count */
#include "meter.h"

#include <stdio.h>

#include "metrics.h"

/* upper ends, microseconds; the last bucket has none */
static const int64_t ends[METER_BUCKETS - 1] = { 5000, 10000, 25000, 50000,
	100000, 250000, 500000, 1000000, 2500000, 10000000, 30000000 };

void
meter_count(struct meter *m, const struct outcome *o, unsigned events,
    int64_t us)
{
	int i = 0;

	if (o->verdict == VERDICT_UNMADE) {
		m->unmade += events;
		return;
	}
	m->attempts++;
	if (o->verdict == VERDICT_DELIVERED)
		m->delivered += events;
	else
		m->failed[o->result] += events;
	while (i < METER_BUCKETS - 1 && us > ends[i])
		i++;
	m->took[i]++;
	m->took_us += us > 0 ? (uint64_t)us : 0;
}

void
meter_failures(const struct meter *m, struct buf *b)
{
	const char *sep = "";

	buf_str(b, "{");
	for (int i = 0; i < DL_RESULTS; i++) {
		if (m->failed[i] == 0)
			continue;
		buf_printf(b, "%s\"%s\":", sep,
		    dl_result_name((enum dl_result)i));
		buf_u64(b, m->failed[i]);
		sep = ",";
	}
	buf_str(b, "}");
}

static void
sample(struct buf *b, const char *family, const struct metered *s,
    const char *label, const char *value, uint64_t n)
{
	const char *const labels[] = { "Topic", s->topic,
		"EventSubscriptionName", s->name, label, value, NULL };

	metrics_sample(b, family, labels, (double)n);
}

static void
write_failures(const struct metered *s, struct buf *b)
{
	for (int i = 0; i < DL_RESULTS; i++)
		if (s->meter->failed[i] > 0)
			sample(b, "egns_DeliveryAttemptFailCount", s, "Outcome",
			    dl_result_name((enum dl_result)i),
			    s->meter->failed[i]);
}

static void
write_times(const struct metered *s, struct buf *b)
{
	static const char family[] = "egns_DestinationProcessingDurationMs";
	uint64_t sum = 0;
	char name[80], end[32] = "+Inf";

	snprintf(name, sizeof(name), "%s_bucket", family);
	for (int i = 0; i < METER_BUCKETS; i++) {
		sum += s->meter->took[i];
		if (i < METER_BUCKETS - 1)
			snprintf(end, sizeof(end), "%d", (int)(ends[i] / 1000));
		else
			snprintf(end, sizeof(end), "+Inf");
		sample(b, name, s, "le", end, sum);
	}
	snprintf(name, sizeof(name), "%s_sum", family);
	sample(b, name, s, NULL, NULL, s->meter->took_us / 1000);
	snprintf(name, sizeof(name), "%s_count", family);
	sample(b, name, s, NULL, NULL, s->meter->attempts);
}

enum family { ATTEMPTS, DELIVERED, FAILED, UNMADE, TIMES, ON_HOLD };

static void
write_family(const struct metered *s, enum family what, const char *name,
    struct buf *b)
{
	const struct meter *m = s->meter;

	switch (what) {
	case ATTEMPTS: sample(b, name, s, NULL, NULL, m->attempts); break;
	case DELIVERED: sample(b, name, s, NULL, NULL, m->delivered); break;
	case FAILED: write_failures(s, b); break;
	case UNMADE: sample(b, name, s, NULL, NULL, m->unmade); break;
	case TIMES: write_times(s, b); break;
	case ON_HOLD: sample(b, name, s, NULL, NULL, s->on_hold); break;
	}
}

void
meter_write(const struct metered *s, size_t n, struct buf *b)
{
	static const struct {
		enum family what;
		const char *name, *type, *help;
	} families[] = {
		{ ATTEMPTS, "egns_DeliveryAttemptCount", "counter",
		    "Requests, or records of Kafka." },
		{ DELIVERED, "egns_DeliverySuccessCount", "counter",
		    "Events that their destination has taken." },
		{ FAILED, "egns_DeliveryAttemptFailCount", "counter",
		    "Events in attempts that failed, by outcome." },
		{ UNMADE, "egns_DeliveryUnmadeCount", "counter",
		    "Events that could not be sent at all." },
		{ TIMES, "egns_DestinationProcessingDurationMs", "histogram",
		    "Time from request to result, milliseconds." },
		{ ON_HOLD, "egns_SubscriptionOnHold", "gauge",
		    "1 while nothing is delivered." },
	};
	size_t count = sizeof(families) / sizeof(families[0]);

	for (size_t row = 0; row < count; row++) {
		metrics_family(b, families[row].name, families[row].type,
		    families[row].help);
		for (size_t i = 0; i < n; i++)
			write_family(&s[i], families[row].what,
			    families[row].name, b);
	}
}
