/* what people ask */
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "metrics.h"
#include "posting.h"

static void
count_waiting(const struct post *o, const struct place *place,
    uint64_t *letters, uint64_t *parcels)
{
	const struct parcel *p;
	const struct lane *l;

	*letters = *parcels = 0;
	TAILQ_FOREACH(l, &o->lanes, entry) {
		const struct parcels *const lists[] = { &l->sorted, &l->tried };

		for (size_t i = 0; l->place == place && i < 2; i++)
			TAILQ_FOREACH(p, lists[i], entry) {
				*letters += p->letters;
				++*parcels;
			}
	}
}

static void
add_failure(const struct place *p, struct buf *b)
{
	char time[CLOCK_TEXT + 1];

	clock_format(time, p->since);
	buf_printf(b, ",\"failingSince\":\"%s\"", time);
	clock_format(time, p->next);
	buf_printf(b, ",\"nextAttempt\":\"%s\",\"attempts\":%u,\"lastError\":",
	    time, p->attempts);
	buf_json(b, p->error.text, strlen(p->error.text));
}

unsigned
post_stats(const struct post *o, struct buf *b)
{
	uint64_t letters, parcels;
	const struct place *p;
	unsigned n = 0;

	TAILQ_FOREACH(p, &o->places, entry) {
		count_waiting(o, p, &letters, &parcels);
		buf_str(b, "{\"container\":");
		buf_json(b, place_name(p), strlen(place_name(p)));
		buf_printf(b, ",\"state\":\"%s\",\"waiting\":%" PRIu64
		    ",\"parcels\":%" PRIu64 ",\"written\":%" PRIu64
		    ",\"blobs\":%" PRIu64 ",\"dropped\":%" PRIu64,
		    p->failing ? "failing" : "ready", letters, parcels,
		    p->written, p->blobs, p->dropped);
		if (p->failing)
			add_failure(p, b);
		buf_str(b, "}\n");
		n++;
	}
	return n;
}

static bool
is_called(const struct place *p, const char *name)
{
	return strcmp(place_name(p), name) == 0;
}

static double
waiting_for(const struct post *o, const char *name)
{
	uint64_t letters, parcels, all = 0;
	const struct place *p;

	TAILQ_FOREACH(p, &o->places, entry) {
		if (!is_called(p, name))
			continue;
		count_waiting(o, p, &letters, &parcels);
		all += letters;
	}
	return (double)all;
}

static double
is_failing(const struct post *o, const char *name)
{
	const struct place *p;

	TAILQ_FOREACH(p, &o->places, entry)
		if (p->failing && is_called(p, name))
			return 1;
	return 0;
}

/* Each container once, though some go there as somebody else than others do. */
static void
add_gauge(const struct post *o, struct buf *b, const char *metric,
    double (*value)(const struct post *, const char *name))
{
	const struct place *p, *first;

	TAILQ_FOREACH(p, &o->places, entry) {
		TAILQ_FOREACH(first, &o->places, entry)
			if (is_called(first, place_name(p)))
				break;
		if (first == p)
			metrics_sample(b, metric, (const char *[]){ "Container",
			    place_name(p), NULL }, value(o, place_name(p)));
	}
}

void
post_metrics(struct post *o, struct buf *b)
{
	static const char waiting[] = "egns_DeadLettersWaiting";
	static const char failing[] = "egns_DeadLetterDestinationFailing";

	counters_metrics(o->counters, b);
	metrics_family(b, waiting, "gauge",
	    "Dead letters on their way to a destination.");
	add_gauge(o, b, waiting, waiting_for);
	metrics_family(b, failing, "gauge",
	    "1 while a destination takes nothing.");
	add_gauge(o, b, failing, is_failing);
}
