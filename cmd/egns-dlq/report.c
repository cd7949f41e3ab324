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

void
post_metrics(struct post *o, struct buf *b)
{
	static const char waiting[] = "egns_DeadLettersWaiting";
	static const char failing[] = "egns_DeadLetterDestinationFailing";
	uint64_t letters, parcels;
	const struct place *p;

	tally_metrics(o->tally, b);
	metrics_family(b, waiting, "gauge",
	    "Dead letters on their way to a destination.");
	TAILQ_FOREACH(p, &o->places, entry) {
		count_waiting(o, p, &letters, &parcels);
		metrics_sample(b, waiting, (const char *[]){ "Container",
		    place_name(p), NULL }, (double)letters);
	}
	metrics_family(b, failing, "gauge",
	    "1 while a destination takes nothing.");
	TAILQ_FOREACH(p, &o->places, entry)
		metrics_sample(b, failing, (const char *[]){ "Container",
		    place_name(p), NULL }, p->failing);
}
